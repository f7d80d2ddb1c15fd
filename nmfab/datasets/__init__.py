"""Track → audio and reference: one dataset per file, which knows its layout and reads it."""

from nmfab.datasets.contract import DATASETS, Dataset, Status, dataset

__all__ = ["DATASETS", "Dataset", "Status", "dataset"]
