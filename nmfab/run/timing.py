"""Seconds of factorizations that may be compared: each measured alone and unbatched.

They stand in the artifact's provenance under ``timing``, with the host, device and number of
threads that they were measured with. An artifact that was computed otherwise keeps its arrays: it
is computed once more, for its seconds alone.
"""

import math
import platform
import time
from contextlib import suppress

from nmfab.base.errors import ComputationError, NmfabError
from nmfab.base.resources import current_resources
from nmfab.base.values import digest

_warm = set()  # components that have run in this process


def measurable(node):
    """Tell whether the seconds of a node count: a factorization of the track itself."""
    return node.stage == "nmf" and node.fit_tracks is None and not node.small


def measured(arrays, seconds):
    """Return what the provenance keeps of a computation that ran alone.

    Parameters
    ----------
    arrays : mapping
        What the node gave. Where it has ``seconds`` of its own [shape=(points,)], as
        `nmfab.algorithms.frame.factorize` has, their last entry counts: the start and the looks at
        the loss are none of the algorithm's.
    seconds : float
        What the node took as a whole.
    """
    own = arrays.get("seconds", ())
    return {
        "seconds": float(own[-1]) if len(own) else seconds,
        **_here(current_resources()),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _here(resources):
    return {
        "host": platform.node(),
        "device": resources.device,
        "threads": resources.threads,
    }


def _where(timing):
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


def untimed(pipeline, graph):
    """Return the names of a unit's factorizations whose seconds were not measured alone here.

    ``pipeline.timing`` holds the device and number of threads that are asked for.
    """
    wanted = _where(_here(pipeline.timing))
    return [
        node.name
        for node in _nodes(graph)
        if _where(_timing(pipeline, graph, node) or {}) != wanted
    ]


def measure(pipeline, graph):
    """Measure the factorizations of a unit that `untimed` names, and keep their seconds.

    Parameters
    ----------
    pipeline : TrackPipeline
        Of the unit's track; the artifacts exist, and their arrays stay as they are.
    graph : Graph
        Of the unit's setting.

    Raises
    ------
    ComputationError
        If a factorization that exists cannot be computed again.
    """
    for name in untimed(pipeline, graph):
        node, arguments = graph.nodes[name], pipeline.arguments(graph, graph.nodes[name])
        warm_up(node, arguments)
        start = time.perf_counter()
        try:
            arrays = node.compute(dict(node.params), **arguments)
        except Exception as error:  # a component's fault must not stop the others
            raise ComputationError(f"{name}: its seconds cannot be measured: {error}") from error
        told = {"timing": measured(arrays, time.perf_counter() - start)}
        pipeline.place_of(node).annotate(node, pipeline.key(graph, name), told)
        pipeline.tally.timed[name] += 1


def timing_of(pipeline, graph):
    """Return the seconds of a unit's factorizations and where they were measured, or None.

    Returns
    -------
    (float, tuple) or None
        The sum over the factorizations of the unit (two where channels are apart), and host, device
        and threads; None where one was not measured, or elsewhere than another.
    """
    try:
        found = [_timing(pipeline, graph, node) for node in _nodes(graph)]
    except NmfabError:
        return None
    if not found or None in found or len({_where(timing) for timing in found}) > 1:
        return None
    return sum(timing["seconds"] for timing in found), _where(found[0])


def comparable(timings):
    """Return the seconds that may stand beside each other, and what a table says of them.

    Parameters
    ----------
    timings : sequence of (float, tuple) or None
        As `timing_of` gives them, one for each unit.

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


def _nodes(graph):
    return [graph.nodes[name] for name in graph.order() if measurable(graph.nodes[name])]


def _timing(pipeline, graph, node):
    place = pipeline.place_of(node)
    return (place.provenance(node, pipeline.key(graph, node.name)) or {}).get("timing")
