"""The kinds of tracks: how each is rendered into files, and how its parts are read from them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.registry import unknown
from nmfab.datasets.audio import read_audio
from nmfab.datasets.demo import files, piano, render
from nmfab.datasets.demo.mixes import MIXES, STEMS
from nmfab.datasets.demo.sampler import RENDERING
from nmfab.datasets.demo.songs import SONGS

# Hz. The bands of a mel spectrum reach 16 kHz; partials of a piano worth having end far below.
SONG_RATE, PIANO_RATE, MIX_RATE = 44100, 22050, 22050


@dataclass(frozen=True)
class FilePart:
    """A part of a track as files: their names, and ``read(folder)``, which gives its arrays."""

    files: tuple[str, ...]
    read: Callable


@dataclass(frozen=True)
class Kind:
    """One kind of track.

    Attributes
    ----------
    ids : tuple of str
        Its tracks.
    score : callable
        ``score(track_id)`` returns all that the sound depends on, as plain values.
    render : callable
        ``render(track_id, folder)`` writes the files of all parts.
    parts : dict of FilePart
        What `nmfab.base.types.Part` says of each part, and for ``notes``: ``onsets`` and
        ``offsets`` in seconds, ``pitches`` (MIDI), ``velocities`` in 0..1; for ``stems``:
        ``samples`` (4 × 1 × n), ``names`` and ``sample_rate``.
    listed : bool
        Whether `track_ids` names them.
    """

    ids: tuple[str, ...]
    score: Callable
    render: Callable
    parts: dict[str, FilePart]
    listed: bool = True


def all_ids():
    """Return the ids of all tracks."""
    return [name for kind in KINDS for name in kind.ids]


def listed_ids():
    """Return the sorted ids of the tracks to be computed on."""
    return sorted(name for kind in KINDS if kind.listed for name in kind.ids)


def kind(track_id):
    """Return the kind of a track; DataError suggests the nearest id where there is none."""
    for item in KINDS:
        if track_id in item.ids:
            return item
    raise DataError(unknown("track of demo", track_id, listed_ids()))


def _read_sections(folder):
    starts, ends, labels = files.read_rows(folder / "sections.lab", 3)
    return {"intervals": np.array([starts, ends], float).T, "labels": np.array(labels)}


def _read_beats(folder):
    times, positions = files.read_rows(folder / "beats.txt", 2)
    return {"times": np.array(times, float), "positions": np.array(positions, int)}


def _read_notes(folder):
    onsets, offsets, pitches, velocities = files.read_rows(folder / "notes.txt", 4)
    return {
        "onsets": np.array(onsets, float),
        "offsets": np.array(offsets, float),
        "pitches": np.array(pitches, int),
        "velocities": np.array(velocities, float),
    }


def _read_stems(folder):
    stems = [read_audio(folder / f"{stem}.wav") for stem in STEMS]
    return {
        "samples": np.stack([stem["samples"] for stem in stems]),
        "names": np.array([*STEMS]),
        "sample_rate": stems[0]["sample_rate"],
    }


def _render_song(track_id, folder):
    song = SONGS[track_id]
    pcm = files.to_pcm(sum(render.song_parts(song, SONG_RATE).values()))
    files.write_wav(folder / "audio.wav", pcm, SONG_RATE)
    files.write_rows(folder / "sections.lab", render.song_sections(song))
    files.write_rows(folder / "beats.txt", render.song_beats(song))


def _render_piece(track_id, folder):
    pcm = files.to_pcm(render.piece_sound(track_id, PIANO_RATE))
    files.write_wav(folder / "audio.wav", pcm, PIANO_RATE)
    _write_notes(folder, piano.perform_piece(track_id))


def _render_isolated(track_id, folder):
    pcm = files.to_pcm(render.isolated_sound(_key(track_id), PIANO_RATE))
    files.write_wav(folder / "audio.wav", pcm, PIANO_RATE)
    _write_notes(folder, [piano.isolated_note(_key(track_id))])


def _write_notes(folder, notes):
    rows = [(n.onset, n.onset + n.duration, n.pitch, n.velocity) for n in notes]
    files.write_rows(folder / "notes.txt", rows)


def _key(track_id):
    return int(track_id.removeprefix("isol_"))


def _render_mix(track_id, folder):
    sounds = render.song_parts(MIXES[track_id], MIX_RATE)
    # Each stem is rounded, then they are added: the mixture is their sum to the last bit.
    stems = {stem: files.to_pcm(sounds[part]) for stem, part in STEMS.items()}
    for stem, pcm in stems.items():
        files.write_wav(folder / f"{stem}.wav", pcm, MIX_RATE)
    files.write_wav(folder / "audio.wav", sum(stems.values()), MIX_RATE)


AUDIO = FilePart(("audio.wav",), lambda folder: read_audio(folder / "audio.wav"))
NOTES = FilePart(("notes.txt",), _read_notes)
KINDS = [
    Kind(
        ids=tuple(SONGS),
        score=lambda name: render.song_score(SONGS[name]),
        render=_render_song,
        parts={
            "audio": AUDIO,
            "sections": FilePart(("sections.lab",), _read_sections),
            "beats": FilePart(("beats.txt",), _read_beats),
        },
    ),
    Kind(
        ids=tuple(piano.PIECES),
        score=lambda name: [RENDERING, PIANO_RATE, piano.perform_piece(name)],
        render=_render_piece,
        parts={"audio": AUDIO, "notes": NOTES},
    ),
    Kind(
        ids=tuple(f"isol_{pitch:03d}" for pitch in piano.KEYS),
        score=lambda name: [
            RENDERING,
            PIANO_RATE,
            piano.isolated_note(_key(name)),
            piano.untuned_cents(_key(name)),
        ],
        render=_render_isolated,
        parts={"audio": AUDIO, "notes": NOTES},
        listed=False,
    ),
    Kind(
        ids=tuple(MIXES),
        score=lambda name: render.song_score(MIXES[name]),
        render=_render_mix,
        parts={
            "audio": AUDIO,
            "stems": FilePart(tuple(f"{stem}.wav" for stem in STEMS), _read_stems),
        },
    ),
]
