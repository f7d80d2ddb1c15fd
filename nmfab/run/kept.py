"""What is kept of a unit, a setting on a track: keys, artifacts, scores. Nothing is computed."""

from nmfab.base import registry
from nmfab.base.errors import ComputationError, NmfabError
from nmfab.base.values import digest


class NodeFailure(ComputationError):
    """A node that could not be computed, or that reads one; its text is the first cause."""


class Kept:
    """What is kept of one setting on one track.

    Parameters
    ----------
    graph : Graph
        The nodes of the setting.
    tracks : Tracks
        What opens the tracks.
    dataset, track : str
        Name of the dataset and id of the track.
    index : int
        Of the setting, among those of a selection.
    """

    def __init__(self, graph, tracks, dataset, track, index=0):
        self.graph, self.tracks, self.index = graph, tracks, index
        self.dataset, self.track = dataset, track
        self.opened = tracks.open(dataset, track)

    @property
    def parameters(self):
        """Every parameter of the setting."""
        return self.graph.parameters

    @property
    def target(self):
        """The name of the last node: a unit is done where its artifact exists."""
        return self.graph.target.name

    @property
    def begun(self):
        """Whether anything is kept of the track."""
        return self.opened.place.folder.is_dir()

    def node(self, name):
        """Return a node of the setting."""
        return self.graph.nodes[name]

    def scope(self, name):
        """Return the `Scope` of a node's artifact: of the track or, for a fit node, the dataset."""
        return self.opened if self.node(name).fit is None else self.tracks.fits(self.dataset)

    # -- keys ---------------------------------------------------------------------------------

    def key(self, name):
        """Return the key of a node's artifact for this track."""
        node = self.node(name)
        read = self.track if node.fit is None else tuple(self.learned_from(name))
        place = (self.dataset, read, name)
        if place not in self.graph.keys:
            self.graph.keys[place] = digest(self.recipe(name))
        return self.graph.keys[place]

    def recipe(self, name):
        """Return all that the key of a node is made of."""
        node = self.node(name)
        recipe = dict(self.graph.recipe(node))
        if node.fit is None:
            read = [self]
            recipe |= self._read(node)
        else:
            read = self.learned(name)
            recipe["learned_from"] = [
                {"dataset": one.dataset, "track": one.track, **one._read(node)} for one in read
            ]
        if node.parts:
            recipe["versions"] = {**recipe["versions"], **_readers(node, read)}
        return recipe

    def _read(self, node):
        """Return the keys and fingerprints that a node reads of this track."""
        optional = node.optional_parts
        return {
            "inputs": {source: self.key(source) for source in node.inputs},
            "parts": {part: self.opened.fingerprint(part, part in optional) for part in node.parts},
        }

    def learned_from(self, name):
        """Return the (dataset, track) pairs that a fit node learns from.

        They are remembered, for machines on which those datasets are absent.

        Raises
        ------
        NodeFailure
            If there are none.
        """
        recipe = digest(self.graph.recipe(self.node(name)))
        if recipe not in self.opened.fits:
            self.opened.fits[recipe] = self._pairs(self.node(name), recipe)
        return self.opened.fits[recipe]

    def _pairs(self, node, recipe):
        fits, mine = self.tracks.fits(self.dataset).place, digest([recipe, self.track])
        pairs, reason = [], f"{self.dataset} has none"
        try:
            pairs = [list(pair) for pair in node.fit(self.opened.dataset, self.track)]
        except NmfabError as error:
            reason = str(error)
        if pairs:
            chosen = digest(pairs)
            if fits.recall(mine) != chosen:
                fits.remember(mine, chosen)
            if fits.recall(chosen) != pairs:
                fits.remember(chosen, pairs)
        else:
            pairs = fits.recall(fits.recall(mine) or "none") or []
        if not pairs:
            raise NodeFailure(f"{node.name}: no track to learn from: {reason}")
        return [tuple(pair) for pair in pairs]

    def learned(self, name):
        """Return the units of the tracks that a fit node learns from."""
        return [
            type(self)(self.graph, self.tracks, dataset, track, self.index)
            for dataset, track in self.learned_from(name)
        ]

    # -- artifacts ----------------------------------------------------------------------------

    def exists(self, name):
        """Tell whether the artifact of a node exists and need not be renewed."""
        node, key, scope = self.node(name), self.key(name), self.scope(name)
        if node.transient or (key not in scope.renewed and self.tracks.refreshes(node)):
            return False
        return scope.place.has(node, key)

    def stored(self, name):
        """Return the arrays of a node that are kept, or None."""
        node, key, scope = self.node(name), self.key(name), self.scope(name)
        if scope.memory.get(key) is None and self.exists(name):
            arrays = scope.place.read(node, key)
            if arrays is not None:
                scope.memory.hold(key, arrays)
        return scope.memory.get(key)

    def provenance(self, name):
        """Return how the artifact of a node came to be, or None."""
        return self.scope(name).place.provenance(self.node(name), self.key(name))

    def path(self, name):
        """Return the file that holds the artifact of a node, or None."""
        return self.scope(name).place.path(self.node(name), self.key(name))

    def scores(self):
        """Return the metrics, or None and the reason.

        Returns
        -------
        scores : dict of float or None
        reason : str
        """
        try:
            if not self.begun:
                return None, "not computed"
            arrays = self.stored(self.target)
            if arrays is not None:
                self.release()
                return {metric: float(value) for metric, value in arrays.items()}, ""
            reasons = [self._failure(name) for name in self.graph.order()]
        except NmfabError as error:
            return None, str(error)
        return None, next((reason for reason in reasons if reason), "not computed")

    def _failure(self, name):
        return self.scope(name).place.failure(self.key(name))

    def releases(self):
        """Return ``{library: set of releases}`` that the artifacts of the unit were computed with.

        They come from the provenances: a key names only the libraries that are known to decide
        the result.
        """
        found = {}
        for name in self.graph.order():
            for library, release in (self.provenance(name) or {}).get("libraries", {}).items():
                found.setdefault(library, set()).add(release)
        return found

    def release(self):
        """Forget arrays of the finished setting beyond what memory keeps, all but the features."""
        names = [name for name in self.graph.nodes if self.node(name).stage != "features"]
        keys = {name: self.graph.keys.get((self.dataset, self.track, name)) for name in names}
        self.opened.memory.drop(key for name, key in keys.items() if self.node(name).transient)
        self.opened.memory.release(keys.values())


def _readers(node, units):
    """Return the versions of what reads the parts of units: loaders and decoders."""
    datasets = {unit.dataset: type(unit.opened.dataset) for unit in units}
    used = {name for unit in units for part in node.parts for name in unit.opened.libraries(part)}
    loaders = {f"dataset.{name}": registry.version_of(found) for name, found in datasets.items()}
    return {**loaders, **registry.releases(sorted(used))}
