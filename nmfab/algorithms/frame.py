"""The frame around every algorithm: V checked and scaled, the start drawn, the result scaled back.

V is divided by its mean (a complex spectrum by its root mean square, each view by its own mean),
because floors and tolerances inside libraries are absolute; the model is scaled back at the end:
its templates, or its activations where templates are held. `settings` says what of a setting is
read, `data` holds V, `loop` runs the generator.
"""

import logging
from time import perf_counter

import numpy as np

from nmfab.algorithms.contract import ALGORITHMS
from nmfab.algorithms.data import Data
from nmfab.algorithms.init import starting_factors
from nmfab.algorithms.loop import Loop, to_host
from nmfab.algorithms.problem import frequencies_of
from nmfab.algorithms.settings import (
    batch_names,
    beta_of,
    keywords,
    parameters,
    parse_stop,
    skip,
    versions,
)
from nmfab.base.errors import ComputationError, NmfabError
from nmfab.base.kinds import LowRank
from nmfab.base.resources import current_resources, hold_device, limit_torch, resolve_device

logger = logging.getLogger("nmfab")

__all__ = [
    "batch_names",
    "factorize",
    "factorize_batch",
    "parameters",
    "prepare",
    "skip",
    "versions",
]


def factorize(params, V, view=None, fixed=None, start=None):
    """Factorize V by one setting.

    Parameters
    ----------
    params : mapping
        The setting; see `settings.parameters` for what is read.
    V : ndarray [shape=(m, n)], or in another form
        What the algorithm takes (`algorithm`'s ``takes``): nonnegative and finite, complex for a
        mixture, a dict of matrices for views.
    view : View, or dict of View, optional
        How V was made: frequencies (for the harmonic start), times, rate, window, power.
    fixed : ndarray [shape=(m, k) or (T, m, k)], optional
        Templates that the first k components hold. Where `params` name a larger rank, the others
        are free; where they name none, there are no others.
    start : Factorization, optional
        The start, on V's scale; `init` and `seed` are then not used.

    Returns
    -------
    Factorization
        Of the kind that the algorithm gives, NumPy arrays in the dtype asked for, on V's scale. Its
        ``curve`` has ``iteration``, ``seconds`` (the algorithm's own and those of its own start,
        without measuring), ``loss`` (the β-divergence from V divided by its scale, summed over
        entries) and ``kkt`` (`nmfab.base.divergence.stationarity`) at iterations 0 (the start), 1,
        10, 100, then at five in every two decades, and at the end; ``objective`` where the
        algorithm yields one (NaN at the start).

        A silent V (all zeros) is not iterated on: the model of it is silent.

    Raises
    ------
    ComputationError
        If V cannot be factorized so, or the algorithm gives NaN or negative entries.
    """
    result = factorize_batch([params], V, view, fixed, start)[0]
    if isinstance(result, Exception):
        raise result
    return result


def factorize_batch(settings, V, view=None, fixed=None, start=None):
    """Factorize one V by several settings, in as few calls of the algorithm as can be.

    Settings that differ in nothing but what `batch_names` gives share a call, in an order of their
    own that does not depend on that of `settings`.

    Parameters
    ----------
    settings : sequence of mapping
        One for each factorization.
    V, view, fixed, start
        See `factorize`.

    Returns
    -------
    list of Factorization or NmfabError
        In the order of `settings`. A setting that fails spares the others.
    """
    results, groups = [None] * len(settings), {}
    prepared = {}
    for i, params in enumerate(settings):
        try:
            held = _held(params, fixed)
            read = parameters(params, held=held)
            algorithm = ALGORITHMS[read["algorithm"]]
            _refuse(read, held, view)
            form = (algorithm.takes, read["dtype"])
            if form not in prepared:
                prepared[form] = Data(V, *form, view=view, fixed=fixed, start=start)
        except NmfabError as error:
            results[i] = error
        else:
            groups.setdefault(_group(read, held), []).append((i, read, prepared[form]))
    for members in groups.values():
        members.sort(key=lambda member: _order(member[1]))
        outcomes = _together(members[0][2], [read for _, read, _ in members])
        for (i, _, _), outcome in zip(members, outcomes, strict=True):
            results[i] = outcome
    return results


