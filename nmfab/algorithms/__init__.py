"""V, W0, H0 → W, H: one algorithm per file, each one iteration written as a generator."""

from nmfab.algorithms.contract import ALGORITHMS, Algorithm, algorithm
from nmfab.algorithms.problem import Problem, View

__all__ = ["ALGORITHMS", "Algorithm", "Problem", "View", "algorithm"]
