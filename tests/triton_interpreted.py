"""The fused kernels in Triton's interpreter; run by test_gpu.py in a process of its own."""

import os

import numpy as np
import pytest
import torch

from nmfab.engine import torch_plain
from nmfab.engine.gpu import fused
from nmfab.engine.gpu.multiplicative import fused_step, updates

assert os.environ.get("TRITON_INTERPRET") == "1", "run by test_gpu.py"

BETAS = (2, 1, 0, 0.5, 1.5, 3)
SHAPES = [(37, 70), (70, 20)]


def problem(m, n, rank, count, dtype=torch.float32):
    """Return V and starts with zeros."""
    rng = torch.Generator().manual_seed(m + rank)
    V = torch.rand(m, n, generator=rng, dtype=dtype) + 0.01
    W = torch.rand(count, m, rank, generator=rng, dtype=dtype)
    H = torch.rand(count, rank, n, generator=rng, dtype=dtype)
    V[3], V[:, 5], V[7, 9:12] = 0, 0, 0
    W[0, 2, 0] = 0
    if rank > 3:  # as those of lower rank are filled up
        H[-1, 1, 4] = 0
        W[-1, :, 3:], H[-1, 3:] = 0, 0
    return V, W, H


def both(V, W, H, beta, precision="ieee", fixed=0, iterations=2):
    """Return W and H of the fused form, and of the plain one."""
    ours, theirs = ([x.clone() for x in (W, H)] for _ in range(2))
    step = fused_step(V, *ours, beta=beta, precision=precision, fixed=fixed)
    plain = torch_plain.plain_step(V, *theirs, beta, fixed)
    for _ in range(iterations):
        step()
        plain()
    return ours, theirs


def same(found, expected, tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours - theirs).abs().max()) <= tolerance * float(theirs.abs().max())
        assert torch.equal(ours == 0, theirs == 0)


@pytest.mark.parametrize(
    ("rank", "beta"),
    [(20, beta) for beta in BETAS] + [(rank, beta) for rank in (1, 5, 88) for beta in (2, 1, 0)],
)
def test_fused_is_the_plain_update(rank, beta):
    for shape, count in zip(SHAPES, (2, 1), strict=True):
        same(*both(*problem(*shape, rank, count), beta), 1e-5)


@pytest.mark.parametrize("beta", [2, 1, -0.5, 2.5])
def test_in_float64(beta):
    given = problem(*SHAPES[0], 5, 2, torch.float64)
    same(*both(*given, beta), 1e-12)


@pytest.mark.parametrize(
    ("beta", "precision"), [(2, "ieee"), (1, "tf32x3"), (0, "tf32"), (1.5, "ieee")]
)
def test_a_walk_split_among_programs(beta, precision, monkeypatch):
    monkeypatch.setattr(fused, "PROGRAMS", 100)
    monkeypatch.setattr(fused, "LEAST_TILES", 1)
    V, W, H = problem(150, 100, 5, 2)
    of_H, of_W = fused.halves(V, W.clone(), H.clone(), beta, precision)
    assert len(of_H.N) > 2
    assert len(of_W.N) > 1
    # the interpreter multiplies in float32, whatever the precision
    same(*both(V, W, H, beta, precision), 1e-5)


def test_either_order_of_V_in_memory_and_one_problem_alone():
    V, W, H = problem(37, 70, 5, 1)
    for v in (V, V.mT.contiguous().mT):
        same(*both(v, W[0], H[0], 1), 1e-5)


@pytest.mark.parametrize("beta", [2, 1, 0])
def test_W_held_fixed(beta):
    V, W, H = problem(37, 70, 5, 2)
    for fixed in (2, W.shape[-1]):
        found, expected = both(V, W, H, beta, fixed=fixed)
        same(found, expected, 1e-5)
        assert torch.equal(found[0][..., :fixed], W[..., :fixed])
    assert not torch.equal(both(V, W, H, beta, fixed=2)[0][0], W)


def test_betas_and_problems_of_a_batch_in_one_call():
    betas = np.array([0.0, 1.0, 1.0, 2.0])
    V, W, H = problem(37, 70, 5, 4)
    generator = updates(V, W.clone(), H.clone(), betas, form="fused")
    for _ in range(2):
        found = next(generator)
    for i, beta in enumerate(betas.tolist()):
        _, alone = both(V, W[i], H[i], beta)
        same([x[i] for x in found], alone, 1e-5)


def test_a_problem_with_nan_spares_the_others():
    V, W, H = problem(37, 70, 5, 3)
    _, expected = both(V, W, H, 1)
    H[1, 0, 0] = float("nan")
    found, _ = both(V, W, H, 1)
    assert found[1][1].isnan().any()
    same([x[[0, 2]] for x in found], [x[[0, 2]] for x in expected], 1e-5)


def test_a_power_that_is_infinite_where_V_is_0_is_left_out():
    V, W, H = problem(37, 70, 5, 1)
    W[..., 0], W[0, 6] = 0, 0
    V[6, :9], W[0, 6, 0], H[0, 0, :9] = 0, 1, 0  # W·H is 0 there, and nowhere else in row 6
    found, expected = both(V, W, H, -5)
    assert all(factor.isfinite().all() for factor in found)
    same(found, expected, 1e-4)
