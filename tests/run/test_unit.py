import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import toy
from toy import calls, run

from nmfab.base import registry
from nmfab.base.errors import NmfabError, UsageError
from nmfab.run import track
from nmfab.run.graph import Graph
from nmfab.run.track import Tracks
from nmfab.run.unit import Unit
from nmfab.store.files import Place, Store


def test_later_settings_are_given_what_earlier_ones_leave(experiment, monkeypatch):
    read = []
    place_read = Place.read
    monkeypatch.setattr(
        Place, "read", lambda *given: read.append(given[1].name) or place_read(*given)
    )
    made = experiment(tolerance=[0.5, 5, 50])
    assert run(made) == (9, 0, 0)
    assert read == []
    made.cache = made.cache.with_name("forgetful")
    monkeypatch.setattr(track, "KEPT", 0)
    assert run(made) == (9, 0, 0)
    assert read == ["postprocessing.estimate"] * 6
    assert len(calls("factorize")) == 3


def test_what_was_refreshed_is_kept_for_the_settings_that_follow(experiment, monkeypatch):
    made = experiment(tolerance=[0.5, 5, 50])
    run(made)
    monkeypatch.setattr(track, "KEPT", 0)
    assert run(made, refresh="nmf") == (9, 0, 0)
    assert len(calls("factorize")) == 3
    assert len(calls("score")) == 9


def test_arrays_that_others_are_given_cannot_be_changed(experiment, data):
    made = experiment()
    (unit, *_), _ = made.units(made.select())
    with pytest.raises(ValueError, match="read-only"):
        unit.get("features.scale")["V"][0] = 1


def test_loaded_arrays_are_the_caller_s_to_change(experiment):
    made = experiment()
    run(made)
    loaded = made.load("nmf.factorize", None, "one")
    loaded["W"] *= 2
    assert (made.load("nmf.factorize", None, "one")["W"] * 2 == loaded["W"]).all()


def test_what_failed_is_not_tried_again_for_the_settings_that_follow(experiment):
    assert run(experiment(rank=[13], tolerance=[0.5, 5, 50])) == (0, 0, 9)
    assert len(calls("factorize")) == 3


def test_a_part_that_may_be_missing_is_given_where_it_is_there(experiment, monkeypatch):
    seen = []

    def compute(params, scale, answer, extra):
        seen.append((answer["values"].tolist(), extra))
        return toy.factorize(params, scale)

    optional = ("answer", "extra")
    altered(monkeypatch, compute=compute, parts=optional, optional_parts=optional)
    made = experiment()
    assert run(made) == (3, 0, 0)
    assert seen == [([6.0], None)] * 3
    units, _ = made.units(made.select())
    parts = units[0].recipe("nmf.factorize")["parts"]
    assert parts == {"answer": units[0].opened.fingerprint("answer"), "extra": None}


def test_problems_of_different_inputs_share_no_batch(experiment):
    made = experiment(gain=[1, 10], init=["random"], seed=[1, 2], rank=[2, 3])
    assert run(made) == (24, 0, 0)
    assert calls("batch") == [("batch", 4)] * 6
    sums = {"one": 3, "two": 4, "three": 5}
    for setting, _, name, scores in made.results().rows:
        p = setting.parameters
        expected = sums[name] * p["gain"] * p["rank"] + 3 * p["seed"]
        assert scores["error"] == abs(expected - 6)


class Factors:
    """What readers of the toy's factorization are given, in the tests that decode it."""

    made = 0

    def __init__(self, arrays):
        type(self).made += 1
        self.arrays = arrays

    def __getitem__(self, name):
        return self.arrays[name]


def altered(monkeypatch, **changes):
    """Give the toy task's factorizations other fields."""
    plain = toy.ToyTask.nodes

    def nodes(self, p):
        factorizing = "nmf.factorize"
        return [replace(n, **changes) if n.name == factorizing else n for n in plain(self, p)]

    monkeypatch.setattr(toy.ToyTask, "nodes", nodes)


def test_readers_are_given_what_a_node_decodes_once_per_artifact(experiment, monkeypatch):
    seen, plain = [], toy.estimate

    def seeing(params, factorize):
        seen.append(factorize)
        return plain(params, factorize)

    monkeypatch.setattr(toy, "estimate", seeing)
    altered(monkeypatch, decode=Factors)
    Factors.made = 0
    made = experiment(rank=[1, 2], baseline=[None, "oracle"])
    assert run(made, {"baseline": None}) == (6, 0, 0)
    assert {type(one) for one in seen} == {Factors}
    assert Factors.made == 6
    loaded = made.load("nmf.factorize", {"rank": 2}, "one")
    assert type(loaded) is Factors
    loaded["W"][0] = 7  # the caller's own
    assert made.load("nmf.factorize", {"rank": 2}, "one")["W"][0] == 0


