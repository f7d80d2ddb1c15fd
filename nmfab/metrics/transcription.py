"""Scores of transcribed notes against the annotation.

Conventions
-----------
Notes are given as *intervals* [shape=(n, 2)], onset and offset in seconds, and *pitches*
[shape=(n,)], MIDI numbers (69 is A4, 440 Hz). They are handed to mir_eval as frequencies in Hz: a
MIDI number in that place would let a semitone, and above MIDI 35 its neighbours, pass as correct.

An estimated note is right if its onset lies within 50 ms of the reference's and its pitch within
50 cents; the two are paired one to one, as many as possible [1]_. The offset counts in a second
set of scores only: within 20% of the reference's duration, at least 50 ms. Frame-wise scores
compare which pitches sound at each instant of a grid, counted over the whole recording [2]_.

Where there are no reference notes or no estimated ones, precision, recall and F are 0, as
`mir_eval.transcription` defines them; a deviation between no notes is NaN.

References
----------
.. [1] M. Bay, A. F. Ehmann, J. S. Downie: Evaluation of multiple-F0 estimation and tracking
   systems. ISMIR 2009.
.. [2] G. E. Poliner, D. P. W. Ellis: A discriminative model for polyphonic piano transcription.
   EURASIP Journal on Advances in Signal Processing, 2007, equation (3) for the accuracy.
"""

import numpy as np

from nmfab.base.errors import DataError

VERSION = 1
LIBRARIES = ("mir_eval",)
PITCH_UNITS = ("hz", "midi")
ONSET_TOLERANCE = 0.05  # seconds
FRAME_HOP = 0.01  # seconds, the grid of MIREX
_PITCHES = 128


def validate(ref_intervals, ref_pitches, est_intervals, est_pitches):
    """Check that both lists of notes can be scored.

    Parameters
    ----------
    ref_intervals, est_intervals : np.ndarray [shape=(n, 2)]
        Onsets and offsets in seconds.
    ref_pitches, est_pitches : np.ndarray [shape=(n,)]
        MIDI numbers, 0 to 127.

    Raises
    ------
    DataError
        If shapes disagree, a time is negative or not finite, a note does not end after it begins,
        or a pitch is no MIDI number (a frequency in Hz, say).
    """
    for name, intervals, pitches in (
        ("reference", ref_intervals, ref_pitches),
        ("estimated", est_intervals, est_pitches),
    ):
        intervals, pitches = np.asarray(intervals), np.asarray(pitches)
        if intervals.shape != (len(pitches), 2) or pitches.ndim != 1:
            raise DataError(
                f"{name} notes: {intervals.shape} times for {pitches.shape} pitches, "
                "give (n, 2) and (n,)"
            )
        if not np.all(np.isfinite(intervals)) or np.any(intervals < 0):
            raise DataError(f"{name} notes: times must be finite and at least 0 s")
        wrong = np.flatnonzero(intervals[:, 1] <= intervals[:, 0])
        if wrong.size:
            onset, offset = intervals[wrong[0]]
            raise DataError(f"{name} note {wrong[0]} goes from {onset} s to {offset} s: clip_notes")
        wrong = np.flatnonzero(~((pitches >= 0) & (pitches < _PITCHES)))
        if wrong.size:
            raise DataError(
                f"{name} note {wrong[0]} has pitch {pitches[wrong[0]]}: give MIDI numbers, 0 to 127"
            )


def clip_notes(intervals, pitches, end, shortest=0.001):
    """Keep the part of the notes that sounds before the end of an excerpt.

    Parameters
    ----------
    intervals : np.ndarray [shape=(n, 2)]
        Onsets and offsets in seconds.
    pitches : np.ndarray [shape=(n,)]
        MIDI numbers.
    end : float
        The excerpt's end, seconds.
    shortest : float
        The length that a note annotated without one is given, seconds: its onset is still a fact,
        and intervals must not be empty.

    Returns
    -------
    intervals : np.ndarray [shape=(k, 2)]
        Notes that begin before `end`, cut there.
    pitches : np.ndarray [shape=(k,)]
    """
    intervals = np.asarray(intervals, dtype=float).reshape(-1, 2)
    kept = intervals[:, 0] < end
    onsets, offsets = intervals[kept].T
    offsets = np.maximum(np.minimum(offsets, end), onsets + shortest)
    return np.column_stack([onsets, offsets]), np.asarray(pitches)[kept]


