"""MAPS: piano pieces and isolated notes of nine pianos, seven synthesised and two recorded.

``MUS`` holds the pieces, ``ISOL`` the isolated notes; each wav has a text file beside it. A piano's
folder is read where an archive leaves it, whatever folders are around it.
"""

import re
from functools import cached_property, partial
from pathlib import Path

from nmfab.base.errors import DataError
from nmfab.base.types import Part, Track
from nmfab.datasets.annotations import number_at, read_rows
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import Dataset, Status, dataset
from nmfab.datasets.layout import annotation
from nmfab.datasets.notes import tidy_notes

INSTRUMENTS = (
    "AkPnBcht", "AkPnBsdf", "AkPnCGdD", "AkPnStgb", "ENSTDkAm", "ENSTDkCl", "SptkBGAm", "SptkBGCl",
    "StbgTGd2",
)  # fmt: skip
PIECES = 30  # of each piano
LOUDNESSES = ("P", "M", "F")  # of isolated notes: piano, mezzo-forte, forte


@dataset("maps", version=1)
class MAPS(Dataset):
    """The MAPS database: pieces by their file names, with ``audio`` and ``notes``.

    Isolated notes, played normally, are the subsets ``isolated``, ``isolated:PIANO`` and, of one
    loudness, ``isolated:PIANO:M``.
    """

    extras = (
        "isolated",
        *(f"isolated:{name}" for name in INSTRUMENTS),
        *(f"isolated:{name}:{loudness}" for name in INSTRUMENTS for loudness in LOUDNESSES),
    )
    release = "MIDI Aligned Piano Sounds, 2010"
    tasks = ("transcription",)
    size = "40 GB"
    licence = "CC BY-NC-SA 2.0 FR"
    steps = (
        "fill in the form on the page of the database, which gives a user name and a password for "
        "its server",
        "download the archives of the pianos wanted (MAPS_AkPnBcht_1.zip ...): ENSTDkCl and "
        "ENSTDkAm are those that papers test on; the part files of one piano go together",
        "unzip them all into one folder named maps, each as it comes: what lies around a piano's "
        "folder does not matter",
    )
    no_download = "its authors ask for a registration"
    source = "https://adasp.telecom-paris.fr/resources/2010-07-08-maps-database/"
    bibtex = """@article{emiya2010multipitch,
  title = {Multipitch estimation of piano sounds using a new probabilistic spectral smoothness
           principle},
  author = {Emiya, Valentin and Badeau, Roland and David, Bertrand},
  journal = {IEEE Transactions on Audio, Speech and Language Processing},
  volume = {18}, number = {6}, pages = {1643--1654},
  year = {2010}
}"""
    tree = """maps/
  <piano>/MUS/MAPS_MUS-<piece>_<piano>.wav, .txt                     30 pieces of each of 9 pianos
  <piano>/ISOL/NO/MAPS_ISOL_NO_<loudness>_S<pedal>_M<pitch>_<piano>.wav, .txt    (for dictionaries)
  pianos: AkPnBcht AkPnBsdf AkPnCGdD AkPnStgb ENSTDkAm ENSTDkCl SptkBGAm SptkBGCl StbgTGd2;
  as unzipped, <piano>/ may lie in another folder: MAPS_ENSTDkCl_2/ENSTDkCl/, ENSTDkAm1/ENSTDkAm/
"""

    def status(self):
        """Return which pianos are here: each has 30 pieces with sound and annotation."""
        if self.folder is None:
            return self.absent()
        counts = dict.fromkeys(INSTRUMENTS, 0)
        for track_id in self.track_ids(needs=("audio", "notes")):
            counts[_instrument(track_id)] += 1
        total = sum(counts.values())
        missing = [
            f"{name}/MUS: {PIECES - count} of {PIECES} pieces"
            for name, count in counts.items()
            if count < PIECES
        ]
        message = f"{total} of {PIECES * len(INSTRUMENTS)} pieces in {self.folder}"
        if not missing:
            return Status("installed", message)
        return Status("partial" if total else "absent", message, missing)

    def track_ids(self, needs=(), subset=None):
        """Return the ids of the pieces with audio and every part in `needs`, sorted.

        Isolated notes are named where their annotation is there, whatever is needed.

        Raises
        ------
        DataError
            If there is no such subset.
        """
        self.check_subset(subset)
        if not {*needs} <= {"audio", "notes"}:
            return []
        named = self._pieces if subset is None else self._isolated
        annotated = subset is not None or "notes" in needs
        instrument, _, loudness = (subset or "").partition(":")[2].partition(":")
        return sorted(
            name
            for name, path in named.items()
            if instrument in ("", _instrument(name))
            and (not loudness or name.startswith(f"MAPS_ISOL_NO_{loudness}_"))
            and (_annotation(path).is_file() or not annotated)
        )

    def instrument(self, track_id):
        """Return the piano: the last part of the name."""
        return _instrument(track_id)

    def load(self, track_id):
        """Return a piece or an isolated note, with ``audio`` and ``notes``.

        Raises
        ------
        DataError
            If there is no such track, or one of its files is missing.
        """
        if self.folder is None:
            raise DataError(f"maps: {self.status().message}")
        known = self._isolated if track_id.startswith("MAPS_ISOL") else self._pieces
        path = known.get(track_id)
        if path is None:
            raise DataError(
                f"maps has no track {track_id!r}: it would be {track_id}.wav in a MUS "
                f"or ISOL/NO folder below {self.folder}"
            )
        notes = _annotation(path)
        if not notes.is_file():
            raise DataError(f"maps {track_id}: {notes} is missing: put the annotation there")
        parts = {
            "audio": Part((path,), partial(read_audio, path)),
            "notes": annotation(read_notes, notes, path),
        }
        return Track(self.name, track_id, parts)

    @cached_property
    def _pieces(self):
        return self._find("MUS", "MAPS_MUS-*")

    @cached_property
    def _isolated(self):
        return self._find("ISOL/NO", "MAPS_ISOL_NO_*")

    def _find(self, place, pattern):
        """Return id and path of the wavs of known pianos, whatever folders are around them."""
        if self.folder is None:
            return {}
        found = {}
        for depth in ("*", "*/*", "*/*/*"):
            for path in sorted(self.folder.glob(f"{depth}/{place}/{pattern}.wav")):
                if _instrument(path.stem) in INSTRUMENTS:
                    found.setdefault(path.stem, path)
        return found


