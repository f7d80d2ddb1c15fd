"""Measuring on a machine that shares its processors: what its host disturbed is done again.

Linux counts the time in which a virtual processor had work and the host let others run.
"""

import os
import time
from pathlib import Path

MOST = 0.05  # of the processors' time, which the host may take
PATIENCE = 10  # repetitions at most, a second apart
STAT = Path("/proc/stat")

_done, _again, _worst = 0, 0, 0.0


def stolen():
    """Return the seconds that the host has taken from this machine so far, 0 where none says."""
    if not STAT.exists():
        return 0.0
    ticks = STAT.read_text().split()[8]  # of "cpu", after user, nice, system, idle, ...
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def undisturbed(measure):
    """Return what `measure` does, called again while the host took more than `MOST` meanwhile."""
    global _done, _again, _worst
    for attempt in range(PATIENCE + 1):
        if attempt:
            _again += 1
            time.sleep(1)
        begin, before = time.perf_counter(), stolen()
        found = measure()
        share = (stolen() - before) / ((time.perf_counter() - begin) * os.cpu_count())
        if share <= MOST:
            break
    _done, _worst = _done + 1, max(_worst, share)
    return found


def told():
    """Return a sentence on what was measured again."""
    return (
        f"Where the host took more than {MOST:.0%} of the processors' time, measurements were "
        f"repeated: {_again} times for {_done} of them. In those that count it took at most "
        f"{_worst:.0%}."
    )
