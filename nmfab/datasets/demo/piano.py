"""The piano pieces of the dataset, for transcription, and the isolated notes of their piano.

A note lasts as long as it sounds, as in MAPS: to the release of its key, or of the pedal where that
comes later, or to the next stroke of the same key, or to the end of the recording.
"""

from dataclasses import dataclass

from nmfab.datasets.demo.theory import Chance, Note, midi

LONGEST = 5.5  # s; what is held longer is struck again or let go in every score below


@dataclass(frozen=True)
class Piece:
    """A piano piece.

    Attributes
    ----------
    bpm : float
        Beats per minute.
    voices : tuple of (str, float)
        Each voice as text, with its loudness in 0..1: ``C4:1 E4+G4:.5 -:2`` are pitches and
        lengths in beats, ``-`` a rest, ``*4`` after the length a repetition.
    pedal : float
        The pedal is changed every so many beats; 0 where it is not used.
    seconds : float
        Where the recording ends.
    staccato : float
        Part of its length for which a key is held.
    swell : tuple of float
        Loudness along the piece, as factors at equal distances.
    """

    bpm: float
    voices: tuple[tuple[str, float], ...]
    pedal: float
    seconds: float
    staccato: float = 0.92
    swell: tuple[float, ...] = (1.0, 1.0)


def _prelude():
    """Bach, prelude in C major: every bar one chord, broken twice."""
    bars = ("C4 E4 G4 C5 E5", "C4 D4 A4 D5 F5", "B3 D4 G4 D5 F5", "C4 E4 G4 C5 E5",
            "C4 E4 A4 E5 A5", "C4 D4 F#4 A4 D5", "B3 D4 G4 D5 G5", "B3 C4 E4 G4 C5")  # fmt: skip
    high, middle, low = [], [], []
    for bar in bars:
        n = bar.split()
        high += ["-:.5", *(f"{n[i]}:.25" for i in (2, 3, 4, 2, 3, 4))] * 2
        middle += ["-:.25", f"{n[1]}:1.75"] * 2
        low += [f"{n[0]}:2"] * 2
    return " ".join(high), " ".join(middle), " ".join(low)


def _moonlight():
    """Beethoven, sonata op. 27 no. 2, opening: triplets over octaves."""
    third = 1 / 3
    chords = ("G#3 C#4 E4", "G#3 C#4 E4", "A3 C#4 E4", "A3 D4 F#4", "G#3 C4 F#4", "G#3 C#4 E4",
              "G#3 C#4 D#4", "F#3 C4 D#4", "E3 G#3 C#4")  # fmt: skip
    times = (4, 4, 2, 2, 1, 1, 1, 1, 4)
    triplets = [
        f"{name}:{third}"
        for chord, count in zip(chords, times, strict=True)
        for name in chord.split() * count
    ]
    bass = "C#2+C#3:4 B1+B2:4 A1+A2:2 F#1+F#2:2 G#1+G#2:4 C#2+G#2+C#3:4"
    return " ".join(triplets), bass, "-:19 G#4:.75 G#4:.25"


