"""A step: notes where an activation stands out from its own moving average."""

import numpy as np

from nmfab.postprocessing.contract import step as register


def _refused(p):
    window = p.get("smoothed.window", 10)
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        return f"smoothed.window is a number of frames, 1 or more, not {window!r}"
    return None


@register("thresholding", "smoothed", version=1, skip=_refused)
def smoothed(activity, *, step, threshold, window=10):
    """Return the notes of the frames that exceed a centred moving average.

    Parameters
    ----------
    activity : Activity
        Activations by pitch.
    step, threshold
        See `notes_above_average`.
    window : int
        Frames on either side: 10 of 20 ms in the reference, 0.2 s.

    Returns
    -------
    onsets, offsets, pitches
        See `notes_above_average`.
    """
    return notes_above_average(*activity, step=step, threshold=threshold, window=window)


def notes_above_average(activity, pitches, *, step, threshold, window):
    """Return the notes of the frames that exceed a centred moving average.

    Pitch k is on in frame n where H_kn − mean(H_k, n − w ... n + w) > θ · max, the maximum being
    that of all averages; a note begins at the first frame that is on and ends at the first that is
    not (Wu, Marmoret and Cohen, "Semi-supervised convolutive NMF for automatic piano
    transcription", Sound and Music Computing 2022, section 4). Near the borders the mean is taken
    over the frames that there are, of the pitch itself.

    Parameters
    ----------
    activity : np.ndarray [shape=(k, n)]
        Activations, one row per pitch.
    pitches : np.ndarray [shape=(k,)]
        MIDI numbers.
    step : float
        Seconds between frames.
    threshold : float
        θ.
    window : int
        w, frames on either side; 10 of 20 ms in the reference.

    Returns
    -------
    onsets, offsets : np.ndarray [shape=(n_notes,)]
        Seconds, ascending onsets. A note that is on in the last frame ends with it.
    pitches : np.ndarray [shape=(n_notes,), dtype=int]
        MIDI numbers.
    """
    activity = np.asarray(activity, dtype=float)
    average = centred_average(activity, window)
    on = activity - average > threshold * average.max(initial=0)
    edges = np.diff(on.astype(int), axis=1, prepend=0, append=0)
    notes = []
    for row, pitch in zip(edges, pitches, strict=True):
        begins, ends = np.flatnonzero(row == 1), np.flatnonzero(row == -1)
        notes += [(first, last, int(pitch)) for first, last in zip(begins, ends, strict=True)]
    found = np.array(sorted(notes), dtype=int).reshape(-1, 3)
    return found[:, 0] * step, found[:, 1] * step, found[:, 2]


def centred_average(activity, window):
    """Return the mean of each row over the `window` frames before, at and behind each frame.

    Parameters
    ----------
    activity : np.ndarray [shape=(k, n)]
        Activations.
    window : int
        Frames on either side. Where fewer exist, the mean is over those.
    """
    n = activity.shape[1]
    total = np.cumsum(np.pad(activity, ((0, 0), (1, 0))), axis=1)
    first = np.maximum(np.arange(n) - window, 0)
    last = np.minimum(np.arange(n) + window + 1, n)
    return (total[:, last] - total[:, first]) / (last - first)
