"""Steps of one block under a sum: what they keep, and a slow search for their multipliers."""

import numpy as np
import pytest
from blocks import BETAS, MODELS, feasible, matrix, parts_of, problem, rises
from scipy.optimize import brentq

from nmfab.algorithms import linear, sums
from nmfab.base.divergence import divergence


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("l2", [0.0, 0.4])
@pytest.mark.parametrize("heavy", [False, True])
def test_steps_under_a_sum_keep_it_and_never_raise_the_objective(kind, beta, l2, heavy):
    for seed in range(2):
        theta, model, adjoint, V = problem(kind, seed, heavy)
        for axis, total in ((0, 1.0), (-1, 2.5)):
            x = feasible(theta, total, axis)
            curve = [divergence(V, model(x), beta) + l2 * (x**2).sum()]
            for _ in range(30):
                N, P = parts_of(x, model, adjoint, V, beta)
                x = sums.update_summing_to(x, N, P, beta, total, axis, l2=l2)
                np.testing.assert_allclose(x.sum(axis=axis), total, rtol=1e-12)
                assert x.min() >= 0
                curve.append(divergence(V, model(x), beta) + l2 * (x**2).sum())
            assert not rises(curve)
            assert curve[-1] < curve[0]


@pytest.mark.parametrize("beta", [0, 1, 1.5, 3])
@pytest.mark.parametrize("l2", [0.0, 0.4])
def test_limits_under_a_sum_are_stationary(beta, l2):
    """There is one ν per group with θ (∂ + ν) = 0 and ∂ + ν ≥ 0."""
    theta, model, adjoint, V = problem(matrix, 5)
    x = feasible(theta, 1.0, 0)
    for _ in range(1500):
        N, P = parts_of(x, model, adjoint, V, beta)
        x = sums.update_summing_to(x, N, P, beta, 1.0, 0, l2=l2)
    N, P = parts_of(x, model, adjoint, V, beta)
    gradient = P - N + 2 * l2 * x
    nu = -(x * gradient).sum(axis=0)
    assert abs(x * (gradient + nu)).max() < 1e-4
    assert (gradient + nu).min() > -1e-3


def entry_at(nu, theta, N, P, beta, l2):
    """Return θ(ν), one entry, by formula."""
    if l2 == 0 and beta <= 1:
        return theta * (N / (P + nu)) ** linear.exponent(beta)
    if beta == 1:
        return float(linear.quadratic_root(2 * l2, P + nu, np.array([theta * N]))[0])
    power = linear.exponent(beta) if l2 == 0 else 1 / (3 - beta) if beta <= 2 else 1 / (beta - 1)
    return theta * ((N + max(-nu, 0)) / (P + 2 * l2 * theta + max(nu, 0))) ** power


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("l2", [0.0, 0.4])
@pytest.mark.parametrize("total", [0.02, 1.0, 60.0])
def test_the_multiplier_against_a_slow_search(beta, l2, total):
    rng = np.random.default_rng(6)
    theta, N, P = (np.exp(1.5 * rng.standard_normal((5, 4))) for _ in range(3))
    theta = feasible(theta, total, 0)
    found = sums.update_summing_to(theta, N, P, beta, total, 0, l2=l2)
    for k in range(4):
        columns = list(zip(theta[:, k], N[:, k], P[:, k], strict=True))

        def missing(nu, columns=columns):
            return sum(entry_at(nu, *each, beta, l2) for each in columns) - total

        low = -P[:, k].min() * (1 - 1e-13) if l2 == 0 and beta <= 1 else -1e9
        nu = brentq(missing, low, 1e9, xtol=1e-13, rtol=1e-14, maxiter=2000)
        expected = [entry_at(nu, *each, beta, l2) for each in columns]
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-6, atol=1e-9)


def test_no_multiplier_is_needed_at_beta_1_where_P_is_the_same_for_all():
    theta, model, adjoint, V = problem(matrix, 7)
    x = feasible(theta, 1.0, -1)
    N, P = parts_of(x, model, adjoint, V, 1)
    closed = sums.update_summing_to(x, N, P[:, :1], 1, 1.0, -1)
    np.testing.assert_allclose(closed, x * N / (x * N).sum(axis=1, keepdims=True), rtol=1e-14)
    searched = sums.update_summing_to(x, N, P, 1, 1.0, -1)
    np.testing.assert_allclose(searched, closed, rtol=1e-10)


@pytest.mark.parametrize("beta", [0, 1])
def test_a_tiny_entry_at_the_pole_does_not_cancel(beta):
    """One entry of 4e-19 has the least P, and must grow: ν ends a hair above −P of it."""
    theta = np.array([[4e-19], [1 - 4e-19]])
    N, P = np.array([[3.0], [0.5]]), np.array([[0.9], [7.0]])
    found = sums.update_summing_to(theta, N, P, beta, 1.0, 0)
    gamma = linear.exponent(beta)
    # in exact arithmetic: τ from the second entry's equation, then the first entry
    from mpmath import findroot, mp, mpf

    mp.dps = 60
    t, n, p = ([mpf(float(x[i, 0])) for i in range(2)] for x in (theta, N, P))
    t[1] = 1 - mpf(float(theta[0, 0]))

    def missing(log_tau):
        tau = mp.e**log_tau
        return (
            sum(
                t[i] * (n[i] / (p[i] - p[0] + tau)) ** (mpf(1) / 2 if gamma == 0.5 else 1)
                for i in range(2)
            )
            - 1
        )

    tau = mp.e ** findroot(missing, (mpf(-90), mpf(3)), solver="bisect", tol=1e-40, maxsteps=400)
    expected = [float(t[i] * (n[i] / (p[i] - p[0] + tau)) ** mpf(gamma)) for i in range(2)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-9)
    naive = -P[0] + float(tau)
    assert P[0] + naive != float(tau) or float(tau) > 1e-10  # ν itself has lost τ


def test_a_group_without_anything_stays_as_it_is():
    theta = np.array([[0.5, 0.2], [0.5, 0.8]])
    N = np.array([[0.0, 1.0], [0.0, 2.0]])
    P = np.array([[1.0, 1.0], [2.0, 3.0]])
    for beta in BETAS:
        for l2 in (0.0, 0.3):
            found = sums.update_summing_to(theta, N, P, beta, 1.0, 0, l2=l2)
            assert found[:, 0].tolist() == [0.5, 0.5], (beta, l2)
            assert found[:, 1].sum() == pytest.approx(1, abs=1e-14)
    same = sums.update_summing_to(theta, N, P[:1], 1, 1.0, 0)
    assert same[:, 0].tolist() == [0.5, 0.5]


def test_zeros_stay_under_a_sum():
    theta = np.array([[0.0], [0.4], [0.6]])
    N, P = np.array([[9.0], [1.0], [2.0]]), np.array([[0.1], [1.0], [1.0]])
    for beta in BETAS:
        for l2 in (0.0, 0.3):
            found = sums.update_summing_to(theta, N, P, beta, 1.0, 0, l2=l2)
            assert found[0, 0] == 0
            assert found.sum() == pytest.approx(1, abs=1e-14)
