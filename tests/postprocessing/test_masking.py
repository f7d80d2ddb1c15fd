"""Transforms, gains of groups, ideal masks: identities, slow references, values by hand."""

import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.base.kinds import LowRank
from nmfab.base.stft import istft, spectrogram, stft
from nmfab.postprocessing import STEPS, masking, unfactorized
from nmfab.tasks.per_channel import PerChannel

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


def gains(factors, groups=GROUPS, *, n_groups=3, power=1, mask="wiener2"):
    models = LowRank(*factors).grouped(groups, n_groups)
    return masking.wiener_gains(models, int(mask[-1]) / power)


def estimates(mixture, model, groups=GROUPS, *, n_groups=3, power=1, mask="wiener2", **options):
    step = STEPS.find("masking", mask)
    given = {"groups": groups, "n_groups": n_groups, "power": power, **OPTIONS, **options}
    return step(factorization=model, mixture=mixture, **given)


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


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("mask", ["wiener1", "wiener2"])
def test_a_mask_knows_the_power_of_the_model(mixture, factors, power, mask):
    W, H = (factor.astype(float) for factor in factors)
    own = [np.equal(GROUPS, g) for g in range(3)]
    models = np.stack([W[:, g] @ H[g] for g in own])
    shares = models ** (int(mask[-1]) / power)
    masked = shares[:, None] / shares.sum(axis=0) * stft(mixture.astype(float), **OPTIONS)
    expected = istft(masked, **OPTIONS, length=mixture.shape[1])
    found = estimates(mixture, LowRank(W, H), power=power, mask=mask)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("power", [1, 2])
def test_direct_gives_each_channel_its_own_model_with_its_own_phases(mixture, factors, power):
    W, H = (factor.astype(float) for factor in factors)
    pairs = LowRank(W, H), LowRank(W[:, ::-1], 3 * H)
    found = estimates(mixture, PerChannel(pairs), np.tile(GROUPS, 2), power=power, mask="direct")
    X = stft(mixture.astype(float), **OPTIONS)
    for channel, pair in enumerate(pairs):
        magnitudes = pair.grouped(GROUPS, 3) ** (1 / power)
        spectra = magnitudes * np.exp(1j * np.angle(X[channel]))
        expected = istft(spectra, **OPTIONS, length=mixture.shape[1])
        np.testing.assert_allclose(found[:, channel], expected, atol=1e-3 * abs(expected).max())


def test_wiener_gains_by_hand():
    W, H = np.array([[3.0, 1.0]]), np.array([[1.0], [1.0]])
    groups = np.array([0, 1])
    for power, mask, expected in (
        (1, "wiener1", 0.75),
        (1, "wiener2", 0.9),
        (2, "wiener2", 0.75),
        (2, "wiener1", 3**0.5 / (3**0.5 + 1)),
    ):
        found = gains((W, H), groups, n_groups=2, power=power, mask=mask)
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
    found = gains((W, H), groups, n_groups=2, mask="wiener1")
    model = W[:, groups >= 0], H[groups >= 0]
    expected = gains(model, groups[groups >= 0], n_groups=2, mask="wiener1")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("power", [1, 2])
def test_direct_estimates_have_the_models_magnitude(factors, power):
    observed = np.random.default_rng(4).random((129, factors[1].shape[1])) + 0.1
    found = masking.direct_gains(LowRank(*factors).grouped(GROUPS, 3), observed, power)
    model = factors[0][:, GROUPS == 1] @ factors[1][GROUPS == 1]
    np.testing.assert_allclose(found[1] ** power * observed, model, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mask", ["wiener1", "wiener2"])
def test_estimates_add_up_to_the_mixture(mixture, factors, channels, mask):
    model = LowRank(*factors) if channels == 1 else PerChannel([LowRank(*factors)] * 2)
    found = estimates(mixture, model, np.tile(GROUPS, channels), mask=mask)
    assert found.shape == (3, 2, 3001)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), mixture, atol=1e-4)


def test_shared_factors_filter_both_channels_alike(mixture, factors):
    panned = np.stack([mixture[0], 0.25 * mixture[0]])
    found = estimates(panned, LowRank(*factors))
    np.testing.assert_allclose(found[:, 1], 0.25 * found[:, 0], atol=1e-5)


def test_factors_of_each_channel_act_on_that_channel(mixture, factors):
    models = [LowRank(*factors), LowRank(factors[0][::-1], factors[1])]
    both = estimates(mixture, PerChannel(models), np.tile(GROUPS, 2))
    for channel, model in enumerate(models):
        alone = estimates(mixture[[channel]], model)
        np.testing.assert_allclose(both[:, [channel]], alone, atol=1e-6)


