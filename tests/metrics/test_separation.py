"""Scores of separation: definitions by hand, assignment, stems and estimates that are not there."""

import numpy as np
import pytest

from nmfab.base.errors import ComputationError, UsageError
from nmfab.metrics import bss_eval as v4
from nmfab.metrics import separation as scoring

RATE = 2000
NAMES = ["drums", "bass", "other", "vocals"]


@pytest.fixture
def stems():
    rng = np.random.default_rng(0)
    sound = rng.standard_normal((4, 1, 3 * RATE)) * 0.1
    return sound * np.array([1.0, 0.5, 0.8, 0.3])[:, None, None]


def noisy(stems, level=0.03, seed=1):
    return stems + level * np.random.default_rng(seed).standard_normal(stems.shape)


def evaluate(stems, estimates, mixture=None, **options):
    mixture = stems.sum(axis=0) if mixture is None else mixture
    return scoring.evaluate(
        stems, estimates, mixture, sample_rate=RATE, names=NAMES[: len(stems)], **options
    )


def orthogonal(power_ratio):
    """Return a signal and an orthogonal error whose energy is `power_ratio` times smaller."""
    time = np.arange(1000)
    signal = np.sin(2 * np.pi * 10 * time / 1000)[None]
    error = np.cos(2 * np.pi * 10 * time / 1000)[None] / np.sqrt(power_ratio)
    return signal, error


def test_si_sdr_of_an_orthogonal_error_is_the_ratio_of_energies():
    signal, error = orthogonal(100)
    assert scoring.si_sdr(signal, signal + error) == pytest.approx(20, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 0.5, -3, 1e6])
def test_si_sdr_does_not_depend_on_scale(scale):
    signal, error = orthogonal(7)
    expected = scoring.si_sdr(signal, signal + error)
    assert scoring.si_sdr(signal, scale * (signal + error)) == pytest.approx(expected, abs=1e-9)
    assert scoring.si_sdr(scale * signal, signal + error) == pytest.approx(expected, abs=1e-9)


def test_si_sdr_takes_one_scale_for_all_channels():
    signal, _ = orthogonal(1)
    both = np.concatenate([signal, signal])
    # Channels of 1 and 0.5 of the reference: the best scale is 0.75, the error 0.25 in each.
    found = both * np.array([[1.0], [0.5]])
    assert scoring.si_sdr(both, found) == pytest.approx(20 * np.log10(0.75 / 0.25), abs=1e-9)


def test_sdr_by_hand():
    signal, error = orthogonal(100)
    assert scoring.sdr(signal, signal + error) == pytest.approx(20, abs=1e-9)
    assert scoring.sdr(signal, 0.5 * signal) == pytest.approx(20 * np.log10(2), abs=1e-9)
    assert scoring.sdr(signal, np.zeros_like(signal)) == pytest.approx(0, abs=1e-12)
    assert np.isposinf(scoring.sdr(signal, signal))


def test_si_sdr_is_no_number_where_one_is_silent():
    signal, _ = orthogonal(1)
    assert np.isnan(scoring.si_sdr(signal, np.zeros_like(signal)))
    assert np.isnan(scoring.si_sdr(np.zeros_like(signal), signal))


def test_sdr_is_that_of_bss_eval_on_the_whole_track(stems):
    found = noisy(stems)
    framewise = v4.bss_eval(stems, found, window=stems.shape[-1], taps=8)
    np.testing.assert_allclose(scoring.sdr(stems, found), framewise["sdr"][:, 0], atol=1e-9)


def test_match_finds_swapped_stems(stems):
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(scoring.match(stems, noisy(stems)[order]), np.argsort(order))


def test_match_is_one_to_one():
    rng = np.random.default_rng(2)
    loud, quiet = rng.standard_normal((2, 1, 1000))
    # Both estimates are most like the first stem; the one that holds some of the second gets it.
    found = np.stack([loud, loud + 0.3 * quiet])
    np.testing.assert_array_equal(scoring.match(np.stack([loud, quiet]), found), [0, 1])


def test_match_is_best_in_sum():
    import itertools

    rng = np.random.default_rng(3)
    true = rng.standard_normal((4, 2, 300))
    found = np.einsum("ij,jcn->icn", rng.uniform(0, 1, (4, 4)), true)
    matrix = scoring.si_sdr(true[:, None], found[None])
    best = max(itertools.permutations(range(4)), key=lambda p: sum(matrix[range(4), p]))
    np.testing.assert_array_equal(scoring.match(true, found), best)


