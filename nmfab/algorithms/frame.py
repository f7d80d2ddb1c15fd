"""The frame around every algorithm: V checked and scaled, the start drawn, the result scaled back.

V is divided by its mean, because floors and tolerances inside libraries are absolute; W is scaled
back at the end (H, where W is held fixed). `settings` says what of a setting is read, `loop` runs
the generator.
"""

import logging

import numpy as np

from nmfab.algorithms.contract import ALGORITHMS, Problem
from nmfab.algorithms.init import starting_factors
from nmfab.algorithms.loop import Loop
from nmfab.algorithms.settings import (
    absent,
    batch_names,
    can_batch,
    keywords,
    parameters,
    parse_stop,
    skip,
    versions,
)
from nmfab.base.errors import ComputationError, NmfabError
from nmfab.base.resources import current_resources, hold_device, limit_torch, resolve_device

logger = logging.getLogger("nmfab")

__all__ = [
    "absent",
    "batch_names",
    "can_batch",
    "factorize",
    "factorize_batch",
    "parameters",
    "prepare",
    "skip",
    "versions",
]


def factorize(params, V, frequencies=None, templates=None):
    """Factorize V by one setting.

    Parameters
    ----------
    params : mapping
        The setting; see `settings.parameters` for what is read.
    V : ndarray [shape=(m, n)], or whatever an algorithm with its own start takes
        Nonnegative and finite; a dict of arrays is divided by their common mean.
    frequencies : ndarray [shape=(m,)], optional
        Hz of V's rows, for the harmonic start.
    templates : ndarray [shape=(m, rank)], optional
        W, held fixed.

    Returns
    -------
    dict
        ``W`` (m × rank) and ``H`` (rank × n) in the dtype asked for, their product on V's scale; or
        the named arrays of the algorithm's own kind of factorization, which approximate V divided
        by ``scale``, with W and H besides where the kind has templates and activations.
        ``iteration``, ``seconds`` (the algorithm's own, without measuring), ``loss`` (the
        β-divergence from V divided by its mean, summed over entries) and ``kkt``
        (`divergence.stationarity`) at iterations 0 (the start), 1, 10, 100, then at five in every
        two decades, and at the end; ``objective`` where the algorithm yields one. ``stopped``: why;
        ``filled``: components that the start had to draw at random; ``scale``: the mean of V.

        A silent V (all zeros) is not iterated on: W is 1 everywhere, or the templates, H is 0.

    Raises
    ------
    ComputationError
        If V cannot be factorized so, or the algorithm gives NaN or negative entries.
    """
    result = factorize_batch([params], V, frequencies, templates)[0]
    if isinstance(result, Exception):
        raise result
    return result


def factorize_batch(settings, V, frequencies=None, templates=None):
    """Factorize one V by several settings, in as few calls of the algorithm as can be.

    Settings that differ in nothing but what `batch_names` gives share a call, in an order of their
    own that does not depend on that of `settings`.

    Parameters
    ----------
    settings : sequence of mapping
        One for each factorization.
    V, frequencies, templates
        See `factorize`.

    Returns
    -------
    list of dict or NmfabError
        In the order of `settings`: see `factorize`. A setting that fails spares the others.
    """
    results, groups = [None] * len(settings), {}
    prepared = {}
    for i, params in enumerate(settings):
        try:
            read = parameters(params, templates=templates is not None)
            _refuse(read, frequencies, templates)
            if read["dtype"] not in prepared:
                prepared[read["dtype"]] = _Data(V, read["dtype"], frequencies, templates)
        except NmfabError as error:
            results[i] = error
        else:
            groups.setdefault(_group(read, templates), []).append((i, read))
    for members in groups.values():
        members.sort(key=lambda member: _order(member[1]))
        data = prepared[members[0][1]["dtype"]]
        outcomes = _together(data, [read for _, read in members])
        for (i, _), outcome in zip(members, outcomes, strict=True):
            results[i] = outcome
    return results


def _refuse(read, frequencies, templates):
    reason = skip(
        read, frequencies=frequencies is not None, templates=templates is not None, needs=()
    )
    if reason:
        raise ComputationError(reason)


def _group(read, templates):
    """Return what settings that share a call have in common."""
    names = batch_names(read, templates=templates is not None)
    common = tuple(sorted((name, str(value)) for name, value in read.items() if name not in names))
    # at and below beta 0 zeros of V are masked: see `nmfab.base.divergence`
    return common, read["beta"] <= 0, None if names else object()


