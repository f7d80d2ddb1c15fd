"""Miniatures with notes: MAPS, MAESTRO, GuitarSet."""

import json

from nmfab.datasets.mini import sound

_SECONDS = 4
_TUNE = [(0.25 + 0.5 * i, 0.7 + 0.5 * i, pitch) for i, pitch in enumerate((60, 64, 67, 72, 67, 64))]
_CHORD = [(1.25, 2.2, 48), (1.25, 2.2, 52), (3.5, 3.5, 55)]  # the last has no length


def write_maps(folder):
    """Write pieces of three pianos and isolated notes of one, as their archives unpack."""
    pieces = {
        "AkPnBcht/MUS": "MAPS_MUS-mini_1_AkPnBcht",
        "MAPS_ENSTDkCl_2/ENSTDkCl/MUS": "MAPS_MUS-mini_2_ENSTDkCl",
        "ENSTDkAm1/ENSTDkAm/MUS": "MAPS_MUS-mini_3_ENSTDkAm",
        "ENSTDkAm2/ENSTDkAm/MUS": "MAPS_MUS-mini_4_ENSTDkAm",
    }
    for shift, (place, name) in enumerate(pieces.items()):
        notes = [(on, off, pitch + shift) for on, off, pitch in _TUNE + _CHORD]
        _write_maps_track(folder / place / name, notes, _SECONDS)
    for pitch in range(45, 85):
        name = f"MAPS_ISOL_NO_M_S0_M{pitch}_ENSTDkCl"
        place = folder / "MAPS_ENSTDkCl_1/ENSTDkCl/ISOL/NO"
        _write_maps_track(place / name, [(0.1, 0.6, pitch)], 0.7)


def _write_maps_track(stem, notes, seconds):
    heard = sound.play(notes, seconds, 44100)
    sound.write_wav(stem.with_suffix(".wav"), [heard, heard], 44100)
    sound.write_midi(stem.with_suffix(".mid"), notes)
    rows = [f"{onset:.6f}\t{offset:.6f}\t{pitch}" for onset, offset, pitch in sorted(notes)]
    header = "OnsetTime\tOffsetTime\tMidiPitch"
    sound.write_text(stem.with_suffix(".txt"), header, *rows, "", end="\r\n")


def write_maestro(folder):
    """Write three performances, one per subset; of one the recording is missing."""
    rows = []
    for number, subset in enumerate(("train", "validation", "test", "train")):
        name = f"{2004 + 2 * number}/MIDI-Unprocessed_{number:02d}_R1_2006_mini"
        rows.append(
            {
                "canonical_composer": "nmfab",
                "canonical_title": f"Mini {number}",
                "split": subset,
                "year": 2004 + 2 * number,
                "midi_filename": f"{name}.midi",
                "audio_filename": f"{name}.wav",
                "duration": _SECONDS,
            }
        )
        notes = [(on, off, pitch + number) for on, off, pitch in _TUNE + _CHORD]
        sound.write_midi(folder / f"{name}.midi", notes)
        if number < 3:
            sound.write_wav(folder / f"{name}.wav", sound.play(notes, _SECONDS))
    sound.write_text(folder / "maestro-v2.0.0.json", json.dumps(rows))


def write_guitarset(folder):
    """Write two excerpts, each with six strings, one of which is not played."""
    for name in ("00_BN1-129-Eb_comp", "00_BN1-129-Eb_solo"):
        notes = [(on, off, pitch - 12) for on, off, pitch in _TUNE]
        strings = [
            (
                "note_midi",
                str(string),
                # The pitch of a string wavers: GuitarSet has fractions of a semitone.
                [(on, off - on, pitch + 0.12) for on, off, pitch in notes if pitch % 5 == string],
            )
            for string in range(6)
        ]
        bars = [(number * 0.5, 0, {"position": number % 4 + 1}) for number in range(8)]
        text = sound.jams_text([*strings, ("beat_position", "", bars)])
        sound.write_text(folder / "annotation" / f"{name}.jams", text)
        heard = sound.play(notes, _SECONDS)
        sound.write_wav(folder / "audio_mono-mic" / f"{name}_mic.wav", heard)
