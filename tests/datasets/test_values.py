"""Every part of every reader: what is read is what `written` wrote."""

import json

import numpy as np
import pytest
import soundfile
from written import WRITERS, steps, write

from nmfab.datasets import DATASETS
from nmfab.datasets.audio import audio_duration, read_audio
from nmfab.datasets.mini import sound


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
