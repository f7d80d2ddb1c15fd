"""From a score to the sound of its parts, at the levels of the mix."""

import hashlib

import numpy as np

from nmfab.datasets.demo.band import beat_times, perform
from nmfab.datasets.demo.sampler import RENDERING, SAMPLE_RATE, hiss, level, play, saturate

PARTS = ("drums", "bass", "chords", "lead")
_PEAK = 0.9  # of a finished mix, full scale being 1


def song_parts(song):
    """Return the sound of each part of a song, and its background noise.

    Returns
    -------
    dict of np.ndarray [shape=(n,), float64]
        `PARTS` and ``noise``; their sum is the mix, its peak at 0.9.
    """
    length = round((beat_times(song)[-1] + 1.0) * SAMPLE_RATE)
    notes = perform(song)
    sounds = {part: _part(song, part, notes[part], length) for part in PARTS}
    sounds["noise"] = hiss(length, song.levels["noise"], _seed(song.title))
    peak = np.max(np.abs(sum(sounds.values())))
    return {part: sound * (_PEAK / peak) for part, sound in sounds.items()}


def _part(song, part, notes, length):
    sound = np.zeros(length)
    for program in sorted({program for program, _ in notes}):
        own = [note for used, note in notes if used == program]
        sound += play(own, program, length, vibrato=0.25 if part == "lead" else 0.0)
    wanted = song.levels[part]
    if part == "drums":
        sound = saturate(level(sound, wanted), 3 * 10 ** (wanted / 20))
    return level(sound, wanted)


def song_score(song):
    """Return all that the sound of a song depends on, as plain values."""
    return [RENDERING, song.title, song.levels, beat_times(song), perform(song)]


def song_sections(song):
    """Return the rows of a song's sections: start and end in seconds, label."""
    beats, bar, rows = beat_times(song), 0, []
    for label, bars in song.form:
        start, end = beats[bar * song.meter], beats[(bar + bars) * song.meter]
        rows.append((start, end, label))
        bar += bars
    return rows


def song_beats(song):
    """Return the rows of a song's beats: time in seconds, position in the bar from 1."""
    return [(time, 1 + index % song.meter) for index, time in enumerate(beat_times(song))]


def _seed(text):
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
