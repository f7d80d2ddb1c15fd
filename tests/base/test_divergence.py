import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import nnls
from scipy.special import kl_div

from nmfab.algorithms import measuring
from nmfab.algorithms.measuring import measure
from nmfab.base import divergence as divergences
from nmfab.base.divergence import (
    WH_FLOOR,
    divergence,
    gradient_parts,
    mask,
    stationarity,
)

BETAS = [-1, -0.3, 0, 0.5, 1, 1.5, 2, 3]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return rng.random((7, 9)) + 0.1, rng.random((7, 3)) + 0.1, rng.random((3, 9)) + 0.1


def one(x, y, beta):
    return divergence(np.array([[float(x)]]), np.array([[float(y)]]), beta)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(("x", "y"), [(1, 2), (2, 1), (0.3, 0.1), (5, 5)])
def test_equals_the_integral_that_defines_it(x, y, beta):
    # every β-divergence is the Bregman one: d(x|y) = ∫ from y to x of (x − t) t^(β−2) dt
    expected, _ = quad(lambda t: (x - t) * t ** (beta - 2), y, x, epsabs=1e-13)
    assert one(x, y, beta) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_hand_worked_values():
    assert one(3, 1, 2) == 2
    assert one(np.e, 1, 1) == pytest.approx(1)  # e·1 − e + 1
    assert one(np.e, 1, 0) == pytest.approx(np.e - 2)


def test_kullback_leibler_is_that_of_scipy(problem):
    V, W, H = problem
    V = V * (V > 0.4)
    assert divergence(V, W @ H, 1) == pytest.approx(kl_div(V, W @ H).sum(), rel=1e-12)


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_continuous_in_beta(problem, limit):
    V, W, H = problem
    middle = divergence(V, W @ H, limit)
    for beta in (limit - 1e-5, limit + 1e-5):
        assert divergence(V, W @ H, beta) == pytest.approx(middle, rel=1e-3)


@pytest.mark.parametrize("beta", [0.5, 1, 1.5, 2, 3])
def test_a_zero_in_V_costs_y_to_the_beta_over_beta(beta):
    assert one(0, 0.7, beta) == pytest.approx(0.7**beta / beta, rel=1e-12)


@pytest.mark.parametrize("beta", [0.5, 1, 1.5, 2, 3])
def test_zero_modelled_by_zero_costs_nothing(beta):
    assert one(0, 0, beta) == pytest.approx(0, abs=1e-5 if beta == 0.5 else 1e-11)


def test_a_zero_in_the_model_counts_as_the_floor():
    assert one(1, 0, 1) == pytest.approx(-np.log(WH_FLOOR) - 1)
    assert one(1, 0, 0) == pytest.approx(1 / WH_FLOOR, rel=1e-9)


def test_zeros_are_masked_where_the_divergence_of_0_is_infinite():
    V = np.array([[0.0, 1.0]])
    assert mask(V, 0).tolist() == mask(V, -1).tolist() == [[False, True]]
    assert mask(V, 0.5) is mask(V + 1, 0) is None


@pytest.fixture
def with_zeros(problem):
    """A problem whose V has a silent row and column, and zeros elsewhere; W·H is 0 at some."""
    V, W, H = problem
    V[2], V[:, 4], V[5, 1], V[0, 7:] = 0, 0, 0, 0
    W[2, :2], H[1:, 4] = 0, 0
    W[5] = 0
    V[5] = 0
    return V, W, H


