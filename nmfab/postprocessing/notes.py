"""Steps from activations to notes; notes as a MIDI file and as sound.

A pitch is *active* where its activation exceeds ``threshold`` times the global maximum of all
activations, and *struck* where the activation exceeds its own average over the ``average`` seconds
before by as much. With the fixed threshold every active stretch is a note, cut where the pitch is
struck again (a repeated note whose sound never stops). With the adaptive threshold a note begins
only where the pitch is struck, after Wu, Marmoret, Cohen: Semi-supervised convolutive NMF for
automatic piano transcription, SMC 2022; it too lasts as long as the pitch is active. Two choices
keep a steady note in one piece: the average looks backward only (a centred one falls before the
note's end, and strikes it again), and it decides beginnings, never endings.
"""

from typing import NamedTuple

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.postprocessing.contract import step as register
from nmfab.postprocessing.pitch import NO_PITCH, unit_columns

THRESHOLDS = ("fixed", "adaptive")


class Activity(NamedTuple):
    """Activations as magnitudes, one row per pitch.

    Attributes
    ----------
    rows : np.ndarray [shape=(k, n)]
        Whatever the power of V, on the scale of magnitudes.
    pitches : np.ndarray [shape=(k,), dtype=int]
        MIDI numbers, ascending.
    """

    rows: np.ndarray
    pitches: np.ndarray


_UNITS = ("euclidean", "sum")


def _refused(p):
    unit = p.get("merged.unit", _UNITS[0])
    return None if unit in _UNITS else f"merged.unit is {' or '.join(_UNITS)}, not {unit!r}"


@register("activity", "merged", version=1, calls=("templates", "activations"), skip=_refused)
def merge_pitches(factorization, *, pitches, power, unit="euclidean"):
    """Bring the activations of all templates of one pitch together.

    Templates are scaled to one unit and activations by what that takes, so that rows compare; those
    of one pitch are added; templates without a pitch are left out.

    Parameters
    ----------
    factorization : Factorization
        Of rank r.
    pitches : np.ndarray [shape=(r,)]
        MIDI numbers, 0 for a template without a pitch.
    power : int
        V is the modulus to this power.
    unit : {"euclidean", "sum"}
        What is 1 for every template: its Euclidean norm, or the sum of its entries, over the frames
        too for one of several frames (Wu, Marmoret and Cohen 2022).

    Returns
    -------
    Activity
    """
    W = factorization.templates()
    norms = np.asarray(W).sum(axis=0) if unit == "sum" else unit_columns(W)[1]
    scaled = np.asarray(factorization.activations(), dtype=float) * norms[:, None]
    names = np.unique(pitches[pitches != NO_PITCH])
    members = np.asarray(pitches)[None, :] == names[:, None]
    return Activity((members.astype(float) @ scaled) ** (1 / power), names)


@register("thresholding", "fixed", version=2)
def fixed(activity, *, step, threshold, average, gap, shortest):
    """Return the notes above a threshold; see the top of this file and `detect_notes`.

    Parameters
    ----------
    activity : Activity
        Activations by pitch.
    step, threshold, average, gap, shortest : float
        See `detect_notes`.

    Returns
    -------
    onsets, offsets, pitches
        See `detect_notes`.
    """
    options = {"step": step, "average": average, "gap": gap, "shortest": shortest}
    return detect_notes(*activity, threshold=threshold, thresholding="fixed", **options)


@register("thresholding", "adaptive", version=2)
def adaptive(activity, *, step, threshold, average, gap, shortest):
    """Return the notes that begin where a pitch is struck; see the top of this file and `fixed`."""
    options = {"step": step, "average": average, "gap": gap, "shortest": shortest}
    return detect_notes(*activity, threshold=threshold, thresholding="adaptive", **options)


def detect_notes(
    activity,
    pitches,
    *,
    step,
    threshold,
    thresholding,
    average,
    gap,
    shortest,
):
    """Turn activations into notes; see the top of this file.

    Parameters
    ----------
    activity : np.ndarray [shape=(k, n)]
        Activations, one row per pitch; frame t lies at t · `step`.
    pitches : np.ndarray [shape=(k,)]
        MIDI numbers.
    step : float
        Seconds between frames (hop / sample rate); nothing else enters the conversion to time,
        for frames of a centred transform are centred there.
    threshold : float, or np.ndarray [shape=(k,)]
        In parts of the global maximum of `activity`: one for all pitches, or one for each.
    thresholding : {"fixed", "adaptive"}
        See the top of this file.
    average : float
        Seconds before a frame that its activation is compared with.
    gap : float
        Silences up to this many seconds are filled before a note is taken to end.
    shortest : float
        Shorter notes are left out, and a note is not struck again so soon; seconds.

    Returns
    -------
    onsets, offsets : np.ndarray [shape=(n_notes,)]
        Seconds, ascending onsets. A note that sounds in the last frame ends with it.
    pitches : np.ndarray [shape=(n_notes,), dtype=int]
        MIDI numbers.

    Raises
    ------
    UsageError
        If `thresholding` is unknown.
    """
    if thresholding not in THRESHOLDS:
        raise UsageError(f"unknown threshold {thresholding!r}: there are {', '.join(THRESHOLDS)}")
    activity = np.asarray(activity, dtype=float)
    peak = activity.max(initial=0.0)
    if peak == 0:  # silence, or no template with a pitch
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=int)
    level = np.broadcast_to(threshold * peak, len(activity))[:, None]
    struck = activity - past_average(activity, max(1, round(average / step))) > level
    fill, least = round(gap / step), max(1, int(np.ceil(shortest / step - 1e-9)))
    notes = []
    for row, pitch in enumerate(pitches):
        edges = np.flatnonzero(np.diff(struck[row], prepend=False) & struck[row])
        for run in _runs(activity[row] > level[row], fill):
            found = _strikes(*run, activity[row], edges, least, thresholding == "fixed")
            notes += [(start, stop, pitch) for start, stop in found if stop - start >= least]
    found = np.array(sorted(notes), dtype=int).reshape(-1, 3)
    return found[:, 0] * step, found[:, 1] * step, found[:, 2]


