"""MUSDB18 in both forms: layout, subsets, what is missing, and the samples themselves."""

import numpy as np
import pytest
from scipy.io import wavfile

from nmfab.base.errors import DataError
from nmfab.datasets import DATASETS
from nmfab.datasets.audio import read_audio
from nmfab.datasets.musdb18 import STEMS, VALIDATION, Musdb18
from nmfab.datasets.musdb18hq import Musdb18HQ
from nmfab.tasks.separation import Separation

TRACK = "train/Music Delta - 80s Rock"
FILES = ("mixture", *STEMS)


def write_track(folder, seed=0, rate=8000, length=800):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    stems = (rng.standard_normal((4, length, 2)) * 1000).astype(np.int16)
    for name, sound in zip(STEMS, stems, strict=True):
        wavfile.write(folder / f"{name}.wav", rate, sound)
    wavfile.write(folder / "mixture.wav", rate, stems.sum(axis=0).astype(np.int16))
    return np.moveaxis(stems, 1, 2) / 2**15


@pytest.fixture
def hq(tmp_path):
    for seed, name in enumerate(["train/B - Two", "train/A - One", "test/C - Three"]):
        write_track(tmp_path / "musdb18hq" / name, seed)
    write_track(tmp_path / "musdb18hq" / "train" / min(VALIDATION), 3)
    return Musdb18HQ([tmp_path])


def test_both_are_registered():
    assert DATASETS["musdb18"] is Musdb18
    assert DATASETS["musdb18hq"] is Musdb18HQ
    assert len(VALIDATION) == 14


def test_wav_folders_are_read_as_they_are(hq, tmp_path):
    stems = write_track(tmp_path / "musdb18hq" / "test" / "D", seed=9)
    track = hq.load("test/D")
    found = track.part("stems").read()
    assert found["names"].tolist() == ["drums", "bass", "other", "vocals"]
    assert found["sample_rate"] == 8000
    assert found["samples"].dtype == np.float32
    np.testing.assert_array_equal(found["samples"], stems)
    assert track.part("audio").read()["samples"].shape == (2, 800)


def test_each_part_has_its_own_files(hq):
    parts = hq.load("train/A - One").parts
    assert [path.name for path in parts["audio"].files] == ["mixture.wav"]
    assert [path.stem for path in parts["stems"].files] == list(STEMS)


def test_subsets(hq):
    assert hq.track_ids() == sorted(hq.track_ids())
    assert hq.track_ids(subset="test") == ["test/C - Three"]
    assert hq.track_ids(subset="valid") == [f"train/{min(VALIDATION)}"]
    assert set(hq.track_ids(subset="train")) == {*hq.track_ids()} - {"test/C - Three"}
    with pytest.raises(DataError, match="did you mean 'train'"):
        hq.track_ids(subset="trian")


def test_tracks_without_the_parts_needed_are_not_named(hq):
    assert len(hq.track_ids(needs=("audio", "stems"))) == 4
    assert hq.track_ids(needs=("sections",)) == []


def test_task_takes_the_subset_of_the_setting(hq, tmp_path):
    task = Separation()
    assert task.tracks(hq, {"subset": "test"}) == ["test/C - Three"]
    for path in (tmp_path / "musdb18hq" / "test" / "C - Three").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no track of the subset test.*3 of train.*subset="):
        task.tracks(hq, {"subset": "test"})
    assert task.tracks(Musdb18HQ([tmp_path / "elsewhere"]), {"subset": "test"}) == []


def test_hidden_files_and_folders_are_no_tracks(hq, tmp_path):
    before = hq.track_ids()
    folder = tmp_path / "musdb18hq" / "train"
    write_track(folder / ".hidden")
    (folder / "Thumbs.db").touch()
    (folder / "empty").mkdir()
    (folder / "A - One" / "._mixture.wav").touch()
    assert hq.track_ids() == before
    mp4 = tmp_path / "musdb18" / "test"
    mp4.mkdir(parents=True)
    for name in ("._X.stem.mp4", ".keep", "X.png", "X.mp4", "X.stem.mp4"):
        (mp4 / name).touch()
    assert Musdb18([tmp_path]).track_ids() == ["test/X"]


