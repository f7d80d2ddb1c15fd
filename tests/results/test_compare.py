"""Comparisons and means where datasets, protocols or seeds are several, worked out by hand."""

import itertools
import math
import random
from statistics import fmean, stdev

import pytest
from scipy.stats import wilcoxon
from scored import CD, MU, Toy, datasets, results  # noqa: F401 - a fixture

from nmfab.base.errors import UsageError
from nmfab.report.terminal import results_table
from nmfab.results.summary import Absent
from nmfab.results.table import Results

TRACKS = [str(t) for t in range(8)]
PLACES = {"dataset": ["one", "two"], "excerpt": ["short", "full"]}


@pytest.fixture
def placed():
    """Two algorithms on two datasets in two protocols, with tracks of the same names."""
    rng = random.Random(1)
    plan = {**PLACES, "algorithm": ["mu", "cd"]}
    made = results({}, plan)
    return results({s.text: {t: rng.random() for t in TRACKS} for s in made.settings}, plan)


def scores_of(found, **factors):
    (setting,) = [s for s in found.settings if factors.items() <= s.values.items()]
    return {track: scores["F"] for s, _, track, scores in found.rows if s == setting}


@pytest.mark.parametrize(("dataset", "excerpt"), list(itertools.product(*PLACES.values())))
def test_a_comparison_stays_in_its_dataset_and_protocol(placed, dataset, excerpt):
    place = {"dataset": dataset, "excerpt": excerpt}
    (other,) = placed.compare({"algorithm": "mu", **place}, "F")
    assert other.row.values == {"algorithm": "cd", **place}
    mu, cd = (scores_of(placed, algorithm=name, **place) for name in ("mu", "cd"))
    assert other.tracks == 8
    assert other.difference == pytest.approx(fmean(cd[t] - mu[t] for t in TRACKS))
    assert other.p == pytest.approx(wilcoxon([cd[t] - mu[t] for t in TRACKS]).pvalue)


def test_a_reference_that_names_no_dataset_is_one_of_several(placed):
    with pytest.raises(UsageError, match="names 4 rows"):
        placed.compare({"algorithm": "mu"}, "F")
    with pytest.raises(UsageError, match="names 2 rows"):
        placed.compare({"algorithm": "mu", "dataset": "one"}, "F")


def test_the_reference_may_be_a_row_of_the_summary(placed):
    for row in (row for block in placed.summary(["F"]).blocks for row in block.rows):
        (other,) = placed.compare(row, "F")
        assert other.row.values == {**row.values, "algorithm": other.row.values["algorithm"]}
        assert other.row.values != row.values


SEEDS = {"algorithm": ["mu", "cd"], "init": ["random"], "seed": [0, 1, 2]}


def seeded(mu, cd):
    """Build results from a dict of track → F for each seed; None is a seed without results."""
    table = {
        f"dataset=one,algorithm={name},init=random,seed={seed}": scores
        for name, seeds in (("mu", mu), ("cd", cd))
        for seed, scores in enumerate(seeds)
        if scores is not None
    }
    return results(table, SEEDS)


def test_seeds_of_unequal_number_are_averaged_by_themselves():
    found = seeded(
        [{"a": 0.1, "b": 0.5}, {"a": 0.3, "b": 0.9}, {"a": 0.5, "b": 0.1}],
        [{"a": 0.2, "b": 0.4}, None, {"a": 0.6, "b": 0.0}],
    )
    mu, cd = found.summary(["F"]).blocks[0].rows
    assert (mu.seeds, cd.seeds, len(cd.settings)) == (3, 2, 3)
    assert mu.cells["F"].mean == pytest.approx((0.3 + 0.5) / 2)
    assert mu.cells["F"].deviation == pytest.approx(stdev([0.3, 0.5]))
    assert mu.cells["F"].spread == pytest.approx(stdev([0.3, 0.6, 0.3]))
    assert cd.cells["F"].mean == pytest.approx((0.4 + 0.2) / 2)
    assert cd.cells["F"].deviation == pytest.approx(stdev([0.4, 0.2]))
    assert cd.cells["F"].spread == pytest.approx(0.0)
    assert (mu.cells["F"].tracks, cd.cells["F"].tracks) == (2, 2)
    shown = results_table(found, "F").splitlines()
    (line,) = [line for line in shown if line.startswith("cd")]
    assert line.split()[1] == "2/3"
    (line,) = [line for line in shown if line.startswith("mu")]
    assert line.split()[1] == "3"


