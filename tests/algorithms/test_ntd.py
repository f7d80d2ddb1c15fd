"""NTD against sums written out, published numbers, plain NMF, and what it promises."""

from functools import partial

import numpy as np
import pytest
import torch
from models import loss, stepped
from oracles import apart, oracle

from nmfab.algorithms import frame, linear
from nmfab.algorithms import ntd as module
from nmfab.algorithms.ntd import ntd
from nmfab.algorithms.problem import Problem, View
from nmfab.algorithms.torch_mu import torch_mu
from nmfab.base.errors import NmfabError
from nmfab.base.kinds.tucker import Tucker

BETAS = (-0.5, 0, 0.5, 1, 1.5, 2, 3)
MODEL = "abc,fa,ib,tc->fit"


def problem(seed=0, shape=(7, 8, 9), ranks=(3, 4, 2), heavy=False, zeros=False):
    """Return V of mean 1 and a start, as tensors."""
    rng = np.random.default_rng(seed)
    V = np.exp(3 * rng.standard_normal(shape)) if heavy else rng.random(shape) + 0.01
    if zeros:
        V[rng.random(shape) < 0.3] = 0
    factors = [rng.random(sizes) for sizes in zip(shape, ranks, strict=True)]
    model = Tucker(rng.random(ranks), *factors)
    return torch.from_numpy(V / V.mean()), model.mapped(torch.from_numpy)


after = partial(stepped, ntd)


def arrays(model):
    return [np.asarray(x) for x in (model.core, model.frequency, model.instant, model.bar)]


def slow_step(V, G, W, H, Q, beta):
    """Return the core and the factors after one iteration: W, H, Q, G."""
    gamma, M = linear.exponent(beta), (V > 0) | (beta > 0)

    def ratio(adjoint, *others):
        Y = np.einsum(MODEL, G, W, H, Q) + (1e-12 if beta < 2 else 0)
        N, P = (
            np.einsum(adjoint, A, *others) for A in (M * V * Y ** (beta - 2), M * Y ** (beta - 1))
        )
        return (N / P) ** gamma

    W = W * ratio("fit,abc,ib,tc->fa", G, H, Q)
    H = H * ratio("fit,abc,fa,tc->ib", G, W, Q)
    Q = Q * ratio("fit,abc,fa,ib->tc", G, W, H)
    G = G * ratio("fit,fa,ib,tc->abc", W, H, Q)
    return G, W, H, Q


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("zeros", [False, True])
def test_an_iteration_is_that_of_the_formulas(beta, zeros):
    V, model = problem(zeros=zeros)
    expected = arrays(model)
    for _ in range(3):
        expected = slow_step(V.numpy(), *expected, beta)
    for ours, theirs in zip(arrays(after(3, V, model, beta=beta)), expected, strict=True):
        assert apart(ours, theirs) < 1e-10


@pytest.mark.parametrize(
    ("name", "beta"),
    [("ntd_nnfac", beta) for beta in (0, 0.5, 1, 2, 3)]
    + [("ntd_CoMM", beta) for beta in (0, 0.5, 1, 1.5)],
)
@pytest.mark.parametrize("iterations", [1, 20])
def test_numbers_of_nn_fac_and_CoMM(name, beta, iterations):
    o, tag = oracle(name), f"beta{beta:g}_it{iterations}"
    V, start = torch.from_numpy(o["V"]), Tucker(*(o[f"{x}0"] for x in "GWHQ"))
    found = after(iterations, V, start.mapped(torch.from_numpy), beta=beta)
    for ours, name in zip(arrays(found), "GWHQ", strict=True):
        assert apart(ours, o[f"{name}_{tag}"]) < 1e-9
    assert loss(V, found, beta) == pytest.approx(o[f"objective_{tag}"][-1], rel=1e-9)


