"""Files of every dataset's layout, and what each part that is read of them must be, by hand.

Nothing is uniform: rates, channels, lengths, offsets, instruments and annotators differ.
"""

import numpy as np
import soundfile

from nmfab.datasets.mini import sound
from nmfab.datasets.musdb18 import STEMS


def steps(channels, length, seed):
    """Return integers [shape=(channels, length)] that are like no others."""
    return np.random.default_rng(seed).integers(-3000, 3000, (channels, length))


def write(path, integers, rate):
    """Write 16-bit samples, lossless, and return the part that a reader makes of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, integers.T.astype(np.int16), rate, subtype="PCM_16")
    return audio(integers, rate)


def audio(integers, rate):
    return {"samples": (integers / 32768).astype(np.float32), "sample_rate": rate}


def sections(*rows):
    return {"intervals": [row[:2] for row in rows], "labels": [row[2] for row in rows]}


def notes(*rows):
    return {
        name: [row[i] for row in rows] for i, name in enumerate(("onsets", "offsets", "pitches"))
    }


def beats(*rows):
    return {"times": [row[0] for row in rows], "positions": [row[1] for row in rows]}


# Each writer returns, per track, what its parts must be.


def slakh(folder):
    """Two songs of two releases; several sounds of a kind, one shorter and one longer than all."""
    sounds = {  # program, drum, length
        "S00": (27, False, 900),  # guitar
        "S01": (33, False, 900),  # bass
        "S02": (31, False, 900),  # guitar
        "S03": (0, True, 900),
        "S04": (7, False, 900),  # piano
        "S05": (24, False, 400),  # guitar, ends early
        "S06": (39, False, 900),  # bass
        "S07": (8, False, 900),  # a celesta
        "S08": (40, False, 900),  # a violin
        "S09": (32, False, 1000),  # bass, beyond the end of the mixture
        "S10": (23, False, 900),  # a tango accordion
        "S11": (0, False, 900),  # piano
        "S12": (118, True, 900),
    }
    groups = {
        "drums": ("S03", "S12"),
        "bass": ("S01", "S06", "S09"),
        "guitar": ("S00", "S02", "S05"),
        "piano": ("S04", "S11"),
        "other": ("S07", "S08", "S10"),
    }
    place = folder / "slakh2100_flac_redux/validation/Track00007"
    lines, whole = ["stems:"], {}
    for seed, (name, (program, drum, length)) in enumerate(sounds.items()):
        integers = steps(1, length, seed)
        write(place / f"stems/{name}.flac", integers, 12000)
        whole[name] = np.zeros((1, 900), int)
        whole[name][:, :length] = integers[:, :900]
        lines += [f"  {name}:", f"    program_num: {program}", f"    is_drum: {str(drum).lower()}"]
    sound.write_text(place / "metadata.yaml", *lines)
    sound.write_midi(place / "MIDI/S01.mid", [(0.5, 0.75, 30), (0.125, 0.25, 33)])
    sound.write_midi(place / "MIDI/S04.mid", [(0.25, 1.25, 61)])
    sound.write_midi(place / "MIDI/S12.mid", [(0, 1, 36)])  # not on the channel of drums
    long = {
        "audio": write(place / "mix.flac", steps(1, 900, 99), 12000),
        "stems": audio(np.stack([sum(whole[n] for n in names) for names in groups.values()]), 12000)
        | {"names": [*groups]},
        "notes": notes((0.125, 0.25, 33), (0.25, 1.25, 61), (0.5, 0.75, 30)),
    }
    place = folder / "slakh2100_flac_redux/test/Track00001"
    mix, bass, drums = (steps(2, 70, seed) for seed in (50, 51, 52))
    sound.write_text(
        place / "metadata.yaml", "stems:", "  S00: {program_num: 35, is_drum: false}",
        "  S01: {program_num: 128, is_drum: true}",
    )  # fmt: skip
    write(place / "stems/S00.wav", bass, 44100)
    write(place / "stems/S01.wav", drums, 44100)
    short = {
        "audio": write(place / "mix.wav", mix, 44100),
        "stems": audio(np.stack([drums, bass]), 44100) | {"names": ["drums", "bass"]},
    }
    return {"validation/Track00007": long, "test/Track00001": short}


def salami(folder):
    """One song by both annotators, one by the second alone; three levels, all different."""
    levels = {"uppercase": ("A", "B"), "lowercase": ("a", "b"), "functions": ("Verse", "Solo one")}
    found = {}
    for track, who, rate in (("7", (1, 2), 8000), ("1003", (2,), 11025)):
        parts = {"audio": write(folder / f"audio/{track}.flac", steps(1, 2 * rate, rate), rate)}
        for annotator in who:
            for place, (level, labels) in enumerate(levels.items()):
                turn = 0.25 + 0.125 * annotator + 0.5 * place
                path = f"salami-data-public/annotations/{track}/parsed/textfile{annotator}"
                rows = (f"0.0625\t{labels[0]}", f"{turn}\t{labels[1]}", "1.9375\tEnd")
                sound.write_text(folder / f"{path}_{level}.txt", *rows)
                name = {"uppercase": "upper", "lowercase": "lower"}.get(level, level)
                parts[f"sections.{annotator}.{name}"] = sections(
                    (0.0625, turn, labels[0]), (turn, 1.9375, labels[1])
                )
        parts["sections"] = parts[f"sections.{who[0]}.upper"]
        found[track] = parts
    return found


def rwcpop(folder):
    """A song of the last disc and one as released in 2026, of other rates."""
    text = folder / "annotations"
    places = {"RM-P092": ("audio/rwc-p-m07/2.wav", 16000), "RM-P045": ("RWC-P/RWC_P045.wav", 8000)}
    found = {}
    for seed, (track, (place, rate)) in enumerate(places.items()):
        turn = 0.75 + seed
        blocks = text / f"mirex10_sections/{track}.BLOCKS.lab"
        sound.write_text(blocks, f"0.5\t{turn}\t12", f"{turn}\t2.0\t[16-2")
        chorus = text / f"AIST.RWC-MDB-P-2001.CHORUS/{track}.CHORUS.TXT"
        sound.write_text(chorus, '12\t80\t"verse A"', f'80\t{190 + seed}\t"chorus"')
        ticks = text / f"AIST.RWC-MDB-P-2001.BEAT/{track}.BEAT.TXT"
        rows = [(25, 48), (60, 96), (100, 384), (130, -1), (140, 48), (180, 96), (195, 384)]
        sound.write_text(ticks, *(f"{time}\t{time + 3}\t{tick}" for time, tick in rows))
        main = sections((0.5, turn, "12"), (turn, 2.0, "[16-2"))
        found[track] = {
            "audio": write(folder / place, steps(1 + seed, 2 * rate, seed), rate),
            "sections": main,
            "sections.mirex10": main,
            "sections.aist": sections((0.12, 0.8, "verse A"), (0.8, 1.9 + seed / 100, "chorus")),
            # A bar has three beats: an upbeat of two is its second and third.
            "beats": beats((0.25, 2), (0.6, 3), (1.0, 1), (1.4, 2), (1.8, 3), (1.95, 1)),
        }
    return found


def beatles(folder):
    """A song of one disc, one of the second of two; beats whose place is missing."""
    places = {
        "0703": ("07_-_Revolver/03_-_I'm_Only_Sleeping", ".wav", 8000),
        "10205": ("10CD2_-_The_Beatles/CD2_-_05_-_Sexy_Sadie", ".flac", 16000),
    }
    found = {}
    for seed, (track, (place, suffix, rate)) in enumerate(places.items()):
        rows = (f"0.0\t{0.25 + seed}\t\tsilence", f"{0.25 + seed}\t1.75\t\tverse_(half 1)")
        sound.write_text(folder / f"annotations/seglab/The Beatles/{place}.lab", *rows)
        lines = ("0.125 New Point", "0.375  3", "0.625 New Point", "1.125 1", "1.5 2")
        sound.write_text(folder / f"annotations/beat/The Beatles/{place}.txt", *lines)
        found[track] = {
            "audio": write(folder / f"audio/{place}{suffix}", steps(2, 2 * rate, seed), rate),
            "sections": sections(
                (0, 0.25 + seed, "silence"), (0.25 + seed, 1.75, "verse_(half 1)")
            ),
            "beats": beats((0.125, 2), (0.375, 3), (0.625, 4), (1.125, 1), (1.5, 2)),
        }
    return found


def maestro(folder):
    """Two performances in the table of v3 as csv: another pitch at once, one key struck twice."""
    found, rows = {}, ["canonical_composer,split,midi_filename,audio_filename"]
    for seed, (name, rate) in enumerate({"2004/a.b": 8000, "2018/c": 48000}.items()):
        played = [(0.25, 0.5, 60 + seed), (0.5, 1.5, 60 + seed), (0.25, 0.75, 21), (1.0, 1.0, 108)]
        sound.write_midi(folder / f"{name}.midi", played)
        rows.append(f"nmfab,{('test', 'train')[seed]},{name}.midi,{name}.wav")
        found[name] = {
            "audio": write(folder / f"{name}.wav", steps(1 + seed, 2 * rate, seed), rate),
            "notes": notes(
                (0.25, 0.5, 60 + seed), (0.25, 0.75, 21), (0.5, 1.5, 60 + seed), (1.0, 1.001, 108)
            ),
        }
    sound.write_text(folder / "maestro-v3.0.0.csv", *rows)
    return found


def maps(folder):
    """A piece of one piano and an isolated note of another, of other rates."""
    piece, note = "MAPS_MUS-x_StbgTGd2", "MAPS_ISOL_NO_P_S1_M108_AkPnBcht"
    found = {}
    for seed, (name, place) in enumerate(((piece, "MUS"), (note, "ISOL/NO"))):
        stem = folder / name.rpartition("_")[2] / place / name
        rate = (8000, 32000)[seed]
        played = [(0.5, 0.75 + seed, 108 - seed), (0.125, 1.5, 21)]
        rows = [f"{on}\t{off}\t{pitch}" for on, off, pitch in played]
        sound.write_text(stem.with_suffix(".txt"), "OnsetTime\tOffsetTime\tMidiPitch", *rows)
        found[name] = {
            "audio": write(stem.with_suffix(".wav"), steps(2, 2 * rate, seed), rate),
            "notes": notes((0.125, 1.5, 21), (0.5, 0.75 + seed, 108 - seed)),
        }
    return found


def guitarset(folder):
    """Two excerpts of two players: strings that overlap, pitches between two keys."""
    found = {}
    for seed, (name, kind) in enumerate({"00_A-1-C_solo": "mic", "04_B-2-D_comp": "mix"}.items()):
        strings = [
            ("note_midi", "0", [(1.0, 0.5, 40.49), (0.25, 0.25, 41.51)]),
            ("note_midi", "1", [(0.5, 1.0 + 0.25 * seed, 52.9)]),
            ("pitch_contour", "1", [(0.5, 1.0, 7)]),
        ]
        sound.write_text(folder / f"annotation/{name}.jams", sound.jams_text(strings))
        place = {"mic": "audio_mono-mic", "mix": "audio_mono-pickup_mix"}[kind]
        rate = (8000, 22050)[seed]
        found[name] = {
            "audio": write(folder / place / f"{name}_{kind}.wav", steps(1, 2 * rate, seed), rate),
            "notes": notes((0.25, 0.5, 42), (0.5, 1.5 + 0.25 * seed, 53), (1.0, 1.5, 40)),
        }
    return found


def musdb18hq(folder):
    """A song of each folder; every stem is another noise, the mixture not their sum."""
    found = {}
    for seed, (track, rate) in enumerate({"train/A - b": 44100, "test/C": 22050}.items()):
        parts = [steps(2, 50 + seed, 10 * seed + i) for i in range(5)]
        for name, integers in zip((*STEMS, "mixture"), parts, strict=True):
            write(folder / track / f"{name}.wav", integers, rate)
        found[track] = {
            "audio": audio(parts[-1], rate),
            "stems": audio(np.stack(parts[:-1]), rate)
            | {"names": ["drums", "bass", "other", "vocals"]},
        }
    return found


def anuraset(folder):
    """Minutes of two sites with species of three levels, calls in no order, and two windows."""
    codes = ("BOAFAB", "PHYCUV", "DENMIN", "SPHSUR")
    levels = {"INCT4_a": (0, 3, 1, 2), "INCT17_b": (1, 0, 0, 0)}
    table = [",".join(("MONITORING_SITE", "AUDIO_FILE_ID", *(f"SPECIES_{c}" for c in codes)))]
    windows = [
        ",".join(("sample_name", "fname", "min_t", "max_t", "site", "date", "species_number"))
        + ",subset,"
        + ",".join(codes)
    ]
    found = {}
    for seed, (name, heard) in enumerate(levels.items()):
        site, rate = name.partition("_")[0], (22050, 8000)[seed]
        table.append(",".join((site, name, *map(str, heard))))
        strong = folder / f"strong_labels/{site}/{name}.txt"
        sound.write_text(strong, "2.5\t3.25\tPHYCUV_L", f"{seed}.5\t1.75\tDEN_MIN_H")
        species = {
            "codes": [code for code, level in zip(codes, heard, strict=True) if level],
            "levels": [level for level in heard if level],
            "known": codes,
        }
        found[name] = {
            "audio": write(folder / f"raw_data/{site}/{name}.wav", steps(1, 60, seed), rate),
            "species": species,
            "events": {
                "intervals": [[seed + 0.5, 1.75], [2.5, 3.25]],
                "codes": ["DEN_MIN", "PHYCUV"],
                "qualities": ["H", "L"],
            },
        }
        window, inside = f"{name}_3_6", tuple(int(level > 1) for level in heard)
        row = (window, name, 3, 6, site, "2019", sum(inside), ("test", "train")[seed], *inside)
        windows.append(",".join(map(str, row)))
        path = folder / f"anuraset/audio/{site}/{window}.wav"
        kept = [code for code, level in zip(codes, inside, strict=True) if level]
        found[window] = {
            "audio": write(path, steps(1, 40, 7 + seed), rate),
            "species": {"codes": kept, "levels": [1] * len(kept), "known": codes},
        }
    sound.write_text(folder / "weak_labels.csv", *table)
    sound.write_text(folder / "anuraset/metadata.csv", *windows)
    return found


def own(folder):
    """Stems with a mixture and without; sections, beats, notes of every form."""
    bass, voice, mixture = (steps(2, 80, seed) for seed in (1, 2, 3))
    for name, integers in (("voice", voice), ("bass", bass), ("mixture", mixture)):
        write(folder / "band" / f"{name}.flac", integers, 16000)
    low, high = steps(1, 30, 4), steps(1, 30, 5)
    write(folder / "b/two stems/low.wav", low, 8000)
    write(folder / "b/two stems/high.wav", high, 8000)
    found = {
        "band": {
            "audio": audio(mixture, 16000),
            "stems": audio(np.stack([bass, voice]), 16000) | {"names": ["bass", "voice"]},
        },
        "b/two stems": {
            "audio": audio(low + high, 8000),
            "stems": audio(np.stack([high, low]), 8000) | {"names": ["high", "low"]},
        },
    }
    song = write(folder / "song.wav", steps(1, 24000, 6), 12000)
    sound.write_text(folder / "song.lab", "0.5 1.25 B", '0 0.5 "A slow"')
    sound.write_text(folder / "song.beats", "1.25;2;x", "0.75;1;x")
    found["song"] = {
        "audio": song,
        "sections": sections((0, 0.5, "A slow"), (0.5, 1.25, "B")),
        "beats": beats((0.75, 1), (1.25, 2)),
    }
    lines = ("0.25\t1.25\t61", "0.5\t0.75\t60.4")
    rows = notes((0.25, 1.25, 61), (0.5, 0.75, 60))
    for suffix in ("txt", "csv"):
        piece = write(folder / f"{suffix}.wav", steps(1, 16000, 8), 8000)
        sound.write_text(folder / f"{suffix}.{suffix}", *lines)
        found[suffix] = {"audio": piece, "notes": rows}
    heard = write(folder / "jams.wav", steps(1, 22050, 9), 11025)
    told = [
        ("segment_open", "x", [(0, 0.75, "A"), (0.75, 1.0, "B")]),
        ("segment_open", "y", [(0, 1.5, "C")]),
        ("note_hz", "", [(0.5, 0.25, 880.0)]),
        ("pitch_midi", "", [(0.25, 0.5, 50.6)]),
    ]
    sound.write_text(folder / "jams.jams", sound.jams_text(told))
    found["jams"] = {
        "audio": heard,
        "sections": sections((0, 0.75, "A"), (0.75, 1.75, "B")),
        "notes": notes((0.25, 0.75, 51), (0.5, 0.75, 81)),
    }
    return found


WRITERS = {
    "slakh": slakh, "salami": salami, "rwcpop": rwcpop, "beatles": beatles, "maestro": maestro,
    "maps": maps, "guitarset": guitarset, "musdb18hq": musdb18hq, "anuraset": anuraset,
    "folder": own,
}  # fmt: skip
