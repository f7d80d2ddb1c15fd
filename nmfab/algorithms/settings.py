"""What a factorization reads out of a setting: parameters, versions, stop rules, refusals."""

import inspect
import re
from dataclasses import dataclass

from nmfab.algorithms import init as starts
from nmfab.algorithms.contract import ALGORITHMS
from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown, version_of
from nmfab.base.values import canonical, same

FRAME_VERSION = 2
DTYPES = ("float32", "float64")
COMMON = ("algorithm", "beta", "rank", "init", "seed", "stop", "dtype")
DEFAULTS = {
    "algorithm": "torch_mu",
    "beta": 1,
    "rank": 10,
    "init": "nndsvda",
    "seed": 0,
    "stop": 200,
    "dtype": "float32",
}
CAP = 10_000


@dataclass(frozen=True)
class Stop:
    """When the frame stops: after `iterations` at the latest, `seconds`, or at a `kkt` residual."""

    iterations: int
    seconds: float | None = None
    kkt: float | None = None


def parse_stop(stop):
    """Read the parameter `stop`.

    Parameters
    ----------
    stop : int or str
        A number of passes over V, ``"10s"``, or ``"kkt<1e-4"`` (a relative stationarity residual,
        see `divergence.stationarity`). The last two end after `CAP` iterations in any case, which
        the result and a warning say.

    Returns
    -------
    Stop

    Raises
    ------
    UsageError
        If it is none of these.
    """
    if isinstance(stop, int) and not isinstance(stop, bool) and stop > 0:
        return Stop(stop)
    number = r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*"
    for name, pattern in (("seconds", number + "s"), ("kkt", r"kkt\s*<" + number)):
        found = re.fullmatch(pattern, str(stop).strip(), re.IGNORECASE)
        value = _number(found.group(1)) if found else None
        if value:
            return Stop(CAP, **{name: value})
    raise UsageError(
        f"stop {stop!r} is not understood: give a number of iterations (200), seconds ('10s'), "
        "or a residual ('kkt<1e-4')"
    )


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def parameters(p, *, templates=False):
    """Return name and value of every parameter that the factorization reads.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting; what is missing takes its default.
    templates : bool
        W is held fixed: rank, init and seed are then not read (activations start constant).

    Returns
    -------
    dict
        ``algorithm``, ``beta``, ``rank``, ``stop``, ``dtype``; ``init`` unless the algorithm draws
        its own start; ``seed`` where the start reads it; ``NAME.keyword`` for each parameter of the
        algorithm's own.

    Raises
    ------
    UsageError
        For a value that does not exist or a keyword that the algorithm does not have.
    """
    values = {name: canonical(p.get(name, DEFAULTS[name])) for name in COMMON}
    algorithm = ALGORITHMS[values["algorithm"]]
    _check(values)
    read = {name: values[name] for name in ("algorithm", "beta", "stop", "dtype")}
    if algorithm.start is not None:
        read |= {"rank": values["rank"], "seed": values["seed"]}
    elif not templates:
        read |= {"rank": values["rank"], "init": values["init"]}
        if starts.reads_seed(values["init"]):
            read["seed"] = values["seed"]
    return read | _own_parameters(algorithm, p)


def _check(values):
    if isinstance(values["beta"], bool) or not isinstance(values["beta"], (int, float)):
        raise UsageError(f"beta {values['beta']!r} is not a number")
    for name, least in (("rank", 1), ("seed", 0)):
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{name} {value!r} is not a whole number from {least} on")
    if values["dtype"] not in DTYPES:
        raise UsageError(unknown("dtype", values["dtype"], DTYPES))
    starts.reads_seed(values["init"])
    parse_stop(values["stop"])


def _own_parameters(algorithm, p):
    prefix = f"{algorithm.name}."
    for name in p:
        if name.startswith(prefix) and name.removeprefix(prefix) not in algorithm.own:
            existing = [prefix + keyword for keyword in algorithm.own] or ["none"]
            raise UsageError(unknown(f"parameter of algorithm {algorithm.name}", name, existing))
    own = algorithm.own.items()
    return {
        prefix + keyword: canonical(p.get(prefix + keyword, default)) for keyword, default in own
    }


