"""Transforms, gains of groups, ideal masks: identities, slow references, values by hand."""

import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.base.stft import istft, spectrogram, stft
from nmfab.postprocessing import masking

OPTIONS = {"n_fft": 256, "hop": 64}


@pytest.fixture
def mixture():
    return np.random.default_rng(0).standard_normal((2, 3001)).astype(np.float32)


@pytest.fixture
def factors(mixture):
    rng = np.random.default_rng(1)
    frames = 1 + mixture.shape[1] // OPTIONS["hop"]
    W, H = rng.random((129, 5)) ** 4, rng.random((5, frames)) ** 4
    return W.astype(np.float32), H.astype(np.float32)


GROUPS = np.array([0, 1, 1, 2, 0])


def test_transform_is_librosas(mixture):
    import librosa

    theirs = librosa.stft(mixture, n_fft=256, hop_length=64)
    ours = stft(mixture, **OPTIONS)
    assert ours.dtype == np.complex64
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(("n_fft", "hop"), [(256, 64), (256, 128), (2048, 512), (200, 50)])
@pytest.mark.parametrize("length", [1, 100, 3001])
def test_inverse_gives_the_signal_back(n_fft, hop, length):
    signal = np.random.default_rng(2).standard_normal((2, length))
    spectra = stft(signal, n_fft=n_fft, hop=hop)
    found = istft(spectra, n_fft=n_fft, hop=hop, length=length)
    np.testing.assert_allclose(found, signal, atol=1e-9)


def test_inverse_of_masked_spectra_is_librosas(mixture):
    import librosa

    spectra = stft(mixture.astype(float), **OPTIONS) * np.random.default_rng(3).random((129, 47))
    theirs = librosa.istft(spectra, hop_length=64, length=3001)
    ours = istft(spectra, **OPTIONS, length=3001)
    np.testing.assert_allclose(ours[:, :2900], theirs[:, :2900], atol=1e-9)


def test_shared_spectrogram_is_the_mean_over_channels(mixture):
    left, right = np.abs(stft(mixture, **OPTIONS)) ** 2
    found = spectrogram(mixture, **OPTIONS, power=2)
    np.testing.assert_allclose(found, (left + right) / 2, rtol=1e-5)


def gains(factors, **options):
    given = {"n_sources": 3, "power": 1, "mask": "wiener2", **options}
    return masking.group_gains(*factors, GROUPS, **given)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("mask", ["wiener1", "wiener2"])
def test_wiener_gains_are_the_definition(factors, power, mask):
    W, H = (factor.astype(float) for factor in factors)
    magnitudes = np.stack(
        [
            sum(np.outer(W[:, k], H[k]) for k in np.flatnonzero(np.equal(GROUPS, g)))
            for g in range(3)
        ]
    ) ** (1 / power)
    shares = magnitudes ** int(mask[-1])
    expected = shares / shares.sum(axis=0)
    found = gains(factors, power=power, mask=mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)


def test_wiener_gains_by_hand():
    W, H = np.array([[3.0, 1.0]]), np.array([[1.0], [1.0]])
    groups = np.array([0, 1])
    for power, mask, expected in (
        (1, "wiener1", 0.75),
        (1, "wiener2", 0.9),
        (2, "wiener2", 0.75),
        (2, "wiener1", 3**0.5 / (3**0.5 + 1)),
    ):
        found = masking.group_gains(W, H, groups, n_sources=2, power=power, mask=mask)
        assert found[0, 0, 0] == pytest.approx(expected)


def test_gains_survive_small_numbers(factors):
    W, H = factors
    small = gains((W * np.float32(1e-20), H * np.float32(1e-15)), mask="wiener2")
    np.testing.assert_allclose(small, gains(factors, mask="wiener2"), rtol=1e-3, atol=1e-5)


def test_gains_where_the_model_is_zero(factors):
    W, H = factors[0].copy(), factors[1]
    W[:, 3] = 0
    W[7] = 0
    found = gains((W, H))
    assert np.isfinite(found).all()
    assert not found[2].any()
    assert not found[:, 7].any()


def test_a_component_of_no_group_goes_nowhere(factors):
    W, H = factors
    groups = np.array([0, -1, -1, 1, 0])
    found = masking.group_gains(W, H, groups, n_sources=2, power=1, mask="wiener1")
    model = W[:, groups >= 0], H[groups >= 0]
    expected = masking.group_gains(
        *model, groups[groups >= 0], n_sources=2, power=1, mask="wiener1"
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("power", [1, 2])
def test_direct_estimates_have_the_models_magnitude(factors, power):
    observed = np.random.default_rng(4).random((129, factors[1].shape[1])) + 0.1
    found = gains(factors, power=power, mask="direct", observed=observed)
    model = factors[0][:, GROUPS == 1] @ factors[1][GROUPS == 1]
    np.testing.assert_allclose(found[1] ** power * observed, model, rtol=1e-4)


@pytest.mark.parametrize("pairs", [1, 2])
@pytest.mark.parametrize("mask", ["wiener1", "wiener2"])
def test_estimates_add_up_to_the_mixture(mixture, factors, pairs, mask):
    found = masking.estimates(
        mixture, [factors] * pairs, [GROUPS] * pairs, n_sources=3, power=1, mask=mask, **OPTIONS
    )
    assert found.shape == (3, 2, 3001)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), mixture, atol=1e-4)


