"""Scores of separated sources: SI-SDR, SDR and BSS Eval v4, per stem and on average.

Conventions: stems and estimates are arrays [shape=(sources, channels, samples)]. A stem that is
silent throughout is left out and counted. Estimates are matched to the other stems one to one over
the whole track, so that the sum of SI-SDR is largest, and that assignment serves every metric. A
stem that gets no estimate is given the mixture divided by the number of stems of the track, silent
ones included (no method is told which are silent), and is counted as missing.

A mean over stems is NaN as soon as one of its stems has no value, so that nothing is gained by an
estimate that cannot be scored; left out are only stems that the reference itself leaves unscored.
"""

import hashlib
import importlib.util
import sys

import numpy as np

from nmfab.base.errors import ComputationError, UsageError
from nmfab.metrics import bss_eval as v4

VERSION = 1
BACKENDS = ("nmfab", "museval")
LIBRARIES = {"nmfab": (), "museval": ("museval",)}  # of each backend
WHOLE_TRACK = ("si_sdr", "sdr")
FRAMEWISE = tuple(f"bss_{name}" for name in v4.RATIOS)  # frames left out by the reference alone
COMPATIBLE = tuple(f"museval_{name}" for name in v4.RATIOS)  # frames left out as museval does
_FLOOR = -300.0  # dB that a match worth nothing counts when estimates are assigned
_SPAN = 2**16  # samples that are turned into float64 at a time
_systems = {}


def validate(stems, estimates, mixture):
    """Return the three as float32 or float64 arrays, or raise.

    Parameters
    ----------
    stems : array_like [shape=(sources, channels, samples)]
        True images.
    estimates : array_like [shape=(estimates, channels, samples)]
        Estimated images, in any number and order.
    mixture : array_like [shape=(channels, samples)]
        The recording.

    Raises
    ------
    UsageError
        If channels or samples differ.
    ComputationError
        If a sample is NaN or infinite.
    """
    stems, estimates, mixture = map(v4.floating, (stems, estimates, mixture))
    if stems.ndim != 3 or estimates.ndim != 3 or mixture.ndim != 2:
        raise UsageError("stems and estimates are sources × channels × samples, the mixture 2-D")
    if not stems.shape[1:] == estimates.shape[1:] == mixture.shape:
        raise UsageError(
            f"stems {stems.shape}, estimates {estimates.shape} and mixture {mixture.shape} must "
            "have the same channels and samples"
        )
    for name, signal in (("stems", stems), ("estimates", estimates), ("mixture", mixture)):
        if not np.isfinite(signal).all():
            raise ComputationError(f"the {name} hold NaN or infinite samples")
    return stems, estimates, mixture


def silent(signals):
    """Tell which signals never reach one step of 16-bit audio.

    Parameters
    ----------
    signals : np.ndarray [shape=(signals, channels, samples)]
        Stems or estimates.

    Returns
    -------
    np.ndarray [shape=(signals,)], bool
    """
    return np.abs(signals).max(axis=(-2, -1), initial=0.0) < v4.SILENCE


def si_sdr(reference, estimate):
    """Return the scale-invariant signal-to-distortion ratio in dB.

    All channels share one scale, and no mean is removed. Le Roux, Wisdom, Erdogan and Hershey,
    "SDR: half-baked or well done?", ICASSP 2019, Eq. 5.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(..., channels, samples)]
        Signals, broadcast against each other.

    Returns
    -------
    np.ndarray [shape=(...)]
        Infinite for a perfect estimate; NaN where either is zero throughout.
    """
    power = _total(reference, reference)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = _total(reference, estimate) / power
        column = scale[..., None, None]
        error = _total(reference, estimate, lambda s, e: _twice(e - column * s))
        return 10 * np.log10(scale**2 * power / error)


def sdr(reference, estimate):
    """Return the plain signal-to-distortion ratio in dB, the estimate's scale included.

    10 log10 of the reference's energy over that of reference minus estimate, over all channels:
    silence scores 0 dB, half of the reference 6.02 dB.

    Parameters
    ----------
    reference, estimate : np.ndarray [shape=(..., channels, samples)]
        Signals, broadcast against each other.

    Returns
    -------
    np.ndarray [shape=(...)]
        Infinite for a perfect estimate; NaN where both are zero throughout.
    """
    signal = _total(reference, reference)
    error = _total(reference, estimate, lambda s, e: _twice(s - e))
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(signal / error)


