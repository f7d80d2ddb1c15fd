"""A band that plays from a chord sheet: drums, bass, chords and lead, bar by bar.

What a section says (chords, patterns, tune) is its score; what changes from one repeat to the next
(timing, loudness, fills, ornaments, a bar left out) is drawn with the song's own seed.
"""

from dataclasses import dataclass, field

from nmfab.datasets.demo.theory import (
    PERCUSSION,
    Chance,
    Note,
    chord,
    midi,
    nearest,
    scale_step,
    voicing,
)

_KIT = {
    "k": 36, "s": 38, "e": 40, "i": 37, "c": 39, "h": 42, "o": 46, "r": 51, "t": 54, "x": 49,
    "1": 50, "2": 47, "3": 45, "4": 41,
}  # fmt: skip

# Drum patterns of one bar: what each instrument of the kit plays on the grid of the bar's steps.
# A capital is an accent, "." a rest.
DRUMS = {
    "rock": {"k": "X.....x.x.......", "s": "....X.......X...", "h": "x.x.x.x.x.x.x.x."},
    "rock_open": {"k": "X.....x.x..x....", "s": "....X.......X...", "o": "x...x...x...x..."},
    "half": {"k": "X.........x.....", "s": "........X.......", "h": "x...x...x...x..."},
    "disco": {"k": "X...X...X...X...", "s": "....x.......x...", "o": "..x...x...x...x."},
    "ballad": {"k": "X.......x.......", "i": "....x.......x...", "r": "x...x...x...x..."},
    "bossa": {"k": "x..xx..xx..xx..x", "i": "x..x..x...x..x..", "h": "x.x.x.x.x.x.x.x."},
    "march": {"k": "X.......X.......", "s": "x.xxX.x.x.xxX.xx"},
    "shuffle": {"k": "X.....x.x.....x.", "s": "....X.......X...", "r": "x..xx..xx..xx..x"},
    "funk": {"k": "X..x..x...x..x..", "s": "....X..x.x..X...", "h": "xxx.xxx.xxx.xxx."},
    "tribal": {"k": "X..x..X...x.X...", "3": "..x..x..x..x..xx", "4": "x......x......x."},
    "hats": {"h": "x.x.x.x.x.x.x.x.", "t": "....x.......x..."},
    "waltz": {"k": "X...........", "s": "....x...x...", "h": "x...x...x..."},
    "waltz_ride": {"k": "X.......x...", "i": "....x...x...", "r": "x.x.x.x.x.x."},
    "none": {},
}
FILLS = {
    16: ({"s": "........xxx.xxxx", "k": "X......."}, {"1": "........xx..", "2": "..........xx",
         "4": "............xxxx"}, {"s": "............xXxX"}, {"3": "......x..x..x.xx"}),
    12: ({"s": "....x.xxx.xx"}, {"1": "....xx..", "2": "......xx", "4": "........xxxx"}),
}  # fmt: skip

