"""The algorithms against a slow reference, each other, and what the papers promise."""

from itertools import islice, product

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from nmfab.algorithms import ALGORITHMS, frame
from nmfab.algorithms.problem import View
from nmfab.base.errors import ComputationError

MU = ["nnfac_mu", "sklearn_mu", "torch_mu"]
LEAST_SQUARES = ["nnfac_hals", "sklearn_cd", "torch_hals"]


def pairs(*betas):
    """Return the (algorithm, beta) that there are."""
    settings = [(name, beta) for name in (*MU, *LEAST_SQUARES) for beta in betas]
    return [(name, beta) for name, beta in settings if not refused(name, beta)]


def refused(name, beta):
    return frame.skip({"algorithm": name, "beta": beta})


@pytest.fixture
def V():
    rng = np.random.default_rng(0)
    return rng.random((30, 5)) @ rng.random((5, 40)) + 0.2 * rng.random((30, 40))


def run(name, V, **more):
    p = {"algorithm": name, "beta": 2, "rank": 5, "init": "random", "stop": 50}
    return frame.factorize(p | {"dtype": "float64"} | more, V)


def model(result):
    return result.W @ result.H


def apart(first, second):
    return abs(model(first) - model(second)).max() / abs(model(second)).max()


def slow_multiplicative_update(V, W, H, beta, iterations, fixed=0):
    """Févotte and Idier (2011), one entry at a time, H before W."""
    gamma = 1 / (2 - beta) if beta < 1 else (1 / (beta - 1) if beta > 2 else 1)
    (m, rank), n = W.shape, H.shape[1]
    for _ in range(iterations):
        K = W @ H
        new = H.copy()
        for k in range(rank):
            for j in range(n):
                up = sum(W[i, k] * K[i, j] ** (beta - 2) * V[i, j] for i in range(m))
                down = sum(W[i, k] * K[i, j] ** (beta - 1) for i in range(m))
                new[k, j] = H[k, j] * (up / down) ** gamma
        H, K = new, W @ new
        new = W.copy()
        for i in range(m):
            for k in range(fixed, rank):
                up = sum(H[k, j] * K[i, j] ** (beta - 2) * V[i, j] for j in range(n))
                down = sum(H[k, j] * K[i, j] ** (beta - 1) for j in range(n))
                new[i, k] = W[i, k] * (up / down) ** gamma
        W = new
    return W, H


@pytest.mark.parametrize("beta", [0, 0.5, 1, 1.5, 2, 3])
def test_multiplicative_updates_agree_with_the_slow_reference(beta):
    rng = np.random.default_rng(1)
    V = rng.random((8, 9)) + 0.05
    setting = {"algorithm": "torch_mu", "beta": beta, "rank": 3, "init": "random", "stop": 50}
    loop = frame.prepare([setting | {"dtype": "float64"}], V)
    W, H = slow_multiplicative_update(loop.V.numpy(), *(x.numpy() for x in loop.factors), beta, 50)
    expected = W @ H * V.mean()
    for name in MU:
        found = model(run(name, V, beta=beta, rank=3))
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)


def test_multiplicative_updates_agree_below_beta_0_where_nn_fac_refuses(V):
    first, second = (run(name, V, beta=-0.5) for name in ("torch_mu", "sklearn_mu"))
    np.testing.assert_allclose(model(first), model(second), rtol=1e-6)
    with pytest.raises(ComputationError, match="nn_fac refuses a beta below 0"):
        run("nnfac_mu", V, beta=-0.5)


def test_hals_is_the_coordinate_descent_of_scikit_learn(V):
    # both sweep row after row with the products of the pass: the same algorithm in other words
    np.testing.assert_allclose(
        model(run("torch_hals", V)), model(run("sklearn_cd", V)), rtol=1e-9, atol=1e-12
    )


def test_hals_with_many_inner_passes_is_that_of_nn_fac(V):
    passes = {"torch_hals.inner": 100}
    assert apart(run("torch_hals", V, stop=5, **passes), run("nnfac_hals", V, stop=5)) < 1e-4


@pytest.mark.parametrize(("name", "beta"), pairs(-0.5, 0, 0.5, 1, 1.5, 2, 3))
@pytest.mark.parametrize("start", ["random", "nndsvda"])
def test_loss_never_rises(V, name, beta, start):
    loss = run(name, V, beta=beta, init=start).curve["loss"]
    assert (np.diff(loss) <= 1e-12 * loss[:-1]).all()
    assert loss[-1] < 0.9 * loss[0]


@pytest.mark.parametrize(
    ("name", "beta"), [*(("torch_mu", beta) for beta in (0, 0.5, 1, 2, 3)),
     ("torch_hals", 2), ("torch_ahals", 2)],
)  # fmt: skip
def test_stationarity_falls_towards_zero(V, name, beta):
    kkt = run(name, V, beta=beta, stop=3000).curve["kkt"]
    assert kkt[-1] < 1e-3 * kkt[0]


