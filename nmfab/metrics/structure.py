"""Structure analysis: how many boundaries are found.

Conventions
-----------
Sections are intervals in seconds [shape=(n, 2)], and their boundaries are the distinct times in
them, first and last included unless they are trimmed. A boundary is found when an estimated one
lies within the window (0.5 or 3 s, both inclusive), each serving once: the matching is the largest
one (``mir_eval.segment.detection``; Turnbull et al., ISMIR 2007; MIREX structural segmentation).
Sections may overlap, leave gaps, begin after 0 and end past the audio; those of no length are left
out. `evaluate` makes both begin at 0, as ``mir_eval.segment.evaluate`` does: what precedes the
first section is one too.
"""

import numpy as np

from nmfab.base.errors import DataError

VERSION = 1
LIBRARIES = ("mir_eval",)
WINDOWS = {"0.5": 0.5, "3": 3.0}


def validate(reference, estimate):
    """Return both as arrays fit for `detection`, sections of no length left out.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(n, 2)]
        Sections, in seconds.

    Returns
    -------
    tuple of np.ndarray [shape=(n', 2), dtype=float64]
        Reference and estimate.

    Raises
    ------
    DataError
        If one has another shape, a time that is negative or not finite, an end before its start, or
        no section left.
    """
    return _sections(reference, "reference"), _sections(estimate, "estimate")


def detection(reference, estimate, window, *, trim=False):
    """Return precision, recall and F of boundaries.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(n, 2)]
        Sections, in seconds.
    window : float
        Largest distance of two boundaries that match, in seconds.
    trim : bool
        Whether the first and the last boundary of both are left out. Where nothing is left of one,
        all three are 0.

    Returns
    -------
    tuple of float
        Precision, recall, F.

    Raises
    ------
    DataError
        As `validate` does.
    """
    from mir_eval.segment import detection as mir_eval_detection

    reference, estimate = validate(reference, estimate)
    return tuple(map(float, mir_eval_detection(reference, estimate, window=window, trim=trim)))


def from_zero(intervals):
    """Return sections with one more, from 0 to the first, where there is time before it.

    Parameters
    ----------
    intervals : np.ndarray [shape=(n, 2)]
        Sections, in seconds.

    Returns
    -------
    np.ndarray [shape=(n or n + 1, 2)]
        Seconds.
    """
    first = intervals.min()
    return np.vstack([[0.0, first], intervals]) if first > 0 else intervals


def evaluate(reference, estimate, *, trim=False):
    """Return the metrics of an estimate.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(n, 2)]
        Sections, in seconds.
    trim : bool
        As in `detection`.

    Returns
    -------
    dict of str to float
        ``F0.5``, ``P0.5``, ``R0.5``, ``F3``, ``P3``, ``R3`` and ``segments``, the number of
        estimated sections from 0 on.

    Raises
    ------
    DataError
        As `validate` does.
    """
    reference, estimate = map(from_zero, validate(reference, estimate))
    scores = {}
    for name, window in WINDOWS.items():
        precision, recall, f = detection(reference, estimate, window, trim=trim)
        scores |= {f"F{name}": f, f"P{name}": precision, f"R{name}": recall}
    return scores | {"segments": float(len(estimate))}


def better(scores):
    """Return, for each window, the scores against the annotation that agrees more.

    Precision, recall and F are those of one annotation, the one with the larger F.

    Parameters
    ----------
    scores : sequence of dict
        As `evaluate` gives them, of one estimate against each annotation.

    Returns
    -------
    dict of str to float
        As `evaluate`.
    """
    found = {"segments": scores[0]["segments"]}
    for name in WINDOWS:
        best = max(scores, key=lambda score, f=f"F{name}": score[f])
        found |= {f"{letter}{name}": best[f"{letter}{name}"] for letter in "FPR"}
    return found


def _sections(intervals, name):
    intervals = np.asarray(intervals, dtype=np.float64)
    if intervals.ndim != 2 or intervals.shape[1] != 2:
        raise DataError(f"the {name} has sections of shape {intervals.shape}: (n, 2) is wanted")
    if not np.isfinite(intervals).all() or (intervals < 0).any():
        raise DataError(f"the {name} has times that are negative or no numbers: correct it")
    if (intervals[:, 1] < intervals[:, 0]).any():
        raise DataError(f"the {name} has a section that ends before it begins: correct it")
    kept = intervals[intervals[:, 1] > intervals[:, 0]]
    if len(kept) == 0:
        raise DataError(f"the {name} has no section: correct it, or leave the track out")
    return kept
