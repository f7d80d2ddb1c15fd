"""The loop around an algorithm's generator: it counts, measures, stops and refuses."""

import logging
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter

import numpy as np

from nmfab.algorithms.contract import Factorization
from nmfab.algorithms.measuring import measure
from nmfab.algorithms.settings import CAP
from nmfab.base.divergence import divergence
from nmfab.base.errors import ComputationError, NmfabError
from nmfab.engine.torch_crew import one_thread

logger = logging.getLogger("nmfab")


@dataclass
class Outcome:
    """Where one problem ended, on the host, and how it came there.

    Attributes
    ----------
    arrays : dict of ndarray
        W and H, or the arrays of the algorithm's own kind of factorization.
    curve : dict of list
        ``iteration``, ``seconds``, ``loss``, ``kkt`` (NaN for a kind of its own) and, where the
        algorithm yields a loss of its own (one with a penalty, say), ``objective``.
    stopped : str
        ``"iterations"``, ``"seconds"``, ``"kkt"``, ``"cap"`` or ``"itself"``.
    """

    arrays: dict = field(default_factory=dict)
    curve: dict = field(default_factory=dict)
    stopped: str = ""


class Loop:
    """One call of an algorithm on one V, for one or more problems in a batch.

    Parameters
    ----------
    algorithm : Algorithm
    V : array, or dict of arrays
        What the algorithm receives.
    factors : tuple of array
        The start, W and H first, with a leading dimension where `batched`.
    options : dict
        Keywords for the function.
    betas : sequence of float
        One for each problem.
    stop : Stop
    batched : bool
    fixed : int
        The first `fixed` columns of W are held: the residual looks at the others and at H.
    ranks : list of int, optional
        Where those of a batch may differ: components that follow are padding, and cut off.
    """

    def __init__(
        self, algorithm, V, factors, options, *,
        betas, stop, batched=False, fixed=0, ranks=None,
    ):  # fmt: skip
        self.algorithm, self.V, self.factors, self.options = algorithm, V, factors, options
        self.betas, self.stop, self.batched, self.fixed = betas, stop, batched, fixed
        self.ranks = ranks
        self.due = _checkpoints(stop.kkt is not None)  # iterations to measure at
        self.seconds = 0.0
        self.outcomes = [Outcome() for _ in betas]
        self.alive = list(range(len(betas)))
        self.on_gpu = any(getattr(factor, "is_cuda", False) for factor in factors)

    def run(self):
        """Return, for each problem, its `Outcome` or the ComputationError that ended it."""
        if self.algorithm.kind is None:
            self.shapes = [
                [tuple(factor.shape) for factor in self.pick(self.factors[:2], b)]
                for b in self.alive
            ]
            self._checkpoint(self.factors[:2], 0, "")
        if self.algorithm.stops == "self":
            self._run_self()
        else:
            self._run_counted()
        return self.outcomes

    def _run_self(self):
        n_iter = self.stop.iterations
        generator = self.begin(n_iter=n_iter)
        state = self._next(generator, n_iter)
        self._finish(generator, state, n_iter, "iterations")

    def _run_counted(self):
        generator = self.begin()
        state, iteration = None, 0
        while self.alive:
            following = self._next(generator, iteration + 1)
            if following is None:
                self._finish(generator, state, iteration, "itself")
                return
            state, iteration = following, iteration + 1
            reason = self._reason(iteration)
            if reason:
                self._finish(generator, state, iteration, reason)
                return
            if iteration in self.due:
                self._checkpoint(state, iteration, "")
        _close(generator)

    def _reason(self, iteration):
        if self.stop.seconds is not None and self.seconds >= self.stop.seconds:
            return "seconds"
        if iteration < self.stop.iterations:
            return ""
        return "iterations" if self.stop.seconds is self.stop.kkt is None else "cap"

    def begin(self, **more):
        """Call the function; nothing of it is timed before the first iteration."""
        with self._blamed(0):
            return iter(self.algorithm.function(self.V, *self.factors, **self.options, **more))

    @contextmanager
    def _blamed(self, iteration):
        """Turn whatever the algorithm raises into an error that names it."""
        try:
            yield
        except NmfabError:
            raise
        except Exception as error:
            raise ComputationError(
                f"{self.algorithm.name} failed at iteration {iteration}: {error!r}"
            ) from error

    def _next(self, generator, iteration):
        begin = perf_counter()
        with self._blamed(iteration):
            state = next(generator, None)
        if self.stop.seconds is not None:
            self._synchronize()
        self.seconds += perf_counter() - begin
        return state

    def _finish(self, generator, state, iteration, reason):
        _close(generator)
        if state is None:
            raise ComputationError(f"{self.algorithm.name} ended before it yielded anything")
        if reason == "cap":
            logger.warning(
                "%s: not at its stop after %d iterations, the most that are run",
                self.algorithm.name, CAP,
            )  # fmt: skip
        self._checkpoint(state, iteration, reason)

    def _checkpoint(self, state, iteration, reason):
        """Measure every problem; keep the factors of those that are through."""
        begin = perf_counter()
        self._synchronize()
        self.seconds += perf_counter() - begin
        for b in list(self.alive):
            try:
                done = self._measure(b, self.pick(state, b), iteration)
            except ComputationError as error:
                self.outcomes[b] = error
                self.alive.remove(b)
                continue
            if reason or (done and iteration):
                self.outcomes[b].arrays = _on_host(self.pick(state, b))
                # the residual may be reached on the last iteration that is allowed
                self.outcomes[b].stopped = "kkt" if done else reason
                self.alive.remove(b)

    def pick(self, state, b):
        """Return problem b's `Factorization`, or its (W, H) or (W, H, loss)."""
        kind, name = self.algorithm.kind, self.algorithm.name
        if kind is not None:
            if not isinstance(state, kind):
                raise ComputationError(f"{name} yields {type(state).__name__}, not {kind.__name__}")
            return state
        if isinstance(state, Factorization):
            raise ComputationError(f"{name} yields {type(state).__name__}: declare it as kind=")
        if not isinstance(state, (tuple, list)) or len(state) not in (2, 3):
            raise ComputationError(f"{name} yields {type(state).__name__}, not W, H or W, H, loss")
        if not self.batched:
            return tuple(state)
        loss = state[2:] if len(state) == 2 or np.ndim(state[2]) == 0 else (state[2][b],)
        W, H = state[0][b], state[1][b]
        rank = self.ranks[b] if self.ranks and self.ranks[b] else len(H)
        return W[:, :rank], H[:rank], *loss

    def _measure(self, b, model, iteration):
        """Append one point to the curve; tell whether the residual asked for is reached."""
        if isinstance(model, Factorization):
            point = {"loss": self._own_loss(model, b, iteration), "kkt": math.nan}
        else:
            W, H = model[:2]
            self._refuse({"W": W, "H": H}, iteration)
            given = [tuple(W.shape), tuple(H.shape)]
            if given != self.shapes[b]:
                raise ComputationError(
                    f"{self.algorithm.name}: W {given[0]} and H {given[1]} at iteration "
                    f"{iteration}, expected {self.shapes[b][0]} and {self.shapes[b][1]}"
                )
            W, H = _like(self.V, W), _like(self.V, H)
            loss, kkt = measure(self.V, W, H, self.betas[b], fixed=self.fixed)
            point = {"loss": loss, "kkt": kkt}
            if len(model) == 3:
                point["objective"] = float(model[2])
        point |= {"iteration": iteration, "seconds": self.seconds}
        for name, value in point.items():
            self.outcomes[b].curve.setdefault(name, []).append(value)
        return self.stop.kkt is not None and point["kkt"] < self.stop.kkt

    def _own_loss(self, model, b, iteration):
        model_of = model.reconstruction()
        V, model_of = (x if isinstance(x, dict) else {"V": x} for x in (self.V, model_of))
        self._refuse(model_of, iteration)
        return sum(divergence(V[name], model_of[name], self.betas[b]) for name in V)

    def _refuse(self, arrays, iteration):
        for name, values in arrays.items():
            least, most = _range(values)  # NaN if any entry is
            if not (least >= 0 and math.isfinite(most)):
                what = "a negative entry" if least < 0 else "NaN or infinity"
                raise ComputationError(
                    f"{self.algorithm.name}: {what} in {name} at iteration {iteration}"
                )

    def _synchronize(self):
        if self.on_gpu:
            import torch

            torch.cuda.synchronize()


