"""Multiplicative updates for any β, in torch: CPU or CUDA, one problem or many."""

from nmfab.algorithms.contract import algorithm
from nmfab.algorithms.torch_plain import plain_updates
from nmfab.algorithms.torch_sweep import swept


@algorithm("torch_mu", version=1, arrays="torch", batch=("seed", "init", "beta", "rank"))
def torch_mu(V, W, H, *, beta=1.0, update_W=True):
    """Multiply H, then W, by (N / P)^γ(β), majorization-minimization (Févotte and Idier 2011).

    With N = Wᵀ (V ∘ (WH)^(β−2)) and P = Wᵀ (WH)^(β−1) for H, and the like for W. `WH_FLOOR` times
    the mean of V is added to W·H before a negative power of it is taken, as a component of its own
    that stays as it is would be. Zeros in W and H stay; where P is 0 so is N, and the entry becomes
    0: components of zeros, which fill up problems of lower rank in a batch, harm nothing.

    On a CPU V is swept in blocks that stay in cache (`torch_sweep`), by as many threads as torch
    has, each with problems or columns of its own; elsewhere W·H of as many problems as fit is
    computed at once (`torch_plain`).

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1. On a CPU a copy is made unless its longer side lies first in memory.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    beta : float, or ndarray [shape=(batch,)]
        Any real.
    update_W : bool
        False holds W fixed.

    Yields
    ------
    W, H
    """
    if V.device.type != "cpu":
        return plain_updates(V, W, H, beta, update_W)
    return swept(V, W, H, beta, update_W)
