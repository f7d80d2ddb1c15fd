"""HALS in torch: its forms, threads and batches against each other, and with extrapolation."""

import numpy as np
import pytest
import torch
from torch_problems import last, noisy, problem

from nmfab.algorithms import frame, torch_ahals, torch_hals
from nmfab.engine import torch_rows, torch_rows_ahead
from nmfab.engine.gpu import descent
from nmfab.engine.gpu.forms import repeated


def row_after_row(V, W, H, inner, fixed, iterations):
    """Return W and H of HALS on all problems at once."""
    Wt, H = W.mT.contiguous(), H.clone()
    step = descent.plain_step(V, Wt, H, inner, fixed)
    return last(repeated(step, Wt.mT, H), iterations)


@pytest.mark.parametrize("shape", [(30, 41), (53, 20)])
@pytest.mark.parametrize("rank", [3, 16, 19])
@pytest.mark.parametrize("inner", [1, 3])
def test_hals_shared_among_threads_is_hals_row_after_row(shape, rank, inner, threads, monkeypatch):
    V, W, H = problem(*shape, rank=rank)
    W[1, :, 1] = 0  # a component that stays as it is
    for fixed in (0, 2, rank):
        expected = row_after_row(V, W, H, inner, fixed, 5)
        for work in (1, 1 << 40):
            monkeypatch.setattr(torch_rows, "THREAD_SIZE", work)
            monkeypatch.setattr(torch_rows, "THREAD_WORK", work)
            for count in (1, 3, 4):
                found = last(
                    torch_hals.torch_hals(V, W[:count], H[:count], inner=inner, fixed=fixed),
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
        model, expected = (one.W @ one.H for one in (result, alone))
        assert abs(model - expected).max() < 1e-5 * expected.max()


def descend(factor, other, V, inner, fixed=0):
    """Return `factor` after passes of HALS over its rows, V ≈ otherᵀ · factor."""
    factor = factor.copy()
    for _ in range(inner):
        for k, row in list(enumerate(other))[fixed:]:
            rest = V - other.T @ factor + np.outer(row, factor[k])
            if row.any():
                factor[k] = np.maximum(row @ rest / (row @ row), 0)
    return factor


def extrapolated_hals(V, Wt, H, inner, iterations, delay, fixed=0):
    """Return W and H of algorithm 2 of Ang and Gillis, as it is written there, after HALS."""
    ahead_H, ahead_W, alpha, ceiling, error, undone = H, Wt, 0.5, 1.0, np.inf, 0
    for count in range(iterations):
        a, passes = (alpha, inner) if count >= delay else (0, 1)
        found_H = descend(ahead_H, ahead_W, V, passes)
        ahead_H = np.maximum(found_H + a * (found_H - H), 0)
        found_W = descend(ahead_W, ahead_H, V.T, passes, fixed)
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
@pytest.mark.parametrize("fixed", [0, 2])
def test_extrapolated_hals_is_that_of_the_paper(shape, inner, fixed, threads, monkeypatch):
    V, W, H = problem(*shape, rank=4)
    monkeypatch.setattr(torch_rows_ahead, "DELAY", 3)
    undone = 0
    for work in (1, 1 << 40):
        monkeypatch.setattr(torch_rows, "THREAD_SIZE", work)
        monkeypatch.setattr(torch_rows, "THREAD_WORK", work)
        for count in (1, 3):
            given = V, W[:count], H[:count]
            found = last(torch_ahals.torch_ahals(*given, inner=inner, fixed=fixed), 25)
            state = descent.HalsState.of(*given[1:])
            step = descent.extrapolated_step(V, state, inner, fixed)
            plain = last(repeated(step, state.Wt.mT, state.H), 25)
            for i in range(count):
                *expected, times = extrapolated_hals(
                    V.numpy(), W[i].numpy().T, H[i].numpy(), inner, 25, 3, fixed
                )
                undone += times
                for ours in (found, plain):
                    np.testing.assert_allclose(ours[0][i] @ ours[1][i], expected[0] @ expected[1],
                                               rtol=1e-6, atol=1e-8)  # fmt: skip
    assert undone > 0


@pytest.mark.parametrize(("fixed", "inner"), [(0, 1), (2, 1), (4, 3)])
def test_it_begins_as_hals_and_with_all_of_W_held_remains_so(fixed, inner):
    V, W, H = problem(30, 41, rank=4)
    for ours, theirs in zip(
        last(torch_ahals.torch_ahals(V, W[:1], H[:1], inner=3, fixed=fixed), 20),
        last(torch_hals.torch_hals(V, W[:1], H[:1], inner=inner, fixed=fixed), 20),
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
    limit = there.curve["loss"][-1]
    assert ours.curve["loss"][-1] - limit < 0.5 * (hals.curve["loss"][-1] - limit)
