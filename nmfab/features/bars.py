"""Bars: where they begin and the last one ends, from annotated beats or estimated.

Both rules end alike. Bars begin at downbeats within the signal. What precedes the first downbeat
belongs to no bar. The last bar ends with the signal: the last downbeat begins it, unless less than
a quarter of the median bar is left, which is then joined to the bar before.
"""

import logging

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.spectrum import RESAMPLER, resample, to_mono

VERSION = 1
LIBRARIES = ("librosa", RESAMPLER)  # whose releases decide which beats `estimated_bars` finds
_log = logging.getLogger(__name__)
_TRACKING_RATE = 22050  # Hz, the rate that librosa's beat tracker was tuned for
_BEATS_PER_BAR = 4


def edges_from_downbeats(downbeats, duration):
    """Return the edges of bars.

    Parameters
    ----------
    downbeats : np.ndarray [shape=(n,)]
        Seconds, in any order; those outside the signal are left out, and that is logged.
    duration : float
        Length of the signal, in seconds.

    Returns
    -------
    np.ndarray [shape=(n_bars + 1,), dtype=float64]
        Where bars begin and the last one ends, in seconds.

    Raises
    ------
    DataError
        If no downbeat lies within the signal.
    """
    downbeats = np.unique(np.asarray(downbeats, dtype=np.float64))
    inside = downbeats[(downbeats >= 0) & (downbeats < duration)]
    if len(inside) < len(downbeats):
        _log.warning("%d downbeats lie outside the audio", len(downbeats) - len(inside))
    if len(inside) == 0:
        raise DataError(
            f"none of {len(downbeats)} downbeats lies within the {duration:.2f} s of audio: "
            "choose other bars, or correct the annotation"
        )
    if len(inside) == 1 or duration - inside[-1] >= np.median(np.diff(inside)) / 4:
        return np.append(inside, duration)
    return np.append(inside[:-1], duration)


def annotated_bars(times, positions, duration):
    """Return the edges of bars from annotated beats.

    Parameters
    ----------
    times : np.ndarray [shape=(n,)]
        Beats, in seconds.
    positions : np.ndarray of int [shape=(n,)]
        Place of each in its bar, 1 on a downbeat.
    duration : float
        Length of the signal, in seconds.

    Returns
    -------
    np.ndarray [shape=(n_bars + 1,)]
        As `edges_from_downbeats`.

    Raises
    ------
    DataError
        As `edges_from_downbeats`.
    """
    return edges_from_downbeats(np.asarray(times)[np.asarray(positions) == 1], duration)


def estimated_bars(samples, sample_rate):
    """Return the edges of bars estimated by librosa: beats in fours.

    Beats are tracked at 22.05 kHz (Ellis, "Beat tracking by dynamic programming", 2007). Of the
    four ways to group them, the downbeats are those at which chroma changes most on average (cosine
    distance between the beat before and the beat after): chords change on downbeats. The metre is
    taken to be of four beats.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        A signal.
    sample_rate : int
        Its rate, in Hz.

    Returns
    -------
    np.ndarray [shape=(n_bars + 1,)]
        As `edges_from_downbeats`.

    Raises
    ------
    DataError
        If fewer than four beats are found (silence, a few seconds of sound).
    """
    import librosa

    mono = resample(to_mono(samples), sample_rate, _TRACKING_RATE)
    beats = np.array([], dtype=int)
    if len(mono) >= _TRACKING_RATE and mono.any():
        _, beats = librosa.beat.beat_track(y=mono, sr=_TRACKING_RATE, units="frames")
    if len(beats) < _BEATS_PER_BAR:
        raise DataError(
            f"{len(beats)} beats were found, too few for a bar: choose annotated bars, or leave "
            "the track out"
        )
    chroma = librosa.feature.chroma_stft(y=mono, sr=_TRACKING_RATE, tuning=0)
    downbeats = beats[strongest_phase(chroma, beats) :: _BEATS_PER_BAR]
    times = librosa.frames_to_time(downbeats, sr=_TRACKING_RATE)
    return edges_from_downbeats(times, samples.shape[1] / sample_rate)


def strongest_phase(chroma, beats):
    """Return which of the first four beats is a downbeat: where chroma changes most.

    Parameters
    ----------
    chroma : np.ndarray [shape=(12, n_frames)]
        Chroma.
    beats : np.ndarray of int [shape=(n >= 4,)]
        Frames of the beats.

    Returns
    -------
    int
        0 to 3; the earliest of equals.
    """
    spans = np.split(chroma, beats, axis=1)
    means = np.stack([span.mean(axis=1) if span.shape[1] else np.zeros(12) for span in spans])
    norms = np.linalg.norm(means, axis=1)
    products = np.einsum("ij,ij->i", means[:-1], means[1:])
    scale = norms[:-1] * norms[1:]
    change = 1 - np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0)
    change[0] = np.nan  # what precedes the first beat is no beat
    return int(np.argmax([np.nanmean(change[phase::_BEATS_PER_BAR]) for phase in range(4)]))
