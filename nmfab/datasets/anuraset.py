"""AnuraSet: soundscapes of neotropical frogs, minutes with weak and strong labels, and windows."""

import csv
import io
import logging
import re
from functools import cached_property, partial

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.types import Part, Track
from nmfab.datasets.annotations import number_at, read_rows
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import dataset
from nmfab.datasets.layout import LayoutDataset, first_file

_log = logging.getLogger(__name__)
_WINDOWS = ("anuraset/metadata.csv", "metadata.csv")
_FIXED = 8  # columns of the table of windows before the species


@dataset("anuraset", version=1)
class AnuraSet(LayoutDataset):
    """AnuraSet: recordings of a minute by their file names, and windows of 3 s of them.

    A recording has ``audio``, ``species`` (weak labels: the species heard) and, where a file is
    there, ``events`` (strong labels: when each calls). Windows are loaded by their ids, which
    the subsets ``windows``, ``windows:train`` and ``windows:test`` name, and have ``audio`` and
    ``species``.
    """

    extras = ("windows", "windows:train", "windows:test")

    expected = 1612
    reference = "species"
    release = "AnuraSet 1.0.0 (2023)"
    tasks = ("counting",)
    size = "7.2 GB as zip; the windows 11.4 GB"
    licence = "CC BY (Zenodo); its paper says CC0, its repository MIT"
    source = "https://zenodo.org/records/8342596"
    bibtex = """@article{canas2023anuraset,
  title = {A dataset for benchmarking Neotropical anuran calls identification in passive acoustic
           monitoring},
  author = {Ca{\\~n}as, Juan Sebasti{\\'a}n and Toro-G{\\'o}mez, Mar{\\'i}a Paula and others},
  journal = {Scientific Data},
  volume = {10}, number = {771},
  year = {2023}
}"""
    tree = """anuraset/
  raw_data/INCT4/INCT4_20191005_180000.wav ...         four sites
  weak_labels.csv
  strong_labels/INCT4/INCT4_20191005_180000.txt ...    (optional)
  anuraset/metadata.csv and anuraset/audio/INCT4/INCT4_20191005_180000_0_3.wav ...    (windows)
"""
    steps = (
        "nmfab datasets get anuraset (by hand: raw_data.zip, weak_labels.csv and "
        "strong_labels.zip of the page above, unpacked into anuraset/; anuraset.zip for windows)",
    )
    downloads = (
        "zenodo:8342596/raw_data.zip",
        "zenodo:8342596/strong_labels.zip",
        "zenodo:8342596/weak_labels.csv",
    )

    def find(self):
        """Return the recordings that have a row of weak labels."""
        labels, tracks = self.folder / "weak_labels.csv", {}
        missing = [] if labels.is_file() else ["weak_labels.csv"]
        audio = {path.stem: path for path in self.folder.glob("raw_data/*/[!.]*.wav")}
        named = self._weak if labels.is_file() else {}
        missing += [
            f"raw_data/{name.partition('_')[0]}/{name}.wav" for name in named.keys() - audio
        ]
        for name, path in audio.items():
            tracks[name] = {"audio": Part((path,), partial(read_audio, path))}
            if name in named:
                read = partial(_species, named[name])
                tracks[name]["species"] = Part((labels,), read)
            else:
                missing.append(f"weak_labels.csv: a row for {name}")
            labelled = f"strong_labels/{path.parent.name}/{name}.txt"
            # The published archive has another folder of the same name in it.
            events = first_file(self.folder, labelled, f"strong_labels/{labelled}")
            if events is not None:
                tracks[name]["events"] = Part((events,), partial(read_events, events))
        return tracks, sorted(missing)

    def track_ids(self, needs=(), subset=None):
        """Return the ids of the recordings, or of the windows whose audio is here, sorted.

        Raises
        ------
        DataError
            If there is no such subset, or the table of windows cannot be read.
        """
        self.check_subset(subset)
        if subset is None:
            return super().track_ids(needs)
        split = subset.partition(":")[2]
        return sorted(
            name
            for name, (_, row) in self._windows.items()
            if {*needs} <= {"audio", "species"}
            and split in ("", row["subset"])
            and self._window_file(name, row).is_file()
        )

    def load(self, track_id):
        """Return a recording, or a window.

        Raises
        ------
        DataError
            If there is no such track, or its audio is missing.
        """
        if self.folder is None or track_id in self._found[0] or track_id not in self._windows:
            return super().load(track_id)
        line, row = self._windows[track_id]
        path = self._window_file(track_id, row)
        if not path.is_file():
            raise DataError(f"anuraset {track_id}: {path} is missing: put the window there")
        table = self._window_table
        levels = {code: _level(row[code], table, line) for code in [*row][_FIXED:]}
        parts = {
            "audio": Part((path,), partial(read_audio, path)),
            "species": Part((table,), partial(_species, levels)),
        }
        return Track(self.name, track_id, parts)

    def _window_file(self, name, row):
        return self._window_table.parent / "audio" / row["site"] / f"{name}.wav"

    @property
    def _window_table(self):
        found = (self.folder / place for place in _WINDOWS)
        return next((path for path in found if path.is_file()), None)

    @cached_property
    def _windows(self):
        """Windows by ``{fname}_{min_t}_{max_t}``: `sample_name` has two forms in the releases."""
        if self.folder is None or self._window_table is None:
            return {}
        path = self._window_table
        rows = _table(path, ("fname", "min_t", "max_t", "site", "subset", "species_number"))
        wrong = sum(
            number_at(row["species_number"], path, line) != _count(row, path, line)
            for line, row in rows
        )
        if wrong:
            _log.warning(
                "%s: species_number is not the number of species in %d of %d rows: species are "
                "counted anew",
                path,
                wrong,
                len(rows),
            )
        return {f"{row['fname']}_{row['min_t']}_{row['max_t']}": (line, row) for line, row in rows}

    @cached_property
    def _weak(self):
        """Level of every species, 0 to 3, by recording."""
        path = self.folder / "weak_labels.csv"
        levels = {}
        for line, row in _table(path, ("AUDIO_FILE_ID",)):
            name = re.sub(r"\.wav$", "", row["AUDIO_FILE_ID"], flags=re.IGNORECASE)
            levels[name] = {
                column.removeprefix("SPECIES_"): _level(value, path, line)
                for column, value in row.items()
                if column.startswith("SPECIES_")
            }
        return levels


