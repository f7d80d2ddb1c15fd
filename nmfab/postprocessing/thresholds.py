"""Thresholds of activations chosen with a look at the reference: a bound for those that do not."""

import numpy as np

from nmfab.postprocessing.contract import step as register
from nmfab.postprocessing.notes import detect_notes

# In parts of the global maximum; at 1 a pitch has no notes.
CANDIDATES = np.append(np.geomspace(0.005, 0.8, 24), 1.0)
_ROUNDS = 50  # Dinkelbach's method ends after a few


@register("thresholding", "oracle", version=2, oracle=True)
def oracle_notes(activity, *, step, average, gap, shortest, notes, duration, onset_tolerance):
    """Return the notes above the best threshold of each pitch; see `oracle_thresholds`.

    Parameters
    ----------
    activity : Activity
        Activations by pitch.
    step, average, gap, shortest : float
        See `nmfab.postprocessing.notes.detect_notes`.
    notes : dict
        The reference: ``onsets`` (s) and ``pitches`` (MIDI).
    duration : float
        Of the excerpt, s: notes that begin behind it are not looked at.
    onset_tolerance : float
        Of an onset that is right, s.

    Returns
    -------
    onsets, offsets, pitches
        See `nmfab.postprocessing.notes.detect_notes`.
    """
    options = {"step": step, "average": average, "gap": gap, "shortest": shortest}
    options["thresholding"] = "fixed"
    inside = notes["onsets"] < duration
    best = oracle_thresholds(
        *activity,
        notes["onsets"][inside],
        notes["pitches"][inside],
        tolerance=onset_tolerance,
        **options,
    )
    return detect_notes(*activity, threshold=best, **options)


def oracle_thresholds(activity, pitches, onsets, reference, *, tolerance, **options):
    """Return the threshold of each pitch by which all notes together have the best F.

    With a threshold for each pitch, estimated notes of a pitch depend on its own threshold alone,
    and F = 2 TP / (estimated + annotated) is a ratio of sums over pitches: Dinkelbach ("On
    nonlinear fractional programming", Management Science 1967) finds its maximum over `CANDIDATES`
    by choosing for each pitch what maximizes 2 TP − F · estimated, F being that of the choice
    before. A note is right where its onset lies within `tolerance` of the reference's, one to one.

    Parameters
    ----------
    activity : np.ndarray [shape=(k, n)]
        Activations, one row per pitch.
    pitches : np.ndarray [shape=(k,)]
        MIDI numbers, each once.
    onsets : np.ndarray [shape=(n_reference,)]
        Of the reference notes, seconds.
    reference : np.ndarray [shape=(n_reference,)]
        Their MIDI numbers.
    tolerance : float
        Seconds.
    **options
        Of `detect_notes`: step, thresholding, average, gap, shortest.

    Returns
    -------
    np.ndarray [shape=(k,)]
        In parts of the global maximum of `activity`.
    """
    reference = np.round(reference).astype(int)
    wanted = [np.sort(onsets[reference == pitch]) for pitch in pitches]
    right = np.zeros((len(pitches), len(CANDIDATES)))
    estimated = np.zeros_like(right)
    for column, threshold in enumerate(CANDIDATES):
        found, _, names = detect_notes(activity, pitches, threshold=threshold, **options)
        for row, pitch in enumerate(pitches):
            own = found[names == pitch]
            estimated[row, column] = len(own)
            right[row, column] = count_matches(wanted[row], own, tolerance)
    return CANDIDATES[_best_columns(right, estimated, len(reference))]


def _best_columns(right, estimated, annotated):
    """Return for each row the column whose choice maximizes 2 Σ right / (Σ estimated + annotated).

    Of equals the last: the highest threshold, by which the fewest notes begin.
    """
    rows, F = np.arange(len(right)), 0.0
    for _ in range(_ROUNDS):
        worth = 2 * right - F * estimated
        columns = worth.shape[1] - 1 - np.argmax(worth[:, ::-1], axis=1)
        before, total = F, estimated[rows, columns].sum() + annotated
        F = 2 * right[rows, columns].sum() / total if total else 0.0
        if before >= F:
            break
    return columns


def count_matches(reference, estimated, tolerance):
    """Return how many of two ascending lists of times can be paired one to one within `tolerance`.

    Pairing the earliest that can be paired, over and over, pairs as many as possible.

    Parameters
    ----------
    reference, estimated : np.ndarray [shape=(n,)]
        Seconds, ascending.
    tolerance : float
        Seconds.
    """
    count = i = j = 0
    while i < len(reference) and j < len(estimated):
        # as mir_eval does: rounded, so that a deviation of just the tolerance is right
        deviation = round(float(estimated[j] - reference[i]), 4)
        if abs(deviation) <= tolerance:
            count, i, j = count + 1, i + 1, j + 1
        elif deviation > 0:
            i += 1
        else:
            j += 1
    return count
