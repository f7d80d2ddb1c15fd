"""Factorization → estimate, in steps: grouping, masks, pitches, thresholds, segmentation."""

from nmfab.postprocessing.contract import FAMILIES, STEPS, Choices, Step, step

__all__ = ["FAMILIES", "STEPS", "Choices", "Step", "step"]
