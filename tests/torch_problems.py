"""Small problems for tests of the torch algorithms, and their last iterates."""

import numpy as np
import torch


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


def noisy(m=40, n=60):
    rng = np.random.default_rng(0)
    return rng.random((m, 5)) @ rng.random((5, n)) + 0.2 * rng.random((m, n))
