"""Settings × tracks → jobs → processes: progress, failures, and what was computed or reused."""

import logging
import math
import os
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from nmfab.base.errors import ComputationError, NmfabError, UsageError
from nmfab.base.registry import load_plugin
from nmfab.base.resources import Resources, use_resources
from nmfab.datasets import DATASETS
from nmfab.run.graph import Graph
from nmfab.run.pipeline import Tally, TrackPipeline
from nmfab.run.timing import measure, untimed
from nmfab.store.files import Store
from nmfab.tasks import TASKS

_log = logging.getLogger("nmfab.run.runner")


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
    ticks: Path | None = None

    def store(self):
        """Return the experiment's store."""
        return Store(self.cache, self.experiment)

    def dataset(self, name):
        """Return a dataset by name."""
        return DATASETS[name](self.roots)

    def measured_on(self):
        """Return the resources that seconds are to be told for; None where none are measured."""
        return Resources(self.device, self.threads) if self.timing else None

    def pipeline(self, dataset, track):
        """Return the pipeline of one track of a dataset."""
        return TrackPipeline(self.store(), dataset, track, self.refresh, self.measured_on())


@dataclass(frozen=True)
class Job:
    """One track and a chunk of its settings, or only the fit nodes that they read."""

    dataset: str
    track: str
    settings: tuple[tuple[int, dict], ...]  # index in the selection, parameters
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


def run(context, units, *, jobs=1, fail_fast=False, progress=None):
    """Compute every unit that does not exist yet.

    Parameters
    ----------
    context : Context
        Where and how.
    units : list of (int, dict, str, str)
        Index of the setting, its parameters, dataset and track.
    jobs : int
        Number of processes; with 1 all is computed in this one.
    fail_fast : bool
        Stop at the first failure.
    progress : callable, optional
        Called now and then with the number of units in all, and of those computed, reused and
        failed so far.

    Returns
    -------
    Report

    Raises
    ------
    UsageError
        If seconds are to be measured and there is more than one process.
    """
    start = time.perf_counter()
    if context.timing and jobs > 1:
        raise UsageError(
            f"--timing measures each factorization alone, and {jobs} jobs share the machine: "
            "leave out their number"
        )
    report = Report()
    with _heard(report.warnings, context):
        pending = _missing_units(context, units, report)
    with _ticking(context, len(units), report.reused, progress) as context:
        _compute_pending(context, pending, jobs, fail_fast, report)
    report.seconds = time.perf_counter() - start
    return report


def _compute_pending(context, pending, jobs, fail_fast, report):
    for phase in (_fit_jobs(context, pending), _chunk(context, pending, jobs)):
        for done in _execute(context, phase, jobs):
            report.add(done)
            if fail_fast and report.failures:
                return


@contextmanager
def _ticking(context, total, reused, progress):
    """Let every process count its units in a file of its own, and tell the sums to `progress`."""
    if progress is None or not total:
        yield context
        return
    with tempfile.TemporaryDirectory(prefix="nmfab-") as folder:
        stop = threading.Event()

        def tell():
            done = b"".join(path.read_bytes() for path in Path(folder).iterdir())
            counts = done.count(b"c"), reused + done.count(b"r"), done.count(b"f")
            progress(total, *counts)

        def watch():
            while not stop.wait(0.2):
                tell()

        thread = threading.Thread(target=watch, daemon=True)
        tell()
        thread.start()
        try:
            yield replace(context, ticks=Path(folder))
        finally:
            stop.set()
            thread.join()
            tell()


def _tick(context, letter):
    if context.ticks is not None:
        with open(context.ticks / str(os.getpid()), "a") as file:
            file.write(letter)


def visit(context, units):
    """Yield (unit, pipeline, graph) of each unit, every pipeline and graph being made once."""
    task, pipelines, graphs = TASKS[context.task](), {}, {}
    for unit in units:
        index, parameters, dataset, track = unit
        if index not in graphs:
            graphs[index] = Graph(task, parameters)
        if (dataset, track) not in pipelines:
            pipelines[dataset, track] = context.pipeline(context.dataset(dataset), track)
        yield unit, pipelines[dataset, track], graphs[index]


def _missing_units(context, units, report):
    """Count the units that exist; return the others, per (dataset, track)."""
    by_track, existing, missing = defaultdict(list), Counter(), set()
    for (index, parameters, dataset, track), pipeline, graph in visit(context, units):
        by_track[dataset, track].append((index, parameters))
        try:  # a track never computed is read by its job, beside the others
            exists = pipeline.place.folder.is_dir() and _is_done(pipeline, graph)
        except NmfabError:
            exists = False  # its job will say why
        existing[dataset, track, graph.target.name] += exists
        if not exists:
            missing.add((dataset, track))
    for (dataset, track, target), count in existing.items():
        if (dataset, track) not in missing:
            report.reused += count
            report.tally.reused[target] += count
    # all settings of an unfinished track: batches are formed from the whole selection
    return {place: settings for place, settings in by_track.items() if place in missing}


def _is_done(pipeline, graph):
    done = pipeline.exists(graph, graph.target.name)
    return done and not (pipeline.timing and untimed(pipeline, graph))


