"""The checks of the conformance suite: what holds for every algorithm, ours and a user's alike.

Each is a function of a `Trial` (an algorithm and an example of the form of V that it takes) and
returns what it saw, or raises `Failed`. A check that has nothing to look at returns None, and is
not applicable.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nmfab.algorithms import frame
from nmfab.algorithms.contract import Algorithm
from nmfab.algorithms.examples import example, with_silence, with_zeros
from nmfab.algorithms.loop import to_host
from nmfab.base.kinds import has, restored, stored
from nmfab.base.kinds.contract import field_of

BETAS = (2, 1, 0, 0.5, 3)
RANK = 4
ITERATIONS = 10


class Failed(Exception):
    """A check that does not hold; its text says what was seen."""


@dataclass(frozen=True)
class Trial:
    """An algorithm on small synthetic problems of the form that it takes."""

    algorithm: Algorithm

    @property
    def V(self):
        """A new example of V: a matrix 24 × 30, or what else the algorithm takes."""
        return example(self.algorithm.takes)

    def settings(self, **more):
        """Return one setting per beta that the algorithm accepts."""
        algorithm = self.algorithm
        betas = BETAS if algorithm.betas is None else algorithm.betas
        betas = betas if algorithm.reads_beta else (algorithm.shown_beta,)
        base = {"algorithm": algorithm.name, "rank": self.rank, "init": "random"}
        base |= {"stop": ITERATIONS, "dtype": "float64", **more}
        settings = [base | {"beta": beta} for beta in betas]
        left = [setting for setting in settings if not self._skipped(setting)]
        if not left:
            raise Failed(f"skips every beta tried: {self._skipped(settings[0])}")
        return left

    def _skipped(self, setting):
        return frame.skip(setting, forms=(self.algorithm.takes,))

    @cached_property
    def rank(self):
        """The rank that is tried: `RANK`, or the one that the model has by its nature."""
        base = {"algorithm": self.algorithm.name, "init": "random"}
        for rank in (RANK, 88):
            if not all(
                self._skipped({**base, "rank": rank, "beta": beta})
                for beta in (self.algorithm.betas or BETAS)
            ):
                return rank
        return RANK

    def run(self, setting, V=None, **more):
        """Return the factorization of an example, or of V."""
        return frame.factorize(setting, self.V if V is None else V, **more)


def _reconstruction(model):
    """Return the reconstruction as one flat array."""
    found = model.reconstruction()
    return (
        np.concatenate([part.ravel() for part in found.values()])
        if isinstance(found, dict)
        else np.asarray(found).ravel()
    )


def _close(first, second, tolerance, what):
    """Return the largest difference of two models relative to the largest entry, or fail.

    Each is a factorization, or its reconstruction.
    """
    x, y = (m if isinstance(m, np.ndarray) else _reconstruction(m) for m in (first, second))
    worst = np.abs(x - y).max() / max(np.abs(y).max(), 1e-300)
    if not worst <= tolerance:
        raise Failed(f"{what} differ by {worst:.1e} of the largest entry, more than {tolerance:g}")
    return worst


def check_yields(trial):
    """Drive the generator by hand: what it yields, how often, and that V is left alone."""
    algorithm = trial.algorithm
    for setting in trial.settings():
        loop = frame.prepare([setting], trial.V)
        before = _copied(loop.V)
        own = {"n_iter": ITERATIONS} if algorithm.stops == "self" else {}
        generator = loop.begin(**own)
        count = 0
        for state in generator:
            count += 1
            _check_arrays(algorithm, loop.pick(state, 0)[0])
            if count == ITERATIONS:
                break
        if count != (1 if algorithm.stops == "self" else ITERATIONS):
            raise Failed(f"yields {count} times, with stops={algorithm.stops!r}")
        if not all(np.array_equal(x, y) for x, y in zip(before, _copied(loop.V), strict=True)):
            raise Failed("changes V, which other algorithms read too")
    return "once" if algorithm.stops == "self" else "after each iteration; V is left as it was"


def _copied(V):
    return [to_host(values) for values in (V.values() if isinstance(V, dict) else [V])]


def _check_arrays(algorithm, model):
    for name, value in model.arrays().items():
        found = type(value).__module__.partition(".")[0]
        if found != algorithm.arrays:
            raise Failed(f"{name} is of {found}, and arrays={algorithm.arrays!r} is declared")


def check_shapes(trial):
    """Check the shapes of reconstruction, templates and activations."""
    V = trial.V
    smaller = {name: v[:12] for name, v in V.items()} if isinstance(V, dict) else V[:12]
    for data in (V, smaller):
        model = trial.run(trial.settings()[0], data)
        found, wanted = (
            x if isinstance(x, dict) else {"V": x} for x in (model.reconstruction(), data)
        )
        shapes = [{name: np.shape(x) for name, x in one.items()} for one in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise Failed(f"V is {shapes[1]}, and its reconstruction {shapes[0]}")
        if has(type(model), "activations") and len(model.activations()) != trial.rank:
            raise Failed(f"rank {trial.rank} is wanted: {len(model.activations())} activations")
        if has(type(model), "templates") and model.templates().shape[1] != trial.rank:
            raise Failed(f"rank {trial.rank} is wanted: templates {model.templates().shape}")
    return f"of V and of a smaller one, rank {trial.rank}"


def check_nonnegativity(trial):
    """Check that no entry is negative or complex, at any of the checkpoints."""
    for setting in trial.settings():
        model = trial.run(setting)
        arrays = {"reconstruction": _reconstruction(model)}
        arrays |= {n: v for n, v in model.arrays().items() if field_of(n) not in model.signed}
        for name, values in arrays.items():
            if np.iscomplexobj(values) or not (values >= 0).all():
                raise Failed(f"{_beta(setting)}: a negative or complex entry in {name}")
    return f"at every checkpoint of {ITERATIONS} iterations"


def check_loss(trial):
    """Check that the objective (the divergence, where none is yielded) never rises, and falls."""
    rises = []
    for setting in trial.settings():
        curve = _curve(trial, setting)
        values = np.array(curve.get("objective", curve["loss"]))
        values = values[~np.isnan(values)]
        worst = max(np.diff(values) / np.abs(values[:-1]), default=0)
        if worst > 1e-9:
            rises.append(f"{_beta(setting)}: by {worst:.1e} of its value")
        if not values[-1] < values[0]:
            raise Failed(f"{_beta(setting)}: the loss ends where it started, or above")
    if rises and trial.algorithm.monotone:
        raise Failed(f"the loss rises, {'; '.join(rises)} (or declare monotone=False)")
    return f"rises, as declared, {'; '.join(rises)}" if rises else "never rises"


def _beta(setting):
    return f"beta {setting['beta']}"


def _curve(trial, setting):
    """Return the curve of a run that is measured at every iteration."""
    loop = frame.prepare([setting], trial.V)
    loop.due = range(1, ITERATIONS)
    (outcome,) = loop.run()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome.curve


def check_nan(trial):
    """Check that a start with zeros gives neither NaN nor infinity."""
    if trial.algorithm.start is not None:
        return None  # its start is its own
    for setting in trial.settings(init="nndsvd"):
        if not np.isfinite(_reconstruction(trial.run(setting))).all():
            raise Failed(f"{_beta(setting)}: NaN or infinity")
    return "none from a start with zeros (nndsvd)"


def check_scale(trial):
    """Check that V times 1e6 and 1e-6 gives the same model, scaled."""
    power = 2 if trial.algorithm.takes == "mixture" else 1
    for setting in trial.settings():
        reference = trial.run(setting)
        for scale in (1e6, 1e-6):
            V = trial.V
            V = {n: scale * v for n, v in V.items()} if isinstance(V, dict) else scale * V
            found = trial.run(setting, V)
            what = f"{_beta(setting)}: the models of V and {scale:g} V"
            _close(_reconstruction(found) / scale**power, reference, 1e-6, what)
    return "V times 1e6 and 1e-6 give the same model, scaled"


def check_zeros(trial):
    """Check that a third of V being zero gives a finite model."""
    for setting in trial.settings():
        model = trial.run(setting, with_zeros(trial.V))
        if not np.isfinite(_reconstruction(model)).all():
            raise Failed(f"{_beta(setting)}: NaN or infinity")
        if not np.isfinite(model.curve["loss"]).all():
            raise Failed(f"{_beta(setting)}: an infinite loss")
    return "a third of V zero: finite"


def check_silence(trial):
    """Check that a silent row of V, and a silent frame unless the kind spreads, stay silent."""
    V, rows, frames = with_silence(trial.V)
    parts = [rows] if trial.algorithm.gives.spreads else [rows, (slice(None), frames)]
    for setting in trial.settings():
        found = trial.run(setting, V).reconstruction()
        for model in found.values() if isinstance(found, dict) else [found]:
            level = max(model[part].mean() for part in parts) / model.mean()
            if not level <= 0.01:
                raise Failed(f"{_beta(setting)}: {level:.0%} of the mean where V is silent")
    return "a silent frame and row stay so" if len(parts) > 1 else "a silent row stays so"


def check_float32(trial):
    """Check that float32 gives the model of float64 within 1e-3."""
    worst = 0
    for setting in trial.settings():
        double = trial.run(setting)
        single = trial.run(setting | {"dtype": "float32"})
        if any(values.dtype.kind == "f" and values.dtype != np.float32
               for values in single.arrays().values()):  # fmt: skip
            raise Failed("float32 was asked for, and the arrays are something else")
        what = f"{_beta(setting)}: float32 and float64"
        worst = max(worst, _close(single, double, 1e-3, what))
    return f"within {worst:.0e} of float64"


def check_same(trial):
    """Check that the same start gives the same end, to the bit."""
    for setting in trial.settings():
        first, second = (trial.run(setting) for _ in range(2))
        _close(first, second, 0, f"{_beta(setting)}: two runs from one start")
    return "two runs from one start agree to the bit"


def check_batches(trial):
    """Check that settings that share a call give what each gives alone, in float32."""
    algorithm = trial.algorithm
    if not algorithm.batch:
        return None
    settings = trial.settings(dtype="float32")
    names = frame.batch_names(settings[0])
    if "seed" in names:
        settings = [setting | {"seed": seed} for setting in settings for seed in (0, 1)]
    if "init" in names:
        settings += [setting | {"init": "nndsvda"} for setting in settings]
    for name in set(names) & {f"{algorithm.name}.{own}" for own in algorithm.own}:
        value = algorithm.own[name.partition(".")[2]]
        settings += [setting | {name: 2 * value} for setting in settings]
    # called as it is, because the frame turns to single calls where a batch dies
    for outcome in frame.prepare(settings, trial.V).run():
        if isinstance(outcome, Exception):
            raise Failed(f"in a batch: {outcome}")
    together = frame.factorize_batch(settings, trial.V)
    worst = 0
    for setting, result in zip(settings, together, strict=True):
        if isinstance(result, Exception):
            raise Failed(f"in a batch: {result}")
        worst = max(worst, _close(result, trial.run(setting), 1e-5, "batched and single"))
    return f"{len(settings)} settings in a batch, within {worst:.0e} of each alone"


def check_templates(trial):
    """Check that held templates come back unchanged, all or some, and the rest is fitted."""
    if "fixed" not in trial.algorithm.defaults:
        return None
    for setting in trial.settings():
        name, given = _templates_for(trial, setting)
        for count in (trial.rank, 2):
            loop = frame.prepare([setting], trial.V, fixed=given[..., :count])
            start = to_host(getattr(loop.start, name))[..., :count]
            outcome = loop.run()[0]
            if isinstance(outcome, Exception):
                raise outcome
            if not np.array_equal(getattr(outcome.model, name)[..., :count], start):
                raise Failed(f"fixed={count}, and {name} changes there")
            if not outcome.curve["loss"][-1] < outcome.curve["loss"][0]:
                raise Failed(f"fixed={count}, and the loss does not fall")
    return "held unchanged, all and two of them; the rest is fitted"


def _templates_for(trial, setting):
    """Return the field of the model that holds templates, and other templates of its shape."""
    arrays = trial.run(setting | {"stop": 1}).arrays()
    wanted = len(trial.V), trial.rank
    names = [name for name, values in arrays.items() if values.shape[-2:] == wanted]
    if not names:
        raise Failed("takes the keyword fixed, and no array of its model has rows of V × rank")
    return names[0], np.random.default_rng(2).random(arrays[names[0]].shape) + 0.1


def check_kind(trial):
    """Check that components add up, groups are sums of them, and storing changes nothing."""
    model = trial.run(trial.settings()[0])
    whole = _reconstruction(model)
    back = restored(stored(model))
    _close(back, model, 0, "the model and what is read back of it")
    if not (has(type(model), "grouped") and has(type(model), "activations")):
        return "reads back as it was stored"
    groups = np.arange(model.rank) % 2
    halves = model.grouped(groups, 2)
    if isinstance(halves, dict):
        return "reads back as it was stored"
    apart = max(np.abs(whole).max(), 1e-300)
    if np.abs(halves.sum(axis=0).ravel() - whole).max() > 1e-8 * apart:
        raise Failed("two groups of all components do not add up to the reconstruction")
    some = slice(3, 11)
    at_some = halves[..., some] if trial.algorithm.takes == "bars" else halves[:, :, some]
    if np.abs(model.grouped(groups, 2, frames=some) - at_some).max() > 1e-8 * apart:
        raise Failed("a group at some frames is not that group at these frames")
    if np.abs(halves[1].ravel() - sum(model.component(k).ravel() for k in np.flatnonzero(groups))
              ).max() > 1e-8 * apart:  # fmt: skip
        raise Failed("a group is not the sum of its components")
    return "components add up to groups, and groups to the reconstruction; reads back as stored"


CHECKS: dict[str, Any] = {
    "yields what it says": check_yields,
    "shapes": check_shapes,
    "nonnegativity": check_nonnegativity,
    "loss": check_loss,
    "NaN": check_nan,
    "scale of V": check_scale,
    "zeros in V": check_zeros,
    "silent frame": check_silence,
    "float32": check_float32,
    "same start, same end": check_same,
    "batches": check_batches,
    "fixed templates": check_templates,
    "kind": check_kind,
}