def test_direct_on_an_exact_model_gives_the_source(mixture):
    V = spectrogram(mixture, **OPTIONS, power=1)
    exact = LowRank(V, np.eye(V.shape[1], dtype=np.float32))
    groups = np.zeros(V.shape[1], dtype=int)
    found = estimates(mixture, exact, groups, n_groups=2, mask="direct")
    np.testing.assert_allclose(found[0], mixture, atol=1e-4)
    assert not found[1].any()


def test_a_model_that_tells_channels_apart_masks_each_by_its_own(mixture, factors):
    """A model of m × n × channels, as a tensor factorization gives it."""

    class Panned(LowRank):
        gains = np.array([[1, 0, 0.5, 1, 0.2], [0.3, 1, 0.5, 0, 0.2]], dtype=np.float32)

        def grouped(self, groups, n_groups, frames=slice(None)):
            sides = [LowRank(self.W * side, self.H) for side in self.gains]
            return np.stack([s.grouped(groups, n_groups, frames) for s in sides], axis=-1)

    found = estimates(mixture, Panned(*factors))
    for channel, side in enumerate(Panned.gains):
        alone = estimates(mixture[[channel]], LowRank(factors[0] * side, factors[1]))
        np.testing.assert_allclose(found[:, [channel]], alone, atol=1e-6)


def test_views_are_masked_by_the_one_that_sound_is_made_with(mixture, factors):
    class Views(LowRank):
        def grouped(self, groups, n_groups, frames=slice(None)):
            return {"256": super().grouped(groups, n_groups, frames), "64": None}

    np.testing.assert_array_equal(
        estimates(mixture, Views(*factors)), estimates(mixture, LowRank(*factors))
    )


def test_a_factorizations_own_filter(mixture):
    """Sources of an instantaneous mix: its inverse is the filter, and images add up."""

    class Own(LowRank):
        def separate(self, X, groups):
            assert X.shape == (129, 47, 2)
            return np.stack([X * [1, 0], X * [0, 1]])

    found = masking.own_filter(Own(None, None), groups=np.array([0, 1]), mixture=mixture, **OPTIONS)
    np.testing.assert_allclose(found[0, 0], mixture[0], atol=1e-5)
    np.testing.assert_allclose(found[1, 1], mixture[1], atol=1e-5)
    assert not found[0, 1].any()


def ideal_gains(mixture, stems, kind):
    gains = {"ibm": unfactorized.binary_gains, "irm": unfactorized.ratio_gains}[kind[:3]]
    return gains(mixture, stems, int(kind[-1]))


def test_ideal_masks_by_hand():
    stems = np.array([3.0, 1.0, 0.0])[:, None, None] + 0j
    mixture = stems.sum(axis=0)
    for kind, expected in (
        ("ibm1", [1, 0, 0]),
        ("ibm2", [1, 0, 0]),
        ("irm1", [0.75, 0.25, 0]),
        ("irm2", [0.9, 0.1, 0]),
    ):
        found = ideal_gains(mixture, stems, kind)[:, 0, 0]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    # 60% of the magnitude is 36% of the power; in opposite phase two stems pass at once.
    ratio = np.array([0.6, 0.4])[:, None, None] + 0j
    assert ideal_gains(ratio.sum(axis=0), ratio, "ibm1")[:, 0, 0].tolist() == [1, 0]
    assert ideal_gains(ratio.sum(axis=0), ratio, "ibm2")[:, 0, 0].tolist() == [0, 0]
    opposed = np.array([3.0, -2.0])[:, None, None] + 0j
    assert ideal_gains(opposed.sum(axis=0), opposed, "ibm1")[:, 0, 0].tolist() == [1, 1]


def test_ideal_ratio_masks_add_up_to_the_mixture(mixture):
    stems = np.stack([0.3 * mixture, np.roll(mixture, 40, axis=1), mixture[::-1]])
    for kind in ("irm1", "irm2"):
        found = STEPS.find("separation", kind)(mixture=mixture, stems=stems, **OPTIONS)
        np.testing.assert_allclose(found.sum(axis=0), mixture, atol=1e-3)


def test_harmonic_and_percussive_sound_are_told_apart():
    time = np.arange(16000) / 8000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time)
    clicks = np.zeros_like(tone)
    clicks[2000::2000] = 1.0
    found = unfactorized.hpss((tone + clicks)[None].astype(np.float32), n_fft=512, hop=128)
    inner = slice(1000, -1000)
    for estimate, truth in zip(found[:, 0], (tone, clicks), strict=True):
        assert np.corrcoef(estimate[inner], truth[inner])[0, 1] > 0.9


def test_refusals(mixture, factors):
    with pytest.raises(UsageError, match=r"unknown step of masking 'wiener3'.*did you mean"):
        STEPS.find("masking", "wiener3")
    with pytest.raises(UsageError, match="does not fit the recording"):
        estimates(mixture[:, :1000], LowRank(*factors))
