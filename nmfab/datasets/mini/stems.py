"""Miniatures with stems: MUSDB18 in both forms, BabySlakh."""

import numpy as np

from nmfab.datasets.mini import sound

_SONGS = {
    "train": ("ANiMAL - Rockshow", "Music Delta - Mini"),  # the first is of the validation subset
    "test": ("Al James - Mini", "Zeno - Silent Vocals"),
}
_SECONDS = 3
_NAMES = ("drums", "bass", "other", "vocals")


def _stereo(name, seconds, rate):
    """Return the four stems of a song [shape=(2, samples) each]."""
    step = 2 * len(name) % 7
    bass = [(t, t + 0.9, 36 + step) for t in range(seconds)]
    other = [(t / 2, t / 2 + 0.4, 60 + step + 4 * (t % 3)) for t in range(2 * seconds)]
    voice = [(t + 0.25, t + 1, 67 + step + t) for t in range(seconds)]
    mono = {
        "drums": sound.beats(seconds, rate),
        "bass": sound.play(bass, seconds, rate),
        "other": sound.play(other, seconds, rate),
        "vocals": sound.play([] if "Silent" in name else voice, seconds, rate),
    }
    sides = {"drums": (1, 1), "bass": (1, 0.9), "other": (0.4, 1), "vocals": (1, 1)}
    return {stem: np.outer(sides[stem], mono[stem]) for stem in _NAMES}


def write_musdb18(folder):
    """Write two songs each of train and test, a hidden file and a picture beside them."""
    for subset, names in _SONGS.items():
        for name in names:
            stems = _stereo(name, _SECONDS, 44100)
            streams = [sum(stems.values()), *stems.values()]
            path = folder / subset / f"{name}.stem.mp4"
            sound.write_encoded(path, streams, 44100, "aac")
        (folder / subset / f"._{names[0]}.stem.mp4").write_bytes(b"\0\5\26\7")
        (folder / subset / "Thumbs.db").write_bytes(b"\0")


def write_musdb18hq(folder):
    """Write the same songs as folders of wav files."""
    for subset, names in _SONGS.items():
        for name in names:
            stems = _stereo(name, _SECONDS, 44100)
            for stem, samples in ({"mixture": sum(stems.values())} | stems).items():
                sound.write_wav(folder / subset / name / f"{stem}.wav", samples, 44100)
        (folder / subset / ".DS_Store").write_bytes(b"\0")


def write_slakh(folder):
    """Write two songs of BabySlakh, each with five sounds, one of them without audio."""
    for number in (1, 2):
        _write_slakh_song(folder / "babyslakh_16k" / f"Track{number:05d}", number)


def _write_slakh_song(place, number):
    rate, seconds = 16000, 4
    parts = {
        "S00": ("Guitar", 30, [(t, t + 0.5, 57 + number + t) for t in range(seconds)]),
        "S01": ("Drums", 128, [(t / 2, t / 2 + 0.1, 36) for t in range(2 * seconds)]),
        "S02": ("Piano", 1, [(t + 0.5, t + 1, 64 + number) for t in range(seconds)]),
        "S03": ("Bass", 33, [(t, t + 0.9, 33 + number) for t in range(seconds)]),
        "S04": ("Strings", 52, [(0, 2, 72), (2, 2, 74)]),  # one note of no length
        "S05": ("Sound Effects", 103, []),
    }
    mixture, lines = np.zeros(seconds * rate), ["UUID: mini", "audio_dir: stems", "stems:"]
    for name, (kind, program, notes) in parts.items():
        drum, rendered = program == 128, bool(notes)
        lines += [f"  {name}:", f"    inst_class: {kind}", f"    program_num: {program}"]
        lines += [f"    is_drum: {str(drum).lower()}", f"    audio_rendered: {rendered}".lower()]
        if rendered:
            heard = sound.beats(seconds, rate) if drum else sound.play(notes, seconds, rate)
            mixture += heard
            sound.write_wav(place / "stems" / f"{name}.wav", heard, rate)
            channel, program = (9, 0) if drum else (0, program)
            sound.write_midi(place / "MIDI" / f"{name}.mid", notes, channel, program)
    sound.write_wav(place / "mix.wav", mixture, rate)
    sound.write_text(place / "metadata.yaml", *lines)