def absent(p):
    """Return, per parameter, the value at which it stays out of the key (`Param.absent`)."""
    algorithm = ALGORITHMS[p.get("algorithm", DEFAULTS["algorithm"])]
    return {f"{algorithm.name}.{name}": canonical(v) for name, v in algorithm.absent.items()}


def versions(p, *, templates=False):
    """Return the version of every component that the factorization uses."""
    algorithm = ALGORITHMS[p.get("algorithm", DEFAULTS["algorithm"])]
    used = {f"algorithm.{algorithm.name}": version_of(algorithm), "nmf.frame": FRAME_VERSION}
    if algorithm.start is None and not templates:
        used["nmf.init"] = starts.VERSION
    return used


def skip(p, *, frequencies=True, templates=False, needs=("templates", "activations")):
    """Return why a setting cannot be computed, or None.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting.
    frequencies : bool
        Whether the frequencies of V's rows are known, which the harmonic start needs.
    templates : bool
        Whether W is to be held fixed.
    needs : sequence of str
        Methods that the task needs of an algorithm's own kind of factorization.

    Raises
    ------
    UsageError
        See `parameters`.
    """
    read = parameters(p, templates=templates)
    algorithm = ALGORITHMS[read["algorithm"]]
    reasons = (
        _refused_beta(algorithm, read["beta"]),
        _refused_start(read, frequencies),
        _refused_stop(algorithm, read["stop"]),
        _refused_use(algorithm, templates, needs),
        algorithm.skip(read) if algorithm.skip is not None else None,
    )
    return next((reason for reason in reasons if reason), None)


def _refused_beta(algorithm, beta):
    if algorithm.betas is None or any(same(canonical(b), beta) for b in algorithm.betas):
        return None
    allowed = " or ".join(str(canonical(value)) for value in algorithm.betas)
    return f"{algorithm.name} minimizes the divergence of beta {allowed} only"


def _refused_start(read, frequencies):
    if read.get("init") != "harmonic":
        return None
    if not frequencies:
        return (
            "init harmonic needs the frequency of each row of V, which this feature does not have"
        )
    if read["rank"] < len(starts.PIANO):
        return f"init harmonic has {len(starts.PIANO)} templates: it needs at least that rank"
    return None


def _refused_stop(algorithm, stop):
    if algorithm.stops == "frame" or isinstance(stop, int):
        return None
    return f"{algorithm.name} iterates by itself: its stop is a number of iterations"


def _refused_use(algorithm, templates, needs):
    if templates and "fixed" not in algorithm.defaults:
        return f"{algorithm.name} cannot hold templates fixed: it takes no keyword fixed"
    lacking = [name for name in needs if algorithm.kind and not hasattr(algorithm.kind, name)]
    if lacking:
        return f"the factorization that {algorithm.name} yields has no {' and no '.join(lacking)}"
    return None


def batch_names(p, *, templates=False):
    """Return the parameters whose settings may share one call of the algorithm.

    Those that it declares (``NAME.keyword`` for its own), of those that the setting reads. Settings
    timed in seconds share nothing: they would take each other's time.
    """
    read = parameters(p, templates=templates)
    algorithm = ALGORITHMS[read["algorithm"]]
    if parse_stop(read["stop"]).seconds is not None or algorithm.stops == "self":
        return ()
    names = [f"{algorithm.name}.{n}" if n in algorithm.own else n for n in algorithm.batch]
    # a start that reads no seed may share a call with one that does
    also = ("seed",) if "init" in names and not templates and algorithm.start is None else ()
    return tuple(name for name in names if name in read or name in also)


def can_batch(p):
    """Tell whether the setting can share a call with others; see `batch_names`."""
    return bool(batch_names(p))


def keywords(algorithm, read):
    """Return the keyword arguments that a setting gives to the function."""
    prefix = f"{algorithm.name}."
    given = {name.removeprefix(prefix): v for name, v in read.items() if name.startswith(prefix)}
    if "beta" in inspect.signature(algorithm.function).parameters:
        given["beta"] = read["beta"]
    return given
