"""Steps from groups of components to sound: the mixture's spectrum times a gain of each group.

A model of ``|X|**power`` enters a Wiener mask with ``exponent / power``, so that exponent 2 is the
Wiener filter of independent Gaussian sources and exponent 1 its magnitude version. Liutkus and
Badeau, "Generalized Wiener filtering with fractional power spectrograms", ICASSP 2015, Eq. 5.
"""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.base.stft import istft, spectrogram, stft
from nmfab.postprocessing.contract import step

_FRAMES = (
    1024  # at which gains are computed at once, so that the model of a long track never stands
)


@step("masking", "wiener1", version=1, calls=("grouped",))
def wiener1(factorization, *, groups, n_groups, mixture, n_fft, hop, power):
    """Return the sound of every group through the Wiener mask of exponent 1.

    Parameters
    ----------
    factorization : Factorization
        A model of ``|X|**power``, of rank r.
    groups : np.ndarray of int [shape=(r,)]
        Group of each component, −1 for none.
    n_groups : int
        Number of groups.
    mixture : np.ndarray [shape=(channels, samples)]
        The recording.
    n_fft, hop : int
        See `nmfab.base.stft.stft`.
    power : int
        See `factorization`.

    Returns
    -------
    np.ndarray [shape=(n_groups, channels, samples)], float32
        A group without components is silent.
    """
    return _masked(factorization, groups, n_groups, mixture, n_fft, hop, _wiener(1 / power))


@step("masking", "wiener2", version=1, calls=("grouped",))
def wiener2(factorization, *, groups, n_groups, mixture, n_fft, hop, power):
    """Return the sound of every group through the Wiener mask of exponent 2; see `wiener1`."""
    return _masked(factorization, groups, n_groups, mixture, n_fft, hop, _wiener(2 / power))


@step("masking", "direct", version=1, calls=("grouped",))
def direct(factorization, *, groups, n_groups, mixture, n_fft, hop, power):
    """Return the model of every group with the phases of the mixture; see `wiener1`.

    Each bin gets the magnitude of the model itself, with no conservation of the mixture.
    """
    samples = np.asarray(mixture, dtype=np.float32)
    shared = spectrogram(samples, n_fft=n_fft, hop=hop, power=power)

    def gains(models, spectrum, span, own):
        observed = np.abs(spectrum) ** power if own else shared[:, span]
        return direct_gains(models, observed, power)

    return _masked(factorization, groups, n_groups, mixture, n_fft, hop, gains)


def wiener_gains(models, exponent):
    """Return each model's share of the sum of all models, to a power.

    Parameters
    ----------
    models : np.ndarray [shape=(groups, m, n)]
        Nonnegative.
    exponent : float
        Of the models.

    Returns
    -------
    np.ndarray [shape=(groups, m, n)]
        They add up to one wherever a model is not zero, and are zero elsewhere.
    """
    # Relative to the strongest group: a power of small numbers must not vanish.
    strongest = models.max(axis=0)
    powers = (models / np.where(strongest > 0, strongest, 1)) ** exponent
    total = powers.sum(axis=0)
    return powers / np.where(total > 0, total, 1)


def direct_gains(models, observed, power):
    """Return the gains that give each bin of a mixture the magnitude of the models.

    Parameters
    ----------
    models : np.ndarray [shape=(groups, m, n)]
        Of ``|X|**power``.
    observed : np.ndarray [shape=(m, n)]
        The ``|X|**power`` that was modelled.
    power : int
        See above.

    Returns
    -------
    np.ndarray [shape=(groups, m, n)]
        Zero where nothing was observed.
    """
    silent = observed == 0
    gains = (models / np.where(silent, 1, observed)) ** (1 / power)
    return np.where(silent, 0, gains)


def _wiener(exponent):
    return lambda models, spectrum, span, own: wiener_gains(models, exponent)


def _masked(model, groups, n_groups, mixture, n_fft, hop, gains):
    """Return the mixture through ``gains(models, spectrum, frames, own)`` of each channel.

    `own` says whether the models are those of that channel, or shared by all.
    """
    samples = np.asarray(mixture, dtype=np.float32)
    sound = np.empty((n_groups, *samples.shape), dtype=np.float32)
    for channel, signal in enumerate(samples):
        spectrum = stft(signal, n_fft=n_fft, hop=hop)
        masked = np.empty((n_groups, *spectrum.shape), dtype=spectrum.dtype)
        for start in range(0, spectrum.shape[1], _FRAMES):
            span = slice(start, start + _FRAMES)
            models = model.grouped(groups, n_groups, frames=span)
            if isinstance(models, dict):  # of several views the one that sound is made from
                models = models[str(n_fft)]
            own = models.ndim == 4
            models = models[..., channel] if own else models
            _check(models, spectrum[:, span])
            masked[..., span] = gains(models, spectrum[:, span], span, own) * spectrum[:, span]
        sound[:, channel] = _sounds(masked, signal, n_fft, hop)
    return sound


def _check(models, spectrum):
    if models.shape[1:] != spectrum.shape:
        raise UsageError(
            f"a model of a spectrogram {models.shape[1]} × {models.shape[2]} does not fit the "
            f"recording's {spectrum.shape[0]} × {spectrum.shape[1]}"
        )


def _sounds(masked, signal, n_fft, hop):
    return istft(masked, n_fft=n_fft, hop=hop, length=len(signal)).astype(np.float32)


def own_filter(factorization, *, groups, mixture, n_fft, hop):
    """Return the sound of every group by the factorization's own `separate`; see `wiener1`."""
    samples = np.asarray(mixture, dtype=np.float32)
    spectra = np.moveaxis(stft(samples, n_fft=n_fft, hop=hop), 0, -1)
    images = np.asarray(factorization.separate(spectra, groups))  # sources × m × n × channels
    sound = istft(np.moveaxis(images, -1, 1), n_fft=n_fft, hop=hop, length=samples.shape[1])
    return sound.astype(np.float32)