PIECES = {
    "piano_1_prelude": Piece(
        68, tuple(zip(_prelude(), (0.62, 0.5, 0.66), strict=True)), 4, 26.0,
        swell=(0.7, 1.0, 0.85, 1.1, 0.8),
    ),
    "piano_2_moonlight": Piece(
        52, tuple(zip(_moonlight(), (0.4, 0.6, 0.8), strict=True)), 2, 22.5, swell=(0.8, 1.1, 0.9)
    ),
    # Chopin, prelude op. 28 no. 4: repeated chords that sink under a melody.
    "piano_3_chopin": Piece(
        62,
        (
            ("B4:3 C5:1 B4:3 C5:1 B4:3 C5:1 B4:3 Bb4:1 A4:3 B4:1 A4:3 B4:1", 0.85),
            (
                "G3+B3+E4:.5*8 F#3+A3+E4:.5*4 F#3+A3+D#4:.5*4 F3+A3+D#4:.5*4 F3+A3+D4:.5*2 "
                "F3+G#3+D4:.5*2 E3+G#3+D4:.5*4 E3+G3+D4:.5*2 E3+G3+C#4:.5*2 E3+F#3+C4:.5*4 "
                "D#3+F#3+C4:.5*4 D3+F3+B3:.5*8", 0.5,
            ),
        ),
        0, 23.0, 0.85, (0.8, 1.0, 0.9, 0.7),
    ),
    # Petzold, minuet in G: two voices, no pedal.
    "piano_4_minuet": Piece(
        122,
        (
            (
                "D5:1 G4:.5 A4:.5 B4:.5 C5:.5 D5:1 G4:1*2 E5:1 C5:.5 D5:.5 E5:.5 F#5:.5 G5:1 "
                "G4:1*2 C5:1 D5:.5 C5:.5 B4:.5 A4:.5 B4:1 C5:.5 B4:.5 A4:.5 G4:.5 F#4:1 G4:.5 "
                "A4:.5 B4:.5 G4:.5 A4:3 D5:1 G4:.5 A4:.5 B4:.5 C5:.5 D5:1 G4:1*2 E5:1 C5:.5 D5:.5 "
                "E5:.5 F#5:.5 G5:1 G4:1*2 C5:1 D5:.5 C5:.5 B4:.5 A4:.5 B4:1 C5:.5 B4:.5 A4:.5 "
                "G4:.5 A4:1 B4:.5 A4:.5 G4:.5 F#4:.5 G4:3", 0.75,
            ),
            (
                "G3+B3+D4:2 A3:1 B3:3 C4:3 B3:3 A3:3 G3:3 D4:1 B3:1 G3:1 D4:1 D3:.5 C4:.5 B3:.5 "
                "A3:.5 B3:2 A3:1 G3:1 B3:1 G3:1 C4:3 B3:1 C4:.5 B3:.5 A3:.5 G3:.5 A3:2 F#3:1 "
                "G3:2 B3:1 C4:1 D4:1 D3:1 G3:2 G2:1", 0.55,
            ),
        ),
        0, 23.4, 0.88, (0.9, 1.0, 0.8, 1.0, 0.85),
    ),
    # Satie, first Gymnopédie: low notes, wide chords and a melody in one pedal.
    "piano_5_gymnopedie": Piece(
        82,
        (
            ("-:13 F#5:1 A5:1 G5:1 F#5:1 C#5:1 B4:1 C#5:1 D5:1 A4:3 F#4:6 -:1 F#5:1 A5:1", 0.75),
            ("G2:3 D2:3 " * 6, 0.6),
            ("-:1 B3+D4+F#4:2 -:1 A3+C#4+F#4:2 " * 6, 0.42),
        ),
        3, 25.5, swell=(0.8, 0.8, 1.0, 0.9, 1.0),
    ),
    # Mozart, sonata K. 331, theme: repeated notes, the melody in tenths with the bass.
    "piano_6_mozart": Piece(
        64,
        (
            (
                "C#5:.75 D5:.25 C#5:.5 E5:1 E5:.5 B4:.75 C#5:.25 B4:.5 D5:1 D5:.5 A4:1 A4:.5 B4:1 "
                "B4:.5 C#5:1 E5:.5 D5:1 C#5:.25 B4:.25 C#5:.75 D5:.25 C#5:.5 E5:1 E5:.5 B4:.75 "
                "C#5:.25 B4:.5 D5:1 D5:.5 A4:1 B4:.5 C#5:1 D5:.5 C#5:1 B4:.5 A4:1.5", 0.75,
            ),
            (
                "A3:.75 B3:.25 A3:.5 C#4:1 C#4:.5 G#3:.75 A3:.25 G#3:.5 B3:1 B3:.5 F#3:1 F#3:.5 "
                "G#3:1 G#3:.5 A3:1 C#4:.5 B3:1 -:.5 A3:.75 B3:.25 A3:.5 C#4:1 C#4:.5 G#3:.75 "
                "A3:.25 G#3:.5 B3:1 B3:.5 F#3:1 G#3:.5 A3:1 D3:.5 E3:1 E3:.5 A2+A3:1.5", 0.55,
            ),
            ("E4:1.5 E4:1 E4:.5 " * 8, 0.4),
        ),
        0, 21.8, 0.9, (0.9, 0.75, 1.0, 0.8),
    ),
    # Bourgeois, Old Hundredth (1551): four voices with the bass in octaves, fifths and octaves.
    "piano_7_chorale": Piece(
        60,
        (
            (
                "G4+B4+D5+G5:1.5 G4+B4+D5+G5:1 F#4+A4+D5+F#5:1 E4+G4+B4+E5:1 D4+F#4+A4+D5:1 "
                "G4+B4+D5+G5:1 A4+D5+F#5+A5:1 B4+D5+G5+B5:2 B4+D5+G5+B5:1 B4+D5+G5+B5:1 "
                "B4+D5+G5+B5:1 A4+D5+F#5+A5:1 G4+B4+E5+G5:1 C5+E5+G5+C6:1 B4+D5+G5+B5:1 "
                "A4+D5+F#5+A5:2 G4+C5+E5+G5:1 A4+C5+F5+A5:1 B4+D5+G5+B5:2", 0.7,
            ),
            (
                "G2+G3:1.5 G2+G3:1 D2+D3:1 E2+E3:1 D2+D3:1 G2+G3:1 D2+D3:1 G1+G2:2 G2+G3:1 G2+G3:1 "
                "G2+G3:1 D2+D3:1 E2+E3:1 C2+C3:1 G1+G2:1 D2+D3:2 C2+C3:1 F1+F2:1 G1+G2:2", 0.75,
            ),
        ),
        1, 21.0, 0.95, (0.7, 1.0, 0.8, 1.1),
    ),
    # Written for this dataset: repeated notes, leaps over the keyboard, a crescendo, then bare.
    "piano_8_toccata": Piece(
        132,
        (
            (
                "A4:.25*8 C5:.25*4 E5:.25*4 A5:.5 E5:.5 C5:.5 A4:.5 G#4:.25*8 B4:.25*4 D5:.25*4 "
                "G#5:.5 E5:.5 B4:.5 G#4:.5 A5:.25*4 C6:.25*4 E6:.25*4 A6:.25*4 F6:.5 D6:.5 A5:.5 "
                "F5:.5 E5:.25*6 D#5:.25*2 E5:.25*6 B5:.5 A5:.33*3 G5:.33*3 F5:.33*3 E5:.33*3 "
                "C7:.5 B6:.5 A6:.5 E6:.5 C6:.5 A5:.5 E5:.5 C5:.5 A4:.25*12 A4+C5+E5+A5:2", 0.7,
            ),
            (
                "A2+A3:2 -:1 E3:1 A2:1 A2:1 C3:.5*4 E2+E3:2 -:1 B2:1 E2:1 E2:1 G#2:.5*4 "
                "F2+C3+F3:1 -:1 F2+C3+F3:1 -:1 D2+A2+D3:1*2 B2:.5*4 G#2:.5*4 E2:.5*4 A2:.33*12 "
                "A1+A2:4 C2+C3:2 E2+E3:2 A1+E2+A2:2", 0.65,
            ),
        ),
        0, 23.5, 0.8, (0.6, 0.75, 1.0, 1.15, 0.8),
    ),
}  # fmt: skip
UNTUNED = 18.0  # cents
KEYS = range(21, 109)  # the piano's, A0 to C8


