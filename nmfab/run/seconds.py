"""Seconds of a factorization that may be compared: what is measured, where, and what is said."""

import math
import platform
import time
from contextlib import suppress

import numpy as np

from nmfab.base.kinds.contract import CURVE
from nmfab.base.resources import current_resources
from nmfab.base.values import digest

_warm = set()  # components that have run in this process


def measurable(node):
    """Tell whether the seconds of a node count: a factorization of the track itself."""
    return node.stage == "nmf" and node.fit is None and not node.small


def measured(arrays, seconds):
    """Return what the provenance keeps of a computation that ran alone.

    Parameters
    ----------
    arrays : mapping
        What the node gave. Where it has ``seconds`` of its own [shape=(points,)], as
        `nmfab.algorithms.frame.factorize` has, their last entry counts, without the usual start
        and the measuring of the loss.
    seconds : float
        What the node took as a whole.

    Returns
    -------
    dict
        ``seconds``, ``host``, ``device``, ``threads``, ``time``, and ``curve``: the lists of what
        was noted on the way, None for NaN.
    """
    own = np.atleast_1d(arrays.get("seconds", ()))
    curve = {name: _listed(arrays[name]) for name in CURVE if name in arrays}
    return {
        "seconds": float(own[-1]) if len(own) else seconds,
        **here(current_resources()),
        "points": current_resources().curve or 0,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "curve": curve,
    }


def _listed(array):
    return [None if math.isnan(value) else value for value in np.atleast_1d(array).tolist()]


def with_own_curve(arrays, provenance):
    """Return an artifact's arrays, with the curve of the run in which it was measured alone.

    Parameters
    ----------
    arrays : dict
        As stored; a batch's ``seconds`` are those of all of its problems.
    provenance : mapping
        Of the artifact.

    Returns
    -------
    dict
        ``batch`` is 1 where the curve is the problem's own.
    """
    curve = provenance.get("timing", {}).get("curve")
    if not curve:
        return arrays
    own = {
        name: np.array([math.nan if value is None else value for value in values])
        for name, values in curve.items()
    }
    rest = {name: array for name, array in arrays.items() if name not in CURVE}
    return {**rest, **own, "batch": np.asarray(1)}


def here(resources):
    """Return host, device and number of threads, as a provenance keeps them."""
    return {
        "host": platform.node(),
        "device": resources.device,
        "threads": resources.threads,
    }


def where(timing):
    """Return host, device and threads of what `measured` gave."""
    return tuple(timing.get(name) for name in ("host", "device", "threads"))


def warm_up(node, arguments):
    """Compute a node unmeasured where its components have not run in this process yet.

    Imports, thread pools and buffers of the first run are not the algorithm's seconds.
    """
    kind = digest([node.name, dict(node.versions), current_resources().device])
    if kind not in _warm:
        _warm.add(kind)
        with suppress(Exception):  # the run that counts says what is wrong
            node.compute(dict(node.params), **arguments)


def comparable(timings):
    """Return the seconds that may stand beside each other, and what a table says of them.

    Parameters
    ----------
    timings : sequence of (float, tuple) or None
        As `nmfab.run.timing.timing_of` gives them, one for each unit.

    Returns
    -------
    seconds : list of float
        NaN where there are none, and everywhere where they were measured in several places.
    told : str
        One line.
    """
    places = sorted({timing[1] for timing in timings if timing is not None}, key=str)
    told = "; ".join(f"{host}, {device}, {threads} threads" for host, device, threads in places)
    if len(places) > 1:
        return [math.nan] * len(timings), f"seconds are not comparable: measured on {told}"
    if not places:
        return [math.nan] * len(timings), "no seconds have been measured: -c --timing does"
    seconds = [math.nan if timing is None else timing[0] for timing in timings]
    return seconds, f"seconds: of the factorization, measured alone on {told}"
