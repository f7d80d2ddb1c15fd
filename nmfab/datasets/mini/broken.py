"""Recordings and annotations with the faults that real ones have, and what each is answered.

The table of docs/datasets.md is written from `answers`.
"""

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError
from nmfab.datasets.contract import DATASETS
from nmfab.datasets.mini import sound

_SECONDS = 4
_SALAMI = "salami-data-public-hierarchy-corrections/annotations/{}/parsed/textfile1_uppercase.txt"


@dataclass(frozen=True)
class Case:
    """One faulty file.

    Attributes
    ----------
    file : str
        Its name; a track has the same, without the suffix.
    fault : str
        What is wrong with it.
    part : str
        The part of the track that it holds.
    write : callable
        Makes it, given its path.
    dataset : str
        Whose layout it is written in.
    """

    file: str
    fault: str
    part: str
    write: Callable[[Path], None]
    dataset: str = "folder"

    @property
    def shown(self):
        """The file's name in tables."""
        return Path(_SALAMI).name if self.dataset == "salami" else self.file


def _text(*lines, **form):
    return lambda path: sound.write_text(path, *lines, **form)


def _raw(data):
    return lambda path: path.write_bytes(data)


def _samples(length, value=0.0):
    """Return what writes a mono wav of floats, all of one value."""

    def write(path):
        data = np.full(length, value, "<f4").tobytes()
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, sound.RATE, 4 * sound.RATE, 4, 32)
        chunks = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
        path.write_bytes(struct.pack("<4sI", b"RIFF", len(chunks)) + chunks)

    return write


def _half(path):
    sound.write_wav(path, sound.beats(_SECONDS))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _unlike_stems(path):
    sound.write_wav(path / "drums.wav", sound.beats(2))
    sound.write_wav(path / "bass.wav", sound.beats(1))


def _midi(notes=((0, 1, 60),), channel=0, change=bytes):
    """Return what writes a MIDI file, its bytes changed."""

    def write(path):
        sound.write_midi(path, notes, channel)
        path.write_bytes(change(path.read_bytes()))

    return write


