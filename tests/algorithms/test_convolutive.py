"""Convolutive NMF against loops, published numbers, plain NMF, and what it promises."""

import numpy as np
import pytest
import torch
from models import loss, stepped
from oracles import apart, oracle

from nmfab.algorithms import convolutive as module
from nmfab.algorithms import frame, linear
from nmfab.algorithms.convolutive import convolutive, normalized
from nmfab.algorithms.problem import Problem
from nmfab.algorithms.torch_mu import torch_mu
from nmfab.base.divergence import divergence
from nmfab.base.errors import ComputationError, NmfabError
from nmfab.base.kinds.convolutive import Convolutive

BETAS = (-0.5, 0, 0.5, 1, 1.5, 2, 3)
T = 4


def problem(seed=0, m=12, n=25, rank=3, length=T, heavy=False, zeros=False):
    """Return V of mean 1 and a start, as tensors."""
    rng = np.random.default_rng(seed)
    V = np.exp(3 * rng.standard_normal((m, n))) if heavy else rng.random((m, n)) + 0.01
    if zeros:
        V[rng.random(V.shape) < 0.3] = 0
    model = Convolutive(rng.random((length, m, rank)), rng.random((rank, n)))
    return torch.from_numpy(V / V.mean()), model.mapped(torch.from_numpy)


def after(iterations, V, model, **options):
    options = {"length": len(model.kernels), **options}
    return stepped(convolutive, iterations, V, model, **options)


def slow_model(W, H):
    length, m, _ = W.shape
    Y = np.zeros((m, H.shape[1]))
    for t in range(length):
        for j in range(t, H.shape[1]):
            Y[:, j] += W[t] @ H[:, j - t]
    return Y


def slow_step(V, W, H, beta):
    """Return W and H after one iteration, H before W, sum by sum."""
    gamma, M, n = linear.exponent(beta), (V > 0) | (beta > 0), H.shape[1]

    def ratios():
        Y = slow_model(W, H) + (1e-12 if beta < 2 else 0)
        return M * V * Y ** (beta - 2), M * Y ** (beta - 1)

    A, B = ratios()
    N, P = np.zeros_like(H), np.zeros_like(H)
    for t in range(len(W)):
        for j in range(n - t):
            N[:, j] += W[t].T @ A[:, j + t]
            P[:, j] += W[t].T @ B[:, j + t]
    H = H * (N / np.maximum(P, 1e-300)) ** gamma
    A, B = ratios()
    N, P = np.zeros_like(W), np.zeros_like(W)
    for t in range(len(W)):
        for j in range(t, n):
            N[t] += np.outer(A[:, j], H[:, j - t])
            P[t] += np.outer(B[:, j], H[:, j - t])
    W = W * (N / np.maximum(P, 1e-300)) ** gamma
    sums = W.sum(axis=(0, 1))
    return W / sums, H * sums[:, None]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_an_iteration_is_that_of_the_formulas(beta, zeros, wide):
    V, model = problem(zeros=zeros, n=25 if wide else 7)
    V = V.mT.contiguous().mT if wide else V  # either order in memory
    W, H = model.kernels.numpy(), model.H.numpy()
    for _ in range(3):
        W, H = slow_step(V.numpy(), W, H, beta)
    found = after(3, V, model, beta=beta)
    assert apart(found.kernels, W) < 1e-10
    assert apart(found.H, H) < 1e-10


@pytest.mark.parametrize("beta", BETAS)
def test_a_kernel_longer_than_the_recording(beta):
    """Its frames 3 and 4 are never heard, and become 0."""
    V, model = problem(n=3, length=5)
    W, H = slow_step(V.numpy(), model.kernels.numpy(), model.H.numpy(), beta)
    found = after(1, V, model, beta=beta)
    assert apart(found.kernels, W) < 1e-10
    assert apart(found.H, H) < 1e-10
    assert not found.kernels[3:].any()


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("fixed", [0, 2, 3])
@pytest.mark.parametrize("zeros", [False, True])
def test_length_1_is_the_multiplicative_update(beta, fixed, zeros):
    V, model = problem(length=1, zeros=zeros)
    found = after(30, V, model, beta=beta, fixed=fixed)
    plain = torch_mu(V, model.kernels[0].clone(), model.H.clone(), beta=beta, fixed=fixed)
    for _ in range(30):
        W, H = next(plain)
    assert apart(found.reconstruction(), W @ H) < 1e-10
    assert torch.equal(found.kernels[:, :, :fixed], model.kernels[:, :, :fixed])


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("fixed", [0, 1, 3])
def test_the_divergence_never_rises(beta, heavy, zeros, fixed):
    for seed in range(2):
        V, model = problem(seed, heavy=heavy, zeros=zeros)
        curve = [loss(V, model, beta)]
        generator = convolutive(V, model, beta=beta, fixed=fixed, length=T)
        for _ in range(40):
            found = next(generator)
            curve.append(loss(V, found, beta))
            sums = found.kernels[:, :, fixed:].sum((0, 1))
            assert (sums - 1).abs().max() < 1e-12 if fixed < 3 else True
            assert torch.equal(found.kernels[:, :, :fixed], model.kernels[:, :, :fixed])
        rises = np.diff(curve) / np.abs(curve[:-1])
        assert rises.max() < 1e-10
        assert curve[-1] < curve[0]


