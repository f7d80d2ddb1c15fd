"""Multiplicative updates for any β, in torch: CPU or CUDA, one problem or many."""

from nmfab import engine
from nmfab.algorithms.contract import algorithm


def _refused(p):
    tf32 = p["torch_mu.tf32"]
    if not isinstance(tf32, bool):
        return f"torch_mu.tf32 is true or false, not {tf32!r}"
    if tf32 and p["dtype"] != "float32":
        return "torch_mu.tf32 is a way to multiply float32: with float64 leave it false"
    return None


@algorithm(
    "torch_mu",
    version=2,
    arrays="torch",
    batch=("seed", "init", "beta", "rank"),
    skip=_refused,
)
def torch_mu(V, W, H, *, beta=1.0, fixed=0, tf32=False):
    """Multiply H, then W, by (N / P)^γ(β), majorization-minimization (Févotte and Idier 2011).

    With N = Wᵀ (V ∘ (WH)^(β−2)) and P = Wᵀ (WH)^(β−1) for H, and the like for W. `WH_FLOOR` times
    the mean of V is added to W·H before a negative power of it is taken, as a component of its own
    that stays as it is would be. At β ≤ 0 zeros of V are masked, in N and in P (see
    `nmfab.base.divergence`). Zeros in W and H stay, also where P is 0: components of zeros,
    which fill up problems of lower rank in a batch, harm nothing.

    On a CPU V is swept once per iteration, by as many threads as torch has; on a GPU the fastest
    there of several forms is taken.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1. On a CPU a copy is made unless its longer side lies first in memory.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    beta : float, or ndarray [shape=(batch,)]
        Any real.
    fixed : int
        The first `fixed` columns of W are held.
    tf32 : bool
        Let a GPU multiply float32 matrices as TF32, whose mantissa has 10 bits: faster, and other
        results. A CPU has none, and refuses.

    Yields
    ------
    W, H
    """
    return engine.mu(V, W, H, beta=beta, fixed=fixed, tf32=tf32)
