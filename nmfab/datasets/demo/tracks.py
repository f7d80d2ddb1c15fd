"""The kinds of tracks: how each is rendered into files, and how its parts are read from them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.registry import unknown
from nmfab.datasets.audio import read_audio
from nmfab.datasets.demo import files, render
from nmfab.datasets.demo.sampler import SAMPLE_RATE
from nmfab.datasets.demo.songs import SONGS


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
        ``offsets`` in seconds, ``pitches`` (MIDI); for ``stems``: ``samples`` (4 × 1 × n),
        ``names`` and ``sample_rate``.
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


def _render_song(track_id, folder):
    song = SONGS[track_id]
    pcm = files.to_pcm(sum(render.song_parts(song).values()))
    files.write_wav(folder / "audio.wav", pcm, SAMPLE_RATE)
    files.write_rows(folder / "sections.lab", render.song_sections(song))
    files.write_rows(folder / "beats.txt", render.song_beats(song))


AUDIO = FilePart(("audio.wav",), lambda folder: read_audio(folder / "audio.wav"))
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
]
