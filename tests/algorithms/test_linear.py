"""Steps of one block against slow minimizations of their majorizers, and what they promise."""

import numpy as np
import pytest
import torch
from blocks import BETAS, MODELS, feasible, matrix, parts_of, problem, rises
from scipy.optimize import brentq, minimize_scalar

from nmfab.algorithms import linear, sums
from nmfab.base.divergence import divergence
from nmfab.base.errors import UsageError


def majorizer(u, N, P, beta):
    """Return the scalar majorizer over θ̃, u = θ/θ̃, up to a constant."""

    def integral(power):
        return np.log(u) if power == -1 else u ** (power + 1) / (power + 1)

    return P * integral(max(beta - 1, 0)) - N * integral(min(beta - 2, 0))


def least(function, low=-40, high=40):
    """Return the u that minimizes a unimodal function of u > 0."""
    grid = np.linspace(low, high, 4001)
    best = grid[np.argmin([function(np.exp(x)) for x in grid])]
    found = minimize_scalar(
        lambda x: function(np.exp(x)), bounds=(best - 0.02, best + 0.02), method="bounded",
        options={"xatol": 1e-12},
    )  # fmt: skip
    return np.exp(found.x)


# the block


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("heavy", [False, True])
def test_a_step_never_raises_the_divergence(kind, beta, heavy):
    for seed in range(2):
        theta, model, adjoint, V = problem(kind, seed, heavy)
        curve = [divergence(V, model(theta), beta)]
        for _ in range(40):
            N, P = parts_of(theta, model, adjoint, V, beta)
            theta = linear.update(theta, N, P, beta)
            curve.append(divergence(V, model(theta), beta))
        assert not rises(curve)
        assert curve[-1] < curve[0]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("beta", BETAS)
def test_parts_are_the_gradient(kind, beta):
    theta, model, adjoint, V = problem(kind, 0)
    N, P = parts_of(theta, model, adjoint, V, beta)
    numerical = np.zeros_like(theta)
    for index in np.ndindex(theta.shape):
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[index] += sign * 1e-6
            ends.append(divergence(V, model(moved), beta))
        numerical[index] = (ends[0] - ends[1]) / 2e-6
    assert (abs(P - N - numerical) / (P + N)).max() < 2e-5


@pytest.mark.parametrize("beta", BETAS)
def test_a_step_minimizes_the_majorizer(beta):
    rng = np.random.default_rng(1)
    for theta, N, P in np.exp(rng.standard_normal((10, 3))):
        expected = theta * least(lambda u, N=N, P=P: majorizer(u, N, P, beta))
        found = linear.update(np.array([theta]), np.array([N]), np.array([P]), beta)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("beta", BETAS)
def test_masked_entries_are_as_if_they_were_not_there(beta):
    theta, model, adjoint, V = problem(matrix, 0)
    V[2], V[:, 5] = 0, 0  # silent throughout
    kept = np.ix_([i for i in range(8) if i != 2], [j for j in range(11) if j != 5])
    N, P = parts_of(theta, model, adjoint, V, beta)
    if beta > 0:
        return
    W = model(np.eye(3))[kept[0].ravel()]
    small = theta[:, kept[1].ravel()]
    n, p = linear.parts(V[kept], W @ small, beta, lambda A: W.T @ A)
    np.testing.assert_allclose(N[:, kept[1].ravel()], n, rtol=1e-12)
    np.testing.assert_allclose(P[:, kept[1].ravel()], p, rtol=1e-12)
    assert not N[:, 5].any()
    assert not P[:, 5].any()


