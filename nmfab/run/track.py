"""The tracks that a process works on, each opened once, with what its settings share."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmfab.base.errors import NmfabError
from nmfab.base.resources import Resources
from nmfab.base.types import STAGES
from nmfab.store.files import FIT, Store

KEPT = 2**28  # bytes of arrays that finished settings leave for those to come


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


class Memory:
    """Arrays of a track that settings to come may read, by key; they cannot be changed in place."""

    def __init__(self):
        self._arrays = {}
        self._decoded = {}
        self._finished = {}  # bytes of arrays that may be forgotten, by key, the oldest first
        self._spare = 0  # bytes of all of them

    def get(self, key):
        """Return the arrays under a key, or None."""
        return self._arrays.get(key)

    def hold(self, key, arrays):
        """Keep arrays: several settings are given the same ones."""
        for array in arrays.values():
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        self._arrays[key] = arrays

    def decoded(self, key, decode):
        """Return what `decode` makes of the arrays under a key, once made."""
        if key not in self._decoded:
            self._decoded[key] = decode(self._arrays[key])
        return self._decoded[key]

    def release(self, keys):
        """Forget arrays that a finished setting leaves, the oldest first, beyond `KEPT` bytes."""
        for key in keys:
            if key in self._arrays:
                size = sum(np.asarray(array).nbytes for array in self._arrays[key].values())
                self._spare += size - self._finished.pop(key, 0)
                self._finished[key] = size
        while self._spare > KEPT:
            key = next(iter(self._finished))
            self._spare -= self._finished.pop(key)
            del self._arrays[key]
            self._decoded.pop(key, None)

    def drop(self, keys):
        """Forget arrays that nobody else will read."""
        for key in keys:
            self._arrays.pop(key, None)

    def clear(self):
        """Forget all."""
        self._arrays, self._decoded = {}, {}
        self._finished, self._spare = {}, 0


class Scope:
    """Where artifacts are kept, on disk and in memory: of one track, or of a dataset's fits."""

    def __init__(self, place):
        self.place = place
        self.memory = Memory()
        self.failed = {}  # key -> the failure
        self.renewed = set()  # keys computed here


class OpenTrack(Scope):
    """One track: its parts, their fingerprints, and the scope of its artifacts.

    Parameters
    ----------
    dataset : Dataset
        The collection; it may be absent from this machine, and then only what exists can be read.
    track : str
        One of its tracks.
    place : Place
        Where its artifacts are kept.
    """

    def __init__(self, dataset, track, place):
        super().__init__(place)
        self.dataset, self.track = dataset, track
        self.batches = {}  # what the problems of a batch have in common -> their units
        self.fits = {}  # digest of a fit node -> the tracks that it learns from
        self._content = None
        self._parts = {}
        self._fingerprints = None
        self._libraries = None

    @property
    def content(self):
        """The `Track`, loaded when first asked for."""
        if self._content is None:
            self._content = self.dataset.load(self.track)
        return self._content

    def part(self, name, optional=False):
        """Return a part's arrays, read once; None for an `optional` one that is missing."""
        if name not in self._parts:
            if optional and name not in self.content.parts:
                return None
            self._parts[name] = self.content.part(name).read()
        return self._parts[name]

    def fingerprint(self, part, optional=False):
        """Return a part's fingerprint; None for an `optional` one that is missing."""
        if self._fingerprints is None:
            self._fingerprints = self.place.fingerprints(self._known_parts())
        if part not in self._fingerprints and not optional:
            self.content.part(part)  # raises, naming what there is
        return self._fingerprints.get(part)

    def libraries(self, part):
        """Return the names of the libraries whose release decides what is read of a part."""
        if self._libraries is None:
            self._libraries = self.place.libraries(self._known_parts())
        return self._libraries.get(part, ())

    def forget(self):
        """Forget arrays and parts; save what waits to be."""
        self.memory.clear()
        self._parts.clear()
        self.place.flush()

    def _known_parts(self):
        try:
            return self.content.parts
        except NmfabError:
            if self.place.fingerprints():
                return None  # the recording is not here: as remembered
            raise


@dataclass
class Tracks:
    """What a process opens tracks by.

    Attributes
    ----------
    store : Store
        Where artifacts are kept.
    find : callable
        Returns a `Dataset` by its name.
    refresh : str, optional
        The first stage that is computed again although its artifacts exist.
    refresh_fits : bool
        Whether that includes what is learned over several tracks, which is computed before all
        else and then no more.
    timing : Resources, optional
        Compute each factorization alone, and keep its seconds with these.
    """

    store: Store
    find: Callable[[str], Any]
    refresh: str | None = None
    refresh_fits: bool = True
    timing: Resources | None = None
    tally: Tally = field(default_factory=Tally)
    _datasets: dict = field(default_factory=dict)
    _opened: dict = field(default_factory=dict)
    _fits: dict = field(default_factory=dict)

    def dataset(self, name):
        """Return a dataset, made once."""
        if name not in self._datasets:
            self._datasets[name] = self.find(name)
        return self._datasets[name]

    def open(self, dataset, track):
        """Return the `OpenTrack` of a dataset's name and a track's id."""
        if (dataset, track) not in self._opened:
            place = self.store.place(dataset, track)
            self._opened[dataset, track] = OpenTrack(self.dataset(dataset), track, place)
        return self._opened[dataset, track]

    def fits(self, dataset):
        """Return the `Scope` of what is learned over several tracks for those of a dataset."""
        if dataset not in self._fits:
            self._fits[dataset] = Scope(self.store.place(dataset, FIT))
        return self._fits[dataset]

    def refreshes(self, node):
        """Tell whether a node is computed again although its artifact exists."""
        if self.refresh is None or (node.fit is not None and not self.refresh_fits):
            return False
        return STAGES.index(node.stage) >= STAGES.index(self.refresh)

    def flush(self):
        """Save what waits to be, and close files."""
        for opened in self._opened.values():
            opened.place.flush()
            opened.place.close()
