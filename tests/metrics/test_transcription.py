import numpy as np
import pytest

from nmfab.base.errors import DataError
from nmfab.metrics.transcription import (
    clip_notes,
    evaluate,
    frame_counts,
    matched_notes,
    median_onset_deviation,
    midi_to_hz,
    piano_roll,
    precision_recall_f,
    recall_ceiling,
    validate,
)

NO_NOTES = (np.zeros((0, 2)), np.zeros(0))
ALL_KEYS = np.arange(21, 109)

# Reference and estimate with hits, misses, a late onset, an early offset, an octave error, a
# semitone error, a doubled note, and two notes of one chord exchanged in order.
REFERENCE = (
    np.array([[0.10, 0.60], [0.10, 0.90], [0.70, 1.20], [1.00, 1.05], [1.50, 2.50], [2.0, 3.0],
              [2.60, 2.90], [3.10, 3.40], [3.50, 4.00]]),
    np.array([60, 64, 67, 72, 48, 36, 60, 61, 100]),
)  # fmt: skip
ESTIMATE = (
    np.array([[0.12, 0.55], [0.08, 0.40], [0.76, 1.20], [1.04, 1.11], [1.50, 2.45], [2.0, 3.0],
              [2.62, 2.95], [2.63, 2.80], [3.11, 3.42], [3.53, 3.9]]),
    np.array([64, 60, 67, 72, 60, 37, 60, 60, 61, 100]),
)  # fmt: skip
# precision, recall, F of mir_eval 0.8.2 for the two above, without and with offset
MIR_EVAL = (0.6, 0.6666666666666666, 0.631578947368421)
MIR_EVAL_OFFSET = (0.3, 0.3333333333333333, 0.3157894736842105)
# precision, recall of mir_eval.multipitch 0.8.2 on a grid of 10 ms up to 4 s, each pitch once
MULTIPITCH = (0.5023696682464455, 0.42828282828282827)


def scores(reference, estimate, **options):
    options = {"duration": 4.0, "available_pitches": ALL_KEYS, **options}
    return evaluate(*reference, *estimate, **options)


def one(onset, offset, pitch):
    return np.array([[onset, offset]]), np.array([pitch])


def test_note_scores_are_those_of_mir_eval():
    result = scores(REFERENCE, ESTIMATE)
    assert [result[k] for k in ("precision", "recall", "F")] == pytest.approx(MIR_EVAL, abs=1e-12)
    offset = [result[f"{k}_offset"] for k in ("precision", "recall", "F")]
    assert offset == pytest.approx(MIR_EVAL_OFFSET, abs=1e-12)


