"""One code path for NumPy arrays and torch tensors."""

import numpy as np


def module_of(*values):
    """Return the module whose functions take these arrays: NumPy, or torch.

    Names that both know are used by callers (``where``, ``einsum``, ``amax`` ... with ``axis`` and
    ``keepdims``). The first value that has a shape decides; torch wakes only where it is used.
    """
    first = next(value for value in values if hasattr(value, "shape"))
    if isinstance(first, np.ndarray | np.generic):
        return np
    import torch

    return torch


def members(groups, n_groups):
    """Return, for each group, the indices of its components, as lists.

    Parameters
    ----------
    groups : array of int [shape=(rank,)]
        The group of each component; a number outside 0 ... n_groups − 1 is no group.
    n_groups : int
        Number of groups.
    """
    groups = np.asarray(groups)
    return [np.flatnonzero(groups == group).tolist() for group in range(n_groups)]
