"""What the nodes of separation compute: pure functions of parameters and arrays."""

import numpy as np

from nmfab.algorithms import frame
from nmfab.base.errors import DataError
from nmfab.base.spectrum import to_mono
from nmfab.base.stft import spectrogram
from nmfab.metrics import separation as scoring
from nmfab.postprocessing import grouping, masking

STFT_VERSION = 1  # of `excerpt` and `spectrograms`
VERSION = 1  # of the rest


def excerpt(samples, sample_rate, params):
    """Return the part of a signal that the protocol asks for.

    Parameters
    ----------
    samples : np.ndarray [shape=(..., channels, samples)]
        One signal, or several of one length.
    sample_rate : int
        Hz.
    params : mapping
        ``start`` and ``duration`` in seconds (None: to the end), ``mono``.

    Returns
    -------
    np.ndarray [shape=(..., channels or 1, samples')]

    Raises
    ------
    DataError
        If the track ends before the excerpt begins.
    """
    first = round(params["start"] * sample_rate)
    last = None if params["duration"] is None else first + round(params["duration"] * sample_rate)
    part = samples[..., first:last]
    if not part.shape[-1]:
        raise DataError(
            f"the track lasts {samples.shape[-1] / sample_rate:.2f} s, and the excerpt begins at "
            f"{params['start']} s and lasts {params['duration']} s"
        )
    if not params["mono"]:
        return part
    if part.ndim == 2:
        return to_mono(part)[None]
    return part.mean(axis=-2, keepdims=True, dtype=part.dtype)


def spectrograms(params, *, audio):
    """Return ``V`` [shape=(m, n)], and ``V_right`` where each channel has factors of its own."""
    samples = excerpt(audio["samples"], int(audio["sample_rate"]), params)
    options = {name: params[name] for name in ("n_fft", "hop", "power")}
    if params["channels"] == "shared":
        return {"V": spectrogram(samples, **options)}
    if len(samples) != 2:
        raise DataError(
            f"the track has {len(samples)} channels, and channels=separate takes two: use shared"
        )
    left, right = (spectrogram(channel[None], **options) for channel in samples)
    return {"V": left, "V_right": right}


def dictionary(params, *, stems):
    """Return templates ``W`` learned on each true stem alone, and the ``groups`` they belong to.

    The rank is shared out evenly over the stems that are not silent.
    """
    samples = excerpt(stems["samples"], int(stems["sample_rate"]), params)
    options = {name: params[name] for name in ("n_fft", "hop", "power")}
    active = np.flatnonzero(~scoring.silent(samples))
    if params["rank"] < len(active):
        raise DataError(f"rank {params['rank']} is less than the {len(active)} stems that sound")
    templates, groups = [], []
    for place, index in enumerate(active):
        rank = params["rank"] // len(active) + (place < params["rank"] % len(active))
        V = spectrogram(samples[index], **options)
        # Templates of unit mean weigh alike in the start of the mixture's activations.
        W = frame.factorize(params | {"rank": rank}, V).templates()
        mean = W.mean(axis=0)
        templates.append(W / np.where(mean > 0, mean, 1))
        groups += [index] * rank
    if not templates:
        raise DataError("all stems are silent: there is nothing to learn templates from")
    return {"W": np.hstack(templates), "groups": np.array(groups)}


def blind_grouping(params, *, audio, factorize, factorize_right=None):
    """Return ``groups`` [shape=(channels or 1, rank)] by k-means, all channels together."""
    factors = _pairs(factorize, factorize_right)
    W = np.hstack([pair[0] for pair in factors])
    loudness = np.concatenate([pair[1].max(axis=1) for pair in factors])
    groups = grouping.group_by_mfcc(
        W,
        loudness[:, None],
        n_sources=params["n_sources"],
        sample_rate=int(audio["sample_rate"]),
        power=params["power"],
        seed=params["kmeans_seed"],
    )
    return {"groups": groups.reshape(len(factors), -1), "n_sources": params["n_sources"]}


