"""Sampled instruments: single notes of a General MIDI soundfont, shaped and placed in time.

symusic's synthesizer plays a soundfont's samples but knows neither velocity, pedal nor the decay of
a string, and stops when the last note does. So it is asked for one long note at a time; loudness,
brightness, decay and release are given here, where they are the same for every version.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError
from nmfab.datasets.demo.theory import PERCUSSION, Chance

RENDERING = 1  # counts changes that alter the sound of unchanged notes
INSTALL = "pip install symusic==0.5.9 pretty_midi"
PIANO = 0
_STRUCK = {*range(0, 16), *range(24, 40), *range(104, 109)}  # programs whose strings or bars decay
_LONGEST = 6.0  # s
# Gains within the kit, in dB: cymbals are far below drums.
_KIT = {36: 0, 38: -2, 40: -3, 37: -8, 39: -7, 42: -15, 46: -14, 51: -15, 54: -13, 49: -7}


def soundfont():
    """Return the path of the soundfont in pretty_midi's wheel.

    Raises
    ------
    DataError
        If pretty_midi or symusic is not installed.
    """
    try:
        import pretty_midi
        import symusic  # noqa: F401
    except ImportError as error:
        raise DataError(f"dataset demo is rendered by {error.name}: {INSTALL}") from error
    return Path(pretty_midi.__file__).with_name("TimGM6mb.sf2")


@lru_cache(maxsize=2)
def _synthesizer(sample_rate):
    from symusic import Synthesizer

    return Synthesizer(soundfont(), sample_rate, 0)


@lru_cache(maxsize=256)
def _sample(program, pitch, sample_rate):
    """Return the soundfont's note, held for `_LONGEST` seconds, of mean square 1 where loudest.

    Raises
    ------
    DataError
        If the soundfont has no such note.
    """
    import symusic

    synthesizer = _synthesizer(sample_rate)
    drum = program == PERCUSSION
    score = symusic.Score(480, ttype="second")
    track = symusic.Track("note", 0 if drum else program, drum, ttype="second")
    track.notes.append(symusic.Note(0.0, 2.0 if drum else _LONGEST, pitch, 100, "second"))
    score.tracks.append(track)
    sound = np.asarray(synthesizer.render(score, stereo=False))[0].astype(np.float64)
    sound -= np.mean(sound)
    energy = np.cumsum(sound[: sample_rate // 2] ** 2)
    window = sample_rate // 20
    loudest = np.max(energy[window:] - energy[:-window]) / window
    if not loudest > 0:
        raise DataError(f"{soundfont()} has no sound for program {program}, pitch {pitch}")
    sound /= np.sqrt(loudest)
    if drum:
        sound = sound[: np.flatnonzero(np.abs(sound) > 1e-3)[-1] + 1]
    sound.flags.writeable = False
    return sound


def _envelope(program, pitch, time, held):
    """Return decay times release: strings die away, and everything when it is let go."""
    shape = np.ones(len(time))
    if program in _STRUCK:
        # A piano's A0 rings for some 10 s, C8 for half a second; plucked strings are shorter.
        decay = 3.2 * 2.0 ** ((48 - pitch) / 18)
        shape = np.exp(-time / (decay if program < 16 else 0.5 * decay))
    if program != PERCUSSION:
        release = 0.06 if program < 40 else 0.09
        shape *= np.exp(-np.maximum(time - held, 0.0) / (release / 3))
    return shape


def _darken(sound, velocity):
    """Return the sound with its upper partials lowered where it is played softly."""
    from scipy.signal import lfilter

    pole = 0.85 * (1.0 - velocity)
    return lfilter([1.0 - pole], [1.0, -pole], sound)


def play(notes, program, length, sample_rate, vibrato=0.0):
    """Return the sound of one instrument.

    Parameters
    ----------
    notes : iterable of Note
        Onset and duration in seconds; the note's offset is where its release begins.
    program : int
        General MIDI program, from 0; `PERCUSSION` for the percussion bank.
    length : int
        Number of samples to return; what sounds longer is cut there.
    sample_rate : int
        Hz.
    vibrato : float
        Depth in semitones, at 5.5 Hz.

    Returns
    -------
    np.ndarray [shape=(length,), float64]
    """
    out = np.zeros(length)
    for note in notes:
        start = max(0, round(note.onset * sample_rate))
        sound = _shaped(program, note, sample_rate, vibrato)[: max(0, length - start)]
        out[start : start + len(sound)] += sound
    return out


def _shaped(program, note, sample_rate, vibrato):
    held = 2.0 if program == PERCUSSION else note.duration
    sound = _sample(program, note.pitch, sample_rate)[: round((held + 0.15) * sample_rate)]
    time = np.arange(len(sound)) / sample_rate
    if vibrato:
        sound = _waver(sound, time, vibrato)
    sound = sound * _envelope(program, note.pitch, time, held)
    fade = min(len(sound), 64)
    sound[len(sound) - fade :] *= np.linspace(1.0, 0.0, fade)
    # 40 dB between the softest and the loudest, as on a MIDI instrument.
    gain = 10 ** (_KIT.get(note.pitch, -3) / 20) if program == PERCUSSION else 1.0
    return _darken(sound, note.velocity) * gain * note.velocity**2


def _waver(sound, time, depth):
    """Return the sound with its pitch swinging by `depth` semitones, once it has spoken."""
    rate = 5.5
    swing = depth * np.log(2) / 12 / (2 * np.pi * rate) * (1 - np.cos(2 * np.pi * rate * time))
    swing *= np.minimum(time / 0.3, 1.0)
    return np.interp(time - swing, time, sound)


def level(sound, decibels):
    """Return the sound at a root mean square of `decibels` re 1 where it is not silent."""
    heard = sound[np.abs(sound) > 1e-4]
    if not heard.size:
        return sound
    return sound * (10 ** (decibels / 20) / np.sqrt(np.mean(np.square(heard))))


def saturate(sound, ceiling):
    """Return the sound with its peaks bent below `ceiling`, as a tape does to drums."""
    return ceiling * np.tanh(sound / ceiling)


def hiss(length, decibels, seed, sample_rate):
    """Return background noise at a root mean square of `decibels`.

    It is louder at low frequencies and swells and sinks every few seconds, as a street or an
    audience does.
    """
    from scipy.signal import lfilter

    chance = Chance(seed, "noise")
    marks = np.arange(length // (2 * sample_rate) + 2) * 2 * sample_rate
    swell = np.interp(np.arange(length), marks, [chance.uniform(-10, 10) for _ in marks])
    noise = lfilter([1.0], [1.0, -0.9], _white(length, seed)) * 10 ** (swell / 20)
    return noise * 10 ** (decibels / 20) / np.sqrt(np.mean(np.square(noise)))


def room(sound, sample_rate, seconds=0.35, wet=0.25):
    """Return the sound with the echo of a room that falls by 60 dB in `seconds`."""
    from scipy.signal import oaconvolve

    time = np.arange(round(seconds * sample_rate)) / sample_rate
    echo = _white(len(time), "room") * np.exp(-6.9 * time / seconds)
    echo *= wet / np.sqrt(np.sum(np.square(echo)))
    echo[0] += 1.0
    return oaconvolve(sound, echo)[: len(sound)]


def _white(length, seed):
    """Return white noise between -1 and 1.

    The generator's raw integers are drawn, as they are the same in every version of NumPy.
    """
    number = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=4).digest(), "big")
    return np.random.PCG64(number).random_raw(length) / 2.0**63 - 1.0
