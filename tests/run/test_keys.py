"""What a key names: versions of components and of the task, sources, releases of libraries."""

from dataclasses import replace
from pathlib import Path

import pytest
import toy
from toy import calls, run

from nmfab.base import registry
from nmfab.base.types import Part
from nmfab.run.explain import explain


def lines(made):
    units, _ = made.units(made.select(), cached=True)
    return {line.node: (line.action, line.reason) for line in explain(units)}


def test_a_new_version_of_the_task_renews_every_node(experiment, monkeypatch):
    made = experiment()
    run(made)
    monkeypatch.setattr(toy.ToyTask, "version", 2)
    told = "task.toy: 1 → 2 (against the nearest that exists)"
    assert lines(made)["features.scale"] == ("compute", told)
    assert lines(made)["metrics.toy"][0] == "compute"
    assert run(made) == (3, 0, 0)
    assert len(calls("scale")) == len(calls("score")) == 3


def test_a_new_version_of_the_dataset_renews_what_reads_parts(experiment, monkeypatch):
    made = experiment()
    run(made)
    monkeypatch.setattr(toy.Toy, "version", 2)
    assert "dataset.toy: 1 → 2" in lines(made)["features.scale"][1]
    assert "dataset.toy: 1 → 2" in lines(made)["metrics.toy"][1]
    assert run(made) == (3, 0, 0)


@pytest.fixture
def faked(monkeypatch):
    """A function that fakes the release of a library."""
    real, fakes = registry.release, {}
    monkeypatch.setattr(registry, "release", lambda name: fakes.get(name) or real(name))
    return lambda name, release: fakes.__setitem__(name, release)


def depending(monkeypatch, node, libraries):
    plain = toy.ToyTask.nodes

    def nodes(self, p):
        return [replace(n, libraries=libraries) if n.name == node else n for n in plain(self, p)]

    monkeypatch.setattr(toy.ToyTask, "nodes", nodes)


def test_another_release_of_a_library_is_the_reason(experiment, monkeypatch, faked):
    depending(monkeypatch, "nmf.factorize", ("scikit-learn",))
    real = registry.release("scikit-learn")
    made = experiment()
    run(made)
    assert run(made) == (0, 3, 0)
    faked("scikit-learn", "99")
    told = f"library.scikit-learn: {real} → 99 (against the nearest that exists)"
    assert lines(made)["nmf.factorize"] == ("compute", told)
    assert lines(made)["features.scale"][0] == "reuse"
    assert run(made) == (3, 0, 0)
    assert calls("scale") == []
    faked("numpy", "99")
    assert run(made) == (0, 3, 0)


@pytest.mark.parametrize(
    ("files", "libraries"),
    [
        (("a.wav",), ()),
        (("a.flac", "a.lab"), ()),
        (("a.MP3",), ("av",)),
        (("a.wav", "a.stem.mp4"), ("av",)),
    ],
)
def test_the_decoder_of_lossy_audio_decides_what_is_read(files, libraries):
    assert Part(tuple(map(Path, files)), dict).libraries == libraries


def test_the_decoder_is_in_the_key_of_what_reads_lossy_audio(experiment, data, monkeypatch, faked):
    monkeypatch.setattr("nmfab.base.types.LOSSY", {".txt"})
    made = experiment()
    run(made)
    real = registry.release("av")
    faked("av", "99")
    assert f"library.av: {real} → 99" in lines(made)["features.scale"][1]
    assert "reads another postprocessing.estimate" in lines(made)["metrics.toy"][1]
    assert "library" not in lines(made)["metrics.toy"][1]
    assert run(made) == (3, 0, 0)
    data.rename(data.with_name("elsewhere"))
    assert len(made.results().rows) == 3
    faked("av", "98")
    assert len(made.results().rows) == 0
