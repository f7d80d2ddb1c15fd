"""Annotation files as arrays: readers that several datasets share.

Files may have a BOM, CRLF, empty lines, decimal commas, or be Latin-1. What has no meaning is
cleaned as the tools of the field do, counted and logged, never dropped in silence.
"""

import logging
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError

_log = logging.getLogger(__name__)


def read_rows(path, n_columns, *, separator=None):
    """Return the lines of a text file, split into columns.

    Parameters
    ----------
    path : path
        The file.
    n_columns : int
        Columns wanted: the last one keeps what follows, missing text at the end is ``""``.
    separator : str, optional
        White space where None.

    Returns
    -------
    list of (int, list of str)
        Number of each line that is not empty, and its columns.

    Raises
    ------
    DataError
        If the file is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist: put the annotation there")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            columns = [column.strip() for column in line.split(separator, n_columns - 1)]
            rows.append((number, columns + [""] * (n_columns - len(columns))))
    return rows


def number_at(text, path, line):
    """Return a number, its decimal mark a point or a comma; DataError names file and line."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise DataError(f"{path}, line {line}: {text!r} is no number; correct the file")
    return value


def tidy_sections(path, intervals, labels, *, notes=()):
    """Return sections as arrays, by start, those of no length left out.

    Parameters
    ----------
    path : path
        Where they come from, for messages.
    intervals : sequence of (float, float)
        Start and end of each, in seconds.
    labels : sequence of str
        One for each.
    notes : sequence of str
        What was cleaned before: said in the same warning.

    Returns
    -------
    dict
        ``intervals`` [shape=(n, 2), seconds] and ``labels`` (n,), text.

    Raises
    ------
    DataError
        If there is none, one ends before it begins, or a time is negative or no number.
    """
    if not len(intervals):
        raise DataError(f"{path} holds no section: fetch it again")
    intervals, labels = np.array(intervals, dtype=np.float64), np.array(labels, dtype=str)
    wrong = ~np.isfinite(intervals).all(axis=1) | (intervals < 0).any(axis=1)
    wrong |= intervals[:, 1] < intervals[:, 0]
    if wrong.any():
        start, end = intervals[wrong][0]
        raise DataError(f"{path}: no section from {start:g} s to {end:g} s; correct it")
    kept = intervals[:, 1] > intervals[:, 0]
    if not kept.any():
        raise DataError(f"{path} holds sections of no length alone: fetch it again")
    told = list(notes)
    if not kept.all():
        told.append(f"{(~kept).sum()} sections of no length are left out")
    intervals, labels = intervals[kept], labels[kept]
    order = np.argsort(intervals[:, 0], kind="stable")
    if (order != np.arange(len(order))).any():
        told.append("sections are put in order")
    intervals, labels = intervals[order], labels[order]
    overlaps = int((intervals[1:, 0] < intervals[:-1, 1] - 1e-5).sum())
    if overlaps:
        told.append(f"{overlaps} sections begin before the one ahead ends, and are kept")
    if told:
        _log.warning("%s: %s", path, "; ".join(told))
    return {"intervals": intervals, "labels": labels}


def read_sections(path, *, unit=1.0):
    """Read sections from a file of three columns: start, end, label.

    Parameters
    ----------
    path : path
        The file.
    unit : float
        What its times are counted in, in seconds (0.01 for the AIST files).

    Returns
    -------
    dict
        As `tidy_sections`.

    Raises
    ------
    DataError
        If the file is missing, has no section, a time that is no number or is negative, or an end
        before its start.
    """
    intervals, labels = [], []
    for line, (start, end, label) in read_rows(path, 3):
        interval = number_at(start, path, line) * unit, number_at(end, path, line) * unit
        if interval[0] < 0 or interval[1] < interval[0]:
            raise DataError(f"{path}, line {line}: no section from {start} to {end}; correct it")
        intervals.append(interval)
        labels.append(label.strip('"'))
    return tidy_sections(path, intervals, labels)


def read_aist_beats(path):
    """Read an AIST ``BEAT.TXT``: time in centiseconds twice, then the place in the bar.

    The place is counted in ticks, 48 to a quarter note, and is 384 on a downbeat; -1 marks what is
    no beat, and is left out. Places are renumbered from 1 as mirdata does; an upbeat counts
    backwards from the length of the first full bar.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict
        ``times`` (n,), in seconds, and ``positions`` (n,), int, 1 on a downbeat.

    Raises
    ------
    DataError
        If the file is missing, holds no downbeat, or something that is no number.
    """
    rows = read_rows(path, 3)
    times = np.array([number_at(columns[0], path, line) / 100 for line, columns in rows])
    ticks = np.array([number_at(columns[2], path, line) for line, columns in rows])
    times, ticks = times[ticks != -1], ticks[ticks != -1]
    downbeats = np.flatnonzero(ticks == 384)
    if len(downbeats) == 0:
        raise DataError(f"{path} holds no downbeat (384 in the third column): fetch it again")
    first = downbeats[0]
    latest = np.maximum.accumulate(np.where(ticks == 384, np.arange(len(ticks)), 0))
    positions = np.arange(len(ticks)) - latest + 1
    length = downbeats[1] - first if len(downbeats) > 1 else first
    upbeat = length - first + 1 + np.arange(first)
    positions[:first] = np.maximum(upbeat, 2)  # never a downbeat, however long the upbeat
    return {"times": times, "positions": positions}
