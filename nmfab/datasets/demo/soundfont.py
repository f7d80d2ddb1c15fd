"""A reader of SoundFont 2 files: which samples a key of a program plays, and at what pitch.

After the "SoundFont Technical Specification", version 2.04 (E-mu Systems, 2006), sections 5 to 9.
Of its generators those are read that say what sounds: ranges of keys and velocities, tuning, loops
and attenuation. Envelopes and filters are left to the caller.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError

_RECORDS = {
    "phdr": [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("_", "V12")],
    "inst": [("name", "S20"), ("bag", "<u2")],
    "pbag": [("first", "<u2"), ("_", "<u2")],
    "ibag": [("first", "<u2"), ("_", "<u2")],
    "pgen": [("kind", "<u2"), ("amount", "<i2")],
    "igen": [("kind", "<u2"), ("amount", "<i2")],
    "shdr": [
        ("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"),
        ("loop_end", "<u4"), ("rate", "<u4"), ("pitch", "u1"), ("cents", "i1"), ("_", "V4"),
    ],
}  # fmt: skip
# Numbers of the generators (section 8.1.2), each of start, end and loop in samples and in 32,768s.
_START, _END, _LOOP_START, _LOOP_END = (0, 4), (1, 12), (2, 45), (3, 50)
_KEYS, _VELOCITIES, _INSTRUMENT, _SAMPLE = 43, 44, 41, 53
_ATTENUATION, _SEMITONES, _CENTS, _LOOPED, _CENTS_PER_KEY, _ROOT = 48, 51, 52, 54, 56, 58


@dataclass(frozen=True)
class Zone:
    """One sample and how a key plays it: generators by number, the preset's added."""

    sample: int
    generators: dict[int, int]

    def offset(self, numbers):
        """Return an offset in samples from its fine and coarse generator."""
        fine, coarse = numbers
        return self.generators.get(fine, 0) + 32768 * self.generators.get(coarse, 0)


