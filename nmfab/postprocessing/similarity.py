"""Steps that compare bars: columns to compare, and their self-similarity.

Marmoret, Cohen & Bimbot, "Barwise music structure analysis with the Correlation Block-Matching
segmentation algorithm", TISMIR 6(1), 2023.
"""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown
from nmfab.postprocessing.contract import step


@step("similarity", "cosine", version=2)
def cosine(columns):
    """Return the cosine similarity of each pair of bars.

    Parameters
    ----------
    columns : np.ndarray [shape=(n_features, n_bars)]
        One column per bar. A column of zeros is similar to none, itself included.

    Returns
    -------
    np.ndarray [shape=(n_bars, n_bars), dtype=float64]
        Symmetric, between -1 and 1.
    """
    rows = _unit_rows(columns)
    return rows @ rows.T


@step("similarity", "centered_cosine", version=2)
def centered_cosine(columns):
    """Return the cosine similarity of bars from which the mean bar is subtracted.

    Parameters
    ----------
    columns : np.ndarray [shape=(n_features, n_bars)]
        One column per bar.

    Returns
    -------
    np.ndarray [shape=(n_bars, n_bars), dtype=float64]
        Symmetric, between -1 and 1 ("autocorrelation" in the paper).
    """
    columns = np.asarray(columns, dtype=np.float64)
    return cosine(columns - columns.mean(axis=1, keepdims=True))


@step("similarity", "rbf", version=2)
def rbf(columns):
    """Return exp(-gamma d²), d being the distance of two bars whose columns have unit norm.

    gamma is 1 / (2 s), with s the standard deviation of d over pairs of different bars. Where all
    pairs are equally far apart s is zero, and bars are either the same (1) or not (0).

    Parameters
    ----------
    columns : np.ndarray [shape=(n_features, n_bars)]
        One column per bar.

    Returns
    -------
    np.ndarray [shape=(n_bars, n_bars), dtype=float64]
        Symmetric, between 0 and 1.
    """
    rows = _unit_rows(columns)
    norms = np.einsum("ij,ij->i", rows, rows)
    squared = np.maximum(norms[:, None] + norms - 2 * rows @ rows.T, 0)
    np.fill_diagonal(squared, 0)
    apart = ~np.eye(len(rows), dtype=bool)
    deviation = np.std(np.sqrt(squared)[apart]) if len(rows) > 1 else 0.0
    if deviation < 1e-10:
        return (squared < 1e-10).astype(np.float64)
    return np.exp(-squared / (2 * deviation))


@step("columns", "activations", version=1, calls=("templates", "activations"))
def scaled_activations(factorization, *, scale):
    """Return the activations with the scale of the components settled.

    W·H leaves the scale of each component open, and similarities of bars depend on it.

    Parameters
    ----------
    factorization : Factorization
        Of rank r, n bars.
    scale : {"W", "H", "none"}
        ``"W"``: as if the templates had unit L2 norm, so that an activation is the norm of what its
        component puts into a bar; ``"H"``: each row of H has unit L2 norm; ``"none"``: H as it is.

    Returns
    -------
    np.ndarray [shape=(r, n)]
        Rescaled activations.

    Raises
    ------
    UsageError
        If there is no such scale.
    """
    H = factorization.activations()
    if scale == "W":
        return H * np.linalg.norm(factorization.templates(), axis=0)[:, None]
    if scale == "H":
        norms = np.linalg.norm(H, axis=1, keepdims=True)
        return H / np.where(norms > 0, norms, 1)
    if scale == "none":
        return H
    raise UsageError(unknown("scale", scale, ("W", "H", "none")))


@step("structure", "signal", version=1, gives="columns")
def signal_columns(V):
    """Return the columns of V themselves, in the place of activations.

    Parameters
    ----------
    V : np.ndarray [shape=(m, n_bars)]
        The barwise matrix.
    """
    return V


@step("structure", "constant", version=1, gives="similarity")
def constant_similarity(edges):
    """Return a similarity that is 1 everywhere: what the prior on sizes alone gives.

    Parameters
    ----------
    edges : np.ndarray [shape=(n_bars + 1,)]
        Where bars begin and the last one ends, s.
    """
    return np.ones((len(edges) - 1, len(edges) - 1))


def _unit_rows(columns):
    rows = np.asarray(columns, dtype=np.float64).T
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