_AUDIO = (
    Case("empty.wav", "no byte", "audio", _raw(b"")),
    Case("text.wav", "text in place of sound", "audio", _raw(b"this is no sound")),
    Case("page.mp3", "a web page in place of sound", "audio", _raw(b"<html>404</html>" * 40)),
    Case("half.wav", "half of it is missing", "audio", _half),
    Case("headless.wav", "a header and no sample", "audio", _samples(0)),
    Case("nan.wav", "NaN in place of samples", "audio", _samples(100, np.nan)),
    Case("infinite.wav", "infinite samples", "audio", _samples(100, np.inf)),
    Case("silent.wav", "silence", "audio", _samples(sound.RATE)),
    Case("short.wav", "three samples", "audio", _samples(3, 0.5)),
    Case("duo stems", "stems of different length", "stems", _unlike_stems),
)
_SECTIONS = (
    Case(
        "spreadsheet.lab",
        "BOM, CRLF, empty lines, decimal commas",
        "sections",
        _text("0,0 1,5 A", "", "1,5 4,0 B", end="\r\n", bom=True),
    ),
    Case("latin.lab", "Latin-1", "sections", _raw("0 4 pont d'été\n".encode("latin-1"))),
    Case("late.lab", "a first section after 0", "sections", _text("1 2 A", "2 4 B")),
    Case("gap.lab", "a gap", "sections", _text("0 1 A", "2 4 B")),
    Case("overlap.lab", "sections that overlap", "sections", _text("0 3 A", "2 4 B")),
    Case("order.lab", "sections out of order", "sections", _text("2 4 B", "0 2 A")),
    Case("point.lab", "a section of no length", "sections", _text("0 2 A", "2 2 B", "2 4 C")),
    Case("points.lab", "none of any length", "sections", _text("2 2 A")),
    Case("long.lab", "an end after the audio's", "sections", _text("0 2 A", "2 9 B")),
    Case("back.lab", "an end before its start", "sections", _text("0 2 A", "4 2 B")),
    Case("negative.lab", "a negative time", "sections", _text("-1 2 A")),
    Case("word.lab", "a word in place of a time", "sections", _text("0 2 A", "2 end B")),
    Case("nan.lab", "NaN in place of a time", "sections", _text("0 nan A")),
    Case("column.lab", "a column is missing", "sections", _text("0", "2", "4")),
    Case("nothing.lab", "no line", "sections", _text()),
    Case(
        "half.jams", "no JSON", "sections", _raw(b'{"annotations": [{"namespace": "segment_open"')
    ),
    Case(
        "2", "times that repeat (SALAMI)", "sections", _text("0 A", "2 B", "2 C", "4 End"), "salami"
    ),
    Case(
        "3", "a last line that is not End", "sections", _text("0 A", "2 B", "4 Silence"), "salami"
    ),
    Case("4", "times that go back", "sections", _text("0 A", "3 B", "2 C", "4 End"), "salami"),
)
_BEATS = (
    Case("point.beats", "a beat without its place", "beats", _text("0 1", "1 New Point", "2 3")),
    Case("times.beats", "no place at all", "beats", _text("0", "1")),
    Case("word.beats", "a word in place of a time", "beats", _text("0 1", "now 2")),
    Case("nothing.beats", "no line", "beats", _text()),
)
_NOTES = (
    Case(
        "spreadsheet.csv",
        "a header, semicolons, decimal commas",
        "notes",
        _text("onset;offset;pitch", "0,5;1,0;60", end="\r\n", bom=True),
    ),
    Case("point.txt", "a note of no length", "notes", _text("1 1 60")),
    Case("late.txt", "a note after the audio", "notes", _text("0 1 60", "9 10 62")),
    Case("back.txt", "an end before its onset", "notes", _text("2 1 60")),
    Case("word.txt", "a word in place of a time", "notes", _text("0 1 60", "1 later 62")),
    Case("high.txt", "a pitch above 127", "notes", _text("0 1 440")),
    Case("nothing.txt", "no line", "notes", _text()),
    Case("text.mid", "text in place of MIDI", "notes", _raw(b"this is no MIDI")),
    Case("half.mid", "half of it is missing", "notes", _midi(change=lambda data: data[:40])),
    Case(
        "held.mid",
        "a note never released",
        "notes",
        _midi(change=lambda data: data.replace(b"\x80\x3c", b"\x80\x3d")),
    ),
    Case("drums.mid", "percussion alone", "notes", _midi(channel=9)),
)
CASES = _AUDIO + _SECTIONS + _BEATS + _NOTES


def write(root):
    """Write every case into the layout of its dataset.

    Parameters
    ----------
    root : Path
        The folder that ``--data`` would name.
    """
    for case in CASES:
        if case.dataset == "salami":
            path = root / "salami" / _SALAMI.format(case.file)
            audio = root / "salami" / "audio" / f"{case.file}.wav"
        else:
            path = root / "folder" / case.part / case.file
            audio = path.with_suffix(".wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        if case.part not in ("audio", "stems"):
            sound.write_wav(audio, sound.beats(_SECONDS))
        case.write(path)


def answers(root):
    """Read every case that `write` wrote, and return what is said.

    Parameters
    ----------
    root : Path
        The same folder.

    Returns
    -------
    list of (Case, str, str)
        ``"read"``, ``"told"`` (read, and a warning) or ``"error"``; the messages, without folders.
    """
    return [(case, *_answer(case, root)) for case in CASES]


def _answer(case, root):
    track = case.file if case.dataset == "salami" else f"{case.part}/{Path(case.file).stem}"
    heard, log = _Heard(), logging.getLogger("nmfab")
    log.addHandler(heard)
    try:
        DATASETS[case.dataset]([root]).load(track).part(case.part).read()
        word, said = ("told" if heard.messages else "read"), heard.messages
    except DataError as error:
        word, said = "error", [str(error)]
    finally:
        log.removeHandler(heard)
    return word, "; ".join(_without_folders(text, root) for text in said)


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def _without_folders(text, root):
    for folder in sorted((root / "folder").iterdir()):
        text = text.replace(f"{folder}/", "")
    for case in CASES:
        place = root / "salami" / _SALAMI.format(case.file)
        text = text.replace(f"{place.parent}/", "")
    return text
