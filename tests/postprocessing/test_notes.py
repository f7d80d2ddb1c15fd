import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.base.kinds import LowRank
from nmfab.base.kinds.convolutive import Convolutive
from nmfab.postprocessing import notes as noting
from nmfab.postprocessing.notes import (
    THRESHOLDS,
    detect_notes,
    past_average,
    sonify,
    write_midi,
)

STEP = 0.02


def merge_pitches(W, H, pitches, power=1):
    return noting.merge_pitches(LowRank(W, H), pitches=pitches, power=power)


def steady(n, *spans, level=1.0):
    row = np.zeros(n)
    for start, stop in spans:
        row[start:stop] = level
    return row


def decaying(n, *starts, half_life=20, level=1.0):
    row = np.zeros(n)
    for start in starts:
        row[start:] = level * 0.5 ** (np.arange(n - start) / half_life)
    return row


def detect(activity, pitches, **options):
    usual = {"step": STEP, "threshold": 0.1, "thresholding": "adaptive"}
    usual |= {"average": 0.2, "gap": 0.05, "shortest": 0.05}
    return detect_notes(activity, np.asarray(pitches, dtype=int), **{**usual, **options})


def notes(row, pitch=60, **options):
    onsets, offsets, pitches = detect(row[None], [pitch], **options)
    return list(zip(np.round(onsets, 9), np.round(offsets, 9), pitches, strict=True))


both = pytest.mark.parametrize("thresholding", THRESHOLDS)


@both
def test_a_steady_note_of_two_seconds_stays_in_one_piece(thresholding):
    assert notes(steady(200, (50, 150)), thresholding=thresholding) == [(1.0, 3.0, 60)]


@both
@pytest.mark.parametrize("length", [3, 9, 10, 11, 30, 100])
def test_a_steady_note_of_any_length_stays_in_one_piece(thresholding, length):
    found = notes(steady(200, (50, 50 + length)), thresholding=thresholding)
    assert found == [(1.0, round(1.0 + length * STEP, 9), 60)]


@both
def test_a_note_held_to_the_end_is_kept(thresholding):
    assert notes(steady(100, (50, 100)), thresholding=thresholding) == [(1.0, 2.0, 60)]


@both
def test_a_note_in_the_first_frame_is_kept(thresholding):
    assert notes(steady(100, (0, 20)), thresholding=thresholding) == [(0.0, 0.4, 60)]
    assert notes(steady(100, (0, 100)), thresholding=thresholding) == [(0.0, 2.0, 60)]


@both
def test_a_repeated_note_that_never_stops_sounding_is_two(thresholding):
    row = decaying(100, 10, 40)
    assert row[39] > 0.3  # well above the threshold
    found = notes(row, thresholding=thresholding)
    assert [onset for onset, _, _ in found] == [0.2, 0.8]
    assert found[0][1] == found[1][0]


@both
def test_a_slow_attack_is_one_note(thresholding):
    row = np.concatenate([np.linspace(0, 1, 30), decaying(50, 0)])
    assert len(notes(row, thresholding=thresholding)) == 1


@both
def test_silence_and_no_pitch_give_no_notes(thresholding):
    assert notes(np.zeros(50), thresholding=thresholding) == []
    empty = detect(np.zeros((0, 50)), [])
    assert [part.shape for part in empty] == [(0,)] * 3
    no_frames = detect(np.zeros((2, 0)), [60, 61])
    assert [part.shape for part in no_frames] == [(0,)] * 3


@both
def test_the_threshold_is_relative_to_the_maximum_over_all_pitches(thresholding):
    activity = np.stack([steady(100, (10, 50)), steady(100, (10, 50), level=0.08)])
    pitches = np.array([60, 72])
    for scale in (1e-8, 1.0, 1e8):
        found = detect(scale * activity, pitches, thresholding=thresholding)
        assert found[2].tolist() == [60]
    lower = detect(activity, pitches, threshold=0.05, thresholding=thresholding)
    assert lower[2].tolist() == [60, 72]