def _count(row, path, line):
    return sum(_level(row[code], path, line) > 0 for code in [*row][_FIXED:])


def _level(text, path, line):
    level = number_at(text or "0", path, line)
    if level not in (0, 1, 2, 3):
        raise DataError(f"{path}, line {line}: {text} is no level of a species: 0 to 3 are")
    return int(level)


def _table(path, columns):
    """Return line and dict of the rows of a csv; DataError where a column or a value is missing."""
    lines = read_rows(path, 1)
    texts = [text for _, (text,) in lines]
    separator = ";" if lines and texts[0].count(";") > 1 else ","
    rows = list(csv.DictReader(io.StringIO("\n".join(texts)), delimiter=separator))
    lost = [name for name in columns if not rows or name not in rows[0]]
    if lost:
        raise DataError(f"{path} has no column {lost[0]}, or no row: fetch it again")
    numbered = [(line, row) for (line, _), row in zip(lines[1:], rows, strict=True)]
    short = [line for line, row in numbered if None in row.values() or None in row]
    if short:
        raise DataError(f"{path}, line {short[0]}: another number of columns; fetch it again")
    return numbered


def _species(levels):
    """Return ``codes`` of the species heard, their ``levels`` (1 to 3), and all ``known`` codes."""
    heard = [code for code, level in levels.items() if level > 0]
    return {
        "codes": np.array(heard, dtype=str),
        "levels": np.array([levels[code] for code in heard], dtype=int),
        "known": np.array([*levels], dtype=str),
    }


def read_events(path):
    """Read strong labels: start, end, ``CODE_QUALITY``, the quality being H, M or L.

    Parameters
    ----------
    path : path
        The file; an empty one has no event.

    Returns
    -------
    dict
        ``intervals`` [shape=(n, 2), seconds, by start], ``codes`` and ``qualities`` (n,), text.

    Raises
    ------
    DataError
        If the file is missing, or a line is no event.
    """
    events, empty = [], 0
    for line, (start, end, label) in read_rows(path, 3):
        code, _, quality = label.rpartition("_")
        interval = number_at(start, path, line), number_at(end, path, line)
        if interval[1] < interval[0] or interval[0] < 0 or not code:
            raise DataError(f"{path}, line {line}: no event {start} {end} {label!r}; correct it")
        empty += interval[0] == interval[1]
        if interval[0] < interval[1]:
            events.append((*interval, code, quality))
    if empty:
        _log.warning("%s: %d events of no length are left out", path, empty)
    events.sort()
    return {
        "intervals": np.array([event[:2] for event in events], dtype=float).reshape(-1, 2),
        "codes": np.array([event[2] for event in events], dtype=str),
        "qualities": np.array([event[3] for event in events], dtype=str),
    }