def test_a_mean_is_over_tracks_and_not_over_seeds_and_tracks_together():
    # with NaN on one seed the track is left out for all seeds and rows
    found = seeded(
        [{"a": 0.0, "b": 1.0}, {"a": math.nan, "b": 0.5}, None], [{"a": 0.9, "b": 0.7}, None, None]
    )
    mu, cd = (row.cells["F"] for row in found.summary(["F"]).blocks[0].rows)
    assert (mu.mean, mu.tracks, mu.undefined) == (0.75, 1, 1)
    assert (cd.mean, cd.tracks, cd.undefined) == (0.7, 1, 0)
    assert mu.spread == pytest.approx(stdev([1.0, 0.5]))
    assert math.isnan(cd.spread)


def test_seeds_of_unequal_number_are_compared_by_their_means_per_track():
    rng = random.Random(2)
    mu = [{t: rng.random() for t in TRACKS} for _ in range(3)]
    cd = [{t: rng.random() for t in TRACKS}, None, {t: rng.random() for t in TRACKS}]
    (other,) = seeded(mu, cd).compare({"algorithm": "mu"}, "F")
    ours = [fmean(seed[t] for seed in mu) for t in TRACKS]
    theirs = [fmean((cd[0][t], cd[2][t])) for t in TRACKS]
    assert other.tracks == len(TRACKS)
    assert other.difference == pytest.approx(fmean(theirs) - fmean(ours))
    assert other.p == pytest.approx(wilcoxon(theirs, ours).pvalue)


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_track_that_one_seed_lacks_is_compared_in_none(lacking):
    rng = random.Random(3)
    mu = [{t: rng.random() for t in TRACKS} for _ in range(3)]
    cd = [{t: rng.random() for t in TRACKS} for _ in range(3)]
    del cd[lacking]["4"]
    mu[lacking]["2"] = math.nan
    (other,) = seeded(mu, cd).compare({"algorithm": "mu"}, "F")
    kept = [t for t in TRACKS if t not in ("2", "4")]
    assert other.tracks == 6
    expected = fmean(fmean(c[t] for c in cd) - fmean(m[t] for m in mu) for t in kept)
    assert other.difference == pytest.approx(expected)


def test_rows_are_compared_seed_by_seed_where_nothing_is_folded():
    rng = random.Random(4)
    seeds = [{t: rng.random() for t in TRACKS} for _ in range(3)]
    found = seeded(seeds, [None] * 3)
    compared = found.compare({"algorithm": "mu", "seed": 0}, "F", across=None)
    assert [other.row.values["seed"] for other in compared] == [1, 2, 0, 1, 2]
    assert [other.tracks for other in compared] == [8, 8, 0, 0, 0]
    assert compared[1].difference == pytest.approx(fmean(seeds[2][t] - seeds[0][t] for t in TRACKS))


def timed(mu, cd):
    found = results({MU: {"a": 0.9, "b": 0.9}, CD: {"a": 0.1, "b": 0.1}})
    seconds = [mu if row[0].text == MU else cd for row in found.rows]
    return Results(
        Toy(), found.grid, found.settings, found.rows, (), seconds, "measured alone on x"
    )


@pytest.mark.parametrize(("mu", "cd", "fastest"), [(1.0, 4.0, "mu"), (4.0, 1.0, "cd")])
def test_the_fastest_is_the_best_of_seconds(mu, cd, fastest):
    found = timed(mu, cd)
    rows = found.summary(["seconds", "F"]).blocks[0].rows
    assert [r.values["algorithm"] for r in rows if r.cells["seconds"].best] == [fastest]
    assert [r.values["algorithm"] for r in rows if r.cells["F"].best] == ["mu"]
    shown = results_table(found, "seconds")
    assert "seconds [s]" in shown
    assert "1.00* " in shown
    assert "4.00*" not in shown
    assert shown.splitlines()[-1] == "measured alone on x"
    assert "measured alone" not in results_table(found, "F")


def test_seconds_are_compared_too():
    found = timed(1.0, 4.0)
    (other,) = found.compare({"algorithm": "mu"}, "seconds")
    assert other.difference == 3.0


def test_ties_are_all_best_and_no_direction_has_no_best():
    scores = {"F": 0.5, "error": 2.0, "count": 3}
    rows = results({MU: {"a": scores}, CD: {"a": scores | {"count": 1}}}).summary().blocks[0].rows
    assert [row.cells["F"].best for row in rows] == [True, True]
    assert [row.cells["error"].best for row in rows] == [True, True]
    assert not any(row.cells["count"].best for row in rows)


