"""The user's own recordings: a folder of stems, of sections, or of notes; see docs/folder.md."""

import re
from functools import partial

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.types import Part
from nmfab.datasets.annotations import read_sections
from nmfab.datasets.audio import read_audio
from nmfab.datasets.contract import dataset
from nmfab.datasets.layout import AUDIO_SUFFIXES, LayoutDataset, annotation
from nmfab.datasets.notes import read_jams_notes, read_midi_notes, read_note_table
from nmfab.datasets.sections import read_beats, read_jams_sections

MIXTURE = "mixture"
_MARK = "stems"  # what ends the name of a folder that is one track without a mixture
_NOTES = {
    ".mid": read_midi_notes,
    ".midi": read_midi_notes,
    ".txt": read_note_table,
    ".csv": read_note_table,
}
_JAMS = {
    "sections": (("segment", "multi_segment"), read_jams_sections),
    "notes": (("note_midi", "pitch_midi", "note_hz"), read_jams_notes),
}


@dataset("folder", version=1)
class Folder(LayoutDataset):
    """Your own recordings, in a folder named ``folder`` with as many folders in it as you like.

    A track's id is its path in there, without the suffix.
    """

    release = "your own recordings"
    tasks = ("separation", "structure", "transcription")
    size = "yours"
    licence = "yours"
    source = "your disk"
    tree = """folder/
  SONG/mixture.wav, drums.wav, bass.wav ...    separation: stems, and the mixture if there is one
  SONG.wav and SONG.lab (or SONG.jams)         structure: start, end, label in each line
  SONG.wav and SONG.beats                      (optional: time and place in the bar, for bars)
  SONG.wav and SONG.mid (or .txt, .csv, .jams) transcription: onset, offset (s), MIDI pitch
  JSD/SONG.wav and JSD/SONG.lab ...            folders in it may go as deep as you like
"""
    steps = (
        "make a folder named folder in one of those that $NMFAB_DATA or --data names (a link will "
        "do), and put recordings and annotations of one name beside each other; docs/folder.md "
        "tells more",
    )

    def find(self):
        """Return what lies in the folder: folders of stems, then single recordings."""
        sounds = [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.suffix.lower() in AUDIO_SUFFIXES
            and not any(name.startswith(".") for name in path.relative_to(self.folder).parts)
        ]
        tracks, used = {}, set()
        for place in sorted({path.parent for path in sounds} - {self.folder}):
            files = {path.stem: path for path in sounds if path.parent == place}
            if _is_song(place, files):
                used.update(files.values())
                tracks[place.relative_to(self.folder).as_posix()] = _stem_parts(files)
        for path in sounds:
            name = path.relative_to(self.folder).with_suffix("").as_posix()
            if path not in used and name not in tracks:
                tracks[name] = {"audio": Part((path,), partial(read_audio, path)), **_beside(path)}
        return tracks, []


def _is_song(place, files):
    """Tell whether a folder is one song: it has a mixture, or says so by its name."""
    return len(files) > 1 and (MIXTURE in files or place.name.lower().endswith(_MARK))


def _stem_parts(files):
    stems = {name: path for name, path in files.items() if name != MIXTURE}
    paths = tuple(stems.values())
    read = partial(read_stems, stems)
    if MIXTURE in files:
        audio = Part((files[MIXTURE],), partial(read_audio, files[MIXTURE]))
    else:
        audio = Part(paths, partial(_sum, read))
    return {"audio": audio, "stems": Part(paths, read)}


def read_stems(stems):
    """Read stems that lie in files of their own.

    Parameters
    ----------
    stems : mapping of str to Path
        The file of each.

    Returns
    -------
    dict
        ``samples`` [shape=(n, channels, samples), dtype=float32], ``names`` (n,) and
        ``sample_rate`` (Hz).

    Raises
    ------
    DataError
        If one cannot be read, or they differ in rate, channels or length.
    """
    read = {name: read_audio(path) for name, path in stems.items()}
    shapes = {(sound["samples"].shape, sound["sample_rate"]) for sound in read.values()}
    if len(shapes) > 1:
        place = next(iter(stems.values())).parent
        told = ", ".join(
            f"{name} {'×'.join(map(str, sound['samples'].shape))} at {sound['sample_rate']} Hz"
            for name, sound in read.items()
        )
        raise DataError(f"the stems in {place} differ: {told}; make them alike")
    return {
        "samples": np.stack([sound["samples"] for sound in read.values()]),
        "names": np.array([*read]),
        "sample_rate": next(iter(read.values()))["sample_rate"],
    }


def _sum(read):
    stems = read()
    return {"samples": stems["samples"].sum(axis=0), "sample_rate": stems["sample_rate"]}


def _holds(jams, spaces):
    """Tell whether a JAMS file has such an annotation, without parsing it.

    One that names no namespace at all is broken, and says so when it is read.
    """
    found = re.findall(rb'"namespace"\s*:\s*"([^"]*)"', jams.read_bytes())
    return not found or any(name.decode(errors="replace").startswith(spaces) for name in found)


def _beside(audio):
    """Return the parts of the annotations beside a recording."""
    parts = {}
    jams = audio.with_suffix(".jams")
    if jams.is_file():
        for name, (spaces, read) in _JAMS.items():
            if _holds(jams, spaces):
                parts[name] = annotation(read, jams, audio)
    lab, beats = audio.with_suffix(".lab"), audio.with_suffix(".beats")
    if lab.is_file():
        parts["sections"] = annotation(read_sections, lab, audio)
    if beats.is_file():
        parts["beats"] = Part((beats,), partial(read_beats, beats))
    for suffix, read in _NOTES.items():
        path = audio.with_suffix(suffix)
        if path.is_file():
            parts["notes"] = annotation(read, path, audio)
            break
    return parts
