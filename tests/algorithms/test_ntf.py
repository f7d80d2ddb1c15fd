"""NTF against sums written out, published numbers, plain NMF, and what it promises."""

from functools import partial

import numpy as np
import pytest
import torch
from models import loss, stepped
from oracles import apart, oracle

from nmfab.algorithms import frame, linear
from nmfab.algorithms import ntf as module
from nmfab.algorithms.ntf import ntf
from nmfab.algorithms.problem import Problem
from nmfab.algorithms.torch_mu import torch_mu
from nmfab.base.kinds.cp import CP

BETAS = (-0.5, 0, 0.5, 1, 1.5, 2, 3)


def problem(seed=0, m=9, n=14, channels=3, rank=4, heavy=False, zeros=False):
    """Return V of mean 1 and a start, as tensors."""
    rng = np.random.default_rng(seed)
    shape = (m, n, channels)
    V = np.exp(3 * rng.standard_normal(shape)) if heavy else rng.random(shape) + 0.01
    if zeros:
        V[rng.random(shape) < 0.3] = 0
    model = CP(rng.random((m, rank)), rng.random((rank, n)), rng.random((channels, rank)))
    return torch.from_numpy(V / V.mean()), model.mapped(torch.from_numpy)


after = partial(stepped, ntf)


def components(W, H, Q):
    return np.einsum("fk,kn,ck->kfnc", W, H, Q)


def slow_step(V, W, H, Q, beta):
    """Return W, H, Q after one iteration without normalization: H, W, Q."""
    gamma, M = linear.exponent(beta), (V > 0) | (beta > 0)

    def ratio(adjoint, *others):
        Y = np.einsum("fk,kn,ck->fnc", W, H, Q) + (1e-12 if beta < 2 else 0)
        N, P = (
            np.einsum(adjoint, A, *others) for A in (M * V * Y ** (beta - 2), M * Y ** (beta - 1))
        )
        return (N / P) ** gamma

    H = H * ratio("fnc,fk,ck->kn", W, Q)
    W = W * ratio("fnc,kn,ck->fk", H, Q)
    Q = Q * ratio("fnc,fk,kn->ck", W, H)
    return W, H, Q


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("zeros", [False, True])
def test_an_iteration_is_that_of_the_formulas(beta, zeros):
    V, model = problem(zeros=zeros)
    factors = [x.numpy() for x in (model.W, model.H, model.Q)]
    for _ in range(3):
        factors = slow_step(V.numpy(), *factors, beta)
    found = after(3, V, model, beta=beta)
    assert apart(components(found.W, found.H, found.Q), components(*factors)) < 1e-10
    assert apart(found.W, factors[0] / factors[0].sum(axis=0)) < 1e-10
    assert apart(found.Q, factors[2] / factors[2].sum(axis=0)) < 1e-10


@pytest.mark.parametrize(
    ("name", "beta"),
    [("ntf_nnfac", beta) for beta in (0, 0.5, 1, 2, 3)]
    + [("ntf_CoMM", beta) for beta in (0, 0.5, 1, 1.5)],
)
@pytest.mark.parametrize("iterations", [1, 20])
def test_numbers_of_nn_fac_and_CoMM(name, beta, iterations):
    o, tag = oracle(name), f"beta{beta:g}_it{iterations}"
    V = torch.from_numpy(o["V"])
    found = after(iterations, V, CP(o["W0"], o["H0"], o["Q0"]).mapped(torch.from_numpy), beta=beta)
    theirs = [o[f"{x}_{tag}"] for x in "WHQ"]
    assert apart(components(found.W, found.H, found.Q), components(*theirs)) < 1e-9
    assert apart(found.W, theirs[0] / theirs[0].sum(axis=0)) < 1e-9
    assert apart(found.Q, theirs[2] / theirs[2].sum(axis=0)) < 1e-9
    assert loss(V, found, beta) == pytest.approx(o[f"objective_{tag}"][-1], rel=1e-9)


