"""Thresholds chosen with a look at the reference: the best there are, by exhaustive search."""

from itertools import product

import numpy as np
import pytest

from nmfab.metrics.transcription import matched_notes
from nmfab.postprocessing import thresholds
from nmfab.postprocessing.notes import Activity, detect_notes

STEP = 0.02
OPTIONS = {"step": STEP, "thresholding": "fixed", "average": 0.2, "gap": 0.05, "shortest": 0.1}


def pulses(rng, pitches, n=200):
    """Return activations with notes and crosstalk, and reference notes of some of them."""
    activity, onsets, names = np.zeros((len(pitches), n)), [], []
    for row, pitch in enumerate(pitches):
        for start in rng.choice(np.arange(0, n - 20, 25), 4, replace=False):
            height = rng.uniform(0.02, 1)
            activity[row, start : start + rng.integers(8, 20)] += height
            if rng.random() < 0.7:
                onsets.append(start * STEP + rng.uniform(-0.06, 0.06))
                names.append(pitch)
    return activity, np.maximum(onsets, 0), np.array(names)


def count_right(reference, names, found):
    """Return the number of right notes by mir_eval."""
    onsets, offsets, pitches = found
    if not len(onsets):
        return 0
    intervals = np.column_stack([reference, reference + 0.1])
    return len(matched_notes(intervals, names, np.column_stack([onsets, offsets]), pitches))


@pytest.mark.parametrize("seed", range(6))
def test_no_choice_of_thresholds_has_a_better_f(seed, monkeypatch):
    monkeypatch.setattr(thresholds, "CANDIDATES", np.array([0.01, 0.1, 0.3, 0.6, 1.0]))
    pitches = np.array([60, 61, 72])
    activity, onsets, names = pulses(np.random.default_rng(seed), pitches)

    def F(chosen):
        found = detect_notes(activity, pitches, threshold=np.array(chosen), **OPTIONS)
        total = len(found[0]) + len(onsets)
        return 2 * count_right(onsets, names, found) / total if total else 0.0

    chosen = thresholds.oracle_thresholds(
        activity, pitches, onsets, names, tolerance=0.05, **OPTIONS
    )
    best = max(F(choice) for choice in product(thresholds.CANDIDATES, repeat=3))
    assert F(chosen) == pytest.approx(best, abs=1e-12)
    assert best > 0


@pytest.mark.parametrize("seed", range(20))
def test_matches_are_as_many_as_mir_eval_finds(seed):
    rng = np.random.default_rng(seed)
    reference, estimated = (np.sort(rng.uniform(0, 2, rng.integers(0, 25))) for _ in range(2))
    count = thresholds.count_matches(reference, estimated, 0.05)
    names, found = np.full(len(reference), 60), np.full(len(estimated), 60)
    assert count == (
        count_right(reference, names, (estimated, estimated + 0.1, found)) if len(reference) else 0
    )


@pytest.mark.parametrize(("deviation", "right"), [(0.049, 1), (0.05, 1), (-0.05, 1), (0.051, 0)])
def test_the_tolerance_is_what_mir_eval_takes_it_for(deviation, right):
    assert thresholds.count_matches(np.array([1.0]), np.array([1.0 + deviation]), 0.05) == right


def test_pitches_without_reference_notes_have_no_notes():
    activity, onsets, names = pulses(np.random.default_rng(0), np.array([60, 61]))
    only = names == 60
    chosen = thresholds.oracle_thresholds(
        activity, np.array([60, 61]), onsets[only], names[only], tolerance=0.05, **OPTIONS
    )
    found = detect_notes(activity, np.array([60, 61]), threshold=chosen, **OPTIONS)
    assert set(found[2]) == {60}


def test_silence_and_an_empty_reference_have_an_answer():
    none = np.zeros(0)
    for activity in (np.zeros((2, 50)), np.ones((2, 50)), np.zeros((0, 50))):
        pitches = np.arange(60, 60 + len(activity))
        chosen = thresholds.oracle_thresholds(
            activity, pitches, none, none, tolerance=0.05, **OPTIONS
        )
        assert len(detect_notes(activity, pitches, threshold=chosen, **OPTIONS)[0]) == 0


def test_notes_behind_the_excerpt_make_no_false_note_look_cheap():
    """One right note at the price of three false ones: too dear for F = 8 / 9, cheap for 8 / 39."""
    rows = np.zeros((2, 400))
    for start, height, row in (
        *((frame, 1.0, 0) for frame in (10, 60, 110, 160)),
        *((frame, 0.3, 1) for frame in (30, 80, 130)),
        (200, 0.2, 1),
    ):
        rows[row, start : start + 15] = height
    inside = STEP * np.array([10, 60, 110, 160, 200])
    notes = {
        "onsets": np.append(inside, 9 + np.arange(30.0)),
        "pitches": np.array([60] * 4 + [72] + [90] * 30),
    }
    options = {"step": STEP, "average": 0.2, "gap": 0.05, "shortest": 0.1, "onset_tolerance": 0.05}
    activity = Activity(rows, np.array([60, 72]))
    onsets, _, pitches = thresholds.oracle_notes(activity, notes=notes, duration=8.0, **options)
    assert pitches.tolist() == [60] * 4
    np.testing.assert_allclose(onsets, inside[:4])
    longer = thresholds.oracle_notes(activity, notes=notes, duration=99.0, **options)
    assert sorted(longer[2]) == [60] * 4 + [72] * 4
