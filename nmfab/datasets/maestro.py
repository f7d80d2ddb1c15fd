"""MAESTRO: 200 hours of virtuoso piano, recorded with the MIDI of the piano that was played.

Its own table (``maestro-v2.0.0.json``, ``maestro-v3.0.0.csv``) names files and subsets.
"""

import csv
import io
import json
from functools import cached_property, partial
from typing import ClassVar

from nmfab.base.errors import DataError
from nmfab.base.types import Part
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import dataset
from nmfab.datasets.layout import LayoutDataset, annotation
from nmfab.datasets.notes import read_midi_notes

_COUNTS = {"v1.0.0": 1184, "v2.0.0": 1282, "v3.0.0": 1276}


@dataset("maestro", version=1)
class Maestro(LayoutDataset):
    """MAESTRO: piano performances by year and name, with ``audio`` and ``notes``.

    Offsets are those of the keys: the pedal does not lengthen a note.
    """

    reference = "notes"
    splits: ClassVar = ("train", "validation", "test")
    release = "MAESTRO v2.0.0 (mirdata's); v1.0.0 and v3.0.0 are read too"
    tasks = ("transcription",)
    size = "about 100 GB as zip, 120 GB unpacked"
    licence = "CC BY-NC-SA 4.0"
    source = "https://magenta.tensorflow.org/datasets/maestro"
    bibtex = """@inproceedings{hawthorne2019enabling,
  title = {Enabling Factorized Piano Music Modeling and Generation with the {MAESTRO} Dataset},
  author = {Hawthorne, Curtis and Stasyuk, Andriy and Roberts, Adam and Simon, Ian and Huang,
            Cheng-Zhi Anna and Dieleman, Sander and Elsen, Erich and Engel, Jesse and Eck, Douglas},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2019}
}"""
    tree = """maestro/
  maestro-v2.0.0.json (or .csv, or of v3.0.0)
  2004/NAME.wav and NAME.midi ... 2018/NAME.wav and NAME.midi
"""
    steps = (
        "nmfab datasets get maestro (by hand: maestro-v2.0.0.zip, unpacked; what is inside "
        "maestro-v2.0.0/ goes right into maestro/)",
    )
    downloads = ("mirdata:maestro/all",)

    def find(self):
        """Return the performances of the table whose two files are there."""
        tracks, missing = {}, [] if self._table else ["maestro-v2.0.0.json"]
        for row in self._table:
            audio, midi = (self.folder / row[f"{kind}_filename"] for kind in ("audio", "midi"))
            lost = [path for path in (audio, midi) if not path.is_file()]
            missing += [path.relative_to(self.folder).as_posix() for path in lost]
            if audio.is_file():
                parts = {"audio": Part((audio,), partial(read_audio, audio))}
                if midi.is_file():
                    parts["notes"] = annotation(read_midi_notes, midi, audio)
                tracks[_name(row)] = parts
        return tracks, missing

    @property
    def expected(self):
        """Number of performances in the release that is here."""
        return next((n for v, n in _COUNTS.items() if v in str(self._table_path)), 1282)

    def subset_of(self, track_id):
        """Return ``train``, ``validation`` or ``test``."""
        return self._subsets[track_id]

    @cached_property
    def _subsets(self):
        return {_name(row): row["split"] for row in self._table}

    @property
    def _table_path(self):
        found = [*self.folder.glob("maestro-v*.json"), *self.folder.glob("maestro-v*.csv")]
        return found[0] if found else None

    @cached_property
    def _table(self):
        path = self._table_path
        if path is None:
            return []
        text = path.read_text(encoding="utf-8-sig")
        try:
            rows = list(csv.DictReader(io.StringIO(text))) if path.suffix == ".csv" else _rows(text)
            return [row for row in rows if row["audio_filename"] and row["split"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is no table of MAESTRO: fetch it again") from error


def _rows(text):
    """Return the rows of the table in JSON: a list of them, or (v3.0.0) columns by number."""
    table = json.loads(text)
    if isinstance(table, list):
        return table
    names = [*table]
    return [{name: table[name][number] for name in names} for number in table[names[0]]]


def _name(row):
    return row["audio_filename"].rpartition(".")[0]