def test_match_with_too_few_and_too_many(stems):
    np.testing.assert_array_equal(scoring.match(stems, stems[[1]]), [-1, 0, -1, -1])
    np.testing.assert_array_equal(scoring.match(stems[[1]], stems), [1])
    np.testing.assert_array_equal(scoring.match(stems, stems[:0]), [-1] * 4)
    np.testing.assert_array_equal(scoring.match(stems[:0], stems), [])


def test_match_takes_a_silent_estimate_last(stems):
    found = stems.copy()
    found[2] = 0
    np.testing.assert_array_equal(scoring.match(stems[:3], found), [0, 1, 3])


def test_swapped_estimates_score_the_same(stems):
    found = noisy(stems)
    plain, swapped = evaluate(stems, found), evaluate(stems, found[::-1])
    assert plain == pytest.approx(swapped, nan_ok=True)


def test_silent_stem_is_left_out_and_shifts_no_label(stems):
    found = noisy(stems)
    muted = stems.copy()
    muted[1] = 0
    scores = evaluate(muted, found)
    assert scores["silent_stems"] == 1
    assert scores["missing_estimates"] == 0
    assert np.isnan(scores["sdr_bass"])
    for name, index in (("drums", 0), ("other", 2), ("vocals", 3)):
        expected = scoring.sdr(muted[index], found[index])
        assert scores[f"sdr_{name}"] == pytest.approx(expected, abs=1e-9)
        assert np.isfinite(scores[f"bss_sir_{name}"])
    mean = np.mean([scores[f"sdr_{name}"] for name in ("drums", "other", "vocals")])
    assert scores["sdr"] == pytest.approx(mean)


def test_a_stem_below_one_step_of_16_bits_is_silent(stems):
    quiet = stems.copy()
    quiet[3] = 0.4 * 2.0**-15 * np.sign(stems[3])
    assert evaluate(quiet, noisy(stems))["silent_stems"] == 1


def test_all_stems_silent(stems):
    scores = evaluate(np.zeros_like(stems), noisy(stems))
    assert scores["silent_stems"] == 4
    assert np.isnan(
        [v for k, v in scores.items() if "_estimates" not in k and "_stems" not in k]
    ).all()


def test_missing_estimate_is_the_mixture_divided(stems):
    mixture = stems.sum(axis=0)
    scores = evaluate(stems, noisy(stems)[[0, 2, 3]])
    assert scores["missing_estimates"] == 1
    assert scores["sdr_bass"] == pytest.approx(scoring.sdr(stems[1], mixture / 4), abs=1e-9)
    absent = evaluate(stems, noisy(stems), present=[True, False, True, True])
    assert absent == pytest.approx(scores)


def test_mixture_is_divided_by_all_stems_the_silent_ones_too(stems):
    muted = stems.copy()
    muted[0] = 0
    mixture = muted.sum(axis=0)
    scores = evaluate(muted, muted[:0], mixture)
    assert scores["missing_estimates"] == 3
    assert scores["sdr_bass"] == pytest.approx(scoring.sdr(muted[1], mixture / 4), abs=1e-9)


def test_silent_estimates(stems):
    scores = evaluate(stems, np.zeros_like(stems))
    assert scores["missing_estimates"] == 0
    assert scores["sdr"] == pytest.approx(0, abs=1e-9)
    assert scores["bss_sdr"] == pytest.approx(0, abs=1e-9)
    for name in ("si_sdr", "bss_sir", "bss_sar", "museval_sdr"):
        assert np.isnan(scores[name])


def test_one_silent_estimate_gains_nothing(stems):
    found = noisy(stems)
    found[3] = 0
    scores = evaluate(stems, found)
    assert scores["sdr_vocals"] == pytest.approx(0, abs=1e-9)
    assert np.isfinite(scores["si_sdr_drums"])
    assert np.isnan(scores["si_sdr"])