class SoundFont:
    """The instruments of a SoundFont 2 file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        If it is no SoundFont 2 file.
    """

    def __init__(self, path):
        self.path = Path(path)
        chunks = dict(_chunks(self.path.read_bytes()))
        wanted = {*_RECORDS, "smpl"}
        if not wanted <= {*chunks}:
            raise DataError(f"{path} is no SoundFont 2 file: it lacks {min(wanted - {*chunks})}")
        self._sound = np.frombuffer(chunks["smpl"], "<i2")
        self._tables = {name: np.frombuffer(chunks[name], dtype) for name, dtype in _DTYPES.items()}

    def zones(self, bank, program, key, velocity=100):
        """Return the zones that sound together when a key of a program is struck.

        Raises
        ------
        DataError
            If the file has nothing there.
        """
        presets = self._tables["phdr"]
        found = np.flatnonzero((presets["program"] == program) & (presets["bank"] == bank))
        zones = []
        for preset in found[:1]:
            for added in self._matching("phdr", "pbag", "pgen", preset, (key, velocity)):
                instrument = added.pop(_INSTRUMENT)
                for own in self._matching("inst", "ibag", "igen", instrument, (key, velocity)):
                    for kind in (_SEMITONES, _CENTS, _ATTENUATION):
                        own[kind] = own.get(kind, 0) + added.get(kind, 0)
                    zones.append(Zone(own[_SAMPLE], own))
        if not zones:
            raise DataError(
                f"{self.path} has no sound for bank {bank}, program {program}, key {key}"
            )
        return zones

    def _matching(self, headers, bags, generators, index, struck):
        """Return the generators of each zone whose ranges hold the key and velocity struck."""
        first, last = self._tables[headers]["bag"][index : index + 2].astype(int)
        ends = self._tables[bags]["first"][first : last + 1].astype(int)
        common, matching = {}, []
        for number, (start, stop) in enumerate(pairwise(ends)):
            rows = self._tables[generators][start:stop]
            zone = common | {int(row["kind"]): int(row["amount"]) for row in rows}
            target = _INSTRUMENT if headers == "phdr" else _SAMPLE
            if target not in zone:
                common = zone if number == 0 else common  # the first may hold for all others
            elif all(
                _within(zone.get(k), v) for k, v in zip((_KEYS, _VELOCITIES), struck, strict=True)
            ):
                matching.append(zone)
        return matching

    def note(self, bank, program, key, *, seconds, sample_rate, velocity=100):
        """Return the sound of one key, held as long as asked and neither shaped nor filtered.

        Parameters
        ----------
        bank, program, key, velocity : int
            MIDI numbers; bank 128 is the percussion.
        seconds : float
            Length; a sample without a loop is followed by silence.
        sample_rate : int
            Hz. Frequencies above half of it alias: ask for at least the samples' own.

        Returns
        -------
        np.ndarray [shape=(round(seconds * sample_rate),), float64]
            In units of full scale; channels of a stereo sample added.

        Raises
        ------
        DataError
            If the file has no such note.
        """
        out = np.zeros(round(seconds * sample_rate))
        for zone in self.zones(bank, program, key, velocity):
            header = self._tables["shdr"][zone.sample]
            step = int(header["rate"]) / sample_rate * 2 ** (_semitones(zone, header, key) / 12)
            positions = np.arange(len(out)) * step
            gain = 10 ** (-zone.generators[_ATTENUATION] / 200)
            unrolled = self._unrolled(zone, header, int(positions[-1]) + 4)
            out += gain / 32768 * _interpolated(unrolled, positions)
        return out

    def _unrolled(self, zone, header, length):
        """Return the first `length` samples of a zone, its loop repeated as often as it takes."""
        start = int(header["start"]) + zone.offset(_START)
        end = int(header["end"]) + zone.offset(_END)
        sound = self._sound[start:end]
        if zone.generators.get(_LOOPED, 0) in (1, 3):
            loop_start = int(header["loop_start"]) + zone.offset(_LOOP_START) - start
            loop_end = int(header["loop_end"]) + zone.offset(_LOOP_END) - start
            if 0 <= loop_start < loop_end <= len(sound):
                loop = sound[loop_start:loop_end]
                missing = max(0, length - loop_end)
                sound = np.concatenate([sound[:loop_end], np.resize(loop, missing)])
        sound = sound[:length].astype(np.float64)
        return np.pad(sound, (1, length - len(sound) + 2))


_DTYPES = {name: np.dtype(fields) for name, fields in _RECORDS.items()}


@lru_cache(maxsize=1)
def load(path):
    """Return the `SoundFont` of a file, read once."""
    return SoundFont(path)


def _chunks(data):
    """Yield name and bytes of every chunk, those inside lists too."""
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        return
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"LIST":
            at += 12  # step inside
            continue
        yield name.decode("latin-1"), data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _within(limits, value):
    """Tell whether a value lies in a range packed as low and high byte; anything does in None."""
    return limits is None or (limits & 0xFF) <= value <= ((limits >> 8) & 0xFF)


def _semitones(zone, header, key):
    """Return how far the sample is moved up, in semitones (sections 8.1.3 and 7.10)."""
    root = zone.generators.get(_ROOT, -1)
    if root < 0:
        root = int(header["pitch"]) if header["pitch"] <= 127 else 60
    tuning = zone.generators[_SEMITONES] + (zone.generators[_CENTS] + int(header["cents"])) / 100
    return zone.generators.get(_CENTS_PER_KEY, 100) / 100 * (key - root) + tuning


def _interpolated(sound, positions):
    """Return the sound between its samples by Catmull-Rom splines; sound[1] is at position 0."""
    whole = positions.astype(np.int64)
    part = positions - whole
    before, here, after, beyond = (sound[whole + shift] for shift in range(4))
    slope, far = 0.5 * (after - before), 0.5 * (beyond - here)
    rise = after - here
    return here + part * (
        slope + part * (3 * rise - 2 * slope - far + part * (slope + far - 2 * rise))
    )