def oracle_grouping(params, *, stems, factorize, factorize_right=None):
    """Return ``groups`` [shape=(channels or 1, rank)] by the energy of the true stems."""
    samples = excerpt(stems["samples"], int(stems["sample_rate"]), params)
    options = {name: params[name] for name in ("n_fft", "hop")}
    factors = _pairs(factorize, factorize_right)
    channels = [samples] if len(factors) == 1 else [samples[:, [c]] for c in range(len(factors))]
    groups = []
    for (W, H), heard in zip(factors, channels, strict=True):
        powers = np.stack([spectrogram(stem, **options, power=2) for stem in heard])
        groups.append(grouping.group_by_oracle(W, H, powers))
    return {"groups": np.stack(groups), "n_sources": len(samples)}


def _pairs(*factorizations):
    return [
        (found.templates(), found.activations()) for found in factorizations if found is not None
    ]


def estimates(params, samples, stems, *, grouping=None, dictionary=None, **factorizations):
    """Return the estimates of a setting and which of them exist.

    Parameters
    ----------
    params : mapping
        Of the metrics node.
    samples : np.ndarray [shape=(channels, samples)]
        The excerpt of the mixture.
    stems : np.ndarray [shape=(sources, channels, samples)]
        The excerpt of the true stems, which oracles look at.
    grouping, dictionary, **factorizations
        Arrays of the nodes of those names, where the setting has them.

    Returns
    -------
    sound : np.ndarray [shape=(estimates, channels, samples)]
    present : np.ndarray [shape=(estimates,)], bool
        False for a group that no sounding component belongs to: its stem is missing.
    """
    kind = params["baseline"]
    transform = {name: params[name] for name in ("n_fft", "hop") if name in params}
    if kind in ("mixture", "silence"):
        share = samples / len(stems) if kind == "mixture" else np.zeros_like(samples)
        sound = np.broadcast_to(share, stems.shape)
    elif kind == "hpss":
        sound = masking.hpss_estimates(samples, **transform)
    elif kind in masking.IDEAL:
        sound = masking.ideal_estimates(samples, stems, kind, **transform)
    else:
        return _masked(params, samples, len(stems), grouping, dictionary, factorizations)
    return sound, np.ones(len(sound), dtype=bool)


def _masked(params, samples, n_stems, grouping, dictionary, factorizations):
    factors = _pairs(factorizations["factorize"], factorizations.get("factorize_right"))
    if dictionary is not None:
        groups, n_sources = dictionary["groups"][None], n_stems
    else:
        groups, n_sources = grouping["groups"], int(grouping["n_sources"])
    sound = masking.estimates(
        samples,
        factors,
        groups,
        n_sources=n_sources,
        n_fft=params["n_fft"],
        hop=params["hop"],
        power=params["power"],
        mask=params["masking"],
    )
    return sound, ~scoring.silent(sound)


def _given(params, audio, stems):
    """Return mixture and stems as the protocol asks for them, and the rate (Hz)."""
    rate = int(audio["sample_rate"])
    if stems["samples"].shape[1:] != audio["samples"].shape or rate != int(stems["sample_rate"]):
        raise DataError(
            f"the stems ({stems['samples'].shape[1:]} at {int(stems['sample_rate'])} Hz) do not "
            f"fit the mixture ({audio['samples'].shape} at {rate} Hz): fetch the track again"
        )
    return *(excerpt(part["samples"], rate, params) for part in (audio, stems)), rate


def scores(params, *, audio, stems, **arrays):
    """Return every metric of one setting on one track; see `nmfab.metrics.separation.evaluate`."""
    mixture, true, rate = _given(params, audio, stems)
    sound, present = estimates(params, mixture, true, **arrays)
    return scoring.evaluate(
        true,
        sound,
        mixture,
        sample_rate=rate,
        names=[str(name) for name in stems["names"]],
        present=present,
        backend=params["bss_backend"],
    )


def sound(params, *, audio, stems, **arrays):
    """Return the estimates to listen to: see `nmfab.tasks.separation.Separation.sound_node`."""
    mixture, true, rate = _given(params, audio, stems)
    found, present = estimates(params, mixture, true, **arrays)
    active, kept = np.flatnonzero(~scoring.silent(true)), np.flatnonzero(present)
    names = np.full(len(found), "", dtype=object)
    for stem, index in zip(active, scoring.match(true[active], found[kept]), strict=True):
        if index >= 0:
            names[kept[index]] = str(stems["names"][stem])
    return {"samples": np.array(found), "sample_rate": rate, "names": names.astype(str)}