def test_framewise_scores_are_medians_over_the_frames_that_count(stems):
    found = noisy(stems, level=0.03)
    found[0, :, :RATE] += 0.3 * found[1, :, :RATE]  # the first second is worse than the others
    frames = v4.bss_eval(stems, found, window=RATE)
    scores = evaluate(stems, found)
    for name in v4.RATIOS:
        middle = np.sort(frames[name], axis=1)[:, 1]  # of three frames
        for stem, value in zip(NAMES, middle, strict=True):
            assert scores[f"bss_{name}_{stem}"] == pytest.approx(value, abs=1e-9)
            assert scores[f"museval_{name}_{stem}"] == pytest.approx(value, abs=1e-9)
        assert scores[f"bss_{name}"] == pytest.approx(np.mean(middle), abs=1e-9)
    assert not np.allclose(frames["sdr"].mean(axis=1), np.sort(frames["sdr"], axis=1)[:, 1])


def test_a_frame_in_which_an_estimate_is_silent_counts_but_not_for_museval(stems):
    found = noisy(stems)
    found[2, :, :RATE] = 0
    scores, frames = evaluate(stems, found), v4.bss_eval(stems, found, window=RATE)["sdr"]
    assert frames[2, 0] == pytest.approx(0, abs=1e-9)
    for index, name in enumerate(NAMES):
        assert scores[f"bss_sdr_{name}"] == pytest.approx(np.median(frames[index]))
        assert scores[f"museval_sdr_{name}"] == pytest.approx(np.mean(frames[index, 1:]))


def test_a_silent_frame_of_a_stem_is_no_fault_of_its_estimate(stems):
    muted = stems.copy()
    muted[1, :, RATE : 2 * RATE] = 0
    scores = evaluate(muted, noisy(muted))
    frames = v4.bss_eval(muted, noisy(muted), window=RATE)
    for name in v4.RATIOS:
        assert scores[f"bss_{name}_bass"] == pytest.approx(np.mean(frames[name][1, [0, 2]]))


def test_gain_is_the_mean_improvement_over_the_mixture_as_it_is(stems):
    mixture, found = stems.sum(axis=0), noisy(stems)
    scores = evaluate(stems, found)
    for name, function in (("sdr", scoring.sdr), ("si_sdr", scoring.si_sdr)):
        gains = [function(s, f) - function(s, mixture) for s, f in zip(stems, found, strict=True)]
        assert scores[f"{name}_gain"] == pytest.approx(np.mean(gains), abs=1e-9)


def test_gain_of_the_mixture_is_nothing(stems):
    mixture = stems.sum(axis=0)
    scores = evaluate(stems, np.broadcast_to(mixture, stems.shape))
    assert scores["si_sdr_gain"] == pytest.approx(0, abs=1e-9)
    assert scores["sdr_gain"] == pytest.approx(0, abs=1e-9)
    assert scores["museval_sdr"] == pytest.approx(scores["bss_sdr"])


@pytest.mark.parametrize("silent_frame", [False, True])
def test_backends_agree_on_musevals_column(stems, silent_frame):
    stems = stems[:2]
    found = noisy(stems)
    if silent_frame:
        found[1, :, :RATE] = 0
    ours, theirs = evaluate(stems, found), evaluate(stems, found, backend="museval")
    for name in ("sdr", "isr", "sir", "sar"):
        for stem in ("", "_drums", "_bass"):
            key = f"museval_{name}{stem}"
            assert ours[key] == pytest.approx(theirs[key], abs=1e-3)
    assert np.isnan(theirs["bss_sdr"])
    assert ours["si_sdr"] == theirs["si_sdr"]
    if silent_frame:
        assert ours["bss_sdr_bass"] != ours["museval_sdr_bass"]


def test_museval_backend_refuses_no_silent_estimate(stems):
    found = noisy(stems)
    found[0] = 0
    assert np.isnan(evaluate(stems, found, backend="museval")["museval_sdr"])


def test_system_is_made_once_per_track(stems, monkeypatch):
    made = []
    prepare = v4.prepare
    monkeypatch.setattr(scoring.v4, "prepare", lambda r: made.append(1) or prepare(r))
    monkeypatch.setattr(scoring, "_systems", {})
    fresh = evaluate(stems, noisy(stems))
    evaluate(stems, noisy(stems, seed=2))
    assert evaluate(stems, noisy(stems)) == fresh
    assert len(made) == 1
    evaluate(0.5 * stems, noisy(stems))
    assert len(made) == 2


def test_refusals(stems):
    with pytest.raises(UsageError, match="same channels and samples"):
        evaluate(stems, stems[..., :-1])
    with pytest.raises(UsageError, match="bss_backend"):
        evaluate(stems, stems, backend="matlab")
    with pytest.raises(ComputationError, match="estimates hold NaN"):
        evaluate(stems, np.full_like(stems, np.nan))