@pytest.mark.parametrize("iterations", [1, 20])
def test_numbers_of_tensorly(iterations):
    o = oracle("ntf_tensorly")
    start = CP(o["W0"], o["H0"], o["Q0"]).mapped(torch.from_numpy)
    found = after(iterations, torch.from_numpy(o["V"]), start, beta=2)
    theirs = [o[f"{x}_it{iterations}"] for x in "WHQ"]
    assert apart(components(found.W, found.H, found.Q), components(*theirs)) < 1e-9


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("fixed", [0, 2, 4])
@pytest.mark.parametrize("zeros", [False, True])
def test_one_channel_is_plain_NMF(beta, fixed, zeros):
    V, model = problem(channels=1, zeros=zeros)
    model.Q[:] = 1
    found = after(30, V, model, beta=beta, fixed=fixed)
    plain = torch_mu(V[:, :, 0], model.W.clone(), model.H.clone(), beta=beta, fixed=fixed)
    for _ in range(30):
        W, H = next(plain)
    assert apart(found.reconstruction()[:, :, 0], W @ H) < 1e-10
    assert (found.Q == 1).all()


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("fixed", [0, 2, 4])
def test_the_divergence_never_rises(beta, heavy, zeros, fixed):
    for seed in range(2):
        V, model = problem(seed, heavy=heavy, zeros=zeros)
        curve = [loss(V, model, beta)]
        generator = ntf(V, model, beta=beta, fixed=fixed)
        for _ in range(40):
            found = next(generator)
            curve.append(loss(V, found, beta))
            assert (found.Q.sum(0) - 1).abs().max() < 1e-12
            assert (found.W[:, fixed:].sum(0) - 1).abs().sum() < 1e-11
            assert torch.equal(found.W[:, :fixed], model.W[:, :fixed])
        rises = np.diff(curve) / np.abs(curve[:-1])
        assert rises.max() < 1e-10
        assert curve[-1] < curve[0]


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_planted_components_and_their_panning_are_found(beta):
    rng = np.random.default_rng(3)
    true = CP(
        rng.gamma(0.5, size=(30, 4)) + 1e-3,
        rng.gamma(0.5, size=(4, 60)) + 1e-3,
        np.array([[0.9, 0.6, 0.35, 0.1], [0.1, 0.4, 0.65, 0.9]]),
    )
    V = true.reconstruction()
    start = module.start(given(V, 4, init="random"))
    found = after(3000, torch.from_numpy(V / V.mean()), start.mapped(torch.from_numpy), beta=beta)
    found = found.mapped(torch.Tensor.numpy)
    assert loss(V / V.mean(), found, beta) / V.size < 1e-5
    unit = lambda X: X / np.linalg.norm(X, axis=0)  # noqa: E731
    cosines = (unit(true.W).T @ unit(found.W)) * (unit(true.H.T).T @ unit(found.H.T))
    place = cosines.argmax(axis=1)
    assert sorted(place) == [0, 1, 2, 3]
    assert cosines.max(axis=1).min() > 0.999
    np.testing.assert_allclose(found.Q[:, place], true.Q, atol=2e-3)


def test_silence_is_left_out_at_beta_0():
    V, model = problem(4)
    V[3], V[:, 6], V[:, :, 1] = 0, 0, 0
    rows, columns = [0, 1, 2, 4, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5, *range(7, 14)]
    small = CP(model.W[rows], model.H[:, columns], model.Q[[0, 2]])
    ours = after(10, V, model, beta=0)
    theirs = after(10, V[rows][:, columns][:, :, [0, 2]], small, beta=0)
    sounding = ours.reconstruction()[rows][:, columns][:, :, [0, 2]]
    assert apart(sounding, theirs.reconstruction()) < 1e-10


@pytest.mark.parametrize("beta", BETAS)
def test_silence_and_dead_components(beta):
    V, model = problem(5)
    V[3], V[:, 6], V[:, :, 1] = 0, 0, 0
    model.H[1], model.W[:, 2], model.Q[:, 3] = 0, 0, 0
    found = after(30, V, model, beta=beta)
    for array in (found.W, found.H, found.Q):
        assert array.isfinite().all()
        assert array.min() >= 0
    assert not found.component(1).any()
    assert not found.component(2).any()
    assert not found.component(3).any()
    assert found.component(0).any()