@both
def test_short_silences_are_filled_and_short_notes_left_out(thresholding):
    options = {"thresholding": thresholding, "gap": 0.04, "shortest": 0.06}
    flicker = steady(100, (20, 40), (42, 60))
    flicker[42:] *= 0.5  # not struck again: the second half does not rise above what went before
    assert notes(flicker, **options) == [(0.4, 1.2, 60)]
    assert len(notes(steady(100, (20, 40), (60, 80)), **options)) == 2
    assert notes(steady(100, (20, 22)), **options) == []
    assert len(notes(steady(100, (20, 23)), **options)) == 1


def test_the_adaptive_threshold_wants_a_strike():
    rising, hum, strike = np.linspace(0, 0.15, 200), np.full(100, 0.15), steady(50, (0, 20))
    row = np.concatenate([rising, hum, strike])
    assert [n[0] for n in notes(row, thresholding="adaptive")] == [6.0]
    fixed = [n[0] for n in notes(row, thresholding="fixed")]
    assert len(fixed) == 2
    assert fixed[1] == 6.0


def test_time_is_frame_times_hop_over_rate():
    hop, rate, frame = 441, 22050, 37
    row = steady(100, (frame, frame + 20))
    onsets, offsets, _ = detect(row[None], [60], step=hop / rate)
    assert onsets.tolist() == [frame * (hop / rate)]
    assert offsets.tolist() == [(frame + 20) * (hop / rate)]


def test_a_click_is_found_where_it_is():
    """From sound to onset: no half window, no n_fft in the conversion to time."""
    import librosa

    rate, hop, n_fft, struck = 22050, 441, 2048, 1.0
    sound = np.zeros(2 * rate)
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    sound[int(struck * rate) :] = tone * np.exp(-np.arange(rate) / rate * 3)
    V = np.abs(librosa.stft(sound, n_fft=n_fft, hop_length=hop))
    row = V[round(440 * n_fft / rate)]
    onsets, _, _ = detect(row[None], [69], step=hop / rate, threshold=0.5)
    assert onsets[0] == pytest.approx(struck, abs=hop / rate)


def test_notes_are_sorted_by_onset():
    activity = np.stack([steady(100, (60, 80)), steady(100, (10, 30), (70, 90))])
    onsets, _, pitches = detect(activity, [40, 80])
    assert np.all(np.diff(onsets) >= 0)
    assert pitches.tolist() == [80, 40, 80]


def test_an_unknown_threshold_is_refused():
    with pytest.raises(UsageError, match="there are fixed, adaptive"):
        notes(np.ones(10), thresholding="median")


@pytest.mark.parametrize("step", [0.02, 0.04])
def test_a_note_is_struck_above_its_average_over_the_seconds_before(step):
    """Ten frames, a pause of five: of the five before the second note none sounds, of ten half."""
    row = steady(60, (10, 20), (25, 35))
    given = {"step": step, "threshold": 0.6, "gap": 0, "shortest": step}
    for frames, onsets in ((5, [10, 25]), (10, [10])):
        found = notes(row, average=frames * step, **given)
        assert [onset for onset, _, _ in found] == pytest.approx([n * step for n in onsets])


def test_past_average_against_a_loop():
    activity = np.random.default_rng(0).random((3, 40))
    expected = np.zeros_like(activity)
    for t in range(40):
        for past in range(max(0, t - 7), t):
            expected[:, t] += activity[:, past] / 7
    np.testing.assert_allclose(past_average(activity, 7), expected, atol=1e-12)
    # longer than the recording: still what went before, over the whole length
    np.testing.assert_allclose(past_average(activity, 100)[:, -1], activity[:, :-1].sum(1) / 100)


def test_templates_of_one_pitch_are_merged():
    rng = np.random.default_rng(1)
    W, H = rng.random((6, 4)), rng.random((4, 10))
    activity, names = merge_pitches(W, H, np.array([64, 0, 60, 64]))
    norms = np.linalg.norm(W, axis=0)
    assert names.tolist() == [60, 64]
    np.testing.assert_allclose(activity[0], norms[2] * H[2])
    np.testing.assert_allclose(activity[1], norms[0] * H[0] + norms[3] * H[3])


