"""From groups of components to sound: every estimate is the mixture's spectrum times a gain.

What is kept of an estimate is the grouping of components and the kind of mask; the gains and the
sound are computed from W and H when they are needed.
"""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.base.stft import istft, spectrogram, stft

VERSION = 1
MASKS = ("wiener1", "wiener2", "direct")
IDEAL = ("ibm1", "ibm2", "irm1", "irm2")
_EPS = np.finfo(np.float32).eps
_FRAMES = 1024  # at which gains are computed at once, so that W·H of a long track never stands


def group_gains(W, H, groups, *, n_sources, power, mask, observed=None):
    """Return the gain of each group of components in each bin.

    The exponent of a Wiener mask is that of the magnitudes: a model of ``|X|**power`` enters with
    ``exponent / power``, so that exponent 2 is the Wiener filter of independent Gaussian sources
    and exponent 1 its magnitude version. Liutkus and Badeau, "Generalized Wiener filtering with
    fractional power spectrograms", ICASSP 2015, Eq. 5.

    Parameters
    ----------
    W : np.ndarray [shape=(m, rank)]
        Templates.
    H : np.ndarray [shape=(rank, n)]
        Activations.
    groups : np.ndarray of int [shape=(rank,)]
        Group of each component, −1 for none.
    n_sources : int
        Number of groups.
    power : int
        The model is one of ``|X|**power``.
    mask : {"wiener1", "wiener2", "direct"}
        ``"direct"`` gives each bin the magnitude of the model itself, with no conservation of the
        mixture.
    observed : np.ndarray [shape=(m, n)], optional
        The ``|X|**power`` that was modelled; ``"direct"`` divides by it.

    Returns
    -------
    np.ndarray [shape=(n_sources, m, n)]
        The gains of Wiener masks add up to one wherever the model of all groups is not zero.

    Raises
    ------
    UsageError
        If there is no such mask, or ``"direct"`` is not told what was observed.
    """
    if mask not in MASKS:
        raise UsageError(f"unknown mask {mask!r}: there are {', '.join(MASKS)}")
    if mask == "direct" and observed is None:
        raise UsageError("mask direct needs the spectrogram that was modelled")
    models = np.stack([W[:, groups == source] @ H[groups == source] for source in range(n_sources)])
    if mask == "direct":
        silent = observed == 0
        gains = (models / np.where(silent, 1, observed)) ** (1 / power)
        return np.where(silent, 0, gains)
    exponent = {"wiener1": 1, "wiener2": 2}[mask]
    # Relative to the strongest group: a power of small numbers must not vanish.
    strongest = models.max(axis=0)
    models = (models / np.where(strongest > 0, strongest, 1)) ** (exponent / power)
    total = models.sum(axis=0)
    return models / np.where(total > 0, total, 1)


def ideal_gains(mixture, stems, kind):
    """Return the ideal masks of SiSEC 2018 from the true stems.

    ``ibm1`` and ``ibm2``: a bin is let through for every stem that holds at least half of the
    mixture's magnitude (1) or power (2) in it, so that one bin may go to several stems or to none.
    ``irm1`` and ``irm2``: the stem's share of the sum of the stems' magnitudes or powers. Stöter,
    Liutkus and Ito, LVA/ICA 2018; definitions of github.com/sigsep/sigsep-mus-oracle.

    Parameters
    ----------
    mixture : np.ndarray [shape=(m, n)]
        Complex spectrum of one channel.
    stems : np.ndarray [shape=(sources, m, n)]
        Complex spectra of the stems in that channel.
    kind : {"ibm1", "ibm2", "irm1", "irm2"}
        Which mask.

    Returns
    -------
    np.ndarray [shape=(sources, m, n)]
    """
    if kind not in IDEAL:
        raise UsageError(f"unknown ideal mask {kind!r}: there are {', '.join(IDEAL)}")
    exponent = int(kind[-1])
    powers = np.abs(stems) ** exponent
    if kind.startswith("ibm"):
        return (powers >= 0.5 * (np.abs(mixture) ** exponent + _EPS)).astype(powers.dtype)
    return powers / (powers.sum(axis=0) + _EPS)