def _total(first, second, function=lambda s, e: (s, e)):
    """Sum the product of two functions of two signals over channels and samples, by spans."""
    total = 0.0
    for start in range(0, first.shape[-1], _SPAN):
        parts = (np.asarray(x[..., start : start + _SPAN], np.float64) for x in (first, second))
        total = total + np.einsum("...cn,...cn->...", *function(*parts))
    return np.asarray(total)


def _twice(signal):
    return signal, signal


def match(stems, estimates):
    """Assign estimates to stems one to one, so that the sum of SI-SDR is largest.

    Parameters
    ----------
    stems, estimates : np.ndarray [shape=(sources, channels, samples)]
        Their numbers may differ.

    Returns
    -------
    np.ndarray of int [shape=(len(stems),)]
        The estimate of each stem, −1 where there is none left.
    """
    from scipy.optimize import linear_sum_assignment

    assigned = np.full(len(stems), -1)
    if not len(stems) or not len(estimates):
        return assigned
    columns = stems[:, None]
    products = _total(columns, estimates)
    energies = np.outer(*(_total(x, x) for x in (stems, estimates)))
    # SI-SDR is a monotone function of the squared cosine between stem and estimate.
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.nan_to_num(products**2 / energies)
        gain = 10 * np.log10(cosine / np.maximum(1 - cosine, 0))
    rows, columns = linear_sum_assignment(np.clip(gain, _FLOOR, -_FLOOR), maximize=True)
    assigned[rows] = columns
    return assigned


def evaluate(stems, estimates, mixture, *, sample_rate, names=None, present=None, backend="nmfab"):
    """Return every score of one track as a dict of numbers.

    Parameters
    ----------
    stems, estimates, mixture
        See `validate`.
    sample_rate : int
        Hz; frames of BSS Eval last one second.
    names : sequence of str, optional
        Names of the stems; their numbers where None.
    present : sequence of bool, optional
        Which estimates exist: the others are not matched. All where None.
    backend : {"nmfab", "museval"}
        Who computes BSS Eval. museval has one rule only for leaving out frames, so that with it
        the scores named ``bss_`` are NaN.

    Returns
    -------
    dict of float
        ``si_sdr``, ``sdr``, ``bss_sdr``, ``bss_isr``, ``bss_sir``, ``bss_sar``, ``museval_sdr``,
        ``museval_isr``, ``museval_sir``, ``museval_sar`` in dB, and each with ``_NAME`` per stem
        (NaN for silent ones); ``si_sdr_gain`` and ``sdr_gain``, the mean improvement over the
        mixture taken for every stem; ``silent_stems`` and ``missing_estimates``. Framewise scores
        are medians over frames.
    """
    stems, estimates, mixture = validate(stems, estimates, mixture)
    if backend not in BACKENDS:
        raise UsageError(f"unknown bss_backend {backend!r}: there are {', '.join(BACKENDS)}")
    names = list(map(str, range(len(stems)))) if names is None else list(names)
    active = ~silent(stems)
    true, found, missing = aligned(stems, estimates, mixture, present)
    values = {name: function(true, found) for name, function in _FUNCTIONS.items()}
    gains = {n: np.mean(values[n] - f(true, mixture)) for n, f in _FUNCTIONS.items() if len(true)}
    values |= framewise(true, found, sample_rate, backend)
    scores = _table(values, names, active)
    scores |= {f"{name}_gain": float(gains.get(name, np.nan)) for name in _FUNCTIONS}
    return scores | {
        "silent_stems": float((~active).sum()),
        "missing_estimates": float(missing),
    }


_FUNCTIONS = {"si_sdr": si_sdr, "sdr": sdr}


def aligned(stems, estimates, mixture, present=None):
    """Return the active stems, an estimate for each, and how many of those were missing.

    Parameters
    ----------
    stems, estimates, mixture, present
        See `evaluate`.

    Returns
    -------
    true, found : np.ndarray [shape=(active stems, channels, samples)]
        Stem and estimate of the same index belong together.
    missing : int
        Stems that were given the mixture divided by the number of stems.
    """
    active = ~silent(stems)
    true = stems if active.all() else stems[active]
    candidates = np.arange(len(estimates)) if present is None else np.flatnonzero(present)
    assigned = match(true, estimates[candidates] if present is not None else estimates)
    found = np.empty(true.shape, dtype=estimates.dtype)
    for place, index in enumerate(assigned):
        found[place] = estimates[candidates[index]] if index >= 0 else mixture / len(stems)
    return true, found, int((assigned < 0).sum())


