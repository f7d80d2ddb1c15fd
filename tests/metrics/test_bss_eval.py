"""BSS Eval v4 against museval, against least squares written out, and on hand-made cases."""

import numpy as np
import pytest

from nmfab.base.errors import ComputationError, UsageError
from nmfab.datasets.musdb18hq import Musdb18HQ
from nmfab.metrics import bss_eval as v4
from nmfab.metrics import bss_system
from nmfab.metrics.separation import museval_frames

TRACK = "train/Music Delta - 80s Rock"

# museval 0.4.1 on `estimates_of` the sample, window and hop of one second.
FROZEN = {
    "sdr": [
        [10.6105, 10.1616, 6.8757, 6.8456, 9.9862, 10.1287],
        [5.4735, 7.0710, 6.2993, 6.2443, 4.8639, 5.0877],
        [5.9903, 4.9186, 4.5372, 6.2594, 6.4706, 6.6229],
        [8.8104, 8.7759, 10.6339, 10.2588, 9.1514, 8.9779],
    ],
    "isr": [
        [15.7861, 15.9557, 15.9267, 16.0664, 15.6713, 15.7912],
        [15.2747, 15.1824, 14.3824, 14.1986, 14.4986, 13.9316],
        [11.5918, 11.8836, 11.7374, 11.5795, 12.3473, 12.2444],
        [11.5131, 11.1848, 11.8828, 11.9172, 11.6648, 11.8099],
    ],
    "sir": [
        [11.2950, 10.7495, 6.6917, 6.6671, 10.5701, 10.7504],
        [5.1172, 6.8871, 6.0637, 5.9549, 4.3540, 4.5575],
        [5.6373, 4.2304, 3.7427, 5.9790, 6.2307, 6.4747],
        [10.0923, 10.3662, 14.9078, 13.4946, 10.8578, 10.2647],
    ],
    "sar": [
        [42.9561, 42.1979, 40.5683, 39.5725, 42.9005, 40.6870],
        [40.9829, 41.6918, 39.3195, 38.3379, 40.2839, 38.0594],
        [39.2451, 38.8855, 36.7382, 37.3470, 39.1634, 37.0534],
        [41.1912, 41.0957, 42.9193, 41.8456, 41.9202, 39.2926],
    ],
}


def recording(samples):
    track = Musdb18HQ([samples]).load(TRACK)
    return track.part("stems").read()["samples"], track.part("audio").read()["samples"]


def estimates_of(stems, mixture):
    """Attenuate, leak the neighbour, delay some mixture, mix channels."""
    stems, mixture = stems.astype(np.float64), mixture.astype(np.float64)
    found = 0.7 * stems + 0.2 * np.roll(stems, 1, axis=0)
    found[..., 40:] += 0.1 * mixture[:, :-40]
    return found[:, ::-1] * np.array([0.3, 0])[:, None] + found


def random_case(seed, sources=3, channels=2, length=9000, sounding=None):
    rng = np.random.default_rng(seed)
    stems = rng.standard_normal((sources, channels, length)).cumsum(axis=-1) * 1e-2
    stems -= stems.mean(axis=-1, keepdims=True)
    mixing = rng.uniform(0, 1, (sources, sources)) * 0.4 + 0.6 * np.eye(sources)
    found = np.einsum("ij,jcn->icn", mixing, stems)
    found += 0.01 * rng.standard_normal(found.shape)
    if sounding is not None:
        stems[0, :, sounding] = 0
    return stems, found


def test_real_sample_gives_musevals_values(samples):
    stems, mixture = recording(samples)
    found = v4.bss_eval(stems, estimates_of(stems, mixture), window=44100, rule="museval")
    assert set(found) == set(FROZEN)
    for name, values in FROZEN.items():
        np.testing.assert_allclose(found[name], values, atol=0.01)


@pytest.mark.slow
def test_real_sample_gives_what_museval_gives_now(samples):
    stems, mixture = recording(samples)
    found = estimates_of(stems, mixture)
    ours = v4.bss_eval(stems, found, window=44100, rule="museval")
    theirs = museval_frames(stems.astype(np.float64), found, window=44100)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, atol=0.01)