def test_frame_scores_are_those_of_mir_eval():
    result = scores(REFERENCE, ESTIMATE)
    precision, recall = MULTIPITCH
    assert result["frame_precision"] == pytest.approx(precision, abs=1e-12)
    assert result["frame_recall"] == pytest.approx(recall, abs=1e-12)
    f = 2 * precision * recall / (precision + recall)
    assert result["frame_F"] == pytest.approx(f, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_random_notes_score_as_in_mir_eval(seed):
    from mir_eval import multipitch
    from mir_eval.transcription import precision_recall_f1_overlap

    rng = np.random.default_rng(seed)

    def draw(n):
        onsets = np.round(rng.uniform(0, 3, n), 3)
        return np.column_stack([onsets, onsets + rng.uniform(0.05, 0.9, n)]), rng.integers(
            58, 64, n
        )

    reference, estimate = draw(40), draw(50)
    result = scores(reference, estimate)
    hz = (reference[0], midi_to_hz(reference[1]), estimate[0], midi_to_hz(estimate[1]))
    for name, ratio in (("", None), ("_offset", 0.2)):
        expected = precision_recall_f1_overlap(*hz, offset_ratio=ratio)[:3]
        got = [result[f"{k}{name}"] for k in ("precision", "recall", "F")]
        assert got == pytest.approx(expected, abs=1e-12)
    times = np.arange(400) * 0.01
    rolls = [piano_roll(*notes, times) for notes in (reference, estimate)]
    series = [[midi_to_hz(np.flatnonzero(column)) for column in roll.T] for roll in rolls]
    precision, recall, ratio = multipitch.metrics(times, series[0], times, series[1])[:3]
    assert result["frame_precision"] == pytest.approx(precision, abs=1e-12)
    assert result["frame_recall"] == pytest.approx(recall, abs=1e-12)
    matched, n_ref, n_est = frame_counts(*reference, *estimate, 4.0)
    assert matched / (n_ref + n_est - matched) == pytest.approx(ratio, abs=1e-12)


def test_one_note_found():
    result = scores(one(1.0, 2.0, 60), one(1.02, 1.95, 60))
    assert [result[k] for k in ("F", "precision", "recall", "accuracy", "F_offset")] == [1] * 5
    assert result["onset_deviation"] == pytest.approx(0.02)
    assert result["frame_precision"] == 1
    assert result["frame_recall"] == pytest.approx(93 / 100)


@pytest.mark.parametrize("reference", [NO_NOTES, one(1.0, 2.0, 60)])
@pytest.mark.parametrize("estimate", [NO_NOTES, one(3.0, 3.5, 61)])
def test_nothing_matched_scores_zero_and_has_no_deviation(reference, estimate):
    result = scores(reference, estimate)
    deviation = result.pop("onset_deviation")
    counts = result.pop("notes"), result.pop("reference_notes")
    assert counts == (len(estimate[1]), len(reference[1]))
    assert result.pop("recall_ceiling") == len(reference[1])
    assert np.isnan(deviation)
    assert set(result.values()) == {0.0}


@pytest.mark.parametrize(("late", "found"), [(0.049, 1.0), (0.050, 1.0), (0.051, 0.0)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_onset_within_50_ms(late, found, sign):
    assert scores(one(1.0, 2.0, 60), one(1.0 + sign * late, 2.0, 60))["F"] == found


def test_the_tolerance_is_the_one_given():
    late = one(1.08, 2.0, 60)
    assert scores(one(1.0, 2.0, 60), late)["F"] == 0
    assert scores(one(1.0, 2.0, 60), late, onset_tolerance=0.1)["F"] == 1


def test_tolerance_and_unit_are_those_of_the_scores_with_offsets_too():
    late = one(1.08, 2.0, 60)
    assert scores(one(1.0, 2.0, 60), late)["F_offset"] == 0
    assert scores(one(1.0, 2.0, 60), late, onset_tolerance=0.1)["F_offset"] == 1
    semitone = one(1.0, 2.0, 61)
    assert scores(one(1.0, 2.0, 60), semitone)["F_offset"] == 0
    assert scores(one(1.0, 2.0, 60), semitone, pitch_unit="midi")["F_offset"] == 1


@pytest.mark.parametrize(
    ("length", "early", "found"), [(2.0, 0.39, 1), (2.0, 0.41, 0), (0.1, 0.049, 1), (0.1, 0.051, 0)]
)
def test_an_offset_is_right_within_a_fifth_of_the_note_or_50_ms(length, early, found):
    estimate = one(1.0, 1.0 + length - early, 60)
    assert scores(one(1.0, 1.0 + length, 60), estimate)["F_offset"] == found


@pytest.mark.parametrize("pitch", [21, 35, 36, 60, 107])
@pytest.mark.parametrize("error", [1, 12])
def test_semitone_and_octave_errors_do_not_pass(pitch, error):
    result = scores(one(1.0, 2.0, pitch), one(1.0, 2.0, pitch + error))
    assert result["F"] == result["frame_F"] == 0


def test_midi_numbers_in_the_place_of_hz_let_a_semitone_pass_only_when_asked():
    notes = one(1.0, 2.0, 60), one(1.0, 2.0, 61)
    assert scores(*notes, pitch_unit="midi")["F"] == 1
    assert scores(*notes)["F"] == 0
    with pytest.raises(DataError, match="unit of pitch"):
        scores(*notes, pitch_unit="cents")


def test_matches_are_counted_and_not_reconstructed_from_recall():
    # int(recall · n) loses one here: 0.29 · 100 is 28.999…
    onsets = np.arange(100) * 0.5
    reference = np.column_stack([onsets, onsets + 0.2]), np.full(100, 60)
    estimate = reference[0][:29], reference[1][:29]
    assert int(0.29 * 100) == 28
    assert scores(reference, estimate, duration=60)["accuracy"] == 29 / 100


def test_accuracy_counts_false_and_missing_notes():
    result = scores(REFERENCE, ESTIMATE)
    assert result["accuracy"] == 6 / (6 + 4 + 3)


def test_two_estimates_do_not_both_match_one_note():
    twice = np.array([[1.0, 1.5], [1.02, 2.0]]), np.array([60, 60])
    result = scores(one(1.0, 2.0, 60), twice)
    assert (result["precision"], result["recall"]) == (0.5, 1.0)


def test_repeated_note_needs_both():
    twice = np.array([[1.0, 1.5], [1.5, 2.0]]), np.array([60, 60])
    assert scores(twice, one(1.0, 2.0, 60))["recall"] == 0.5
    assert scores(twice, twice)["F"] == 1


def test_reference_is_clipped_at_the_excerpts_end():
    reference = np.array([[29.0, 40.0], [30.0, 31.0], [35.0, 36.0]]), np.array([60, 62, 64])
    result = scores(reference, one(29.0, 30.0, 60), duration=30.0)
    assert result["F"] == result["F_offset"] == result["frame_F"] == 1
    assert result["reference_notes"] == 1


def test_a_note_without_length_keeps_its_onset():
    intervals, pitches = clip_notes([[1.0, 1.0], [2.0, 3.0]], [60, 61], 2.5)
    validate(intervals, pitches, *NO_NOTES)
    assert intervals[:, 0].tolist() == [1.0, 2.0]
    assert intervals[1, 1] == 2.5
    assert scores(one(1.0, 1.0, 60), one(1.01, 1.2, 60))["F"] == 1


def test_no_annotation_line_can_be_clipped():
    intervals, pitches = clip_notes(np.zeros((0, 2)), np.zeros(0), 30.0)
    assert intervals.shape == (0, 2)
    assert pitches.shape == (0,)


def test_median_onset_deviation_is_over_pairs():
    pairs = matched_notes(*REFERENCE, *ESTIMATE)
    assert pairs.shape == (6, 2)
    # −20, +20, +40, +20 or +30 (one of the doubled notes), +10, +30 ms
    deviation = median_onset_deviation(REFERENCE[0], ESTIMATE[0], pairs)
    assert 0.02 - 1e-9 <= deviation <= 0.025 + 1e-9


def test_recall_ceiling_is_the_share_of_notes_with_a_template():
    reference = np.array([60, 60, 61, 72])
    assert recall_ceiling(reference, np.array([60, 72, 0, 0, 90])) == 0.75
    assert recall_ceiling(reference, np.zeros(3, dtype=int)) == 0
    result = scores(REFERENCE, ESTIMATE, available_pitches=np.unique(ESTIMATE[1]))
    assert result["recall"] <= result["recall_ceiling"] == pytest.approx(7 / 9)


def test_piano_roll_holds_a_note_from_its_onset_up_to_its_offset():
    times = np.arange(10) * 0.1
    roll = piano_roll([[0.3, 0.5]], [60], times)
    assert np.argwhere(roll).tolist() == [[60, 3], [60, 4]]


def test_shifting_time_and_pitch_changes_nothing():
    shifted = [(intervals + 1.0, pitches + 3) for intervals, pitches in (REFERENCE, ESTIMATE)]
    first, second = scores(REFERENCE, ESTIMATE), scores(*shifted, duration=5.0)
    assert first == pytest.approx(second, abs=1e-9)


def test_exchanging_reference_and_estimate_exchanges_precision_and_recall():
    first, second = scores(REFERENCE, ESTIMATE), scores(ESTIMATE, REFERENCE)
    for kind in ("{}", "frame_{}"):
        assert first[kind.format("precision")] == second[kind.format("recall")]
        assert first[kind.format("F")] == pytest.approx(second[kind.format("F")])


def test_counts_without_notes():
    assert precision_recall_f(0, 0, 0) == (0, 0, 0)
    assert precision_recall_f(0, 3, 0) == (0, 0, 0)
    assert precision_recall_f(1, 2, 4) == (0.25, 0.5, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ((np.array([[1.0, 2.0]]), np.array([440.0])), "MIDI"),
        ((np.array([[2.0, 1.0]]), np.array([60])), "goes from 2.0 s to 1.0 s"),
        ((np.array([[-1.0, 1.0]]), np.array([60])), "at least 0 s"),
        ((np.array([[0.0, np.nan]]), np.array([60])), "finite"),
        ((np.array([[0.0, 1.0]]), np.array([60, 61])), "give"),
    ],
)
def test_what_cannot_be_scored_is_refused(notes, message):
    with pytest.raises(DataError, match=message):
        validate(*NO_NOTES, *notes)
