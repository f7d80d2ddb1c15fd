"""Tracks given as arrays, for tests of tasks: written to files, and run node by node from there."""

from functools import partial
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.kinds import Factorization, stored
from nmfab.base.types import Part, Track
from nmfab.datasets import DATASETS, Dataset, Status
from nmfab.run.graph import Graph
from nmfab.run.track import Tracks
from nmfab.run.unit import Unit
from nmfab.store.files import Store
from nmfab.tasks import TASKS


def _read(path):
    with np.load(path) as file:
        return {name: file[name] if file[name].ndim else file[name].item() for name in file.files}


class Made(Dataset):
    """``FOLDER/TRACK/PART.npz``; isolated notes lie in ``isolated/INSTRUMENT_NNN``."""

    name, version = "made", 1

    def status(self):
        return Status("installed", "made by a test")

    def _tracks(self):
        return sorted(path for path in self.folder.iterdir() if path.name != "isolated")

    def track_ids(self, needs=(), subset=None):
        if subset is not None and subset.startswith("isolated"):
            return self.isolated_ids(subset.partition(":")[2] or None)
        return [
            path.name
            for path in self._tracks()
            if all((path / f"{part}.npz").is_file() for part in needs)
        ]

    def isolated_ids(self, instrument=None):
        found = sorted((self.folder / "isolated").glob(f"{instrument or '*'}_*"))
        return [f"isolated/{path.name}" for path in found]

    def load(self, track_id):
        files = sorted((self.folder / track_id).glob("*.npz"))
        if not files:
            raise DataError(f"there is no track {track_id}")
        parts = {path.stem: Part((path,), partial(_read, path)) for path in files}
        return Track(self.name, track_id, parts)


class Instruments(Made):
    """The first word of a track's name is its instrument; a name of one word does not tell."""

    name = "instruments"

    def instrument(self, track_id):
        return track_id.partition(" ")[0] if " " in track_id else None


class Folds(Made):
    """Tracks and isolated notes whose number is even are in one fold, odd ones in the other."""

    name = "folds"

    def fold(self, track_id):
        return int(track_id[-1]) % 2


class Subsets(Made):
    """Tracks of the subset train begin with ``train``."""

    name = "subsets"
    splits = ("train", "valid", "test")

    def track_ids(self, needs=(), subset=None):
        if subset is None or subset.startswith("isolated"):
            return super().track_ids(needs, subset)
        return [track for track in super().track_ids(needs) if track.startswith(subset)]


class Annotated(Made):
    """Sections by annotators 1 and 2, at two levels."""

    name = "annotated"
    annotators = (1, 2)
    annotator = "better"
    levels = ("upper", "lower")


KNOWN = (Made, Instruments, Folds, Subsets, Annotated)


def register(monkeypatch):
    """Make the datasets known for as long as a test lasts."""
    DATASETS.names()
    for cls in KNOWN:
        monkeypatch.setitem(DATASETS._components, cls.name, cls)


def write(folder, track, **parts):
    """Write the parts of a track, each a dict of arrays."""
    place = Path(folder) / track
    place.mkdir(parents=True, exist_ok=True)
    for name, arrays in parts.items():
        np.savez(place / f"{name}.npz", **arrays)


class Bench:
    """One task on made-up data: arrays, keys and scores of any setting, node by node.

    Parameters
    ----------
    task : str
        Its name.
    root : Path
        Holds ``data/DATASET`` and ``store``.
    **base : Any
        Parameters of every setting, over the task's defaults.
    """

    def __init__(self, task, root, dataset="made", **base):
        self.task, self.root, self.base = TASKS[task](), Path(root), base
        self.dataset = DATASETS[dataset]([self.root / "data"])
        self._tracks, self._kept = {}, []

    def parameters(self, **given):
        defaults = {name: param.default for name, param in self.task.params.items()}
        return {"dataset": self.dataset.name, **defaults, **self.base, **given}

    def graph(self, **given):
        return Graph(self.task, self.parameters(**given))

    def nodes(self, **given):
        """Return the nodes of a setting by name."""
        return self.graph(**given).nodes

    def recipe(self, node, **given):
        """Return what of a node's key no track changes."""
        graph = self.graph(**given)
        return graph.recipe(graph.nodes[node])

    def tracks(self, store="store"):
        """Return what opens the tracks, with what is kept in a store."""
        if store not in self._tracks:
            kept = Store(self.root / store, "made")
            self._tracks[store] = Tracks(kept, self._dataset)
        return self._tracks[store]

    def _dataset(self, name):
        own = name == self.dataset.name
        return self.dataset if own else DATASETS[name]([self.root / "data"])

    def unit(self, track="song", store="store", **given):
        """Return a setting on a track."""
        return Unit(self.graph(**given), self.tracks(store), self.dataset.name, track)

    def anew(self):
        """Forget what is in memory, as another process would: files may have changed."""
        for tracks in self._tracks.values():
            tracks.flush()
        self._tracks.clear()

    def keys(self, track="song", **given):
        """Return the key of every node of a setting."""
        unit = self.unit(track, **given)
        return {name: unit.key(name) for name in unit.graph.order()}

    def arrays(self, node, track="song", store="store", **given):
        """Return the arrays of a node, computed where they are not kept."""
        found = self.unit(track, store, **given).get(node)
        return stored(found) if isinstance(found, Factorization) else found

    def scores(self, track="song", **given):
        """Return the scores of a setting."""
        unit = self.unit(track, **given)
        return {name: float(value) for name, value in unit.get(unit.target).items()}

    def sound(self, track="song", **given):
        """Return the sound of the estimates."""
        unit = self.unit(track, **given)
        unit.get(unit.target)
        return unit.unsaved(self.task.sound_node(unit.parameters))


def same(first, second):
    """Tell whether two nodes' arrays are equal, bit by bit, but for seconds and curves."""
    names = {name for name in (*first, *second) if name not in ("seconds", "loss", "kkt")}
    return all(
        name in first and name in second and np.array_equal(first[name], second[name])
        if np.asarray(first.get(name)).dtype.kind not in "fc"
        else name in second and np.array_equal(first[name], second[name], equal_nan=True)
        for name in names
    )
