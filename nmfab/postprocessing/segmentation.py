"""Steps of segmentation that no similarity enters: regular segments, and the reference on bars."""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.postprocessing.contract import step


@step("structure", "regular", version=1)
def regular(edges, *, bars=8):
    """Return boundaries every `bars` bars, the end included.

    Parameters
    ----------
    edges : np.ndarray [shape=(n_bars + 1,)]
        Where bars begin and the last one ends, s.
    bars : int
        Bars per segment; the last segment has what is left.

    Returns
    -------
    np.ndarray [shape=(n_segments + 1,)]
        Seconds.

    Raises
    ------
    UsageError
        If `bars` is below 1.
    """
    if bars < 1:
        raise UsageError(f"segments of {bars} bars: 1 or more")
    return np.append(edges[:-1:bars], edges[-1])


@step("structure", "oracle", version=1, oracle=True)
def oracle(edges, *, sections):
    """Return the boundaries of the reference, snapped to bars: the best that bars allow.

    Parameters
    ----------
    edges : np.ndarray [shape=(n_bars + 1,)]
        Where bars begin and the last one ends, s; 0 counts as an edge too.
    sections : dict
        The reference: ``intervals`` (s).

    Returns
    -------
    np.ndarray [shape=(n,)]
        Seconds.
    """
    edges = np.unique(np.append(0.0, edges))
    return edges[snapped(np.unique(sections["intervals"]), edges)]


def snapped(times, edges):
    """Return the edges of bars that lie nearest to given times.

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
