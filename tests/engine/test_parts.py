"""The engine's door: N and P of any model on a matrix, against sums in NumPy."""

import numpy as np
import pytest
import torch

from nmfab import engine
from nmfab.algorithms.torch_mu import torch_mu
from nmfab.base.divergence import WH_FLOOR
from nmfab.base.errors import ComputationError, UsageError

BETAS = (2, 1, 0, 0.5, 1.5, 3, 2.5, -0.5, -2)


def problem(batch=None, m=9, n=13, rank=4):
    rng = np.random.default_rng(0)
    lead = () if batch is None else (batch,)
    V, W, H = rng.random((m, n)), rng.random((*lead, m, rank)), rng.random((*lead, rank, n))
    V[rng.random((m, n)) < 0.2] = 0
    V[3], V[:, 4] = 0, 0
    W[..., 5, :] = 0  # W·H is 0 in a row, where V is too at β ≤ 0
    V[5] = 0
    return V, W, H


def expected(V, W, H, beta):
    """Return N and P of H and of W, entry by entry of V that counts."""
    tiny = np.finfo(float).tiny
    (m, n), rank = V.shape, len(H)
    found = {"H": np.zeros((2, rank, n)), "W": np.zeros((2, m, rank))}
    for i, j in np.ndindex(m, n):
        if beta <= 0 and V[i, j] == 0:
            continue
        model = W[i] @ H[:, j] + (WH_FLOOR if beta < 2 else 0)
        both = np.array([V[i, j] * model ** (beta - 2) if V[i, j] else 0, model ** (beta - 1)])
        found["H"][:, :, j] += np.outer(both, W[i])
        found["W"][:, i] += np.outer(both, H[:, j])
    return {name: (N, np.maximum(P, tiny)) for name, (N, P) in found.items()}


def tensors(*arrays):
    return [torch.from_numpy(array.copy()) for array in arrays]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("turned", [False, True])
def test_parts_are_sums_over_what_counts(beta, turned):
    V, W, H = problem()
    wanted = expected(V, W, H, beta)
    given = tensors(V, W, H)
    given[0] = given[0].mT.contiguous().mT if turned else given[0]
    kept = [x.clone() for x in given]
    for name in ("H", "W"):
        for ours, theirs in zip(engine.parts(*given, beta, of=name), wanted[name], strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert all(torch.equal(x, y) for x, y in zip(given, kept, strict=True))


@pytest.mark.parametrize("beta", BETAS)
def test_both_factors_share_a_point_and_batches_are_single_problems(beta):
    V, W, H = tensors(*problem(batch=3))
    both = engine.parts(V, W, H, beta, of=("W", "H"))
    many = engine.parts(V.repeat(3, 1, 1), W, H, beta, of=("W", "H"))
    several_V = engine.parts(V.repeat(3, 1, 1), W[1], H[1], beta, of=("W", "H"))
    for k, name in enumerate(("W", "H")):
        for p in (0, 1):
            for i in range(3):
                alone = engine.parts(V, W[i], H[i], beta, of=name)[p]
                torch.testing.assert_close(both[k][p][i], alone, rtol=1e-12, atol=0)
                torch.testing.assert_close(many[k][p][i], alone, rtol=1e-12, atol=0)
            alone = engine.parts(V, W[1], H[1], beta, of=name)[p]
            torch.testing.assert_close(several_V[k][p][2], alone, rtol=1e-12, atol=0)


@pytest.mark.parametrize("beta", BETAS)
def test_a_step_by_its_parts_is_the_multiplicative_update(beta):
    V, W, H = tensors(*problem())
    gamma = 1 / (2 - beta) if beta < 1 else (1 / (beta - 1) if beta > 2 else 1)
    H_next, W_next = H.clone(), W.clone()
    if beta <= 0:
        H_next[:, 4], W_next[[3, 5]] = 0, 0
    N, P = engine.parts(V, W_next, H_next, beta)
    H_next = H_next * (N / P) ** gamma
    N, P = engine.parts(V, W_next, H_next, beta, of="W")
    W_next = W_next * (N / P) ** gamma
    found = next(torch_mu(V, W, H, beta=beta))
    torch.testing.assert_close(found[0], W_next, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(found[1], H_next, rtol=1e-9, atol=1e-14)


def test_float32_keeps_its_dtype_and_its_range():
    V, W, H = (x.float() for x in tensors(*problem()))
    for beta in BETAS:
        for N, P in engine.parts(V, W, H, beta, of=("H", "W")):
            assert N.dtype == P.dtype == torch.float32
            assert N.isfinite().all()
            assert float(P.min()) >= torch.finfo(torch.float32).tiny


def test_what_the_door_refuses():
    V, W, H = tensors(*problem())
    with pytest.raises(UsageError, match="a factor is 'H' or 'W'"):
        engine.parts(V, W, H, 1, of=("H", "V"))
    with pytest.raises(ComputationError, match="tf32 is a GPU's"):
        engine.mu(V, W, H, tf32=True)
