"""Steps: their signature is their declaration, and a file of one's own may bring one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tasks import made
from tasks.conftest import stems_song

from nmfab.base.errors import UsageError
from nmfab.experiment import Experiment
from nmfab.postprocessing import FAMILIES, STEPS, step
from nmfab.tasks import TASKS, steps
from nmfab.tasks.steps import Chosen, Offer

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "my_grouping.py"


@pytest.fixture
def own(monkeypatch):
    """Steps registered by a test are forgotten after it."""
    STEPS.names()
    monkeypatch.setattr(STEPS, "_components", dict(STEPS._components))
    return STEPS


def test_a_signature_says_what_a_step_reads(own):
    @step("grouping", "mine", oracle=True, calls=("templates",), libraries=("numpy",))
    def mine(factorization, *, power, least=0.5, often=3):
        return None

    found = STEPS.find("grouping", "mine")
    assert found.wanted == ("factorization", "power")
    assert found.defaults == {"least": 0.5, "often": 3}
    assert (found.gives, found.oracle, found.calls) == ("groups", True, ("templates",))


def test_what_is_no_step_is_refused(own):
    with pytest.raises(UsageError, match=r"unknown family of steps 'groupin'.*'grouping'"):
        step("groupin", "mine")(lambda factorization: None)
    with pytest.raises(UsageError, match="its signature says what it reads"):
        step("grouping", "mine")(lambda factorization, **options: None)
    with pytest.raises(UsageError, match=r"unknown step of grouping 'mffc'.*did you mean 'mfcc'"):
        STEPS.find("grouping", "mffc")


def test_a_step_that_asks_for_what_a_task_does_not_offer_is_refused(own, separation):
    step("grouping", "mine")(lambda factorization, *, loudness_of_the_room: None)
    with pytest.raises(UsageError, match=r"asks for 'loudness_of_the_room': there are .*stems"):
        separation.nodes(grouping="mine")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_that_a_factor_chooses_is_one_of_a_task(family):
    factor = FAMILIES[family].factor
    params = [TASKS[name].params for name in ("separation", "transcription", "structure")]
    assert not factor or any(factor in declared for declared in params)


def test_a_chain_hands_on_what_its_steps_give_and_asks_for_the_rest():
    calls = []

    @step("columns", "first")
    def first(factorization, *, scale):
        calls.append((factorization, scale))
        return "columns of it"

    @step("similarity", "second")
    def second(columns, *, edges, sharpness=2):
        calls.append((columns, edges, sharpness))
        return "similarity"

    chain = [
        Chosen(STEPS.find("columns", "first")),
        Chosen(STEPS.find("similarity", "second"), "s"),
    ]
    for name in ("columns.first", "similarity.second"):
        del STEPS._components[name]
    offers = {
        "factorization": Offer(lambda p, a: a["factorize"], inputs=("nmf.factorize",)),
        "edges": Offer(lambda p, a: p["bars"] * 2, params=("bars",), versions={"edges": 7}),
        "unread": Offer(lambda p, a: None, parts=("stems",), params=("other",)),
    }
    p = {"scale": "W", "bars": 4, "other": 1, "s": "second", "second.sharpness": 5}
    node = steps.node(p, "postprocessing.x", chain, offers, lambda v, p, a: v, small=True)
    assert node.params == {"s": "second", "scale": "W", "bars": 4, "second.sharpness": 5}
    assert (node.inputs, node.parts, node.small) == (("nmf.factorize",), (), True)
    assert node.versions["edges"] == 7
    assert {"step.columns.first", "step.similarity.second"} <= set(node.versions)
    found = node.compute(dict(node.params), factorize="model")
    assert found == {"columns": "columns of it", "similarity": "similarity"}
    assert calls == [("model", "W"), ("columns of it", 8, 5)]


@pytest.fixture
def plugged(registered, own, tmp_path):
    """A function that makes an experiment with a plug-in file."""
    made.write(tmp_path / "data" / "made", "song", **stems_song())

    def make(path, task="separation", **factors):
        fixed = {"n_fft": 256, "hop": 64, "stop": 8, "rank": 6, "init": "random"}
        experiment = Experiment(
            "plugged", task=task, fixed=fixed, cache=tmp_path / "cache", data=[tmp_path / "data"]
        )
        experiment.add_plan("plan", {"dataset": "made", **factors})
        experiment.add_plugin(path)
        return experiment

    return make


def test_a_plug_in_brings_a_step_whose_parameters_are_factors(plugged, tmp_path):
    path = tmp_path / "my_grouping.py"
    shutil.copy(EXAMPLE, path)
    experiment = plugged(path, grouping=["mfcc"], **{"together.least": [-1, 0.999]})
    texts = [setting.text for setting in experiment.grid.settings]
    assert len(texts) == 3  # mfcc reads no together.least
    report = experiment.compute()
    assert not report.failures
    loose, strict = (
        experiment.load(
            "postprocessing.grouping", {"grouping": "together", "together.least": value}
        )
        for value in (-1, 0.999)
    )
    assert (strict["groups"] == -1).sum() > (loose["groups"] == -1).sum()
    assert set(np.unique(loose["groups"])) >= {0, 1}
    assert experiment.compute().computed == 0


def test_an_edited_plug_in_renews_what_it_made(plugged, own, tmp_path):
    path = tmp_path / "my_grouping.py"
    shutil.copy(EXAMPLE, path)
    experiment = plugged(path, grouping=["together"])
    assert experiment.compute().computed == 1
    path.write_text(path.read_text().replace("least=0.5", "least=0.4 + 0.1"))
    report = experiment.compute()
    assert report.computed == 1
    assert set(report.tally.computed) == {"postprocessing.grouping", "metrics.separation"}


def test_an_oracle_and_a_baseline_of_ones_own_are_marked(plugged, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from nmfab.postprocessing import step\n"
        "@step('separation', 'halves')\n"
        "def halves(mixture, *, n_stems):\n"
        "    return [mixture / 2] * n_stems\n"
        "@step('separation', 'told', oracle=True)\n"
        "def told(mixture, *, stems):\n"
        "    return stems\n"
    )
    experiment = plugged(path, baseline=["mixture"])
    kinds = {s.parameters["baseline"]: s.kind for s in experiment.grid.settings}
    assert kinds == {"mixture": "baseline", "halves": "baseline", "told": "oracle"}
    assert not experiment.compute().failures
    scores = {s.parameters["baseline"]: row for s, _, _, row in experiment.results().rows}
    assert scores["told"]["sdr"] > 60
    assert scores["halves"]["sdr"] == pytest.approx(scores["mixture"]["sdr"])


def test_a_segmentation_of_ones_own_takes_the_place_of_cbm(own, structure):
    @step("segmentation", "thirds")
    def thirds(similarity, *, edges, parts=3):
        return edges[np.linspace(0, len(similarity), parts + 1).astype(int)]

    found = structure.arrays("postprocessing.segments", segmentation="thirds")["boundaries"]
    bars = (found[1:] - 0.37) / 0.5
    np.testing.assert_allclose(bars, [0, 5, 10, 16], atol=1e-6)
    params = structure.nodes(segmentation="thirds")["postprocessing.segments"].params
    assert params["segmentation"] == "thirds"
    assert params["thirds.parts"] == 3
    assert not {"bands", "penalty", "max_size"} & set(params)
