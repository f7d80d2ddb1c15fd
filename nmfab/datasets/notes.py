"""Notes as MIDI, JAMS and tables write them.

A note that ends where it begins is kept, 1 ms long: its onset is a fact. One warning per file
counts what was cleaned.
"""

import logging
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError
from nmfab.datasets.annotations import number_at
from nmfab.datasets.sections import jams_annotations, read_table

SHORTEST = 0.001  # seconds
_DRUMS = 9  # the channel of General MIDI percussion, from 0
_log = logging.getLogger(__name__)


def tidy_notes(path, notes, *, told=()):
    """Return notes as arrays, by onset.

    Parameters
    ----------
    path : path
        Where they come from, for messages.
    notes : sequence of (float, float, float)
        Onset and offset in seconds, MIDI pitch; one between two keys is rounded.
    told : sequence of str
        What was cleaned before: said in the same warning.

    Returns
    -------
    dict
        ``onsets``, ``offsets`` [shape=(n,), seconds, by onset] and ``pitches`` [shape=(n,), int,
        MIDI]. No note is an empty annotation.

    Raises
    ------
    DataError
        If a time is negative or no number, a note ends before it begins, or a pitch is not
        from 0 to 127.
    """
    table = np.array(sorted(notes), dtype=np.float64).reshape(-1, 3)
    for onset, offset, pitch in table:
        if not (np.isfinite([onset, offset]).all() and 0 <= onset <= offset):
            raise DataError(f"{path}: no note from {onset:g} s to {offset:g} s; correct it")
        if not 0 <= pitch < 127.5:
            raise DataError(f"{path}: {pitch:g} is no MIDI pitch; correct it")
    onsets, offsets, pitches = table.T.copy()
    told, empty = list(told), offsets == onsets
    if empty.any():
        told.append(f"{empty.sum()} notes of no length are kept, {SHORTEST:g} s long")
    if told:
        _log.warning("%s: %s", path, "; ".join(told))
    offsets[empty] += SHORTEST
    return {"onsets": onsets, "offsets": offsets, "pitches": np.rint(pitches).astype(int)}


def read_note_table(path):
    """Read notes from a table: onset and offset (seconds), MIDI pitch.

    Parameters
    ----------
    path : path
        Columns are separated by semicolons, tabs, commas or white space; a header is passed over.

    Returns
    -------
    dict
        As `tidy_notes`.

    Raises
    ------
    DataError
        If the file is missing, or holds something that is no number or no note.
    """
    rows = read_table(path, 3)
    notes = [tuple(number_at(column, path, line) for column in columns) for line, columns in rows]
    return tidy_notes(path, notes)


def read_midi_notes(*paths):
    """Read the notes of MIDI files together; percussion (channel 10) is left out.

    Offsets are those of the keys: the pedal does not lengthen a note.

    Parameters
    ----------
    *paths : path
        The files.

    Returns
    -------
    dict
        As `tidy_notes`.

    Raises
    ------
    DataError
        If a file is missing or is no MIDI.
    """
    notes, told = [], []
    for path in paths:
        found, cleaned = _midi_notes(Path(path))
        notes += found
        told += cleaned
    return tidy_notes(paths[0] if len(paths) == 1 else Path(paths[0]).parent, notes, told=told)


def _midi_notes(path):
    import mido

    if not path.is_file():
        raise DataError(f"{path} does not exist: put the annotation there")
    try:
        messages = list(mido.MidiFile(str(path), clip=True))
    except (OSError, EOFError, ValueError, IndexError, KeyError, mido.KeySignatureError) as error:
        reason = str(error) or "it breaks off"
        raise DataError(f"{path} cannot be read as MIDI ({reason}): fetch it again") from error
    time, held, notes, drums = 0.0, {}, [], 0
    for message in messages:
        time += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        key = message.channel, message.note
        if message.type == "note_on" and message.velocity > 0:
            drums += message.channel == _DRUMS
            held.setdefault(key, []).append(time)
        elif held.get(key):
            notes.append((held[key].pop(0), time, key))
    left = [(onset, time, key) for key, onsets in held.items() for onset in onsets]
    kept = [(on, off, pitch) for on, off, (channel, pitch) in notes + left if channel != _DRUMS]
    told = [f"{drums} notes of percussion are left out"] if drums else []
    if left:
        told.append(f"{len(left)} notes are never released: they end with the file")
    return kept, told


def read_jams_notes(path):
    """Read the notes of a JAMS file: all annotations in ``note_midi``, ``note_hz``, ``pitch_midi``.

    GuitarSet has one for each string. Pitches between two keys are rounded.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict
        As `tidy_notes`.

    Raises
    ------
    DataError
        If the file is missing, is no JAMS or has no annotation of notes.
    """
    notes = []
    found = [
        (space, rows)
        for space in ("note_midi", "pitch_midi", "note_hz")
        for _, rows in jams_annotations(path, (space,))
    ]
    if not found:
        raise DataError(f"{path} has no annotation of notes (note_midi): add one")
    try:
        for space, rows in found:
            for row in rows:
                pitch = float(row["value"])
                pitch = 69 + 12 * np.log2(pitch / 440) if space == "note_hz" else pitch
                notes.append((row["time"], row["time"] + row["duration"], pitch))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} has a note without time, duration or pitch: correct it") from error
    return tidy_notes(path, notes)
