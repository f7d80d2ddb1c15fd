"""The worked examples of CONTRIBUTING.md run as they stand."""

import re
import wave
from pathlib import Path

import numpy as np
import pytest

from nmfab.algorithms import ALGORITHMS
from nmfab.algorithms.conformance import check_file
from nmfab.base.errors import DataError
from nmfab.base.registry import load_plugin
from nmfab.datasets import DATASETS
from nmfab.metrics import structure

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.M | re.S)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write the one block that has a text in it to a file; what it registers is forgotten after."""
    for registry in (ALGORITHMS, DATASETS):
        monkeypatch.setattr(
            registry, "_components", {name: registry[name] for name in registry.names()}
        )

    def write(contained):
        (block,) = [block for block in BLOCKS if contained in block]
        path = tmp_path / "example.py"
        path.write_text(block, encoding="utf-8")
        return path

    return write


def test_algorithm_conforms(plugin):
    results = list(check_file(plugin("@algorithm")))
    assert [(r.name, r.detail) for r in results if r.passed is False] == []
    assert results


def test_dataset_reads_what_its_tree_draws(plugin, tmp_path):
    load_plugin(plugin("@dataset"))
    songs = DATASETS["mysongs"]([tmp_path])
    assert songs.status().state == "absent"
    for folder in ("audio", "sections"):
        (tmp_path / "mysongs" / folder).mkdir(parents=True)
    with wave.open(str(tmp_path / "mysongs/audio/one.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.zeros(800, dtype="<i2").tobytes())
    assert songs.track_ids() == []
    (tmp_path / "mysongs/sections/one.lab").write_text("0\t0.05\tA\n0.05\t0.1\tB\n")
    assert songs.track_ids(needs=("sections",)) == ["one"]
    assert songs.track_ids(needs=("notes",)) == []
    assert songs.status().state == "installed"
    track = songs.load("one")
    assert track.part("audio").read()["samples"].shape == (1, 800)
    assert track.part("sections").read()["intervals"].tolist() == [[0, 0.05], [0.05, 0.1]]
    with pytest.raises(DataError, match="no song 'two'"):
        songs.load("two")


def test_metric_and_its_test_hold():
    names = {"np": np, "validate": structure.validate}
    (metric,) = [block for block in BLOCKS if "def deviation" in block]
    (test,) = [block for block in BLOCKS if "def test_deviation" in block]
    exec(metric + test, names)  # noqa: S102 - our own page
    names["test_deviation_by_hand"]()

    from mir_eval.segment import deviation

    rng = np.random.default_rng(0)
    for _ in range(20):
        sections = [
            np.column_stack([times[:-1], times[1:]])
            for times in (np.sort(rng.uniform(0, 60, size)) for size in (6, 9))
        ]
        expected, _ = deviation(*sections)
        assert names["deviation"](*sections) == pytest.approx(expected, abs=1e-5)  # it rounds times
