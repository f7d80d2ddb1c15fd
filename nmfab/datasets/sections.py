"""Sections and beats as SALAMI, Isophonics, JAMS and tables write them.

What has no meaning is cleaned as mirdata and mir_eval do; one warning per file counts it.
"""

import csv
import json
import logging
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError
from nmfab.datasets.annotations import number_at, read_rows, tidy_sections

_log = logging.getLogger(__name__)
_NUMBERS_BY_SPACE = re.compile(r"^\s*[-+\d.,]*\d\s+[-+\d.,]*\d(\s|$)")


def read_boundaries(path):
    """Read sections from a file of two columns, as SALAMI's: time, and the label from there on.

    The last line ends the last section, whatever its label (``End`` as a rule). Of lines that
    repeat a time the last one counts, as in mirdata.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict
        As `tidy_sections`.

    Raises
    ------
    DataError
        If the file is missing, holds no section, a time that is no number, or one that goes back.
    """
    times, labels = [], []
    for line, (time, label) in read_rows(path, 2):
        times.append(number_at(time, path, line))
        labels.append(label)
        if len(times) > 1 and times[-1] < times[-2]:
            raise DataError(f"{path}, line {line}: times go back to {time}; correct it")
    notes = []
    if labels and labels[-1].lower() != "end":
        notes.append(f"its last label is {labels[-1]!r} and not End: taken for the end")
    intervals = list(pairwise(times))
    return tidy_sections(path, intervals, labels[:-1], notes=notes)


def read_section_table(path):
    """Read sections from a table, as of the Schubert Winterreise Dataset: start, end, label.

    Parameters
    ----------
    path : path
        Columns are separated by semicolons, tabs, commas or white space; a header is passed over.

    Returns
    -------
    dict
        As `tidy_sections`.

    Raises
    ------
    DataError
        If the file is missing or holds no section, or something that is no number.
    """
    intervals, labels = [], []
    for line, (start, end, label) in read_table(path, 3):
        intervals.append((number_at(start, path, line), number_at(end, path, line)))
        labels.append(label)
    return tidy_sections(path, intervals, labels)


def read_table(path, n_columns):
    """Return number and columns of the lines of a table, without its header.

    Parameters
    ----------
    path : path
        BOM, CRLF, empty lines, quotes and decimal commas are understood.
    n_columns : int
        Columns wanted; further ones are left out, missing ones are ``""``.

    Returns
    -------
    list of (int, list of str)

    Raises
    ------
    DataError
        If the file is missing.
    """
    rows = []
    for line, (text,) in read_rows(path, 1):
        if text.startswith("#"):
            continue
        columns = [column.strip().strip('"') for column in _split(text)]
        columns += [""] * (n_columns - len(columns))
        rows.append((line, columns[:n_columns]))
    if rows and not re.match(r"^[-+.,\d]", rows[0][1][0]):
        del rows[0]
    return rows


def _split(text):
    for separator in (";", "\t"):
        if separator in text:
            return next(csv.reader([text], delimiter=separator))
    if _NUMBERS_BY_SPACE.match(text) or "," not in text:
        return text.split(None, 2)
    return next(csv.reader([text], skipinitialspace=True))


def read_beats(path):
    """Read beats from a file of two columns, as Isophonics': time and place in the bar.

    ``New Point`` is no place: it is filled in from a neighbour, in bars of four, as in mirdata.

    Parameters
    ----------
    path : path
        The file; beats without a place all begin a bar unless some have one.

    Returns
    -------
    dict
        ``times`` (n,), in seconds, and ``positions`` (n,), int, 1 on a downbeat.

    Raises
    ------
    DataError
        If the file is missing or empty, or holds something that is no number.
    """
    times, places = [], []
    for line, (time, place) in read_table(path, 2):
        times.append(number_at(time, path, line))
        known = re.fullmatch(r"\d+(\.0*)?", place)
        places.append(int(float(place)) if known else None)
    if not times:
        raise DataError(f"{path} holds no beat: fetch it again")
    lost = sum(place is None for place in places)
    if lost == len(places):
        raise DataError(f"{path} tells no place in the bar: a second column with 1 on downbeats")
    if lost:
        _log.warning("%s: %d beats without a place in the bar are counted on in fours", path, lost)
    for i in range(1, len(places)):
        if places[i] is None and places[i - 1] is not None:
            places[i] = places[i - 1] % 4 + 1
    for i in reversed(range(len(places) - 1)):
        if places[i] is None:
            places[i] = (places[i + 1] - 2) % 4 + 1
    order = np.argsort(times, kind="stable")
    return {"times": np.array(times)[order], "positions": np.array(places, dtype=int)[order]}


def jams_annotations(path, prefixes):
    """Return the annotations of a JAMS file whose namespace begins so.

    Parameters
    ----------
    path : path
        The file.
    prefixes : tuple of str
        Of namespaces.

    Returns
    -------
    list of (dict, list of dict)
        Metadata and observations (``time``, ``duration``, ``value``) of each annotation, whether
        the file holds them in rows (jams 0.3) or columns (jams 0.2).

    Raises
    ------
    DataError
        If the file is missing or is no JAMS.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist: put the annotation there")
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))["annotations"]
        chosen = [entry for entry in found if str(entry["namespace"]).startswith(prefixes)]
        return [(entry.get("annotation_metadata", {}), _rows(entry["data"])) for entry in chosen]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no JAMS file: fetch it again") from error


def _rows(data):
    if isinstance(data, dict):
        return [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]
    return list(data)


def read_jams_sections(path):
    """Read the sections of a JAMS file: its first annotation in a ``segment`` namespace.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict
        As `tidy_sections`.

    Raises
    ------
    DataError
        If the file is missing, is no JAMS or holds no sections.
    """
    found = jams_annotations(path, ("segment", "multi_segment"))
    if not found:
        raise DataError(f"{path} has no annotation of sections (segment_open): add one")
    notes = [f"of {len(found)} annotations of sections the first is read"] if len(found) > 1 else ()
    rows = found[0][1]
    try:
        intervals = [(row["time"], row["time"] + row["duration"]) for row in rows]
        labels = [str(row["value"]) for row in rows]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} has a section without time or duration: correct it") from error
    return tidy_sections(path, intervals, labels, notes=notes)
