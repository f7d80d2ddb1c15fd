"""Steps of separation without a factorization: mixture, silence, median filters, ideal masks."""

import numpy as np

from nmfab.base.stft import istft, stft
from nmfab.postprocessing.contract import step

_EPS = np.finfo(np.float32).eps


@step("separation", "mixture", version=1)
def shared_mixture(mixture, *, n_stems):
    """Return the mixture divided by the number of stems, for each stem.

    Parameters
    ----------
    mixture : np.ndarray [shape=(channels, samples)]
        The recording.
    n_stems : int
        Number of stems, silent ones included.

    Returns
    -------
    np.ndarray [shape=(n_stems, channels, samples)]
    """
    return np.broadcast_to(mixture / n_stems, (n_stems, *mixture.shape))


@step("separation", "silence", version=1)
def silence(mixture, *, n_stems):
    """Return silence for each stem; see `shared_mixture`."""
    return np.broadcast_to(np.zeros_like(mixture), (n_stems, *mixture.shape))


@step("separation", "hpss", version=1, libraries=("librosa",))
def hpss(mixture, *, n_fft, hop):
    """Return harmonic and percussive sound by median filtering, each channel masked alone.

    Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010, with librosa's
    defaults (31 frames, 31 bins, exponent 2).

    Parameters
    ----------
    mixture : np.ndarray [shape=(channels, samples)]
        The recording.
    n_fft, hop : int
        See `nmfab.base.stft.stft`.

    Returns
    -------
    np.ndarray [shape=(2, channels, samples)], float32
        Harmonic, then percussive.
    """
    import librosa

    sound = np.empty((2, *mixture.shape), dtype=np.float32)
    for channel, signal in enumerate(np.asarray(mixture, dtype=np.float32)):
        spectrum = stft(signal, n_fft=n_fft, hop=hop)
        gains = np.stack(librosa.decompose.hpss(np.abs(spectrum), mask=True))
        sound[:, channel] = istft(gains * spectrum, n_fft=n_fft, hop=hop, length=len(signal))
    return sound


@step("separation", "ibm1", version=1, oracle=True)
def ibm1(mixture, *, stems, n_fft, hop):
    """Return the sound of the ideal binary mask of magnitudes; see `ideal_estimates`."""
    return ideal_estimates(mixture, stems, _binary(1), n_fft=n_fft, hop=hop)


@step("separation", "ibm2", version=1, oracle=True)
def ibm2(mixture, *, stems, n_fft, hop):
    """Return the sound of the ideal binary mask of powers; see `ideal_estimates`."""
    return ideal_estimates(mixture, stems, _binary(2), n_fft=n_fft, hop=hop)


@step("separation", "irm1", version=1, oracle=True)
def irm1(mixture, *, stems, n_fft, hop):
    """Return the sound of the ideal ratio mask of magnitudes; see `ideal_estimates`."""
    return ideal_estimates(mixture, stems, _ratio(1), n_fft=n_fft, hop=hop)


@step("separation", "irm2", version=1, oracle=True)
def irm2(mixture, *, stems, n_fft, hop):
    """Return the sound of the ideal ratio mask of powers; see `ideal_estimates`."""
    return ideal_estimates(mixture, stems, _ratio(2), n_fft=n_fft, hop=hop)


def ideal_estimates(mixture, stems, gains, *, n_fft, hop):
    """Return the sound of the ideal masks of SiSEC 2018, each channel with its own.

    Binary masks let a bin through for every stem that holds at least half of the mixture's
    magnitude (ibm1) or power (ibm2) in it, so that one bin may go to several stems or to none;
    ratio masks take the stem's share of the sum of the stems' magnitudes (irm1) or powers (irm2).
    Stöter, Liutkus and Ito, LVA/ICA 2018; definitions of github.com/sigsep/sigsep-mus-oracle.

    Parameters
    ----------
    mixture : np.ndarray [shape=(channels, samples)]
        The recording.
    stems : np.ndarray [shape=(sources, channels, samples)]
        True images.
    gains : callable
        ``gains(X, S)`` of complex spectra: see `binary_gains` and `ratio_gains`.
    n_fft, hop : int
        See `nmfab.base.stft.stft`; SiSEC 2018 took 2048 and 1024.

    Returns
    -------
    np.ndarray [shape=(sources, channels, samples)], float32
    """
    sound = np.empty(stems.shape, dtype=np.float32)
    for channel, signal in enumerate(np.asarray(mixture, dtype=np.float32)):
        spectrum = stft(signal, n_fft=n_fft, hop=hop)
        truth = stft(np.asarray(stems[:, channel], dtype=np.float32), n_fft=n_fft, hop=hop)
        masked = gains(spectrum, truth) * spectrum
        sound[:, channel] = istft(masked, n_fft=n_fft, hop=hop, length=len(signal))
    return sound


def binary_gains(mixture, stems, exponent):
    """Return 1 where a stem has half of the mixture's ``|X|**exponent`` or more, else 0.

    Parameters
    ----------
    mixture : np.ndarray [shape=(m, n)]
        Complex spectrum of one channel.
    stems : np.ndarray [shape=(sources, m, n)]
        Complex spectra of the stems in that channel.
    exponent : int
        1 or 2.

    Returns
    -------
    np.ndarray [shape=(sources, m, n)]
    """
    powers = np.abs(stems) ** exponent
    return (powers >= 0.5 * (np.abs(mixture) ** exponent + _EPS)).astype(powers.dtype)


def ratio_gains(mixture, stems, exponent):
    """Return each stem's share of the sum of the stems' ``|S|**exponent``; see `binary_gains`."""
    powers = np.abs(stems) ** exponent
    return powers / (powers.sum(axis=0) + _EPS)


def _binary(exponent):
    return lambda mixture, stems: binary_gains(mixture, stems, exponent)


def _ratio(exponent):
    return lambda mixture, stems: ratio_gains(mixture, stems, exponent)
