"""What is learned over several tracks: which, once per set, streamed, and where they are absent."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import toy
from toy import calls, run

from nmfab.base.errors import DataError
from nmfab.datasets import DATASETS
from nmfab.run import jobs
from nmfab.run.explain import explain, forecast

LEARNED = "postprocessing.learned"


@pytest.fixture
def other(data, monkeypatch):
    """The folder of a second dataset, with the tracks five and six."""

    class Other(toy.Toy):
        name = "other"

        def load(self, track_id):
            return replace(super().load(track_id), dataset="other")

    monkeypatch.setitem(DATASETS._components, "other", Other)
    folder = data.with_name("other")
    folder.mkdir()
    for value, name in enumerate(["five", "six"], 5):
        (folder / f"{name}.txt").write_text(f"{value}\n")
        (folder / f"{name}.ref").write_text("6\n")
    return folder


@pytest.fixture
def learning(experiment, monkeypatch):
    """A function that makes an experiment whose learning node has another `fit` (and more)."""
    plain = toy.ToyTask.nodes

    def make(fit, ranks=(1,), **changes):
        def nodes(self, p):
            changed = {"fit": fit, **changes}
            return [replace(n, **changed) if n.name == LEARNED else n for n in plain(self, p)]

        monkeypatch.setattr(toy.ToyTask, "nodes", nodes)
        return experiment(learn=[True], rank=list(ranks))

    return make


def errors(made):
    return {track: scores["error"] for _, _, track, scores in made.results().rows}


def fits(made):
    return sorted((made.cache / "toy" / "toy" / "_fit" / LEARNED).glob("*.h5"))


def from_other(dataset, track):
    """Return the tracks of the other dataset, beside the one that is given."""
    found = DATASETS["other"](dataset.roots)
    if found.folder is None:
        raise DataError("other: not here")
    return [("other", name) for name in found.track_ids()]


def test_templates_of_another_dataset(learning, other):
    made = learning(from_other)
    assert run(made) == (3, 0, 0)
    assert calls("learn") == [("learn", 2)]
    # |rank · (value + 1 + 2) + (5 + 6) / 2 − 6|
    assert errors(made) == {"one": 2.5, "two": 3.5, "three": 4.5}
    assert len(fits(made)) == 1
    (other / "six.txt").write_text("7\n")
    assert run(made) == (3, 0, 0)
    assert errors(made)["one"] == 3


def test_the_loader_of_the_other_dataset_is_in_the_key(learning, other, monkeypatch):
    made = learning(from_other, parts=("audio",), compute=with_audio)
    assert run(made) == (3, 0, 0)
    assert run(made) == (0, 3, 0)
    monkeypatch.setattr(DATASETS["other"], "version", 2)
    assert run(made) == (3, 0, 0)
    assert len(calls("learn")) == 1


def every_track(dataset, track):
    return [("toy", name) for name in dataset.track_ids()]


def with_audio(params, scale, audio):
    both = list(zip(scale, audio, strict=True))
    for scaled, part in both:
        np.testing.assert_array_equal(scaled["V"], part["values"])
    return toy.learn(params, [scaled for scaled, _ in both])


def test_where_the_other_dataset_is_absent_its_artifact_serves(learning, other, data):
    made = learning(from_other)
    run(made)
    before = errors(made)
    shutil.rmtree(other)
    assert errors(made) == before
    assert run(made) == (0, 3, 0)
    (data / "one.ref").write_text("0\n")
    assert run(made) == (1, 2, 0)
    assert calls("learn") == []


def test_nothing_to_learn_from_is_told_with_its_reason(learning, other):
    shutil.rmtree(other)
    report = learning(from_other).compute()
    told = {reason for *_, reason in report.failures}
    assert told == {f"{LEARNED}: no track to learn from: other: not here"}


def leave_out(dataset, track):
    """Return the tracks of the other folds: one and two are one fold, three is the other."""
    fold = [("toy", "one"), ("toy", "two")]
    return [("toy", "three")] if ("toy", track) in fold else fold


def test_one_artifact_per_fold_and_not_per_track(learning):
    made = learning(leave_out, ranks=(1, 2))
    assert run(made) == (6, 0, 0)
    assert sorted(calls("learn")) == [("learn", 1), ("learn", 2)]
    assert len(fits(made)) == 2
    means = {"one": 5 / 3, "two": 5 / 3, "three": (1 + 4 / 3) / 2}
    values = {"one": 0, "two": 1, "three": 2}
    rows = made.results().rows
    assert len(rows) == 6
    for setting, _, track, scores in rows:
        total = setting.values["rank"] * (values[track] + 3) + means[track]
        assert scores["error"] == pytest.approx(abs(total - 6))


def test_sets_are_learned_before_other_jobs_one_job_each(learning):
    made = learning(leave_out, ranks=(1, 2))
    units, _ = made.units(made.select())
    found = jobs.fit_jobs(units)
    assert [job.fit_only for job in found] == [True, True]
    assert [len(job.units) for job in found] == [1, 1]  # the same node whatever the rank
    assert {job.units[0][3] for job in found} == {"one", "three"}


def test_tracks_are_streamed(learning, data):
    alive, most = set(), []

    def loads(params, scale):
        total, count = 0.0, 0
        for _ in range(2):  # it can be gone through again
            for one in scale:
                assert not one["V"].flags.writeable
                total, count = total + one["V"].mean(), count + 1
                alive.update(opened(made_units))
                most.append(len(opened(made_units)))
        assert count == 2 * len(scale) == 6
        return {"mean": total / count}

    def opened(units):
        """Return the tracks whose features are in memory."""
        return {
            track
            for (_, track), one in units[0].tracks._opened.items()
            if one.memory.get(units[0].graph.keys.get(("toy", track, "features.scale")))
        }

    made = learning(every_track, compute=loads)
    made_units, _ = made.units(made.select({"rank": 1}))
    unit = next(unit for unit in made_units if unit.track == "two")
    unit.get(LEARNED)
    assert alive == {"one", "two", "three"}
    assert max(most) <= 2  # the one whose turn it is, and the track that asks
    assert unit.tracks.tally.computed["features.scale"] == 3


def test_seconds_of_what_is_learned_from_are_not_those_of_learning(learning, monkeypatch):
    clock, plain = [0.0], toy.scale

    def slow(params, audio):
        clock[0] += 1
        return plain(params, audio)

    def learn(params, scale):
        made = toy.learn(params, scale)
        clock[0] += 0.25
        return made

    monkeypatch.setattr(toy, "scale", slow)
    monkeypatch.setattr("nmfab.run.unit.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    seconds = learning(every_track, compute=learn).compute().tally.seconds
    assert seconds["features.scale"] == 3
    assert seconds[LEARNED] == 0.25


def test_refreshing_learns_once_whatever_the_number_of_tracks(learning):
    made = learning(every_track)
    run(made)
    assert run(made, refresh="postprocessing") == (3, 0, 0)
    assert len(calls("learn")) == 1
    assert len(calls("score")) == 3


def test_a_track_that_cannot_be_read_is_the_reason(learning, data):
    (data / "bad.txt").write_text("words\n")
    (data / "bad.ref").write_text("1\n")
    made = learning(lambda dataset, track: [("toy", "bad")])
    made.track_choice = ["one"]
    (reason,) = {reason for *_, reason in made.compute().failures}
    assert reason.startswith("features.scale: ")
    assert "words" in reason


def test_explain_counts_what_is_learned_once(learning, other):
    made = learning(from_other)
    units, _ = made.units(made.select())
    counts = {line.node: (line.action, line.count) for line in explain(units)}
    assert counts[LEARNED] == ("compute", 1)
    assert forecast(made.context().store(), units).to_compute[LEARNED] == 1
    run(made)
    units, _ = made.units(made.select())
    counts = {line.node: (line.action, line.count) for line in explain(units)}
    assert counts[LEARNED] == ("reuse", 1)
    assert counts["features.scale"] == ("reuse", 3)
    (other / "six.txt").write_text("8\n")
    units, _ = made.units(made.select())
    told = {line.node: line.reason for line in explain(units)}
    assert told[LEARNED] == "learned from other tracks (against the nearest that exists)"


def test_looking_leaves_no_trace_of_a_track(learning, other):
    made = learning(from_other)
    units, _ = made.units(made.select())
    explain(units)
    assert {line.reason for line in explain(units)} == {"nothing of this track has been computed"}
    assert not any(unit.begun for unit in units)


def test_explain_tells_what_cannot_be_learned_from(learning, other):
    made = learning(lambda dataset, track: [("other", "seven")])
    assert {reason for *_, reason in made.compute().failures} == {
        f"{other / 'seven.txt'}: there is no such track"
    }
    (other / "seven.txt").write_text("1\n")
    (other / "seven.ref").write_text("1\n")
    run(made)
    (other / "seven.ref").unlink()
    units, _ = made.units(made.select())
    (line,) = [line for line in explain(units) if line.action == "fail"]
    assert "seven.ref cannot be read" in line.reason