def perform_piece(name):
    """Return the notes of a piece as they sound, offsets by key and pedal, in order of onset."""
    piece, chance = PIECES[name], Chance(name)
    clock = _rubato(piece, Chance(name, "tempo"))
    struck = []
    for text, loudness in piece.voices:
        for beat, beats, pitches in _parse(text):
            for pitch in pitches:
                onset = clock(beat) + abs(chance.bell(0.008))  # a chord is never quite together
                release = clock(beat + beats * piece.staccato * chance.uniform(0.9, 1.0))
                if piece.pedal:
                    change = clock((beat // piece.pedal + 1) * piece.pedal) - 0.04
                    release = max(release, change)
                loud = loudness * _along(piece.swell, onset / piece.seconds)
                loud *= chance.uniform(0.85, 1.12)
                struck.append((onset, release, pitch, min(1.0, loud)))
    return _ended(sorted(struck), piece.seconds)


def _parse(text):
    """Yield beat, length in beats and MIDI pitches of every note or chord of a voice."""
    beat = 0.0
    for word in text.split():
        names, _, length = word.partition(":")
        length, _, times = length.partition("*")
        for _ in range(int(times or 1)):
            if names != "-":
                yield beat, float(length), [midi(name) for name in names.split("+")]
            beat += float(length)


def _rubato(piece, chance):
    """Return a function from beats to seconds, the tempo swaying by a few percent."""
    times, drift = [0.25], 0.0
    while times[-1] < piece.seconds + 10:
        drift = 0.8 * drift + chance.bell(0.015)
        times.append(times[-1] + 60 / piece.bpm * (1 + drift))
    return lambda beat: times[int(beat)] + (times[int(beat) + 1] - times[int(beat)]) * (beat % 1)


def _along(values, position):
    place = min(max(position, 0.0), 0.9999) * (len(values) - 1)
    return values[int(place)] + (values[int(place) + 1] - values[int(place)]) * (place % 1)


def _ended(struck, end):
    """Return the notes with each ended by the next stroke of its key and by the recording's end."""
    notes, following = [], {}
    for onset, release, pitch, loud in reversed(struck):
        release = min(release, following.get(pitch, end), end, onset + LONGEST)
        if onset < end - 0.1 and release - onset > 0.03:
            following[pitch] = onset
            notes.append(Note(round(onset, 6), round(release - onset, 6), pitch, round(loud, 4)))
    return notes[::-1]


def isolated_note(pitch):
    """Return the note that is the whole recording of one key."""
    return Note(0.1, 1.2, pitch, 0.75)


def untuned_cents(pitch):
    """Return how far a key is off, in cents, when the isolated notes are recorded.

    Templates of the very samples that the pieces are made of would tell more than those of a real
    piano do.
    """
    return round(Chance("tuning", pitch).uniform(-UNTUNED, UNTUNED), 3)