def test_shared_factors_filter_both_channels_alike(mixture, factors):
    options = {"n_sources": 3, "power": 1, "mask": "wiener2", **OPTIONS}
    panned = np.stack([mixture[0], 0.25 * mixture[0]])
    found = masking.estimates(panned, [factors], [GROUPS], **options)
    np.testing.assert_allclose(found[:, 1], 0.25 * found[:, 0], atol=1e-5)


def test_factors_of_each_channel_act_on_that_channel(mixture, factors):
    options = {"n_sources": 3, "power": 1, "mask": "wiener2", **OPTIONS}
    other = factors[0][::-1], factors[1]
    both = masking.estimates(mixture, [factors, other], [GROUPS, GROUPS], **options)
    for channel, pair in enumerate([factors, other]):
        alone = masking.estimates(mixture[[channel]], [pair], [GROUPS], **options)
        np.testing.assert_allclose(both[:, [channel]], alone, atol=1e-6)


def test_direct_on_an_exact_model_gives_the_source(mixture):
    V = spectrogram(mixture, **OPTIONS, power=1)
    exact = V, np.eye(V.shape[1], dtype=np.float32)
    groups = np.zeros(V.shape[1], dtype=int)
    found = masking.estimates(
        mixture, [exact], [groups], n_sources=2, power=1, mask="direct", **OPTIONS
    )
    np.testing.assert_allclose(found[0], mixture, atol=1e-4)
    assert not found[1].any()


def test_ideal_masks_by_hand():
    stems = np.array([3.0, 1.0, 0.0])[:, None, None] + 0j
    mixture = stems.sum(axis=0)
    for kind, expected in (
        ("ibm1", [1, 0, 0]),
        ("ibm2", [1, 0, 0]),
        ("irm1", [0.75, 0.25, 0]),
        ("irm2", [0.9, 0.1, 0]),
    ):
        found = masking.ideal_gains(mixture, stems, kind)[:, 0, 0]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    # 60% of the magnitude is 36% of the power; in opposite phase two stems pass at once.
    ratio = np.array([0.6, 0.4])[:, None, None] + 0j
    assert masking.ideal_gains(ratio.sum(axis=0), ratio, "ibm1")[:, 0, 0].tolist() == [1, 0]
    assert masking.ideal_gains(ratio.sum(axis=0), ratio, "ibm2")[:, 0, 0].tolist() == [0, 0]
    opposed = np.array([3.0, -2.0])[:, None, None] + 0j
    assert masking.ideal_gains(opposed.sum(axis=0), opposed, "ibm1")[:, 0, 0].tolist() == [1, 1]


def test_ideal_ratio_masks_add_up_to_the_mixture(mixture):
    stems = np.stack([0.3 * mixture, np.roll(mixture, 40, axis=1), mixture[::-1]])
    for kind in ("irm1", "irm2"):
        found = masking.ideal_estimates(mixture, stems, kind, **OPTIONS)
        np.testing.assert_allclose(found.sum(axis=0), mixture, atol=1e-3)


def test_harmonic_and_percussive_sound_are_told_apart():
    time = np.arange(16000) / 8000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time)
    clicks = np.zeros_like(tone)
    clicks[2000::2000] = 1.0
    found = masking.hpss_estimates((tone + clicks)[None].astype(np.float32), n_fft=512, hop=128)
    inner = slice(1000, -1000)
    for estimate, truth in zip(found[:, 0], (tone, clicks), strict=True):
        assert np.corrcoef(estimate[inner], truth[inner])[0, 1] > 0.9


def test_refusals(mixture, factors):
    with pytest.raises(UsageError, match="unknown mask"):
        gains(factors, mask="soft")
    with pytest.raises(UsageError, match="spectrogram that was modelled"):
        gains(factors, mask="direct")
    with pytest.raises(UsageError, match="unknown ideal mask"):
        masking.ideal_gains(mixture, mixture[None], "ibm3")
    options = {"n_sources": 3, "power": 1, "mask": "wiener1", **OPTIONS}
    with pytest.raises(UsageError, match="do not fit 2 channels"):
        masking.estimates(mixture, [factors] * 3, [GROUPS] * 3, **options)
    with pytest.raises(UsageError, match="do not fit the recording"):
        masking.estimates(mixture[:, :1000], [factors], [GROUPS], **options)
