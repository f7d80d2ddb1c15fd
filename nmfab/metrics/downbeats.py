"""Estimated bars: how many of the annotated downbeats they begin at.

Conventions
-----------
Downbeats are times in seconds. One is found when an estimated one lies within 70 ms, both
inclusive, each serving once (``mir_eval.beat.f_measure``; Davies, Degara & Plumbley, "Evaluation
methods for musical audio beat tracking algorithms", 2009). The first five seconds count, which
``mir_eval.beat.evaluate`` leaves out: the bars there are analysed as all others are.
"""

import numpy as np

from nmfab.base.errors import DataError

VERSION = 1
LIBRARIES = ("mir_eval",)
WINDOW = 0.07  # seconds


def validate(reference, estimate):
    """Return both as arrays fit for `f_measure`, sorted and each time once.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(n,)]
        Downbeats, in seconds.

    Returns
    -------
    tuple of np.ndarray [shape=(n',), dtype=float64]
        Reference and estimate.

    Raises
    ------
    DataError
        If one is not a list of times, or holds what is no number.
    """
    return _times(reference, "reference"), _times(estimate, "estimate")


def f_measure(reference, estimate):
    """Return the F of estimated downbeats.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(n,)]
        Downbeats, in seconds.

    Returns
    -------
    float
        0 to 1; NaN without a reference.

    Raises
    ------
    DataError
        As `validate` does.
    """
    from mir_eval.beat import f_measure as mir_eval_f_measure

    reference, estimate = validate(reference, estimate)
    if len(reference) == 0 or len(estimate) == 0:
        return np.nan if len(reference) == 0 else 0.0
    return float(mir_eval_f_measure(reference, estimate, f_measure_threshold=WINDOW))


def _times(times, name):
    times = np.asarray(times, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all():
        raise DataError(f"the {name} holds downbeats that are no times: correct it")
    return np.unique(times)
