"""The songs of the dataset, for structure: forms, chord sheets, tunes, bands.

Tunes marked traditional are in the public domain; the others were written for this dataset.
"""

from nmfab.datasets.demo.band import Section, Song

_LEVELS = {"drums": -20.0, "bass": -21.0, "chords": -23.0, "lead": -21.0, "noise": -58.0}

SONGS = {
    # Traditional (House of the Rising Sun), with a bridge and a half-time coda of our own.
    "song_1_rising": Song(
        "song_1_rising", 112, 4, "A4", "minor",
        (("intro", 3, 0.3), ("verse", 8, 0.35), ("bridge", 4, 0.4), ("verse", 6, 0.9),
         ("bridge", 5, 1.0), ("verse", 4, 0.35), ("coda", 3, 0.3)),
        {
            "intro": Section("Am C D", ("hats", "none"), ("none",), ("arpeggio",), ""),
            "verse": Section(
                "Am C D F Am C E E7", ("rock", "rock_open"), ("roots", "tresillo"),
                ("arpeggio", "picking"),
                "1:2 2:1 3:1 5:2 4:2 8:2 8:1 7:1 5:4 8:2 8:1 8:1 5:2 4:1 3:1 2:4 -:4",
            ),
            "bridge": Section(
                "F G Am Am", ("rock_open", "half"), ("eighths",), ("halves", "push"),
                "6:1 6:.5 7:.5 8:2 7:1.5 6:.5 5:2 5:1 3:3 -:4",
            ),
            "coda": Section(
                "Am C D F", ("half",), ("long",), ("arpeggio",), "1:4 3:4 4:4 6:4"
            ),
        },
        {"bass": 33, "chords": 25, "lead": 66}, _LEVELS, freedom=0.23,
    ),
    # Traditional (Scarborough Fair), in three.
    "song_2_fair": Song(
        "song_2_fair", 126, 3, "D4", "dorian",
        (("intro", 4, 0.3), ("verse", 9, 0.4), ("link", 3, 0.35), ("verse", 10, 0.8),
         ("dance", 8, 0.95), ("link", 5, 0.4), ("verse", 9, 0.35)),
        {
            "intro": Section("Dm C", ("none",), ("waltz_long",), ("waltz_arpeggio",), ""),
            "verse": Section(
                "Dm Dm C Dm F Dm F/G Dm Dm", ("waltz_ride", "waltz"), ("waltz", "waltz_long"),
                ("waltz", "waltz_arpeggio"),
                "1:2 1:1 5:2 5:1 2:1.5 3:.5 2:1 1:3 5:1 7:1 8:1 7:1 5:1 6:.5 4:.5 5:3 -:3 "
                "8:2 8:1",
            ),
            "link": Section("F C Dm", ("waltz",), ("waltz",), ("waltz_block",), ""),
            "dance": Section(
                "Dm C Dm Am", ("waltz", "waltz_ride"), ("waltz",), ("waltz",),
                "8:.5 7:.5 6:.5 5:.5 6:1 5:1.5 3:.5 5:1 4:.5 3:.5 2:.5 3:.5 4:1 5:1 3:2",
            ),
        },
        {"bass": 32, "chords": 24, "lead": 73}, _LEVELS | {"drums": -24.0}, freedom=0.28,
    ),
    # Written for this dataset: two chords shared by all sections.
    "song_3_pendulum": Song(
        "song_3_pendulum", 122, 4, "C5", "mixolydian",
        (("a", 4, 0.4), ("b", 3, 0.4), ("a", 4, 0.9), ("b", 4, 0.95), ("c", 5, 0.35),
         ("a", 5, 0.35), ("c", 2, 0.9), ("b", 6, 0.4)),
        {
            "a": Section(
                "C7 C7 F7 C7", ("funk",), ("funky",), ("sixteenths", "stabs"),
                "1:.5 3:.5 4:.5 5:1.5 7:1 -:4 5:.5 4:.5 3:.5 1:1.5 -:1 -:4",
            ),
            "b": Section(
                "F7 C7 F7 G7", ("funk", "rock"), ("funky", "octaves"), ("sixteenths", "push"),
                "8:1.5 7:.5 5:2 4:1 5:1 7:2",
            ),
            "c": Section("C7 F7", ("tribal",), ("octaves",), ("none",), ""),
        },
        {"bass": 36, "chords": 27, "lead": 56}, _LEVELS | {"drums": -18.0}, freedom=0.18,
    ),
    # Traditional (Auld Lang Syne), verse and chorus sharing every chord.
    "song_4_syne": Song(
        "song_4_syne", 104, 4, "F4", "major",
        (("intro", 2, 0.3), ("verse", 6, 0.35), ("chorus", 5, 0.4), ("verse", 8, 0.8),
         ("chorus", 6, 0.95), ("verse", 3, 0.35), ("outro", 3, 0.3)),
        {
            "intro": Section("F C7", ("none",), ("long",), ("halves",), ""),
            "verse": Section(
                "F C7 F Bb F C7 Dm/C7 F", ("ballad",), ("roots", "walk"), ("halves", "block"),
                "1:1.5 1:.5 1:1 3:1 2:1.5 1:.5 2:1 3:1 1:1.5 1:.5 3:1 5:1 6:3 6:1 5:1.5 3:.5 3:1 "
                "1:1 2:1.5 1:.5 2:1 3:1 1:1.5 0:.5 0:1 -1:1 1:3 -:1",
            ),
            "chorus": Section(
                "F C7 F Bb F C7 Dm/C7 F", ("rock", "ballad"), ("walk", "roots"), ("push",),
                "5:1.5 3:.5 3:1 1:1 2:1.5 1:.5 2:1 6:1 5:1.5 3:.5 3:1 5:1 6:3 8:1 5:1.5 3:.5 3:1 "
                "1:1 2:1.5 1:.5 2:1 3:1 1:3 -:1",
            ),
            "outro": Section("Bb F", ("none",), ("long",), ("block",), "6:4 5:4"),
        },
        {"bass": 33, "chords": 4, "lead": 71}, _LEVELS | {"drums": -23.0}, freedom=0.23,
    ),
    # Written for this dataset: four on the floor, sections told by bass line and layer.
    "song_5_neon": Song(
        "song_5_neon", 128, 4, "E4", "minor",
        (("intro", 4, 0.3), ("verse", 7, 0.4), ("lift", 3, 0.4), ("chorus", 6, 0.95),
         ("verse", 5, 0.9), ("lift", 2, 0.85), ("chorus", 4, 0.4), ("intro", 5, 0.35)),
        {
            "intro": Section("Em C", ("disco",), ("none",), ("offbeat",), ""),
            "verse": Section(
                "Em C G D", ("disco",), ("octaves", "eighths"), ("offbeat", "stabs"),
                "5:.5 5:.5 4:.5 3:1.5 -:1 -:2 3:.5 4:.5 5:1",
            ),
            "lift": Section("Am Bm", ("hats", "tribal"), ("eighths",), ("block",), "6:2 7:2"),
            "chorus": Section(
                "Em C G D", ("disco", "rock_open"), ("octaves",), ("sixteenths", "stabs"),
                "8:1.5 7:.5 5:1 7:1 8:1 10:1 9:2 7:1.5 8:.5 7:1 5:1 4:3 -:1",
            ),
        },
        {"bass": 38, "chords": 62, "lead": 81}, _LEVELS | {"drums": -19.0}, freedom=0.18,
    ),
    # Traditional (What shall we do with the drunken sailor).
    "song_6_sailor": Song(
        "song_6_sailor", 116, 4, "D4", "dorian",
        (("verse", 4, 0.35), ("chorus", 4, 0.4), ("jig", 4, 0.4), ("verse", 4, 0.9),
         ("chorus", 5, 0.95), ("jig", 6, 0.9), ("verse", 3, 0.35), ("chorus", 5, 0.4)),
        {
            "verse": Section(
                "Dm C Dm C/Dm", ("march", "none"), ("roots",), ("offbeat", "halves"),
                "5:1 5:.5 5:.5 5:1 5:.5 5:.5 5:1 1:1 3:1 5:1 4:1 4:.5 4:.5 4:1 4:.5 4:.5 "
                "4:1 0:1 2:1 4:1",
            ),
            "chorus": Section(
                "Dm C Dm C/Dm", ("march", "rock"), ("walk", "roots"), ("halves", "stabs"),
                "5:1 5:1 5:1.5 5:.5 5:1 6:1 7:1 8:1 7:1 5:1 4:1 2:1 1:2 1:2",
            ),
            "jig": Section(
                "Dm Dm C C", ("tribal", "march"), ("tresillo",), ("stabs", "offbeat"),
                "8:.5 7:.5 8:.5 5:.5 6:.5 5:.5 4:.5 3:.5 2:.5 3:.5 4:.5 5:.5 4:1 2:1",
            ),
        },
        {"bass": 32, "chords": 20, "lead": 40}, _LEVELS | {"lead": -23.0}, freedom=0.28,
    ),
    # Written for this dataset: slow, one bar of silence in the drums does not end a section.
    "song_7_harbour": Song(
        "song_7_harbour", 92, 4, "G4", "major",
        (("verse", 5, 0.35), ("chorus", 4, 0.4), ("verse", 6, 0.9), ("chorus", 5, 0.95),
         ("solo", 4, 0.9), ("verse", 3, 0.35), ("chorus", 2, 0.3)),
        {
            "verse": Section(
                "G Em C D", ("ballad", "half"), ("roots", "long"), ("picking", "arpeggio"),
                "3:1 5:1 6:1.5 5:.5 3:1 2:1 1:2 -:1 1:1 2:1 3:1 2:3 -:1",
            ),
            "chorus": Section(
                "C D G Em C/D", ("half", "rock"), ("walk", "roots"), ("halves", "push"),
                "8:2 7:1 6:1 5:2 6:1 5:1 3:3 2:1 1:2 2:2 3:2 2:2",
            ),
            "solo": Section(
                "G Em C D", ("rock", "half"), ("roots", "walk"), ("push", "halves"),
                "10:.5 9:.5 8:.5 7:.5 8:1 5:1 6:.5 7:.5 8:1 5:2 4:.5 5:.5 6:.5 8:.5 6:1 5:1 9:2 "
                "8:1 7:1", {"lead": 29},
            ),
        },
        {"bass": 34, "chords": 26, "lead": 66}, _LEVELS, freedom=0.23,
    ),
    # Traditional (When the saints go marching in), the second half a tone lower in the band.
    "song_8_saints": Song(
        "song_8_saints", 138, 4, "G4", "major",
        (("head", 8, 0.35), ("vamp", 3, 0.35), ("solo", 5, 0.4), ("head", 8, 0.9),
         ("solo", 7, 0.95), ("vamp", 4, 0.4), ("head", 6, 0.35)),
        {
            "head": Section(
                "G G G G D7 D7 G/C G", ("shuffle", "march"), ("walk", "roots"),
                ("offbeat", "stabs"),
                "-:1 1:1 3:1 4:1 5:4 -:1 1:1 3:1 4:1 5:4 -:1 1:1 3:1 4:1 5:2 3:2 1:2 3:2 2:4",
            ),
            "vamp": Section("C G D7", ("shuffle",), ("roots",), ("stabs",), ""),
            "solo": Section(
                "G G7 C C G D7 G D7", ("shuffle",), ("walk",), ("offbeat", "push"),
                "5:.5 6:.5 8:1 6:.5 5:.5 3:1 7b:.5 6:.5 5:.5 4:.5 3:2 8:1.5 9:.5 8:1 6:1 -:1 5:1 "
                "6:.5 5:.5 3:1", {"lead": 71},
            ),
        },
        {"bass": 32, "chords": 0, "lead": 56}, _LEVELS | {"drums": -22.0}, freedom=0.28,
    ),
}  # fmt: skip
