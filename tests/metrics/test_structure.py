"""Hit rates worked out by hand, and against mir_eval's own evaluation."""

import mir_eval
import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.metrics.structure import detection, evaluate, validate


def _sections(*times):
    return np.column_stack([times[:-1], times[1:]]).astype(float)


REFERENCE = _sections(0, 10, 20, 30, 40)


def test_hits_by_hand():
    # boundaries 0, 10.4, 22, 31, 40 against 0, 10, 20, 30, 40: three within 0.5 s, five within 3
    estimate = _sections(0, 10.4, 22, 31, 40)
    scores = evaluate(REFERENCE, estimate)
    assert scores == {
        "F0.5": pytest.approx(3 / 5),
        "P0.5": pytest.approx(3 / 5),
        "R0.5": pytest.approx(3 / 5),
        "F3": 1.0,
        "P3": 1.0,
        "R3": 1.0,
        "segments": 4.0,
    }


def test_precision_and_recall_are_not_exchanged():
    # three boundaries, all right, of five
    scores = evaluate(REFERENCE, _sections(0, 20, 40))
    assert (scores["P0.5"], scores["R0.5"]) == (1.0, pytest.approx(3 / 5))
    assert scores["F0.5"] == pytest.approx(2 * 3 / (3 + 5))


def test_the_window_is_inclusive():
    assert detection(_sections(0, 8, 16), _sections(0, 8.5, 16), 0.5)[2] == 1
    assert detection(_sections(0, 8, 16), _sections(0, 8.5001, 16), 0.5)[2] == pytest.approx(2 / 3)


def test_a_boundary_is_found_once():
    # 9.8 and 10.2 lie near the same boundary: one of them is wrong
    precision, recall, _ = detection(_sections(0, 10, 20), _sections(0, 9.8, 10.2, 20), 0.5)
    assert (precision, recall) == (pytest.approx(3 / 4), 1.0)


def test_the_matching_is_the_largest():
    # 11 may serve 10 or 13: a greedy choice of 10 would leave 13 without
    precision, recall, _ = detection(_sections(0, 10, 13, 30), _sections(0, 8, 11, 30), 3)
    assert (precision, recall) == (1.0, 1.0)


@pytest.mark.filterwarnings("ignore:Estimated intervals are empty")
def test_trimming_leaves_the_ends_out():
    # inner boundaries 10, 20, 30 against 10
    precision, recall, f = detection(REFERENCE, _sections(0, 10, 40), 0.5, trim=True)
    assert (precision, recall, f) == (1.0, pytest.approx(1 / 3), pytest.approx(1 / 2))
    assert detection(REFERENCE, _sections(0, 40), 0.5, trim=True) == (0.0, 0.0, 0.0)


def test_both_begin_at_zero():
    # the upbeat of 1.5 s is a section, on whichever side it is
    scores = evaluate(_sections(0, 10, 20), _sections(1.5, 10, 20))
    assert (scores["P0.5"], scores["R0.5"]) == (pytest.approx(3 / 4), 1.0)
    assert scores["segments"] == 3
    scores = evaluate(_sections(1.5, 10, 20), _sections(0, 10, 20))
    assert (scores["P0.5"], scores["R0.5"]) == (1.0, pytest.approx(3 / 4))
    assert evaluate(_sections(1.5, 10), _sections(1.5, 10))["F0.5"] == 1


def test_times_past_the_end_and_late_starts_count_as_they_are():
    # boundaries 1.5, 10, 18 against 0, 10, 20
    precision, recall, _ = detection(_sections(0, 10, 20), _sections(1.5, 10, 18), 0.5)
    assert (precision, recall) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    precision, recall, _ = detection(_sections(0, 10, 20), _sections(0, 10, 20, 30), 0.5)
    assert (precision, recall) == (pytest.approx(3 / 4), 1.0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("trim", [False, True])
def test_equal_to_mir_evals_evaluation(seed, trim):
    rng = np.random.default_rng(seed)
    reference = _sections(*np.sort(rng.uniform(0, 100, 12)), 100)
    estimate = _sections(*np.sort(rng.uniform(0, 100, 15)), 100)
    labels = [[str(i) for i in range(len(x))] for x in (reference, estimate)]
    expected = mir_eval.segment.evaluate(reference, labels[0], estimate, labels[1], trim=trim)
    scores = evaluate(reference, estimate, trim=trim)
    for name, theirs in (("P", "Precision"), ("R", "Recall"), ("F", "F-measure")):
        assert scores[f"{name}0.5"] == pytest.approx(expected[f"{theirs}@0.5"])
        assert scores[f"{name}3"] == pytest.approx(expected[f"{theirs}@3.0"])


def test_a_perfect_estimate_scores_one_and_any_order_of_sections_is_the_same():
    estimate = _sections(0, 11, 19, 40)
    assert evaluate(REFERENCE, REFERENCE)["F0.5"] == 1
    assert evaluate(REFERENCE[::-1], estimate[::-1]) == evaluate(REFERENCE, estimate)


def test_sections_of_no_length_are_left_out_and_overlaps_kept():
    with_empty = np.insert(REFERENCE, 2, [17, 17], axis=0)
    assert evaluate(with_empty, REFERENCE)["F0.5"] == 1
    overlapping = np.array([[0.0, 12], [10, 20]])  # boundaries 0, 10, 12, 20
    assert detection(overlapping, _sections(0, 10, 12, 20), 0.5) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "bad", [np.ones(4), np.ones((0, 2)), [[0, np.nan]], [[-1, 2]], [[2, 1]], [[3, 3]]]
)
def test_sections_without_meaning_are_refused(bad):
    with pytest.raises(DataError, match="the estimate has"):
        validate(REFERENCE, bad)
    with pytest.raises(DataError, match="the reference has"):
        validate(bad, REFERENCE)
