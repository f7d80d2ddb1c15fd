"""Grouping of components: invariances, templates that are plainly alike, a slow reference."""

import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.base.kinds import LowRank
from nmfab.postprocessing import grouping
from nmfab.tasks.per_channel import PerChannel

RATE = 16000
BINS = 513


def bump(center, width):
    """Return a template with energy around a frequency in Hz."""
    frequency = np.arange(BINS) * RATE / 2 / (BINS - 1)
    return np.exp(-(((frequency - center) / width) ** 2)) + 1e-4


@pytest.fixture
def families():
    """Templates of four plainly different kinds, three of each, and activations."""
    centers = [(200, 60), (1000, 150), (3000, 300), (6500, 500)]
    W = np.stack([bump(c * f, w) for f in (0.95, 1, 1.05) for c, w in centers], axis=1)
    return W, np.random.default_rng(0).random((12, 30)), np.tile(np.arange(4), 3)


def same_partition(first, second):
    pairs = [np.equal.outer(groups, groups) for groups in (first, second)]
    return np.array_equal(*pairs)


def by_mfcc(W, H, **options):
    given = {"n_sources": 4, "sample_rate": RATE, "power": 1, "kmeans_seed": 0, **options}
    return grouping.group_by_mfcc(LowRank(W, H), **given)


def by_oracle(W, H, stems):
    return grouping.group_by_oracle(LowRank(W, H), stem_powers=stems)


def test_plainly_different_templates_are_told_apart(families):
    W, H, kinds = families
    for seed in range(3):
        assert same_partition(by_mfcc(W, H, kmeans_seed=seed), kinds)


def test_scale_between_templates_and_activations_does_not_matter(families):
    W, H, _ = families
    scale = np.logspace(-6, 6, 12)
    np.testing.assert_array_equal(by_mfcc(W, H), by_mfcc(W * scale, H / scale[:, None]))
    np.testing.assert_allclose(
        grouping.mfcc_of_templates(W * scale, sample_rate=RATE, power=1),
        grouping.mfcc_of_templates(W, sample_rate=RATE, power=1),
        atol=1e-8,
    )


def test_templates_of_powers_group_as_their_magnitudes(families):
    W, H, _ = families
    np.testing.assert_allclose(
        grouping.mfcc_of_templates(W**2, sample_rate=RATE, power=2),
        grouping.mfcc_of_templates(W, sample_rate=RATE, power=1),
        atol=1e-8,
    )
    rough = 0.01 + np.random.default_rng(1).random((BINS, 30))  # no kinds that any cepstra tell
    H = np.ones((30, 2))
    np.testing.assert_array_equal(by_mfcc(rough, H), by_mfcc(rough**2, H, power=2))


def test_cepstra_are_librosas_without_the_first(families):
    import librosa

    W, _, _ = families
    unit = W / np.linalg.norm(W, axis=0)
    bank = librosa.filters.mel(sr=RATE, n_fft=2 * (BINS - 1), n_mels=128, dtype=np.float64)
    bank = bank[bank.any(axis=1)]
    ours = grouping.mfcc_of_templates(W, sample_rate=RATE, power=1)
    for column, found in zip(unit.T, ours, strict=True):  # librosa's range is that of all columns
        level = librosa.power_to_db(bank @ column**2, amin=1e-30, top_db=80)
        theirs = librosa.feature.mfcc(S=level[:, None], n_mfcc=20)[1:, 0]
        np.testing.assert_allclose(found, theirs, atol=1e-8)


def test_filterbank_follows_the_rate_of_the_track(families):
    W, _, _ = families
    low = grouping.mfcc_of_templates(W, sample_rate=RATE, power=1)
    high = grouping.mfcc_of_templates(W, sample_rate=2 * RATE, power=1)
    assert np.abs(low - high).max() > 1
    # The top template is audible at either rate: no bank that ends below it.
    top = W[:, [3]]
    assert np.ptp(grouping.mfcc_of_templates(top, sample_rate=44100, power=1)) > 1


def test_seed_decides(families):
    W, H, _ = families
    W = np.random.default_rng(1).random(W.shape)
    np.testing.assert_array_equal(by_mfcc(W, H, kmeans_seed=3), by_mfcc(W, H, kmeans_seed=3))