def _order(read):
    return read["beta"], sorted((name, str(value)) for name, value in read.items())


class _Data:
    """V checked, divided by its mean, and what goes with it."""

    def __init__(self, V, dtype, frequencies, templates):
        arrays = V if isinstance(V, dict) else {"V": V}
        self.arrays = {name: _checked(name, values, dtype) for name, values in arrays.items()}
        total = sum(values.sum(dtype=np.float64) for values in self.arrays.values())
        self.mean = float(total / sum(values.size for values in self.arrays.values()))
        self.dtype, self.frequencies, self.templates = dtype, frequencies, templates
        self.is_dict = isinstance(V, dict)
        if self.mean > 0:
            # the division in the dtype V came in: a float64 V far from 1 may not fit into float32
            self.arrays = {name: values / self.mean for name, values in self.arrays.items()}
        self.arrays = {name: values.astype(dtype) for name, values in self.arrays.items()}
        self.template_mean = 1.0
        if templates is not None:
            self.templates = _checked("templates", templates, dtype)
            self._check_templates()
            self.template_mean = float(self.templates.mean(dtype=np.float64))

    def _check_templates(self):
        rows = len(self.arrays["V"]) if not self.is_dict else None
        if self.templates.ndim != 2 or len(self.templates) != rows or not self.templates.any():
            raise ComputationError(
                f"templates of shape {self.templates.shape} do not fit V of "
                f"{rows} rows: a matrix (rows × rank) that is not zero is needed"
            )

    def V(self, beta):
        """Return V as the algorithm gets it: read-only, one array or a dict."""
        for values in self.arrays.values():
            values.flags.writeable = False
        return self.arrays if self.is_dict else self.arrays["V"]


