"""The conformance suite: every check of `checks` on an algorithm, whatever the algorithm does."""

import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nmfab.algorithms.checks import CHECKS, Failed, Trial
from nmfab.algorithms.contract import ALGORITHMS
from nmfab.base.errors import NmfabError, UsageError
from nmfab.base.registry import load_plugin, source_file

LIMIT = 60  # seconds of one check


class Result(NamedTuple):
    """What one check of one algorithm gave; `passed` is None where it is not applicable."""

    name: str
    passed: bool | None
    detail: str
    algorithm: str


def check_file(path, limit=LIMIT):
    """Run the suite on the algorithms that a plug-in file registers.

    Parameters
    ----------
    path : path
        A Python file.
    limit : float
        Seconds that one check may take.

    Yields
    ------
    Result

    Raises
    ------
    UsageError
        If the file cannot be imported or registers no algorithm.
    """
    load_plugin(path)
    place = Path(path).resolve()
    algorithms = [ALGORITHMS[name] for name in ALGORITHMS.names()]
    brought = [one for one in algorithms if Path(source_file(one)).resolve() == place]
    if not brought:
        raise UsageError(f"plug-in {path} registers no algorithm: decorate one with @algorithm")
    for one in brought:
        yield from check(one, limit)


def check(algorithm, limit=LIMIT):
    """Run every check on an algorithm.

    Yields
    ------
    Result
        ``passed`` is False where the check does not hold, or the algorithm raises, exits, or takes
        longer than `limit` seconds; None where there was nothing to check.
    """
    trial = Trial(algorithm)
    for name, function in CHECKS.items():
        try:
            with _limited(limit):
                detail = function(trial)
            passed = None if detail is None else True
        except _TimedOut:
            detail = f"takes longer than {limit:g} s (an endless loop?): no other check is run"
            yield Result(name, False, detail, algorithm.name)
            return
        except (Failed, NmfabError) as error:
            detail, passed = str(error), False
        except SystemExit as error:
            detail, passed = f"ends the program: SystemExit({error.code!r})", False
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises is its answer
            detail, passed = repr(error), False
        yield Result(name, passed, detail or "not applicable", algorithm.name)


class _TimedOut(BaseException):
    """Raised inside a check that takes too long; no ``except Exception`` swallows it."""


@contextmanager
def _limited(seconds):
    """Raise `_TimedOut` where it takes longer; there is no limit on Windows and in a thread."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def late(*_):
        raise _TimedOut

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
