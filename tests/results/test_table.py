"""Means, spreads and tests, each worked out by hand or by scipy on plain lists."""

import math
import random
from statistics import fmean, stdev

import pytest
from scipy.stats import wilcoxon
from scored import CD, MU, Toy, datasets, results  # noqa: F401 - a fixture

from nmfab.base.errors import UsageError
from nmfab.results.table import Results


def rows_of(summary):
    return {tuple(row.values.values()): row for block in summary.blocks for row in block.rows}


def test_means_are_over_the_tracks_that_all_have():
    found = results({MU: {"a": 0.1, "b": 0.5, "c": 0.9}, CD: {"b": 0.4, "c": 0.2, "d": 1.0}})
    (block,) = found.summary(["F"]).blocks
    assert block.tracks == ["b", "c"]
    assert block.left_out == ["a", "d"]
    mu, cd = (row.cells["F"] for row in block.rows)
    assert mu.mean == pytest.approx(0.7)
    assert mu.deviation == pytest.approx(math.sqrt(0.08))  # of 0.5 and 0.9
    assert cd.mean == pytest.approx(0.3)
    assert (mu.tracks, mu.best, cd.best) == (2, True, False)
    assert math.isnan(mu.spread)


def test_a_row_without_results_is_shown_and_costs_the_others_no_track():
    found = results(
        {MU: {"a": 0.1, "b": 0.5}}, missing=[(CD, "one", "a", "no"), (CD, "one", "b", "no")]
    )
    (block,) = found.summary(["F"]).blocks
    assert block.tracks == ["a", "b"]
    mu, cd = block.rows
    assert mu.cells["F"].mean == pytest.approx(0.3)
    assert math.isnan(cd.cells["F"].mean)
    assert cd.missing == {"no": 2}
    assert cd.seeds == 0
    assert results({}).summary().blocks[0].rows[0].missing == {"not computed": 1}


def test_a_number_that_is_not_defined_leaves_its_track_out_for_all():
    nan = math.nan
    found = results({MU: {"a": 0.1, "b": 0.5, "c": nan}, CD: {"a": 0.3, "b": nan, "c": 0.7}})
    (block,) = found.summary(["F"]).blocks
    assert block.tracks == ["a", "b", "c"]
    mu, cd = (row.cells["F"] for row in block.rows)
    assert (mu.mean, cd.mean) == (0.1, 0.3)
    assert (mu.tracks, mu.undefined, cd.undefined) == (1, 1, 1)
    assert math.isnan(mu.deviation)


def test_a_metric_that_one_row_never_has_costs_the_others_nothing():
    nan = math.nan
    found = results({MU: {"a": 0.1, "b": 0.5}, CD: {"a": nan, "b": nan}})
    mu, cd = (row.cells["F"] for row in found.summary(["F"]).blocks[0].rows)
    assert (mu.mean, mu.tracks, cd.tracks, cd.undefined) == (pytest.approx(0.3), 2, 0, 2)
    assert math.isnan(cd.mean)


def test_seeds_are_folded():
    plan = {"algorithm": ["mu"], "init": ["random", "nndsvda"], "seed": [0, 1, 2]}
    text = "dataset=one,algorithm=mu,init=random,seed={}"
    scores = [{"a": 0.1, "b": 0.3}, {"a": 0.3, "b": 0.7}, {"a": 0.2, "b": 0.2}]
    table = {text.format(seed): numbers for seed, numbers in enumerate(scores)}
    table["dataset=one,algorithm=mu,init=nndsvda"] = {"a": 0.5, "b": 0.5}
    summary = results(table, plan).summary(["F"])
    assert summary.folded == "seed"
    assert summary.columns == ["init"]
    rows = rows_of(summary)
    cell = rows["one", "mu", "random"].cells["F"]
    assert cell.mean == pytest.approx(0.3)
    assert cell.deviation == pytest.approx(stdev([0.2, 0.4]))  # means over seeds of a and b
    assert cell.spread == pytest.approx(stdev([0.2, 0.5, 0.2]))  # means over tracks of each seed
    assert rows["one", "mu", "random"].seeds == 3
    assert math.isnan(rows["one", "mu", "nndsvda"].cells["F"].spread)
    apart = results(table, plan).summary(["F"], across=None)
    assert len(apart.blocks[0].rows) == 4
    assert apart.columns == ["init", "seed"]


def test_a_seed_that_lacks_a_track_takes_it_from_all():
    plan = {"init": ["random"], "seed": [0, 1]}
    text = "dataset=one,init=random,seed={}"
    found = results({text.format(0): {"a": 1, "b": 0}, text.format(1): {"a": 0.5}}, plan)
    (row,) = found.summary(["F"]).blocks[0].rows
    assert row.cells["F"].mean == 0.75
    assert row.cells["F"].tracks == 1