@pytest.mark.parametrize("beta", BETAS)
def test_float32_and_the_scale_of_V(beta):
    V, model = problem(6)
    double = after(20, V, model, beta=beta)
    single = after(20, V.float(), model.mapped(torch.Tensor.float), beta=beta)
    assert single.Q.dtype == torch.float32
    assert apart(single.reconstruction(), double.reconstruction()) < 1e-4
    louder = after(20, 3 * V, model.scaled(3.0), beta=beta)
    assert apart(louder.H, 3 * double.H) < 1e-8
    assert apart(louder.W, double.W) < 1e-8


def test_the_start_is_left_alone():
    V, model = problem(7)
    kept = model.mapped(torch.clone)
    after(3, V, model)
    for name, array in model.arrays().items():
        assert torch.equal(array, kept.arrays()[name])


# the start, and the frame


def given(V, rank=4, fixed=None, init="nndsvda", seed=0):
    V = V / V.mean()
    return Problem(V, rank, np.random.default_rng(seed), beta=1, fixed=fixed, init=init, seed=seed)


def test_the_start_is_that_of_the_sum_and_gains_near_each_other():
    V = problem(8)[0].numpy()
    found, (W, H) = module.start(given(V)), given(V).usual_start(V.sum(axis=2) / V.mean())
    np.testing.assert_allclose(found.W, W)
    np.testing.assert_allclose(found.H, H)
    np.testing.assert_allclose(found.reconstruction().sum(axis=2), W @ H, rtol=1e-12)
    np.testing.assert_allclose(found.Q, 1 / 3, rtol=0.1)
    assert np.ptp(found.Q, axis=1).min() > 0
    assert not np.array_equal(found.Q, module.start(given(V, seed=1)).Q)


def test_one_channel_starts_as_plain_NMF_does():
    V = problem(8, channels=1)[0].numpy()
    for held in (None, np.full((9, 4), 1.0), np.full((9, 2), 1.0)):
        found = module.start(given(V, fixed=held))
        assert (found.Q == 1).all()
        if held is None:
            np.testing.assert_allclose(found.W, given(V).usual_start(V[:, :, 0] / V.mean())[0])
        else:
            np.testing.assert_array_equal(found.W[:, : held.shape[1]], held)
            np.testing.assert_array_equal(found.H, 1 / 4)
            assert found.W.mean() == pytest.approx(1)


def test_held_templates_start_with_the_mean_of_V():
    V = problem(8)[0].numpy()
    held = np.random.default_rng(0).random((9, 2))
    found = module.start(given(V, fixed=held / held.mean()))
    np.testing.assert_array_equal(found.W[:, :2], held / held.mean())
    assert found.reconstruction().mean() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_through_the_frame(beta):
    V = 7 * problem(9)[0].numpy()
    setting = {
        "algorithm": "ntf", "rank": 3, "beta": beta, "dtype": "float64", "stop": 30,
        "init": "random",
    }  # fmt: skip
    model = frame.factorize(setting, V)
    assert isinstance(model, CP)
    assert model.reconstruction().shape == V.shape
    assert model.curve["loss"][-1] < model.curve["loss"][0]
    assert model.reconstruction().mean() == pytest.approx(V.mean(), rel=0.2)
    single = frame.factorize(setting, V[:, :, :1])
    plain = frame.factorize({**setting, "algorithm": "torch_mu"}, V[:, :, 0])
    assert apart(single.reconstruction()[:, :, 0], plain.reconstruction()) < 1e-9
    held = frame.factorize(setting, V, fixed=5 * model.W[:, :2])
    np.testing.assert_allclose(held.W[:, :2], 5 * model.W[:, :2], rtol=1e-12)
    assert held.reconstruction().mean() == pytest.approx(V.mean(), rel=0.2)
