"""The loop around an algorithm's generator: it counts, measures, stops and refuses."""

import logging
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter

import numpy as np

from nmfab.algorithms.measuring import measure
from nmfab.algorithms.settings import CAP
from nmfab.base.divergence import divergence
from nmfab.base.errors import ComputationError, NmfabError
from nmfab.base.kinds import Factorization, LowRank
from nmfab.base.kinds.contract import field_of
from nmfab.base.resources import current_resources
from nmfab.engine import one_thread

logger = logging.getLogger("nmfab")


@dataclass
class Outcome:
    """Where one problem ended, on the host, and how it came there.

    Attributes
    ----------
    model : Factorization
        On V divided by its scale.
    curve : dict of list
        ``iteration``, ``seconds``, ``loss``, ``kkt`` (NaN where it is not measured) and, where the
        algorithm yields one, ``objective`` (NaN at the start).
    stopped : str
        ``"iterations"``, ``"seconds"``, ``"kkt"``, ``"cap"`` or ``"itself"``.
    """

    model: Factorization | None = None
    curve: dict = field(default_factory=dict)
    stopped: str = ""


class Loop:
    """One call of an algorithm on one V, for one or more problems in a batch.

    Parameters
    ----------
    algorithm : Algorithm
    V : array, or dict of arrays
        What the algorithm receives.
    start : Factorization
        With a leading dimension where `batched`.
    options : dict
        Keywords for the function.
    betas : sequence of float
        One for each problem.
    stop : Stop
    batched : bool
    fixed : int
        The first `fixed` templates are held: the residual looks at the others and at H.
    ranks : list of int, optional
        Where those of a batch may differ: components that follow are padding, and cut off.
    seconds : float
        Of the algorithm's own start.
    """

    def __init__(
        self, algorithm, V, start, options, *,
        betas, stop, batched=False, fixed=0, ranks=None, seconds=0.0,
    ):  # fmt: skip
        self.algorithm, self.V, self.start, self.options = algorithm, V, start, options
        self.betas, self.stop, self.batched, self.fixed = betas, stop, batched, fixed
        self.ranks = ranks
        # iterations to measure at
        self.due = _asked(stop.iterations) or _checkpoints(stop.kkt is not None)
        self.seconds = seconds
        self.outcomes = [Outcome() for _ in betas]
        self.alive = list(range(len(betas)))
        self.on_gpu = any(getattr(a, "is_cuda", False) for a in start.arrays().values())

    @property
    def factors(self):
        """What the function is given after V: W and H, or the model."""
        return (self.start.W, self.start.H) if self.algorithm.plain else (self.start,)

    def run(self):
        """Return, for each problem, its `Outcome` or the ComputationError that ended it."""
        self.shapes = [_shapes(self.pick(self.start, b)[0]) for b in self.alive]
        self._checkpoint(self.start, 0, "")
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
        except (Exception, SystemExit) as error:  # sys.exit of a plug-in must not end the run
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
        if reason == "itself":
            logger.warning(
                "%s ended by itself after %d iterations, before the stop that the others have",
                self.algorithm.name, iteration,
            )  # fmt: skip
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
                model, objective = self.pick(state, b)
                done = self._measure(b, model, objective, iteration)
            except ComputationError as error:
                self.outcomes[b] = error
                self.alive.remove(b)
                continue
            if reason or (done and iteration):
                self._report(b, model)
                self.outcomes[b].model = model.mapped(to_host)
                # the residual may be reached on the last iteration that is allowed
                self.outcomes[b].stopped = "kkt" if done else reason
                self.alive.remove(b)

    def pick(self, state, b):
        """Return problem b's model, and the objective that was yielded with it, or None."""
        kind, name = self.algorithm.gives, self.algorithm.name
        model, objective = _unfolded(state, self.algorithm)
        if not isinstance(model, kind):
            wanted = "W, H or W, H, objective" if self.algorithm.plain else kind.__name__
            raise ComputationError(f"{name} yields {type(state).__name__}, not {wanted}")
        if self.batched:
            rank = self.ranks[b] if self.ranks and self.ranks[b] else None
            model = model.problem(b, rank)
            objective = objective[b] if np.ndim(objective) else objective
        return model, objective

    def _measure(self, b, model, objective, iteration):
        """Append one point to the curve; tell whether the residual asked for is reached."""
        self._refuse(model, iteration)
        given = _shapes(model)
        if given != self.shapes[b]:
            raise ComputationError(
                f"{self.algorithm.name}: {_told(given)} at iteration {iteration}, expected "
                f"{_told(self.shapes[b])}"
            )
        loss, kkt = self._looked_at(model, self.betas[b], iteration)
        point = {"iteration": iteration, "seconds": self.seconds, "loss": loss, "kkt": kkt}
        curve = self.outcomes[b].curve
        if objective is not None:
            # the start has no objective: the algorithm has not been asked yet
            curve.setdefault("objective", [math.nan] * len(curve.get("loss", ())))
            point["objective"] = float(objective)
        for name, value in point.items():
            curve.setdefault(name, []).append(value)
        return self.stop.kkt is not None and kkt < self.stop.kkt

    def _looked_at(self, model, beta, iteration):
        """Return the divergence, and the stationarity residual where it can be measured."""
        if self.algorithm.plain:
            W, H = _like(self.V, model.W), _like(self.V, model.H)
            return measure(self.V, W, H, beta, fixed=self.fixed)
        found = model.reconstruction()
        found, V = (x if isinstance(x, dict) else {"V": x} for x in (found, self.V))
        for name, values in found.items():
            self._refuse_array(f"the reconstruction of {name}", values, iteration)
        if self.algorithm.takes == "mixture":
            V = {name: abs(values) ** 2 for name, values in V.items()}
        return sum(divergence(V[name], found[name], beta) for name in V), math.nan

    def _report(self, b, model):
        """Warn of an end that no user would expect: above the start, or zero where V is not."""
        curve = self.outcomes[b].curve
        values = curve.get("objective", curve["loss"])
        first = next((value for value in values if not math.isnan(value)), math.nan)
        name, beta = self.algorithm.name, self.betas[b]
        if values[-1] > first * (1 + 1e-6):
            logger.warning("%s, beta %g: ended above where it started", name, beta)
        if self.algorithm.plain and beta <= 1 and self._zeros(model):
            logger.warning(
                "%s, beta %g: W·H is 0 where V is not, an infinite divergence that the floor of "
                "the model hides",
                name, beta,
            )  # fmt: skip

    def _zeros(self, model):
        """Tell whether the model is zero in a row or column of V that is not."""
        product = model.H.sum(-1), model.W.sum(0)  # of what reaches each component
        rows = model.W @ product[0].reshape(-1, 1)
        columns = product[1].reshape(1, -1) @ model.H
        silent_row = (rows.reshape(-1) == 0) & (self.V.sum(1) > 0)
        silent_column = (columns.reshape(-1) == 0) & (self.V.sum(0) > 0)
        return bool(silent_row.any() or silent_column.any())

    def _refuse(self, model, iteration):
        for name, values in model.arrays().items():
            self._refuse_array(name, values, iteration, signed=field_of(name) in model.signed)

    def _refuse_array(self, name, values, iteration, *, signed=False):
        where = f"in {name} at iteration {iteration}"
        if _is_complex(values):
            if not signed:
                raise ComputationError(f"{self.algorithm.name}: complex entries {where}")
            values = abs(values)
        least, most = _range(values)  # NaN if any entry is
        if not (math.isfinite(least) and math.isfinite(most)):
            raise ComputationError(f"{self.algorithm.name}: NaN or infinity {where}")
        if least < 0 and not signed:
            raise ComputationError(f"{self.algorithm.name}: a negative entry {where}")

    def _synchronize(self):
        if self.on_gpu:
            import torch

            torch.cuda.synchronize()


def _close(generator):
    if hasattr(generator, "close"):  # any iterator serves
        generator.close()


def _asked(last):
    """Return the iterations of a curve of as many points as is asked for, or None."""
    points = current_resources().curve
    if points is None:
        return None
    if points >= last:
        return frozenset(range(1, last + 1))
    return frozenset(round(float(i)) for i in np.geomspace(1, last, points))


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


def _unfolded(state, algorithm):
    """Return the model that was yielded and the objective beside it, or None."""
    if algorithm.plain and isinstance(state, (tuple, list)) and len(state) in (2, 3):
        if isinstance(state[0], Factorization):
            return state[0], state[1]
        return LowRank(*state[:2]), (state[2] if len(state) == 3 else None)
    if isinstance(state, (tuple, list)) and len(state) == 2:
        return tuple(state)
    return state, None


def _shapes(model):
    return {name: tuple(values.shape) for name, values in model.arrays().items()}


def _told(shapes):
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def _is_complex(values):
    kind = getattr(values.dtype, "kind", None)  # NumPy's; torch's dtype says it by itself
    return kind == "c" if kind is not None else values.dtype.is_complex


def to_host(value):
    """Return a copy in main memory of an array or a tensor of any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.array(value, order="C")
