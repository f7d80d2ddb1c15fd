"""Which source each component of a factorization belongs to."""

import numpy as np

from nmfab.base.errors import UsageError

VERSION = 1
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


def group_by_mfcc(W, H, *, n_sources, sample_rate, power, seed=0, restarts=10):
    """Group components by k-means on the cepstra of their templates.

    Parameters
    ----------
    W : np.ndarray [shape=(m, rank)]
        Templates.
    H : np.ndarray [shape=(rank, n)]
        Activations: a component that is zero in W or H belongs to no group.
    n_sources : int
        Number of groups.
    sample_rate : int
        Hz.
    power : int
        The factorization is one of ``|X|**power``.
    seed : int
        Draws the starts of k-means.
    restarts : int
        How many starts, of which the most compact result is taken.

    Returns
    -------
    np.ndarray of int [shape=(rank,)]
        Group of each component, −1 for none. Groups stay empty where there are fewer different
        templates than sources.
    """
    from sklearn.cluster import KMeans

    groups = np.full(W.shape[1], -1)
    alive = sounding(W, H)
    if not alive.any():
        return groups
    points = mfcc_of_templates(W[:, alive], sample_rate=sample_rate, power=power)
    distinct = len(np.unique(points, axis=0))
    clusters = min(n_sources, distinct)
    means = KMeans(n_clusters=clusters, n_init=restarts, random_state=seed)
    groups[alive] = means.fit_predict(points)
    return groups


def group_by_oracle(W, H, stems):
    """Give each component to the stem that has most energy in what the component lets through.

    Parameters
    ----------
    W : np.ndarray [shape=(m, rank)]
        Templates.
    H : np.ndarray [shape=(rank, n)]
        Activations.
    stems : np.ndarray [shape=(sources, m, n)]
        Power spectrograms of the true stems, ``|S|**2`` whatever the model's power.

    Returns
    -------
    np.ndarray of int [shape=(rank,)]
        Stem of each component, −1 for one that is zero in W or H.

    Raises
    ------
    UsageError
        If the shapes do not fit.
    """
    if stems.shape[1:] != (W.shape[0], H.shape[1]):
        raise UsageError(
            f"stems of {stems.shape[1]} × {stems.shape[2]} bins do not fit a factorization of "
            f"{W.shape[0]} × {H.shape[1]}"
        )
    energies = masked_energies(W, H, stems)
    return np.where(sounding(W, H), energies.argmax(axis=1), -1)


def masked_energies(W, H, stems):
    """Return the energy of every stem behind the Wiener mask of every component.

    The mask of component k is ``W_k H_k / (W H)``, and the energy of stem j behind it the sum of
    ``(mask * |S_j|)**2``.

    Parameters
    ----------
    W, H, stems
        See `group_by_oracle`.

    Returns
    -------
    np.ndarray [shape=(rank, sources)]
    """
    W, H = np.asarray(W, dtype=np.float64), np.asarray(H, dtype=np.float64)
    # Scaling W's columns to unit maximum changes no product and keeps the squares in range.
    scale = W.max(axis=0)
    W, H = W / np.where(scale > 0, scale, 1), H * scale[:, None]
    model = W @ H
    inverse = np.where(model > 0, 1 / np.where(model > 0, model, 1), 0)
    weights, activity = W**2, H
    energies = np.empty((W.shape[1], len(stems)))
    for j, stem in enumerate(stems):
        # (H / model)² is not separable; |S|² / model² is taken into the sum over frequency.
        energies[:, j] = np.sum(weights.T @ (stem * inverse**2) * activity**2, axis=1)
    return energies


def sounding(W, H):
    """Tell which components are not zero; np.ndarray of bool [shape=(rank,)]."""
    return np.asarray(W).any(axis=0) & np.asarray(H).any(axis=1)
