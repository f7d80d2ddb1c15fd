"""Units → jobs, each computed by one process: what is learned first, then a track each."""

import math
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field

from nmfab.base.errors import NmfabError
from nmfab.base.registry import load_plugin
from nmfab.base.resources import use_resources
from nmfab.run.logs import heard
from nmfab.run.timing import measure
from nmfab.run.track import Tally
from nmfab.run.unit import plan_batches

_FLUSHED_EVERY = 10  # seconds: an interrupted run keeps what it has


@dataclass(frozen=True)
class Job:
    """Units, as (index of the setting, parameters, dataset, track), or only their fit nodes."""

    units: tuple[tuple[int, dict, str, str], ...]
    fit_only: bool = False


@dataclass
class Report:
    """What a run did, in units of one setting on one track.

    Attributes
    ----------
    computed, reused : int
        Units whose last node was computed, or existed.
    failures : list of (int, str, str, str)
        Index of the setting, dataset, track, and the one-line reason.
    tally : Tally
        The same by node.
    seconds : float
        Wall time.
    warnings : list of str
        What was said on the way, each once.
    """

    computed: int = 0
    reused: int = 0
    failures: list = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    warnings: list = field(default_factory=list)

    def add(self, other):
        """Add the report of one job."""
        self.computed += other.computed
        self.reused += other.reused
        self.failures += other.failures
        self.tally.add(other.tally)
        self.warnings += [text for text in other.warnings if text not in self.warnings]


def fit_jobs(units):
    """Return one job per set of tracks that something is learned from, to be done before others.

    Each holds one unit for every fit node that learns from the set.
    """
    sets = defaultdict(dict)
    for unit in units:
        for name in unit.graph.order():
            if unit.node(name).fit is None:
                continue
            try:
                learned = tuple(unit.learned_from(name))
            except NmfabError:
                continue  # the job that reads it will say so
            sets[unit.dataset, learned].setdefault(unit.graph.identity(name), unit)
    return [Job(_listed(found.values()), fit_only=True) for found in sets.values()]


def track_jobs(units, jobs):
    """Cut the work into jobs: a track each, or parts of its settings where tracks are few.

    The problems of one batch stay in one job, whatever the number of processes.
    """
    by_track = defaultdict(list)
    for unit in units:
        by_track[unit.dataset, unit.track].append(unit)
    chunks = max(1, math.ceil(2 * jobs / max(1, len(by_track)))) if jobs > 1 else 1
    result = []
    for mine in by_track.values():
        groups = defaultdict(list)
        for unit in mine:
            groups[_group(unit) if chunks > 1 else None].append(unit)
        bins = [[] for _ in range(min(chunks, len(groups)))]
        for group in sorted(groups.values(), key=len, reverse=True):
            min(bins, key=len).extend(group)
        result += [Job(_listed(sorted(found, key=lambda unit: unit.index))) for found in bins]
    return result


def _listed(units):
    return tuple((unit.index, unit.parameters, unit.dataset, unit.track) for unit in units)


def _group(unit):
    identities = [unit.graph.batch_identity(unit.node(name)) for name in unit.graph.order()]
    found = [identity for identity in identities if identity is not None]
    return found[-1] if found else unit.index


def compute_job(context, job):
    """Compute one job in this process and return its `Report`; artifacts are saved on the way."""
    for plugin in context.plugins:
        load_plugin(plugin)
    report = Report()
    with (
        heard(report.warnings, context.store().folder),
        use_resources(context.resources()),
    ):
        tracks = context.tracks(refresh_fits=job.fit_only)
        units = context.units(job.units, tracks)
        try:
            if job.fit_only:
                _learn(units)
            else:
                _compute(context, units, report)
        finally:
            tracks.flush()
    report.tally = tracks.tally
    return report


def _learn(units):
    for unit in units:
        for name in unit.graph.order():
            if unit.node(name).fit is not None:
                try:
                    if not unit.exists(name):
                        unit.get(name)
                except NmfabError:
                    continue  # the jobs that read it will say so


def _compute(context, units, report):
    plan_batches(units)
    last_flush = time.monotonic()
    for unit in units:
        try:
            exists = unit.exists(unit.target)
            if not exists:
                unit.get(unit.target)
            if context.timing:
                measure(unit)
            report.reused += exists
            report.computed += not exists
            unit.tracks.tally.reused[unit.target] += exists
            _tick(context, "r" if exists else "c")
        except NmfabError as error:
            message = " ".join(str(error).split())
            report.failures.append((unit.index, unit.dataset, unit.track, message))
            _tick(context, "f")
        unit.release()
        if time.monotonic() - last_flush > _FLUSHED_EVERY:
            unit.tracks.flush()
            last_flush = time.monotonic()


def _tick(context, letter):
    if context.ticks is not None:
        with open(context.ticks / str(os.getpid()), "a") as file:
            file.write(letter)
