"""From a score to the sound of its parts, at the levels of the mix."""

import numpy as np

from nmfab.datasets.demo.band import beat_times, perform
from nmfab.datasets.demo.piano import PIECES, isolated_note, perform_piece, untuned_cents
from nmfab.datasets.demo.sampler import PIANO, RENDERING, hiss, level, play, retuned, room, saturate

PARTS = ("drums", "bass", "chords", "lead")
_PEAK = 0.9  # of a finished mix, full scale being 1


def song_parts(song, sample_rate):
    """Return the sound of each part of a song, and its background noise.

    Parameters
    ----------
    song : Song
        A part at a level below -200 dB is silent.
    sample_rate : int
        Hz.

    Returns
    -------
    dict of np.ndarray [shape=(n,), float64]
        `PARTS` and ``noise``; their sum is the mix, its peak at 0.9.
    """
    length = round((beat_times(song)[-1] + 0.6) * sample_rate)
    notes = perform(song)
    sounds = {part: _part(song, part, notes[part], length, sample_rate) for part in PARTS}
    sounds["noise"] = np.zeros(length)
    if _heard(song, "noise"):
        sounds["noise"] = hiss(length, song.levels["noise"], song.title, sample_rate)
    peak = np.max(np.abs(sum(sounds.values())))
    return {part: sound * (_PEAK / peak) for part, sound in sounds.items()}


def _heard(song, part):
    return song.levels[part] > -200.0


def _part(song, part, notes, length, sample_rate):
    sound = np.zeros(length)
    if not _heard(song, part):
        return sound
    for program in sorted({program for program, _ in notes}):
        own = [note for used, note in notes if used == program]
        sound += play(own, program, length, sample_rate, 0.25 if part == "lead" else 0.0)
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
    for label, bars, _ in song.form:
        start, end = beats[bar * song.meter], beats[(bar + bars) * song.meter]
        rows.append((start, end, label))
        bar += bars
    return rows


def song_beats(song):
    """Return the rows of a song's beats: time in seconds, position in the bar from 1."""
    return [(time, 1 + index % song.meter) for index, time in enumerate(beat_times(song))]


def piece_sound(name, sample_rate):
    """Return the sound of a piano piece, in a small room and with a little noise."""
    length = round(PIECES[name].seconds * sample_rate)
    dry = level(play(perform_piece(name), PIANO, length, sample_rate), -22.0)
    sound = room(dry, sample_rate) + hiss(length, -62.0, name, sample_rate)
    return sound * (_PEAK / np.max(np.abs(sound)))


def isolated_sound(pitch, sample_rate):
    """Return the sound of one key of the same piano, close by, before it was tuned."""
    sound = play([isolated_note(pitch)], PIANO, round(1.5 * sample_rate), sample_rate)
    sound = retuned(sound, untuned_cents(pitch))
    return sound * (0.5 / np.max(np.abs(sound)))
