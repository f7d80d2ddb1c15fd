"""Why each artifact of a selection would be computed or reused, and what that will cost."""

from collections import Counter
from dataclasses import dataclass, field

from nmfab.base.errors import NmfabError
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


def explain(units):
    """Return a `Line` per node and reason, in the order of the nodes."""
    found, examples, order = Counter(), {}, {}
    told = {}
    for unit in units:
        for name in unit.graph.order():
            order.setdefault(name, len(order))
        for name, action, reason in _fates(unit, told):
            line = (name, action, reason)
            found[line] += 1
            examples.setdefault(line, f"{unit.dataset}/{unit.track}")
    lines = sorted(found, key=lambda line: (order.get(line[0], -1), line[1], line[2]))
    return [Line(*line, found[line], examples[line]) for line in lines]


def forecast(store, units):
    """Return the `Forecast` of computing units, from the artifacts that a store has."""
    existing = missing = 0
    to_compute, costs = Counter(), {}
    told = {}
    for unit in units:
        try:
            done = unit.begun and unit.exists(unit.target)
        except NmfabError:
            done = False
        existing, missing = existing + done, missing + (not done)
        if not done:
            for name, action, _ in _fates(unit, told):
                to_compute[name] += action == "compute"
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
    """Of one scope: what was told already, and the recipes of a node's artifacts."""

    identities: set = field(default_factory=set)
    recipes: dict = field(default_factory=dict)


def _fates(unit, told):
    """Yield (node, action, reason) for each artifact of a unit that was not told of before.

    `told` has a `_Told` per scope: a track's artifacts, or what is learned over several.
    """
    for name in unit.graph.order():
        if unit.node(name).transient:
            continue
        mine = told.setdefault(unit.scope(name), _Told())
        try:
            identity = _identity(unit, name)
            fate = None if identity in mine.identities else _fate(unit, name, mine)
        except NmfabError as error:
            if str(error) not in mine.identities:
                mine.identities.add(str(error))
                yield name, "fail", str(error)
            return
        if fate is not None:
            mine.identities.add(identity)
            yield name, *fate


def _fate(unit, name, told):
    """Return action and reason for one artifact."""
    if _fresh(unit, name):
        return "compute", "nothing of this track has been computed"
    if not unit.exists(name):
        return "compute", _why_missing(unit, name, told)
    if unit.tracks.timing and name in untimed(unit):
        return "time", "its seconds have not been measured alone here"
    return "reuse", _library_changes(unit, name)


def _identity(unit, name):
    """Return what tells the artifact from others of its scope, without hashing audio for it."""
    if unit.node(name).fit is not None:
        return unit.graph.identity(name), tuple(unit.learned_from(name))
    return unit.key(name) if unit.begun else unit.graph.identity(name)


def _fresh(unit, name):
    """Tell whether a node reads a track that was never computed, whose audio is not hashed here."""
    if unit.node(name).fit is None:
        return not unit.begun
    return not all(other.begun for other in unit.learned(name))


def _library_changes(unit, name):
    then, now = (unit.provenance(name) or {}).get("libraries", {}), libraries()
    changed = [
        f"{lib} {then[lib]}, now {now.get(lib, 'absent')}"
        for lib in then
        if then[lib] != now.get(lib)
    ]
    return f"computed with {'; '.join(changed)}" if changed else "exists"


def _why_missing(unit, name, told):
    """Return how the wanted recipe differs from the nearest one that was computed."""
    if name not in told.recipes:
        stored = unit.scope(name).place.provenances(name)
        told.recipes[name] = [p["recipe"] for p in stored.values()]
    wanted = unit.recipe(name)
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