@pytest.mark.parametrize("beta", [1, 2])
def test_numbers_of_TransSSCNMF(beta):
    """Their W_t are updated one after another, Λ renewed for each; H first."""
    o = oracle("convolutive_TransSSCNMF")
    V = torch.from_numpy(o["V"])
    W, H = torch.from_numpy(o["W0"]), torch.from_numpy(o["H0"])
    for iteration in range(1, 21):
        H = module.update_H(V, W, H, beta, None)
        for t in range(len(W)):
            ahead = torch.nn.functional.pad(H, (t, 0))[:, : H.shape[1]]
            Y = Convolutive(W, H).reconstruction()
            N, P = linear.parts(V, Y, beta, lambda A, ahead=ahead: A @ ahead.mT)
            W = torch.cat([W[:t], linear.update(W[t], N, P, beta)[None], W[t + 1 :]])
        W, H = normalized(W, H)
        if iteration in (1, 20):
            tag = f"beta{beta}_it{iteration}"
            assert apart(W, o[f"W_{tag}"]) < 1e-9
            assert apart(H, o[f"H_{tag}"]) < 1e-9
            d = divergence(V, Convolutive(W, H).reconstruction(), beta)
            # theirs at β = 2 is ‖V − Λ‖² / 2 as well
            assert d == pytest.approx(o[f"objective_{tag}"][-1], rel=1e-9)


def test_H_of_TransSSCNMF_after_one_iteration_of_ours():
    """The same for joint and sequential W, up to the sums that W's step changes."""
    o = oracle("convolutive_TransSSCNMF")
    V, model = torch.from_numpy(o["V"]), Convolutive(o["W0"], o["H0"]).mapped(torch.from_numpy)
    for beta in (1, 2):
        H, theirs = after(1, V, model, beta=beta).H, o[f"H_beta{beta}_it1"]
        sums = theirs.sum(axis=1, keepdims=True)
        assert apart(H / H.sum(1, keepdim=True), theirs / sums) < 1e-9


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2, 3])
def test_numbers_of_torchnmf(beta):
    """W first, and H ends T − 1 frames early; theirs adds 1.2e-7 everywhere."""
    o = oracle("convolutive_torchnmf")
    V, W0 = torch.from_numpy(o["V"]), torch.from_numpy(o["W0"])
    n, longer = V.shape[1], np.pad(o["H0"], ((0, 0), (0, V.shape[1] - o["H0"].shape[1])))
    H0 = torch.from_numpy(longer)
    W = module._of_W(V, W0, H0, beta, None, 0)
    generator = convolutive(V, Convolutive(W, H0), beta=beta, length=len(W0))
    before = Convolutive(W, H0)
    for iteration in range(1, 21):
        found = next(generator)
        if iteration in (1, 20):
            tag, ours_H = (
                f"beta{beta}_it{iteration}",
                module.update_H(V, *arrays(before), beta, None),
            )
            ours = Convolutive(before.kernels, ours_H)
            theirs = Convolutive(
                o[f"W_{tag}"], np.pad(o[f"H_{tag}"], ((0, 0), (0, n - o[f"H_{tag}"].shape[1])))
            )
            assert apart(ours.reconstruction(), o[f"model_{tag}"]) < 1e-6
            for k in range(3):
                assert apart(ours.component(k), theirs.component(k)) < 2e-6
        before = found


def arrays(model):
    return model.kernels, model.H