@pytest.mark.parametrize(
    ("seed", "sources", "channels", "length", "window", "hop"),
    [
        (0, 3, 2, 9000, 2000, 2000),
        (1, 2, 1, 9000, 3000, 1500),
        (2, 2, 2, 7777, 2500, 1000),
        (3, 2, 1, 3000, 5000, 5000),
    ],
)
def test_random_mixtures_give_musevals_values(seed, sources, channels, length, window, hop):
    from nmfab.metrics.separation import museval_module

    stems, found = random_case(seed, sources, channels, length)
    ours = v4.bss_eval(stems, found, window=window, hop=hop, taps=64, rule="museval")
    swapped = (np.moveaxis(signals, 1, 2) for signals in (stems, found))
    theirs = museval_module().bss_eval(*swapped, window=window, hop=hop, filters_len=64)
    for name, values in zip(v4.RATIOS, theirs[:4], strict=True):
        np.testing.assert_allclose(ours[name], values, atol=1e-5)


def test_whole_track_gives_mir_evals_values():
    from mir_eval.separation import bss_eval_images

    stems, found = random_case(4, sources=2, channels=2, length=6000)
    ours = v4.bss_eval(stems, found, window=6000)
    swapped = (np.moveaxis(signals, 1, 2) for signals in (stems, found))
    with pytest.warns(FutureWarning):
        theirs = bss_eval_images(*swapped, compute_permutation=False)
    for name, values in zip(v4.RATIOS, theirs[:4], strict=True):
        np.testing.assert_allclose(ours[name][:, 0], values, atol=1e-5)


def test_filters_are_least_squares():
    stems, found = random_case(5, sources=2, channels=1, length=400)
    taps = 6
    delayed = np.zeros((400 + taps - 1, 2 * taps))
    for j in range(2):
        for k in range(taps):
            delayed[k : k + 400, j * taps + k] = stems[j, 0]
    target = np.zeros((400 + taps - 1, 2))
    target[:400] = found[:, 0].T
    solution = np.linalg.lstsq(delayed, target, rcond=None)[0]
    shared, own = v4.filters(bss_system.prepare(stems, taps=taps), found)
    np.testing.assert_allclose(shared.reshape(2 * taps, 2), solution, atol=1e-8)
    alone = np.linalg.lstsq(delayed[:, taps:], target[:, 1], rcond=None)[0]
    np.testing.assert_allclose(own[1, 0, :, 0], alone, atol=1e-8)


@pytest.mark.parametrize("length", [5, 100, 8192, 20000])
def test_correlations_are_those_of_the_definition(length):
    rng = np.random.default_rng(length)
    first, second = rng.standard_normal((2, length)), rng.standard_normal((3, length))
    found = bss_system.correlate(first, second, 4)
    for a in range(2):
        for b in range(3):
            for k in range(4):
                expected = np.dot(first[a, : length - k], second[b, k:])
                np.testing.assert_allclose(found[a, b, k], expected, atol=1e-9)