def test_a_mask_holds_where_powers_overflow():
    """1e-12 to the power −4 is no float32, and 0 times infinity none at all."""
    V, model = np.array([[0.0, 1]], dtype=np.float32), np.array([[0.0, 1]], dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for beta in (-2, 1):
            negative, positive = linear.ratios(V, model, beta, V > 0)
            assert negative.tolist() == [[0, 1]]
            assert positive.tolist() == [[0, 1]]


def test_sums_stand_in_for_the_adjoint_of_ones():
    theta, model, adjoint, V = problem(matrix, 0)
    N, P = linear.parts(V, model(theta), 1, adjoint)
    ones = adjoint(np.ones_like(V))[:, :1]
    n, p = linear.parts(V, model(theta), 1, adjoint, sums=lambda: ones)
    np.testing.assert_array_equal(N, n)
    np.testing.assert_allclose(P, p + 0 * P, rtol=1e-14)
    one, other = (linear.update(theta, N, each, 1) for each in (P, p))
    np.testing.assert_allclose(one, other, rtol=1e-14)
    _, q = linear.parts(V, model(theta), 0.5, adjoint, sums=lambda: ones)
    np.testing.assert_allclose(q, adjoint((model(theta) + 1e-12) ** -0.5), rtol=1e-14)


def test_zeros_stay_and_nothing_is_lost_where_P_is_zero():
    theta = np.array([0.0, 0.0, 1.0, 2.0])
    N, P = np.array([1.0, 1.0, 0.0, 3.0]), np.array([0.0, 1.0, 0.0, 2.0])
    for beta in BETAS:
        found = linear.update(theta, N, P, beta)
        assert found[:3].tolist() == [0, 0, 0]
        assert found[3] == pytest.approx(2 * 1.5 ** linear.exponent(beta), rel=1e-14)


# penalties


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("weights", [(0.7, 0.0), (0.0, 0.7), (0.3, 5.0), (20.0, 0.01)])
@pytest.mark.parametrize("heavy", [False, True])
def test_penalties_never_raise_the_objective(kind, beta, weights, heavy):
    l1, l2 = weights
    for seed in range(2):
        theta, model, adjoint, V = problem(kind, seed, heavy)

        def objective(theta, V=V, model=model):
            penalty = l1 * theta.sum() + l2 * (theta**2).sum()
            return divergence(V, model(theta), beta) + penalty

        curve = [objective(theta)]
        for _ in range(40):
            N, P = parts_of(theta, model, adjoint, V, beta)
            theta = linear.update(theta, N, P, beta, l1=l1, l2=l2)
            curve.append(objective(theta))
        assert not rises(curve)
        assert curve[-1] < curve[0]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("weights", [(0.7, 0.0), (0.0, 0.7), (0.3, 0.5)])
def test_penalized_limits_are_stationary(beta, weights):
    """θ_i ∂/∂θ_i = 0 and ∂/∂θ_i ≥ 0, the derivatives taken numerically."""
    l1, l2 = weights
    theta, model, adjoint, V = problem(matrix, 2)
    for _ in range(2000):
        N, P = parts_of(theta, model, adjoint, V, beta)
        theta = linear.update(theta, N, P, beta, l1=l1, l2=l2)
    for index in np.ndindex(theta.shape):
        ends = []
        step = max(1e-6, 1e-4 * theta[index])
        for sign in (1, 0 if theta[index] < 1e-5 else -1):
            moved = theta.copy()
            moved[index] += sign * step
            ends.append(
                divergence(V, model(moved), beta) + l1 * moved.sum() + l2 * (moved**2).sum()
            )
        slope = (ends[0] - ends[1]) / (step * (1 if theta[index] < 1e-5 else 2))
        assert slope > -1e-2
        assert abs(theta[index] * slope) < 2e-3


@pytest.mark.parametrize("beta", BETAS)
def test_a_concave_penalty_by_its_tangent(beta):
    """Σ log(0.1 + θ), whose slope 1/(0.1 + θ̃) is given as l1."""
    for seed in range(2):
        theta, model, adjoint, V = problem(matrix, seed)
        curve = [divergence(V, model(theta), beta) + np.log(0.1 + theta).sum()]
        for _ in range(40):
            N, P = parts_of(theta, model, adjoint, V, beta)
            theta = linear.update(theta, N, P, beta, l1=1 / (0.1 + theta))
            curve.append(divergence(V, model(theta), beta) + np.log(0.1 + theta).sum())
        assert not rises(curve)


def test_squares_at_beta_1_are_minimized_exactly_and_l1_to_beta_1():
    rng = np.random.default_rng(3)
    for _ in range(10):
        theta, N, P, l1, l2 = np.exp(rng.standard_normal(5))
        one = np.array([theta]), np.array([N]), np.array([P])

        def whole(u, beta, l1, l2, theta=theta, N=N, P=P):
            return theta * majorizer(u, N, P, beta) + l1 * theta * u + l2 * (theta * u) ** 2

        found = linear.update(*one, 1, l1=l1, l2=l2)
        expected = theta * least(lambda u, f=whole, a=l1, b=l2: f(u, 1, a, b))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        for beta in (-0.5, 0, 0.5, 1):
            found = linear.update(*one, beta, l1=l1)
            expected = theta * least(lambda u, f=whole, a=l1, b=beta: f(u, b, a, 0))
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("beta", BETAS)
def test_other_steps_with_squares_minimize_their_own_bound(beta):
    """u^(β−1) is replaced by u up to β = 2; above it u by u^(β−1)."""
    if beta == 1:
        return
    rng = np.random.default_rng(4)
    theta, N, P, l1, l2 = np.exp(rng.standard_normal(5))
    power = 1 if beta <= 2 else beta - 1
    weight = P + l1 + 2 * l2 * theta
    expected = theta * brentq(lambda u: weight * u**power - N * u ** min(beta - 2, 0), 1e-9, 1e9)
    found = linear.update(np.array([theta]), np.array([N]), np.array([P]), beta, l1=l1, l2=l2)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_weights_may_differ_from_entry_to_entry():
    theta, model, adjoint, V = problem(matrix, 0)
    weights = np.random.default_rng(0).random(theta.shape)
    for beta in BETAS:
        N, P = parts_of(theta, model, adjoint, V, beta)
        for name in ("l1", "l2"):
            found = linear.update(theta, N, P, beta, **{name: weights})
            for index in ((0, 0), (2, 7)):
                alone = linear.update(
                    *(x[index].reshape(1) for x in (theta, N, P + 0 * N)), beta,
                    **{name: float(weights[index])},
                )  # fmt: skip
                np.testing.assert_allclose(found[index], alone[0], rtol=1e-14)


def test_the_quadratic_root_keeps_its_digits():
    """a → 0 with b = 1, where (√(b² + 4ac) − b) / 2a has none left, and b < 0."""
    for a in (0.0, 1e-300, 1e-20, 1e-12, 1e-3, 1.0, 1e10):
        for b in (1.0, 1e-9, 0.0, -1e-9, -1.0, -1e5):
            for c in (0.0, 1e-18, 1.0, 1e8):
                if a == 0 and b <= 0:
                    continue
                x = float(linear.quadratic_root(a, b, np.array([c]))[0])
                assert np.isfinite(x)
                if a == 0:
                    assert x == pytest.approx(c / b, rel=1e-14)
                    continue
                # b² + 4ac and the root by Python's own integers would be exact: use long double
                A, B, C = (np.longdouble(value) for value in (a, b, c))
                root = np.sqrt(B * B + 4 * A * C)
                expected = 2 * C / (B + root) if b > 0 else (root - B) / (2 * A)
                if float(expected) > 1e308:
                    continue
                assert x == pytest.approx(float(expected), rel=1e-13, abs=1e-300)


def test_the_textbook_root_would_lose_all_digits():
    a, b, c = 1e-20, 1.0, 2.0
    assert (np.sqrt(b * b + 4 * a * c) - b) / (2 * a) == 0
    assert linear.quadratic_root(a, b, np.array([c]))[0] == 2


# several β


SETS = [(1,), (0, 1), (1, 2), (0, 2), (0, 1, 2), (-0.5, 3), (1.5, 2.5)]


def test_the_exponent_of_several():
    expected = {(0, 1): 1 / 2, (1, 2): 1 / 2, (0, 2): 1 / 3, (0, 1, 2): 1 / 3}
    for betas, value in expected.items():
        assert linear.exponent_of_several(betas) == pytest.approx(value, rel=1e-15)
    for beta in BETAS:
        assert linear.exponent_of_several([beta]) == pytest.approx(linear.exponent(beta))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("betas", SETS)
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("heavy", [False, True])
def test_steps_of_several_never_raise_their_sum(kind, betas, exact, heavy):
    weights = [0.3, 1.0, 2.0][: len(betas)]
    for seed in range(2):
        theta, model, adjoint, V = problem(kind, seed, heavy)

        def objective(theta, V=V, model=model):
            each = [divergence(V, model(theta), beta) for beta in betas]
            return sum(a * d for a, d in zip(weights, each, strict=True))

        curve = [objective(theta)]
        for _ in range(30):
            pairs = [parts_of(theta, model, adjoint, V, beta) for beta in betas]
            Ns, Ps = zip(*pairs, strict=True)
            theta = linear.update_several(theta, Ns, Ps, betas, weights, exact=exact)
            curve.append(objective(theta))
        assert not rises(curve)
        assert curve[-1] < curve[0]


def test_the_counterexample_to_the_least_exponent():
    """V = (1000, 1e-6), W = (1e-3, 1), h = 1: the numbers of the models' notes."""
    V, W, h = np.array([[1000.0], [1e-6]]), np.array([[1e-3], [1.0]]), np.ones((1, 1))

    def objective(h):
        return divergence(V, W @ h, 1) + divergence(V, W @ h, 2)

    pairs = [linear.parts(V, W @ h, beta, lambda A: W.T @ A) for beta in (1, 2)]
    Ns, Ps = zip(*pairs, strict=True)
    least_gamma = h * (sum(Ns) / sum(Ps)) ** 1.0
    assert objective(h) == pytest.approx(512_816, abs=1)
    assert objective(least_gamma) == pytest.approx(631_726, abs=1)
    step = linear.update_several(h, Ns, Ps, (1, 2), (1, 1))
    assert objective(step) == pytest.approx(509_958, abs=1)
    exact = linear.update_several(h, Ns, Ps, (1, 2), (1, 1), exact=True)
    assert objective(exact) == pytest.approx(509_862, abs=1)


@pytest.mark.parametrize("betas", SETS)
def test_the_exact_root_minimizes_the_sum_of_majorizers(betas):
    rng = np.random.default_rng(8)
    weights = [0.3, 1.0, 2.0][: len(betas)]
    for _ in range(5):
        N, P = np.exp(2 * rng.standard_normal((2, len(betas))))

        def whole(u, N=N, P=P):
            return sum(
                a * majorizer(u, n, p, beta)
                for a, n, p, beta in zip(weights, N, P, betas, strict=True)
            )

        found = linear.root_of_several(
            [np.array([n]) for n in N], [np.array([p]) for p in P], betas, weights
        )
        np.testing.assert_allclose(found, least(whole), rtol=1e-6)


def test_weight_zero_and_penalty_of_several():
    theta, model, adjoint, V = problem(matrix, 9)
    pairs = [parts_of(theta, model, adjoint, V, beta) for beta in (0, 1)]
    Ns, Ps = zip(*pairs, strict=True)
    for exact in (False, True):
        alone = linear.update_several(theta, Ns, Ps, (0, 1), (0, 1), exact=exact)
        np.testing.assert_allclose(alone, linear.update(theta, *pairs[1], 1), rtol=1e-10)
    mixed = linear.update_several(theta, Ns, Ps, (0, 1), (2, 3), l1=0.7)
    ratio = (2 * Ns[0] + 3 * Ns[1]) / (2 * Ps[0] + 3 * Ps[1] + 0.7)
    np.testing.assert_allclose(mixed, theta * np.sqrt(ratio), rtol=1e-12)
    with pytest.raises(UsageError, match="no l1"):
        linear.update_several(theta, Ns, Ps, (0, 1), (2, 3), l1=0.7, exact=True)


# arrays


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_torch_gives_what_numpy_gives(dtype):
    rtol = 1e-10 if dtype == torch.float64 else 2e-3
    theta, _, _, V = problem(matrix, 10)
    W = problem(matrix, 10)[1](np.eye(3))
    x = feasible(theta, 1.0, 0)
    to = lambda array: torch.as_tensor(array, dtype=dtype)  # noqa: E731
    Wt, Vt, xt = to(W), to(V), to(x)
    for beta in BETAS:
        N, P = linear.parts(V, W @ x, beta, lambda A: W.T @ A)
        n, p = linear.parts(Vt, Wt @ xt, beta, lambda A: Wt.mT @ A)
        for ours, theirs in ((N, n), (P, p)):
            np.testing.assert_allclose(theirs.numpy(), ours, rtol=rtol)
        calls = [
            lambda a, b, c, beta=beta: linear.update(a, b, c, beta),
            lambda a, b, c, beta=beta: linear.update(a, b, c, beta, l1=0.2, l2=0.3),
            lambda a, b, c, beta=beta: sums.update_summing_to(a, b, c, beta, 1.0, 0),
            lambda a, b, c, beta=beta: sums.update_summing_to(a, b, c, beta, 1.0, 0, l2=0.3),
            lambda a, b, c, beta=beta: linear.update_several(
                a, [b, b], [c, c], (beta, 1), (1, 2), exact=True
            ),
        ]
        for call in calls:
            ours, theirs = call(x, N, P), call(xt, n, p)
            assert theirs.dtype == dtype
            np.testing.assert_allclose(theirs.numpy(), ours, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("library", [np, torch])
def test_nothing_is_changed_in_place(library):
    theta, model, _, V = problem(matrix, 11)
    W = model(np.eye(3))
    V, W, theta = (
        x if library is np else torch.from_numpy(x) for x in (V, W, feasible(theta, 1, 0))
    )
    kept = [np.asarray(x).copy() for x in (V, theta)]
    for beta in BETAS:
        N, P = linear.parts(V, W @ theta, beta, lambda A: W.T @ A)
        more = [np.asarray(x).copy() for x in (N, P)]
        linear.update(theta, N, P, beta, l1=0.1, l2=0.1)
        sums.update_summing_to(theta, N, P, beta, 1.0, 0)
        sums.update_summing_to(theta, N, P, beta, 1.0, 0, l2=0.2)
        linear.update_several(theta, [N, N], [P, P], (beta, 2), (1, 1), exact=True)
        for before, after in zip([*kept, *more], (V, theta, N, P), strict=True):
            assert np.array_equal(before, np.asarray(after))