def test_templates_may_have_a_sum_of_1():
    """Over the frames too: 3 + 1 of the first kernel, 0 + 2 of the second, with power 2."""
    kernels = np.array([[[3.0, 0], [0, 0]], [[0, 1], [1, 1]]])  # (frames, frequencies, templates)
    H = np.array([[1.0, 4], [8, 2]])
    model, options = Convolutive(kernels, H), {"pitches": np.array([64, 60]), "power": 2}
    rows, names = noting.merge_pitches(model, unit="sum", **options)
    assert names.tolist() == [60, 64]
    np.testing.assert_allclose(rows, np.sqrt([[16, 4], [4, 16]]))
    rows, _ = noting.merge_pitches(model, **options)
    np.testing.assert_allclose(rows**2, [H[1] * 2**0.5, H[0] * 10**0.5])


def test_the_scale_between_templates_and_activations_does_not_matter():
    rng = np.random.default_rng(2)
    W, H, scale = rng.random((6, 3)), rng.random((3, 10)), np.array([1e-3, 1.0, 50.0])
    pitches = np.array([60, 61, 62])
    first, _ = merge_pitches(W, H, pitches)
    second, _ = merge_pitches(W * scale, H / scale[:, None], pitches)
    np.testing.assert_allclose(first, second)


def test_templates_without_pitch_leave_nothing():
    activity, names = merge_pitches(np.ones((5, 2)), np.ones((2, 7)), np.zeros(2, dtype=int))
    assert activity.shape == (0, 7)
    assert names.shape == (0,)


def test_midi_file_holds_the_notes(tmp_path):
    pretty_midi = pytest.importorskip("pretty_midi")
    onsets, offsets = np.array([0.5, 1.0, 1.5]), np.array([1.5, 1.25, 2.0])
    pitches = np.array([60, 64, 60])  # 60 repeated at the very instant its predecessor ends
    write_midi(tmp_path / "notes.mid", onsets, offsets, pitches)
    (piano,) = pretty_midi.PrettyMIDI(str(tmp_path / "notes.mid")).instruments
    found = sorted((note.start, note.end, note.pitch) for note in piano.notes)
    expected = sorted(zip(onsets, offsets, pitches, strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_sound_of_a_note_is_at_its_pitch_and_place():
    rate = 22050
    sound = sonify([0.5], [1.5], [69], sample_rate=rate, duration=2.0)
    assert sound.shape == (2 * rate,)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() <= 1
    assert not sound[: rate // 2].any()
    assert not sound[round(1.56 * rate) :].any()
    spectrum = np.abs(np.fft.rfft(sound[rate // 2 : rate + rate // 2]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)
    assert not sonify([], [], [], duration=1.0).any()


def test_activity_is_one_of_magnitudes_whatever_the_power():
    """Templates and activations of powers give, merged, the magnitudes of the sums of powers."""
    W, H = np.array([[3.0, 0], [4.0, 2.0]]), np.array([[1.0, 4.0], [2.0, 0.0]])
    rows, names = merge_pitches(W, H, np.array([60, 60]), power=2)
    assert names.tolist() == [60]
    np.testing.assert_allclose(rows, [[3.0, 20**0.5]])


@pytest.mark.parametrize("name", ["fixed", "adaptive"])
def test_thresholding_steps_are_detections(name):
    rng = np.random.default_rng(1)
    activity = noting.Activity(rng.random((2, 60)) ** 4, np.array([60, 64]))
    options = {"step": 0.02, "threshold": 0.3, "average": 0.1, "gap": 0.0, "shortest": 0.02}
    found = getattr(noting, name)(activity, **options)
    expected = noting.detect_notes(*activity, thresholding=name, **options)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(found[0]) > 0
