"""Multiplicative updates from points extrapolated along the last steps, on a CPU.

The sweep is that of `torch_sweep`; `nmfab.algorithms.torch_amu` says what is computed.
"""

from nmfab.engine.torch_sweep import Multiplicative, power


class ExtrapolatedMultiplicative(Multiplicative):
    """A factorization that remembers its last step, and looks ahead of it."""

    def __init__(self, X, raised, floor_At, *more):
        super().__init__(X, raised, floor_At, *more)
        self.before = self.B.clone()
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
        self.alpha, self.nu = following(self.nu)
        self.uphill = 0.0
        for share in self.shares:
            share.uphill = 0.0

    def lead(self, block):
        """Replace a block of B by its extrapolation."""
        import torch

        if self.fused:
            self.fused.extrapolate(block, self.alpha)
            return
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

    def multiply_fused(self, share, block):
        """Do so by the N, and at β = 0 the P, that kernels have left."""
        share.uphill += self.fused.multiply_ahead(block)

    def step_A(self, sums, of_B):
        """Update A from its extrapolation, and extrapolate anew; the same sum as for B."""
        import torch

        alpha, ahead = following(self.nu)[0], self.ahead[self.extra :]
        if self.fused:
            self.uphill += self.fused.multiply_A_ahead(sums, of_B, ahead, alpha)
            return
        (ratio, denominator), ahead = self.ratio_A(sums, of_B), ahead[self.fixed :]
        before, gradient = self.free_At.clone(), (1 - ratio).mul_(denominator)
        self.free_At.copy_(ahead).mul_(power(ratio, self.gamma))
        step = self.free_At - before
        self.uphill += float((step * gradient).sum())
        torch.add(self.free_At, step.clamp_(min=0), alpha=alpha, out=ahead)


def following(nu):
    """Return α and the ν that follows."""
    later = (1 + (1 + 4 * nu**2) ** 0.5) / 2
    return (nu - 1) / later, later