@pytest.mark.parametrize("iterations", [1, 20])
def test_numbers_of_tensorly(iterations):
    o = oracle("ntd_tensorly")
    start = Tucker(*(o[f"{x}0"] for x in "GWHQ")).mapped(torch.from_numpy)
    found = after(iterations, torch.from_numpy(o["V"]), start, beta=2)
    for ours, name in zip(arrays(found), "GWHQ", strict=True):
        assert apart(ours, o[f"{name}_it{iterations}"]) < 1e-9


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("zeros", [False, True])
def test_with_identities_it_is_the_multiplicative_update_of_the_unfolding(beta, zeros):
    """W of plain NMF is the unfolded core and H is Qᵀ, which goes first in both."""
    V, model = problem(ranks=(7, 8, 2), zeros=zeros)
    model.frequency, model.instant = (torch.eye(k, dtype=torch.float64) for k in (7, 8))
    found = after(30, V, model, beta=beta, frequency="identity", instant="identity")
    plain = torch_mu(
        V.reshape(56, 9), model.core.reshape(56, 2).clone(), model.bar.mT.clone(), beta=beta
    )
    for _ in range(30):
        W, H = next(plain)
    assert apart(found.templates(), W) < 1e-10
    assert apart(found.activations(), H) < 1e-10
    assert torch.equal(found.frequency, model.frequency)
    assert torch.equal(found.instant, model.instant)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("held", [(), ("frequency",), ("instant",)])
def test_the_divergence_never_rises(beta, heavy, zeros, held):
    for seed in range(2):
        V, model = problem(seed, heavy=heavy, zeros=zeros)
        curve = [loss(V, model, beta)]
        generator = ntd(V, model, beta=beta, **dict.fromkeys(held, "identity"))
        for _ in range(40):
            found = next(generator)
            curve.append(loss(V, found, beta))
        rises = np.diff(curve) / np.abs(curve[:-1])
        assert rises.max() < 1e-10
        assert curve[-1] < curve[0]
        for name in ("frequency", "instant"):
            same = torch.equal(getattr(found, name), getattr(model, name))
            assert same == (name in held)


def test_silence_is_left_out_at_beta_0():
    V, model = problem(4)
    V[3], V[:, 6], V[:, :, 1] = 0, 0, 0
    kept = [[i for i in range(n) if i != k] for n, k in ((7, 3), (8, 6), (9, 1))]
    small = Tucker(model.core, model.frequency[kept[0]], model.instant[kept[1]], model.bar[kept[2]])
    ours = after(10, V, model, beta=0).reconstruction()
    theirs = after(10, V[kept[0]][:, kept[1]][:, :, kept[2]], small, beta=0).reconstruction()
    assert apart(ours[kept[0]][:, kept[1]][:, :, kept[2]], theirs) < 1e-10


@pytest.mark.parametrize("beta", BETAS)
def test_silence_and_dead_patterns(beta):
    V, model = problem(5)
    V[3], V[:, 6], V[:, :, 1] = 0, 0, 0
    model.bar[:, 1] = 0
    found = after(30, V, model, beta=beta)
    assert all(np.isfinite(x).all() and x.min() >= 0 for x in arrays(found))
    assert not found.component(1).any()
    assert found.component(0).any()


@pytest.mark.parametrize("beta", BETAS)
def test_float32_and_the_scale_of_V(beta):
    V, model = problem(6)
    double = after(20, V, model, beta=beta)
    single = after(20, V.float(), model.mapped(torch.Tensor.float), beta=beta)
    assert single.core.dtype == torch.float32
    assert apart(single.reconstruction(), double.reconstruction()) < 1e-4
    louder = after(20, 3 * V, model.scaled(3.0), beta=beta)
    assert apart(louder.reconstruction(), 3 * double.reconstruction()) < 1e-8


def test_the_start_is_left_alone():
    V, model = problem(7)
    kept = model.mapped(torch.clone)
    after(3, V, model)
    assert all(np.array_equal(x, y) for x, y in zip(arrays(model), arrays(kept), strict=True))


# the start, and the frame


def given(V, ranks=(3, 4, 2), init="nndsvda", seed=0, **more):
    own = {"frequency_rank": ranks[0], "instant_rank": ranks[1], "frequency": "free"}
    own |= {"instant": "free", **more}
    rng = np.random.default_rng(seed)
    return Problem(V, ranks[2], rng, beta=1, parameters=own, init=init, seed=seed)


