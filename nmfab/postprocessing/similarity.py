"""Self-similarity of bars.

Marmoret, Cohen & Bimbot, "Barwise music structure analysis with the Correlation Block-Matching
segmentation algorithm", TISMIR 6(1), 2023.
"""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown

VERSION = 1


def cosine(bars):
    """Return the cosine similarity of each pair of bars.

    Parameters
    ----------
    bars : np.ndarray [shape=(n_bars, n_features)]
        One row per bar. A row of zeros is similar to none, itself included.

    Returns
    -------
    np.ndarray [shape=(n_bars, n_bars), dtype=float64]
        Symmetric, between -1 and 1.
    """
    rows = _unit_rows(bars)
    return rows @ rows.T


def centered_cosine(bars):
    """Return the cosine similarity of bars from which the mean bar is subtracted.

    Parameters
    ----------
    bars : np.ndarray [shape=(n_bars, n_features)]
        One row per bar.

    Returns
    -------
    np.ndarray [shape=(n_bars, n_bars), dtype=float64]
        Symmetric, between -1 and 1 ("autocorrelation" in the paper).
    """
    bars = np.asarray(bars, dtype=np.float64)
    return cosine(bars - bars.mean(axis=0))


def rbf(bars):
    """Return exp(-gamma d²), d being the distance of two bars whose rows have unit norm.

    gamma is 1 / (2 s), with s the standard deviation of d over pairs of different bars. Where all
    pairs are equally far apart s is zero, and bars are either the same (1) or not (0).

    Parameters
    ----------
    bars : np.ndarray [shape=(n_bars, n_features)]
        One row per bar.

    Returns
    -------
    np.ndarray [shape=(n_bars, n_bars), dtype=float64]
        Symmetric, between 0 and 1.
    """
    rows = _unit_rows(bars)
    norms = np.einsum("ij,ij->i", rows, rows)
    squared = np.maximum(norms[:, None] + norms - 2 * rows @ rows.T, 0)
    np.fill_diagonal(squared, 0)
    apart = ~np.eye(len(rows), dtype=bool)
    deviation = np.std(np.sqrt(squared)[apart]) if len(rows) > 1 else 0.0
    if deviation < 1e-10:
        return (squared < 1e-10).astype(np.float64)
    return np.exp(-squared / (2 * deviation))


SIMILARITIES = {"cosine": cosine, "centered_cosine": centered_cosine, "rbf": rbf}


def similarity(bars, kind):
    """Return the self-similarity of `bars` by the name of its kind.

    Raises
    ------
    UsageError
        If there is no such kind, or no bar.
    """
    if kind not in SIMILARITIES:
        raise UsageError(unknown("similarity", kind, SIMILARITIES))
    if len(bars) == 0:
        raise UsageError("a self-similarity needs at least one bar")
    return SIMILARITIES[kind](bars)


def scaled_activations(W, H, scale):
    """Return H with the scale of the components settled.

    W·H leaves the scale of each component open, and similarities of bars depend on it.

    Parameters
    ----------
    W : np.ndarray [shape=(m, rank)]
        Templates.
    H : np.ndarray [shape=(rank, n)]
        Activations.
    scale : {"W", "H", "none"}
        ``"W"``: as if the templates had unit L2 norm, so that an activation is the norm of what its
        component puts into a bar; ``"H"``: each row of H has unit L2 norm; ``"none"``: H as it is.

    Returns
    -------
    np.ndarray [shape=(rank, n)]
        Rescaled activations.

    Raises
    ------
    UsageError
        If there is no such scale.
    """
    if scale == "W":
        return H * np.linalg.norm(W, axis=0)[:, None]
    if scale == "H":
        norms = np.linalg.norm(H, axis=1, keepdims=True)
        return H / np.where(norms > 0, norms, 1)
    if scale == "none":
        return H
    raise UsageError(unknown("scale", scale, ("W", "H", "none")))


def _unit_rows(bars):
    rows = np.asarray(bars, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