def test_numbers_of_TransSSCNMF_with_all_kernels_held():
    o = oracle("semisupervised_TransSSCNMF")
    V, model = torch.from_numpy(o["V"]), Convolutive(o["W"], o["H0"]).mapped(torch.from_numpy)
    for iterations in (1, 50):
        found = after(iterations, V, model, beta=1, fixed=3)
        assert torch.equal(found.kernels, model.kernels)
        assert apart(found.H, o[f"H_it{iterations}"]) < 1e-9
        expected = o[f"objective_it{iterations}"][-1]
        assert loss(V, found, 1) == pytest.approx(expected, rel=1e-9)


def planted(seed, length=5, m=40, n=200, rank=3, density=0.06):
    rng = np.random.default_rng(seed)
    W = rng.gamma(0.5, size=(length, m, rank))
    H = rng.random((rank, n)) * (rng.random((rank, n)) < density)
    H[0, -1] = 1.0  # the last frame carries an atom
    W /= W.sum(axis=(0, 1))
    true = Convolutive(W, H)
    V = true.reconstruction()
    return torch.from_numpy(V / V.mean()), true.scaled(1 / V.mean()).mapped(torch.from_numpy)


@pytest.mark.parametrize("beta", [1, 2])
def test_kernels_come_back_where_H_is_known(beta):
    V, true = planted(1)
    W = torch.rand(
        true.kernels.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    for _ in range(1500):
        W = module._of_W(V, W, true.H, beta, None, 0)
    assert apart(W, true.kernels) < 2e-3


def test_planted_kernels_are_found():
    V, true = planted(2)
    best = None
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        start = Convolutive(
            torch.rand(true.kernels.shape, generator=rng, dtype=torch.float64),
            torch.rand(true.H.shape, generator=rng, dtype=torch.float64),
        )
        found = after(500, V, start, beta=1)
        if best is None or loss(V, found, 1) < loss(V, best, 1):
            best = found
    assert loss(V, best, 1) / V.numel() < 1e-5
    for k in range(3):
        cosines = [
            float(torch.cosine_similarity(x.reshape(1, -1), y.reshape(1, -1)))
            for x in [true.component(k)]
            for y in map(best.component, range(3))
        ]
        assert max(cosines) > 0.9995


def test_silence_is_left_out_at_beta_0():
    """Silent frames at the end, silent bins: as if V had none of them."""
    V, model = problem(3, n=20)
    rows = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    V[3], V[:, 16:] = 0, 0
    long = Convolutive(model.kernels, torch.cat([model.H[:, :16], 0 * model.H[:, :4]], 1))
    small = Convolutive(model.kernels[:, rows], model.H[:, :16])
    ours = after(10, V, long, beta=0)
    theirs = after(10, V[rows, :16], small, beta=0)
    assert apart(ours.reconstruction()[rows, :16], theirs.reconstruction()) < 1e-10
    assert not ours.kernels[:, 3].any()


def test_a_silent_row_and_column_and_a_dead_component():
    for beta in BETAS:
        V, model = problem(4)
        V[2], V[:, 6] = 0, 0
        model.H[1] = 0
        found = after(30, V, model, beta=beta)
        assert found.kernels.isfinite().all()
        assert found.H.isfinite().all()
        assert not found.H[1].any()
        model = problem(4)[1]
        model.kernels[:, :, 2] = 0
        found = after(5, V, model, beta=beta)
        assert not found.kernels[:, :, 2].any()
        assert found.H.isfinite().all()


@pytest.mark.parametrize("beta", BETAS)
def test_float32_and_the_scale_of_V(beta):
    V, model = problem(5)
    double = after(20, V, model, beta=beta)
    single = after(20, V.float(), model.mapped(torch.Tensor.float), beta=beta)
    assert single.H.dtype == torch.float32
    assert apart(single.reconstruction(), double.reconstruction()) < 1e-4
    louder = after(20, 3 * V, model.scaled(3.0), beta=beta)
    assert apart(louder.kernels, double.kernels) < 1e-8
    assert apart(louder.H, 3 * double.H) < 1e-8


def test_the_start_is_left_alone():
    V, model = problem(6)
    kept = V.clone(), model.mapped(torch.clone)
    after(3, V, model, beta=1)
    assert torch.equal(V, kept[0])
    assert torch.equal(model.kernels, kept[1].kernels)
    assert torch.equal(model.H, kept[1].H)


# the start, and the frame


def given(V, rank=3, fixed=None, length=T, init="nndsvda", seed=0):
    return Problem(
        V, rank, np.random.default_rng(seed), beta=1, parameters={"length": length},
        fixed=fixed, init=init, seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize("init", ["random", "nndsvda"])
def test_the_start_is_the_usual_template_fading(init):
    V = problem(7)[0].numpy()
    W, H = given(V, init=init).usual_start(V)
    model = module.start(given(V, init=init))
    np.testing.assert_allclose(model.templates(), W, rtol=1e-12)
    np.testing.assert_allclose(model.H, H)
    np.testing.assert_allclose(model.kernels[2] / model.kernels[0], 0.81, rtol=1e-12)
    single = module.start(given(V, init=init, length=1))
    np.testing.assert_allclose(single.kernels[0], W, rtol=1e-15)


def test_held_kernels_stand_first_and_the_model_has_the_mean_of_V():
    V, model = problem(8, n=400)
    held = model.kernels.numpy()[:, :, :2]
    held = held / held.mean()
    found = module.start(given(V.numpy(), fixed=held))
    np.testing.assert_array_equal(found.kernels[:, :, :2], held)
    assert found.kernels.shape == (T, 12, 3)
    assert found.kernels[:, :, 2].mean() == pytest.approx(1)
    assert found.reconstruction().mean() == pytest.approx(1, abs=0.05)
    assert np.ptp(found.H) == 0


def test_a_whole_dictionary_is_warmed_up_by_its_first_frames():
    V, model = problem(9)
    V, held = V.numpy(), model.kernels.numpy() / model.kernels.numpy().mean()
    H = np.ones((3, 25))
    for _ in range(50):
        H = H * (held[0].T @ (V / (held[0] @ H))) / held[0].sum(axis=0)[:, None]
    assert apart(module.start(given(V, fixed=held)).H, H) < 1e-9
    constant = module.start(given(V, fixed=held[:1], length=1))
    np.testing.assert_allclose(constant.H, 1 / 3)
    flat = module.start(given(V, fixed=held[0], length=1))
    np.testing.assert_array_equal(flat.kernels, constant.kernels)


def test_a_dictionary_of_another_length_is_refused():
    V, model = problem(9)
    with pytest.raises(ComputationError, match="last 4 frames, and length is 5"):
        module.start(given(V.numpy(), fixed=model.kernels.numpy(), length=5))


@pytest.mark.parametrize("length", [0, 2.5, "many", True])
def test_a_length_that_is_none_is_refused(length):
    setting = {"algorithm": "convolutive", "rank": 2, "convolutive.length": length, "stop": 2}
    with pytest.raises(NmfabError, match="number of frames"):
        frame.factorize(setting, np.ones((5, 6)))


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_through_the_frame(beta):
    V = planted(3)[0].numpy() * 7 + 0.01
    setting = {
        "algorithm": "convolutive", "rank": 3, "convolutive.length": 5, "beta": beta,
        "dtype": "float64", "stop": 30, "init": "random",
    }  # fmt: skip
    model = frame.factorize(setting, V)
    assert isinstance(model, Convolutive)
    assert model.curve["loss"][-1] < model.curve["loss"][0]
    assert model.reconstruction().mean() == pytest.approx(V.mean(), rel=0.2)
    np.testing.assert_allclose(model.kernels.sum(axis=(0, 1)), 1, rtol=1e-9)
    plain = frame.factorize({**setting, "algorithm": "torch_mu"}, V)
    single = frame.factorize({**setting, "convolutive.length": 1}, V)
    assert apart(single.reconstruction(), plain.reconstruction()) < 1e-9
    held = frame.factorize(setting, V, fixed=3 * model.kernels[:, :, :2])
    np.testing.assert_allclose(held.kernels[:, :, :2], 3 * model.kernels[:, :, :2], rtol=1e-12)
    assert held.reconstruction().mean() == pytest.approx(V.mean(), rel=0.2)


@pytest.mark.parametrize("beta", [0, 1, 2])
@pytest.mark.parametrize("held", [1, 3])
def test_a_dictionary_of_length_1_is_a_plain_dictionary(beta, held):
    V = problem(10)[0].numpy()
    W = np.random.default_rng(0).random((12, held)) * 5
    setting = {"rank": 3, "beta": beta, "dtype": "float64", "stop": 30, "init": "random"}
    plain = frame.factorize({"algorithm": "torch_mu", **setting}, V, fixed=W)
    setting |= {"algorithm": "convolutive", "convolutive.length": 1}
    for given_W in (W, W[None]):
        found = frame.factorize(setting, V, fixed=given_W)
        assert apart(found.kernels[0, :, :held], W) < 1e-15
        assert apart(found.reconstruction(), plain.reconstruction()) < 1e-9
        assert apart(found.H[:held], plain.H[:held]) < 1e-9