@pytest.mark.parametrize(("signals", "taps"), [(1, 9), (2, 40), (5, 12)])
def test_schur_is_cholesky(signals, taps):
    rng = np.random.default_rng(signals)
    sound = rng.standard_normal((signals, 500)).cumsum(axis=1)
    lags = bss_system.correlate(sound, sound, taps)
    matrix = np.empty((taps * signals, taps * signals))
    for (i, a), row in np.ndenumerate(np.arange(len(matrix)).reshape(taps, signals)):
        for (k, b), column in np.ndenumerate(np.arange(len(matrix)).reshape(taps, signals)):
            matrix[row, column] = lags[a, b, i - k] if i >= k else lags[b, a, k - i]
    found = bss_system.schur(lags[None])[0]
    np.testing.assert_allclose(found, np.linalg.cholesky(matrix), rtol=1e-7, atol=1e-7)
    pair = bss_system.schur(np.stack([lags, 2 * lags]))
    np.testing.assert_allclose(pair[1], np.sqrt(2) * found, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(np.triu(found, 1)[:, :1], 0)


def test_schur_refuses_what_is_not_positive_definite():
    lags = np.zeros((1, 1, 1, 3))
    lags[0, 0, 0] = [1, 0.9, -0.9]
    with pytest.raises(np.linalg.LinAlgError):
        bss_system.schur(lags)


def test_a_filtered_reference_has_spatial_distortion_and_nothing_else():
    stems, _ = random_case(6, sources=2, channels=1, length=8000)
    stems[0, 0, -600:] = 0  # the filter's tail stays inside the frame
    found = stems.copy()
    found[0, 0] = 0.5 * np.roll(stems[0, 0], 3)
    scores = v4.bss_eval(stems, found, window=8000)
    error = np.sum((found[0] - stems[0]) ** 2)
    expected = 10 * np.log10(np.sum(stems[0] ** 2) / error)
    assert scores["isr"][0, 0] == pytest.approx(expected, abs=1e-6)
    assert scores["sdr"][0, 0] == pytest.approx(expected, abs=1e-9)
    assert scores["sir"][0, 0] > 90
    assert scores["sar"][0, 0] > 90


def test_interference_and_artifacts_do_not_depend_on_scale():
    stems, found = random_case(7)
    plain = v4.bss_eval(stems, found, window=3000, taps=32)
    scaled = v4.bss_eval(stems, 0.01 * found, window=3000, taps=32)
    for name in ("sir", "sar"):
        np.testing.assert_allclose(scaled[name], plain[name], atol=1e-6)


def test_perfect_estimate_is_infinitely_good():
    stems, _ = random_case(8)
    assert np.isposinf(v4.bss_eval(stems, stems.copy(), window=3000, taps=8)["sdr"]).all()


def test_float32_signals_are_computed_with_as_float64():
    stems, found = (signals.astype(np.float32) for signals in random_case(9))
    narrow = v4.bss_eval(stems, found, window=3000, taps=16)
    wide = v4.bss_eval(stems.astype(float), found.astype(float), window=3000, taps=16)
    for name in v4.RATIOS:
        np.testing.assert_array_equal(narrow[name], wide[name])


def test_silent_frame_of_a_reference_is_left_out_for_that_source_alone():
    stems, found = random_case(10, sounding=slice(3000, 6000))
    ours = v4.bss_eval(stems, found, window=3000, taps=16)
    np.testing.assert_array_equal(np.isnan(ours["sdr"]), [[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    theirs = v4.bss_eval(stems, found, window=3000, taps=16, rule="museval")
    np.testing.assert_array_equal(np.isnan(theirs["sdr"]), [[0, 1, 0]] * 3)
    sounding = ~np.isnan(theirs["sdr"])
    np.testing.assert_array_equal(ours["sdr"][sounding], theirs["sdr"][sounding])


def test_frames_that_are_left_out_by_hand():
    """Four frames of 10 samples; a frame is silent below one step of 16 bits in every channel."""
    step = 2.0**-15
    stems = np.full((2, 2, 40), 0.1)
    stems[0, :, 10:20] = 0.99 * step  # below the step
    stems[0, :, 20:30] = 0
    stems[0, 1, 25] = -step  # one sample of the second channel reaches it
    stems[1, :, 30:] = 0
    found = np.full((2, 2, 40), 0.1)
    found[1, :, :10] = 0  # an estimate that is silent leaves nothing out
    keep = v4.frame_mask(stems, found, window=10)
    np.testing.assert_array_equal(keep, [[1, 0, 1, 1], [1, 1, 1, 0]])
    half = v4.frame_mask(stems, found, window=10, hop=5)
    np.testing.assert_array_equal(half[0], [1, 1, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(half[1], [1, 1, 1, 1, 1, 1, 0])


def test_frames_that_museval_leaves_out_by_hand():
    """It adds up the channels: what cancels is silent, and one source leaves out all."""
    stems, found = np.full((2, 2, 40), 0.1), np.full((2, 2, 40), 0.1)
    stems[0, 1, 10:20] = -0.1  # the two channels cancel
    stems[1, :, 20:29] = 0  # all but one sample
    found[1, :, 30:] = 0
    keep = v4.frame_mask(stems, found, window=10, rule="museval")
    np.testing.assert_array_equal(keep, [[1, 0, 1, 0]] * 2)


@pytest.mark.parametrize(
    ("samples", "window", "hop", "starts"),
    [
        (40, 10, None, [0, 10, 20, 30]),
        (49, 10, None, [0, 10, 20, 30]),
        (50, 10, 10, [0, 10, 20, 30, 40]),
        (20, 10, 3, [0, 3, 6, 9]),
        (10, 10, None, [0]),
        (9, 10, 2, [0]),
    ],
)
def test_frames_begin_where_a_whole_one_follows(samples, window, hop, starts):
    assert v4.frame_starts(samples, window, hop).tolist() == starts


def test_silent_frame_of_an_estimate_counts():
    stems, found = random_case(11)
    found[1, :, :3000] = 0
    ours = v4.bss_eval(stems, found, window=3000, taps=16)
    assert ours["sdr"][1, 0] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(ours["sdr"]).all()
    theirs = v4.bss_eval(stems, found, window=3000, taps=16, rule="museval")
    np.testing.assert_array_equal(np.isnan(theirs["sdr"]), [[1, 0, 0]] * 3)


def test_estimate_silent_throughout():
    stems, found = random_case(12)
    found[2] = 0
    ours = v4.bss_eval(stems, found, window=3000, taps=16)
    np.testing.assert_allclose(ours["sdr"][2], 0, atol=1e-12)
    np.testing.assert_allclose(ours["isr"][2], 0, atol=1e-12)
    assert np.isnan(ours["sir"][2]).all()
    assert np.isnan(ours["sar"][2]).all()


def test_what_is_left_after_the_last_frame_is_not_scored():
    stems, found = random_case(13, length=9000)
    assert v4.bss_eval(stems, found, window=4000, taps=8)["sdr"].shape == (3, 2)
    assert v4.bss_eval(stems, found, window=20000, taps=8)["sdr"].shape == (3, 1)


def empty_above(cutoff, seed=14):
    """Return stems and estimates with nothing above a share of the band, as AAC leaves them."""
    stems, found = random_case(seed, sources=2, channels=1, length=40000)
    spectra = np.fft.rfft([stems, found])
    spectra[..., int(cutoff * spectra.shape[-1]) :] = 0
    return np.fft.irfft(spectra, n=40000) * 0.5 / np.abs(stems).max()


def test_stems_without_a_noise_floor_score_as_16_bit_ones():
    stems, found = empty_above(0.7)
    rounded = np.round(stems * 2**15) / 2**15
    system = bss_system.prepare(stems)
    assert system.loaded
    assert not bss_system.prepare(rounded).loaded
    narrow = v4.ratios(v4.frame_energies(system, found, window=10000), True)
    wide = v4.bss_eval(rounded, found, window=10000)
    for name in v4.RATIOS:
        np.testing.assert_allclose(narrow[name], wide[name], atol=0.3)


def test_16_bit_stems_that_sound_for_a_moment_are_left_as_they_are():
    stems, _ = empty_above(0.7)
    rounded = np.round(stems * 2**15) / 2**15
    rounded[0, :, 3000:] = 0
    assert not bss_system.prepare(rounded).loaded


def test_two_equal_channels_score_as_one():
    stems, found = random_case(15, sources=2, channels=1, length=12000)
    both = [np.repeat(signals, 2, axis=1) for signals in (stems, found)]
    one, two = v4.bss_eval(stems, found, window=4000), v4.bss_eval(*both, window=4000)
    for name in v4.RATIOS:
        np.testing.assert_allclose(two[name], one[name], atol=0.01)


def test_refusals():
    stems, found = random_case(16)
    with pytest.raises(UsageError, match="must have the shape"):
        v4.bss_eval(stems, found[:2], window=3000)
    with pytest.raises(UsageError, match="at least one sample"):
        v4.bss_eval(stems, found, window=0)
    with pytest.raises(UsageError, match="unknown rule"):
        v4.bss_eval(stems, found, window=3000, taps=8, rule="mine")
    with pytest.raises(ComputationError, match="NaN"):
        v4.bss_eval(stems, np.full_like(found, np.nan), window=3000)
    stems[1] = 0
    with pytest.raises(ComputationError, match="reference 1 is silent"):
        v4.bss_eval(stems, found, window=3000)