def _checked(name, values, dtype):
    values = np.asarray(values)
    if values.dtype.kind not in "fiub" or values.size == 0:
        raise ComputationError(f"{name} of shape {values.shape}, {values.dtype} is not factorized")
    if values.dtype.kind != "f":
        values = values.astype(dtype)
    least, most = float(values.min()), float(values.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ComputationError(f"{name} has NaN or infinite entries: it cannot be factorized")
    if least < 0:
        raise ComputationError(f"{name} has negative entries (down to {least:g})")
    return values


def _together(data, settings):
    """Run settings that share a call; where that call dies as a whole, each one alone."""
    try:
        return _call(data, settings)
    except NmfabError as error:
        if len(settings) == 1:
            return [error]
        logger.warning("a batch of %d failed, each is computed alone: %s", len(settings), error)
    return [_together(data, [read])[0] for read in settings]


def _call(data, settings):
    algorithm = ALGORITHMS[settings[0]["algorithm"]]
    if algorithm.start is None:
        if data.is_dict or data.arrays["V"].ndim != 2:
            raise ComputationError(f"{algorithm.name} factorizes a matrix, and V is none")
        if data.mean == 0:
            return [_silent(data, read) for read in settings]
    on_device = algorithm.arrays == "torch"
    with hold_device(resolve_device(current_resources().device) if on_device else "cpu"):
        loop, filled = _loop(algorithm, data, settings)
        outcomes = loop.run()
    return [
        outcome if isinstance(outcome, Exception) else _result(algorithm, outcome, data, more)
        for outcome, more in zip(outcomes, filled, strict=True)
    ]


def _loop(algorithm, data, settings):
    """Return the `Loop` that computes the settings, and how many components each had to fill."""
    V = data.V(settings[0]["beta"])
    starts = _starts(algorithm, data, V, settings)
    batched = len(settings) > 1
    loop = Loop(
        algorithm,
        _given(algorithm, V),
        _given(algorithm, _stacked([factors for factors, _ in starts], batched)),
        _options(algorithm, data, settings),
        betas=[read["beta"] for read in settings],
        stop=parse_stop(settings[0]["stop"]),
        batched=batched,
        fixed=0 if data.templates is None else data.templates.shape[1],
        ranks=[read.get("rank") for read in settings] if "rank" in algorithm.batch else None,
    )
    return loop, [filled for _, filled in starts]


def prepare(settings, V, frequencies=None, templates=None):
    """Return the `Loop` of one call of the algorithm, for looking at single iterations.

    Arguments are those of `factorize_batch`; the settings must be such that they share a call.
    """
    read = [parameters(params, templates=templates is not None) for params in settings]
    data = _Data(V, read[0]["dtype"], frequencies, templates)
    return _loop(ALGORITHMS[read[0]["algorithm"]], data, read)[0]


def _options(algorithm, data, settings):
    """Return keywords: scalars, or arrays where the settings of a batch differ."""
    each = [keywords(algorithm, read) for read in settings]
    options = {
        name: value if all(other[name] == value for other in each) else
        np.array([other[name] for other in each])
        for name, value in each[0].items()
    }  # fmt: skip
    if data.templates is not None:
        options["fixed"] = data.templates.shape[1]
    return options


def _starts(algorithm, data, V, settings):
    """Return (factors, filled) for each setting, equal ones drawn once."""
    drawn, starts = {}, []
    for read in settings:
        key = tuple(read.get(name) for name in ("rank", "init", "seed"))
        key += (read["beta"],) if algorithm.start is not None else ()
        if key not in drawn:
            drawn[key] = _start(algorithm, data, V, read)
        starts.append(drawn[key])
    return starts


def _start(algorithm, data, V, read):
    if algorithm.start is not None:
        problem = Problem(V, read["beta"], data.frequencies, data.templates)
        factors = algorithm.start(problem, read["rank"], np.random.default_rng(read["seed"]))
        return tuple(np.asarray(factor).astype(data.dtype) for factor in factors), 0
    if data.templates is not None:
        W = data.templates / data.template_mean
        H = np.full((W.shape[1], V.shape[1]), 1 / W.shape[1])  # W and V have mean 1: so has W·H
        return (W.astype(data.dtype), H.astype(data.dtype)), 0
    W, H, filled = starting_factors(
        data.arrays["V"],
        read["rank"],
        init=read["init"],
        seed=read.get("seed", 0),
        frequencies=data.frequencies,
    )
    return (W.astype(data.dtype), H.astype(data.dtype)), filled


def _stacked(starts, batched):
    """Return copies of the factors, with a leading dimension where several share a call.

    Where their ranks differ, components of zeros follow those of the smaller ones.
    """
    if not batched:
        return tuple(np.array(factor) for factor in starts[0])
    stacked = []
    for factors in zip(*starts, strict=True):
        largest = np.max([factor.shape for factor in factors], axis=0)
        more = [[(0, most - size) for most, size in zip(largest, factor.shape, strict=True)]
                for factor in factors]  # fmt: skip
        stacked.append(np.stack([np.pad(*both) for both in zip(factors, more, strict=True)]))
    return tuple(stacked)


def _given(algorithm, arrays):
    """Return arrays as the algorithm takes them: tensors on the device in use, for torch."""
    if algorithm.arrays == "numpy":
        return arrays
    if isinstance(arrays, dict):
        return {name: _given(algorithm, values) for name, values in arrays.items()}
    if isinstance(arrays, tuple):
        return tuple(_given(algorithm, values) for values in arrays)
    import torch

    limit_torch()
    device = resolve_device(current_resources().device)
    if arrays.ndim == 2 and arrays.shape[1] > arrays.shape[0]:
        # the longer side first in memory, which is how V is swept: no algorithm needs a second copy
        return torch.from_numpy(np.array(arrays.T, order="C")).to(device).mT
    return torch.from_numpy(np.array(arrays, order="C")).to(device)


def _result(algorithm, outcome, data, filled):
    arrays = dict(outcome.arrays)
    if algorithm.kind is None:
        arrays = {name: values.astype(data.dtype, copy=False) for name, values in arrays.items()}
        if data.templates is None:
            arrays["W"] = arrays["W"] * data.mean
        else:
            arrays["W"] = data.templates.astype(data.dtype)
            arrays["H"] = arrays["H"] * (data.mean / data.template_mean)
    curve = {name: np.array(values) for name, values in outcome.curve.items()}
    return arrays | curve | {"stopped": outcome.stopped, "filled": filled, "scale": data.mean}


def _silent(data, read):
    V = data.arrays["V"]
    W = data.templates
    if W is None:
        W = np.ones((V.shape[0], read["rank"]))
    curve = {name: np.zeros(1) for name in ("loss", "kkt", "seconds")}
    return {
        "W": W.astype(data.dtype),
        "H": np.zeros((W.shape[1], V.shape[1]), dtype=data.dtype),
        **curve,
        "iteration": np.zeros(1, dtype=int),
        "stopped": "silent",
        "filled": 0,
        "scale": 0.0,
    }