@pytest.mark.parametrize("name", sorted({*MU, *LEAST_SQUARES}))
@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_scale_of_V_scales_the_model_and_nothing_else(V, name, scale):
    betas = (2,) if name in LEAST_SQUARES else (0, 1, 2)
    for beta in betas:
        reference, scaled = run(name, V, beta=beta), run(name, scale * V, beta=beta)
        np.testing.assert_allclose(model(scaled), scale * model(reference), rtol=1e-8)
        np.testing.assert_allclose(scaled.curve["loss"], reference.curve["loss"], rtol=1e-8)
        assert scaled.scale == pytest.approx(scale * V.mean())


@pytest.mark.parametrize(("name", "beta"), pairs(0, 1, 2))
def test_silent_rows_and_columns_are_silent_in_the_model(V, name, beta):
    V[:, 7], V[3], V[:, 20] = 0, 0, 0
    for start in ("random", "nndsvda", "nndsvd"):
        found = model(run(name, V, beta=beta, init=start))
        assert np.isfinite(found).all()
        assert max(found[:, 7].max(), found[:, 20].max(), found[3].max()) < 1e-6 * found.max()


def sounding_divergence(V, result, beta):
    """Return the divergence over V's entries that sound, one by one, V and model on V's scale."""
    entries = zip(V[V > 0] / V.mean(), model(result)[V > 0] / V.mean(), strict=True)
    if beta == 0:
        return sum(x / y - np.log(x / y) - 1 for x, y in entries)
    return sum(
        (x**beta + (beta - 1) * y**beta - beta * x * y ** (beta - 1)) / (beta * (beta - 1))
        for x, y in entries
    )


@pytest.mark.parametrize(
    ("name", "beta"), [(name, beta) for name, beta in pairs(0, -0.5) if name in MU]
    + [("torch_amu", 0), ("torch_amu", -0.5)],
)  # fmt: skip
def test_the_loss_is_the_divergence_where_V_sounds(V, name, beta):
    V[np.random.default_rng(3).random(V.shape) < 0.2] = 0
    V[4], V[:, 9] = 0, 0
    results = [run(name, V, beta=beta, stop=stop) for stop in (5, 50, 200)]
    losses = [result.curve["loss"][-1] for result in results]
    assert losses == pytest.approx([sounding_divergence(V, r, beta) for r in results], rel=1e-8)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.7 * results[0].curve["loss"][0]
    found = model(results[-1])
    assert found[4].max() == found[:, 9].max() == 0
    assert found[(V > 0) | (np.add.outer(V.any(1), V.any(0)) == 2)].min() > 0


def test_libraries_without_a_mask_come_as_low_as_those_that_have_one(V):
    V[np.random.default_rng(3).random(V.shape) < 0.1] = 0
    curves = [run(name, V, beta=0, stop=150).curve["loss"] for name in MU]
    ends = [curve[-1] for curve in curves]
    assert max(ends) - min(ends) < 0.01 * curves[0][0]


@pytest.mark.parametrize("name", [*MU, "torch_amu"])
def test_silent_frames_and_bins_change_nothing(V, name):
    rng = np.random.default_rng(1)
    W, H = rng.random((30, 4)), rng.random((4, 40))
    rows, columns = rng.random(30) < 0.8, rng.random(40) < 0.8
    V = V * np.outer(rows, columns)
    betas = (0,) if name == "nnfac_mu" else (0, -0.5)
    for beta, fixed in product(betas, (0,) if name == "sklearn_mu" else (0, 2)):
        more = {"beta": beta} | ({"fixed": fixed} if fixed else {})
        part = V[np.ix_(rows, columns)], W[rows], H[:, columns]
        expected = after(name, *part, 30, **more)
        found = after(name, V, W, H, 30, **more)
        np.testing.assert_allclose(found[0][rows], expected[0], rtol=1e-10)
        np.testing.assert_allclose(found[1][:, columns], expected[1], rtol=1e-10)
        assert found[0][~rows, fixed:].max() == found[1][:, ~columns].max() == 0
        np.testing.assert_array_equal(found[0][:, :fixed], W[:, :fixed])


def test_zeros_of_the_start_stay_in_torch_mu(V):
    loop = frame.prepare([{"init": "nndsvd", "rank": 5, "stop": 30, "beta": 1}], V)
    zero = (loop.factors[0] == 0).numpy()
    assert zero.any()
    outcome = loop.run()[0]
    np.testing.assert_array_equal(outcome.model.W[zero], 0)


@pytest.mark.parametrize("name", [*MU, *LEAST_SQUARES])
def test_float32_is_float64_rounded(V, name):
    for beta in (2,) if name in LEAST_SQUARES else (0, 0.5, 1, 2, 3):
        single, double = (run(name, V, beta=beta, dtype=d) for d in ("float32", "float64"))
        assert single.W.dtype == single.H.dtype == np.float32
        assert apart(single, double) < 1e-4
        np.testing.assert_allclose(single.curve["loss"][-1], double.curve["loss"][-1], rtol=1e-3)