def _instrument(track_id):
    return track_id.rpartition("_")[2]


def _annotation(path):
    return path.with_suffix(".txt")


def read_notes(path):
    """Read notes from a text file of three columns: onset, offset, MIDI pitch.

    Parameters
    ----------
    path : path
        A header line (``OnsetTime OffsetTime MidiPitch``) is passed over; empty lines, CRLF, a BOM
        and decimal commas are understood. A file without notes is an empty annotation.

    Returns
    -------
    dict
        As `nmfab.datasets.notes.tidy_notes`.

    Raises
    ------
    DataError
        If the file is missing, a value is no number, a time is negative, a note ends before it
        begins, or a pitch is not a whole number from 0 to 127.
    """
    path, notes = Path(path), []
    for line, columns in read_rows(path, 3):
        if re.match(r"[^\d.,+-]", columns[0]):
            continue
        onset, offset, pitch = (number_at(column, path, line) for column in columns)
        if onset < 0 or offset < onset:
            raise DataError(
                f"{path}, line {line}: no note from {onset} s to {offset} s; correct it"
            )
        if not (pitch.is_integer() and 0 <= pitch < 128):
            raise DataError(f"{path}, line {line}: {columns[2]} is no MIDI pitch; correct it")
        notes.append((onset, offset, pitch))
    return tidy_notes(path, notes)
