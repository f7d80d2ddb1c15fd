"""A unit, one setting on one track: what is computed, reused, failed, counted."""

import logging
import time
import traceback

from nmfab.base.errors import ComputationError, NmfabError
from nmfab.run.kept import Kept, NodeFailure
from nmfab.run.seconds import measurable, measured, warm_up
from nmfab.store.provenance import provenance

_log = logging.getLogger("nmfab.run.unit")


class Unit(Kept):
    """One setting on one track, whose nodes are computed on demand, from the last one backwards."""

    def get(self, name):
        """Return the arrays of a node, computing and saving what does not exist yet.

        Raises
        ------
        NodeFailure
            If the node, or one that it reads, cannot be computed; a failure is recorded.
        """
        node, key, scope = self.node(name), self.key(name), self.scope(name)
        arrays = scope.memory.get(key)
        if arrays is not None:
            return arrays
        if key in scope.failed:
            raise scope.failed[key]
        arrays = self.stored(name)
        if arrays is not None:
            self.tracks.tally.reused[name] += 1
            return arrays
        return self._compute(node, key)

    def value(self, name):
        """Return what readers of a node are given: its arrays, or what it decodes of them."""
        arrays, decode = self.get(name), self.node(name).decode
        if decode is None:
            return arrays
        return self.scope(name).memory.decoded(self.key(name), decode)

    def arguments(self, node):
        """Return the arrays of parts and nodes that a node is given, computed where need be."""
        if node.fit is not None:
            return self._streams(node)
        return {
            **{self.node(source).short_name: self.value(source) for source in node.inputs},
            **{part: self.opened.part(part, part in node.optional_parts) for part in node.parts},
        }

    def unsaved(self, node):
        """Return the arrays of a node that reads the setting's and is itself not kept."""
        return node.compute(dict(node.params), **self.arguments(node))

    # -- computing ----------------------------------------------------------------------------

    def _streams(self, node):
        """Return what a fit node is given: an iterable over tracks for each part and input."""
        units = self.learned(node.name)
        inputs = {self.node(s).short_name: Stream(self, units, _input(s)) for s in node.inputs}
        return inputs | {part: Stream(self, units, _part(part, node)) for part in node.parts}

    def _compute(self, node, key):
        try:
            arguments = self.arguments(node)
        except NodeFailure:
            raise
        except Exception as error:
            self._fail(node, key, error)
            raise self.scope(node.name).failed[key] from error
        group = [self] if self.tracks.timing else self._batch(node)
        if self.tracks.timing and measurable(node):
            warm_up(node, arguments)
        if node.compute_batch is None or len(group) == 1:
            self._run(group, node, lambda: [node.compute(dict(node.params), **arguments)])
        else:
            self._run_batch(group, node, arguments)
        scope = self.scope(node.name)
        if key in scope.failed:
            raise scope.failed[key]
        return scope.memory.get(key)

    def _batch(self, node):
        """Return one unit per problem of a batch that has no artifact, this one first."""
        identity = self.graph.batch_identity(node)
        found = {self.key(node.name): self}
        for other in self.opened.batches.get(identity, ()):
            key = other.key(node.name)
            if key not in self.opened.failed and not other.exists(node.name):
                found.setdefault(key, other)
        return list(found.values())

    def _run_batch(self, group, node, arguments):
        """Compute a batch; where the call as a whole fails, each of its problems alone."""
        params = [dict(unit.node(node.name).params) for unit in group]

        def compute():
            try:
                return node.compute_batch(params, **arguments)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - one bad problem must spare the others
                _log.warning(
                    "%s: the batch of %d failed (%s): one by one", node.name, len(group), error
                )
                return [_outcome(node.compute, one, arguments) for one in params]

        self._run(group, node, compute)

    def _run(self, group, node, compute):
        """Compute a node for one or several units, and save each result or failure."""
        tally, start = self.tracks.tally, time.perf_counter()
        before = tally.seconds.total()
        try:
            results = compute()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a component's fault must not stop the others
            results = [error] * len(group)
        within = tally.seconds.total() - before  # of what a fit node had computed meanwhile
        seconds = time.perf_counter() - start - within
        tally.seconds[node.name] += seconds
        for unit, result in zip(group, results, strict=True):
            unit._keep(node.name, result, seconds / len(group), len(group))

    def _keep(self, name, result, seconds, batch):
        """Save a node's result, or record why there is none."""
        node, key = self.node(name), self.key(name)
        if not isinstance(result, Exception):
            result = _checked(node, result)
        if isinstance(result, Exception):
            self._fail(node, key, result)
            return
        scope = self.scope(name)
        if node.transient:
            scope.memory.hold(key, result)
            return
        told = provenance(self.recipe(name), seconds, batch)
        if self.tracks.timing and measurable(node):
            told["timing"] = measured(result, seconds)
        scope.place.write(node, key, result, told)
        if node.fit is not None:
            scope.place.flush()
        scope.memory.hold(key, result)
        scope.renewed.add(key)
        self.tracks.tally.computed[name] += 1

    def _fail(self, node, key, error):
        scope = self.scope(node.name)
        if isinstance(error, NodeFailure):  # of what a fit node reads: recorded there
            scope.failed[key] = error
            return
        first = error if isinstance(error, NmfabError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        message = f"{node.name}: {first}"  # without the place: many tracks may share the reason
        scope.place.write_failure(node, key, message, trace)
        _log.error("%s/%s, %s\n%s", self.dataset, self.track, message, trace)
        scope.failed[key] = NodeFailure(message)


class Stream:
    """What a fit node is given of each track in turn; it can be gone through several times.

    A track's arrays are loaded when its turn comes, and forgotten when the next one's does.
    """

    def __init__(self, reader, units, load):
        self._reader, self._units, self._load = reader, units, load

    def __len__(self):
        return len(self._units)

    def __iter__(self):
        for unit in self._units:
            yield self._load(unit)
            if unit.opened is not self._reader.opened:
                unit.opened.forget()


def _input(name):
    return lambda unit: unit.value(name)


def _part(name, node):
    return lambda unit: unit.opened.part(name, name in node.optional_parts)


def plan_batches(units):
    """Form the batches of a job from all its units, before any artifact is looked at."""
    for unit in units:
        for name in unit.graph.order():
            identity = unit.graph.batch_identity(unit.node(name))
            if identity is not None:
                unit.opened.batches.setdefault(identity, []).append(unit)


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
    except (Exception, SystemExit) as error:  # noqa: BLE001 - told as this problem's failure
        return error
