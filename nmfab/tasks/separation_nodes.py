"""What the nodes of separation are made of: offers to its steps, and what it computes besides."""

import numpy as np

from nmfab.algorithms import frame
from nmfab.base.errors import DataError
from nmfab.base.kinds import has
from nmfab.base.stft import spectrogram
from nmfab.metrics import separation as scoring
from nmfab.tasks.nmf import form_of, kind_of, kind_version
from nmfab.tasks.per_channel import PerChannel
from nmfab.tasks.steps import Offer, of_node
from nmfab.tasks.stft import EXCERPT, NAME, VERSIONS, excerpt, in_form

FACTORS = ("nmf.factorize", "nmf.factorize_right")
DICTIONARY, GROUPING = "nmf.dictionary", "postprocessing.grouping"
_CHANNELS = ("channels", "mixture")  # forms that tell channels apart


def per_channel(p):
    """Tell whether each channel is factorized by itself."""
    return p["factors"] == "per_channel" and form_of(p) == "matrix" and p["baseline"] is None


def transform(p):
    """Return names of the parameters of the transform that sound is made with."""
    return ("views", "hop") if form_of(p) == "views" else ("n_fft", "hop")


def offers(p):
    """Return what separation offers to its steps.

    Returns
    -------
    dict of str to Offer
        ``factorization``, ``groups``, ``n_groups``; ``mixture`` [shape=(channels, samples)] and
        ``stems`` [shape=(sources, channels, samples)] of the excerpt; ``stem_powers``, their power
        spectrograms in the model's form; ``n_stems``, silent ones included; ``n_sources``;
        ``sample_rate`` (Hz), ``n_fft``, ``V``.
    """
    audio = Offer(_mixture, params=EXCERPT, parts=("audio",), versions=VERSIONS)
    stems = Offer(_stems, params=EXCERPT, parts=("stems",), versions=VERSIONS)
    heard = Offer(
        _with_channels if per_channel(p) or form_of(p) in _CHANNELS else _mean_powers,
        params=(*EXCERPT, *transform(p)),
        parts=("stems",),
        versions=VERSIONS,
    )
    found = {
        "factorization": _factorization(p),
        "mixture": audio,
        "stems": stems,
        "stem_powers": heard,
        "n_stems": Offer(lambda params, arrays: len(arrays["stems"]["samples"]), parts=("stems",)),
        "n_sources": _n_sources(p),
        "sample_rate": of_node(NAME, "sample_rate"),
        "frequencies": of_node(NAME, "frequencies"),
        "V": of_node(NAME, "V"),
    }
    groups = _groups(p, found["factorization"])
    found |= {"groups": groups, "n_groups": _replaced(groups, _count)}
    if form_of(p) == "views":
        found["n_fft"] = Offer(lambda params, arrays: params["views"][0], params=("views",))
    if form_of(p) == "mixture":  # the model is one of powers
        found["power"] = Offer(lambda params, arrays: 2)
    return found


def _factorization(p):
    versions = kind_version(kind_of(p))
    if not per_channel(p):
        return Offer(
            lambda params, arrays: arrays["factorize"], inputs=FACTORS[:1], versions=versions
        )
    shorts = [name.partition(".")[2] for name in FACTORS]
    return Offer(
        lambda params, arrays: PerChannel(arrays[name] for name in shorts),
        inputs=FACTORS,
        versions=versions,
    )


def _groups(p, factorization):
    if p["baseline"] == "dictionary":
        return of_node(DICTIONARY, "groups")
    if own_groups(p):
        return _replaced(factorization, lambda model: np.asarray(model.groups()))
    return of_node(GROUPING, "groups")


def own_groups(p):
    """Tell whether components belong to sources by construction."""
    return has(kind_of(p), "groups")


def _replaced(offer, function):
    """Return an offer of a function of what another one gives."""
    return Offer(
        lambda params, arrays: function(offer.get(params, arrays)),
        offer.params,
        offer.parts,
        offer.optional_parts,
        offer.inputs,
        offer.versions,
    )


def _count(groups):
    return max(int(np.max(groups, initial=0)) + 1, 1)


