"""Zeros of V at β ≤ 0: every form of the updates against sums over the entries that sound."""

import numpy as np
import pytest
import torch
from torch_problems import last

from nmfab.algorithms.torch_amu import torch_amu
from nmfab.algorithms.torch_mu import torch_mu
from nmfab.engine import torch_sweep
from nmfab.engine.gpu.multiplicative import updates

BETAS = (0, -0.5, -2)
SHAPES = [(12, 17), (19, 11)]


def problem(m, n, rank=4):
    """Return V with a silent row and column and single zeros, and a start that has zeros too.

    The last component sounds in one row alone, where V is 0 in some columns: N and P are 0 there.
    """
    rng = np.random.default_rng(m)
    V, W, H = (rng.random(shape) + 0.01 for shape in ((m, n), (m, rank), (rank, n)))
    V[rng.random((m, n)) < 0.2] = 0
    V[4], V[:, 6] = 0, 0
    V[2, :3] = 0
    W[:, -1] *= np.arange(m) == 2
    W[1, 0], H[1, 5] = 0, 0
    return V, W, H


def slowly(V, W, H, beta, iterations, fixed=0):
    """Return W and H after updates by sums over the sounding entries, written out."""
    gamma, (m, n) = torch_sweep.exponent(beta), V.shape
    W, H = W.copy(), H.copy()
    H[:, ~V.any(0)] = 0
    W[~V.any(1), fixed:] = 0
    for _ in range(iterations):
        WH, new = W @ H, H.copy()
        for k, j in np.ndindex(*H.shape):
            rows = [i for i in range(m) if V[i, j] > 0 and W[i, k] > 0]
            new[k, j] *= power_of(W[:, k], V[:, j], WH[:, j], rows, beta, gamma)
        H = new
        WH, new = W @ H, W.copy()
        for i, k in np.ndindex(*W.shape):
            columns = [j for j in range(n) if V[i, j] > 0 and H[k, j] > 0]
            if k >= fixed:
                new[i, k] *= power_of(H[k], V[i], WH[i], columns, beta, gamma)
        W = new
    return W, H


def power_of(other, V, WH, entries, beta, gamma):
    """Return (N / P)^γ, 0 where nothing is left of both."""
    N = sum(other[e] * V[e] * WH[e] ** (beta - 2) for e in entries)
    P = sum(other[e] * WH[e] ** (beta - 1) for e in entries)
    return (N / P) ** gamma if entries else 0.0


def tensors(*arrays):
    return [torch.from_numpy(array.copy()) for array in arrays]


FORMS = {
    "kernels": lambda V, W, H, beta, fixed: torch_mu(V, W, H, beta=beta, fixed=fixed),
    "products": lambda V, W, H, beta, fixed: torch_mu(V, W, H, beta=beta, fixed=fixed),
    "plain": lambda V, W, H, beta, fixed: updates(V, W, H, beta, fixed, form="plain"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fixed", [0, 2, 4])
def test_updates_are_sums_over_what_sounds(form, beta, shape, fixed, monkeypatch):
    monkeypatch.setattr(torch_sweep, "_fuses", lambda beta, *_: form == "kernels" and beta == 0)
    V, W, H = problem(*shape)
    expected = slowly(V, W, H, beta, 6, fixed)
    found = last(FORMS[form](*tensors(V, W, H), beta, fixed), 6)
    assert (expected[1][-1] == 0).sum() > 3  # where N and P are 0
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-14)
    if fixed < 4:
        assert float(found[0][4, fixed:].max()) == 0
    assert float(found[1][:, 6].max()) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta", [*BETAS, -5])
@pytest.mark.parametrize("form", FORMS)
def test_a_model_of_nothing_where_V_is_0_is_no_division_by_it(dtype, beta, form, monkeypatch):
    monkeypatch.setattr(torch_sweep, "_fuses", lambda beta, *_: form == "kernels" and beta == 0)
    V, W, H = (x.to(dtype) for x in tensors(*problem(12, 17)))
    W[:, 0], W[3] = 0, 0
    V[3, 2:9], W[3, 0], H[0, 2:9] = 0, 1, 0  # W·H is 0 there, and nowhere else in row 3
    found = last(FORMS[form](V, W, H, beta, 0), 20)
    assert all(factor.isfinite().all() for factor in found)


@pytest.mark.parametrize("fuses", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_masks_where_its_beta_asks_for_it(fuses, shape, monkeypatch):
    monkeypatch.setattr(torch_sweep, "_fuses", lambda beta, *_: fuses and beta in (0, 1))
    V, W, H = tensors(*problem(*shape))
    betas = np.array([0.0, 1.0, -0.5, 2.0, 0.5])
    many = W.repeat(5, 1, 1), H.repeat(5, 1, 1)
    for function in (torch_mu, torch_amu):
        together = last(function(V, *many, beta=betas), 10)
        for i, beta in enumerate(betas):
            alone = last(function(V, W, H, beta=beta), 10)
            for ours, theirs in zip(together, alone, strict=True):
                torch.testing.assert_close(ours[i], theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("fuses", [False, True])
def test_a_silent_row_more_changes_nothing(dtype, beta, fuses, monkeypatch):
    monkeypatch.setattr(torch_sweep, "_fuses", lambda beta, *_: fuses and beta == 0)
    V, W, H = (x.to(dtype) for x in tensors(*problem(70, 90)))
    V = V + 0.01
    plain = last(torch_mu(V, W, H, beta=beta))
    V, W = torch.cat([V, 0 * V[:1]]), torch.cat([W, W[:1]])
    found = last(torch_mu(V, W, H, beta=beta))
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-10}[dtype]
    torch.testing.assert_close(found[0][:-1], plain[0], rtol=tolerance, atol=tolerance / 100)
    torch.testing.assert_close(found[1], plain[1], rtol=tolerance, atol=tolerance / 100)