def test_a_missing_file_is_named(hq, tmp_path):
    (tmp_path / "musdb18hq" / "train" / "A - One" / "bass.wav").unlink()
    assert "train/A - One" not in hq.track_ids()
    assert "train/A - One/bass.wav" in hq.status().missing
    with pytest.raises(DataError, match=r"A - One/bass\.wav is missing"):
        hq.load("train/A - One")


def test_an_unknown_track_is_named(hq):
    with pytest.raises(DataError, match="no track 'train/Z'"):
        hq.load("train/Z")


def test_stems_that_do_not_fit_are_refused(hq, tmp_path):
    path = tmp_path / "musdb18hq" / "train" / "A - One" / "bass.wav"
    wavfile.write(path, 8000, np.zeros((700, 2), np.int16))
    with pytest.raises(DataError, match="A - One differ in length"):
        hq.load("train/A - One").part("stems").read()


@pytest.mark.parametrize("kind", [Musdb18, Musdb18HQ])
def test_status_absent_partial_installed(kind, tmp_path):
    status = kind([tmp_path]).status()
    assert status.state == "absent"
    assert str(tmp_path / kind.name) in status.message
    with pytest.raises(DataError, match="not found"):
        kind([tmp_path]).load("test/A")
    folder = tmp_path / kind.name
    (folder / "train").mkdir(parents=True)
    assert kind([tmp_path]).status().state == "absent"

    def touch(subset, count):
        for index in range(count):
            place = folder / subset / f"{index}"
            if kind is Musdb18:
                place.parent.mkdir(exist_ok=True)
                place.with_name(f"{index}.stem.mp4").touch()
            else:
                place.mkdir(parents=True)
                for name in FILES:
                    (place / f"{name}.wav").touch()

    touch("train", 100)
    status = kind([tmp_path]).status()
    assert status.state == "partial"
    assert "100 of 100 in train, 0 of 50 in test" in status.message
    assert status.missing == ["test: 50 of 50 tracks"]
    touch("test", 50)
    assert kind([tmp_path]).status().state == "installed"
    assert len(kind([tmp_path]).track_ids()) == 150


def test_stem_file_holds_the_samples_of_the_wav_files(samples):
    stems = Musdb18([samples]).load(TRACK).part("stems").read()
    wav = Musdb18HQ([samples]).load(TRACK).part("stems").read()
    assert stems["samples"].shape == wav["samples"].shape == (4, 2, 300032)
    assert stems["names"].tolist() == wav["names"].tolist()
    # The wav files are the decoded stems at 16 bits: one step apart, clipping aside.
    clipped = np.clip(stems["samples"], -1, 1 - 2.0**-15)
    np.testing.assert_allclose(clipped, wav["samples"], rtol=0, atol=1.01 * 2.0**-15)


def test_mixture_is_the_first_stream(samples):
    track = Musdb18([samples]).load(TRACK)
    assert track.part("audio").files == track.part("stems").files
    mixture = track.part("audio").read()["samples"]
    np.testing.assert_array_equal(
        mixture, read_audio(track.part("audio").files[0], stream=0)["samples"]
    )
    error = mixture - track.part("stems").read()["samples"].sum(axis=0)
    assert np.sum(error**2) < 1e-3 * np.sum(mixture**2)


def test_sample_names_the_subsets_that_are_here(samples):
    for kind in (Musdb18, Musdb18HQ):
        dataset = kind([samples])
        assert dataset.track_ids(subset="train") == [TRACK]
        with pytest.raises(DataError, match="1 of train"):
            Separation().tracks(dataset, {"subset": "test"})
