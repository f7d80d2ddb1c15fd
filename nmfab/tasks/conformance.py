"""What holds for every step of post-processing, ours and a user's alike."""

from typing import NamedTuple

import numpy as np

from nmfab.algorithms import ALGORITHMS
from nmfab.base.errors import NmfabError
from nmfab.base.kinds import LowRank, has
from nmfab.tasks.contract import TASKS

_SOURCES = 2
# What a grouping may be given in an example; one that asks for more is not run there.
_GIVEN = {"n_sources": _SOURCES, "kmeans_seed": 0, "sample_rate": 8000, "power": 1}


class Result(NamedTuple):
    """What one check gave; `passed` is None where it had nothing to look at."""

    name: str
    passed: bool | None
    detail: str


class Failed(Exception):
    """A check that does not hold; its text says what was seen."""


def check(step):
    """Run every check on a registered step.

    Parameters
    ----------
    step : nmfab.postprocessing.Step
        The step.

    Yields
    ------
    Result
    """
    for name, function in CHECKS.items():
        try:
            detail, passed = function(step), True
            if detail is None:
                detail, passed = f"it asks for more than an example has: {_asked(step)}", None
        except (Failed, NmfabError) as error:
            detail, passed = str(error), False
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises is its answer
            detail, passed = repr(error), False
        yield Result(name, passed, detail)


def _asked(step):
    return ", ".join((*step.wanted, *step.calls))


def _offered(step):
    """Check that tasks offer the step, and that they have what it asks for."""
    found = []
    for name in TASKS.names():
        task = TASKS[name]()
        # a family named like its task makes rows without a factorization
        factor = "baseline" if step.family == name else step.family
        param = task.params.get(factor)
        if param is None or step.name not in (param.choices or ()):
            continue
        defaults = {key: each.default for key, each in task.params.items()}
        p = _computable(task, defaults | {"dataset": "demo", factor: step.name})
        label = f"step.{step.family}.{step.name}"
        if not any(label in node.versions for node in task.nodes(p)):
            raise Failed(f"task {name} does not call it")
        found.append(name)
    if not found:
        raise Failed(f"no task has a factor {step.family} that offers it")
    return f"in {', '.join(found)}; reads {_asked(step)}"


def _computable(task, p):
    """Return a setting with the first algorithm whose factorization has what the step needs."""
    reasons = {}
    for name in (p["algorithm"], *ALGORITHMS.names()):
        setting = p | {"algorithm": name}
        reasons[name] = task.skip(setting)
        if not reasons[name]:
            return setting
    raise Failed(f"task {task.name}, at its defaults: {reasons[p['algorithm']]}")


def _groups(step):
    """Check what a grouping returns on factorizations with and without silent components."""
    given = {*_GIVEN, "factorization"}.issuperset(step.wanted)
    if step.family != "grouping" or not (given and all(has(LowRank, n) for n in step.calls)):
        return None
    rng = np.random.default_rng(0)
    for silent in (0, 1, 6):
        W, H = rng.random((65, 6)) ** 4, rng.random((6, 20))
        W[:, :silent] = 0
        kept = W.copy(), H.copy()
        groups = np.asarray(_call(step, W, H))
        if groups.shape != (6,) or groups.dtype.kind not in "iu":
            raise Failed(
                f"integers [shape=(rank,)] are needed, not {groups.dtype} of shape {groups.shape} "
                "for rank 6"
            )
        if groups.min() < -1 or groups.max() >= _SOURCES:
            raise Failed(f"groups are −1 to n_sources − 1, not {groups} for {_SOURCES} sources")
        if not np.array_equal(groups, _call(step, W, H)):
            raise Failed("two calls on one factorization give different groups")
        if not (np.array_equal(W, kept[0]) and np.array_equal(H, kept[1])):
            raise Failed("it changes the factorization that it is given")
    return "integers from −1 to n_sources − 1, the same at each call; silent components too"


def _call(step, W, H):
    given = {**_GIVEN, "factorization": LowRank(W, H)}
    return step(**{name: given[name] for name in step.wanted}, **step.defaults)


CHECKS = {"offered": _offered, "groups": _groups}
