import logging

import numpy as np
import pytest

from nmfab.algorithms.init import (
    EMPTY_BIN,
    PIANO,
    harmonic_templates,
    reads_seed,
    starting_factors,
)
from nmfab.base.errors import ComputationError, UsageError

FREQUENCIES = np.arange(2049) * 44100 / 4096


@pytest.fixture
def V():
    return np.random.default_rng(0).random((30, 20))


def slow_nndsvd(V, rank):
    """Boutsidis and Gallopoulos 2008, section 2.3, column by column on a full SVD."""
    U, S, Vt = np.linalg.svd(V, full_matrices=False)
    W, H = np.zeros((len(V), rank)), np.zeros((rank, V.shape[1]))
    W[:, 0], H[0] = np.sqrt(S[0]) * abs(U[:, 0]), np.sqrt(S[0]) * abs(Vt[0])
    for j in range(1, rank):
        x, y = U[:, j], Vt[j]
        xp, yp, xn, yn = x * (x > 0), y * (y > 0), -x * (x < 0), -y * (y < 0)
        mp = np.linalg.norm(xp) * np.linalg.norm(yp)
        mn = np.linalg.norm(xn) * np.linalg.norm(yn)
        u, v, m = (xp, yp, mp) if mp > mn else (xn, yn, mn)
        W[:, j] = np.sqrt(S[j] * m) * u / np.linalg.norm(u)
        H[j] = np.sqrt(S[j] * m) * v / np.linalg.norm(v)
    return W, H


@pytest.mark.parametrize("transposed", [False, True])
def test_nndsvd_is_that_of_the_paper(V, transposed):
    V = V.T if transposed else V
    W, H, filled = starting_factors(V, 6, init="nndsvd")
    slow_W, slow_H = slow_nndsvd(V, 6)
    np.testing.assert_allclose(W, slow_W, atol=1e-8)
    np.testing.assert_allclose(H, slow_H, atol=1e-8)
    assert filled == 0
    assert (W == 0).any()


def test_nndsvda_fills_zeros_with_the_mean(V):
    W, H, _ = starting_factors(V, 6)
    plain_W, plain_H, _ = starting_factors(V, 6, init="nndsvd")
    for filled, plain in ((W, plain_W), (H, plain_H)):
        np.testing.assert_array_equal(filled, np.where(plain == 0, V.mean(), plain))


def test_only_random_and_harmonic_read_the_seed(V):
    assert [reads_seed(init) for init in ("random", "harmonic", "nndsvda", "nndsvd")] == [
        True,
        True,
        False,
        False,
    ]
    for init in ("random", "nndsvda", "nndsvd"):
        first, second = (starting_factors(V, 6, init=init, seed=seed) for seed in (1, 2))
        assert np.array_equal(first[0], second[0]) == (not reads_seed(init))
        again = starting_factors(V, 6, init=init, seed=1)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])


def test_random_has_the_scale_of_V(V):
    # E|n|² for two independent normals is (2/π): W·H has that share of the mean of V
    W, H, _ = starting_factors(1e6 * np.tile(V, (20, 20)), 10, init="random")
    assert (W @ H).mean() == pytest.approx(1e6 * V.mean() * 2 / np.pi, rel=0.1)


@pytest.mark.parametrize("init", ["nndsvda", "nndsvd"])
def test_rank_above_the_size_of_V_is_filled_at_random_and_said(V, init, caplog):
    with caplog.at_level(logging.WARNING, logger="nmfab"):
        W, H, filled = starting_factors(V, 25, init=init)
    assert (W.shape, H.shape, filled) == ((30, 25), (25, 20), 5)
    assert "5 of rank 25 start at random" in caplog.text
    assert (W[:, 20:] > 0).all()
    assert (H[20:] > 0).all()
    np.testing.assert_array_equal(W, starting_factors(V, 25, init=init, seed=9)[0])


def test_rank_above_the_rank_of_V_is_filled_too():
    rng = np.random.default_rng(0)
    V = rng.random((30, 3)) @ rng.random((3, 20))
    W, H, filled = starting_factors(V, 5, init="nndsvd")
    assert filled == 2
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()


def test_harmonic_templates_are_those_of_a_piano():
    W = harmonic_templates(FREQUENCIES)
    assert W.shape == (2049, 88)
    assert (PIANO[0], PIANO[-1]) == (21, 108)
    a4 = W[:, 69 - 21]
    held = FREQUENCIES[a4 > EMPTY_BIN]
    partial = np.round(held / 440)
    bin_width = 44100 / 4096
    assert (abs(held - partial * 440) <= np.maximum(0.03 * partial * 440, bin_width / 2)).all()
    assert set(partial) == set(range(1, 17))
    inside = abs(FREQUENCIES - 880) <= 0.03 * 880
    np.testing.assert_array_equal(a4[inside], 0.5)
    assert a4[np.argmin(abs(FREQUENCIES - 660))] == 0  # between two partials


def test_lowest_and_highest_key_stand_where_they_should():
    W = harmonic_templates(FREQUENCIES)
    for column, f0 in ((0, 27.5), (87, 4186.009)):
        first = FREQUENCIES[np.flatnonzero(W[:, column] == 1)]
        assert abs(first - f0).min() <= 44100 / 4096 / 2
        assert (abs(first - f0) <= max(0.03 * f0, 44100 / 4096 / 2)).all()


def test_bins_that_no_template_holds_get_a_floor_and_other_zeros_stay():
    W = harmonic_templates(FREQUENCIES)
    assert (W.max(axis=1) > 0).all()
    np.testing.assert_array_equal(W[0], EMPTY_BIN)  # 0 Hz
    assert (W == 0).mean() > 0.2


def test_harmonic_start_needs_frequencies_and_88_components(V):
    with pytest.raises(ComputationError, match="frequency of each row"):
        starting_factors(V, 88, init="harmonic")
    with pytest.raises(UsageError, match="rank 87 is too small"):
        starting_factors(np.ones((2049, 5)), 87, init="harmonic", frequencies=FREQUENCIES)


def test_harmonic_activations_are_drawn_at_the_level_of_V():
    V = np.random.default_rng(0).random((2049, 7))
    W, H, filled = starting_factors(V, 90, init="harmonic", seed=3, frequencies=FREQUENCIES)
    assert (W.shape, filled) == ((2049, 90), 2)
    assert (W[:, :88] @ H[:88]).mean() == pytest.approx(V.mean())
    other = starting_factors(V, 90, init="harmonic", seed=4, frequencies=FREQUENCIES)
    np.testing.assert_array_equal(W[:, :88], other[0][:, :88])
    assert not np.array_equal(H, other[1])


def test_an_unknown_start_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'nndsvda'"):
        reads_seed("nndsvdar")
