"""Chroma: energies of the twelve pitch classes."""

from functools import lru_cache

import numpy as np

from nmfab.features.contract import feature


@feature("chroma", version=1, libraries=("librosa",))
def chroma(magnitude, *, sample_rate, n_fft, tuning=0, normalized=True):
    """Return the energies of the twelve pitch classes of each frame, C first.

    As ``librosa.feature.chroma_stft`` with a tuning that is given and not estimated, so that each
    frame depends on itself alone (Ellis, "Chroma feature analysis and synthesis", 2007).

    Parameters
    ----------
    magnitude : np.ndarray [shape=(1 + n_fft // 2, n)]
        Magnitudes of a spectrogram.
    sample_rate : int
        Rate of the signal, in Hz.
    n_fft : int
        Length of the window, in samples.
    tuning : float
        Deviation from A4 = 440 Hz, in semitones.
    normalized : bool
        Whether each frame is divided by its largest entry; a silent frame stays zero.

    Returns
    -------
    np.ndarray [shape=(12, n)]
        Nonnegative, of the dtype of `magnitude`.
    """
    classes = _classes(sample_rate, n_fft, tuning).astype(magnitude.dtype, copy=False)
    energy = classes @ magnitude**2
    if not normalized:
        return energy
    peak = energy.max(axis=0, keepdims=True)
    return np.divide(
        energy, peak, out=np.zeros_like(energy), where=peak > np.finfo(peak.dtype).tiny
    )


@lru_cache(maxsize=8)
def _classes(sample_rate, n_fft, tuning):
    import librosa

    classes = librosa.filters.chroma(sr=sample_rate, n_fft=n_fft, tuning=tuning, dtype=np.float64)
    classes.flags.writeable = False
    return classes
