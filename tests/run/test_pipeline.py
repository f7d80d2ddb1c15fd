import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import toy
from toy import calls, run

from nmfab.base.errors import NmfabError, UsageError
from nmfab.run import pipeline
from nmfab.run.graph import Graph
from nmfab.run.pipeline import TrackPipeline
from nmfab.store.files import Place, Store


def test_a_rerun_computes_nothing(experiment):
    made = experiment(rank=[1, 2])
    assert run(made) == (6, 0, 0)
    assert run(made) == (0, 6, 0)
    assert toy.CALLS == []


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
    monkeypatch.setattr(pipeline, "KEPT", 0)
    assert run(made) == (9, 0, 0)
    assert read == ["postprocessing.estimate"] * 6
    assert len(calls("factorize")) == 3


def test_arrays_that_others_are_given_cannot_be_changed(experiment, data):
    made = experiment()
    graph = Graph(made.task, made.select()[0].parameters)
    track = TrackPipeline(made.context().store(), made.context().dataset("toy"), "one")
    with pytest.raises(ValueError, match="read-only"):
        track.get(graph, "features.scale")["V"][0] = 1


def test_loaded_arrays_are_the_caller_s_to_change(experiment):
    made = experiment()
    run(made)
    loaded = made.load("nmf.factorize", None, "one")
    loaded["W"] *= 2
    assert (made.load("nmf.factorize", None, "one")["W"] * 2 == loaded["W"]).all()


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
    graph = Graph(made.task, made.select()[0].parameters)
    track = TrackPipeline(made.context().store(), made.context().dataset("toy"), "one")
    first = track.value(graph, "nmf.factorize")
    assert track.value(graph, "nmf.factorize") is first
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


def test_a_new_track_is_all_that_runs(experiment, data):
    run(experiment())
    (data / "four.txt").write_text("1\n")
    (data / "four.ref").write_text("1\n")
    assert run(experiment()) == (1, 3, 0)


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


def test_a_failing_setting_spares_the_others_and_leaves_no_artifact(experiment):
    made = experiment(rank=[1, 13, 99])
    assert run(made) == (3, 0, 6)
    reasons = {reason.split(": ", 1)[1] for _, _, _, reason in made.compute().failures}
    assert reasons == {"rank 13 brings bad luck", "ZeroDivisionError: a fault of the component"}
    results = made.results()
    assert len(results.rows) == 3
    assert {reason.split(": ", 1)[1] for *_, reason in results.missing} == reasons
    log = (made.cache / "toy" / "nmfab.log").read_text()
    assert "ZeroDivisionError" in log
    assert "Traceback" in log


def test_a_missing_file_fails_its_track_only(experiment, data):
    (data / "two.ref").unlink()
    made = experiment()
    assert run(made) == (2, 0, 1)
    assert "two.ref" in made.compute().failures[0][3]


def test_fail_fast_stops(experiment):
    made = experiment(rank=[13])
    assert run(made, fail_fast=True)[2] == 1


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


def test_one_bad_problem_of_a_batch_spares_the_others(experiment):
    assert run(experiment(rank=[1, 13, 2])) == (6, 0, 3)
    assert calls("batch") == [("batch", 3)] * 3


def test_processes_compute_what_one_does(experiment):
    alone, parallel = experiment(rank=[1, 2, 13]), experiment(rank=[1, 2, 13])
    parallel.cache = parallel.cache.with_name("parallel")
    run(alone)
    ticks = []
    report = parallel.compute(jobs=2, progress=lambda *counts: ticks.append(counts))
    assert (report.computed, len(report.failures)) == (6, 3)
    assert ticks[-1] == (9, 6, 0, 3)
    assert run(parallel) == (0, 6, 3)

    def table(made):
        return sorted((row[0].text, row[2], row[3]["error"]) for row in made.results().rows)

    assert table(alone) == table(parallel)


