"""Why each artifact of a selection would be computed or reused, and what that will cost."""

from collections import Counter
from dataclasses import dataclass, field

from nmfab.base.errors import NmfabError
from nmfab.run.runner import visit
from nmfab.run.timing import untimed
from nmfab.store.provenance import libraries


@dataclass(frozen=True)
class Line:
    """Artifacts of one node that share their fate: ``"compute"``, ``"reuse"`` or ``"fail"``."""

    node: str
    action: str
    reason: str
    count: int
    example: str


@dataclass(frozen=True)
class Forecast:
    """What a selection will cost.

    Attributes
    ----------
    existing, missing : int
        Units (a setting on a track) that exist and do not.
    to_compute : dict
        Node → number of artifacts to compute.
    seconds, bytes : float
        Expected for them on one process, from the artifacts that exist.
    unknown : list of str
        Nodes of which no artifact exists yet, so that nothing can be expected.
    used : int
        Bytes of the experiment's artifacts on disk now.
    """

    existing: int
    missing: int
    to_compute: dict
    seconds: float
    bytes: float
    unknown: list
    used: int


def explain(context, units):
    """Return a `Line` per node and reason, in the order of the nodes.

    Parameters
    ----------
    context : nmfab.run.runner.Context
        Where artifacts and datasets are.
    units : list of (int, dict, str, str)
        Index of the setting, its parameters, dataset, track.
    """
    found, examples, order = Counter(), {}, {}
    told = {}
    for _, pipeline, graph in visit(context, units):
        for name in graph.order():
            order.setdefault(name, len(order))
        for name, action, reason in _fates(pipeline, graph, told.setdefault(pipeline, _Told())):
            line = (name, action, reason)
            found[line] += 1
            examples.setdefault(line, f"{pipeline.dataset.name}/{pipeline.track_id}")
    lines = sorted(found, key=lambda line: (order.get(line[0], -1), line[1], line[2]))
    return [Line(*line, found[line], examples[line]) for line in lines]


def forecast(context, units):
    """Return the `Forecast` of computing `units`; see `explain` for the parameters."""
    existing = missing = 0
    to_compute, costs = Counter(), {}
    told = {}
    for _, pipeline, graph in visit(context, units):
        try:
            done = pipeline.place.folder.is_dir() and pipeline.exists(graph, graph.target.name)
        except NmfabError:
            done = False
        existing, missing = existing + done, missing + (not done)
        if not done:
            for name, action, _ in _fates(pipeline, graph, told.setdefault(pipeline, _Told())):
                to_compute[name] += action == "compute"
    store = context.store()
    for name in to_compute:
        costs[name] = _known_costs(store, name)
    known = {name: cost for name, cost in costs.items() if cost}
    return Forecast(
        existing,
        missing,
        {name: count for name, count in to_compute.items() if count},
        sum(to_compute[name] * seconds for name, (seconds, _) in known.items()),
        sum(to_compute[name] * size for name, (_, size) in known.items()),
        [name for name, count in to_compute.items() if count and name not in known],
        sum(path.stat().st_size for path in store.folder.rglob("*.h5")),
    )


@dataclass
class _Told:
    """Of one track: what was told already, and the recipes of a node's artifacts."""

    identities: set = field(default_factory=set)
    recipes: dict = field(default_factory=dict)


def _fates(pipeline, graph, told):
    """Yield (node, action, reason) for each artifact of a unit that was not told of before."""
    fresh = not pipeline.place.folder.is_dir()  # hash no audio for a track never computed
    for name in graph.order():
        try:
            identity = graph.identity(name) if fresh else pipeline.key(graph, name)
        except NmfabError as error:
            if str(error) not in told.identities:
                told.identities.add(str(error))
                yield name, "fail", str(error)
            return
        if identity in told.identities:
            continue
        told.identities.add(identity)
        if fresh:
            yield name, "compute", "nothing of this track has been computed"
        elif pipeline.exists(graph, name):
            if pipeline.timing and name in untimed(pipeline, graph):
                yield name, "time", "its seconds have not been measured alone here"
                continue
            yield name, "reuse", _library_changes(pipeline, graph, name)
        else:
            yield name, "compute", _why_missing(pipeline, graph, name, told)


def _library_changes(pipeline, graph, name):
    provenance = pipeline.place_of(graph.nodes[name]).provenance(
        graph.nodes[name], pipeline.key(graph, name)
    )
    then, now = (provenance or {}).get("libraries", {}), libraries()
    changed = [f"{lib} {then[lib]}, now {now[lib]}" for lib in then if then[lib] != now.get(lib)]
    return f"computed with {'; '.join(changed)}" if changed else "exists"


def _why_missing(pipeline, graph, name, told):
    """Return how the wanted recipe differs from the nearest one that was computed."""
    if name not in told.recipes:
        stored = pipeline.place_of(graph.nodes[name]).provenances(name)
        told.recipes[name] = [p["recipe"] for p in stored.values()]
    wanted = pipeline.recipe(graph, name)
    if not told.recipes[name]:
        return "none has been computed"
    differences = [_differences(recipe, wanted) for recipe in told.recipes[name]]
    nearest = min(differences, key=len)
    if not nearest:
        return "to be refreshed"
    return f"{', '.join(nearest)} (against the nearest that exists)"


def _differences(old, new):
    found = []
    for group in ("params", "versions"):
        before, after = old.get(group, {}), new.get(group, {})
        for name in sorted({*before, *after}):
            if before.get(name, "–") != after.get(name, "–"):
                found.append(f"{name}: {before.get(name, '–')} → {after.get(name, '–')}")
    for group, text in (("parts", "{} changed"), ("inputs", "reads another {}")):
        before, after = old.get(group, {}), new.get(group, {})
        found += [
            text.format(name)
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]
    if old.get("learned_from") != new.get("learned_from"):
        found.append("learned from other tracks")
    return found


def _known_costs(store, name, most=30):
    """Return mean seconds and bytes of a node's artifacts, from at most `most` files."""
    found = store.sample(name, most)
    if not found:
        return None
    seconds = sum(provenance["seconds"] for provenance, _ in found) / len(found)
    return seconds, sum(size for _, size in found) / len(found)