def _n_sources(p):
    if p["n_sources"] is not None:
        return Offer(lambda params, arrays: params["n_sources"], params=("n_sources",))
    return Offer(
        _sounding_stems,
        params=("n_sources", *EXCERPT),
        parts=("stems",),
        versions=VERSIONS | {"metrics.separation": scoring.VERSION},
    )


def _sounding_stems(params, arrays):
    return max(int((~scoring.silent(_stems(params, arrays))).sum()), 1)


def _mixture(params, arrays):
    return excerpt(arrays["audio"]["samples"], int(arrays["audio"]["sample_rate"]), params)


def _stems(params, arrays):
    stems = arrays["stems"]
    if "audio" in arrays:
        _check_fit(arrays["audio"], stems)
    return excerpt(stems["samples"], int(stems["sample_rate"]), params)


def _check_fit(audio, stems):
    rate, own = int(audio["sample_rate"]), int(stems["sample_rate"])
    if stems["samples"].shape[1:] != audio["samples"].shape or rate != own:
        raise DataError(
            f"the stems ({stems['samples'].shape[1:]} at {own} Hz) do not fit the mixture "
            f"({audio['samples'].shape} at {rate} Hz): fetch the track again"
        )


def _mean_powers(params, arrays):
    options = {"n_fft": _n_fft(params), "hop": params["hop"], "power": 2}
    return np.stack([spectrogram(stem, **options) for stem in _stems(params, arrays)])


def _with_channels(params, arrays):
    options = {"n_fft": _n_fft(params), "hop": params["hop"], "power": 2}
    return np.stack([in_form(stem, "channels", **options) for stem in _stems(params, arrays)])


def _n_fft(params):
    return params["views"][0] if "views" in params else params["n_fft"]


def dictionary(params, *, stems):
    """Return templates ``W`` learned on each true stem alone, and the ``groups`` they belong to.

    The rank is shared out evenly over the stems that are not silent.
    """
    samples = excerpt(stems["samples"], int(stems["sample_rate"]), params)
    options = {name: params[name] for name in ("n_fft", "hop", "power")}
    active = np.flatnonzero(~scoring.silent(samples))
    if not len(active):
        raise DataError("all stems are silent: there is nothing to learn templates from")
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
    return {"W": np.hstack(templates), "groups": np.array(groups)}


def masked(values, params, arrays):
    """Return the estimates of groups, and which of them are ``present``: the others are silent."""
    return {"samples": values["sound"], "present": ~scoring.silent(values["sound"])}


def unfactorized(values, params, arrays):
    """Return the estimates of a row without a factorization: all are ``present``."""
    return {"samples": values["sound"], "present": np.ones(len(values["sound"]), dtype=bool)}


def _given(params, audio, stems):
    """Return mixture and stems as the protocol asks for them, and the rate (Hz)."""
    _check_fit(audio, stems)
    rate = int(audio["sample_rate"])
    return *(excerpt(part["samples"], rate, params) for part in (audio, stems)), rate


def scores(params, *, audio, stems, estimates):
    """Return every metric of one setting on one track; see `nmfab.metrics.separation.evaluate`."""
    mixture, true, rate = _given(params, audio, stems)
    return scoring.evaluate(
        true,
        estimates["samples"],
        mixture,
        sample_rate=rate,
        names=[str(name) for name in stems["names"]],
        present=estimates["present"],
        backend=params["bss_backend"],
    )


def sound(params, *, audio, stems, estimates):
    """Return the estimates to listen to: see `nmfab.tasks.separation.Separation.sound_node`."""
    _, true, rate = _given(params, audio, stems)
    found = estimates["samples"]
    active, kept = np.flatnonzero(~scoring.silent(true)), np.flatnonzero(estimates["present"])
    names = np.full(len(found), "", dtype=object)
    for stem, index in zip(active, scoring.match(true[active], found[kept]), strict=True):
        if index >= 0:
            names[kept[index]] = str(stems["names"][stem])
    return {"samples": np.array(found), "sample_rate": rate, "names": names.astype(str)}
