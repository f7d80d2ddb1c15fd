"""The mixes of the dataset, for separation: a few bars of the band, each part a stem of its own."""

from dataclasses import replace

from nmfab.datasets.demo.songs import SONGS

STEMS = {"drums": "drums", "bass": "bass", "other": "chords", "vocals": "lead"}
_VOICES = {"aahs": 52, "oohs": 53, "saxophone": 66, "synthetic": 54}
_SILENT = -400.0  # dB


def _mix(song, form, voice, drums=-19.0, bass=-19.0, chords=-20.0, lead=-18.0, **changes):
    """Return a few bars of a song with a voice as its lead, in another key or tempo."""
    source = SONGS[song]
    programs = source.programs | {"lead": _VOICES[voice]}
    levels = {"drums": drums, "bass": bass, "chords": chords, "lead": lead, "noise": _SILENT}
    sections = {label: replace(item, programs={}) for label, item in source.sections.items()}
    return replace(
        source, form=form, programs=programs | changes.pop("programs", {}), levels=levels,
        sections=sections, **changes,
    )  # fmt: skip


_MIXES = {
    "mix_1_rising": _mix("song_1_rising", (("verse", 5, 0.9),), "aahs", bpm=108),
    "mix_2_fair": _mix(
        "song_2_fair", (("verse", 8, 0.9),), "oohs",
        drums=-24.0, bpm=132, transpose=2,
    ),
    "mix_3_pendulum": _mix(
        "song_3_pendulum", (("a", 3, 0.9), ("b", 2, 0.9)), "saxophone",
        drums=-16.0, chords=-22.0, transpose=-3,
    ),
    "mix_4_syne": _mix("song_4_syne", (("chorus", 5, 0.9),), "aahs", bpm=112, transpose=-1),
    # Instrumental: the stem of the vocals is silent throughout.
    "mix_5_neon": _mix(
        "song_5_neon", (("lift", 2, 0.9), ("chorus", 4, 0.9)), "oohs",
        lead=_SILENT, bpm=132,
    ),
    "mix_6_sailor": _mix(
        "song_6_sailor", (("chorus", 5, 0.9),), "aahs", bass=-17.0, lead=-21.0, transpose=3,
        programs={"chords": 24},
    ),
    "mix_7_saints": _mix(
        "song_8_saints", (("head", 6, 0.9),), "synthetic",
        drums=-21.0, transpose=-2,
    ),
    "mix_8_harbour": _mix(
        "song_7_harbour", (("chorus", 4, 0.9),), "oohs", chords=-18.0, lead=-19.0, transpose=-4
    ),
}  # fmt: skip
MIXES = {name: replace(mix, title=name) for name, mix in _MIXES.items()}
