"""Threads and kernels as a test wants them."""

import pytest
import torch

from nmfab.engine import torch_sweep


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
