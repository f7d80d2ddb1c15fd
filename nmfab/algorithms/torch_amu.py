"""Multiplicative updates with extrapolation, for any β, in torch."""

from nmfab import engine
from nmfab.algorithms.contract import algorithm


@algorithm(
    "torch_amu",
    version=2,
    arrays="torch",
    batch=("seed", "init", "beta", "rank"),
    monotone=False,
)
def torch_amu(V, W, H, *, beta=1.0, fixed=0):
    """Update H, then W, multiplicatively from points extrapolated along their last steps.

    Hien, Leplat and Gillis, "Block majorization minimization with extrapolation and application to
    β-NMF", arXiv 2401.06646, 2024, their algorithm for β-NMF: with
    Ĥ = H + α [H − H_previous]₊, nonnegative as H is, H becomes Ĥ ∘ (N / P)^γ(β), N and P being
    those of `torch_mu` at Ĥ, with its mask; the same for W. α = (ν − 1) / ν_next with Nesterov's
    ν_next = (1 + √(1 + 4ν²)) / 2. An iteration costs what one of `torch_mu` does, and its fixed
    points are the same.

    The loss is not bound to fall at each iteration. Where the steps of one point uphill (the sum of
    gradient times step is positive) the next starts without extrapolation (O'Donoghue and Candès,
    "Adaptive restart for accelerated gradient schemes", Foundations of Computational Mathematics
    2015, section 3.2), as an update of `torch_mu`, which never raises the loss; where V has more
    rows than columns, H's extrapolation ends one iteration later.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1. A copy is made unless its longer side lies first in memory.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    beta : float, or ndarray [shape=(batch,)]
        Any real.
    fixed : int
        The first `fixed` columns of W are held.

    Yields
    ------
    W, H
    """
    return engine.extrapolated_mu(V, W, H, beta=beta, fixed=fixed)
