"""Multiplicative updates with extrapolation, for any β, in torch."""

from typing import Any, NamedTuple

from nmfab.algorithms.contract import algorithm
from nmfab.engine.gpu import forms
from nmfab.engine.torch_plain import TOGETHER, parts, runs, silence, silence_of
from nmfab.engine.torch_sweep import Problem, as_batch, exponent, power, swept


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
    if V.device.type != "cpu":
        return _on_gpu(V, W, H, beta, fixed)
    return swept(V, W, H, beta, fixed, kind=Extrapolated)


class Extrapolated(Problem):
    """A `Problem` that remembers its last step, and looks ahead of it."""

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
        self.alpha, self.nu = _next(self.nu)
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

        alpha, ahead = _next(self.nu)[0], self.ahead[self.extra :]
        if self.fused:
            self.uphill += self.fused.multiply_A_ahead(sums, of_B, ahead, alpha)
            return
        (ratio, denominator), ahead = self.ratio_A(sums, of_B), ahead[self.fixed :]
        before, gradient = self.free_At.clone(), (1 - ratio).mul_(denominator)
        self.free_At.copy_(ahead).mul_(power(ratio, self.gamma))
        step = self.free_At - before
        self.uphill += float((step * gradient).sum())
        torch.add(self.free_At, step.clamp_(min=0), alpha=alpha, out=ahead)


def _next(nu):
    """Return α and the ν that follows."""
    following = (1 + (1 + 4 * nu**2) ** 0.5) / 2
    return (nu - 1) / following, following


def plain_updates(V, W, H, betas, fixed=0):
    """Iterate as `torch_amu` does, W·H of as many problems as fit at once.

    Yields
    ------
    W, H
    """
    state = State.of(W, H)
    step = _plain_step(V, state, betas, fixed)
    while True:
        step()
        yield state.Wt.mT, state.H


def _on_gpu(V, W, H, beta, fixed):
    batched, W, H, betas = as_batch(W, H, beta)
    state = State.of(W, H)
    silence(V, state.Wt.mT, state.H, betas, fixed)
    state.before_W.copy_(state.Wt), state.before_H.copy_(state.H)
    builds = {"plain": lambda *copies: _plain_step(V, State(*copies), betas, fixed)}
    different = tuple(sorted(set(betas)))
    problem = forms.about(
        "torch_amu", V, state[:2], H.shape[-2], different, fixed, silence_of(V, betas) is not None
    )
    step = forms.iteration(builds, state, problem)
    while True:
        step()
        yield (state.Wt.mT, state.H) if batched else (state.Wt[0].mT, state.H[0])


class State(NamedTuple):
    """Everything that an iteration changes, in place: on a GPU nothing of it is read meanwhile."""

    Wt: Any  # batch × rank × m
    H: Any  # batch × rank × n
    before_W: Any
    before_H: Any
    nu: Any  # batch × 1 × 1, float64, as what follows
    uphill: Any

    @classmethod
    def of(cls, W, H):
        """Return the state at the start."""
        import torch

        Wt, H = (x.clone(memory_format=torch.contiguous_format) for x in (W.mT, H))
        nu = torch.ones(len(H), 1, 1, dtype=torch.float64, device=H.device)
        return cls(Wt, H, Wt.clone(), H.clone(), nu, torch.zeros_like(nu))


def _plain_step(V, state, betas, fixed):
    import torch

    # which side's extrapolation ends one iteration late: see `torch_amu`
    late = V.shape[0] > V.shape[1] and not fixed
    most = max(1, TOGETHER[V.device.type] // V.numel())
    silent = silence_of(V, betas)
    turned = None if silent is None else silent.mT
    groups = [(State(*(x[run] for x in state)), b) for run, b in runs(state.Wt, betas, most)]

    def step():
        for one, beta in groups:
            early = _next(one.nu)[0]
            one.nu.copy_(torch.where(one.uphill > 0, 1.0, one.nu))
            alpha, following = _next(one.nu)
            one.nu.copy_(following)
            one.uphill.zero_()
            of_H = one.Wt.mT, one.H, one.before_H, early if late else alpha
            _lead(V, *of_H, beta, one.uphill, silent)
            if fixed < one.H.shape[-2]:
                of_W = one.H.mT, one.Wt, one.before_W, alpha
                _lead(V.mT, *of_W, beta, one.uphill, turned, fixed)

    return step


def _lead(V, other, factor, before, alpha, beta, uphill, silent, fixed=0):
    """Update a factor from its extrapolation, in place; add gradient times step to `uphill`.

    The first `fixed` rows stay as they are.
    """
    import torch

    ahead = factor + alpha.to(factor.dtype) * (factor - before).clamp_(min=0)
    before.copy_(factor)
    numerator, denominator = parts(V, other, ahead, beta, silent)
    limits = torch.finfo(factor.dtype)
    ratio = numerator.div_(denominator.clamp_(min=limits.tiny)).clamp_(max=limits.max)
    gradient = (1 - ratio).mul_(denominator)
    factor[..., fixed:, :] = ahead.mul_(power(ratio, exponent(beta)))[..., fixed:, :]
    uphill.add_(gradient.mul_(factor - before).sum((-2, -1), keepdim=True))
