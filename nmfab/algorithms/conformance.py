"""The conformance suite: what holds for every registered algorithm, ours and a user's alike.

Each check is a function of an algorithm and returns what it saw, or raises `Failed`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmfab.algorithms import frame
from nmfab.algorithms.contract import ALGORITHMS
from nmfab.algorithms.loop import to_host
from nmfab.base.errors import NmfabError, UsageError
from nmfab.base.registry import load_plugin, source_file

BETAS = (2, 1, 0, 0.5, 3)
RANK = 4
ITERATIONS = 10


class Result(NamedTuple):
    """What one check of one algorithm gave."""

    name: str
    passed: bool
    detail: str
    algorithm: str


class Failed(Exception):
    """A check that does not hold; its text says what was seen."""


def check_file(path):
    """Run the suite on the algorithms that a plug-in file registers.

    Parameters
    ----------
    path : path
        A Python file.

    Yields
    ------
    Result

    Raises
    ------
    UsageError
        If the file cannot be imported or registers no algorithm.
    """
    load_plugin(path)
    place = Path(path).resolve()
    algorithms = [ALGORITHMS[name] for name in ALGORITHMS.names()]
    brought = [one for one in algorithms if Path(source_file(one)).resolve() == place]
    if not brought:
        raise UsageError(f"plug-in {path} registers no algorithm: decorate one with @algorithm")
    for one in brought:
        yield from check(one)


def check(algorithm):
    """Run every check that applies to an algorithm on small synthetic problems.

    Yields
    ------
    Result
        ``passed`` is False where the check does not hold or the algorithm raises.
    """
    for name, function in CHECKS.items():
        try:
            detail, passed = function(algorithm), True
        except (Failed, NmfabError) as error:
            detail, passed = str(error), False
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises is its answer
            detail, passed = repr(error), False
        if detail is not None:
            yield Result(name, passed, detail, algorithm.name)


def _problem():
    rng = np.random.default_rng(0)
    return rng.random((24, RANK)) @ rng.random((RANK, 30)) + 0.1 * rng.random((24, 30))


def _settings(algorithm, **more):
    """Return one setting per beta that the algorithm accepts."""
    betas = BETAS if algorithm.betas is None else algorithm.betas
    base = {"algorithm": algorithm.name, "rank": RANK, "init": "random", "stop": ITERATIONS}
    base |= {"dtype": "float64", **more}
    settings = [base | {"beta": beta} for beta in betas]
    left = [setting for setting in settings if not frame.skip(setting, needs=())]
    if not left:
        raise Failed(f"skips every beta tried: {frame.skip(settings[0], needs=())}")
    return left


def _model(algorithm, result):
    """Return W·H, or None for a kind of factorization that is known by its arrays alone."""
    return result["W"] @ result["H"] if algorithm.kind is None else None


def _difference(algorithm, first, second):
    """Return the largest difference of two results relative to the largest entry."""
    if algorithm.kind is None:
        pairs = [(first["W"] @ first["H"], second["W"] @ second["H"])]
    else:
        skipped = {"loss", "kkt", "iteration", "seconds", "objective", "scale", "stopped", "filled"}
        pairs = [(first[name], second[name]) for name in first if name not in skipped]
    return max(np.abs(x - y).max() / max(np.abs(y).max(), 1e-300) for x, y in pairs)


def _close(algorithm, first, second, tolerance, what):
    worst = _difference(algorithm, first, second)
    if not worst <= tolerance:
        raise Failed(f"{what} differ by {worst:.1e} of the largest entry, more than {tolerance:g}")
    return worst


def check_yields(algorithm):
    """Drive the generator by hand: what it yields, how often, and that V is left alone."""
    for setting in _settings(algorithm):
        loop = frame.prepare([setting], _problem())
        before = _copied(loop.V)
        own = {"n_iter": ITERATIONS} if algorithm.stops == "self" else {}
        generator = loop.begin(**own)
        count = 0
        for state in generator:
            count += 1
            loop.pick(state, 0)
            _check_arrays(algorithm, state)
            if count == 3:
                break
        if count != (1 if algorithm.stops == "self" else 3):
            raise Failed(f"yields {count} times, with stops={algorithm.stops!r}")
        if not all(np.array_equal(x, y) for x, y in zip(before, _copied(loop.V), strict=True)):
            raise Failed("changes V, which other algorithms read too")
    return "once" if algorithm.stops == "self" else "after each iteration; V is left as it was"


def _copied(V):
    return [to_host(values) for values in (V.values() if isinstance(V, dict) else [V])]


def _check_arrays(algorithm, state):
    if algorithm.kind is not None:
        return
    expected = {"numpy": "numpy", "torch": "torch"}[algorithm.arrays]
    for name, value in zip("WH", state, strict=False):
        found = type(value).__module__.partition(".")[0]
        if found != expected:
            raise Failed(f"{name} is of {found}, and arrays={algorithm.arrays!r} is declared")


def check_shapes(algorithm):
    """Check that W is m × rank and H rank × n."""
    for V in (_problem(), _problem()[:12]):
        result = frame.factorize(_settings(algorithm)[0], V)
        if algorithm.kind is not None:
            continue
        shapes = result["W"].shape, result["H"].shape
        if shapes != ((len(V), RANK), (RANK, V.shape[1])):
            raise Failed(f"V {V.shape}, rank {RANK}: W and H are {shapes[0]} and {shapes[1]}")
    return f"V of 24 × 30 and 12 × 30, rank {RANK}"


def check_nonnegativity(algorithm):
    """Check that no entry is negative, at any of the checkpoints."""
    for setting in _settings(algorithm):
        result = frame.factorize(setting, _problem())
        if algorithm.kind is None and min(result["W"].min(), result["H"].min()) < 0:
            raise Failed(f"beta {setting['beta']}: a negative entry")
    return f"at every checkpoint of {ITERATIONS} iterations"


def check_loss(algorithm):
    """Check that the loss (the algorithm's own, where it yields one) never rises, and falls."""
    rises = []
    for setting in _settings(algorithm):
        curve = _curve(setting)
        loss = np.array(curve.get("objective", curve["loss"]))
        worst = max(np.diff(loss) / np.abs(loss[:-1]), default=0)
        if worst > 1e-9:
            rises.append(f"beta {setting['beta']}: by {worst:.1e} of its value")
        if algorithm.kind is None and not curve["loss"][-1] < curve["loss"][0]:
            raise Failed(f"beta {setting['beta']}: the loss ends where it started, or above")
    if rises and algorithm.monotone:
        raise Failed(f"the loss rises, {'; '.join(rises)} (or declare monotone=False)")
    return f"rises, as declared, {'; '.join(rises)}" if rises else "never rises"


def _curve(setting):
    """Return the curve of a run that is measured at every iteration."""
    loop = frame.prepare([setting], _problem())
    loop.due = range(1, ITERATIONS)
    (outcome,) = loop.run()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome.curve


def check_nan(algorithm):
    """Check that a start with zeros in W and H gives neither NaN nor infinity."""
    if algorithm.start is not None:
        return None  # its start is its own
    for setting in _settings(algorithm, init="nndsvd"):
        frame.factorize(setting, _problem())
    return "none from a start with zeros (nndsvd)"


def check_scale(algorithm):
    """Check that V times 1e6 and 1e-6 gives the same model, scaled."""
    for setting in _settings(algorithm):
        reference = frame.factorize(setting, _problem())
        for scale in (1e6, 1e-6):
            result = frame.factorize(setting, scale * _problem())
            if algorithm.kind is None:
                result["W"] = result["W"] / scale
            what = f"beta {setting['beta']}: the models of V and {scale:g} V"
            _close(algorithm, result, reference, 1e-6, what)
    return "V times 1e6 and 1e-6 give the same model, scaled"


def check_zeros(algorithm):
    """Check that a third of V being zero gives a finite model."""
    V = _problem()
    V[np.random.default_rng(1).random(V.shape) < 1 / 3] = 0
    for setting in _settings(algorithm):
        frame.factorize(setting, V)
    return "a third of V zero: finite"


def check_silence(algorithm):
    """Check that a silent column and row of V are silent in the model, and nothing is NaN."""
    V = _problem()
    V[:, 5], V[3] = 0, 0
    for setting in _settings(algorithm):
        model = _model(algorithm, frame.factorize(setting, V))
        if model is None:
            continue
        level = max(model[:, 5].mean(), model[3].mean()) / model.mean()
        if level > 0.01:
            raise Failed(f"beta {setting['beta']}: {level:.0%} of the mean where V is silent")
    return "a silent column and row stay so"


def check_float32(algorithm):
    """Check that float32 gives the model of float64 within 1e-3."""
    worst = 0
    for setting in _settings(algorithm):
        double = frame.factorize(setting, _problem())
        single = frame.factorize(setting | {"dtype": "float32"}, _problem())
        if any(single[name].dtype != np.float32 for name in ("W", "H") if name in single):
            raise Failed("float32 was asked for, and the factors are something else")
        what = f"beta {setting['beta']}: float32 and float64"
        worst = max(worst, _close(algorithm, single, double, 1e-3, what))
    return f"within {worst:.0e} of float64"


def check_same(algorithm):
    """Check that the same start gives the same end, to the bit."""
    for setting in _settings(algorithm):
        first, second = (frame.factorize(setting, _problem()) for _ in range(2))
        _close(algorithm, first, second, 0, f"beta {setting['beta']}: two runs from one start")
    return "two runs from one start agree to the bit"


def check_batches(algorithm):
    """Check that settings that share a call give what each gives alone, in float32."""
    settings = _settings(algorithm, dtype="float32")
    names = frame.batch_names(settings[0])
    if not algorithm.batch:
        return None
    if "seed" in names:
        settings = [setting | {"seed": seed} for setting in settings for seed in (0, 1)]
    if "init" in names:
        settings += [setting | {"init": "nndsvda"} for setting in settings]
    for name in set(names) & {f"{algorithm.name}.{own}" for own in algorithm.own}:
        value = algorithm.own[name.partition(".")[2]]
        settings += [setting | {name: 2 * value} for setting in settings]
    # called as it is, because the frame turns to single calls where a batch dies
    frame.prepare([one for one in settings if one["beta"] > 0], _problem()).run()
    together = frame.factorize_batch(settings, _problem())
    worst = 0
    for setting, result in zip(settings, together, strict=True):
        if isinstance(result, Exception):
            raise Failed(f"in a batch: {result}")
        alone = frame.factorize(setting, _problem())
        worst = max(worst, _close(algorithm, result, alone, 1e-5, "batched and single"))
    return f"{len(settings)} settings in a batch, within {worst:.0e} of each alone"


def check_templates(algorithm):
    """Check that templates held fixed come back unchanged, and H is fitted to them."""
    if "fixed" not in algorithm.defaults or algorithm.kind is not None:
        return None
    templates = np.random.default_rng(2).random((24, RANK)) + 0.1
    for setting in _settings(algorithm):
        loop = frame.prepare([setting], _problem(), templates=templates)
        start = to_host(loop.factors[0])
        outcome = loop.run()[0]
        if isinstance(outcome, Exception):
            raise outcome
        if not np.array_equal(outcome.arrays["W"], start):
            raise Failed("all templates are held, and W changes")
        if not outcome.curve["loss"][-1] < outcome.curve["loss"][0]:
            raise Failed("all templates are held, and the loss does not fall")
    return "held fixed, H is fitted"


CHECKS = {
    "yields what it says": check_yields,
    "shapes": check_shapes,
    "nonnegativity": check_nonnegativity,
    "loss": check_loss,
    "NaN": check_nan,
    "scale of V": check_scale,
    "zeros in V": check_zeros,
    "silent column": check_silence,
    "float32": check_float32,
    "same start, same end": check_same,
    "batches": check_batches,
    "fixed templates": check_templates,
}
