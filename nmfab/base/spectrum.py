"""Signals and their centred spectra at chosen frames: what features and tasks share."""

import numpy as np

from nmfab.base.errors import UsageError

_CHUNK = 512  # frames transformed at once: some 10 MB at n_fft 2048


def to_mono(samples):
    """Return the mean of the channels.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        A signal.

    Returns
    -------
    np.ndarray [shape=(samples,)]
        Of the same dtype.
    """
    return samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=samples.dtype)


RESAMPLER = "soxr"  # its release decides what `resample` gives


def resample(samples, sample_rate, target_rate):
    """Change the rate of a signal with a band-limited interpolator (soxr, high quality).

    Parameters
    ----------
    samples : np.ndarray [shape=(..., samples)]
        A signal.
    sample_rate, target_rate : int
        Its rate and the rate wanted, in Hz.

    Returns
    -------
    np.ndarray [shape=(..., samples')]
        The signal itself where the rates are equal.
    """
    if sample_rate == target_rate:
        return samples
    import soxr

    return np.ascontiguousarray(soxr.resample(samples.T, sample_rate, target_rate, "HQ").T)


def frame_count(n_samples, hop):
    """Return how many frames a centred STFT of `n_samples` samples has."""
    return 1 + n_samples // hop


def magnitudes(samples, frames, *, n_fft, hop, window=None):
    """Return the modulus of a centred STFT at the frames named, a chunk of frames at a time.

    Frame j is centred on sample ``j * hop``; the signal is continued by zeros on both sides, and
    the window is a periodic Hann window of `n_fft` samples: the values are those of
    ``abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop))[:, frames]``, of which only the frames
    named are computed.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        A mono signal, float32 or float64.
    frames : np.ndarray of int [shape=(n,)]
        Numbers of the frames, in any order.
    n_fft, hop : int
        Length of the transform and distance of the frames, in samples.
    window : int, optional
        Length of the window where it is shorter than the transform: it lies in the middle, with
        zeros around it.

    Yields
    ------
    np.ndarray [shape=(1 + n_fft // 2, at most 512)]
        Magnitudes at the next frames, of the dtype of `samples`.

    Raises
    ------
    UsageError
        If a frame lies outside the signal, or the window is longer than the transform.
    """
    from scipy.fft import rfft
    from scipy.signal import get_window

    frames = np.asarray(frames, dtype=np.int64)
    count = frame_count(len(samples), hop)
    if len(frames) and (frames.min() < 0 or frames.max() >= count):
        raise UsageError(f"frames {frames.min()} to {frames.max()} of a signal that has {count}")
    length = window or n_fft
    if length > n_fft:
        raise UsageError(f"a window of {length} samples does not fit into n_fft {n_fft}")
    before = (n_fft - length) // 2
    shape = get_window("hann", length, fftbins=True).astype(samples.dtype)
    shape = np.pad(shape, (before, n_fft - length - before))
    padded = np.pad(samples, n_fft // 2)
    views = np.lib.stride_tricks.sliding_window_view(padded, n_fft)
    for start in range(0, len(frames), _CHUNK):
        windowed = views[frames[start : start + _CHUNK] * hop] * shape
        yield np.abs(rfft(windowed, axis=1)).T
