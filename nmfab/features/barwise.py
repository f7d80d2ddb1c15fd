"""Barwise time-frequency matrix: one column per bar, every bar on the same grid of instants.

Marmoret, Cohen & Bimbot, "Barwise compression schemes for audio-based music structure analysis",
SMC 2022. The instants of a bar are frames of a spectrogram with a hop so small (32 samples) that
rounding to it does not matter; of some 2,750 frames per bar only those are computed.
"""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.base.spectrum import frame_count, magnitudes

VERSION = 1


def bar_frames(edges, *, subdivision, hop, sample_rate, n_samples):
    """Return the frames at which each bar is looked at.

    The edges of a bar are rounded to frames first, then the instants between them, k / subdivision
    of the bar for k = 0 to subdivision - 1: the frames of ``as_seg.barwise_input``.

    Parameters
    ----------
    edges : np.ndarray [shape=(n_bars + 1,)]
        Where bars begin and the last one ends, in seconds.
    subdivision : int
        Instants per bar.
    hop, sample_rate, n_samples : int
        Distance of frames (samples), rate (Hz) and length (samples) of the signal. An instant past
        the last frame takes the last frame.

    Returns
    -------
    np.ndarray of int [shape=(n_bars, subdivision)]
        Numbers of frames.

    Raises
    ------
    UsageError
        If there is no bar, the edges do not increase, or a bar begins outside the signal.
    """
    edges = np.asarray(edges, dtype=np.float64)
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise UsageError("bars need two or more edges, in increasing order")
    if edges[0] < 0 or edges[-2] >= n_samples / sample_rate:
        raise UsageError(
            f"bars that begin from {edges[0]:.2f} to {edges[-2]:.2f} s do not lie within the "
            f"signal of {n_samples / sample_rate:.2f} s"
        )
    marks = np.rint(edges / (hop / sample_rate))
    steps = np.arange(subdivision) * np.diff(marks)[:, None] / subdivision
    frames = np.rint(marks[:-1, None] + steps).astype(np.int64)
    return np.minimum(frames, frame_count(n_samples, hop) - 1)


def barwise(samples, edges, feature, *, sample_rate, n_fft, hop, subdivision):
    """Return the barwise matrix of a signal.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        A mono signal.
    edges : np.ndarray [shape=(n_bars + 1,)]
        Where bars begin and the last one ends, in seconds.
    feature : callable
        Maps magnitudes [shape=(1 + n_fft // 2, n)] to features [shape=(n_features, n)].
    sample_rate : int
        Rate of the signal, in Hz.
    n_fft, hop : int
        Length of the window and distance of frames, in samples.
    subdivision : int
        Instants per bar.

    Returns
    -------
    np.ndarray [shape=(n_features * subdivision, n_bars)]
        Row ``i * subdivision + k`` is feature i at instant k of each bar.

    Raises
    ------
    UsageError
        As `bar_frames` does.
    """
    frames = bar_frames(
        edges, subdivision=subdivision, hop=hop, sample_rate=sample_rate, n_samples=len(samples)
    )
    chunks = magnitudes(samples, frames.ravel(), n_fft=n_fft, hop=hop)
    columns = np.concatenate([feature(chunk) for chunk in chunks], axis=1)
    bars = columns.reshape(len(columns), len(frames), subdivision)
    return np.ascontiguousarray(bars.transpose(0, 2, 1)).reshape(-1, len(frames))
