"""The torch engine: its forms, threads and batches against each other, and the accelerated ones."""

import threading

import numpy as np
import pytest
import torch
from torch_problems import last, noisy, problem

from nmfab.algorithms import frame, torch_ahals, torch_hals
from nmfab.algorithms.torch_amu import torch_amu
from nmfab.algorithms.torch_mu import torch_mu
from nmfab.base.divergence import divergence
from nmfab.base.resources import Resources, use_resources
from nmfab.engine import torch_sweep
from nmfab.engine.gpu.forms import repeated
from nmfab.engine.torch_plain import TOGETHER, plain_step
from nmfab.engine.torch_sweep_ahead import ExtrapolatedMultiplicative

BETAS = (2, 1, 0, 0.5, 1.5, 3, 2.5, -0.5)
SHAPES = [(30, 41), (53, 20), (9, 300)]


def plain(V, W, H, beta, fixed=0):
    """Return W and H after some iterations of matrix products over all of V."""
    W, H = W.clone(), H.clone()
    return last(repeated(plain_step(V, W, H, beta, fixed), W, H))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("fixed", [0, 2, 5])
@pytest.mark.parametrize("block", [1, 1 << 19])
def test_sweep_is_the_update_of_the_whole(shape, beta, fixed, block, fused, threads, monkeypatch):
    monkeypatch.setattr(torch_sweep, "BLOCK_BYTES", block)
    monkeypatch.setattr(torch_sweep, "LEAST_ROWS", 7)
    V, W, H = problem(*shape)
    expected = plain(V, W, H, beta, fixed)
    for work in (1, 1 << 40):  # two threads, or one
        monkeypatch.setattr(torch_sweep, "THREAD_WORK", work)
        for count in (1, 3, 4):  # as many as there are threads, and one left over
            found = last(torch_mu(V, W[:count], H[:count], beta=beta, fixed=fixed))
            for ours, theirs in zip(found, expected, strict=True):
                torch.testing.assert_close(ours, theirs[:count], rtol=1e-9, atol=1e-12)
        single = last(torch_mu(V, W[0], H[0], beta=beta, fixed=fixed))
        torch.testing.assert_close(single[0], expected[0][0], rtol=1e-9, atol=1e-12)


def slowly(V, W, H, beta, fixed, iterations):
    """Return W and H after multiplicative updates of H and of the columns of W that are free."""
    gamma = torch_sweep.exponent(beta)
    W, H = W.copy(), H.copy()
    for _ in range(iterations):
        WH = W @ H
        H *= ((W.T @ (V * WH ** (beta - 2))) / (W.T @ WH ** (beta - 1))) ** gamma
        WH = W @ H
        for k in range(fixed, W.shape[1]):
            W[:, k] *= (((V * WH ** (beta - 2)) @ H[k]) / (WH ** (beta - 1) @ H[k])) ** gamma
    return W, H


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("fixed", [1, 3, 5])
def test_the_first_templates_are_held_and_the_others_are_free(shape, beta, fixed, fused):
    V, W, H = (x[0] if x.ndim == 3 else x for x in problem(*shape))
    # the reference takes W's columns one by one with one model, as the update is defined
    expected = slowly(V.numpy(), W.numpy(), H.numpy(), beta, fixed, 4)
    for ours, theirs in zip(last(torch_mu(V, W, H, beta=beta, fixed=fixed), 4), expected,
                            strict=True):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)