def past_average(activity, length):
    """Return the mean of the `length` frames before each, silence before the first.

    Parameters
    ----------
    activity : np.ndarray [shape=(k, n)]
        Activations.
    length : int
        Frames, at least 1.
    """
    total = np.cumsum(np.pad(activity, ((0, 0), (length + 1, 0))), axis=1)
    n = activity.shape[1]
    return np.maximum(total[:, length : length + n] - total[:, :n], 0) / length


def _runs(active, fill):
    """Return (start, stop) of the stretches of True, silences of up to `fill` frames filled."""
    steps = np.diff(np.concatenate([[0], active.astype(int), [0]]))
    runs = []
    for start, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        if runs and start - runs[-1][1] <= fill:
            runs[-1] = (runs[-1][0], int(stop))
        else:
            runs.append((int(start), int(stop)))
    return runs


def _strikes(start, stop, activation, edges, least, every_run):
    """Cut a run where it is struck.

    Strikes closer than `least` frames are one, and so is an attack that is still rising: a slow one
    passes the threshold well before it is that much above its average.
    """
    begins = [start] if every_run else []
    for edge in edges[(edges >= start) & (edges < stop)]:
        new = not begins or (
            edge - begins[-1] >= least and np.any(np.diff(activation[begins[-1] : edge + 1]) <= 0)
        )
        if new:
            begins.append(int(edge))
    return list(zip(begins, [*begins[1:], stop], strict=True)) if begins else []


def write_midi(path, onsets, offsets, pitches, velocity=80):
    """Write notes as a MIDI file with one piano.

    Parameters
    ----------
    path : str or Path
        The file to write.
    onsets, offsets : np.ndarray [shape=(n,)]
        Seconds.
    pitches : np.ndarray [shape=(n,)]
        MIDI numbers.
    velocity : int
        Of every note, 1 to 127: activations are not calibrated to loudness.
    """
    import mido

    ticks, tempo = 480, 500_000
    events = []
    for onset, offset, pitch in zip(onsets, offsets, pitches, strict=True):
        events += [(offset, 0, int(pitch)), (onset, velocity, int(pitch))]
    track, now = mido.MidiTrack(), 0
    # At equal times the end comes first, or a repeated note would be silenced by its predecessor.
    for seconds, loudness, pitch in sorted(events):
        tick = round(mido.second2tick(seconds, ticks, tempo))
        track.append(mido.Message("note_on", note=pitch, velocity=loudness, time=tick - now))
        now = tick
    file = mido.MidiFile(ticks_per_beat=ticks)
    file.tracks.append(track)
    file.save(path)


def sonify(onsets, offsets, pitches, *, sample_rate=22050, duration=None):
    """Return notes as sound: decaying tones of six partials.

    Parameters
    ----------
    onsets, offsets : np.ndarray [shape=(n,)]
        Seconds.
    pitches : np.ndarray [shape=(n,)]
        MIDI numbers.
    sample_rate : int
        Hz.
    duration : float, optional
        Seconds; a second after the last offset by default.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        Within −1 and 1.
    """
    if duration is None:
        duration = float(np.max(offsets, initial=0.0)) + 1.0
    sound = np.zeros(round(duration * sample_rate))
    for onset, offset, pitch in zip(onsets, offsets, pitches, strict=True):
        start = round(onset * sample_rate)
        tone = _tone(440 * 2 ** ((pitch - 69) / 12), offset - onset, sample_rate)
        tone = tone[: max(0, len(sound) - start)]
        sound[start : start + len(tone)] += tone
    peak = np.abs(sound).max(initial=0.0)
    return (sound / peak if peak > 0 else sound).astype(np.float32)


def _tone(frequency, length, sample_rate, release=0.05):
    time = np.arange(round((length + release) * sample_rate)) / sample_rate
    partials = [h for h in range(1, 7) if h * frequency < sample_rate / 2]
    tone = sum(np.sin(2 * np.pi * h * frequency * time) / h**1.5 for h in partials)
    envelope = np.exp(-2 * time) * np.clip((length + release - time) / release, 0, 1)
    return np.asarray(tone) * envelope * np.clip(time / 0.005, 0, 1)
