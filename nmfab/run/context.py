"""What a process needs to know to compute as another would."""

from dataclasses import dataclass
from pathlib import Path

from nmfab.base.resources import Resources
from nmfab.datasets import DATASETS
from nmfab.datasets.contract import looking_once
from nmfab.run.graph import Graph
from nmfab.run.track import Tracks
from nmfab.run.unit import Unit
from nmfab.store.files import Store
from nmfab.tasks import TASKS


@dataclass(frozen=True)
class Context:
    """What a worker process needs to know to compute as its parent would.

    Attributes
    ----------
    experiment, task : str
        Names of the experiment and of its task.
    cache : Path
        The cache folder.
    roots : tuple of Path
        Where datasets are looked for.
    plugins : tuple of Path
        Files imported first.
    device : str
        ``"cpu"`` or ``"cuda"``.
    threads : int, optional
        Threads of each job; as the libraries choose where None.
    refresh : str, optional
        The first stage to compute again.
    timing : bool
        Whether each factorization is computed alone and measured.
    curve : int, optional
        Points of the curves of what is computed.
    ticks : Path, optional
        A folder where each process counts the units that it has done.
    """

    experiment: str
    task: str
    cache: Path
    roots: tuple[Path, ...]
    plugins: tuple[Path, ...] = ()
    device: str = "cpu"
    threads: int | None = None
    refresh: str | None = None
    timing: bool = False
    curve: int | None = None
    ticks: Path | None = None

    def store(self):
        """Return the experiment's store."""
        return Store(self.cache, self.experiment)

    def dataset(self, name):
        """Return a dataset by name."""
        return DATASETS[name](self.roots)

    def resources(self):
        """Return what a job may use."""
        return Resources(self.device, self.threads, self.curve)

    def tracks(self, *, refresh_fits=True):
        """Return what opens tracks in this process; see `Tracks` for `refresh_fits`."""
        measured_on = self.resources() if self.timing else None

        def find(name):
            return looking_once(self.dataset(name))

        return Tracks(self.store(), find, self.refresh, refresh_fits, measured_on)

    def units(self, listed, tracks):
        """Return the `Unit` of each setting on a track, every setting's nodes being made once.

        Parameters
        ----------
        listed : iterable of (int, mapping, str, str)
            Index of the setting, its parameters, dataset, track.
        tracks : Tracks
            As `tracks` gives it.
        """
        task, graphs, units = TASKS[self.task](), {}, []
        for index, parameters, dataset, track in listed:
            if index not in graphs:
                graphs[index] = Graph(task, parameters)
            units.append(Unit(graphs[index], tracks, dataset, track, index))
        return units
