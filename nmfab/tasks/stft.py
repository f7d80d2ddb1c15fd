"""The node ``features.stft``: an excerpt's spectrogram in the form that an algorithm takes."""

from functools import partial

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.spectrum import RESAMPLER, resample, to_mono
from nmfab.base.stft import VERSION as TRANSFORM_VERSION
from nmfab.base.stft import spectrogram, stft
from nmfab.base.types import Node

VERSION = 2  # of what this file does; that of the transform is beside it
VERSIONS = {"features.stft": VERSION, "base.stft": TRANSFORM_VERSION}
EXCERPT = ("mono", "start", "duration")
NAME = "features.stft"


def stft_node(p, names, *, form="matrix", mono=None):
    """Return the node.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting.
    names : sequence of str
        Those that the task has, of ``mono`` (mean of the channels), ``start`` and ``duration``
        or ``excerpt`` (s), ``sample_rate`` (Hz; null keeps the track's), ``window``, ``n_fft`` and
        ``hop`` (samples), ``power`` and, for views, ``views`` (lengths of windows).
    form : {"matrix", "channels", "mixture", "views", "sides"}
        Of V: the mean over channels of ``|X|**power``; ``|X|**power`` [shape=(m, n, channels)]; X
        itself, complex [shape=(m, n, channels)]; a matrix for each of the `views`; a matrix for
        each of two channels, ``V`` and ``V_right``.
    mono : bool, optional
        Where that is no parameter.

    Returns
    -------
    Node
        Of ``V``, ``frequencies`` (Hz, of its rows), ``times`` (s, of its frames), ``window`` and
        ``power``, or of ``V.NAME``, ``frequencies.NAME`` and ``window.NAME`` for views;
        ``step`` (s between frames), ``duration`` (s) and ``sample_rate`` (Hz).
    """
    views = form == "views"
    unread = {"views"} if not views else {"window", "n_fft"}
    unread |= {"power"} if form == "mixture" else set()
    read = [name for name in names if name not in unread]
    params = {name: p[name] for name in read} | {"form": form}
    if mono is not None:
        params["mono"] = mono
    of_view = ("V", "frequencies", "window")
    arrays = [f"{a}.{view}" for view in p["views"] for a in of_view] if views else list(of_view)
    more = {"mixture": (), "sides": ("power", "V_right")}.get(form, ("power",))
    return Node(
        name=NAME,
        compute=_compute,
        params=params,
        parts=("audio",),
        versions=VERSIONS,
        libraries=() if params.get("sample_rate") is None else (RESAMPLER,),
        returns=(*arrays, *more, "times", "step", "duration", "sample_rate"),
    )


def excerpt(samples, sample_rate, params):
    """Return the part of a signal that the protocol asks for.

    Parameters
    ----------
    samples : np.ndarray [shape=(..., channels, samples)]
        One signal, or several of one length.
    sample_rate : int
        Hz.
    params : mapping
        ``start`` and ``duration`` in seconds (None: to the end), or ``excerpt``, a duration from
        the beginning; ``mono``.

    Returns
    -------
    np.ndarray [shape=(..., channels or 1, samples')]

    Raises
    ------
    DataError
        If the track ends before the excerpt begins.
    """
    start = params.get("start", 0)
    duration = params["excerpt"] if "excerpt" in params else params.get("duration")
    first = round(start * sample_rate)
    last = None if duration is None else first + round(duration * sample_rate)
    part = samples[..., first:last]
    if not part.shape[-1]:
        raise DataError(
            f"the track lasts {samples.shape[-1] / sample_rate:.2f} s, and the excerpt begins at "
            f"{start} s and lasts {duration} s"
        )
    if not params["mono"]:
        return part
    if part.ndim == 2:
        return to_mono(part)[None]
    return part.mean(axis=-2, keepdims=True, dtype=part.dtype)


def in_form(samples, form, *, n_fft, hop, power=1, window=None):
    """Return V of a signal in a form.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        A signal.
    form : {"matrix", "channels", "mixture"}
        See `stft_node`.
    n_fft, hop, window : int
        See `nmfab.base.stft.stft`.
    power : int
        Of the modulus.

    Returns
    -------
    np.ndarray [shape=(m, n) or (m, n, channels)]
    """
    if form == "matrix":
        return spectrogram(samples, n_fft=n_fft, hop=hop, power=power, window=window)
    spectra = np.moveaxis(stft(samples, n_fft=n_fft, hop=hop, window=window), 0, -1)
    return np.ascontiguousarray(spectra if form == "mixture" else np.abs(spectra) ** power)


def _compute(params, *, audio):
    own = int(audio["sample_rate"])
    samples = excerpt(audio["samples"], own, params)
    duration = samples.shape[-1] / own
    rate = params.get("sample_rate") or own
    samples = resample(samples, own, rate)
    hop, form = params["hop"], params["form"]
    make = partial(in_form, samples, hop=hop, power=params.get("power", 1))
    arrays = {"step": hop / rate, "duration": duration, "sample_rate": rate}
    if "power" in params:
        arrays["power"] = params["power"]
    if form == "views":
        for size in params["views"]:
            V = make("matrix", n_fft=size)
            arrays |= {f"V.{size}": V, f"frequencies.{size}": _frequencies(V, rate, size)}
            arrays[f"window.{size}"] = size
        count = V.shape[1]
    else:
        n_fft = params["n_fft"]
        window = params.get("window") or n_fft
        V = make("channels" if form == "sides" else form, n_fft=n_fft, window=window)
        if form == "sides":
            V, arrays["V_right"] = _sides(V)
        arrays |= {"V": V, "frequencies": _frequencies(V, rate, n_fft), "window": window}
        count = V.shape[1]
    return arrays | {"times": np.arange(count) * (hop / rate)}


def _sides(V):
    if V.shape[-1] != 2:
        raise DataError(
            f"the track has {V.shape[-1]} channels, and factors=per_channel takes two: use shared"
        )
    return np.ascontiguousarray(V[..., 0]), np.ascontiguousarray(V[..., 1])


def _frequencies(V, rate, n_fft):
    return np.arange(len(V)) * rate / n_fft