def _held(params, fixed):
    """Return whether none, some or all templates are held."""
    if fixed is None:
        return "none"
    count = np.shape(fixed)[-1]
    rank = params.get("rank", count)
    if rank < count:
        raise ComputationError(f"{count} templates are to be held: rank {rank} is too small")
    return "some" if rank > count else "all"


def _refuse(read, held, view):
    form = (ALGORITHMS[read["algorithm"]].takes,)
    reason = skip(read, frequencies=frequencies_of(view) is not None, held=held, forms=form)
    if reason:
        raise ComputationError(reason)


def _group(read, held):
    """Return what settings that share a call have in common."""
    names = batch_names(read, held=held)
    common = tuple(sorted((name, str(value)) for name, value in read.items() if name not in names))
    # at and below beta 0 algorithms are given another V: see `nmfab.base.divergence.silenced`
    return common, (beta_of(read) or 0) <= 0, None if names else object()


def _order(read):
    return read.get("beta", 0), sorted((name, str(value)) for name, value in read.items())


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
    if data.silent:
        return [_silent(algorithm, data, read) for read in settings]
    on_device = algorithm.arrays == "torch"
    with hold_device(resolve_device(current_resources().device) if on_device else "cpu"):
        loop, starts = _loop(algorithm, data, settings)
        outcomes = loop.run()
    return [
        outcome if isinstance(outcome, Exception) else _result(outcome, data, start, len(settings))
        for outcome, start in zip(outcomes, starts, strict=True)
    ]


def _loop(algorithm, data, settings):
    """Return the `Loop` that computes the settings, and their starts."""
    begin = perf_counter()
    starts = [_start(algorithm, data, read) for read in settings]
    # a start of the algorithm's own is part of its work
    seconds = perf_counter() - begin if algorithm.start is not None else 0.0
    batched = len(settings) > 1
    loop = Loop(
        algorithm,
        _given(algorithm, data.given(beta_of(settings[0]))),
        _stacked(starts, batched).mapped(lambda array: _given(algorithm, array)),
        _options(algorithm, data, settings),
        betas=[beta_of(read) for read in settings],
        stop=parse_stop(settings[0]["stop"]),
        batched=batched,
        fixed=data.n_fixed,
        ranks=[read.get("rank") for read in settings] if "rank" in algorithm.batch else None,
        seconds=seconds,
    )
    return loop, starts


def prepare(settings, V, view=None, fixed=None, start=None):
    """Return the `Loop` of one call of the algorithm, for looking at single iterations.

    Arguments are those of `factorize_batch`; the settings must be such that they share a call.
    """
    read = [parameters(params, held=_held(params, fixed)) for params in settings]
    algorithm = ALGORITHMS[read[0]["algorithm"]]
    data = Data(V, algorithm.takes, read[0]["dtype"], view=view, fixed=fixed, start=start)
    return _loop(algorithm, data, read)[0]


def _options(algorithm, data, settings):
    """Return keywords: scalars, or arrays where the settings of a batch differ."""
    each = [keywords(algorithm, read) for read in settings]
    options = {
        name: value if all(other[name] == value for other in each) else
        np.array([other[name] for other in each])
        for name, value in each[0].items()
    }  # fmt: skip
    if data.n_fixed:
        options["fixed"] = data.n_fixed
    return options


def _start(algorithm, data, read):
    """Return the start of one setting: a model in the dtype asked for."""
    if data.start is not None:
        model = _given_start(algorithm, data)
    elif algorithm.start is not None:
        model = algorithm.start(data.problem(algorithm, read))
        model = LowRank(*model) if isinstance(model, tuple) else model
        if not isinstance(model, algorithm.gives):
            raise ComputationError(
                f"{algorithm.name} starts from {type(model).__name__}, not "
                f"{algorithm.gives.__name__}"
            )
    else:
        model = _usual_start(data, read)
    return model.mapped(data.in_dtype)