def test_a_killed_worker_is_one_line(experiment):
    with pytest.raises(NmfabError, match="a worker process was killed"):
        experiment(rank=[77]).compute(jobs=2)


def test_few_tracks_are_cut_by_settings(experiment):
    made = experiment(rank=[1, 2, 3, 4], init=["svd", "random"])
    made.track_choice = 1
    report = made.compute(jobs=2)
    assert report.computed == 8


def test_a_damaged_artifact_is_computed_again(experiment):
    made = experiment()
    run(made)
    for path in made.cache.rglob("*.h5"):
        path.write_bytes(path.read_bytes()[:100])
    report = made.compute()
    assert report.computed == 3
    assert any("set aside" in warning for warning in report.warnings)
    assert run(made) == (0, 3, 0)


def test_refresh_computes_a_stage_again(experiment):
    made = experiment(rank=[1, 2])
    run(made)
    assert run(made, refresh="postprocessing") == (6, 0, 0)
    assert calls("factorize") == []
    assert len(calls("score")) == 6


def test_what_is_learned_over_tracks_is_computed_once(experiment, data):
    made = experiment(learn=[True], rank=[1, 2])
    assert run(made) == (6, 0, 0)
    assert calls("learn") == [("learn", 3)]
    assert (made.cache / "toy" / "toy" / "_fit").is_dir()
    assert run(made) == (0, 6, 0)
    (data / "two.txt").write_text("4\n")
    assert run(made) == (6, 0, 0)
    assert calls("learn") == [("learn", 3)]
    parallel = experiment(learn=[True], rank=[1, 2])
    parallel.cache = parallel.cache.with_name("parallel")
    assert parallel.compute(jobs=2).computed == 6


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


def graph(**changes):
    task = toy.ToyTask()
    defaults = {name: param.default for name, param in task.params.items()}
    return Graph(task, {**defaults, **changes})


def test_a_late_parameter_stays_out_of_the_key_at_the_old_value(tmp_path, data):
    pipeline = TrackPipeline(Store(tmp_path, "toy"), toy.Toy([data.parent]), "one")
    params = pipeline.recipe(graph(late=7), "features.scale")["params"]
    assert params == {"gain": 1}
    params = pipeline.recipe(graph(late=3), "features.scale")["params"]
    assert params == {"gain": 1, "late": 3}


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
def test_keys(tmp_path, data, first, second, equal):
    pipeline = TrackPipeline(Store(tmp_path, "toy"), toy.Toy([data.parent]), "one")
    keys = [pipeline.key(graph(**changes), "metrics.toy") for changes in (first, second)]
    assert (keys[0] == keys[1]) is equal


def test_nan_is_no_parameter(tmp_path, data):
    pipeline = TrackPipeline(Store(tmp_path, "toy"), toy.Toy([data.parent]), "one")
    with pytest.raises(NmfabError, match="nan"):
        pipeline.key(graph(gain=float("nan")), "metrics.toy")


def test_removal_keeps_what_other_settings_read(experiment):
    made = experiment(rank=[1, 2])
    run(made)
    keys = made.removable({"rank": 2})
    count, freed = made.remove(keys)
    assert count == 9  # three tracks: factorization, estimate, score
    assert freed > 0
    assert run(made) == (3, 3, 0)
    assert calls("scale") == []


def test_track_choice(experiment):
    made = experiment()
    made.track_choice = ["two"]
    assert run(made) == (1, 0, 0)
    made.track_choice = ["ten"]
    with pytest.raises(UsageError, match="ten"):
        made.compute()


def test_files_are_looked_for_once_however_many_settings(experiment, monkeypatch):
    looks, track_ids = [], toy.Toy.track_ids

    def counted(self, needs=()):
        looks.append(needs)
        return track_ids(self, needs)

    monkeypatch.setattr(toy.Toy, "track_ids", counted)
    made = experiment(rank=[1, 2, 3])
    units, _ = made.units(made.select())
    assert len(units) == 9
    assert len(looks) == 1
