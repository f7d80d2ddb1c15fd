"""The torch engine: its forms, threads and batches against each other, and the accelerated ones."""

import threading

import numpy as np
import pytest
import torch

from nmfab.algorithms import frame, torch_ahals, torch_hals
from nmfab.algorithms.torch_amu import Extrapolated, torch_amu
from nmfab.algorithms.torch_mu import torch_mu
from nmfab.base.resources import Resources, use_resources
from nmfab.engine import torch_rows, torch_sweep
from nmfab.engine.torch_plain import TOGETHER, plain_updates

BETAS = (2, 1, 0, 0.5, 1.5, 3, 2.5, -0.5)
SHAPES = [(30, 41), (53, 20), (9, 300)]


def problem(m, n, rank=5, count=4):
    """Return V and starts, the third of a lower rank, filled up with zeros."""
    rng = torch.Generator().manual_seed(m)
    V = torch.rand(m, n, generator=rng, dtype=torch.float64) + 0.01
    W = torch.rand(count, m, rank, generator=rng, dtype=torch.float64)
    H = torch.rand(count, rank, n, generator=rng, dtype=torch.float64)
    W[2, :, 3:], H[2, 3:] = 0, 0
    return V, W, H


def last(generator, iterations=15):
    for _ in range(iterations):
        W, H = next(generator)
    generator.close()
    return W, H


