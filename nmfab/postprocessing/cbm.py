"""Correlation Block-Matching: the segmentation whose blocks are the most homogeneous.

Marmoret, Cohen & Bimbot, "Barwise music structure analysis with the Correlation Block-Matching
segmentation algorithm", TISMIR 6(1), 2023. Scores are those of the authors' program
``as_seg`` (`compute_cbm`), with what it does at the edges: the factor of the penalty is the highest
correlation of blocks of 8 bars, the one that ends with the song left out, so that songs below 9
bars have no penalty.
"""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown
from nmfab.postprocessing.contract import step

_REFERENCE_SIZE = 8


def modulo8(size):
    """Return the penalty of a segment of `size` bars: 0 for 8, then ¼, ½ and 1."""
    if size == 8:
        return 0.0
    return 0.25 if size % 4 == 0 else 0.5 if size % 2 == 0 else 1.0


def modulo4(size):
    """Return the penalty of a segment of `size` bars: 0 for multiples of 4, then ½ and 1."""
    return 0.0 if size % 4 == 0 else 0.5 if size % 2 == 0 else 1.0


PENALTIES = {"modulo8": modulo8, "modulo4": modulo4}


def block_correlations(similarity, max_size, bands=None):
    """Return the correlation of every block on the diagonal with the kernel of its size.

    The kernel of size p has ones where 0 < |i - j| <= bands, zeros elsewhere; the sum is divided
    by p².

    Parameters
    ----------
    similarity : np.ndarray [shape=(n_bars, n_bars)]
        A self-similarity.
    max_size : int
        Largest size of a block, in bars.
    bands : int, optional
        Number of bands on each side of the diagonal; all of them (the full kernel) where None.

    Returns
    -------
    np.ndarray [shape=(max_size + 1, n_bars)]
        Entry (p, s) is the correlation of the block of bars s to s + p - 1; NaN where there is no
        such block.
    """
    n_bars = len(similarity)
    bands = max_size if bands is None else bands
    reach = min(bands, max_size - 1, n_bars - 1)
    # gained[k, e] is what bar e - 1 brings to a block that it ends: its pairs with k bars before it
    gained = np.zeros((reach + 1, n_bars + 1))
    for distance in range(1, reach + 1):
        pairs = np.diagonal(similarity, distance) + np.diagonal(similarity, -distance)
        gained[distance, distance + 1 :] = pairs
    gained = np.cumsum(gained, axis=0)
    correlations = np.full((max_size + 1, n_bars), np.nan)
    total = np.zeros(n_bars)
    for size in range(1, min(max_size, n_bars) + 1):
        total = total[: n_bars - size + 1] + gained[min(size - 1, reach), size:]
        correlations[size, : len(total)] = total / size**2
    return correlations


@step("segmentation", "cbm", version=2)
def cbm(similarity, *, edges, bands, penalty, penalty_weight, max_size):
    """Return the boundaries of the segmentation whose blocks are the most homogeneous.

    Parameters
    ----------
    similarity : np.ndarray [shape=(n_bars, n_bars)]
        A self-similarity.
    edges : np.ndarray [shape=(n_bars + 1,)]
        Where bars begin and the last one ends, s.
    bands, penalty, penalty_weight, max_size
        See `segment_bars`.

    Returns
    -------
    np.ndarray [shape=(n_segments + 1,)]
        Seconds.
    """
    found, _ = segment_bars(
        similarity, bands=bands, penalty=penalty, penalty_weight=penalty_weight, max_size=max_size
    )
    return edges[found]


def segment_bars(similarity, *, bands=7, penalty="modulo8", penalty_weight=1.0, max_size=32):
    """Return the best segmentation and its score.

    Parameters
    ----------
    similarity : np.ndarray [shape=(n_bars, n_bars)]
        A self-similarity.
    bands : int, optional
        Bands of the kernel on each side of the diagonal; all of them where None.
    penalty : {"modulo8", "modulo4"}
        Penalty on the sizes of segments.
    penalty_weight : float
        Its weight.
    max_size : int
        Largest size of a segment, in bars.

    Returns
    -------
    boundaries : np.ndarray of int [shape=(n_segments + 1,)]
        From 0 to n_bars: segment i is bars ``boundaries[i]`` to ``boundaries[i + 1] - 1``. Among
        equal scores the longer last segment is taken.
    score : float
        Sum over segments of size times correlation, minus the penalties.

    Raises
    ------
    UsageError
        If a parameter has no meaning, or the similarity is not square, empty or not finite.
    """
    similarity = np.asarray(similarity, dtype=np.float64)
    _validate(similarity, bands, penalty, max_size)
    n_bars = len(similarity)
    correlations = block_correlations(similarity, max(max_size, _REFERENCE_SIZE), bands)
    sizes = np.arange(max_size + 1)
    penalties = np.array([PENALTIES[penalty](size) for size in sizes])
    windows = correlations[_REFERENCE_SIZE, : max(n_bars - _REFERENCE_SIZE, 0)]
    factor = penalty_weight * max(windows.max(initial=0.0), 0.0)
    gains = correlations[: max_size + 1] * sizes[:, None] - (penalties * factor)[:, None]
    return _best_path(gains, n_bars)


def _best_path(gains, n_bars):
    best = np.zeros(n_bars + 1)
    starts = np.zeros(n_bars + 1, dtype=np.int64)
    for end in range(1, n_bars + 1):
        candidates = np.arange(max(0, end - len(gains) + 1), end)
        scores = best[candidates] + gains[end - candidates, candidates]
        winner = np.argmax(scores)
        best[end], starts[end] = scores[winner], candidates[winner]
    boundaries = [n_bars]
    while boundaries[-1] > 0:
        boundaries.append(starts[boundaries[-1]])
    return np.array(boundaries[::-1], dtype=np.int64), float(best[-1])


def _validate(similarity, bands, penalty, max_size):
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or not similarity.size:
        raise UsageError(f"a similarity of shape {similarity.shape}: one row and column per bar")
    if not np.isfinite(similarity).all():
        raise UsageError("the similarity holds NaN or infinite entries")
    if penalty not in PENALTIES:
        raise UsageError(unknown("penalty", penalty, PENALTIES))
    if bands is not None and bands < 1:
        raise UsageError(f"bands {bands}: 1 or more, or none for the full kernel")
    if max_size < 1:
        raise UsageError(f"max_size {max_size}: segments have at least one bar")
