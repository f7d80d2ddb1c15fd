"""The examples of docs/, from `add_plugin` (what --plugin does) to scores in a task."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tasks import made
from tasks.conftest import stems_song

from nmfab.algorithms import ALGORITHMS
from nmfab.base.kinds import KINDS
from nmfab.base.registry import load_plugin
from nmfab.cli import tool
from nmfab.experiment import Experiment
from nmfab.postprocessing import STEPS

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
# modalities, and what must differ in the scores of the two settings that they make
RUNS = {
    "my_nmf": {"algorithm": "my_nmf", "beta": 1, "my_nmf.sparsity": [0, 5]},
    "tri_factorization": {
        "algorithm": "tri_factorization", "beta": 2, "tri_factorization.atoms": [3, 9],
    },
    "shared_activations": {
        "algorithm": "shared_activations", "beta": 1, "views": [[256, 128]],
        "shared_activations.weight": [0.1, 9],
    },
    "wrapped_library": {"algorithm": "wrapped_sklearn", "beta": [1, 2]},
    "my_grouping": {"algorithm": "torch_mu", "grouping": "together", "together.least": [-1, 0.999]},
}  # fmt: skip


@pytest.fixture
def forgotten(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in (ALGORITHMS, KINDS, STEPS):
        components = {name: registry[name] for name in registry.names()}
        monkeypatch.setattr(registry, "_components", components)
    loaded = [n for n, m in sys.modules.items() if str(EXAMPLES) in str(getattr(m, "__file__", ""))]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)


def test_every_example_is_run_here():
    assert set(RUNS) == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.usefixtures("registered", "forgotten")
@pytest.mark.parametrize("name", RUNS)
def test_an_example_reaches_the_scores(name, tmp_path):
    made.write(tmp_path / "data" / "made", "song", **stems_song())
    fixed = {"n_fft": 256, "hop": 64, "stop": 8, "rank": 6, "init": "random"}
    experiment = Experiment(
        "examples", task="separation", fixed=fixed,
        cache=tmp_path / "cache", data=[tmp_path / "data"],
    )  # fmt: skip
    path = EXAMPLES / f"{name}.py"
    plan = dict(RUNS[name])
    # its parameters exist once it is imported
    experiment.add_plan("plan", {"dataset": "made", "algorithm": plan.pop("algorithm")})
    experiment.plugins.append(path)
    load_plugin(path)
    for factor, modalities in plan.items():
        experiment.set(factor, modalities if isinstance(modalities, list) else [modalities])
    report = experiment.compute()
    assert report.failures == []
    scores = experiment.results().to_frame()
    assert len(scores) == 2
    assert np.isfinite(scores["si_sdr"]).all()
    assert scores["si_sdr"].nunique() == 2
    if name != "my_grouping":
        model = experiment.load("nmf.factorize", None)
        assert model.templates().shape == (129, 6)
        assert (model.templates() >= 0).all()
        experiment.compute(refresh="nmf")  # V is read from its file this time
        again = experiment.load("nmf.factorize", None)
        np.testing.assert_array_equal(again.templates(), model.templates())


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("name", RUNS)
def test_an_example_passes_its_checks(name, capsys):
    assert tool.main(["check", str(EXAMPLES / f"{name}.py")]) == 0
    assert "FAILED" not in capsys.readouterr().out
