"""Steps that say which source each component of a factorization belongs to."""

import numpy as np

from nmfab.base.errors import UsageError
from nmfab.postprocessing.contract import step

_FRAMES = 256  # at which all components are looked at together
_MELS = 128
_RANGE = 1e-8  # floor of a mel band's power relative to the template's strongest: −80 dB


def mfcc_of_templates(W, *, sample_rate, power, n_mfcc=20):
    """Return mel-frequency cepstral coefficients of templates, the first one dropped.

    Templates are turned into magnitudes of unit L2 norm, so that neither the power of the
    spectrogram nor the scale shared between W and H matters; the mel filterbank is that of the
    track's own rate. The rest is librosa's convention: 128 bands of equal area, 20 coefficients, a
    range of 80 dB, here below the strongest band of each template. Spiertz and Gnann,
    "Source-filter based clustering for monaural blind source separation", DAFx 2009, Sect. 3.

    Parameters
    ----------
    W : np.ndarray [shape=(m, rank)]
        Templates of a linear-frequency spectrogram, none of them zero.
    sample_rate : int
        Hz.
    power : int
        The templates model ``|X|**power``.
    n_mfcc : int
        Number of coefficients, the first included.

    Returns
    -------
    np.ndarray [shape=(rank, n_mfcc - 1)]
    """
    import warnings

    import librosa
    from scipy.fft import dct

    magnitudes = np.asarray(W, dtype=np.float64) ** (1 / power)
    magnitudes = magnitudes / np.linalg.norm(magnitudes, axis=0)
    n_fft = 2 * (len(W) - 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters")
        bank = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=_MELS, dtype=np.float64)
    # A filter narrower than a bin is empty, and its constant floor says nothing of a template.
    bands = bank[bank.any(axis=1)] @ magnitudes**2
    level = 10 * np.log10(np.maximum(bands, _RANGE * bands.max(axis=0)))
    return dct(level, axis=0, type=2, norm="ortho")[1:n_mfcc].T


@step(
    "grouping",
    "mfcc",
    version=2,
    libraries=("scikit-learn", "librosa"),
    calls=("templates", "activations"),
)
def group_by_mfcc(
    factorization, *, n_sources, kmeans_seed, sample_rate, power, n_mfcc=20, restarts=10
):
    """Group components by k-means on the cepstra of their templates.

    Parameters
    ----------
    factorization : Factorization
        Of rank r; a component whose template or activation is zero belongs to no group.
    n_sources : int
        Number of groups.
    kmeans_seed : int
        Draws the starts of k-means.
    sample_rate : int
        Hz.
    power : int
        The factorization is one of ``|X|**power``.
    n_mfcc : int
        See `mfcc_of_templates`.
    restarts : int
        How many starts, of which the most compact result is taken.

    Returns
    -------
    np.ndarray of int [shape=(r,)]
        Group of each component, −1 for none. Groups stay empty where there are fewer different
        templates than sources.
    """
    from sklearn.cluster import KMeans

    W = factorization.templates()
    groups = np.full(W.shape[1], -1)
    alive = sounding(factorization)
    if not alive.any():
        return groups
    points = mfcc_of_templates(W[:, alive], sample_rate=sample_rate, power=power, n_mfcc=n_mfcc)
    distinct = len(np.unique(points, axis=0))
    clusters = min(n_sources, distinct)
    means = KMeans(n_clusters=clusters, n_init=restarts, random_state=kmeans_seed)
    groups[alive] = means.fit_predict(points)
    return groups


@step(
    "grouping",
    "oracle",
    version=2,
    oracle=True,
    calls=("grouped", "templates", "activations"),
)
def group_by_oracle(factorization, *, stem_powers):
    """Give each component to the stem that has most energy in what the component lets through.

    Parameters
    ----------
    factorization : Factorization
        Of rank r.
    stem_powers : np.ndarray [shape=(sources, m, n, ...)]
        Power spectrograms of the true stems, ``|S|**2`` whatever the model's power; behind n the
        channels, where the model tells them apart. Of several views, those of the first.

    Returns
    -------
    np.ndarray of int [shape=(r,)]
        Stem of each component, −1 for one whose template or activation is zero.
    """
    energies = masked_energies(factorization, stem_powers)
    return np.where(sounding(factorization), energies.argmax(axis=1), -1)


def masked_energies(factorization, stem_powers):
    """Return the energy of every stem behind the Wiener mask of every component.

    The mask of component k is its share of the model, and the energy of stem j behind it the sum of
    ``(mask * |S_j|)**2``.

    Parameters
    ----------
    factorization, stem_powers
        See `group_by_oracle`.

    Returns
    -------
    np.ndarray [shape=(r, sources)]

    Raises
    ------
    UsageError
        If the shapes do not fit.
    """
    rank = factorization.rank
    energies = np.zeros((rank, len(stem_powers)))
    for start in range(0, stem_powers.shape[2], _FRAMES):
        span = slice(start, start + _FRAMES)
        parts = factorization.grouped(np.arange(rank), rank, frames=span)
        parts = next(iter(parts.values())) if isinstance(parts, dict) else parts
        parts = np.asarray(parts, np.float64)
        heard = stem_powers[:, :, span].astype(np.float64)
        if parts.shape[1:] != heard.shape[1:]:
            raise UsageError(
                f"stems of {stem_powers.shape[1:]} bins do not fit a factorization whose frames "
                f"{start} to {start + parts.shape[2]} have {parts.shape[1:]}"
            )
        model = parts.sum(axis=0)
        masks = parts / np.where(model > 0, model, 1)
        energies += (masks**2).reshape(rank, -1) @ heard.reshape(len(heard), -1).T
    return energies


def sounding(factorization):
    """Tell which components are not zero; np.ndarray of bool [shape=(r,)]."""
    W, H = factorization.templates(), factorization.activations()
    return np.asarray(W).any(axis=0) & np.asarray(H).any(axis=1)
