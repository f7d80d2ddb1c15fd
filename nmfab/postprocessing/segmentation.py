"""Segmentations that no similarity enters: the baselines and the oracle of structure analysis."""

import numpy as np

from nmfab.base.errors import UsageError

VERSION = 1


def regular(n_bars, size):
    """Return boundaries every `size` bars, the end included.

    Parameters
    ----------
    n_bars : int
        Number of bars.
    size : int
        Bars per segment; the last segment has what is left.

    Returns
    -------
    np.ndarray of int [shape=(n_segments + 1,)]
        Numbers of bars, from 0 to `n_bars`.

    Raises
    ------
    UsageError
        If `size` is below 1.
    """
    if size < 1:
        raise UsageError(f"segments of {size} bars: 1 or more")
    return np.append(np.arange(0, n_bars, size), n_bars)


def snapped(times, edges):
    """Return the edges of bars that lie nearest to given times: the best that bars allow.

    Parameters
    ----------
    times : np.ndarray [shape=(n,)]
        Boundaries, in seconds.
    edges : np.ndarray [shape=(n_bars + 1,)]
        Where bars begin and the last one ends, in seconds.

    Returns
    -------
    np.ndarray of int [shape=(n' <= n,)]
        Indices of edges, each once, increasing; of two edges equally near the earlier one.
    """
    distances = np.abs(np.asarray(times)[:, None] - np.asarray(edges))
    return np.unique(np.argmin(distances, axis=1))
