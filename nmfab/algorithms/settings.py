"""What a factorization reads out of a setting: parameters, versions, stop rules, refusals."""

import re
from dataclasses import dataclass

from nmfab.algorithms import init as starts
from nmfab.algorithms.contract import ALGORITHMS
from nmfab.base.errors import UsageError
from nmfab.base.kinds import has
from nmfab.base.registry import releases, unknown, version_of
from nmfab.base.values import canonical, same

FRAME_VERSION = 3
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


def parameters(p, *, held="none"):
    """Return name and value of every parameter that the factorization reads.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting; what is missing takes its default.
    held : {"none", "some", "all"}
        Whether templates are given and held. Where all are, a plain W·H reads neither rank, init
        nor seed: its activations start constant.

    Returns
    -------
    dict
        ``algorithm``, ``stop``, ``dtype``; ``beta`` unless the model has none; ``rank`` and
        ``init``; ``seed`` where the start reads it; ``NAME.keyword`` for each parameter of the
        algorithm's own.

    Raises
    ------
    UsageError
        For a value that does not exist or a keyword that the algorithm does not have.
    """
    values = {name: canonical(p.get(name, DEFAULTS[name])) for name in COMMON}
    algorithm = ALGORITHMS[values["algorithm"]]
    _check(values)
    read = {name: values[name] for name in ("algorithm", "stop", "dtype")}
    if algorithm.reads_beta:
        read["beta"] = values["beta"]
    if held != "all":
        read["rank"] = values["rank"]
    if held != "all" or algorithm.start is not None:
        read["init"] = values["init"]
        if algorithm.start is not None or starts.reads_seed(values["init"]):
            read["seed"] = values["seed"]
    return read | _own_parameters(algorithm, p)


def beta_of(read):
    """Return the β at which the divergence of a setting is measured."""
    return read.get("beta", ALGORITHMS[read["algorithm"]].shown_beta)


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


def versions(p, *, held="none"):
    """Return the version of every component, and the release of every library, that is used."""
    algorithm = ALGORITHMS[p.get("algorithm", DEFAULTS["algorithm"])]
    used = {f"algorithm.{algorithm.name}": version_of(algorithm), "nmf.frame": FRAME_VERSION}
    used |= kind_version(algorithm.gives)
    if held != "all" or algorithm.start is not None:
        used["nmf.init"] = starts.VERSION
    return used | releases(algorithm.libraries)


def kind_version(kind):
    """Return the version of a kind of factorization, for nodes that call its methods."""
    return {f"kind.{kind.name}": version_of(kind)}


def kind_of(p):
    """Return the kind of factorization that a setting gives."""
    return ALGORITHMS[p.get("algorithm", DEFAULTS["algorithm"])].gives


def form_of(p):
    """Return the form of V that a setting's algorithm takes."""
    return ALGORITHMS[p.get("algorithm", DEFAULTS["algorithm"])].takes


def skip(p, *, frequencies=True, held="none", forms=("matrix",), needs=()):
    """Return why a setting cannot be computed, or None.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting.
    frequencies : bool
        Whether the frequencies of V's rows are known, which the harmonic start needs.
    held : {"none", "some", "all"}
        See `parameters`.
    forms : sequence of str
        The forms of V that the task gives.
    needs : sequence of str
        Methods that the task calls of the factorization.

    Raises
    ------
    UsageError
        See `parameters`.
    """
    read = parameters(p, held=held)
    algorithm = ALGORITHMS[read["algorithm"]]
    reasons = (
        _refused_beta(algorithm, read),
        _refused_form(algorithm, forms),
        _refused_start(read, frequencies),
        _refused_stop(algorithm, read["stop"]),
        _refused_use(algorithm, held, needs),
        algorithm.skip(read) if algorithm.skip is not None else None,
    )
    return next((reason for reason in reasons if reason), None)


def _refused_beta(algorithm, read):
    if algorithm.betas is None or "beta" not in read:
        return None
    if any(same(canonical(b), read["beta"]) for b in algorithm.betas):
        return None
    allowed = " or ".join(str(canonical(value)) for value in algorithm.betas)
    return f"{algorithm.name} minimizes the divergence of beta {allowed} only"


def _refused_form(algorithm, forms):
    if algorithm.takes in forms:
        return None
    return f"{algorithm.name} takes V as {algorithm.takes}, and this task gives {', '.join(forms)}"


def _refused_start(read, frequencies):
    if read.get("init") != "harmonic" or "rank" not in read:  # all templates are held
        return None
    if not frequencies:
        return (
            "init harmonic needs the frequency of each row of V, which this feature does not have"
        )
    if read["rank"] < len(starts.PIANO):
        return f"init harmonic has {len(starts.PIANO)} templates: it needs at least that rank"
    return None


def _refused_stop(algorithm, stop):
    if isinstance(stop, int):
        return None
    if algorithm.stops == "self":
        return f"{algorithm.name} iterates by itself: its stop is a number of iterations"
    if parse_stop(stop).kkt is not None and not algorithm.plain:
        return (
            f"the residual of {algorithm.name} cannot be measured: its stop is a number of "
            "iterations, or seconds"
        )
    return None


def _refused_use(algorithm, held, needs):
    if held != "none" and "fixed" not in algorithm.defaults:
        return f"{algorithm.name} cannot hold templates fixed: it takes no keyword fixed"
    lacking = [name for name in needs if not has(algorithm.gives, name)]
    if lacking:
        return f"the factorization that {algorithm.name} yields has no {' and no '.join(lacking)}"
    return None


def batch_names(p, *, held="none"):
    """Return the parameters whose settings may share one call of the algorithm.

    Those that it declares (``NAME.keyword`` for its own), of those that the setting reads. Settings
    timed in seconds share nothing: they would take each other's time.
    """
    read = parameters(p, held=held)
    algorithm = ALGORITHMS[read["algorithm"]]
    if parse_stop(read["stop"]).seconds is not None or algorithm.stops == "self":
        return ()
    names = [f"{algorithm.name}.{n}" if n in algorithm.own else n for n in algorithm.batch]
    # a start that reads no seed may share a call with one that does
    also = ("seed",) if "init" in names and held != "all" and algorithm.start is None else ()
    return tuple(name for name in names if name in read or name in also)


def keywords(algorithm, read):
    """Return the keyword arguments that a setting gives to the function."""
    prefix = f"{algorithm.name}."
    given = {name.removeprefix(prefix): v for name, v in read.items() if name.startswith(prefix)}
    if "beta" in algorithm.defaults:
        given["beta"] = read["beta"]
    return given
