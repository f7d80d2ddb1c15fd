"""Which library's release is in the key of which node: those that decide what it gives."""

import numpy as np
import pytest

from nmfab.datasets import DATASETS
from nmfab.features import FEATURES
from nmfab.features.contract import feature
from nmfab.tasks import TASKS


def named(task, **given):
    """Return the libraries of each node of a setting."""
    made = TASKS[task]()
    defaults = {name: param.default for name, param in made.params.items()}
    nodes = made.nodes({**defaults, "dataset": "demo", **given})
    return {node.name: set(node.libraries) for node in nodes if node.libraries}


MIR_EVAL = {"metrics.structure": {"mir_eval"}}


@pytest.mark.parametrize(
    ("task", "given", "expected"),
    [
        (
            "structure",
            {"bars": "annotated", "sample_rate": None},
            {"features.barwise": {"librosa"}},
        ),
        (
            "structure",
            {"bars": "auto", "feature": "mel"},
            {"features.bars": {"librosa", "soxr"}, "features.barwise": {"librosa", "soxr"}},
        ),
        (
            "structure",
            {"bars": "madmom", "sample_rate": 22050, "feature": "chroma"},
            {"features.bars": {"soxr"}, "features.barwise": {"librosa", "soxr"}},
        ),
        ("transcription", {"sample_rate": None}, {}),
        ("transcription", {"sample_rate": 16000}, {"features.stft": {"soxr"}}),
        ("separation", {}, {"postprocessing.grouping": {"scikit-learn", "librosa"}}),
        ("separation", {"grouping": "oracle"}, {}),
        ("separation", {"baseline": "hpss"}, {"postprocessing.estimates": {"librosa"}}),
        ("separation", {"baseline": "irm1"}, {}),
        (
            "separation",
            {"baseline": "irm1", "bss_backend": "museval"},
            {"metrics.separation": {"museval"}},
        ),
    ],
)
def test_libraries_of_each_node(task, given, expected):
    scores = {f"metrics.{task}": {"mir_eval"}} if task != "separation" else {}
    found = named(task, **given)
    own = {name: libraries for name, libraries in found.items() if name != "nmf.factorize"}
    assert own == expected | scores


def test_a_feature_names_the_libraries_of_its_filterbank(monkeypatch):
    assert {name: FEATURES[name].libraries for name in ("mel", "nn_log_mel", "chroma")} == (
        dict.fromkeys(("mel", "nn_log_mel", "chroma"), ("librosa",))
    )
    monkeypatch.setattr(FEATURES, "_components", dict(FEATURES._components))

    @feature("plain", version=1)
    def plain(magnitude, *, sample_rate, n_fft):
        return np.abs(magnitude)

    @feature("borrowed", version=1, libraries=["scipy"])
    def borrowed(magnitude, *, sample_rate, n_fft):
        return np.abs(magnitude)

    common = {"bars": "annotated", "sample_rate": None}
    assert "features.barwise" not in named("structure", feature="plain", **common)
    assert named("structure", feature="borrowed", **common)["features.barwise"] == {"scipy"}


def test_another_release_of_librosa_renews_the_features_alone(monkeypatch, tmp_path):
    from nmfab.base import registry
    from nmfab.experiment import Experiment
    from nmfab.run.explain import explain

    assert DATASETS["demo"]([tmp_path]).status().state == "installed"
    experiment = Experiment("keys", task="structure", cache=tmp_path)
    experiment.add_plan(
        "rows", dataset=["demo"], algorithm=["torch_mu"], rank=2, stop=1, bars="annotated",
        feature="chroma", subdivision=2, hop=4096, sample_rate=None,
    )  # fmt: skip
    experiment.track_choice = 1
    assert not experiment.compute().failures
    real = registry.release
    monkeypatch.setattr(registry, "release", lambda n: "99" if n == "librosa" else real(n))
    units, _ = experiment.units(experiment.select(), cached=True)
    told = {line.node: (line.action, line.reason) for line in explain(units)}
    assert told["features.bars"][0] == "reuse"
    assert told["features.barwise"][0] == "compute"
    assert f"library.librosa: {real('librosa')} → 99" in told["features.barwise"][1]
