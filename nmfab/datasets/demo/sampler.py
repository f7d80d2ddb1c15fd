"""Sampled instruments: notes of a General MIDI soundfont, shaped and placed in time.

The soundfont gives a key's recorded sound; loudness, brightness, decay and release are given here.
"""

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError
from nmfab.datasets.demo.soundfont import load
from nmfab.datasets.demo.theory import PERCUSSION, Chance

RENDERING = 1  # counts changes that alter the sound of unchanged notes
INSTALL = "pip install pretty_midi"
_FONT_RATE = 44100  # Hz, the highest rate of the soundfont's samples
PIANO = 0
_STRUCK = {*range(0, 16), *range(24, 40), *range(104, 109)}  # programs whose strings or bars decay
_LENGTHS = (2.0, 6.0)  # s: short notes need not the whole of a sample
# Gains within the kit, in dB: cymbals are far below drums.
_KIT = {36: 0, 38: -2, 40: -3, 37: -8, 39: -7, 42: -15, 46: -14, 51: -15, 54: -13, 49: -7}


def soundfont():
    """Return the path of the soundfont in pretty_midi's wheel.

    Raises
    ------
    DataError
        If pretty_midi is not installed.
    """
    found = importlib.util.find_spec("pretty_midi")
    path = Path(found.origin).with_name("TimGM6mb.sf2") if found else None
    if path is None or not path.is_file():
        raise DataError(f"dataset demo is rendered with the soundfont of pretty_midi: {INSTALL}")
    return path


@lru_cache(maxsize=256)
def _sample(program, pitch, sample_rate, seconds):
    """Return the soundfont's note, held for some seconds, of mean square 1 where loudest."""
    from scipy.signal import resample_poly

    drum = program == PERCUSSION
    bank, number = (128, 0) if drum else (0, program)
    # At a lower rate the upper partials of a transposed sample would alias.
    times = -(-_FONT_RATE // sample_rate)
    sound = load(soundfont()).note(
        bank, number, pitch, seconds=seconds, sample_rate=times * sample_rate
    )
    sound = resample_poly(sound, 1, times) if times > 1 else sound
    sound -= np.mean(sound)
    energy = np.cumsum(sound[: sample_rate // 2] ** 2)
    window = sample_rate // 20
    loudest = np.max(energy[window:] - energy[:-window]) / window
    if not loudest > 0:
        raise DataError(f"{soundfont()}: program {program}, key {pitch} is silent")
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
    held = 1.8 if program == PERCUSSION else note.duration
    needed = held + 0.15
    seconds = next((length for length in _LENGTHS if length >= needed), _LENGTHS[-1])
    sound = _sample(program, note.pitch, sample_rate, seconds)[: round(needed * sample_rate)]
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


def retuned(sound, cents):
    """Return the sound with its pitch raised by some hundredths of a semitone."""
    time = np.arange(len(sound))
    return np.interp(time * 2 ** (cents / 1200), time, sound)


def _white(length, seed):
    """Return white noise between -1 and 1.

    The generator's raw integers are drawn, as they are the same in every version of NumPy.
    """
    number = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=4).digest(), "big")
    return np.random.PCG64(number).random_raw(length) / 2.0**63 - 1.0