def test_notes_of_the_task_stand_below_the_table_of_their_block(monkeypatch):
    def notes(self, given):
        return [f"{len(given)} settings, {sum(len(tracks) for _, tracks in given)} results"]

    monkeypatch.setattr(Toy, "notes", notes)
    plan = {"dataset": ["one", "two"], "algorithm": ["mu", "cd"]}
    names = ["dataset=one,algorithm=mu", "dataset=two,algorithm=mu", "dataset=two,algorithm=cd"]
    found = results({name: {"a": 0.5, "b": 0.25} for name in names}, plan)
    blocks = {block.dataset: block.notes for block in found.summary(["F"]).blocks}
    assert blocks == {"one": ["1 settings, 2 results"], "two": ["2 settings, 4 results"]}
    for what in ("F", "algorithm:F"):
        lines = results_table(found, what).splitlines()
        assert "one: 1 settings, 2 results" in lines
        assert "two: 2 settings, 4 results" in lines


@pytest.mark.parametrize("same", [0, 1, 2])
def test_tracks_that_do_not_differ_are_left_out_of_the_test(same):
    rng = random.Random(5)
    mu = {t: rng.random() for t in TRACKS}
    cd = {t: v + (0 if int(t) < same else rng.random() - 0.3) for t, v in mu.items()}
    (other,) = results({MU: mu, CD: cd}).compare({"algorithm": "mu"}, "F")
    expected = wilcoxon([cd[t] - mu[t] for t in TRACKS[same:]])
    assert (other.tracks, other.p) == (8, pytest.approx(expected.pvalue))
    assert other.difference == pytest.approx(fmean(cd[t] - mu[t] for t in TRACKS))


def test_missing_results_of_all_seeds_are_counted_by_their_reason():
    names = [f"dataset=one,algorithm=mu,init=random,seed={seed}" for seed in range(3)]
    reasons = [(names[0], "a", "damaged"), (names[0], "b", "damaged"), (names[1], "a", "damaged")]
    missing = [(name, "one", track, why) for name, track, why in reasons]
    missing.append((names[1], "one", "b", "silent"))
    found = results({names[2]: {"a": 0.5, "b": 0.5}}, SEEDS | {"algorithm": ["mu"]}, missing)
    (row,) = found.summary(["F"]).blocks[0].rows
    assert row.missing == {"damaged": 3, "silent": 1}
    assert row.seeds == 1
    shown = results_table(found, "F").splitlines()
    assert "3 results missing: damaged" in shown
    assert "1 result missing: silent" in shown
    assert next(line for line in shown if "0.500" in line).split()[-1] == "4"


def test_what_says_where_a_table_is_from_is_no_column(placed):
    summary = placed.summary(["F"])
    assert summary.columns == ["algorithm"]
    assert summary.fixed == {}
    one = placed.summary(["F"]).blocks[0]
    assert (one.dataset, one.protocol) == ("one", "excerpt=short")
    assert "excerpt=short" in results_table(placed, "F").splitlines()[0]


def test_a_dataset_that_is_absent_has_no_table_where_another_has_one(placed):
    lost = {"two": Absent(4, "two: get it", nowhere=True)}
    found = Results(Toy(), placed.grid, placed.settings, placed.rows, absent=lost)
    summary = found.summary(["F"])
    assert {block.dataset for block in summary.blocks} == {"one"}
    assert summary.absent == ["two: get it"]
    assert "left out: two: get it" in results_table(found, "F").splitlines()
    lost["one"] = Absent(4, "one: get it", nowhere=True)
    found = Results(Toy(), placed.grid, placed.settings, placed.rows, absent=lost)
    assert {block.dataset for block in found.summary(["F"]).blocks} == {"one", "two"}
    assert found.summary(["F"]).absent == []


def test_results_that_are_missing_for_one_reason_are_counted_over_rows():
    missing = [(name, "one", track, "damaged") for name in (MU, CD) for track in "ab"]
    shown = results_table(results({}, missing=missing), "F").splitlines()
    assert "4 results missing: damaged" in shown


def test_a_row_without_a_factorization_needs_no_seconds():
    rest = {"dataset": ["one"], "row": ["regular"]}
    found = results({MU: {"a": 0.9}, "dataset=one,row=regular": {"a": 0.5}}, rest=rest)
    seconds = [1.5 if row[0].text == MU else math.nan for row in found.rows]
    shown = results_table(
        Results(Toy(), found.grid, found.settings[::2], found.rows, (), seconds, "alone"), "seconds"
    )
    assert "1.50" in shown
    assert "no number" not in shown