@pytest.fixture
def threads():
    """Let torch have two threads, and as many for however little work."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[True, False], ids=["kernels", "products"])
def fused(request, monkeypatch):
    """Have blocks swept by compiled kernels wherever β allows it, or nowhere."""
    monkeypatch.setattr(torch_sweep, "_fuses", lambda beta, *_: request.param and beta in (1, 0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("update_W", [True, False])
@pytest.mark.parametrize("block", [1, 1 << 19])
def test_sweep_is_the_update_of_the_whole(
    shape, beta, update_W, block, fused, threads, monkeypatch
):
    monkeypatch.setattr(torch_sweep, "BLOCK_BYTES", block)
    monkeypatch.setattr(torch_sweep, "LEAST_ROWS", 7)
    V, W, H = problem(*shape)
    expected = last(plain_updates(V, W.clone(), H.clone(), beta, update_W))
    for work in (1, 1 << 40):  # two threads, or one
        monkeypatch.setattr(torch_sweep, "THREAD_WORK", work)
        for count in (1, 3, 4):  # as many as there are threads, and one left over
            found = last(torch_mu(V, W[:count], H[:count], beta=beta, update_W=update_W))
            for ours, theirs in zip(found, expected, strict=True):
                torch.testing.assert_close(ours, theirs[:count], rtol=1e-9, atol=1e-12)
        single = last(torch_mu(V, W[0], H[0], beta=beta, update_W=update_W))
        torch.testing.assert_close(single[0], expected[0][0], rtol=1e-9, atol=1e-12)


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
    found = last(plain_updates(V, W.clone(), H.clone(), betas))
    for i, beta in enumerate(betas):
        alone = last(plain_updates(V, W[i].clone(), H[i].clone(), beta))
        torch.testing.assert_close(found[0][i], alone[0], rtol=1e-9, atol=0)
        torch.testing.assert_close(found[1][i], alone[1], rtol=1e-9, atol=0)


def noisy(m=40, n=60):
    rng = np.random.default_rng(0)
    return rng.random((m, 5)) @ rng.random((5, n)) + 0.2 * rng.random((m, n))


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
        assert result["W"].shape == (40, setting["rank"])
        model, expected = (one["W"] @ one["H"] for one in (result, alone))
        assert abs(model - expected).max() < 1e-5 * expected.max()
        np.testing.assert_allclose(result["loss"], alone["loss"], rtol=1e-4)


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


@pytest.mark.parametrize("shape", [(30, 41), (53, 20)])
@pytest.mark.parametrize("rank", [3, 16, 19])
@pytest.mark.parametrize("inner", [1, 3])
def test_hals_shared_among_threads_is_hals_row_after_row(shape, rank, inner, threads, monkeypatch):
    V, W, H = problem(*shape, rank=rank)
    W[1, :, 1] = 0  # a component that stays as it is
    for update_W in (True, False):
        expected = last(torch_hals.plain_updates(V, W.clone(), H.clone(), inner, update_W), 5)
        for work in (1, 1 << 40):
            monkeypatch.setattr(torch_rows, "THREAD_SIZE", work)
            monkeypatch.setattr(torch_rows, "THREAD_WORK", work)
            for count in (1, 3, 4):
                found = last(
                    torch_hals.torch_hals(V, W[:count], H[:count], inner=inner, update_W=update_W),
                    5,
                )
                for ours, theirs in zip(found, expected, strict=True):
                    size = float(theirs.abs().max())
                    torch.testing.assert_close(ours, theirs[:count], rtol=0, atol=1e-7 * size)


@pytest.mark.parametrize("name", ["torch_hals", "torch_ahals"])
def test_hals_of_several_ranks_shares_a_call(name):
    settings = [
        {"algorithm": name, "beta": 2, "init": "random", "rank": rank, "stop": 20}
        for rank in (20, 2, 4)
    ]
    V = noisy()
    for setting, result in zip(settings, frame.factorize_batch(settings, V), strict=True):
        alone = frame.factorize(setting, V)
        model, expected = (one["W"] @ one["H"] for one in (result, alone))
        assert abs(model - expected).max() < 1e-5 * expected.max()


def descend(factor, other, V, inner):
    """Return `factor` after passes of HALS over its rows, V ≈ otherᵀ · factor."""
    factor = factor.copy()
    for _ in range(inner):
        for k, row in enumerate(other):
            rest = V - other.T @ factor + np.outer(row, factor[k])
            if row.any():
                factor[k] = np.maximum(row @ rest / (row @ row), 0)
    return factor


def extrapolated_hals(V, Wt, H, inner, iterations, delay):
    """Return W and H of algorithm 2 of Ang and Gillis, as it is written there, after HALS."""
    ahead_H, ahead_W, alpha, ceiling, error, undone = H, Wt, 0.5, 1.0, np.inf, 0
    for count in range(iterations):
        a, passes = (alpha, inner) if count >= delay else (0, 1)
        found_H = descend(ahead_H, ahead_W, V, passes)
        ahead_H = np.maximum(found_H + a * (found_H - H), 0)
        found_W = descend(ahead_W, ahead_H, V.T, passes)
        ahead_W = np.maximum(found_W + a * (found_W - Wt), 0)
        before, error = error, np.linalg.norm(V - found_W.T @ ahead_H)
        if count >= delay and error > before:
            ahead_H, ahead_W, undone = H, Wt, undone + 1
            ceiling, alpha = alpha, alpha / 1.5
            continue
        H, Wt = found_H, found_W
        if count >= delay:
            alpha, ceiling = min(ceiling, 1.01 * alpha), min(1, 1.005 * ceiling)
    return Wt.T, H, undone


@pytest.mark.parametrize("shape", [(30, 41), (53, 20)])
@pytest.mark.parametrize("inner", [1, 4])
def test_extrapolated_hals_is_that_of_the_paper(shape, inner, threads, monkeypatch):
    V, W, H = problem(*shape, rank=4)
    monkeypatch.setattr(torch_ahals, "DELAY", 3)
    undone = 0
    for work in (1, 1 << 40):
        monkeypatch.setattr(torch_rows, "THREAD_SIZE", work)
        monkeypatch.setattr(torch_rows, "THREAD_WORK", work)
        for count in (1, 3):
            found = last(torch_ahals.torch_ahals(V, W[:count], H[:count], inner=inner), 25)
            plain = last(torch_ahals.plain_updates(V, W[:count], H[:count], inner), 25)
            for i in range(count):
                *expected, times = extrapolated_hals(
                    V.numpy(), W[i].numpy().T, H[i].numpy(), inner, 25, 3
                )
                undone += times
                for ours in (found, plain):
                    np.testing.assert_allclose(ours[0][i] @ ours[1][i], expected[0] @ expected[1],
                                               rtol=1e-6, atol=1e-8)  # fmt: skip
    assert undone > 0


@pytest.mark.parametrize(("update_W", "inner"), [(True, 1), (False, 3)])
def test_it_begins_as_hals_and_with_W_fixed_remains_so(update_W, inner):
    V, W, H = problem(30, 41, rank=4)
    for ours, theirs in zip(
        last(torch_ahals.torch_ahals(V, W[:1], H[:1], inner=3, update_W=update_W), 20),
        last(torch_hals.torch_hals(V, W[:1], H[:1], inner=inner, update_W=update_W), 20),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_extrapolation_arrives_where_hals_would_later():
    V = noisy(60, 80)
    setting = {"beta": 2, "init": "nndsvda", "rank": 5, "dtype": "float64"}
    options = {"torch_hals.inner": 4}
    there = frame.factorize({"algorithm": "torch_hals", "stop": 3000, **options, **setting}, V)
    hals = frame.factorize({"algorithm": "torch_hals", "stop": 60, **options, **setting}, V)
    ours = frame.factorize({"algorithm": "torch_ahals", "stop": 60, **setting}, V)
    limit = there["loss"][-1]
    assert ours["loss"][-1] - limit < 0.5 * (hals["loss"][-1] - limit)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_extrapolation_of_nothing_is_the_multiplicative_update(beta, shape, fused, monkeypatch):
    def stand(self):
        self.alpha = 0.0

    monkeypatch.setattr(Extrapolated, "begin", stand)
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
def test_extrapolated_update_is_that_of_the_paper(beta, shape, fused):
    V, W, H = (x.numpy() for x in problem(*shape))
    W, H = W[0], H[0]
    found = last(torch_amu(*(torch.from_numpy(x) for x in (V, W, H)), beta=beta), 6)
    W_before, H_before, nu = W, H, 1.0
    for _ in range(6):
        following = (1 + np.sqrt(1 + 4 * nu**2)) / 2
        alpha, nu = (nu - 1) / following, following
        H, H_before = step_ahead(H, H_before, alpha, W, V, beta), H
        W, W_before = step_ahead(W.T, W_before.T, alpha, H.T, V.T, beta).T, W
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
    assert fast["kkt"][-1] < 1e-3 * fast["kkt"][0]
    assert fast["loss"][-1] < plain["loss"][0] / 2
    # a fixed point of the multiplicative update: it stays there
    W, H = (torch.from_numpy(fast[name]) for name in "WH")
    W = W / fast["scale"]
    V = torch.from_numpy(V / fast["scale"])
    moved = last(torch_mu(V, W, H, beta=beta), 1)
    model = W @ H
    assert float((moved[0] @ moved[1] - model).abs().max()) < 1e-2 * float(model.max())


@pytest.mark.parametrize("beta", [0, 0.5, 1, 1.5, 2, 3])
def test_extrapolation_starts_anew_after_a_step_uphill(beta):
    V, W, H = problem(30, 41)
    starts = Extrapolated(V.mT.contiguous(), torch.cat([H[0, :1].mT * 0 + 1, H[0].mT], 1),
                          torch.cat([W[0].mT[:1] * 0, W[0].mT]), 1, beta, True)  # fmt: skip
    for _ in range(3):
        starts.begin()
    assert starts.alpha > 0.2
    starts.uphill = 1.0
    starts.begin()
    assert starts.alpha == 0
    assert torch.equal(starts.ahead[1:], starts.At)