def test_a_decoded_artifact_is_not_made_anew_for_each_reader(experiment, monkeypatch):
    altered(monkeypatch, decode=Factors)
    Factors.made = 0
    made = experiment()
    (unit, *_), _ = made.units(made.select())
    first = unit.value("nmf.factorize")
    assert unit.value("nmf.factorize") is first
    assert Factors.made == 1


@pytest.mark.parametrize(
    ("returns", "told"),
    [
        (("W", "H"), "it returned no H"),
        (("H?",), "it returned W, which it does not declare"),
        (("W", "H?"), None),
        ((), None),
    ],
)
def test_a_node_returns_what_it_declares(experiment, monkeypatch, returns, told):
    altered(monkeypatch, returns=returns)
    made = experiment()
    failures = made.compute().failures
    assert [reason for *_, reason in failures] == ([f"nmf.factorize: {told}"] * 3 if told else [])
    assert len(made.results().rows) == (0 if told else 3)


def test_each_node_is_computed_once(experiment):
    run(experiment(rank=[1, 2], tolerance=[0.5, 5]))
    assert len(calls("scale")) == 3
    assert len(calls("factorize")) == 6
    assert len(calls("score")) == 12


def test_a_metrics_parameter_renews_metrics_only(experiment):
    run(experiment(rank=[1, 2]))
    changed = experiment(rank=[1, 2])
    changed.set("tolerance", [2])
    assert run(changed) == (6, 0, 0)
    assert {call[0] for call in toy.CALLS} == {"score"}


def test_rank_leaves_the_features_alone_and_a_new_modality_is_all_that_runs(experiment):
    run(experiment(rank=[1, 2]))
    assert run(experiment(rank=[1, 2, 3])) == (3, 6, 0)
    assert calls("scale") == []
    assert {call[1] for call in calls("factorize")} == {3}


def test_a_corrected_annotation_renews_no_factorization(experiment, data):
    run(experiment())
    (data / "one.ref").write_text("7\n")
    assert run(experiment()) == (1, 2, 0)
    assert {call[0] for call in toy.CALLS} == {"score"}


def test_changed_audio_renews_its_track(experiment, data):
    run(experiment())
    (data / "one.txt").write_text("5\n")
    assert run(experiment()) == (1, 2, 0)
    assert len(calls("factorize")) == 1


def test_a_new_version_of_a_component_renews_what_uses_it(experiment, monkeypatch):
    run(experiment())
    monkeypatch.setenv("TOY_SCALE_VERSION", "2")
    assert run(experiment()) == (3, 0, 0)
    assert len(calls("scale")) == 3


def test_settings_share_a_batch_and_give_what_they_give_alone(experiment):
    batched = experiment(init=["random"], seed=[1, 2, 3])
    run(batched)
    assert calls("batch") == [("batch", 3)] * 3
    scores = {(row[0].values["seed"], row[2]): row[3] for row in batched.results().rows}
    for seed in (1, 2, 3):
        alone = experiment(init=["random"], seed=[seed])
        alone.cache = alone.cache.with_name(f"alone{seed}")
        run(alone)
        assert calls("batch") == []
        for row in alone.results().rows:
            assert scores[seed, row[2]] == row[3]


def test_results_without_the_dataset(experiment, data):
    made = experiment(rank=[1, 2], learn=[True, False])
    run(made)
    before = [row[2:] for row in made.results().rows]
    data.rename(data.with_name("elsewhere"))
    toy.CALLS.clear()
    assert [row[2:] for row in made.results().rows] == before
    assert len(before) == 12
    arrays = made.load("nmf.factorize", {"rank": 2}, "one")
    np.testing.assert_array_equal(arrays["W"], [0, 2, 4])
    assert toy.CALLS == []
    report = made.compute()
    assert "put text files" in report.failures[0][3]


def test_load_says_what_was_not_computed(experiment):
    with pytest.raises(UsageError, match=r"nmf\.factorize.*compute it first"):
        experiment().load("nmf.factorize", {"dataset": "toy"})


def test_provenance_tells_a_stranger_everything(experiment):
    made = experiment(rank=[2])
    run(made)
    with h5py.File(made.path("nmf.factorize", {"rank": 2}, "one")) as file:
        told = json.loads(file.attrs["provenance"])
    assert told["recipe"]["params"] == {"rank": 2, "init": "svd"}
    assert set(told["recipe"]["inputs"]) == {"features.scale"}
    assert {"seconds", "threads", "device", "host", "time", "libraries", "checksum"} <= set(told)


