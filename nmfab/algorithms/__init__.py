"""V, W0, H0 → W, H: one algorithm per file, each one iteration written as a generator."""

from nmfab.algorithms.contract import ALGORITHMS, Algorithm, Factorization, Problem, algorithm

__all__ = ["ALGORITHMS", "Algorithm", "Factorization", "Problem", "algorithm"]