# Bass and chord patterns: (step, length in steps, which note) with r root, 5 fifth, 8 octave,
# 3 third, a the approach to the next root; for chords b block, u upper notes, 0 1 2 3 one voice.
BASS = {
    "roots": ((0, 8, "r"), (8, 8, "r")),
    "long": ((0, 16, "r"),),
    "eighths": (*((step, 2, "r") for step in range(0, 14, 2)), (14, 2, "a")),
    "octaves": tuple((step, 2, "r8"[step // 2 % 2]) for step in range(0, 16, 2)),
    "walk": ((0, 4, "r"), (4, 4, "3"), (8, 4, "5"), (12, 4, "a")),
    "tresillo": ((0, 6, "r"), (6, 6, "5"), (12, 4, "r")),
    "funky": ((0, 3, "r"), (3, 1, "8"), (6, 2, "r"), (10, 2, "5"), (13, 3, "a")),
    "waltz": ((0, 8, "r"), (8, 4, "5")),
    "waltz_long": ((0, 12, "r"),),
    "none": (),
}
CHORDS = {
    "block": ((0, 16, "b"),),
    "halves": ((0, 7, "b"), (8, 7, "b")),
    "stabs": ((2, 2, "b"), (6, 2, "b"), (10, 2, "b"), (14, 2, "b")),
    "push": ((0, 5, "b"), (6, 4, "b"), (12, 3, "u")),
    "arpeggio": tuple((step, 4, "0123210121"[step // 2]) for step in range(0, 16, 2)),
    "picking": tuple((step, 3, "0213021302130213"[step]) for step in range(0, 16, 2)),
    "offbeat": ((4, 3, "b"), (12, 3, "b")),
    "sixteenths": tuple((step, 1, "b") for step in (0, 2, 3, 6, 8, 10, 11, 14)),
    "waltz": ((4, 3, "u"), (8, 3, "u")),
    "waltz_arpeggio": tuple((step, 4, "012321"[step // 2]) for step in range(0, 12, 2)),
    "waltz_block": ((0, 12, "b"),),
    "none": (),
}
DYNAMICS = 36.0  # dB between a band that plays at 0 and one at 1


@dataclass(frozen=True)
class Section:
    """What the band plays wherever a label stands in the form.

    Attributes
    ----------
    chords : str
        Chord symbols of one bar each, repeated as long as the section lasts; ``A/B`` is half a
        bar each.
    drums, bass, comp : tuple of str
        Patterns, each repeat of the section taking the next one in turn.
    tune : str
        The lead's tune: ``degree:beats`` with degrees of the scale from 1 (8 the octave), ``-``
        for a rest, ``#`` and ``b``; it starts again with each pass. Empty: no lead.
    programs : mapping
        Instruments that differ from the song's.
    """

    chords: str
    drums: tuple[str, ...] = ("none",)
    bass: tuple[str, ...] = ("none",)
    comp: tuple[str, ...] = ("none",)
    tune: str = ""
    programs: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Song:
    """A song: its form, sections and band.

    Attributes
    ----------
    form : tuple of (str, int, float)
        Labels with their numbers of bars and how loud the band plays, 0 to 1.
    meter : int
        Beats per bar, of four steps each.
    tonic, scale : str
        Key of the tunes, the tonic with its octave.
    programs : mapping
        General MIDI programs, from 0, of ``bass``, ``chords`` and ``lead``.
    levels : mapping
        Root mean square of drums, bass, chords, lead and noise, in dB.
    looseness : float
        Timing jitter (standard deviation in seconds) of the lead; the others keep half of it.
    freedom : float
        Probability that a bar is varied: a fill, an ornament, a changed pattern.
    """

    title: str
    bpm: float
    meter: int
    tonic: str
    scale: str
    form: tuple[tuple[str, int, float], ...]
    sections: dict[str, Section]
    programs: dict[str, int]
    levels: dict[str, float]
    looseness: float = 0.012
    freedom: float = 0.3
    transpose: int = 0


def beat_times(song):
    """Return the times of all beats, the last one being the end of the last bar.

    The tempo drifts by a percent or two around the song's, as a band's does.
    """
    chance = Chance(song.title, "tempo")
    times, drift = [0.3], 0.0
    for _ in range(song.meter * sum(bars for _, bars, _ in song.form)):
        drift = 0.9 * drift + chance.bell(0.004)
        times.append(times[-1] + 60.0 / song.bpm * (1.0 + drift))
    return [round(time, 6) for time in times]


class Grid:
    """Turns steps (four to the beat) into seconds along the beats."""

    def __init__(self, beats):
        self.beats = beats

    def __call__(self, step):
        """Return the time of a step from the song's beginning."""
        whole = min(int(step // 4), len(self.beats) - 2)
        first, second = self.beats[whole], self.beats[whole + 1]
        return first + (second - first) * (step / 4 - whole)


def perform(song):
    """Return the notes of a song.

    Returns
    -------
    dict
        ``drums``, ``bass``, ``chords`` and ``lead``, each a list of (program, `Note`).
    """
    grid, start, seen = Grid(beat_times(song)), 0, {}
    parts = {"drums": [], "bass": [], "chords": [], "lead": []}
    for index, (label, bars, energy) in enumerate(song.form):
        section, turn = song.sections[label], seen.setdefault(label, 0)
        seen[label] += 1
        chance = Chance(song.title, index, label)
        player = _Player(song, section, grid, start, bars, energy, turn, chance)
        for part, notes in player.play().items():
            program = section.programs.get(part, {"drums": PERCUSSION, **song.programs}[part])
            parts[part] += [(program, note) for note in notes]
        start += bars * song.meter * 4
    return parts


class _Player:
    """The band in one section."""

    def __init__(self, song, section, grid, start, bars, energy, turn, chance):
        self.song, self.section, self.grid, self.start = song, section, grid, start
        self.bars, self.energy, self.turn, self.chance = bars, energy, turn, chance
        self.steps = song.meter * 4
        sheet = [bar.split("/") for bar in section.chords.split()]
        self.sheet = [sheet[bar % len(sheet)] for bar in range(bars)]

    def play(self):
        return {
            "drums": list(self.drums()),
            "bass": list(self.bass()),
            "chords": list(self.comp()),
            "lead": list(self.lead()),
        }

    def note(self, bar, step, length, pitch, velocity, tightness=0.5):
        width = self.song.looseness * tightness
        at = self.start + bar * self.steps + step
        onset = max(0.0, self.grid(at) + self.chance.bell(width))
        duration = max(0.05, self.grid(at + length) - self.grid(at)) * self.chance.uniform(0.8, 1.0)
        loud = (
            velocity * 10 ** (DYNAMICS * (self.energy - 1) / 40) * self.chance.uniform(0.82, 1.08)
        )
        return Note(round(onset, 6), round(duration, 6), pitch, round(min(1.0, loud), 4))

    def pattern(self, names, table):
        """Return the pattern of this repeat, another of the section's where the bar is free."""
        name = names[self.turn % len(names)]
        if len(names) > 1 and self.chance.happens(0.5 * self.song.freedom):
            name = self.chance.pick(names)
        return table[name]

    def drums(self):
        for bar in range(self.bars):
            pattern = self.pattern(self.section.drums, DRUMS)
            last = bar == self.bars - 1
            # Fills stand before most section changes, and inside sections too: a fill alone
            # does not tell a boundary.
            filled = pattern and self.chance.happens(0.65 if last else 0.4 * self.song.freedom)
            lines = self.chance.pick(FILLS[self.steps]) if filled else pattern
            if bar == 0 and pattern and self.chance.happens(0.5):
                yield self.note(bar, 0, 4, _KIT["x"], 0.8)
            for key, line in lines.items():
                for step, mark in enumerate(line):
                    dropped = self.chance.happens(0.08 * self.song.freedom)
                    if mark != "." and not dropped:
                        yield self.note(bar, step, 1, _KIT[key], 0.9 if mark.isupper() else 0.66)
            if pattern and self.chance.happens(0.5 * self.song.freedom):
                yield self.note(bar, self.chance.pick((3, 7, 9, 11)), 1, _KIT["e"], 0.35)

    def chord_at(self, bar, step):
        halves = self.sheet[bar]
        symbol = halves[min(len(halves) - 1, step * len(halves) // self.steps)]
        return chord(symbol, self.song.transpose)

    def bass(self):
        for bar in range(self.bars):
            for step, length, which in self.pattern(self.section.bass, BASS):
                root, classes = self.chord_at(bar, step)
                following, _ = self.chord_at((bar + 1) % self.bars, 0)
                low = 28 + (root - 28) % 12
                choices = {
                    "r": low,
                    "8": low + 12,
                    "5": nearest(classes[2:3], low + 7),
                    "3": nearest(classes[1:2], low + 4),
                    "a": nearest([following], low) + self.chance.pick((-2, -1, 1, 2)),
                }
                pitch = choices[which]
                if self.chance.happens(0.25 * self.song.freedom):
                    pitch = self.chance.pick((low, low + 12, choices["5"]))
                yield self.note(bar, step, length, pitch, 0.8)

    def comp(self):
        low = 52 + self.chance.pick((0, 0, 3, 5)) * (self.turn > 0)  # another inversion
        for bar in range(self.bars):
            for step, length, which in self.pattern(self.section.comp, CHORDS):
                _, classes = self.chord_at(bar, step)
                voices = voicing(classes, low)
                chosen = {"b": voices, "u": voices[1:]}.get(which)
                if chosen is None:
                    broken = [*voices, voices[0] + 12]
                    chosen = [broken[int(which) % len(broken)]]
                if self.chance.happens(0.12 * self.song.freedom):
                    continue
                for pitch in chosen:
                    yield self.note(bar, step, length, pitch, 0.7)

    def lead(self):
        tune = parse_tune(self.section.tune, self.song)
        total, at, index = self.bars * self.steps, 0, 0
        while tune and at < total:
            pitch, length = tune[index % len(tune)]
            index += 1
            length = min(length, total - at)
            if pitch is not None:
                yield from self.ornamented(at, length, pitch)
            at += length

    def ornamented(self, at, length, pitch):
        """Play one note of the tune, or what a player makes of it the second time."""
        bar, step = divmod(at, self.steps)
        tonic = midi(self.song.tonic) + self.song.transpose
        free = self.turn > 0 and self.chance.happens(self.song.freedom)
        choice = self.chance.pick(("split", "neighbour", "rest", "chord")) if free else "plain"
        if choice == "rest":
            return
        if choice == "chord":
            pitch = nearest(self.chord_at(bar, step)[1], pitch)
        if choice == "split" and length >= 4:
            yield self.note(bar, step, length // 2, pitch, 0.85, 1.0)
            step, length = step + length // 2, length - length // 2
            pitch = scale_step(pitch, self.chance.pick((-1, 1, 2)), tonic, self.song.scale)
        if choice == "neighbour" and length >= 2:
            grace = scale_step(pitch, self.chance.pick((-1, 1)), tonic, self.song.scale)
            yield self.note(bar, step, 1, grace, 0.7, 1.0)
            step, length = step + 1, length - 1
        yield self.note(bar, step, length, pitch, 0.9, 1.0)


def parse_tune(text, song):
    """Return the tune as (MIDI pitch or None for a rest, length in steps)."""
    base = midi(song.tonic) + song.transpose
    tune = []
    for word in text.split():
        name, _, beats = word.partition(":")
        length = round(4 * float(beats or 1))
        degree = name.strip("#b")
        if degree == "-":
            tune.append((None, length))
            continue
        shift = name.count("#") - name.count("b")
        tune.append((scale_step(base, int(degree) - 1, base, song.scale) + shift, length))
    return tune
