"""Which artifacts units have, so that those that no other unit reads can be removed."""

from nmfab.base.errors import NmfabError


def kept_keys(units):
    """Return ``{(dataset, track): keys}`` of the artifacts of units that exist."""
    found = {}
    for unit in units:
        for name in unit.graph.order() if unit.begun else ():
            try:
                if unit.exists(name):
                    place = (unit.dataset, unit.scope(name).place.track)
                    found.setdefault(place, set()).add(unit.key(name))
            except NmfabError:
                break  # a track that cannot be read has no artifact to remove
    return found


def remove(store, keys):
    """Remove artifacts as `kept_keys` names them; return their number and their bytes."""
    count, freed = 0, 0
    for (dataset, track), found in keys.items():
        removed, size = store.place(dataset, track).remove(found)
        count, freed = count + removed, freed + size
    return count, freed
