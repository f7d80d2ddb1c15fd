"""Grouping by place: components that stand in one direction between the channels are one source."""

import numpy as np

from nmfab.base.errors import DataError
from nmfab.postprocessing.contract import step
from nmfab.postprocessing.grouping import sounding


def directions(gains, power):
    """Return the unit vector of magnitudes that each component has among the channels.

    In stereo that is (cos θ, sin θ) of the panning angle θ: 0 left, π/4 centre, π/2 right.

    Parameters
    ----------
    gains : np.ndarray [shape=(channels, rank)]
        Nonnegative, no column zero.
    power : int
        The gains are those of ``|X|**power``.

    Returns
    -------
    np.ndarray [shape=(rank, channels)]
    """
    gains = np.asarray(gains, dtype=np.float64)
    magnitudes = (gains / gains.max(axis=0)) ** (1 / power)
    return (magnitudes / np.linalg.norm(magnitudes, axis=0)).T


def _refused(p):
    if p.get("mono"):
        return "grouping panning needs more than one channel, and mono makes one"
    return None


@step(
    "grouping",
    "panning",
    version=1,
    libraries=("scikit-learn",),
    calls=("panning", "templates", "activations"),
    skip=_refused,
)
def group_by_panning(factorization, *, n_sources, kmeans_seed, power, restarts=10):
    """Group components by k-means on their directions between the channels.

    It tells apart sources that were placed by gains alone, as a mixing desk does; in a room, or
    between microphones that stand apart, most of a source's direction is in phases that a model of
    magnitudes does not hear.

    Parameters
    ----------
    factorization : Factorization
        Of rank r, with ``panning()``; a component that is zero belongs to no group.
    n_sources : int
        Number of groups.
    kmeans_seed : int
        Draws the starts of k-means.
    power : int
        The factorization is one of ``|X|**power``; see `directions`.
    restarts : int
        How many starts, of which the most compact result is taken.

    Returns
    -------
    np.ndarray of int [shape=(r,)]
        Group of each component, −1 for none. Groups stay empty where there are fewer different
        directions than sources.

    Raises
    ------
    DataError
        If there is one channel.

    References
    ----------
    D. FitzGerald, M. Cranitch and E. Coyle, "Non-negative tensor factorisation for sound source
    separation", Irish Signals and Systems Conference 2005.

    A. Marmoret, N. Bertin and J. Cohen, "Multi-channel automatic music transcription using tensor
    algebra", 2021 (report of 2019), section 3.
    """
    from sklearn.cluster import KMeans

    gains = np.asarray(factorization.panning())
    if len(gains) < 2:
        raise DataError("the track has one channel, and grouping=panning needs two or more")
    groups = np.full(gains.shape[1], -1)
    alive = sounding(factorization) & gains.any(axis=0)
    if not alive.any():
        return groups
    points = directions(gains[:, alive], power)
    # directions that differ by rounding alone are one
    clusters = min(n_sources, len(np.unique(points.round(9), axis=0)))
    means = KMeans(n_clusters=clusters, n_init=restarts, random_state=kmeans_seed)
    groups[alive] = means.fit_predict(points)
    return groups
