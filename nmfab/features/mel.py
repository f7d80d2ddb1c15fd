"""Mel spectrogram: energies in bands of equal width on the mel scale."""

from functools import lru_cache

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.features.contract import feature


@feature("mel", version=1, libraries=("librosa",))
def mel(magnitude, *, sample_rate, n_fft, n_mels=80, fmin=80, fmax=16000, power=2):
    """Return the mel spectrum of each frame.

    Triangular bands of unit area on Slaney's mel scale, built for the rate of the signal at hand;
    the defaults are those of Grill & Schlüter, "Music boundary detection using neural networks on
    combined features and two-level annotations", ISMIR 2015.

    Parameters
    ----------
    magnitude : np.ndarray [shape=(1 + n_fft // 2, n)]
        Magnitudes of a spectrogram.
    sample_rate : int
        Rate of the signal, in Hz.
    n_fft : int
        Length of the window, in samples.
    n_mels : int
        Number of bands.
    fmin, fmax : float
        Lowest and highest frequency of the bands, in Hz.
    power : float
        Exponent of the magnitudes: 2 gives energies.

    Returns
    -------
    np.ndarray [shape=(n_mels, n)]
        Nonnegative, of the dtype of `magnitude`.

    Raises
    ------
    UsageError
        If `fmax` is above half the sample rate, where there are no frequencies.
    """
    if fmax > sample_rate / 2:
        raise UsageError(
            f"fmax {fmax} Hz of the mel bands is above half the sample rate {sample_rate} Hz: "
            f"set fmax to {sample_rate // 2} or less, or sample_rate to {2 * fmax} or more"
        )
    bands = _bands(sample_rate, n_fft, n_mels, fmin, fmax)
    return bands.astype(magnitude.dtype, copy=False) @ magnitude**power


@lru_cache(maxsize=8)
def _bands(sample_rate, n_fft, n_mels, fmin, fmax):
    import librosa

    bands = librosa.filters.mel(
        sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, dtype=np.float64
    )
    bands.flags.writeable = False
    return bands