def matched_notes(
    ref_intervals,
    ref_pitches,
    est_intervals,
    est_pitches,
    *,
    onset_tolerance=ONSET_TOLERANCE,
    with_offset=False,
    pitch_unit="hz",
):
    """Pair estimated notes with reference notes, one to one and as many as possible.

    Parameters
    ----------
    ref_intervals, est_intervals : np.ndarray [shape=(n, 2)]
        Onsets and offsets in seconds.
    ref_pitches, est_pitches : np.ndarray [shape=(n,)]
        MIDI numbers.
    onset_tolerance : float
        Seconds.
    with_offset : bool
        Whether offsets must agree too (20% of the reference's duration, at least 50 ms).
    pitch_unit : {"hz", "midi"}
        ``"midi"`` hands MIDI numbers to mir_eval as if they were frequencies, so that 50 cents let
        a semitone and more pass. Only to reproduce published figures that were computed so.

    Returns
    -------
    np.ndarray [shape=(k, 2), dtype=int]
        Index of the reference note, index of the estimated note.
    """
    from mir_eval.transcription import match_notes

    if pitch_unit not in PITCH_UNITS:
        raise DataError(f"unknown unit of pitch {pitch_unit!r}: there are {', '.join(PITCH_UNITS)}")
    if len(ref_pitches) == 0 or len(est_pitches) == 0:
        return np.zeros((0, 2), dtype=int)
    unit = midi_to_hz if pitch_unit == "hz" else np.asarray
    pairs = match_notes(
        np.asarray(ref_intervals, dtype=float),
        unit(ref_pitches),
        np.asarray(est_intervals, dtype=float),
        unit(est_pitches),
        onset_tolerance=onset_tolerance,
        offset_ratio=0.2 if with_offset else None,
    )
    return np.array(sorted(pairs), dtype=int).reshape(-1, 2)


def midi_to_hz(pitches):
    """Return the frequencies in Hz of MIDI numbers, A4 = 69 = 440 Hz."""
    return 440.0 * 2.0 ** ((np.asarray(pitches, dtype=float) - 69.0) / 12.0)


def precision_recall_f(matched, n_reference, n_estimated):
    """Return precision, recall and F from counts; each is 0 where its denominator is.

    Parameters
    ----------
    matched, n_reference, n_estimated : int
        True positives, and how many there are on either side (notes, or frames × pitches).
    """
    precision = matched / n_estimated if n_estimated else 0.0
    recall = matched / n_reference if n_reference else 0.0
    total = n_reference + n_estimated
    return precision, recall, 2.0 * matched / total if matched else 0.0


def accuracy(matched, n_reference, n_estimated):
    """Return TP / (TP + FP + FN) from counts, 0 where there is nothing on either side."""
    union = n_reference + n_estimated - matched
    return matched / union if union else 0.0


def median_onset_deviation(ref_intervals, est_intervals, pairs):
    """Return the median of estimated minus reference onset over paired notes.

    Parameters
    ----------
    ref_intervals, est_intervals : np.ndarray [shape=(n, 2)]
        Onsets and offsets in seconds.
    pairs : np.ndarray [shape=(k, 2)]
        What `matched_notes` returns.

    Returns
    -------
    float
        Seconds, positive where the estimate is late; NaN where no notes are paired.
    """
    if len(pairs) == 0:
        return float("nan")
    onsets = np.asarray(est_intervals)[pairs[:, 1], 0] - np.asarray(ref_intervals)[pairs[:, 0], 0]
    return float(np.median(onsets))


def recall_ceiling(ref_pitches, available_pitches):
    """Return the share of reference notes whose pitch some template has: recall's upper bound.

    Parameters
    ----------
    ref_pitches : np.ndarray [shape=(n,)]
        MIDI numbers of the reference notes.
    available_pitches : np.ndarray [shape=(rank,)]
        MIDI numbers of the templates; any other number stands for a template without a pitch.
    """
    if len(ref_pitches) == 0:
        return 0.0
    return float(np.isin(np.round(ref_pitches), available_pitches).mean())