@pytest.mark.parametrize("beta", [0, -0.5, -2, -5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_zero_of_V_counts_for_nothing_at_and_below_0(with_zeros, beta, dtype):
    V, W, H = (x.astype(dtype) for x in with_zeros)
    WH, heard = W @ H, V > 0
    expected = sum(one(x, y, beta) for x, y in zip(V[heard], WH[heard], strict=True))
    assert divergence(V, WH, beta) == pytest.approx(expected, rel=1e-5)
    assert divergence(torch.from_numpy(V), torch.from_numpy(WH), beta) == pytest.approx(
        expected, rel=1e-5
    )
    (_, N_H, P_H), (_, N_W, P_W) = gradient_parts(V, W, H, beta)
    V, W, H, WH = (x.astype(float) for x in (V, W, H, WH))
    for k, j in [(0, 4), (1, 3), (2, 7)]:
        entries = [i for i in range(len(V)) if V[i, j] > 0]
        assert N_H[k, j] == pytest.approx(
            sum(W[i, k] * V[i, j] * WH[i, j] ** (beta - 2) for i in entries), rel=1e-4
        )
        assert P_H[k, j] == pytest.approx(
            sum(W[i, k] * WH[i, j] ** (beta - 1) for i in entries), rel=1e-4
        )
    for k, i in [(0, 2), (1, 0), (2, 6)]:
        entries = [j for j in range(V.shape[1]) if V[i, j] > 0]
        assert P_W[k, i] == pytest.approx(
            sum(H[k, j] * WH[i, j] ** (beta - 1) for j in entries), rel=1e-4
        )
        assert N_W[k, i] == pytest.approx(
            sum(H[k, j] * V[i, j] * WH[i, j] ** (beta - 2) for j in entries), rel=1e-4
        )


@pytest.mark.parametrize("beta", [0, -0.5])
def test_silence_changes_neither_loss_nor_residual(problem, beta):
    V, W, H = problem
    rows, columns = np.arange(7) != 2, (np.arange(9) != 4) & (np.arange(9) != 8)
    V = V * np.outer(rows, columns)
    V[3, 3] = 0
    W, H = 0.3 * W, H * np.where(columns, 1, 50)  # entries below their row's mean are to grow
    W[2] *= 50
    sounding = V[np.ix_(rows, columns)], W[rows], H[:, columns]
    expected = divergence(sounding[0], sounding[1] @ sounding[2], beta)
    assert divergence(V, W @ H, beta) == pytest.approx(expected, rel=1e-12)
    for fixed in (0, 2, 3):
        residual = stationarity(*sounding, beta, fixed=fixed)
        assert stationarity(V, W, H, beta, fixed=fixed) == pytest.approx(residual, rel=1e-12)
        for given in ((V, W, H), [torch.from_numpy(x) for x in (V, W, H)]):
            assert measure(*given, beta, fixed=fixed) == pytest.approx(
                (expected, residual), rel=1e-12
            )


@pytest.mark.parametrize("beta", BETAS)
def test_torch_gives_what_numpy_gives(problem, beta):
    tensors = [torch.from_numpy(x) for x in problem]
    V, W, H = problem
    expected = divergence(V, W @ H, beta)
    assert divergence(tensors[0], tensors[1] @ tensors[2], beta) == pytest.approx(expected)
    assert stationarity(*tensors, beta) == pytest.approx(stationarity(V, W, H, beta))


def test_float32_is_summed_without_loss():
    V = np.full((3000, 3000), 0.1, dtype=np.float32)
    assert divergence(V, V * 0, 2) == pytest.approx(9e6 * 0.01 / 2, rel=1e-6)


@pytest.mark.parametrize("beta", BETAS)
def test_gradient_is_that_of_finite_differences(problem, beta):
    V, W, H = problem
    (_, minus_H, plus_H), (_, minus_W, plus_W) = gradient_parts(V, W, H, beta)
    step = 1e-6
    for index in [(0, 0), (2, 5)]:
        E = np.zeros_like(H)
        E[index] = step
        slope = (divergence(V, W @ (H + E), beta) - divergence(V, W @ (H - E), beta)) / (2 * step)
        assert (plus_H - minus_H)[index] == pytest.approx(slope, rel=1e-5, abs=1e-7)
        E = np.zeros_like(W.T)
        E[index] = step
        up, down = (W.T + E).T @ H, (W.T - E).T @ H
        slope = (divergence(V, up, beta) - divergence(V, down, beta)) / (2 * step)
        assert (plus_W - minus_W)[index] == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("beta", BETAS)
def test_residual_is_zero_at_a_perfect_model_and_not_beside_it(problem, beta):
    _, W, H = problem
    assert stationarity(W @ H, W, H, beta) < 1e-14
    assert stationarity(W @ H, W, H * 1.01, beta) > 1e-3


def test_residual_is_zero_at_the_solution_of_nonnegative_least_squares(problem):
    V, W, _ = problem
    V = V - 0.6 * (np.arange(9) % 3 == 0)
    V = V.clip(0, None)
    H = np.stack([nnls(W, column)[0] for column in V.T], axis=1)
    assert (H == 0).any()  # on the boundary, where the gradient is positive and not zero
    assert stationarity(V, W, H, 2, fixed=3) < 1e-14
    assert stationarity(V, W, H, 2) > 1e-3


def test_residual_sees_a_zero_that_should_grow(problem):
    V, W, H = problem
    V, H = W @ H, H.copy()
    H[1, 4] = 0  # here H ∘ gradient is 0, and the point is none to stop at
    assert stationarity(V, W, H, 2, fixed=3) > 1e-3


def slow_residual(V, W, H, beta, fixed):
    """Return the residual as `stationarity` defines it, entry by entry."""
    found = []
    for (factor, N, P), held in zip(gradient_parts(V, W, H, beta), (0, fixed), strict=True):
        P = np.broadcast_to(P, N.shape)
        decrease = 0.0
        for k in range(held, len(factor)):
            for j in range(factor.shape[1]):
                slope, entry = P[k, j] - N[k, j], factor[k, j]
                larger = max(entry, factor[k].mean())
                decrease += entry * slope if slope > 0 else -larger * slope
        found.append(decrease / (factor * P).sum())
    return max(found)


@pytest.mark.parametrize("beta", BETAS)
def test_residual_looks_at_the_templates_that_are_free(problem, beta):
    _, W, H = problem
    V = W @ H
    W[:, 0] *= np.linspace(0.2, 2, len(W))  # off by the first template alone
    found = [stationarity(V, W, H, beta, fixed=fixed) for fixed in range(4)]
    expected = [slow_residual(V, W, H, beta, fixed) for fixed in range(4)]
    assert found == pytest.approx(expected, rel=1e-10)
    assert len({round(value, 12) for value in found}) > 1


@pytest.mark.parametrize("beta", BETAS)
def test_residual_is_invariant_to_scale_and_to_what_components_exchange(problem, beta):
    V, W, H = problem
    expected = stationarity(V, W, H, beta)
    d = np.array([1e-3, 1.0, 50.0])
    assert stationarity(V, W * d, H / d[:, None], beta) == pytest.approx(expected, rel=1e-10)
    assert stationarity(1e4 * V, 1e4 * W, H, beta) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("beta", [-2, -0.5, 0, 0.5, 1, 1.5, 2, 3])
@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
@pytest.mark.parametrize("block", [1, 100, 1 << 18])
def test_measure_is_divergence_and_stationarity_of_the_whole(beta, shape, block, monkeypatch):
    monkeypatch.setattr(measuring, "BLOCK", block)
    rng = np.random.default_rng(0)
    V, W, H = rng.random(shape), rng.random((shape[0], 4)), rng.random((4, shape[1]))
    V[3], V[:, 7] = 0, 0
    V[rng.random(shape) < 0.2] = 0
    for fixed in (0, 1, 4):
        expected = (
            divergences.divergence(V, W @ H, beta),
            divergences.stationarity(V, W, H, beta, fixed=fixed),
        )
        for arrays in ((V, W, H), [torch.from_numpy(x) for x in (V, W, H)]):
            before = [x.copy() if isinstance(x, np.ndarray) else x.clone() for x in arrays]
            found = measure(*arrays, beta, fixed=fixed)
            assert found == pytest.approx(expected, rel=1e-10)
            assert all((x == y).all() for x, y in zip(before, arrays, strict=True))