def test_components_that_are_zero_belong_to_no_group(families):
    W, H, kinds = families
    W[:, 2] = 0
    H[5] = 0
    found = by_mfcc(W, H)
    assert found[2] == found[5] == -1
    kept = np.delete(np.arange(12), [2, 5])
    assert same_partition(found[kept], kinds[kept])


def test_fewer_different_templates_than_sources(families):
    W, H, _ = families
    found = by_mfcc(np.repeat(W[:, :1], 12, axis=1), H)
    assert found.tolist() == [0] * 12
    assert by_mfcc(W[:, :2], H[:2]).max() <= 1
    assert by_mfcc(np.zeros_like(W), H).tolist() == [-1] * 12


def test_oracle_is_its_slow_definition():
    rng = np.random.default_rng(2)
    W, H = rng.random((20, 6)), rng.random((6, 15))
    stems = rng.random((3, 20, 15)) ** 4
    energies = np.zeros((6, 3))
    for k in range(6):
        mask = np.outer(W[:, k], H[k]) / (W @ H)
        for j in range(3):
            energies[k, j] = np.sum((mask * np.sqrt(stems[j])) ** 2)
    np.testing.assert_allclose(grouping.masked_energies(LowRank(W, H), stems), energies, rtol=1e-10)
    np.testing.assert_array_equal(by_oracle(W, H, stems), energies.argmax(axis=1))


def test_oracle_finds_the_stem_that_each_component_came_from():
    rng = np.random.default_rng(3)
    W, H = rng.random((40, 8)) ** 6, rng.random((8, 50)) ** 6
    kinds = np.array([2, 0, 1, 1, 0, 2, 0, 1])
    stems = np.stack([(W[:, kinds == j] @ H[kinds == j]) ** 2 for j in range(3)])
    np.testing.assert_array_equal(by_oracle(W, H, stems), kinds)


def test_oracle_does_not_depend_on_scale_and_leaves_out_zeros():
    rng = np.random.default_rng(4)
    W, H = rng.random((20, 6)), rng.random((6, 15))
    stems = rng.random((3, 20, 15))
    expected = by_oracle(W, H, stems)
    scale = np.logspace(-12, 12, 6)
    found = by_oracle(W * scale, H / scale[:, None], 1e-9 * stems)
    np.testing.assert_array_equal(found, expected)
    W[:, 4] = 0
    assert by_oracle(W, H, stems)[4] == -1


def test_a_silent_stem_gets_no_component():
    rng = np.random.default_rng(5)
    stems = rng.random((3, 20, 15))
    stems[1] = 0
    found = by_oracle(rng.random((20, 9)), rng.random((9, 15)), stems)
    assert 1 not in found


def test_stems_must_fit():
    with pytest.raises(UsageError, match="do not fit"):
        by_oracle(np.ones((4, 2)), np.ones((2, 5)), np.ones((3, 4, 6)))


def test_oracle_hears_each_channel_behind_that_channels_mask():
    """Sums over channels of the energies that each channel's own model lets through."""
    rng = np.random.default_rng(6)
    pairs = [(rng.random((20, 3)), rng.random((3, 15))) for _ in range(2)]
    stems = rng.random((3, 20, 15, 2)) ** 4
    model = PerChannel([LowRank(*pair) for pair in pairs])
    energies = grouping.masked_energies(model, stems)
    for channel, pair in enumerate(pairs):
        alone = grouping.masked_energies(LowRank(*pair), stems[..., channel])
        np.testing.assert_allclose(energies[3 * channel : 3 * channel + 3], alone, rtol=1e-10)


def test_energies_do_not_depend_on_how_many_frames_are_looked_at_together(monkeypatch):
    rng = np.random.default_rng(7)
    W, H, stems = rng.random((20, 6)), rng.random((6, 15)), rng.random((3, 20, 15))
    whole = grouping.masked_energies(LowRank(W, H), stems)
    monkeypatch.setattr(grouping, "_FRAMES", 4)
    np.testing.assert_allclose(grouping.masked_energies(LowRank(W, H), stems), whole, rtol=1e-12)
