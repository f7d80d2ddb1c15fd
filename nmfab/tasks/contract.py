"""The contract of a task: its parameters, its metrics, and the nodes that a setting asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nmfab.base.registry import Registry
from nmfab.base.types import Param

TASKS = Registry("task", "nmfab.tasks")


@dataclass(frozen=True)
class Metric:
    """A number that a task's last node gives.

    Attributes
    ----------
    help : str
        One line: what it is, with its unit.
    higher_is_better : bool or None
        None where neither is better (a count, a deviation).
    unit : str
        ``"dB"``, ``"s"``, or empty for a ratio.
    detail : bool
        Shown where it is asked for: tables show the other metrics first.
    """

    help: str
    higher_is_better: bool | None = True
    unit: str = ""
    detail: bool = False


class Task:
    """A task; a subclass declares the class attributes and `nodes`.

    `params` is what the task can be told, `metrics` what its last node returns (one number each,
    NaN where it is not defined for a track), `protocol` the parameters that say how is measured
    (settings that differ in one of them never share a table), `needs` the parts that a track must
    have to be computed: a dataset's tracks are ``dataset.track_ids(needs=task.needs)``.
    """

    name: ClassVar[str]
    version: ClassVar[int | None] = None
    params: ClassVar[Mapping[str, Param]] = {}
    metrics: ClassVar[Mapping[str, Metric]] = {}
    protocol: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ("audio",)

    def nodes(self, p):
        """Return the nodes that a setting asks for, inputs before readers, the metrics last.

        Parameters
        ----------
        p : mapping
            Every parameter of the setting: `params`, and ``NAME.param`` of algorithms and features.
            What no node names in its ``params`` is not read, and a factor that is not read is
            absent from the setting.

        Returns
        -------
        list of Node
        """
        raise NotImplementedError

    def tracks(self, dataset, p):
        """Return the ids of the tracks of a dataset that a setting runs over, in order.

        Parameters
        ----------
        dataset : Dataset
            The collection.
        p : mapping
            Every parameter of the setting.
        """
        return dataset.track_ids(needs=self.needs)

    def sound_node(self, p):
        """Return a node that gives the sound of a setting's estimates, or None.

        Its inputs are among `nodes`; it returns ``samples`` (estimates × channels × samples),
        ``sample_rate`` (Hz) and ``names``. It is computed when somebody listens, and not kept.
        """
        return None

    def protocol_of(self, p):
        """Return name and value of what of `protocol` a setting reads: the head of its table."""
        read = {name for node in self.nodes(p) for name in node.params}
        return {name: p[name] for name in self.protocol if name in read}

    def notes(self, results):
        """Return lines for below a table that say how its results came about.

        Parameters
        ----------
        results : list of (Setting, mapping)
            Of one dataset and protocol: a setting, and per track the numbers of `metrics`.

        Returns
        -------
        list of str
        """
        return []

    def kind(self, p):
        """Return ``"baseline"``, ``"oracle"`` or, for an ordinary setting, ``""``."""
        return ""

    def skip(self, p):
        """Return why a setting cannot be computed, or None."""
        return None


def task(name, *, version=None):
    """Register a subclass of `Task` under `name`."""

    def register(cls):
        cls.name, cls.version = name, version
        return TASKS.add(name, cls)

    return register
