"""The contract of a dataset: where it lives, what it needs, how it is read; never a feature."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nmfab.base.errors import DataError
from nmfab.base.registry import Registry, unknown

DATASETS = Registry("dataset", "nmfab.datasets")


@dataclass(frozen=True)
class Status:
    """What of a dataset is on this machine.

    Attributes
    ----------
    state : {"installed", "partial", "absent"}
        Whether its tracks can be loaded: all, some, none.
    message : str
        One line: where it was found or looked for, and what to do.
    missing : sequence of str
        What is missing, as paths below the dataset's folder.
    """

    state: str
    message: str
    missing: Sequence[str] = ()


class Dataset:
    """A collection of tracks on disk.

    A subclass fills the header below and `status`, `track_ids` and `load`. Where sections have
    several `annotators`, a track has the parts ``sections.ANNOTATOR`` or, with `levels`,
    ``sections.ANNOTATOR.LEVEL``, of those who annotated it, beside the usual ``sections``; with
    `annotator` ``"better"``, an estimate is scored against each.

    Parameters
    ----------
    roots : sequence of Path
        Folders that may hold a folder named like the dataset, the first one winning.
    """

    name: ClassVar[str]
    version: ClassVar[int | None] = None  # of the loader
    release: ClassVar[str] = ""  # of the data
    tasks: ClassVar[tuple[str, ...]] = ()  # that it has references for
    size: ClassVar[str] = ""  # on disk
    licence: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    source: ClassVar[str] = ""  # where to get it
    tree: ClassVar[str] = ""  # the files wanted, as a drawing
    steps: ClassVar[tuple[str, ...]] = ()  # how it comes there, in order
    downloads: ClassVar[tuple[str, ...]] = ()  # see `nmfab.datasets.download`
    annotators: ClassVar[tuple] = ()  # of sections, where there are several: see below
    annotator: ClassVar = None  # whose sections are scored unless another is asked for
    splits: ClassVar[tuple[str, ...]] = ()  # that its tracks are divided into: train, test
    extras: ClassVar[tuple[str, ...]] = ()  # further sets of tracks: see `track_ids`
    levels: ClassVar[tuple[str, ...]] = ()  # of their sections, the usual one first
    no_download: ClassVar[str] = ""  # what of it cannot be downloaded, and why

    def __init__(self, roots):
        self.roots = [Path(root) for root in roots]

    @property
    def folder(self):
        """The dataset's folder, or None where no root has one."""
        for root in self.roots:
            if (root / self.name).is_dir():
                return root / self.name
        return None

    def absent(self):
        """Return the `Status` of a dataset that has no folder."""
        looked = ", ".join(str(root / self.name) for root in self.roots)
        return Status("absent", f"not found (looked for {looked}): {self.hint}")

    @property
    def hint(self):
        """Where a user reads what is wanted."""
        return f"nmfab datasets {self.name} tells what goes there, and how it is got"

    def status(self):
        """Return the `Status` on this machine."""
        raise NotImplementedError

    @property
    def subsets(self):
        """The names that `track_ids` takes: `splits`, then `extras`."""
        return (*self.splits, *self.extras)

    def track_ids(self, needs=(), subset=None):
        """Return the ids of the tracks that can be loaded, sorted; [] where it is absent.

        Parameters
        ----------
        needs : sequence of str
            Parts that a track must have to be named, `Task.needs` for instance: a dataset may hold
            tracks of several tasks.
        subset : str, optional
            One of `subsets`. All tracks where None, but none of `extras`: those serve to learn from
            (``isolated``: one note each; ``isolated:INSTRUMENT``, and ``isolated:INSTRUMENT:M`` of
            those played mezzo-forte, where the dataset names loudnesses) or are excerpts of the
            others.

        Raises
        ------
        DataError
            If there is no such subset.
        """
        raise NotImplementedError

    def check_subset(self, subset):
        """Raise DataError, with the nearest name, if `subset` is neither None nor a subset."""
        if subset is not None and subset not in self.subsets:
            if not self.subsets:
                raise DataError(f"{self.name} has no subset {subset!r}: it has no subsets")
            raise DataError(unknown(f"subset of {self.name}", subset, self.subsets))

    def fold(self, track_id):
        """Return the fold that a track is in where the dataset has official ones, else None."""
        return None

    def instrument(self, track_id):
        """Return the INSTRUMENT of ``isolated:INSTRUMENT`` that plays a track, None if unknown."""
        return None

    def load(self, track_id):
        """Return a `Track`, its parts unread; DataError names the file that is missing."""
        raise NotImplementedError


def dataset(name, *, version=None):
    """Register a subclass of `Dataset` under `name`."""

    def register(cls):
        cls.name, cls.version = name, version
        return DATASETS.add(name, cls)

    return register


def looking_once(dataset):
    """Return a dataset that looks for its files once: every setting asks for the tracks."""
    look, found = dataset.track_ids, {}

    def track_ids(needs=(), subset=None):
        key = frozenset(needs), subset
        if key not in found:
            found[key] = look(needs) if subset is None else look(needs, subset)
        return list(found[key])

    dataset.track_ids = track_ids
    return dataset


def data_roots(extra=()):
    """Return the folders in which datasets are looked for, first match winning.

    Parameters
    ----------
    extra : sequence of path
        Folders named on the command line.

    Returns
    -------
    list of Path
        `extra`, the folders of ``$NMFAB_DATA`` (separated by ``:``), then the repository's
        ``data/`` (where ``demo`` always lives).
    """
    named = [folder for folder in os.environ.get("NMFAB_DATA", "").split(os.pathsep) if folder]
    return [*(Path(folder).expanduser() for folder in (*extra, *named)), repository_data()]


def repository_data():
    """Return the repository's ``data/``, or ``./data`` where nmfab is not run from a checkout."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout / "data" if (checkout / "setup.cfg").is_file() else Path.cwd() / "data"
