"""Self-similarities against as_seg, by hand, and what they are invariant to."""

import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.base.kinds import LowRank
from nmfab.postprocessing import STEPS
from nmfab.postprocessing import similarity as comparing
from nmfab.postprocessing.segmentation import oracle, regular, snapped

SIMILARITIES = STEPS.family("similarity")
AS_SEG = {"cosine": "cosine", "centered_cosine": "autocorrelation", "rbf": "rbf"}


def similarity(bars, kind):
    """Return the self-similarity of bars, one row per bar."""
    return STEPS.find("similarity", kind)(columns=np.asarray(bars).T)


def cosine(bars):
    return similarity(bars, "cosine")


def centered_cosine(bars):
    return similarity(bars, "centered_cosine")


def rbf(bars):
    return similarity(bars, "rbf")


def scaled_activations(W, H, scale):
    return comparing.scaled_activations(LowRank(W, H), scale=scale)


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_equal_to_as_seg(kind):
    theirs = pytest.importorskip("as_seg.autosimilarity_computation").switch_autosimilarity
    bars = np.random.default_rng(0).random((30, 12))
    np.testing.assert_allclose(similarity(bars, kind), theirs(bars, AS_SEG[kind]), atol=1e-12)
    bars[3] = 0  # as_seg puts 1e-10 in the place of zeros
    np.testing.assert_allclose(similarity(bars, kind), theirs(bars, AS_SEG[kind]), atol=1e-9)


def test_cosine_by_hand():
    matrix = cosine(np.array([[3.0, 4.0], [4.0, 3.0], [0.0, 0.0]]))
    np.testing.assert_allclose(matrix, [[1, 0.96, 0], [0.96, 1, 0], [0, 0, 0]])


def test_centered_cosine_by_hand():
    # the mean bar is (1, 1): what is left of the bars is (1, -1), (-1, 1) and (0, 0)
    matrix = centered_cosine(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    np.testing.assert_allclose(matrix, [[1, -1, 0], [-1, 1, 0], [0, 0, 0]], atol=1e-15)


def test_rbf_by_hand():
    # distances of unit vectors: 0 (the first two), sqrt 2 (the others), in six pairs (2 and 4)
    bars = np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0]])
    distances = np.sqrt(2) * np.array([0, 0, 1, 1, 1, 1])
    gamma = 1 / (2 * distances.std())
    apart = np.exp(-gamma * 2)
    np.testing.assert_allclose(rbf(bars), [[1, 1, apart], [1, 1, apart], [apart, apart, 1]])


def test_rbf_of_bars_equally_far_apart_tells_same_from_different():
    np.testing.assert_array_equal(rbf(np.eye(3)), np.eye(3))
    np.testing.assert_array_equal(rbf(np.ones((3, 2))), np.ones((3, 3)))
    np.testing.assert_array_equal(rbf(np.array([[1.0, 0.0], [0.0, 1.0]])), np.eye(2))
    np.testing.assert_array_equal(rbf(np.ones((1, 2))), [[1]])


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_symmetric_and_deaf_to_the_loudness_of_the_song(kind):
    bars = np.random.default_rng(1).random((9, 5))
    matrix = similarity(bars, kind)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)
    np.testing.assert_allclose(similarity(bars * 1e6, kind), matrix, atol=1e-9)


@pytest.mark.parametrize("kind", ["cosine", "rbf"])
def test_deaf_to_the_loudness_of_a_bar(kind):
    rng = np.random.default_rng(2)
    bars = rng.random((9, 5))
    louder = bars * rng.uniform(0.1, 10, (9, 1))
    np.testing.assert_allclose(similarity(louder, kind), similarity(bars, kind), atol=1e-9)


def test_unknown_similarities_are_refused():
    with pytest.raises(UsageError, match=r"unknown step of similarity 'cosin'.*did you mean 'cos"):
        STEPS.find("similarity", "cosin")


def test_scale_w_undoes_any_scaling_of_components():
    rng = np.random.default_rng(3)
    W, H = rng.random((20, 4)), rng.random((4, 9))
    factors = rng.uniform(0.01, 100, 4)
    scaled = scaled_activations(W * factors, H / factors[:, None], "W")
    np.testing.assert_allclose(scaled, scaled_activations(W, H, "W"), rtol=1e-12)
    unit = W / np.linalg.norm(W, axis=0)
    np.testing.assert_allclose(unit @ scaled, W @ H, rtol=1e-12)  # the same product


def test_scale_h_gives_unit_rows_and_none_leaves_h():
    rng = np.random.default_rng(4)
    W, H = rng.random((20, 4)), rng.random((4, 9))
    H[2] = 0
    norms = np.linalg.norm(scaled_activations(W, H, "H"), axis=1)
    np.testing.assert_allclose(norms, [1, 1, 0, 1])
    assert scaled_activations(W, H, "none") is H
    with pytest.raises(UsageError, match="unknown scale"):
        scaled_activations(W, H, "both")


def test_regular_segments():
    edges = 0.3 + 2.0 * np.arange(21)
    np.testing.assert_array_equal(regular(edges), edges[[0, 8, 16, 20]])
    np.testing.assert_array_equal(regular(edges[:17]), edges[[0, 8, 16]])
    np.testing.assert_array_equal(regular(edges[:4]), edges[[0, 3]])
    np.testing.assert_array_equal(regular(edges[:6], bars=2), edges[[0, 2, 4, 5]])
    with pytest.raises(UsageError, match="segments of 0 bars"):
        regular(edges, bars=0)


def test_snapped_takes_the_nearest_edge_once():
    edges = np.array([0.5, 2.5, 4.5, 6.5])
    np.testing.assert_array_equal(snapped([0, 0.3, 3.0, 3.5, 3.6, 99], edges), [0, 1, 2, 3])


def test_the_reference_on_bars_may_begin_at_zero():
    edges = np.array([0.5, 2.5, 4.5, 6.5])
    sections = {"intervals": np.array([[0.1, 3.0], [3.0, 4.4], [4.4, 6.6]])}
    np.testing.assert_array_equal(oracle(edges, sections=sections), [0, 2.5, 4.5, 6.5])
