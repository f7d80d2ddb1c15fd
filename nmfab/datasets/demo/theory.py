"""The little music theory that the scores are written in: chords, scales, chance."""

import random
import re
from typing import NamedTuple

PERCUSSION = 128  # in the place of a General MIDI program: the percussion bank
_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_CHORDS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7b5": (0, 3, 6, 10),
    "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9),
    "sus4": (0, 5, 7),
    "add9": (0, 4, 7, 14),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
}
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}


class Note(NamedTuple):
    """One note of a score: onset and duration in seconds, MIDI pitch, velocity in 0..1."""

    onset: float
    duration: float
    pitch: int
    velocity: float


class Chance:
    """Chance that is the same in every version of Python: only ``Random.random`` is drawn from."""

    def __init__(self, *seed):
        self._draw = random.Random("/".join(map(str, seed))).random

    def uniform(self, low, high):
        """Return a number between `low` and `high`."""
        return low + (high - low) * self._draw()

    def bell(self, width):
        """Return a number around 0, of standard deviation `width` and at most 3 of those away."""
        return width * 2 * (self._draw() + self._draw() + self._draw() - 1.5)

    def happens(self, probability):
        """Return True with the given probability."""
        return self._draw() < probability

    def pick(self, items):
        """Return one of `items`."""
        return items[int(self._draw() * len(items))]


def pitch_class(name):
    """Return the pitch class of a note name such as ``"F#"`` or ``"Bb"``."""
    return (_NAMES[name[0]] + name.count("#") - name.count("b")) % 12


def midi(name):
    """Return the MIDI pitch of a name such as ``"C4"`` (60), ``"F#3"``, ``"Bb5"``."""
    letters, octave = re.fullmatch(r"([A-G][#b]*)(-?\d)", name).groups()
    accidentals = letters.count("#") - letters.count("b")
    return _NAMES[letters[0]] + accidentals + 12 * (int(octave) + 1)


def chord(symbol, transpose=0):
    """Return root and pitch classes of a chord symbol such as ``"Am7"``, moved by semitones."""
    root, quality = re.fullmatch(r"([A-G][#b]?)(.*)", symbol).groups()
    base = (pitch_class(root) + transpose) % 12
    return base, [(base + step) % 12 for step in _CHORDS[quality]]


def voicing(classes, low):
    """Return the chord's pitches in close position, each the first at or above `low`."""
    return sorted(low + (item - low) % 12 for item in classes)


def nearest(classes, pitch):
    """Return the pitch of one of the classes that lies nearest to `pitch`."""
    around = [pitch + step for step in (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, 6)]
    return next(item for item in around if item % 12 in classes)


def scale_step(pitch, steps, tonic, scale):
    """Return the pitch `steps` degrees of the scale away from `pitch`, which is put on it first."""
    classes = [(tonic + item) % 12 for item in SCALES[scale]]
    pitch, direction = nearest(classes, pitch), 1 if steps > 0 else -1
    for _ in range(abs(steps)):
        pitch += direction
        while pitch % 12 not in classes:
            pitch += direction
    return pitch
