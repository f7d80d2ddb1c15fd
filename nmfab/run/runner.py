"""Settings × tracks → jobs → processes: progress, failures, and what was computed or reused."""

import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nmfab.base.errors import ComputationError, NmfabError, UsageError
from nmfab.run.jobs import Report, compute_job, fit_jobs, track_jobs
from nmfab.run.logs import heard
from nmfab.run.timing import untimed


def run(context, units, *, jobs=1, fail_fast=False, progress=None):
    """Compute every unit that does not exist yet.

    Parameters
    ----------
    context : Context
        Where and how.
    units : list of Unit
        As ``context.units`` makes them.
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
    with heard(report.warnings, context.store().folder):
        pending = _missing_units(units, report)
        learning = fit_jobs(pending)
    with _ticking(context, len(units), report.reused, progress) as context:
        for phase in (learning, track_jobs(pending, jobs)):
            _compute(context, phase, jobs, fail_fast, report)
    report.seconds = time.perf_counter() - start
    return report


def _compute(context, phase, jobs, fail_fast, report):
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


def _missing_units(units, report):
    """Count the units that exist; return the others, with all of their tracks'."""
    existing, missing = Counter(), set()
    for unit in units:
        try:  # a track never computed is read by its job, beside the others
            exists = unit.begun and _is_done(unit)
        except NmfabError:
            exists = False  # its job will say why
        existing[unit.dataset, unit.track, unit.target] += exists
        if not exists:
            missing.add((unit.dataset, unit.track))
    for (dataset, track, target), count in existing.items():
        if (dataset, track) not in missing:
            report.reused += count
            report.tally.reused[target] += count
    # all settings of an unfinished track: batches are formed from the whole selection
    return [unit for unit in units if (unit.dataset, unit.track) in missing]


def _is_done(unit):
    return unit.exists(unit.target) and not (unit.tracks.timing and untimed(unit))


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