def hpss_gains(mixture):
    """Return soft masks of harmonic and percussive sound by median filtering.

    Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010, with librosa's
    defaults (31 frames, 31 bins, exponent 2).

    Parameters
    ----------
    mixture : np.ndarray [shape=(m, n)]
        Complex spectrum of one channel.

    Returns
    -------
    np.ndarray [shape=(2, m, n)]
        Harmonic, then percussive.
    """
    import librosa

    return np.stack(librosa.decompose.hpss(np.abs(mixture), mask=True))


def estimates(samples, factors, groups, *, n_sources, n_fft, hop, power, mask):
    """Return the sound of every group: the mixture through its mask.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        The mixture.
    factors : sequence of (W, H)
        One pair, shared by all channels, or one for each channel.
    groups : sequence of np.ndarray of int [shape=(rank,)]
        As many as `factors`.
    n_sources, n_fft, hop, power, mask
        See `group_gains` and `nmfab.base.stft.stft`.

    Returns
    -------
    np.ndarray [shape=(n_sources, channels, samples)], float32
        A group without components is silent.

    Raises
    ------
    UsageError
        If there are neither one nor as many pairs of factors as channels.
    """
    samples = np.asarray(samples, dtype=np.float32)
    if len(factors) not in (1, len(samples)):
        raise UsageError(f"{len(factors)} factorizations do not fit {len(samples)} channels")
    shared = None
    if mask == "direct" and len(factors) == 1:
        shared = spectrogram(samples, n_fft=n_fft, hop=hop, power=power)
    sound = np.empty((n_sources, *samples.shape), dtype=np.float32)
    for channel, signal in enumerate(samples):
        index = 0 if len(factors) == 1 else channel
        spectrum = stft(signal, n_fft=n_fft, hop=hop)
        _check_frames(spectrum, *factors[index])
        observed = np.abs(spectrum) ** power if shared is None else shared
        masked = np.empty((n_sources, *spectrum.shape), dtype=spectrum.dtype)
        for start in range(0, spectrum.shape[1], _FRAMES):
            span = slice(start, start + _FRAMES)
            gains = group_gains(
                factors[index][0],
                factors[index][1][:, span],
                groups[index],
                n_sources=n_sources,
                power=power,
                mask=mask,
                observed=observed[:, span],
            )
            masked[..., span] = gains * spectrum[:, span]
        sound[:, channel] = _sounds(masked, signal, n_fft, hop)
    return sound


def _check_frames(spectrum, W, H):
    if (W.shape[0], H.shape[1]) != spectrum.shape:
        raise UsageError(
            f"factors of a spectrogram {W.shape[0]} × {H.shape[1]} do not fit the recording's "
            f"{spectrum.shape[0]} × {spectrum.shape[1]}"
        )


def _sounds(masked, signal, n_fft, hop):
    return istft(masked, n_fft=n_fft, hop=hop, length=len(signal)).astype(np.float32)


def ideal_estimates(samples, stems, kind, *, n_fft, hop):
    """Return the sound of the ideal masks, each channel with its own; see `ideal_gains`.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        The mixture.
    stems : np.ndarray [shape=(sources, channels, samples)]
        True images.
    kind : {"ibm1", "ibm2", "irm1", "irm2"}
        Which mask.
    n_fft, hop : int
        See `nmfab.base.stft.stft`; SiSEC 2018 took 2048 and 1024.

    Returns
    -------
    np.ndarray [shape=(sources, channels, samples)], float32
    """
    sound = np.empty(stems.shape, dtype=np.float32)
    for channel, signal in enumerate(np.asarray(samples, dtype=np.float32)):
        spectrum = stft(signal, n_fft=n_fft, hop=hop)
        truth = stft(np.asarray(stems[:, channel], dtype=np.float32), n_fft=n_fft, hop=hop)
        gains = ideal_gains(spectrum, truth, kind)
        sound[:, channel] = _sounds(gains * spectrum, signal, n_fft, hop)
    return sound


def hpss_estimates(samples, *, n_fft, hop):
    """Return harmonic and percussive sound, each channel masked alone; see `hpss_gains`.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        The mixture.
    n_fft, hop : int
        See `nmfab.base.stft.stft`.

    Returns
    -------
    np.ndarray [shape=(2, channels, samples)], float32
    """
    sound = np.empty((2, *samples.shape), dtype=np.float32)
    for channel, signal in enumerate(np.asarray(samples, dtype=np.float32)):
        spectrum = stft(signal, n_fft=n_fft, hop=hop)
        sound[:, channel] = _sounds(hpss_gains(spectrum) * spectrum, signal, n_fft, hop)
    return sound