def piano_roll(intervals, pitches, times):
    """Return which pitches sound at which instants.

    Parameters
    ----------
    intervals : np.ndarray [shape=(n, 2)]
        Onsets and offsets in seconds; a note sounds at t if onset ≤ t < offset.
    pitches : np.ndarray [shape=(n,)]
        MIDI numbers, rounded to the nearest semitone.
    times : np.ndarray [shape=(t,)]
        Instants in seconds, ascending.

    Returns
    -------
    np.ndarray [shape=(128, t), dtype=bool]
    """
    roll = np.zeros((_PITCHES, len(times)), dtype=bool)
    # A nanosecond of slack: the onset 0.29 s lies on the instant 29 · 0.01 s, whatever its bits.
    bounds = np.searchsorted(times, np.asarray(intervals, dtype=float).reshape(-1, 2) - 1e-9)
    for (start, stop), pitch in zip(bounds, np.round(pitches).astype(int), strict=True):
        roll[pitch, start:stop] = True
    return roll


def frame_counts(ref_intervals, ref_pitches, est_intervals, est_pitches, duration):
    """Count sounding pitches over a grid of 10 ms: common ones, reference, estimate.

    Parameters
    ----------
    ref_intervals, est_intervals : np.ndarray [shape=(n, 2)]
        Onsets and offsets in seconds.
    ref_pitches, est_pitches : np.ndarray [shape=(n,)]
        MIDI numbers.
    duration : float
        The recording's or excerpt's, seconds.

    Returns
    -------
    tuple of int
        Matched, reference and estimated (frame, pitch) pairs.
    """
    times = np.arange(int(np.ceil(duration / FRAME_HOP - 1e-9))) * FRAME_HOP
    reference = piano_roll(ref_intervals, ref_pitches, times)
    estimate = piano_roll(est_intervals, est_pitches, times)
    return int((reference & estimate).sum()), int(reference.sum()), int(estimate.sum())


def evaluate(
    ref_intervals,
    ref_pitches,
    est_intervals,
    est_pitches,
    *,
    duration,
    available_pitches,
    onset_tolerance=ONSET_TOLERANCE,
    pitch_unit="hz",
):
    """Compute every score of a transcription.

    Parameters
    ----------
    ref_intervals, est_intervals : np.ndarray [shape=(n, 2)]
        Onsets and offsets in seconds.
    ref_pitches, est_pitches : np.ndarray [shape=(n,)]
        MIDI numbers.
    duration : float
        The excerpt's duration in seconds; reference notes are clipped there.
    available_pitches : np.ndarray [shape=(rank,)]
        MIDI numbers that the estimate could have, for the recall ceiling.
    onset_tolerance : float
        Seconds.
    pitch_unit : {"hz", "midi"}
        See `matched_notes`; for note-wise scores only.

    Returns
    -------
    dict of str to float
        ``F``, ``precision``, ``recall``, ``accuracy``; ``F_offset``, ``precision_offset`` and
        ``recall_offset``, offsets counted; ``frame_F``, ``frame_precision``, ``frame_recall``;
        ``onset_deviation`` (median, seconds); ``recall_ceiling``; ``notes``, how many are
        estimated, and ``reference_notes``.

    Raises
    ------
    DataError
        See `validate`.
    """
    ref_intervals, ref_pitches = clip_notes(ref_intervals, ref_pitches, duration)
    notes = (ref_intervals, ref_pitches, np.reshape(est_intervals, (-1, 2)), est_pitches)
    validate(*notes)
    sizes = len(ref_pitches), len(est_pitches)
    options = {"onset_tolerance": onset_tolerance, "pitch_unit": pitch_unit}
    pairs = matched_notes(*notes, **options)
    complete = matched_notes(*notes, with_offset=True, **options)
    scores = {
        **_triple("", len(pairs), *sizes),
        "accuracy": accuracy(len(pairs), *sizes),
        **_triple("{}_offset", len(complete), *sizes),
        **_triple("frame_{}", *frame_counts(*notes, duration)),
        "onset_deviation": median_onset_deviation(ref_intervals, notes[2], pairs),
        "recall_ceiling": recall_ceiling(ref_pitches, available_pitches),
        "notes": float(sizes[1]),
        "reference_notes": float(sizes[0]),
    }
    return scores


def _triple(form, *counts):
    precision, recall, f = precision_recall_f(*counts)
    named = {"F": f, "precision": precision, "recall": recall}
    return {(form or "{}").format(name): value for name, value in named.items()}
