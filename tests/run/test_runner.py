"""Jobs and processes: what is computed, reused, refreshed, and what fails."""

import pytest
import toy
from toy import calls, run

from nmfab.base.errors import NmfabError, UsageError
from nmfab.run.jobs import track_jobs


def test_a_rerun_computes_nothing(experiment):
    made = experiment(rank=[1, 2])
    assert run(made) == (6, 0, 0)
    assert run(made) == (0, 6, 0)
    assert toy.CALLS == []


def test_a_new_track_is_all_that_runs(experiment, data):
    run(experiment())
    (data / "four.txt").write_text("1\n")
    (data / "four.ref").write_text("1\n")
    assert run(experiment()) == (1, 3, 0)


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


def test_the_problems_of_a_batch_stay_in_one_job(experiment):
    made = experiment(init=["random"], seed=[1, 2, 3], gain=[1, 2])
    made.track_choice = 1
    units, _ = made.units(made.select())
    found = track_jobs(units, 4)
    gains = [[parameters["gain"] for _, parameters, _, _ in job.units] for job in found]
    assert sorted(gains) == [[1, 1, 1], [2, 2, 2]]
    (alone,) = track_jobs(units, 1)
    assert [index for index, *_ in alone.units] == list(range(6))
    assert not alone.fit_only