def _close(generator):
    if hasattr(generator, "close"):  # any iterator serves
        generator.close()


@cache
def _checkpoints(often):
    """Return the iterations at which to measure: 1, 10, 100 and then five in two decades.

    A measurement takes as long as one to three iterations, and all of them are to take little
    next to 200, of which they see the start, these three and the end. Where the residual stops, it
    is looked at `often`: every 20 iterations, or at steps of a tenth once those are larger.
    """
    later = range(math.ceil(2.5 * math.log10(CAP / 100)) + 1)
    due = {1, 10} | {round(100 * 10 ** (2 * k / 5)) for k in later}
    iteration = 20
    while often and iteration < CAP:
        due.add(iteration)
        iteration += max(20, iteration // 10)
    return frozenset(due)


def _range(values):
    """Return the least and the largest entry."""
    if isinstance(values, np.ndarray):
        return float(values.min()), float(values.max())
    if values.device.type != "cpu":
        return tuple(map(float, values.aminmax()))
    with one_thread():  # threads that meet after every operation take longer on a busy machine
        return tuple(map(float, values.aminmax()))


def _like(V, factor):
    """Return a factor in V's dtype: an algorithm may compute in a wider one."""
    if factor.dtype == V.dtype:
        return factor
    return factor.astype(V.dtype) if isinstance(factor, np.ndarray) else factor.to(V.dtype)


def _on_host(model):
    if isinstance(model, Factorization):
        arrays = dict(model.arrays())
        for name, method in (("W", "templates"), ("H", "activations")):
            if name not in arrays and hasattr(model, method):
                arrays[name] = getattr(model, method)()
    else:
        arrays = {"W": model[0], "H": model[1]}
    return {name: to_host(value) for name, value in arrays.items()}


def to_host(value):
    """Return a copy in main memory of an array or a tensor of any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.array(value, order="C")
