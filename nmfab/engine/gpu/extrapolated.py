"""Multiplicative updates with extrapolation on a GPU: everything that decides stays there."""

from typing import Any, NamedTuple

from nmfab.base.divergence import exponent
from nmfab.engine.gpu import forms
from nmfab.engine.gpu.forms import repeated
from nmfab.engine.torch_plain import TOGETHER, parts, runs, silence_of
from nmfab.engine.torch_sweep import as_batch, power
from nmfab.engine.torch_sweep_ahead import following


def extrapolated(V, W, H, beta, fixed=0):
    """Return a generator that iterates as `torch_amu` does; see `updates` for what it is given."""
    batched, W, H, betas = as_batch(W, H, beta)
    state = MuState.of(W, H)
    builds = {"plain": lambda *copies: extrapolated_step(V, MuState(*copies), betas, fixed)}
    different = tuple(sorted(set(betas)))
    problem = forms.about(
        "torch_amu", V, state[:2], H.shape[-2], different, fixed, silence_of(V, betas) is not None
    )
    step = forms.iteration(builds, state, problem)
    last = (state.Wt.mT, state.H) if batched else (state.Wt[0].mT, state.H[0])
    return repeated(step, *last)


class MuState(NamedTuple):
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


def extrapolated_step(V, state, betas, fixed=0):
    """Return a function that does one iteration on the state at each call."""
    import torch

    # which side's extrapolation ends one iteration late: see `torch_amu`
    late = V.shape[0] > V.shape[1] and not fixed
    most = max(1, TOGETHER[V.device.type] // V.numel())
    silent = silence_of(V, betas)
    turned = None if silent is None else silent.mT
    groups = [(MuState(*(x[run] for x in state)), b) for run, b in runs(state.Wt, betas, most)]

    def step():
        for one, beta in groups:
            early = following(one.nu)[0]
            one.nu.copy_(torch.where(one.uphill > 0, 1.0, one.nu))
            alpha, nu = following(one.nu)
            one.nu.copy_(nu)
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
