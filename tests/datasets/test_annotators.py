"""Structure scored against several annotators: each, the better, levels, and who is missing."""

import numpy as np
import pytest

from nmfab.datasets import mini
from nmfab.experiment import Experiment
from nmfab.metrics import structure as scoring
from nmfab.report import terminal


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Miniatures of two datasets with several annotators, and of one without."""
    folder = tmp_path_factory.mktemp("minis")
    for name in ("salami", "rwcpop", "beatles"):
        mini.write(name, folder)
    return folder


def computed(root, cache, **factors):
    experiment = Experiment("annotators", task="structure", title="annotators")
    experiment.data, experiment.cache = [root], cache
    experiment.add_plan("rows", baseline=["regular"], **{"regular.bars": 1}, **factors)
    report = experiment.compute()
    assert not report.failures
    return experiment


def rows(experiment):
    return {
        (setting.parameters["annotator"], setting.parameters["level"], track): scores
        for setting, _, track, scores in experiment.results().rows
    }


def test_the_better_of_two_annotators_is_that_of_each(root, tmp_path):
    found = rows(computed(root, tmp_path, dataset=["salami"], annotator=[1, 2, "better"]))
    assert {who for who, *_ in found} == {1, 2, "better"}
    one, two, better = (found[who, "upper", "2"] for who in (1, 2, "better"))
    assert one["F0.5"] != two["F0.5"]
    for window in scoring.WINDOWS:
        best = max((one, two), key=lambda scores, name=window: scores[f"F{name}"])
        for letter in "FPR":
            assert better[f"{letter}{window}"] == best[f"{letter}{window}"]
        assert better[f"F{window}_annotator1"] == one[f"F{window}"]
        assert better[f"F{window}_annotator2"] == two[f"F{window}"]


def test_a_missing_annotator_leaves_the_other(root, tmp_path):
    found = rows(computed(root, tmp_path, dataset=["salami"], annotator=[1, 2, "better"]))
    tracks = {who: {track for w, _, track in found if w == who} for who in (1, 2, "better")}
    assert tracks == {1: {"2", "898"}, 2: {"2", "1015"}, "better": {"2", "898", "1015"}}
    alone = found["better", "upper", "898"]
    assert alone["F3"] == found[1, "upper", "898"]["F3"] == alone["F3_annotator1"]
    assert np.isnan(alone["F3_annotator2"])


def test_the_usual_annotator_is_the_better_one_on_the_upper_level(root, tmp_path):
    usual = rows(computed(root, tmp_path / "a", dataset=["salami"]))[None, "upper", "2"]
    named = computed(root, tmp_path / "b", dataset=["salami"], annotator=["better"])
    assert usual == pytest.approx(rows(named)["better", "upper", "2"], nan_ok=True)


def test_levels_differ(root, tmp_path):
    found = rows(computed(root, tmp_path, dataset=["salami"], level=["upper", "lower"]))
    # The lower level halves the sections: segments of a bar recall no more, but are right oftener.
    assert found[None, "lower", "2"]["P0.5"] > found[None, "upper", "2"]["P0.5"]


def test_two_annotators_never_share_a_table(root, tmp_path):
    experiment = computed(root, tmp_path, dataset=["rwcpop"], annotator=["mirex10", "aist"])
    shown = terminal.results_table(experiment.results())
    assert "rwcpop · trim=false, annotator=mirex10 · 3 tracks" in shown
    assert "rwcpop · trim=false, annotator=aist · 2 tracks" in shown
    assert "F3_annotator1" not in shown


def test_an_annotator_who_is_not_there_is_refused_with_a_reason(root, tmp_path):
    experiment = Experiment("annotators", task="structure", title="annotators")
    experiment.data, experiment.cache = [root], tmp_path
    experiment.add_plan(
        "rows", dataset=["salami", "beatles"], baseline=["regular"], annotator=["aist"]
    )
    assert not experiment.grid.settings
    reasons = {left.reason for left in experiment.grid.left_out}
    assert reasons == {
        "salami has those of 1, 2: there is no annotator aist",
        "beatles has one annotation: there is no annotator aist",
    }


def test_a_dataset_with_one_annotation_reads_no_annotator(root, tmp_path):
    experiment = computed(root, tmp_path, dataset=["beatles"], level=["upper", "lower"])
    assert len(experiment.grid.settings) == 1
    assert "beatles · trim=false · 2 tracks" in terminal.results_table(experiment.results())


def test_better_of_scores_made_by_hand():
    first = {"F0.5": 0.2, "P0.5": 0.9, "R0.5": 0.1, "F3": 0.8, "P3": 0.7, "R3": 0.9, "segments": 4}
    second = {"F0.5": 0.3, "P0.5": 0.3, "R0.5": 0.3, "F3": 0.5, "P3": 1, "R3": 0.4, "segments": 4}
    assert scoring.better([first, second]) == {
        "F0.5": 0.3, "P0.5": 0.3, "R0.5": 0.3, "F3": 0.8, "P3": 0.7, "R3": 0.9, "segments": 4,
    }  # fmt: skip
