"""Factorizations measured alone and unbatched, for seconds that may be compared.

Seconds stand in the artifact's provenance under ``timing``, with the curve of that run and the
host, device and number of threads that it ran on. An artifact that was computed otherwise keeps its
arrays: it is computed once more, for its seconds alone.
"""

import time

from nmfab.base.errors import ComputationError, NmfabError
from nmfab.run.seconds import here, measurable, measured, warm_up, where


def untimed(unit):
    """Return the names of a unit's factorizations whose seconds were not measured alone here.

    ``unit.tracks.timing`` holds the device, the number of threads and the points of the curve that
    are asked for.
    """
    wanted, points = where(here(unit.tracks.timing)), unit.tracks.timing.curve or 0

    def done(timing):
        return where(timing) == wanted and timing.get("points", 0) >= points

    return [name for name in _names(unit) if not done(_timing(unit, name) or {})]


def measure(unit):
    """Measure the factorizations of a unit that `untimed` names, and keep their seconds.

    Parameters
    ----------
    unit : Unit
        Its artifacts exist, and their arrays stay as they are.

    Raises
    ------
    ComputationError
        If a factorization that exists cannot be computed again.
    """
    for name in untimed(unit):
        if unit.stored(name) is None:  # lost since: it is computed alone, and measured as it is
            unit.get(name)
            continue
        node, arguments = unit.node(name), unit.arguments(unit.node(name))
        warm_up(node, arguments)
        start = time.perf_counter()
        try:
            arrays = node.compute(dict(node.params), **arguments)
        except (Exception, SystemExit) as error:  # a component's fault must not stop the others
            raise ComputationError(f"{name}: its seconds cannot be measured: {error}") from error
        told = {"timing": measured(arrays, time.perf_counter() - start)}
        unit.scope(name).place.annotate(node, unit.key(name), told)
        unit.tracks.tally.timed[name] += 1


def timing_of(unit):
    """Return the seconds of a unit's factorizations and where they were measured, or None.

    Returns
    -------
    (float, tuple) or None
        The sum over the factorizations of the unit (two where channels are apart), and host, device
        and threads; None where one was not measured, or elsewhere than another.
    """
    try:
        found = [_timing(unit, name) for name in _names(unit)]
    except NmfabError:
        return None
    if not found or None in found or len({where(timing) for timing in found}) > 1:
        return None
    return sum(timing["seconds"] for timing in found), where(found[0])


def _names(unit):
    return [name for name in unit.graph.order() if measurable(unit.node(name))]


def _timing(unit, name):
    return (unit.provenance(name) or {}).get("timing")