def test_the_start_is_the_higher_order_svd():
    V = problem(8)[0].numpy()
    found = module.start(given(V))
    signed = []
    for mode, (ours, rank) in enumerate(zip(arrays(found)[1:], (3, 4, 2), strict=True)):
        left = np.linalg.svd(np.moveaxis(V, mode, 0).reshape(V.shape[mode], -1))[0][:, :rank]
        signed.append(left)
        np.testing.assert_allclose(ours, abs(left) + 1e-12, rtol=1e-6, atol=1e-9)
    core = abs(np.einsum("fit,fa,ib,tc->abc", V, *signed))
    np.testing.assert_allclose(found.core / found.core.max(), core / core.max(), atol=1e-8)
    assert found.reconstruction().mean() == pytest.approx(V.mean())
    again = module.start(given(V, seed=5))
    assert all(np.array_equal(x, y) for x, y in zip(arrays(found), arrays(again), strict=True))


def test_a_random_start_is_drawn_by_the_seed():
    V = problem(8)[0].numpy()
    one, same, other = (module.start(given(V, init="random", seed=s)) for s in (1, 1, 2))
    assert np.array_equal(one.core, same.core)
    assert not np.array_equal(one.core, other.core)
    assert not np.array_equal(one.bar, other.bar)
    assert min(x.min() for x in arrays(one)) > 0
    assert one.reconstruction().mean() == pytest.approx(V.mean())


@pytest.mark.parametrize("init", ["random", "nndsvda"])
def test_identities_replace_a_rank(init):
    V = problem(8)[0].numpy()
    found = module.start(given(V, (99, 4, 2), init=init, frequency="identity"))
    np.testing.assert_array_equal(found.frequency, np.eye(7))
    assert found.core.shape == (7, 4, 2)
    found = module.start(given(V, (3, 99, 2), init=init, instant="identity"))
    np.testing.assert_array_equal(found.instant, np.eye(8))


def test_ranks_above_the_sizes():
    V = problem(8)[0].numpy()
    assert module.start(given(V, (9, 4, 2))).core.shape == (7, 4, 2)
    assert module.start(given(V, (3, 99, 2), init="random")).core.shape == (3, 8, 2)
    found = module.start(given(V, (3, 4, 12)))
    assert found.filled == 3
    assert found.bar.shape == (9, 12)
    assert found.core.shape == (3, 4, 12)
    assert min(x.min() for x in arrays(found)) > 0
    assert module.start(given(V)).filled == 0


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"ntd.frequency_rank": 0}, "frequency_rank is a whole number"),
        ({"ntd.instant_rank": 2.5}, "instant_rank is a whole number"),
        ({"ntd.frequency": "fixed"}, "frequency is free or identity"),
        ({"ntd.instant": True}, "instant is free or identity"),
        ({"init": "harmonic", "rank": 90}, "piano keys"),
    ],
)
def test_what_it_refuses(own, told):
    setting = {"algorithm": "ntd", "rank": 2, "stop": 2, "ntd.frequency_rank": 3}
    setting |= {"ntd.instant_rank": 3, "init": "random", **own}
    with pytest.raises(NmfabError, match=told):
        frame.factorize(setting, np.ones((5, 6, 7)), View(np.arange(5.0)))


@pytest.mark.parametrize("beta", [0, 1, 2])
@pytest.mark.parametrize("init", ["random", "nndsvda"])
def test_through_the_frame(beta, init):
    V = 7 * problem(9)[0].numpy()
    setting = {
        "algorithm": "ntd", "rank": 2, "ntd.frequency_rank": 3, "ntd.instant_rank": 4,
        "beta": beta, "dtype": "float64", "stop": 30, "init": init,
    }  # fmt: skip
    model = frame.factorize(setting, V)
    assert isinstance(model, Tucker)
    assert model.reconstruction().shape == V.shape
    assert model.activations().shape == (2, 9)
    assert model.curve["loss"][-1] < model.curve["loss"][0]
    assert model.reconstruction().mean() == pytest.approx(V.mean(), rel=0.2)