def _given_start(algorithm, data):
    if not isinstance(data.start, algorithm.gives):
        raise ComputationError(
            f"{algorithm.name} starts from a factorization of the kind {algorithm.gives.name}, "
            f"and the start is {type(data.start).__name__}"
        )
    model = data.start.scaled(data.inverse_factors())
    shapes = [_shapes(x) for x in (model.reconstruction(), data.V)]
    if shapes[0] != shapes[1]:
        raise ComputationError(f"the start is a model of V {shapes[0]}, and V is {shapes[1]}")
    return model


def _shapes(V):
    return {name: x.shape for name, x in V.items()} if isinstance(V, dict) else V.shape


def _usual_start(data, read):
    """Return the shared start of a plain W·H; activations of held templates start constant."""
    V, held = data.arrays["V"], data.fixed_unit
    if held is None:
        W, H, filled = _drawn(V, read["rank"], read, data)
        model = LowRank(W, H)
        model.filled = filled
        return model
    rank = read.get("rank", held.shape[1])
    W, filled = held, 0
    if rank > held.shape[1]:
        free, _, filled = _drawn(V, rank - held.shape[1], read, data)
        W = np.hstack([held, free / free.mean()])
    # W and V have mean 1: so has W·H
    model = LowRank(W, np.full((rank, V.shape[1]), 1 / rank))
    model.filled = filled
    return model


def _drawn(V, rank, read, data):
    options = {"init": read["init"], "seed": read.get("seed", 0)}
    return starting_factors(V, rank, **options, frequencies=data.frequencies)


def _stacked(starts, batched):
    """Return copies of the starts as one, with a leading dimension where several share a call.

    Where their ranks differ, components of zeros follow those of the smaller ones.
    """
    if not batched:
        return starts[0].mapped(np.array)
    stacked = []
    for factors in zip(*((start.W, start.H) for start in starts), strict=True):
        largest = np.max([factor.shape for factor in factors], axis=0)
        more = [[(0, most - size) for most, size in zip(largest, factor.shape, strict=True)]
                for factor in factors]  # fmt: skip
        stacked.append(np.stack([np.pad(*both) for both in zip(factors, more, strict=True)]))
    return LowRank(*stacked)


def _given(algorithm, arrays):
    """Return arrays as the algorithm takes them: tensors on the device in use, for torch."""
    if algorithm.arrays == "numpy":
        return arrays
    if isinstance(arrays, dict):
        return {name: _given(algorithm, values) for name, values in arrays.items()}
    import torch

    limit_torch()
    device = resolve_device(current_resources().device)
    if arrays.ndim == 2 and arrays.shape[1] > arrays.shape[0]:
        # the longer side first in memory, which is how V is swept: no algorithm needs a second copy
        return torch.from_numpy(np.array(arrays.T, order="C")).to(device).mT
    return torch.from_numpy(np.array(arrays, order="C")).to(device)


def _result(outcome, data, start, batch):
    model = outcome.model.mapped(data.in_dtype).scaled(data.factors(), fixed=data.fixed)
    model = model.mapped(data.in_dtype)
    model.curve = {name: np.array(values) for name, values in outcome.curve.items()}
    model.stopped, model.filled = outcome.stopped, start.filled
    model.scale, model.batch = data.scale, batch
    extra = {**(start.extra or {}), **(outcome.model.extra or {})}
    model.extra = {name: to_host(value) for name, value in extra.items()} or None
    return model


def _silent(algorithm, data, read):
    """Return a silent model of a silent V."""
    if algorithm.plain and algorithm.start is None:
        V, W = data.arrays["V"], data.fixed
        W = np.ones((V.shape[0], read["rank"])) if W is None else W
        model = LowRank(W, np.zeros((W.shape[1], V.shape[1]))).mapped(data.in_dtype)
    else:
        start = _start(algorithm, data.sounding(), read)
        model = start.scaled(data.factors(), fixed=data.fixed).mapped(data.in_dtype)
    model.curve = {name: np.zeros(1) for name in ("loss", "kkt", "seconds")}
    model.curve["iteration"] = np.zeros(1, dtype=int)
    model.stopped, model.filled, model.scale, model.extra = "silent", 0, data.scale, None
    return model