def test_a_batch_gives_what_each_gives_alone(V):
    settings = [
        {"beta": beta, "init": init, "seed": seed, "stop": 50, "rank": 5}
        for seed in (0, 1, 2)
        for init in ("random", "nndsvda")
        for beta in (2, 0, 1, 0.5, -1)
    ]
    together = frame.factorize_batch(settings, V)
    for setting, result in zip(settings, together, strict=True):
        alone = frame.factorize(setting, V)
        assert apart(result, alone) < 1e-5, setting
        np.testing.assert_array_equal(result.curve["iteration"], alone.curve["iteration"])


def test_hals_batches_too(V):
    settings = [
        {"algorithm": "torch_hals", "beta": 2, "init": "random", "seed": seed, "stop": 20}
        for seed in range(3)
    ]
    for setting, result in zip(settings, frame.factorize_batch(settings, V), strict=True):
        assert apart(result, frame.factorize(setting, V)) < 1e-5


@pytest.mark.parametrize("name", [n for n in MU + LEAST_SQUARES if not n.startswith("sklearn")])
def test_fixed_templates_leave_a_convex_problem_that_is_solved(V, name):
    templates = 1e-6 * np.random.default_rng(5).random((30, 4))
    setting = {"algorithm": name, "beta": 2, "stop": 3000, "dtype": "float64"}
    result = frame.factorize(setting, V, fixed=templates)
    np.testing.assert_array_equal(result.W, templates)
    expected = np.stack([templates @ nnls(templates, column)[0] for column in V.T], axis=1)
    np.testing.assert_allclose(model(result), expected, atol=1e-3 * V.max())
    assert result.curve["kkt"][-1] < 1e-3


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2, 3])
@pytest.mark.parametrize("name", ["nnfac_mu", "torch_mu"])
def test_some_templates_held_are_the_update_of_the_others(name, beta):
    rng = np.random.default_rng(1)
    V, W, H = rng.random((8, 9)) + 0.05, rng.random((8, 4)), rng.random((4, 9))
    W[2, 0] = 0  # among those that are held
    found = after(name, V, W, H, 20, beta=beta, fixed=2)
    expected = slow_multiplicative_update(V, W, H, beta, 20, fixed=2)
    np.testing.assert_allclose(found[0] @ found[1], expected[0] @ expected[1], rtol=1e-6)
    np.testing.assert_array_equal(found[0][:, :2], W[:, :2])


def test_some_templates_held_in_least_squares(V):
    rng = np.random.default_rng(1)
    W, H = rng.random((30, 5)), rng.random((5, 40))
    passes = {"torch_hals": {"inner": 100}, "nnfac_hals": {}}
    ends = [after(name, V, W, H, 5, fixed=2, **more) for name, more in passes.items()]
    for found in ends:
        np.testing.assert_array_equal(found[0][:, :2], W[:, :2])
        assert ((V - found[0] @ found[1]) ** 2).sum() < 0.5 * ((V - W @ H) ** 2).sum()
    np.testing.assert_allclose(ends[0][0] @ ends[0][1], ends[1][0] @ ends[1][1], atol=1e-3)


def after(name, V, W, H, iterations, **more):
    """Return W and H after so many iterations of an algorithm, as NumPy arrays."""
    given = [x.copy() for x in (V, W, H)]
    if ALGORITHMS[name].arrays == "torch":
        given = [torch.from_numpy(x) for x in given]
    *_, last = islice(ALGORITHMS[name].function(*given, **more), iterations)
    return [np.asarray(factor).copy() for factor in last]


def test_what_cannot_be_minimized_is_refused_with_the_reason():
    assert refused("torch_hals", 1) == "torch_hals minimizes the divergence of beta 2 only"
    assert refused("sklearn_cd", 0) == "sklearn_cd minimizes the divergence of beta 2 only"
    assert refused("nnfac_mu", -1) == "nn_fac refuses a beta below 0 (here -1)"
    assert [refused("torch_mu", beta) for beta in (-2, 0, 0.3, 5)] == [None] * 4


def test_scikit_learn_cannot_hold_templates(V):
    with pytest.raises(ComputationError, match="no keyword fixed"):
        frame.factorize({"algorithm": "sklearn_mu"}, V, fixed=np.ones((30, 2)))


def test_harmonic_start_runs_where_the_lowest_bins_are_in_no_template():
    frequencies = np.arange(1025) * 22050 / 2048
    V = np.random.default_rng(0).random((1025, 6))
    for name in MU:
        for beta in (0, 1, 2):
            p = {"algorithm": name, "beta": beta, "rank": 88, "init": "harmonic", "stop": 10}
            result = frame.factorize(p, V, View(frequencies))
            assert np.isfinite(model(result)).all(), (name, beta)


def test_everything_registered_declares_a_version():
    built_in = [ALGORITHMS[name] for name in (*MU, *LEAST_SQUARES)]
    assert all(one.version for one in built_in)
