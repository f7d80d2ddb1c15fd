"""Multiplicative updates with extrapolation, for any β, in torch."""

from nmfab.algorithms.contract import algorithm
from nmfab.algorithms.torch_sweep import Problem, power, swept


@algorithm(
    "torch_amu",
    version=1,
    arrays="torch",
    batch=("seed", "init", "beta", "rank"),
    monotone=False,
)
def torch_amu(V, W, H, *, beta=1.0, update_W=True):
    """Update H, then W, multiplicatively from points extrapolated along their last steps.

    Hien, Leplat and Gillis, "Block majorization minimization with extrapolation and application to
    β-NMF", arXiv 2401.06646, 2024, their algorithm for β-NMF: with
    Ĥ = H + α [H − H_previous]₊, nonnegative as H is, H becomes Ĥ ∘ (N / P)^γ(β), N and P being
    those of `torch_mu` at Ĥ; the same for W. α = (ν − 1) / ν_next with Nesterov's
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
    update_W : bool
        False holds W fixed.

    Yields
    ------
    W, H
    """
    return swept(V, W, H, beta, update_W, kind=Extrapolated)


class Extrapolated(Problem):
    """A `Problem` that remembers its last step, and looks ahead of it."""

    def __init__(self, X, raised, floor_At, *more):
        super().__init__(X, raised, floor_At, *more)
        self.before = self.B.clone()
        self.At_before = self.At.clone()
        self.ahead = floor_At.clone()
        if self.fused:
            self.fused.tiles_ahead = self.fused.tiles.clone()
        self.nu, self.alpha, self.uphill = 1.0, 0.0, 0.0

    def begin(self):
        """Take the next α, or 0 where the last iteration went uphill."""
        uphill = self.uphill + sum(share.uphill for share in self.shares)
        if uphill > 0:
            self.nu = 1.0
            if self.of_columns:  # otherwise A's gradient has been taken already
                self.ahead[self.extra :] = self.At
        self.alpha, self.nu = _next(self.nu)
        self.uphill = 0.0
        for share in self.shares:
            share.uphill = 0.0

    def lead(self, block):
        """Replace a block of B by its extrapolation."""
        import torch

        torch.sub(block.B, block.before, out=block.step).clamp_(min=0)
        block.before.copy_(block.B)
        block.B.add_(block.step, alpha=self.alpha)

    def multiply(self, share, block, ratio, denominator):
        """Update a block of B from its extrapolation; add up gradient times step."""
        import torch

        # the gradient is P − N = P (1 − ratio)
        gradient = (1 - ratio).mul_(denominator)
        block.B.mul_(power(ratio, self.gamma))
        torch.sub(block.B, block.before, out=block.step)
        share.uphill += float(block.step.mul_(gradient).sum())

    def multiply_A(self, ratio, denominator):
        """Update A from its extrapolation, and extrapolate anew; the same sum as for B."""
        self.At_before.copy_(self.At)
        gradient = (1 - ratio).mul_(denominator)
        self.At.copy_(self.ahead[self.extra :]).mul_(power(ratio, self.gamma))
        step = self.At - self.At_before
        self.uphill += float((step * gradient).sum())
        self.ahead[self.extra :] = self.At.add(step.clamp_(min=0), alpha=_next(self.nu)[0])


def _next(nu):
    """Return α and the ν that follows."""
    following = (1 + (1 + 4 * nu**2) ** 0.5) / 2
    return (nu - 1) / following, following
