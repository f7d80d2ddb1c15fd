"""The compiled kernels of the sweep: against sums written out, at the ends of memory, elsewhere."""

import os
import subprocess
import sys
from itertools import islice, product

import llvmlite.binding
import numpy as np
import pytest
import torch

from nmfab.algorithms.torch_amu import torch_amu
from nmfab.base.divergence import WH_FLOOR
from nmfab.engine import torch_sweep
from nmfab.engine.cpu import factors, kernels, tiles
from nmfab.engine.torch_sweep_ahead import ExtrapolatedMultiplicative

needs_shape = pytest.mark.skipif(
    tiles.SHAPE is None, reason="this processor has no vectors that the kernels know"
)
# One row, less than a tile, several groups of rows; parts of a vector, of a tile, several tiles.
LONG = (1, 7, 50, 131)
SHORT = (1, 16, 40, 103)
RANKS = (1, 5, 20, 25, 88)


def fused(X, B, At, beta, masked=False):
    """Return a factorization that is swept by kernels, X's memory being followed by NaN."""
    room = torch.full((X.numel() + 64,), torch.nan, dtype=X.dtype)
    room[: X.numel()] = X.reshape(-1)
    X = room[: X.numel()].view(X.shape)
    raised = torch.cat([torch.ones_like(B[:, :1]), B], 1)
    floor_At = torch.cat([torch.full_like(At[:1], WH_FLOOR), At])
    more = 1, beta, False, torch_sweep.kernels_for(X, [beta])
    problem = torch_sweep.Multiplicative(X, raised, floor_At, *more, masked=masked)
    scratch = torch_sweep.Scratch(0, len(X) * problem.fused.wide, problem.fused.scratch, X)
    problem.shares = [torch_sweep.Share(problem, 0, len(X), scratch, 60)]
    problem.pack()
    return problem


