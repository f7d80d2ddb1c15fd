"""Implementation checks: rows whose figures are published, computed here and compared."""

import math
from dataclasses import dataclass
from statistics import fmean, median

from nmfab.base.errors import DataError, UsageError
from nmfab.base.registry import unknown
from nmfab.experiment import Experiment
from nmfab.results import published
from nmfab.results.summary import SameNumbers
from nmfab.tasks import TASKS

_STATISTIC = {"mean": fmean, "median": median}


@dataclass(frozen=True, eq=False)
class Check(SameNumbers):
    """One figure.

    Attributes
    ----------
    table : nmfab.results.published.Table
    row, metric : str
    published, here : float
        NaN where there is none.
    tracks : int
        How many `here` is over.
    """

    table: published.Table
    row: str
    metric: str
    published: float
    here: float
    tracks: int

    @property
    def within(self):
        """Whether both agree; None where tracks or a figure are missing."""
        if self.tracks < self.table.tracks or math.isnan(self.published) or math.isnan(self.here):
            return None
        return abs(self.here - self.published) <= self.table.tolerance + 1e-9

    @property
    def verdict(self):
        """What `within` says, in words."""
        if self.within is not None:
            close = f"{self.table.tolerance:g} {self.table.unit}".strip()
            return f"within {close}" if self.within else f"OUTSIDE {close}"
        if math.isnan(self.published):
            return "no figure is published: not judged"
        return f"{self.tracks} of {self.table.tracks} tracks: not judged"


def verify(task, dataset, *, data=(), cache=None, jobs=1, progress=None):
    """Compute the rows of a task that have published figures on a dataset, and compare.

    Parameters
    ----------
    task, dataset : str
        Names.
    data : sequence of path
        Folders that hold the dataset, before those of ``$NMFAB_DATA``.
    cache : path, optional
        Folder of artifacts; the default of every experiment where None.
    jobs : int
        Number of processes.
    progress : callable, optional
        See `nmfab.run.runner.run`.

    Returns
    -------
    list of Check

    Raises
    ------
    UsageError
        If there is no such task, or nothing is published that could be checked.
    DataError
        If the dataset is not on this machine, or a track fails.
    """
    if task not in TASKS:
        raise UsageError(unknown("task", task, TASKS.names()))
    tables = [t for t in published.tables(task, dataset) if any(row.setting for row in t.rows)]
    if not tables:
        known = sorted({name for t in published.tables(task) for name in t.datasets if _has(t)})
        others = f"there are some on {', '.join(known)}" if known else "there are none"
        raise UsageError(f"no implementation check of {task} on {dataset}: {others}")
    return [
        check
        for table in tables
        for check in _checks(table, _experiment(table, dataset, data, cache), jobs, progress)
    ]


def _has(table):
    return any(row.setting for row in table.rows)


def _experiment(table, dataset, data, cache):
    experiment = Experiment("verify", task=table.task, title=f"verify {table.task} on {dataset}")
    experiment.data, experiment.cache = list(data), cache or experiment.cache
    for number, row in enumerate(table.rows):
        if row.setting is not None:
            experiment.add_plan(
                f"row{number}", {"dataset": dataset, **table.protocol, **row.setting}
            )
    return experiment


def _checks(table, experiment, jobs, progress):
    report = experiment.compute(jobs=jobs, progress=progress)
    if report.failures:
        _, dataset, track, reason = report.failures[0]
        place = f"{dataset}/{track}" if track else dataset
        raise DataError(f"cannot be checked: {place}: {reason}")
    for number, row in enumerate(table.rows):
        if row.setting is None:
            continue
        results = experiment.results(f"row{number}/")
        for metric in table.columns:
            if metric in experiment.task.metrics:
                numbers = [scores[metric] for *_, scores in results.rows]
                known = [value for value in numbers if not math.isnan(value)]
                here = _STATISTIC[table.statistic](known) if known else math.nan
                said = row.values.get(metric, math.nan)
                yield Check(table, row.name, metric, said, here, len(numbers))