@pytest.mark.parametrize("beta", [2, 1, 0, 0.5, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_held_templates_keep_their_bits_while_the_loss_falls(beta, shape, dtype):
    V, W, H = (x.to(dtype) for x in problem(*shape))
    functions = {"torch_mu": torch_mu, "torch_amu": torch_amu}
    if beta == 2:
        functions |= {
            "torch_hals": torch_hals.torch_hals, "torch_ahals": torch_ahals.torch_ahals
        }  # fmt: skip
    for name, function in functions.items():
        more = {} if "hals" in name else {"beta": beta}
        for fixed in (2, 4):
            (ours, H_found) = last(function(V, W, H, fixed=fixed, **more), 40)
            assert torch.equal(ours[..., :fixed], W[..., :fixed]), name
            assert not torch.equal(ours[0, :, fixed:], W[0, :, fixed:]), name
            held, _ = last(function(V, W, H, fixed=5, **more), 40)
            assert torch.equal(held, W), name
            before = divergence(V, W[0] @ H[0], beta)
            assert divergence(V, ours[0] @ H_found[0], beta) < 0.9 * before, name


def test_same_threads_same_bits(fused, threads, monkeypatch):
    monkeypatch.setattr(torch_sweep, "THREAD_WORK", 1)
    V, W, H = problem(200, 300)
    for beta in (2, 1, 0):
        first, second = (last(torch_mu(V, W, H, beta=beta)) for _ in range(2))
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("by_rows", [True, False])
def test_a_row_of_silence_stays_one(dtype, by_rows, fused):
    """Where the model is zero and V is not, N / P overflows."""
    V, W, H = (x.to(dtype) for x in problem(20, 30))
    V = 10 * (V.mT if by_rows else V)
    W, H = (H[0].mT, W[0].mT) if by_rows else (W[0], H[0])
    W, H = W.clone(), H.clone()
    W[4], H[:, 2] = 0, 0
    for function in (torch_mu, torch_amu):
        for beta in BETAS:
            ours = last(function(V, W, H, beta=beta))
            assert all(factor.isfinite().all() for factor in ours)
            assert float(ours[0][4].max()) == float(ours[1][:, 2].max()) == 0


def test_neither_V_nor_the_start_nor_torch_is_changed(threads, monkeypatch):
    monkeypatch.setattr(torch_sweep, "THREAD_WORK", 1)
    V, W, H = problem(20, 30)
    kept = [x.clone() for x in (V, W, H)]
    last(torch_mu(V, W, H, beta=1))
    assert all(torch.equal(x, y) for x, y in zip(kept, (V, W, H), strict=True))
    assert torch.get_num_threads() == 2
    assert float(torch.tensor(1e-310, dtype=torch.float64) * 1) > 0  # denormals are kept again


def test_what_a_thread_raises_is_raised(threads, monkeypatch):
    monkeypatch.setattr(torch_sweep, "THREAD_WORK", 1)

    def fail(self, update=True, gather=True):
        if self.problem.shares[-1] is self:
            raise MemoryError("of the second")
        return ()

    monkeypatch.setattr(torch_sweep.Share, "sweep", fail)
    V, W, H = problem(20, 30)
    with pytest.raises(MemoryError, match="of the second"):
        next(torch_mu(V, W[0], H[0]))


@pytest.mark.parametrize("most", [1, 2500, 1 << 18])
def test_plain_form_groups_by_beta_and_by_size(most, monkeypatch):
    monkeypatch.setitem(TOGETHER, "cpu", most)
    V, W, H = problem(30, 41)
    betas = np.array([0.0, 1.0, 1.0, 2.0])
    found = plain(V, W, H, betas)
    for i, beta in enumerate(betas):
        alone = plain(V, W[i], H[i], beta)
        torch.testing.assert_close(found[0][i], alone[0], rtol=1e-9, atol=0)
        torch.testing.assert_close(found[1][i], alone[1], rtol=1e-9, atol=0)


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_ranks_share_a_call(beta):
    settings = [
        {"algorithm": "torch_mu", "beta": beta, "init": "random", "rank": rank, "stop": 50}
        for rank in (7, 2, 4)
    ]
    assert "rank" in frame.batch_names(settings[0])
    V = noisy()
    loop = frame.prepare(settings, V)
    assert loop.factors[0].shape == (3, 40, 7)
    assert float(loop.factors[0][1, :, 2:].abs().max()) == 0
    for setting, result in zip(settings, frame.factorize_batch(settings, V), strict=True):
        alone = frame.factorize(setting, V)
        assert result.W.shape == (40, setting["rank"])
        model, expected = (one.W @ one.H for one in (result, alone))
        assert abs(model - expected).max() < 1e-5 * expected.max()
        np.testing.assert_allclose(result.curve["loss"], alone.curve["loss"], rtol=1e-4)


def test_torch_keeps_to_the_threads_of_the_job(monkeypatch):
    seen = []
    crew = torch_sweep.Crew

    def noted(count):
        seen.append((count, torch.get_num_threads()))
        return crew(count)

    monkeypatch.setattr(torch_sweep, "Crew", noted)
    monkeypatch.setattr(torch_sweep, "THREAD_WORK", 1)
    for threads in (1, 2):
        with use_resources(Resources("cpu", threads)):
            frame.factorize({"algorithm": "torch_mu", "stop": 2, "rank": 3}, noisy())
    assert seen == [(1, 1), (2, 2)]


def test_threads_have_ended_when_their_crew_is_closed():
    # one that frees a tensor while Python ends aborts the process
    before = set(threading.enumerate())
    crew = torch_sweep.Crew(3)
    started = set(threading.enumerate()) - before
    crew.run([lambda: torch.rand(200, 200).sum() for _ in range(3)])
    assert [thread.is_alive() for thread in started] == [True, True]
    crew.close()
    assert [thread.is_alive() for thread in started] == [False, False]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_extrapolation_of_nothing_is_the_multiplicative_update(beta, shape, fused, monkeypatch):
    def stand(self):
        self.alpha = 0.0

    monkeypatch.setattr(ExtrapolatedMultiplicative, "begin", stand)
    V, W, H = problem(*shape)
    for ours, theirs in zip(
        last(torch_amu(V, W, H, beta=beta)), last(torch_mu(V, W, H, beta=beta)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def step_ahead(factor, before, alpha, other, V, beta):
    """Return Ĥ ∘ (N / P)^γ(β), Ĥ = H + α [H − H_before]₊, from W, V and β."""
    ahead = factor + alpha * (factor - before).clip(0)
    model = other @ ahead
    ratio = (other.T @ (V * model ** (beta - 2))) / (other.T @ model ** (beta - 1))
    return ahead * ratio ** torch_sweep.exponent(beta)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fixed", [0, 2])
def test_extrapolated_update_is_that_of_the_paper(beta, shape, fixed, fused):
    V, W, H = (x.numpy() for x in problem(*shape))
    W, H = W[0], H[0]
    given = [torch.from_numpy(x) for x in (V, W, H)]
    found = last(torch_amu(*given, beta=beta, fixed=fixed), 6)
    W_before, H_before, nu = W, H, 1.0
    for _ in range(6):
        following = (1 + np.sqrt(1 + 4 * nu**2)) / 2
        alpha, nu = (nu - 1) / following, following
        H, H_before = step_ahead(H, H_before, alpha, W, V, beta), H
        W, W_before = step_ahead(W.T, W_before.T, alpha, H.T, V.T, beta).T, W
        W[:, :fixed] = W_before[:, :fixed]
    np.testing.assert_allclose(found[0], W, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found[1], H, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2, 3])
@pytest.mark.parametrize("shape", [(40, 60), (60, 40)])
def test_extrapolated_update_ends_where_nothing_is_left_to_gain(beta, shape):
    V = noisy(*shape)
    p = {"beta": beta, "rank": 5, "init": "random", "dtype": "float64", "stop": 2000}
    fast, plain = (
        frame.factorize(p | {"algorithm": name}, V) for name in ("torch_amu", "torch_mu")
    )
    assert fast.curve["kkt"][-1] < 1e-3 * fast.curve["kkt"][0]
    assert fast.curve["loss"][-1] < plain.curve["loss"][0] / 2
    # a fixed point of the multiplicative update: it stays there
    W, H = (torch.from_numpy(factor) for factor in (fast.W, fast.H))
    W = W / fast.scale
    V = torch.from_numpy(V / fast.scale)
    moved = last(torch_mu(V, W, H, beta=beta), 1)
    model = W @ H
    assert float((moved[0] @ moved[1] - model).abs().max()) < 1e-2 * float(model.max())


@pytest.mark.parametrize("beta", [0, 0.5, 1, 1.5, 2, 3])
def test_extrapolation_starts_anew_after_a_step_uphill(beta):
    V, W, H = problem(30, 41)
    raised = torch.cat([torch.ones_like(H[0, :1].mT), H[0].mT], 1)
    floor_At = torch.cat([W[0].mT[:1] * 0, W[0].mT])
    starts = ExtrapolatedMultiplicative(V.mT.contiguous(), raised, floor_At, 1, beta, True)
    for _ in range(3):
        starts.begin()
    assert starts.alpha > 0.2
    starts.uphill = 1.0
    starts.begin()
    assert starts.alpha == 0
    assert torch.equal(starts.ahead[1:], starts.At)
