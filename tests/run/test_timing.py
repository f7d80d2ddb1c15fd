"""Factorizations computed alone, for their seconds."""

import h5py
import numpy as np
import pytest
import toy
from toy import calls, run

from nmfab.base.errors import UsageError
from nmfab.run.seconds import measured
from nmfab.store.files import Store


def timings(experiment):
    """Return the timing in the provenance of each factorization, by track and key."""
    place = {}
    for path in sorted((experiment.cache / "toy").glob("toy/*/nmf.factorize/*.h5")):
        track = Store(experiment.cache, "toy").place("toy", path.parts[-3])
        told = track.provenances("nmf.factorize")[path.stem]
        place[path.parts[-3], path.stem] = told.get("timing")
    return place


def bytes_of_arrays(experiment):
    found = {}
    for path in sorted((experiment.cache / "toy").glob("toy/*/nmf.factorize/*.h5")):
        with h5py.File(path) as file:
            found[path] = file["W"][()].tobytes()
    return found


def test_timing_computes_alone_and_says_where(experiment):
    made = experiment(rank=[1, 2])
    made.timing, made.threads = True, 1
    assert run(made) == (6, 0, 0)
    assert calls("batch") == []
    told = timings(made).values()
    assert len(told) == 6
    assert {(t["device"], t["threads"]) for t in told} == {("cpu", 1)}
    assert all(t["seconds"] >= 0 and t["host"] for t in told)
    assert run(made) == (0, 6, 0)
    assert calls("factorize") == []


def test_timing_leaves_the_arrays_of_what_exists(experiment):
    made = experiment(rank=[1, 2])
    run(made)
    assert set(timings(made).values()) == {None}
    before = bytes_of_arrays(made)
    made.timing, made.threads = True, 1
    toy.CALLS.clear()
    report = made.compute()
    assert (report.computed, report.reused) == (0, 6)
    assert report.tally.timed == {"nmf.factorize": 6}
    assert calls("score") == []
    assert bytes_of_arrays(made) == before
    assert None not in timings(made).values()
    arrays = made.load("nmf.factorize", {"rank": 2}, "one")  # the checksum still fits
    np.testing.assert_array_equal(arrays["W"], np.array([0, 2, 4]))


def test_another_number_of_threads_is_measured_again(experiment):
    made = experiment()
    made.timing, made.threads = True, 1
    run(made)
    made.threads = 2
    assert made.compute().tally.timed == {"nmf.factorize": 3}
    assert {timing["threads"] for timing in timings(made).values()} == {2}


def test_a_curve_of_more_points_is_measured_again_and_one_of_fewer_is_not(experiment):
    made = experiment(rank=[1])
    made.timing, made.threads = True, 1
    run(made)
    made.curve = 50
    assert made.compute().tally.timed == {"nmf.factorize": 3}
    assert {timing["points"] for timing in timings(made).values()} == {50}
    made.curve = 20
    assert made.compute().tally.timed == {}


def test_seconds_stand_in_the_table_where_they_compare(experiment):
    made = experiment(rank=[1, 2])
    made.timing, made.threads = True, 1
    run(made, {"rank": 1})
    made.timing = False
    run(made)
    assert "seconds" not in made.results().metrics
    made.timing = True
    seconds = made.results().to_frame().set_index(["rank", "track"])["seconds"]
    assert seconds[1].notna().all()
    assert seconds[2].isna().all()
    made.threads = 2
    run(made, {"rank": 2})
    found = made.results()
    assert found.to_frame()["seconds"].isna().all()
    assert "not comparable" in found.seconds_note
    assert made.results({"rank": 2}).to_frame()["seconds"].notna().all()


def test_seconds_are_the_algorithm_s_own_where_it_counts_them():
    assert measured({"seconds": np.array([0.0, 1.5])}, 9.0)["seconds"] == 1.5
    assert measured({"W": np.ones(2)}, 9.0)["seconds"] == 9.0


def test_timing_refuses_jobs_beside_each_other(experiment):
    made = experiment()
    made.timing = True
    with pytest.raises(UsageError, match="4 jobs"):
        made.compute(jobs=4)


@pytest.mark.parametrize("damage", [b"", None])
def test_a_factorization_that_was_lost_is_computed_and_measured(experiment, damage):
    made = experiment()
    run(made)
    for path in (made.cache / "toy" / "toy" / "two" / "nmf.factorize").iterdir():
        path.unlink() if damage is None else path.write_bytes(damage)
    made.timing, made.threads = True, 1
    report = made.compute()
    assert (report.computed, report.reused) == (0, 3)
    assert report.tally.timed == {"nmf.factorize": 2}
    assert report.tally.computed == {"nmf.factorize": 1}
    assert len(timings(made)) == 3
    assert None not in timings(made).values()
    assert made.compute().tally.timed == {}


def test_a_run_that_is_timed_has_a_curve_of_its_own(experiment, monkeypatch):
    """Seconds of a batch are those of all its problems; `load` gives a problem's own once timed."""

    def curve(seconds, iterations):
        return {
            "iteration": np.arange(iterations),
            "seconds": np.linspace(0, seconds, iterations),
            "loss": np.append(np.ones(iterations - 1), np.nan),
        }

    alone, together = toy.factorize, toy.factorize_batch

    def one(params, scale):
        return {**alone(params, scale), **curve(0.5, 3), "batch": 1}

    def several(listed, scale):
        return [{**made, **curve(3.0, 4), "batch": len(listed)} for made in together(listed, scale)]

    monkeypatch.setattr(toy, "factorize", one)
    monkeypatch.setattr(toy, "factorize_batch", several)
    made = experiment(init=["random"], seed=[1, 2])
    run(made)
    found = made.load("nmf.factorize", {"seed": 1}, "one")
    assert found["batch"] == 2
    assert found["seconds"][-1] == 3
    made.timing, made.threads = True, 1
    assert made.compute().tally.timed == {"nmf.factorize": 6}
    found = made.load("nmf.factorize", {"seed": 1}, "one")
    assert found["batch"] == 1
    np.testing.assert_array_equal(found["seconds"], [0, 0.25, 0.5])
    np.testing.assert_array_equal(found["iteration"], [0, 1, 2])
    np.testing.assert_array_equal(found["loss"], [1, 1, np.nan])
    np.testing.assert_array_equal(found["W"], [1, 3, 5])
    assert {timing["seconds"] for timing in timings(made).values()} == {0.5}
    assert made.results().to_frame()["seconds"].tolist() == [0.5] * 6
    first = experiment(init=["random"], seed=[3])
    first.timing, first.threads = True, 1
    run(first)
    assert {told["batch"] for told in provenances(first)} == {1, 2}
    np.testing.assert_array_equal(
        first.load("nmf.factorize", {"seed": 3}, "one")["seconds"], [0, 0.25, 0.5]
    )


def provenances(experiment):
    units, _ = experiment.units(experiment.select())
    place = units[0].opened.place
    return place.provenances("nmf.factorize").values()
