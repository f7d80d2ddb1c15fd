"""Recordings and annotations that are broken: a clear line for each, and the others go on."""

import logging

import numpy as np
import pytest
import soundfile

from nmfab.datasets import DATASETS
from nmfab.datasets.mini import sound
from nmfab.experiment import Experiment

SECONDS = 16


def _wav(path, samples, rate=22050, subtype="FLOAT"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)


def _tracks():
    good = sound.song("AABB")
    nan = good.copy()
    nan[1000:1010] = np.nan
    return {
        "fine": good,
        "stereo": np.column_stack([good, good]),
        "nan": nan,
        "silent": np.zeros_like(good),
        "short": good[:3],
        "none": good[:0],
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of one's own with one sound track and many that are broken."""
    home = tmp_path_factory.mktemp("broken")
    folder = home / "folder"
    for name, samples in _tracks().items():
        _wav(folder / f"{name}.wav", samples)
    whole = (folder / "fine.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound")
    (folder / "page.mp3").write_text("<html>404</html>")
    for path in list(folder.iterdir()):
        path.with_suffix(".lab").write_text(f"0 8 A\n8 {SECONDS} B\n")
        path.with_suffix(".beats").write_text(
            "".join(f"{n * 0.5} {n % 4 + 1}\n" for n in range(2 * SECONDS))
        )
        path.with_suffix(".txt").write_text("0.5 1 60\n1 1.5 64\n")
    for name, text in {
        "bad lab": "0 x A\n",
        "empty lab": "",
        "late lab": "0 8 A\n8 99 B\n",
    }.items():
        _wav(folder / f"{name}.wav", sound.song("AABB"))
        (folder / f"{name}.lab").write_text(text)
        (folder / f"{name}.beats").write_bytes((folder / "fine.beats").read_bytes())
    return home


def run(root, cache, task, **factors):
    experiment = Experiment("broken", task=task, title="broken")
    experiment.data, experiment.cache = [root], cache
    experiment.add_plan("rows", dataset=["folder"], **factors)
    report = experiment.compute()
    failed = {track: reason for _, _, track, reason in report.failures}
    done = {track for _, _, track, _ in experiment.results().rows}
    assert not done & failed.keys()
    assert all(len(reason.splitlines()) == 1 for reason in failed.values())
    return done, failed


AUDIO = {
    "nan": "holds 10 NaN or infinite samples",
    "none": "no audio samples",
    "cut": "is truncated",
    "empty": "is empty",
    "text": "cannot be read as audio",
    "page": "cannot be read as audio",
}


def test_structure_goes_on_with_the_other_tracks(root, tmp_path):
    done, failed = run(root, tmp_path, "structure", baseline=["oracle"], bars="annotated")
    for track, message in AUDIO.items():
        assert message in failed.pop(track)
    assert "line 1: 'x' is no number" in failed.pop("bad lab")
    assert "holds no section" in failed.pop("empty lab")
    assert not failed.keys() - {"short"}
    assert {"fine", "stereo", "silent", "late lab"} <= done


def test_silence_and_a_few_samples_are_told(root, caplog):
    folder = DATASETS["folder"]([root])
    with caplog.at_level(logging.WARNING):
        for track in ("silent", "short", "fine"):
            folder.load(track).part("audio").read()
    said = [record.getMessage().partition("folder/")[2] for record in caplog.records]
    assert said == ["silent.wav is silent throughout", "short.wav holds 3 samples, 0.000136 s"]


def test_structure_by_nmf_goes_on_with_the_other_tracks(root, tmp_path):
    done, failed = run(
        root,
        tmp_path,
        "structure",
        algorithm=["torch_mu"],
        rank=2,
        stop=3,
        bars="annotated",
        subdivision=8,
        hop=512,
    )
    assert {"fine", "stereo"} <= done
    assert AUDIO.keys() <= failed.keys()


def test_transcription_goes_on_with_the_other_tracks(root, tmp_path):
    done, failed = run(root, tmp_path, "transcription", baseline=["salience"])
    for track, message in AUDIO.items():
        assert message in failed.pop(track)
    assert {"fine", "stereo"} <= done
    assert not failed.keys() - {"silent", "short"}


def test_times_past_the_end_are_told_once_and_kept(root, caplog):
    with caplog.at_level(logging.WARNING):
        track = DATASETS["folder"]([root]).load("late lab")
        assert track.part("sections").read()["intervals"][-1, 1] == 99
        DATASETS["folder"]([root]).load("fine").part("sections").read()
    (record,) = caplog.records
    assert "late lab.lab: 1 sections end after the audio, by up to 83.00 s" in record.getMessage()


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        (".wav", "PCM_16", 1e-4),
        (".wav", "PCM_24", 1e-6),
        (".wav", "PCM_32", 1e-6),
        (".wav", "FLOAT", 1e-7),
        (".flac", "PCM_16", 1e-4),
        (".mp3", None, 0.2),
        (".ogg", None, 0.2),
    ],
)
def test_every_form_of_audio(tmp_path, suffix, subtype, tolerance):
    samples = sound.play([(0, 1, 60)], 1, 44100)
    path = tmp_path / "folder" / f"a{suffix}"
    _wav(path, samples, 44100, subtype)
    found = DATASETS["folder"]([tmp_path]).load("a").part("audio").read()
    assert found["sample_rate"] == 44100
    length = min(found["samples"].shape[1], len(samples))
    assert length > 0.95 * len(samples)
    assert np.abs(found["samples"][0, :length] - samples[:length]).max() < tolerance
