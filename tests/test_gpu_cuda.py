"""The forms of a GPU against each other and against a CPU; skipped where there is none."""

import fcntl
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nmfab.algorithms import ALGORITHMS, frame
from nmfab.base.resources import Resources, hold_device, use_resources
from nmfab.engine.gpu import forms
from nmfab.engine.gpu.multiplicative import updates

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

BETAS = (2, 1, 0, 0.5, 1.5, 3)
MATRIX_PRODUCTS = [name for name in forms.NAMES if name.startswith("plain")]


def problem(m=130, n=201, rank=20, count=3, dtype=np.float32):
    rng = np.random.default_rng(0)
    V = rng.gamma(0.5, size=(m, rank)) @ rng.gamma(0.5, size=(rank, n)) + 1e-3
    W, H = rng.random((count, m, rank)) + 0.01, rng.random((count, rank, n)) + 0.01
    W[0, 2, 0], H[1, 1, 4] = 0, 0
    W[-1, :, rank // 2 :], H[-1, rank // 2 :] = 0, 0
    return [torch.from_numpy(x.astype(dtype)) for x in (V / V.mean(), W, H)]


def after(generator, iterations):
    for _ in range(iterations):
        W, H = next(generator)
    return W.double().cpu(), H.double().cpu()


def on_gpu(V, W, H, beta, iterations=10, **more):
    """Return W and H after some iterations, V in the order that the frame gives."""
    V = V.mT.contiguous().cuda().mT if V.shape[1] > V.shape[0] else V.cuda()
    return after(updates(V, W.clone().cuda(), H.clone().cuda(), beta, **more), iterations)


def on_cpu(V, W, H, beta, iterations=10, **more):
    given = (x.double() for x in (V, W, H))
    return after(ALGORITHMS["torch_mu"].function(*given, beta=beta, **more), iterations)


def same(found, expected, tolerance):
    model, wanted = (W @ H for W, H in (found, expected))
    assert float((model - wanted).abs().max()) <= tolerance * float(wanted.abs().max())


@pytest.mark.parametrize("form", forms.NAMES)
@pytest.mark.parametrize("beta", BETAS)
def test_every_form_is_the_update_of_a_cpu(beta, form):
    for shape in ((130, 201), (201, 57)):
        given = problem(*shape)
        same(on_gpu(*given, beta, form=form), on_cpu(*given, beta), 1e-4)
        fixed = on_gpu(*given, beta, form=form, fixed=20)
        same(fixed, on_cpu(*given, beta, fixed=20), 1e-4)


@pytest.mark.parametrize("rank", [1, 5, 64, 88, 128])
@pytest.mark.parametrize("form", ["fused", "tensor"])
def test_every_rank(rank, form):
    for beta in (2, 1, 0):
        given = problem(300, 500, rank, 2)
        same(on_gpu(*given, beta, form=form), on_cpu(*given, beta), 1e-4)


@pytest.mark.parametrize("form", ["plain+graph", "fused", "fused+graph"])
def test_in_float64(form):
    for beta in (2, 1, 0, 0.5):
        given = problem(dtype=np.float64)
        same(on_gpu(*given, beta, form=form), on_cpu(*given, beta), 1e-9)


@pytest.mark.parametrize("form", ["fused", "tensor"])
def test_a_graph_changes_no_bit_and_a_second_run_none(form):
    given = problem()
    first = on_gpu(*given, 1, form=form)
    for again in (form, form + forms.GRAPH, form + forms.GRAPH):
        for x, y in zip(first, on_gpu(*given, 1, form=again), strict=True):
            assert torch.equal(x, y)


@pytest.mark.parametrize("form", [None, *forms.NAMES])
def test_a_batch_of_64_of_several_betas(form):
    V, W, H = problem(60, 90, 5, 64)
    betas = np.repeat([0.0, 1.0, 2.0, 0.5], 16)
    found = on_gpu(V, W, H, betas, form=form)
    for i in (0, 17, 40, 63):
        alone = on_cpu(V, W[i], H[i], betas[i])
        same([x[i] for x in found], alone, 1e-4)


def test_the_choice_is_made_once(monkeypatch):
    monkeypatch.setattr(forms, "_fastest", {})
    monkeypatch.delenv(forms.VARIABLE, raising=False)
    given = problem()
    first = on_gpu(*given, 1)
    assert len(forms._fastest) == 1
    monkeypatch.setattr(forms, "_choose", None)
    for x, y in zip(first, on_gpu(*given, 1), strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("form", ["plain", "fused"])
def test_tf32_is_near_and_is_another(form):
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no TF32")
    given = problem(500, 700)
    found = on_gpu(*given, 1, form=form, tf32=True)
    exact = on_cpu(*given, 1)
    same(found, exact, 2e-2)
    assert float((found[1] - exact[1]).abs().max()) > 1e-5 * float(exact[1].abs().max())
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("name", ["torch_mu", "torch_amu", "torch_hals", "torch_ahals"])
@pytest.mark.parametrize("pinned", [None, *MATRIX_PRODUCTS])
def test_the_frame_gives_what_it_gives_on_a_cpu(name, pinned, monkeypatch):
    if pinned:
        monkeypatch.setenv(forms.VARIABLE, pinned)
    V = problem()[0].numpy()
    settings = [
        {"algorithm": name, "beta": 2, "init": "random", "rank": rank, "stop": 30, "seed": seed,
         "dtype": "float64"}
        for seed, rank in ((0, 4), (1, 6), (2, 6))
    ]  # fmt: skip
    expected = frame.factorize_batch(settings, V)
    with use_resources(Resources("cuda")):
        found = frame.factorize_batch(settings, V)
    for ours, theirs in zip(found, expected, strict=True):
        model, wanted = (one.W @ one.H for one in (ours, theirs))
        assert abs(model - wanted).max() < 1e-5 * wanted.max()
        np.testing.assert_allclose(ours.curve["loss"], theirs.curve["loss"], rtol=1e-5)


def test_a_job_holds_the_gpu_alone():
    with hold_device("cuda"):
        assert not torch.backends.cuda.matmul.allow_tf32
        name = f"nmfab-{os.getuid()}-cuda{torch.cuda.current_device()}.lock"
        with (
            open(Path(tempfile.gettempdir()) / name, "w") as file,
            pytest.raises(BlockingIOError),
        ):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