def _fit_jobs(context, pending):
    """Return one job per dataset for what is learned over several tracks, before all others."""
    task, jobs = TASKS[context.task](), []
    datasets_seen = set()
    for (dataset, track), settings in pending.items():
        learning = tuple(
            (index, parameters)
            for index, parameters in settings
            if any(node.fit_tracks is not None for node in task.nodes(parameters))
        )
        if learning and dataset not in datasets_seen:
            datasets_seen.add(dataset)
            jobs.append(Job(dataset, track, learning, fit_only=True))
    return jobs


def _chunk(context, pending, jobs):
    """Cut the work into jobs: a track each, or parts of its settings where tracks are few.

    The problems of one batch stay in one job, whatever the number of processes.
    """
    task = TASKS[context.task]()
    chunks = max(1, math.ceil(2 * jobs / max(1, len(pending)))) if jobs > 1 else 1
    result = []
    for (dataset, track), settings in pending.items():
        groups = defaultdict(list)
        for index, parameters in settings:
            graph = Graph(task, parameters) if chunks > 1 else None
            groups[_group(graph, index) if graph else None].append((index, parameters))
        bins = [[] for _ in range(min(chunks, len(groups)))]
        for group in sorted(groups.values(), key=len, reverse=True):
            min(bins, key=len).extend(group)
        result += [Job(dataset, track, tuple(sorted(b, key=lambda s: s[0]))) for b in bins]
    return result


def _group(graph, index):
    identities = [graph.batch_identity(graph.nodes[name]) for name in graph.order()]
    found = [identity for identity in identities if identity is not None]
    return found[-1] if found else index


def _execute(context, jobs, processes):
    """Yield the report of each job as it ends."""
    if not jobs:
        return
    if processes == 1 or len(jobs) == 1:
        for job in jobs:
            yield compute_job(context, job)
        return
    from concurrent.futures import BrokenExecutor

    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=processes, return_as="generator_unordered")  # loky, or dask
    try:
        yield from parallel(delayed(compute_job)(context, job) for job in jobs)
    except BrokenExecutor as error:
        raise ComputationError(
            "a worker process was killed (out of memory?): what was computed is kept, the same "
            "command goes on from there, with fewer jobs if need be"
        ) from error


def compute_job(context, job):
    """Compute one job in this process and return its `Report`; artifacts are saved on the way."""
    for plugin in context.plugins:
        load_plugin(plugin)
    report = Report()
    with (
        _heard(report.warnings, context),
        use_resources(Resources(context.device, context.threads)),
    ):
        pipeline = context.pipeline(context.dataset(job.dataset), job.track)
        try:
            _compute_settings(context, job, pipeline, report)
        finally:
            pipeline.place.flush()
    report.tally = pipeline.tally
    return report


def _compute_settings(context, job, pipeline, report):
    task = TASKS[context.task]()
    graphs = {index: Graph(task, parameters) for index, parameters in job.settings}
    pipeline.plan_batches(graphs.values())
    last_flush = time.monotonic()
    for index, graph in graphs.items():
        try:
            if job.fit_only:
                _compute_fits(pipeline, graph)
                continue
            exists = pipeline.exists(graph, graph.target.name)
            if not exists:
                pipeline.get(graph, graph.target.name)
            if context.timing:
                measure(pipeline, graph)
            report.reused += exists
            report.computed += not exists
            pipeline.tally.reused[graph.target.name] += exists
            _tick(context, "r" if exists else "c")
        except NmfabError as error:
            if job.fit_only:
                continue  # the jobs that read it will say so
            message = " ".join(str(error).split())
            report.failures.append((index, job.dataset, job.track, message))
            _tick(context, "f")
        pipeline.release(graph)
        if time.monotonic() - last_flush > 10:  # an interrupted run keeps what it has
            pipeline.place.flush()
            last_flush = time.monotonic()


def _compute_fits(pipeline, graph):
    for name in graph.order():
        if graph.nodes[name].fit_tracks is not None and not pipeline.exists(graph, name):
            pipeline.get(graph, name)


class _heard:
    """Collect nmfab's warnings for the report, and write all of its log to the log file."""

    def __init__(self, warnings, context):
        folder = context.store().folder
        folder.mkdir(parents=True, exist_ok=True)
        self._handlers = [_Collector(warnings), logging.FileHandler(folder / "nmfab.log")]
        layout = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        self._handlers[1].setFormatter(logging.Formatter(layout))

    def __enter__(self):
        logger = logging.getLogger("nmfab")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in self._handlers:
            logger.addHandler(handler)

    def __exit__(self, *_):
        for handler in self._handlers:
            logging.getLogger("nmfab").removeHandler(handler)
            handler.close()


class _Collector(logging.Handler):
    """Keeps each warning once; errors are failures already, and told as such."""

    def __init__(self, texts):
        super().__init__(logging.WARNING)
        self.texts = texts

    def emit(self, record):
        text = record.getMessage()
        if record.levelno == logging.WARNING and text not in self.texts:
            self.texts.append(text)
