"""The miniature of a folder of one's own: stems, sections, notes, in every form that is read."""

from nmfab.datasets.mini import sound

_NOTES = [(0.25, 0.75, 60), (0.75, 1.25, 64), (1.5, 2.5, 67)]
_SECTIONS = [(0, 8, "A"), (8, 16, "B")]


def write(folder):
    """Write a song in stems with its mixture, one without; songs with sections; pieces of notes."""
    bass, drums = sound.play([(0, 1, 40), (1, 2, 43)], 2), sound.beats(2)
    for place, stems in (
        ("band", {"mixture": bass + drums, "bass": bass, "drums": drums}),
        ("more/duo stems", {"bass": bass, "drums": drums}),
    ):
        for name, samples in stems.items():
            sound.write_wav(folder / place / f"{name}.wav", samples)
    lines = [f"{start}\t{end}\t{label}" for start, end, label in _SECTIONS]
    for name in ("song 1", "more/song 2"):
        sound.write_wav(folder / f"{name}.wav", sound.song("AABB"))
    sound.write_text(folder / "song 1.lab", *lines, end="\r\n", bom=True)
    beats = [f"{number * sound.BEAT} {number % 4 + 1}" for number in range(32)]
    sound.write_text(folder / "song 1.beats", *beats)
    rows = [(start, end - start, label) for start, end, label in _SECTIONS]
    sound.write_text(folder / "more/song 2.jams", sound.jams_text([("segment_open", "", rows)]))
    for number, suffix in enumerate(("mid", "txt", "csv", "jams")):
        stem = folder / "pieces" / f"piece {number}"
        sound.write_wav(stem.with_suffix(".wav"), sound.play(_NOTES, 3))
        path = stem.with_suffix(f".{suffix}")
        if suffix == "mid":
            sound.write_midi(path, _NOTES)
        elif suffix == "txt":
            sound.write_text(path, *(f"{on} {off} {pitch}" for on, off, pitch in _NOTES))
        elif suffix == "csv":  # a spreadsheet's: decimal commas
            text = [f"{on};{off};{pitch}".replace(".", ",") for on, off, pitch in _NOTES]
            sound.write_text(path, "onset;offset;pitch", *text, end="\r\n", bom=True)
        else:
            rows = [(on, off - on, pitch) for on, off, pitch in _NOTES]
            sound.write_text(path, sound.jams_text([("note_midi", "", rows)]))