@needs_shape
@pytest.mark.parametrize(("beta", "masked"), [(1, False), (0, False), (0, True)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("long", "short", "rank"), list(product(LONG, SHORT, RANKS)))
def test_sums_are_those_of_the_update(long, short, rank, dtype, beta, masked, monkeypatch):
    monkeypatch.setattr(torch_sweep, "_fuses", lambda *_: True)
    rng = torch.Generator().manual_seed(long * short * rank)
    X, B, At = (
        torch.rand(shape, generator=rng, dtype=torch.float64).to(dtype) * (0.5 + 10 * i)
        for i, shape in enumerate([(long, short), (long, rank), (rank, short)])
    )
    X[X < 0.1] = 0
    X[-1, : short // 2] = 0
    B[B < 1] = 0
    problem = fused(X, B, At, beta, masked)
    share = problem.shares[0]
    list(share.sweep())
    X, B, At = (x.double() for x in (X, B, At))
    for updated in (False, True):  # B's update, then the sums with the new one
        model = B @ At + WH_FLOOR
        N, P = (X * model ** (beta - 2)), model ** (beta - 1)
        P = P * (X > 0) if masked else P
        sums = [B.mT @ N, B.mT @ P]
        if not updated:
            ratio = (N @ At.mT) / (P @ At.mT).clamp(min=1e-300)
            B = B * ratio ** torch_sweep.exponent(beta)
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(problem.B.double(), B, rtol=tolerance, atol=0)
    for ours, theirs in zip(share.sums, sums, strict=False):
        torch.testing.assert_close(torch.from_numpy(ours).double(), theirs, rtol=tolerance, atol=0)
    list(share.sweep(update=False))  # what was gathered before is forgotten
    torch.testing.assert_close(
        torch.from_numpy(share.sums[0]).double(), sums[0], rtol=tolerance, atol=0
    )


@needs_shape
@pytest.mark.parametrize("kind", [torch_sweep.Multiplicative, ExtrapolatedMultiplicative])
@pytest.mark.parametrize("beta", [1, 0])
def test_a_thread_may_be_left_without_rows(beta, kind, monkeypatch):
    monkeypatch.setattr(torch_sweep, "THREAD_WORK", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    rng = torch.Generator().manual_seed(0)
    V, W, H = (torch.rand(shape, generator=rng) for shape in ((90, 1), (90, 4), (4, 1)))
    sweeps = torch_sweep.Sweeps(V, W[None], H[None], [beta], 4, kind=kind)
    assert [len(share.B) for share in sweeps.problems[0].shares] == [0, 1]
    steps = sweeps.iterate()
    next(steps)
    steps.close()
    model = W @ H
    ratio = (W.T @ (V * model ** (beta - 2))) / (W.T @ model ** (beta - 1))
    expected = H * ratio ** torch_sweep.exponent(beta)
    torch.testing.assert_close(sweeps.factors()[1][0], expected, rtol=1e-5, atol=0)


def test_there_may_be_nowhere_to_keep_what_was_compiled(monkeypatch):
    def njit(*, cache=False, **_):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    def one():
        return 1

    monkeypatch.setattr(kernels, "njit", njit)
    assert kernels.compiled(one) is one


@needs_shape
@pytest.mark.parametrize("beta", [1, 0])
def test_extrapolated_steps_are_those_of_matrix_products(beta, monkeypatch):
    rng = torch.Generator().manual_seed(beta)
    V, W, H = (
        torch.rand(shape, generator=rng, dtype=torch.float64)
        for shape in ((70, 300), (70, 20), (20, 300))
    )
    factors = []
    for fuses in (False, True):
        monkeypatch.setattr(torch_sweep, "_fuses", lambda *_, fuses=fuses: fuses)
        *_, (found_W, found_H) = islice(torch_amu(V, W.clone(), H.clone(), beta=beta), 60)
        factors.append((found_W.clone(), found_H.clone()))
    for plain, fused in zip(*factors, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-9, atol=1e-12)


@needs_shape
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [1, 3, 4, 5, 8, 9, 16, 20, 34])
def test_a_folded_vector_holds_several_rows(rank, dtype):
    lanes, columns = tiles.BITS // 8 // np.dtype(dtype).itemsize, 21
    At = np.random.default_rng(0).random((rank, columns)).astype(dtype)
    scales = np.arange(1, rank + 1, dtype=dtype)
    fold, whole = factors.fold_of(rank, lanes), rank // lanes * lanes
    left = rank - whole
    assert left * fold <= lanes
    assert fold == (4 if 0 < left * 4 <= lanes else 2 if 0 < left * 2 <= lanes else 1)
    expected = np.zeros((-(-columns // lanes) * lanes, -(-rank // lanes) * lanes), dtype)
    A = np.zeros_like(expected)
    for c, k in product(range(columns), range(rank)):
        folded = k >= whole and fold > 1
        at = (c - c % fold, whole + (k - whole) * fold + c % fold) if folded else (c, k)
        expected[at] = At[k, c] * scales[k]
    of_A = At.ctypes.data, columns, rank, scales.ctypes.data, A.ctypes.data, A.shape[1], fold
    kernels.lay(dtype(0), lanes, *of_A)
    np.testing.assert_array_equal(A, expected)


def test_they_serve_dense_floating_point_on_a_cpu_alone():
    assert torch_sweep.kernels_for(torch.ones(2, 2), [2, 0.5]) is None
    assert torch_sweep.kernels_for(torch.ones(2, 2, dtype=torch.float16), [1]) is None
    assert torch_sweep.kernels_for(torch.ones(2, 2, device="meta"), [1]) is None
    assert not torch_sweep._fuses(2, 1025, 20)
    assert torch_sweep._fuses(1, 1025, 20)
    assert not torch_sweep._fuses(1, 1025, 500)
    assert torch_sweep._fuses(0, 40, 5)
    assert not torch_sweep._fuses(1, 40, 5)


RUN = """
import torch
from itertools import islice
from nmfab.engine.cpu import tiles
from nmfab.algorithms.torch_ahals import torch_ahals
from nmfab.algorithms.torch_mu import torch_mu
rng = torch.Generator().manual_seed(0)
V, W, H = (torch.rand(s, generator=rng) for s in ((150, 400), (150, 12), (12, 400)))
for beta in (1, 0):
    *_, (W, H) = islice(torch_mu(V, W, H, beta=beta), 20)
*_, (W, H) = islice(torch_ahals(V, W.clone(), H.clone()), 22)
print(tiles.SHAPE, float(W.double().sum()), float((W @ H).double().square().sum()))
"""


def run(folder, **variables):
    """Return what `RUN` prints in a process of its own."""
    variables |= {"NUMBA_CACHE_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=os.environ | variables,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shape, *values = done.stdout.rsplit(maxsplit=2)
    return shape, np.array(values, float)


@needs_shape
def test_same_factors_with_other_vectors_and_with_none(tmp_path):
    _, expected = run(tmp_path)
    # what numba keeps is told from that of other sources by its name
    kept = [path.name for path in tmp_path.rglob("*.nbi")]
    assert kept
    assert all(kernels.DIGEST in name for name in kept)
    shape, found = run(tmp_path, NUMBA_DISABLE_JIT="1")
    assert shape == "None"
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    features = llvmlite.binding.get_host_cpu_features()
    if not features.get("avx512f"):
        pytest.skip("AVX2 is what this processor has, or it is another one altogether")
    less = ",".join(
        ("+" if there and not name.startswith("avx512") else "-") + name
        for name, there in features.items()
    )
    shape, found = run(tmp_path, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=less)
    assert shape == "(256, 4, 3)"
    np.testing.assert_allclose(found, expected, rtol=1e-4)