def test_best_is_among_ordinary_rows_and_follows_the_metric():
    plan = {"dataset": ["one"], "row": ["regular", "oracle"]}
    table = {
        MU: {"a": {"F": 0.5, "error": 2.0, "count": 3}},
        CD: {"a": {"F": 0.4, "error": 1.0, "count": 5}},
        "dataset=one,row=regular": {"a": {"F": 0.9, "error": 0.1, "count": 9}},
        "dataset=one,row=oracle": {"a": {"F": 1.0, "error": 0.0, "count": 9}},
    }
    rows = rows_of(results(table, rest=plan).summary())
    best = {(key[1], name) for key, row in rows.items() for name, c in row.cells.items() if c.best}
    assert best == {("mu", "F"), ("cd", "error")}
    assert [row.kind for row in rows.values()] == ["", "", "baseline", "oracle"]
    one = results({MU: {"a": 0.5}}, {"algorithm": ["mu"]}).summary(["F"])
    assert not one.blocks[0].rows[0].cells["F"].best


def test_datasets_and_protocols_are_never_averaged_together():
    plan = {"dataset": ["one", "two"], "excerpt": ["short", "full"]}
    text = "dataset={},excerpt={}"
    values = {("one", "short"): 1, ("one", "full"): 2, ("two", "short"): 3, ("two", "full"): 4}
    found = results({text.format(*place): {"a": v} for place, v in values.items()}, plan)
    blocks = found.summary(["F"]).blocks
    found = {(b.dataset, b.protocol): b.rows[0].cells["F"].mean for b in blocks}
    assert found == {(name, f"excerpt={excerpt}"): v for (name, excerpt), v in values.items()}


def test_order_of_settings_and_rows_changes_no_number():
    rng = random.Random(0)
    table = {text: {str(t): rng.random() for t in range(5)} for text in (MU, CD)}
    found = results(table)
    again = Results(Toy(), found.grid, found.settings[::-1], found.rows[::-1])
    first, second = rows_of(found.summary(["F"])), rows_of(again.summary(["F"]))
    assert {k: r.cells for k, r in first.items()} == {k: r.cells for k, r in second.items()}


def test_the_long_table_holds_every_result_and_every_missing_one():
    plan = {"algorithm": ["mu"], "init": ["random", "nndsvda"], "seed": [0, 1]}
    text = "dataset=one,algorithm=mu,init=random,seed=1"
    deterministic = "dataset=one,algorithm=mu,init=nndsvda"
    found = results(
        {text: {"a": {"F": 0.5, "error": math.nan, "count": 2}}},
        plan,
        missing=[
            (deterministic, "one", "a", "not computed"),
            (deterministic, "two", None, "absent"),
        ],
    )
    frame = found.to_frame()
    assert list(frame) == [
        *("dataset", "algorithm", "init", "seed"),
        *("kind", "track", "status", "F", "error", "count"),
    ]
    assert list(frame["status"]) == ["done", "not computed", "absent"]
    assert list(frame["seed"]) == [1, None, None]
    assert type(frame["seed"][0]) is int
    assert frame["F"].dtype == float
    assert list(frame["F"].isna()) == [False, True, True]


def paired(n, shift=0.1, seed=0):
    rng = random.Random(seed)
    first = {str(t): rng.random() for t in range(n)}
    return first, {t: v + shift * rng.random() - 0.02 for t, v in first.items()}


def test_comparison_with_a_named_reference():
    mu, cd = paired(12)
    found = results({MU: mu, CD: cd})
    (other,) = found.compare({"algorithm": "mu"}, "F")
    expected = wilcoxon([cd[t] for t in mu], [mu[t] for t in mu])
    assert other.p == pytest.approx(expected.pvalue)
    assert other.tracks == 12
    assert other.difference == pytest.approx(fmean(cd[t] - mu[t] for t in mu))
    assert other.row.values["algorithm"] == "cd"
    (same,) = found.compare(found.settings[0], "F")
    assert same.p == other.p


def test_six_tracks_that_all_improve_give_the_smallest_p_there_is():
    mu = {str(t): t / 10 for t in range(6)}
    cd = {str(t): t / 10 + 0.01 * (t + 1) for t in range(6)}
    (other,) = results({MU: mu, CD: cd}).compare({"algorithm": "mu"}, "F")
    assert other.p == pytest.approx(2 / 2**6)


@pytest.mark.parametrize(("tracks", "words"), [(5, "5 tracks in common"), (0, "0 tracks")])
def test_below_six_tracks_there_is_no_test(tracks, words):
    mu, cd = paired(max(tracks, 1))
    cd = cd if tracks else {"elsewhere": 1.0}
    (other,) = results({MU: mu, CD: cd}).compare({"algorithm": "mu"}, "F")
    assert math.isnan(other.p)
    assert words in other.refused


def test_tracks_that_do_not_differ_do_not_count():
    mu = {str(t): 0.5 for t in range(8)}
    cd = {**mu, "0": 0.6, "1": 0.7}
    (other,) = results({MU: mu, CD: cd}).compare({"algorithm": "mu"}, "F")
    assert "2 tracks that differ" in other.refused


@pytest.mark.parametrize(
    ("reference", "metric", "words"),
    [
        ({"algorithm": "mu"}, "G", "unknown metric 'G'"),
        ({"algorithm": "hals"}, "F", "names no row"),
        ({"dataset": "one"}, "F", "names 2 rows"),
        ({"algorithm": "cd"}, "F", "has no result for F"),
    ],
)
def test_a_reference_is_one_row_with_results(reference, metric, words):
    with pytest.raises(UsageError, match=words):
        results({MU: {"a": 1.0}}).compare(reference, metric)
