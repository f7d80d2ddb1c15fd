"""Nonnegative log-mel spectrogram: log(1 + mel)."""

import numpy as np

from nmfab.features.contract import feature
from nmfab.features.mel import mel


@feature("nn_log_mel", version=1, libraries=("librosa",))
def nn_log_mel(magnitude, *, sample_rate, n_fft, n_mels=80, fmin=80, fmax=16000, power=2):
    """Return log(1 + mel) of each frame, natural logarithm.

    Nonnegative, where a logarithm in dB is not. From Marmoret, Cohen & Bimbot, "Barwise compression
    schemes for audio-based music structure analysis", SMC 2022, which has it in dB: ten over the
    natural logarithm of ten times ours.

    Parameters
    ----------
    magnitude : np.ndarray [shape=(1 + n_fft // 2, n)]
        Magnitudes of a spectrogram, of samples in [-1, 1).
    sample_rate, n_fft, n_mels, fmin, fmax, power
        As in `nmfab.features.mel.mel`.

    Returns
    -------
    np.ndarray [shape=(n_mels, n)]
        Nonnegative, of the dtype of `magnitude`.

    Raises
    ------
    UsageError
        As `nmfab.features.mel.mel` does.
    """
    return np.log1p(
        mel(
            magnitude,
            sample_rate=sample_rate,
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=fmin,
            fmax=fmax,
            power=power,
        )
    )
