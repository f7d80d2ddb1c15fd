"""A problem, algorithms of one test, and threads and kernels as a test wants them."""

import numpy as np
import pytest
import torch

from nmfab.algorithms import ALGORITHMS, algorithm
from nmfab.engine import torch_sweep


@pytest.fixture
def V():
    rng = np.random.default_rng(0)
    return rng.random((20, 4)) @ rng.random((4, 25)) + 0.1 * rng.random((20, 25))


@pytest.fixture
def register():
    """Register a function for one test."""
    before = set(ALGORITHMS.names())
    yield lambda function, **declared: algorithm("mine", **{"betas": (2,)} | declared)(function)
    for name in set(ALGORITHMS.names()) - before:
        del ALGORITHMS._components[name]


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