@pytest.fixture
def unit(tmp_path, data):
    """A function that makes the unit of a track, given parameters that differ from the defaults."""
    opener = Tracks(Store(tmp_path, "toy"), lambda name: toy.Toy([data.parent]))

    def make(track="one", **changes):
        task = toy.ToyTask()
        defaults = {name: param.default for name, param in task.params.items()}
        return Unit(Graph(task, {**defaults, **changes}), opener, "toy", track)

    return make


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ({"gain": 1}, {"gain": 1.0}, True),
        ({"gain": 1}, {"gain": True}, False),
        ({"gain": 0.1 + 0.2}, {"gain": 0.3}, True),
        ({"gain": 1}, {"gain": 1 + 1e-9}, False),
        ({"init": "svd", "seed": 1}, {"init": "svd", "seed": 2}, True),
        ({"init": "random", "seed": 1}, {"init": "random", "seed": 2}, False),
    ],
)
def test_keys(unit, first, second, equal):
    keys = [unit(**changes).key("metrics.toy") for changes in (first, second)]
    assert (keys[0] == keys[1]) is equal


def test_nan_is_no_parameter(unit):
    with pytest.raises(NmfabError, match="nan"):
        unit(gain=float("nan")).key("metrics.toy")


def test_scores_tell_why_there_are_none(unit):
    assert unit().scores() == (None, "not computed")
    failing = unit(rank=13)
    with pytest.raises(NmfabError, match="bad luck"):
        failing.get(failing.target)
    assert failing.scores() == (None, "nmf.factorize: rank 13 brings bad luck")
    assert unit(rank=1).scores() == (None, "not computed")
    done = unit(rank=3)
    done.get(done.target)
    assert done.scores() == ({"error": 3.0, "hit": 0.0}, "")


def test_a_unit_knows_what_exists_and_how_it_came_to_be(unit):
    one = unit(rank=3)
    assert not one.begun
    assert not one.exists("nmf.factorize")
    assert one.provenance("nmf.factorize") is None
    one.get(one.target)
    assert all(one.exists(name) for name in one.graph.order())
    told = one.provenance("nmf.factorize")
    assert told["recipe"] == one.recipe("nmf.factorize")
    assert (told["dataset"], told["track"], told["batch"]) == ("toy", "one", 1)
    assert one.path("nmf.factorize").stem == one.key("nmf.factorize")
    assert not unit("two", rank=3).exists("nmf.factorize")


def test_a_table_whose_rows_mix_releases_says_so(experiment, monkeypatch):
    real = registry.release
    made = experiment(rank=[1, 2])
    run(made, {"rank": 1})
    results = made.results({"rank": 1})
    assert len(results.releases) == 3
    assert all(row["numpy"] == {real("numpy")} for row in results.releases)
    (block,) = results.summary().blocks
    assert block.notes == []
    with monkeypatch.context() as patch:
        patch.setattr(registry, "release", lambda name: "0.1" if name == "numpy" else real(name))
        run(made)
    results = made.results()
    assert [row["numpy"] for row in results.releases[:3]] == [{real("numpy")}] * 3
    # features are those of the first run: even the second row alone mixes
    (block,) = results.summary().blocks
    assert block.notes == [f"computed with several releases: numpy 0.1 and {real('numpy')}"]
    (block,) = made.results({"rank": 1}).summary().blocks
    assert block.notes == []


def test_a_batch_is_in_the_provenance_of_each_of_its_problems(experiment):
    made = experiment(init=["random"], seed=[1, 2, 3])
    run(made)
    units, _ = made.units(made.select())
    assert {unit.provenance("nmf.factorize")["batch"] for unit in units} == {3}
    assert {unit.provenance("features.scale")["batch"] for unit in units} == {1}
    seconds = [unit.provenance("nmf.factorize")["seconds"] for unit in units if unit.track == "one"]
    assert len(set(seconds)) == 1
    spent = made.compute(refresh="nmf").tally.seconds["nmf.factorize"]
    units, _ = made.units(made.select())
    shares = [unit.provenance("nmf.factorize")["seconds"] for unit in units]
    assert sum(shares) == pytest.approx(spent)


def test_tracks_of_an_absent_dataset_are_those_that_have_results(experiment, data):
    made = experiment()
    made.track_choice = ["one", "two"]
    run(made)
    (data / "learned.txt").write_text("1\n")
    (data / "learned.ref").write_text("1\n")
    units, _ = made.units(made.select())
    made.track_choice = None
    units, _ = made.units(made.select())
    next(unit for unit in units if unit.track == "learned").get("features.scale")
    data.rename(data.with_name("elsewhere"))
    units, absent = made.units(made.select(), cached=True)
    assert [unit.track for unit in units] == ["one", "two"]
    assert absent == {}