def framewise(true, found, sample_rate, backend="nmfab"):
    """Return medians over frames of BSS Eval v4 under both rules, per stem.

    Parameters
    ----------
    true, found : np.ndarray [shape=(sources, channels, samples)]
        Stems, none silent, and their estimates.
    sample_rate : int
        Hz; the length of a frame in samples.
    backend : {"nmfab", "museval"}
        See `evaluate`.

    Returns
    -------
    dict of np.ndarray [shape=(sources,)]
        NaN for a stem that no frame scores.
    """
    undefined = np.full(len(true), np.nan)
    values = dict.fromkeys((*FRAMEWISE, *COMPATIBLE), undefined)
    if not len(true):
        return values
    if backend == "museval":
        frames = museval_frames(true, found, window=sample_rate)
        return values | _medians(frames, "museval")
    energies = v4.frame_energies(system_of(true), found, window=sample_rate)
    for prefix, rule in (("bss", "reference"), ("museval", "museval")):
        keep = v4.frame_mask(true, found, window=sample_rate, rule=rule)
        values |= _medians(v4.ratios(energies, keep), prefix, keep)
    return values


def _medians(frames, prefix, keep=None):
    """Return the median over the frames that count; NaN if one of those has no value.

    What museval leaves out cannot be told apart from what it cannot compute, so that there NaN
    frames are simply left out.
    """
    result = {}
    for name, values in frames.items():
        counted = ~np.isnan(values) if keep is None else keep
        result[f"{prefix}_{name}"] = np.array(
            [np.median(v[k]) if k.any() else np.nan for v, k in zip(values, counted, strict=True)]
        )
    return result


def system_of(references):
    """Return `bss_eval.prepare` of the references, kept until other references come.

    All settings of a track are scored against the same stems, one after the other.
    """
    content = np.ascontiguousarray(references)
    key = (references.shape, hashlib.blake2b(content.data, digest_size=16).digest())
    if key not in _systems:
        _systems.clear()  # before the next is made: a system takes some 150 MB
        _systems[key] = v4.prepare(references)
    return _systems[key]


def _table(values, names, active):
    """Return mean and value per stem; `values` hold the active stems only."""
    scores = {}
    for metric, found in values.items():
        scored = found[~np.isnan(values["bss_sdr"])] if metric in FRAMEWISE else found
        scores[metric] = float(np.mean(scored)) if len(scored) else np.nan
    for metric, found in values.items():
        all_stems = np.full(len(names), np.nan)
        all_stems[active] = found
        scores |= {f"{metric}_{n}": float(v) for n, v in zip(names, all_stems, strict=True)}
    return scores


def museval_frames(references, estimates, *, window):
    """Return museval's own BSS Eval v4, the oracle and alternative of `bss_eval`.

    Parameters
    ----------
    references, estimates : np.ndarray [shape=(sources, channels, samples)]
        Images. An estimate that is zero throughout, which museval refuses, gives NaN everywhere,
        as its rule for silent frames would.
    window : int
        Samples in a frame and from frame to frame.

    Returns
    -------
    dict of np.ndarray [shape=(sources, frames)]
        ``sdr``, ``isr``, ``sir``, ``sar`` in dB.
    """
    if not estimates.any(axis=(1, 2)).all():
        shape = (len(references), len(v4.frame_starts(references.shape[-1], window)))
        return {name: np.full(shape, np.nan) for name in v4.RATIOS}
    arguments = (np.moveaxis(signals, 1, 2) for signals in (references, estimates))
    found = museval_module().bss_eval(*arguments, window=window, hop=window)
    return dict(zip(v4.RATIOS, found[:4], strict=True))


def museval_module():
    """Return museval's ``metrics`` without its package, whose import needs ffmpeg on the PATH.

    Raises
    ------
    UsageError
        If museval is not installed.
    """
    name = "_nmfab_museval_metrics"
    if name in sys.modules:
        return sys.modules[name]
    package = importlib.util.find_spec("museval")
    if package is None or not package.submodule_search_locations:
        raise UsageError("museval is not installed: pip install museval, or use bss_backend=nmfab")
    path = f"{package.submodule_search_locations[0]}/metrics.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module
