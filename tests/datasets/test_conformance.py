"""The checks of datasets: every built-in one passes on its miniature, each wrong one fails one."""

import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.base.types import Part, Track
from nmfab.datasets import DATASETS, Dataset, Status, mini
from nmfab.datasets.conformance import CHECKS, check

# All but demo, which renders itself and so is absent from no machine.
BUILT_IN = [name for name in DATASETS.names() if DATASETS[name].__module__.startswith("nmfab.")]
BUILT_IN.remove("demo")


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_dataset_passes(name, tmp_path):
    mini.write(name, tmp_path)
    results = list(check(DATASETS[name], [tmp_path]))
    assert [result.name for result in results] == list(CHECKS)
    assert [result for result in results if not result.passed] == []


class Right(Dataset):
    """Two tracks of one second."""

    name, tasks, tree, source, licence = "right", ("structure",), "right/", "here", "free"
    there = ("one", "two")

    def status(self):
        if self.folder is None:
            return self.absent()
        return Status("installed", "two tracks")

    def track_ids(self, needs=(), subset=None):
        return list(self.there) if self.folder and {"audio"}.issuperset(needs) else []

    def audio(self):
        return {"samples": np.zeros((1, 8000), np.float32), "sample_rate": 8000}

    def load(self, track_id):
        if self.folder is None or track_id not in self.there:
            raise DataError(f"no track {track_id}")
        return Track("right", track_id, {"audio": Part((self.folder / "file",), self.audio)})


def results_of(tmp_path, dataset=Right, folder=True):
    if folder:
        (tmp_path / "right").mkdir()
        (tmp_path / "right" / "file").touch()
    return {result.name: (result.passed, result.detail) for result in check(dataset, [tmp_path])}


def test_a_right_one_passes_and_without_tracks_half_is_not_applicable(tmp_path):
    away = results_of(tmp_path, folder=False)
    assert [passed for passed, _ in away.values()] == [True, True, None, None]
    assert away["loading"][1] == "the dataset is not on this machine"
    assert all(passed for passed, _ in results_of(tmp_path).values())


def raising(error):
    def method(self, *arguments, **more):
        raise error

    return method


def audio_of(**parts):
    return lambda self: {"samples": np.zeros((1, 9), np.float32), "sample_rate": 8000} | parts


WRONG = [
    ("header", {"tasks": ()}, "empty: tasks"),
    ("header", {"licence": "", "tree": ""}, "empty: tree, licence"),
    ("absent", {"status": lambda self: Status("installed", "always")}, "status is 'installed'"),
    ("absent", {"track_ids": lambda self, needs=(), subset=None: ["one"]}, "it has tracks"),
    ("absent", {"load": lambda self, track: Track("right", track, {})}, "it loads a track"),
    ("absent", {"load": raising(KeyError("none"))}, "KeyError"),
    ("tracks", {"there": ("two", "one")}, "not sorted"),
    ("tracks", {"there": ("one", "one")}, "each once"),
    (
        "tracks",
        {"track_ids": lambda self, needs=(), subset=None: [1] if self.folder else []},
        "text",
    ),
    (
        "tracks",
        {"track_ids": lambda s, needs=(), subset=None: s.there if s.folder else []},
        "needs",
    ),
    ("tracks", {"status": Dataset.absent}, "its status is 'absent'"),
    ("loading", {"audio": audio_of(samples=np.zeros(9, np.float32))}, "shape"),
    ("loading", {"audio": audio_of(samples=np.zeros((1, 9)))}, "float64"),
    ("loading", {"audio": audio_of(sample_rate=0)}, "sample_rate"),
    ("loading", {"audio": lambda self: {}}, "no dict of arrays"),
    ("loading", {"audio": raising(DataError("file is damaged"))}, "file is damaged"),
    ("loading", {"audio": raising(OSError("unreadable"))}, "OSError"),
]


@pytest.mark.parametrize(("name", "members", "words"), WRONG)
def test_a_wrong_one_fails_the_check_that_looks_for_it(tmp_path, name, members, words):
    passed, detail = results_of(tmp_path, type("Wrong", (Right,), members))[name]
    assert passed is False
    assert words in detail


def test_files_that_are_not_there_fail(tmp_path):
    found = results_of(tmp_path)
    (tmp_path / "right" / "file").unlink()
    found = {r.name: r for r in check(Right, [tmp_path])}
    assert found["loading"].passed is False
    assert "names no file that is there" in found["loading"].detail


def test_every_check_has_a_wrong_dataset():
    assert {name for name, _, _ in WRONG} == set(CHECKS)
