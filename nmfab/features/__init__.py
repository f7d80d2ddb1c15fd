"""Audio → V: one feature per file."""

from nmfab.features.contract import FEATURES, Feature, feature

__all__ = ["FEATURES", "Feature", "feature"]
