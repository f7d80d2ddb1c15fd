"""The complex short-time Fourier transform of signals with several channels, and its inverse."""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.base.spectrum import frame_count

VERSION = 1
_CHUNK = 512  # frames transformed at once: some 10 MB at n_fft 2048


def stft(samples, *, n_fft, hop, window=None):
    """Return the spectra of every channel.

    Frame j is centred on sample ``j * hop``; the signal is continued by zeros on both sides, and
    the window is a periodic Hann window of `n_fft` samples, as in ``librosa.stft`` with zero
    padding.

    Parameters
    ----------
    samples : np.ndarray [shape=(..., samples)]
        A signal, float32 or float64.
    n_fft, hop : int
        Length of the transform and distance of the frames, in samples; `n_fft` is even.
    window : int, optional
        Length of the window where it is shorter than the transform: it lies in the middle, with
        zeros around it.

    Returns
    -------
    np.ndarray [shape=(..., 1 + n_fft // 2, frames)]
        complex64 for float32, complex128 for float64.

    Raises
    ------
    UsageError
        If the window is longer than the transform.
    """
    from scipy.fft import rfft

    shape = _padded_hann(window or n_fft, n_fft).astype(samples.dtype)
    padding = [(0, 0)] * (samples.ndim - 1) + [(n_fft // 2, n_fft // 2)]
    padded = np.pad(samples, padding)
    views = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)[..., ::hop, :]
    count = frame_count(samples.shape[-1], hop)
    dtype = np.result_type(samples.dtype, np.complex64)
    spectra = np.empty((*samples.shape[:-1], 1 + n_fft // 2, count), dtype=dtype)
    for start in range(0, count, _CHUNK):
        span = slice(start, min(start + _CHUNK, count))
        spectra[..., span] = np.swapaxes(rfft(views[..., span, :] * shape, axis=-1), -1, -2)
    return spectra


def istft(spectra, *, n_fft, hop, length):
    """Return the signal whose `stft` is closest to the spectra, by weighted overlap and add.

    Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP
    1984, Eq. 6.

    Parameters
    ----------
    spectra : np.ndarray [shape=(..., 1 + n_fft // 2, frames)]
        As `stft` gives them.
    n_fft, hop : int
        As given to `stft`.
    length : int
        Number of samples wanted: that of the signal that was transformed.

    Returns
    -------
    np.ndarray [shape=(..., length)]
        float32 for complex64, float64 for complex128.
    """
    from scipy.fft import irfft

    count = spectra.shape[-1]
    window = _hann(n_fft)
    real = spectra.real.dtype
    total = n_fft + hop * (count - 1)
    signal = np.zeros((*spectra.shape[:-2], max(total, length + n_fft // 2)), dtype=real)
    weight = np.zeros(signal.shape[-1])
    for start in range(0, count, _CHUNK):
        frames = irfft(np.swapaxes(spectra[..., start : start + _CHUNK], -1, -2), n=n_fft, axis=-1)
        frames *= window.astype(real)
        for index in range(frames.shape[-2]):
            begin = (start + index) * hop
            signal[..., begin : begin + n_fft] += frames[..., index, :]
            weight[begin : begin + n_fft] += window**2
    kept = slice(n_fft // 2, n_fft // 2 + length)
    # Where no window reaches, the signal is zero and stays so.
    safe = np.where(weight[kept] > 1e-8, weight[kept], 1.0).astype(real)
    return signal[..., kept] / safe


def spectrogram(samples, *, n_fft, hop, power, window=None):
    """Return the mean over channels of ``|X|**power``, the V that shared factors model.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        A signal.
    n_fft, hop, window : int
        See `stft`.
    power : int
        1 for magnitudes, 2 for powers.

    Returns
    -------
    np.ndarray [shape=(1 + n_fft // 2, frames)]
        Of the dtype of `samples`.
    """
    total = 0.0
    for signal in samples:
        total = total + np.abs(stft(signal, n_fft=n_fft, hop=hop, window=window)) ** power
    return total / np.asarray(len(samples), dtype=samples.dtype)


def _padded_hann(length, n_fft):
    if length > n_fft:
        raise UsageError(f"a window of {length} samples does not fit into n_fft {n_fft}")
    before = (n_fft - length) // 2
    return np.pad(_hann(length), (before, n_fft - length - before))


def _hann(n_fft):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
