"""Every part of every reader on files written here: what is read is what was written, by hand.

Nothing is uniform: rates, channels, lengths, offsets, instruments and annotators differ.
"""

import json

import numpy as np
import pytest
import soundfile

from nmfab.datasets import DATASETS
from nmfab.datasets.audio import audio_duration, read_audio
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


def test_every_reader_is_held():
    # musdb18 is lossy, demo rendered: they have tests of their own
    assert {*WRITERS} == {*DATASETS.names()} - {"demo", "musdb18"}


@pytest.mark.parametrize("name", WRITERS)
def test_every_part_is_what_was_written(name, tmp_path):
    expected = WRITERS[name](tmp_path / name)
    dataset = DATASETS[name]([tmp_path])
    named = {*dataset.track_ids()}.union(*(dataset.track_ids(subset=s) for s in dataset.extras))
    assert named == {*expected}
    for track_id, parts in expected.items():
        track = dataset.load(track_id)
        assert track.parts.keys() == parts.keys()
        for part, arrays in parts.items():
            found = track.part(part).read()
            assert found.keys() == arrays.keys(), (track_id, part)
            for key, values in arrays.items():
                told = f"{track_id} {part} {key}"
                if key in ("names", "labels", "codes", "qualities", "known"):
                    assert list(found[key]) == list(values), told
                else:
                    assert np.shape(found[key]) == np.shape(values), told
                    np.testing.assert_allclose(found[key], values, atol=1e-6, err_msg=told)


def test_each_stem_of_musdb18_is_its_stream(tmp_path):
    """AAC keeps no sample, but the stem that is heard: each one a tone of its own, per channel."""
    pitches = {
        "mixture": (300, 350),
        "drums": (500, 600),
        "bass": (700, 850),
        "other": (1000, 1200),
    }
    pitches["vocals"] = (1400, 1700)
    rate, path = 44100, tmp_path / "musdb18/test/A b.stem.mp4"
    times = np.arange(rate) / rate
    tones = {
        name: np.stack([0.3 * np.sin(2 * np.pi * f * times) for f in both])
        for name, both in pitches.items()
    }
    sound.write_encoded(path, [*tones.values()], rate, "aac")
    track = DATASETS["musdb18"]([tmp_path]).load("test/A b")
    stems, mixture = track.part("stems").read(), track.part("audio").read()
    assert list(stems["names"]) == ["drums", "bass", "other", "vocals"]
    assert stems["sample_rate"] == mixture["sample_rate"] == rate
    heard = dict(zip(stems["names"], stems["samples"], strict=True))
    heard["mixture"] = mixture["samples"]
    for name, samples in heard.items():
        strongest = np.abs(np.fft.rfft(samples[:, :rate])).argmax(axis=1)
        assert strongest.tolist() == [*pitches[name]]


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_every_rate_and_number_of_channels_is_read(tmp_path, rate, channels, suffix):
    path, integers = tmp_path / f"a.{suffix}", steps(channels, rate // 4, rate + channels)
    expected = write(path, integers, rate)
    found = read_audio(path)
    assert found["sample_rate"] == rate
    np.testing.assert_array_equal(found["samples"], expected["samples"])
    assert audio_duration(path) == pytest.approx(len(integers[0]) / rate, abs=1e-4)


@pytest.mark.parametrize(("suffix", "rate"), [("mp3", 22050), ("mp3", 48000), ("ogg", 32000)])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_files_keep_rate_length_and_channels(tmp_path, suffix, rate, channels):
    path, times = tmp_path / f"a.{suffix}", np.arange(rate) / rate
    tones = [0.3 * np.sin(2 * np.pi * frequency * times) for frequency in (400, 900)[:channels]]
    soundfile.write(path, np.stack(tones, axis=1), rate)
    found = read_audio(path)
    assert found["sample_rate"] == rate
    assert len(found["samples"]) == channels
    # the last packets of an ogg are cut by a few hundred samples
    assert abs(found["samples"].shape[1] - rate) <= (256 if suffix == "ogg" else 0)
    strongest = np.abs(np.fft.rfft(found["samples"], n=rate)).argmax(axis=1)
    assert strongest.tolist() == [400, 900][:channels]


@pytest.mark.parametrize(
    ("number", "place"),
    [
        (1, "m01/1"), (16, "m01/16"), (17, "m02/1"), (33, "m03/1"), (64, "m04/16"), (80, "m05/16"),
        (81, "m06/1"), (90, "m06/10"), (91, "m07/1"), (100, "m07/10"),
    ],
)  # fmt: skip
def test_the_seven_discs_of_rwc_hold_its_songs(tmp_path, number, place):
    expected = write(tmp_path / f"rwcpop/audio/rwc-p-{place}.wav", steps(1, 30, number), 8000)
    dataset = DATASETS["rwcpop"]([tmp_path])
    assert dataset.track_ids() == [f"RM-P{number:03d}"]
    found = dataset.load(f"RM-P{number:03d}").part("audio").read()
    np.testing.assert_array_equal(found["samples"], expected["samples"])


@pytest.mark.parametrize(
    ("name", "track", "index"),
    [
        ("salami", "7", "salami_index_2.0-corrected.json"),
        ("beatles", "0703", "beatles_index_1.2.json"),
        ("rwcpop", "RM-P045", "rwc_popular_index_1.0.json"),
    ],
)
def test_the_audio_that_an_index_names_goes_before_any_other(tmp_path, name, track, index):
    expected = WRITERS[name](tmp_path / name)
    lab = "annotations/seglab/The Beatles/07_-_Revolver/03_-_I'm_Only_Sleeping.lab"
    files = {"audio": ["else/where.wav", "md5"], "sections": [lab, "md5"], "beats": [None, None]}
    other = write(tmp_path / name / "else/where.wav", steps(1, 12, 3), 32000)
    if name == "rwcpop":  # its index names the other files too
        files["sections"] = ["no such file", "md5"]
    (tmp_path / name / index).write_text(json.dumps({"tracks": {track: files}}))
    loaded = {each: DATASETS[name]([tmp_path]).load(each).part("audio").read() for each in expected}
    np.testing.assert_array_equal(loaded.pop(track)["samples"], other["samples"])
    for each, found in loaded.items():
        np.testing.assert_array_equal(found["samples"], expected[each]["audio"]["samples"])


def test_what_ends_after_the_audio_is_told_beyond_the_slack_of_a_codec(tmp_path, caplog):
    for name, end in (("exact", 2.0), ("codec", 2.045), ("late", 2.06)):
        write(tmp_path / f"folder/{name}.wav", steps(1, 16000, 0), 8000)
        sound.write_text(tmp_path / f"folder/{name}.lab", "0 0.5 A", f"0.5 {end} B")
        sound.write_text(tmp_path / f"folder/{name}.txt", f"0.5 {end + 9} 60", f"{end} 9 60")
        track = DATASETS["folder"]([tmp_path]).load(name)
        track.part("sections").read()
        track.part("notes").read()
    said = [record.getMessage().partition("folder/")[2] for record in caplog.records]
    assert said == [
        "late.lab: 1 sections end after the audio, by up to 0.06 s, and are kept",
        "late.txt: 1 notes begin after the audio, by up to 0.06 s, and are kept",
    ]
