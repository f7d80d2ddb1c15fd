"""One track through the nodes that its settings ask for, skipping every artifact that exists."""

import logging
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from nmfab.base import registry
from nmfab.base.errors import ComputationError, NmfabError
from nmfab.base.types import STAGES
from nmfab.base.values import digest
from nmfab.run.timing import measurable, measured, warm_up
from nmfab.store.files import FIT
from nmfab.store.provenance import provenance

KEPT = 2**28  # bytes of arrays that finished settings leave for those to come
_log = logging.getLogger("nmfab.run.pipeline")


class NodeFailure(ComputationError):
    """A node that could not be computed, or that reads one; its text is the first cause."""


@dataclass
class Tally:
    """What a job did: nodes computed, reused and timed by name, and the seconds of computing."""

    computed: Counter = field(default_factory=Counter)
    reused: Counter = field(default_factory=Counter)
    timed: Counter = field(default_factory=Counter)
    seconds: Counter = field(default_factory=Counter)

    def add(self, other):
        """Add another job's tally."""
        self.computed.update(other.computed)
        self.reused.update(other.reused)
        self.timed.update(other.timed)
        self.seconds.update(other.seconds)


class TrackPipeline:
    """One track, its parts and artifacts: keys, and arrays computed on demand.

    Parameters
    ----------
    store : Store
        Where artifacts are kept.
    dataset : Dataset
        The collection; it may be absent from this machine, and then only what exists can be read.
    track_id : str
        One of its tracks.
    refresh : str, optional
        The first stage that is computed again although its artifacts exist.
    timing : Resources, optional
        Compute each factorization alone, and keep its seconds with these; see `nmfab.run.timing`.
    """

    def __init__(self, store, dataset, track_id, refresh=None, timing=None):
        self.store, self.dataset, self.track_id = store, dataset, track_id
        self.place = store.place(dataset.name, track_id)
        self.tally = Tally()
        self._refresh = STAGES.index(refresh) if refresh else len(STAGES)
        self._renewed, self.timing = set(), timing
        self._track = None
        self._fingerprints = None
        self._libraries = None
        self._parts = {}
        self._arrays = {}
        self._decoded = {}
        self._finished = {}  # bytes of arrays that may be forgotten, by key, the oldest first
        self._spare = 0  # bytes of all of them
        self._failed = {}
        self._batches = {}
        self._siblings = {}

    # -- keys ---------------------------------------------------------------------------------

    def recipe(self, graph, name):
        """Return all that the key of a node is made of."""
        node = graph.nodes[name]
        recipe = dict(graph.recipe(node))
        if node.fit_tracks is not None:
            recipe["learned_from"] = self._fit_sources(graph, node, recipe)
            return self._with_loader(node, recipe)
        recipe["inputs"] = {source: self.key(graph, source) for source in node.inputs}
        recipe["parts"] = {part: self._fingerprint(part, node) for part in node.parts}
        return self._with_loader(node, recipe)

    def key(self, graph, name):
        """Return the key of a node's artifact for this track."""
        place = (self.dataset.name, self.track_id, name)
        if place not in graph.keys:
            graph.keys[place] = digest(self.recipe(graph, name))
        return graph.keys[place]

    def _with_loader(self, node, recipe):
        if node.parts:
            loader = {f"dataset.{self.dataset.name}": registry.version_of(type(self.dataset))}
            used = {name for part in node.parts for name in self._libraries_of(part)}
            recipe["versions"] = {
                **recipe["versions"],
                **loader,
                **registry.releases(sorted(used)),
            }
        return recipe

    def _libraries_of(self, part):
        """Return the names of the libraries whose release decides what is read of a part."""
        if self._libraries is None:
            self._libraries = self.place.libraries(self._known_parts())
        return self._libraries.get(part, ())

    def _fingerprint(self, part, node):
        if self._fingerprints is None:
            self._fingerprints = self.place.fingerprints(self._known_parts())
        if part not in self._fingerprints and part not in node.optional_parts:
            self.track.part(part)  # raises, naming what there is
        return self._fingerprints.get(part)

    def _known_parts(self):
        try:
            return self.track.parts
        except NmfabError:
            if self.place.fingerprints():
                return None  # the recording is not here: as remembered
            raise

    @property
    def track(self):
        """The track, loaded when first asked for."""
        if self._track is None:
            self._track = self.dataset.load(self.track_id)
        return self._track

    def _fit_sources(self, graph, node, recipe):
        """Return the keys of what a fit node reads, per track that it learns from."""
        return [
            {
                "track": other.track_id,
                "inputs": {source: other.key(graph, source) for source in node.inputs},
                "parts": {part: other._fingerprint(part, node) for part in node.parts},
            }
            for other in self._fit_pipelines(node, recipe)
        ]

    def _fit_pipelines(self, node, recipe):
        name = digest(recipe)
        if name not in self._siblings:
            fit_place = self.store.place(self.dataset.name, FIT)
            tracks = list(node.fit_tracks(self.dataset)) or fit_place.recall(name) or []
            if not tracks:
                raise NodeFailure(f"{node.name}: {self.dataset.name} has no track to learn from")
            if tracks != fit_place.recall(name):
                fit_place.remember(name, tracks)
            self._siblings[name] = [
                TrackPipeline(self.store, self.dataset, track) for track in tracks
            ]
        return self._siblings[name]

    # -- arrays -------------------------------------------------------------------------------

    def exists(self, graph, name):
        """Tell whether the artifact of a node exists and need not be renewed."""
        node, key = graph.nodes[name], self.key(graph, name)
        if STAGES.index(node.stage) >= self._refresh and key not in self._renewed:
            return False
        return self.place_of(node).has(node, key)

    def plan_batches(self, graphs):
        """Form the batches of a job from all its settings, before any artifact is looked at."""
        for graph in graphs:
            for name in graph.order():
                identity = graph.batch_identity(graph.nodes[name])
                if identity is not None:
                    self._batches.setdefault(identity, []).append(graph)

    def get(self, graph, name):
        """Return the arrays of a node, computing and saving what does not exist yet.

        Raises
        ------
        NodeFailure
            If the node, or one that it reads, cannot be computed; a failure is recorded.
        """
        node, key = graph.nodes[name], self.key(graph, name)
        if key in self._arrays:
            return self._arrays[key]
        if key in self._failed:
            raise self._failed[key]
        if self.stored(graph, name) is not None:
            self.tally.reused[name] += 1
            return self._arrays[key]
        return self._compute(graph, node, key)

    def stored(self, graph, name):
        """Return the arrays of a node that are kept, or None: nothing is computed."""
        node, key = graph.nodes[name], self.key(graph, name)
        if key not in self._arrays and self.exists(graph, name):
            arrays = self.place_of(node).read(node, key)
            if arrays is not None:
                self._hold(key, arrays)
        return self._arrays.get(key)

    def value(self, graph, name):
        """Return what readers of a node are given: its arrays, or what it decodes of them."""
        node, arrays = graph.nodes[name], self.get(graph, name)
        if node.decode is None:
            return arrays
        key = self.key(graph, name)
        if key not in self._decoded:
            self._decoded[key] = node.decode(arrays)
        return self._decoded[key]

    def _hold(self, key, arrays):
        for array in arrays.values():  # other settings are given the same ones
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        self._arrays[key] = arrays

    def unsaved(self, graph, node):
        """Return the arrays of a node that reads the graph's and is itself not kept."""
        return node.compute(dict(node.params), **self.arguments(graph, node))

    def release(self, graph):
        """Forget arrays of finished settings beyond `KEPT` bytes, all but the features."""
        for (dataset, track, name), key in graph.keys.items():
            here = (dataset, track) == (self.dataset.name, self.track_id)
            if here and graph.nodes[name].stage != "features" and key in self._arrays:
                size = _size(self._arrays[key])
                self._spare += size - self._finished.pop(key, 0)
                self._finished[key] = size
        while self._spare > KEPT:
            key = next(iter(self._finished))
            self._spare -= self._finished.pop(key)
            del self._arrays[key]
            self._decoded.pop(key, None)

    def place_of(self, node):
        """Return the `Place` of a node's artifacts: the track's, or the one of fit nodes."""
        return self.place if node.fit_tracks is None else self.store.place(self.dataset.name, FIT)

    def _compute(self, graph, node, key):
        try:
            arguments = self.arguments(graph, node)
        except NodeFailure:
            raise
        except Exception as error:
            self._fail(node, key, error)
            raise self._failed[key] from error
        identity = graph.batch_identity(node)
        alone = identity is None or self.timing
        group = [graph] if alone else self._missing_of(node.name, identity, graph)
        if self.timing and measurable(node):
            warm_up(node, arguments)
        if node.compute_batch is None or len(group) == 1:
            self._run([(graph, key)], node, lambda: [node.compute(dict(node.params), **arguments)])
        else:
            self._run_batch(group, node, arguments)
        if key in self._failed:
            raise self._failed[key]
        return self._arrays[key]

    def _missing_of(self, name, identity, graph):
        """Return one graph per problem of a batch that has no artifact, the asked one first."""
        by_key = {self.key(graph, name): graph}
        for other in self._batches.get(identity, ()):
            key = self.key(other, name)
            if key not in self._failed and not self.exists(other, name):
                by_key.setdefault(key, other)
        return list(by_key.values())

    def arguments(self, graph, node):
        """Return the arrays of parts and nodes that a node is given, computed where need be."""
        if node.fit_tracks is not None:
            return self._fit_arguments(graph, node)
        arguments = {graph.nodes[s].short_name: self.value(graph, s) for s in node.inputs}
        for part in node.parts:
            arguments[part] = self._part(part, part in node.optional_parts)
        return arguments

    def _fit_arguments(self, graph, node):
        others = self._fit_pipelines(node, graph.recipe(node))
        arguments = {graph.nodes[s].short_name: [] for s in node.inputs}
        arguments.update({part: [] for part in node.parts})
        for other in others:
            for source in node.inputs:
                arguments[graph.nodes[source].short_name].append(other.value(graph, source))
            for part in node.parts:
                arguments[part].append(other._part(part, part in node.optional_parts))
            other._arrays.clear()
            other._decoded.clear()
            other._parts.clear()
            other.place.flush()
            self.tally.add(other.tally)
            other.tally = Tally()
        return arguments

    def _part(self, name, optional):
        if name not in self._parts:
            if optional and name not in self.track.parts:
                return None
            self._parts[name] = self.track.part(name).read()
        return self._parts[name]

    def _run_batch(self, group, node, arguments):
        """Compute a batch; where the call as a whole fails, each of its problems alone."""
        params = [dict(graph.nodes[node.name].params) for graph in group]
        pairs = [(graph, self.key(graph, node.name)) for graph in group]

        def compute():
            try:
                return node.compute_batch(params, **arguments)
            except Exception as error:  # noqa: BLE001 - one bad problem must spare the others
                _log.warning(
                    "%s: the batch of %d failed (%s): one by one", node.name, len(group), error
                )
                return [_outcome(node.compute, one, arguments) for one in params]

        self._run(pairs, node, compute)

    def _run(self, pairs, node, compute):
        """Compute a node for one or several (graph, key), and save each result or failure."""
        start = time.perf_counter()
        try:
            results = compute()
        except Exception as error:  # noqa: BLE001 - a component's fault must not stop the others
            results = [error] * len(pairs)
        seconds = time.perf_counter() - start
        self.tally.seconds[node.name] += seconds
        for (graph, key), result in zip(pairs, results, strict=True):
            own = graph.nodes[node.name]
            if not isinstance(result, Exception):
                result = _checked(own, result)
            if isinstance(result, Exception):
                self._fail(own, key, result)
            else:
                self._save(graph, own, key, result, seconds / len(pairs), len(pairs))

    def _save(self, graph, node, key, arrays, seconds, batch):
        told = provenance(self.recipe(graph, node.name), seconds, batch)
        if self.timing and measurable(node):
            told["timing"] = measured(arrays, seconds)
        self.place_of(node).write(node, key, arrays, told)
        if node.fit_tracks is not None:
            self.place_of(node).flush()
        self._hold(key, arrays)
        self._renewed.add(key)
        self.tally.computed[node.name] += 1

    def _fail(self, node, key, error):
        first = error if isinstance(error, NmfabError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        message = f"{node.name}: {first}"  # without the place: many tracks may share the reason
        self.place_of(node).write_failure(node, key, message, trace)
        _log.error("%s/%s, %s\n%s", self.dataset.name, self.track_id, message, trace)
        self._failed[key] = NodeFailure(message)


def _size(arrays):
    return sum(np.asarray(array).nbytes for array in arrays.values())


def _checked(node, result):
    """Return what a node returned as a dict, or the error that says how it breaks its word."""
    try:
        node.check_returned(result)
    except ComputationError as error:
        return error
    return dict(result)


def _outcome(compute, params, arguments):
    try:
        return compute(params, **arguments)
    except Exception as error:  # noqa: BLE001 - told as this problem's failure
        return error
