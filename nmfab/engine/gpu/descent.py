"""HALS on a GPU: all columns together, row after row, with extrapolation or without."""

from typing import Any, NamedTuple

from nmfab.engine import torch_rows_ahead as ahead
from nmfab.engine.gpu import forms
from nmfab.engine.gpu.forms import repeated
from nmfab.engine.torch_rows import sweep_rows
from nmfab.engine.torch_sweep import as_batch


def descents(V, W, H, inner=1, fixed=0):
    """Return a generator that iterates as `torch_hals` does.

    The form is chosen before this returns: that is no iteration's time.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        On a GPU.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    inner : int
        Passes over the rows of a factor in each iteration.
    fixed : int
        The first `fixed` columns of W are held.

    Returns
    -------
    generator
        Of W and H.
    """
    state = W.mT.contiguous(), H.contiguous()
    builds = {"plain": lambda Wt, H: plain_step(V, Wt, H, inner, fixed)}
    problem = forms.about("torch_hals", V, state, H.shape[-2], inner, fixed)
    step = forms.iteration(builds, state, problem)
    return repeated(step, state[0].mT, state[1])


def plain_step(V, Wt, H, inner=1, fixed=0):
    """Return a function that does one iteration on Wᵀ and H at each call."""

    def step():
        sweep_rows(H, Wt @ V, Wt @ Wt.mT, inner)
        if fixed < H.shape[-2]:
            # H Vᵀ would read V against its order in memory
            sweep_rows(Wt, (V @ H.mT).mT.contiguous(), H @ H.mT, inner, fixed)

    return step


def extrapolated(V, W, H, inner=4, fixed=0):
    """Return a generator that iterates as `torch_ahals` does; see `descents`."""
    batched, W, H, _ = as_batch(W, H, 2)
    state = HalsState.of(W, H)
    builds = {"plain": lambda *copies: extrapolated_step(V, HalsState(*copies), inner, fixed)}
    problem = forms.about("torch_ahals", V, state[:2], H.shape[-2], inner, fixed)
    step = forms.iteration(builds, state, problem)
    last = (state.Wt.mT, state.H) if batched else (state.Wt[0].mT, state.H[0])
    return repeated(step, *last)


class HalsState(NamedTuple):
    """Everything that an iteration changes, in place: on a GPU nothing of it is read meanwhile."""

    Wt: Any  # batch × rank × m
    H: Any  # batch × rank × n
    ahead_W: Any
    ahead_H: Any
    alpha: Any  # batch × 1 × 1, as what follows
    ceiling: Any
    error: Any  # float64
    count: Any  # iterations done

    @classmethod
    def of(cls, W, H):
        """Return the state at the start."""
        import torch

        H, Wt = H.clone(memory_format=torch.contiguous_format), W.mT.contiguous().clone()
        alpha = torch.full((len(H), 1, 1), ahead.FIRST, dtype=H.dtype, device=H.device)
        error = torch.full_like(alpha, float("inf"), dtype=torch.float64)
        return cls(
            Wt, H, Wt.clone(), H.clone(), alpha, torch.ones_like(alpha), error,
            torch.zeros_like(alpha, dtype=torch.int64),
        )  # fmt: skip


def extrapolated_step(V, state, inner, fixed=0):
    """Return a function that does one iteration on the state at each call."""
    import torch

    Wt, H, ahead_W, ahead_H, alpha, ceiling, error, count = state

    updates_W = fixed < H.shape[-2]

    def minimized(rows, products, gram, fixed=0):
        first = sweep_rows(rows.clone(), products, gram, 1, fixed)
        more = sweep_rows(first.clone(), products, gram, inner - 1, fixed) if inner > 1 else first
        return torch.where(count >= ahead.DELAY, more, first) if updates_W else more

    def step():
        started = count >= ahead.DELAY
        found_H = minimized(ahead_H, ahead_W @ V, ahead_W @ ahead_W.mT)
        if not updates_W:
            H.copy_(found_H)
            ahead_H.copy_(found_H)
            return
        now = torch.where(started, alpha, 0)
        ahead_H.copy_((found_H + now * (found_H - H)).clamp_(min=0))
        products, gram = (V @ ahead_H.mT).mT.contiguous(), ahead_H @ ahead_H.mT
        found_W = minimized(ahead_W, products, gram, fixed)
        ahead_W.copy_((found_W + now * (found_W - Wt)).clamp_(min=0))
        quadratic = ((found_W @ found_W.mT).double() * gram.double()).sum((1, 2), keepdim=True)
        linear = (found_W * products).sum(2, keepdim=True).double().sum(1, keepdim=True)
        reached = quadratic - 2 * linear
        worse = started & (reached > error)
        for kept, found, beyond in ((H, found_H, ahead_H), (Wt, found_W, ahead_W)):
            kept.copy_(torch.where(worse, kept, found))
            beyond.copy_(torch.where(worse, kept, beyond))
        grown = torch.where(started, torch.minimum(ceiling, ahead.GROWTH * alpha), alpha)
        higher = torch.where(started, (ahead.CEILING_GROWTH * ceiling).clamp(max=1), ceiling)
        ceiling.copy_(torch.where(worse, alpha, higher))
        alpha.copy_(torch.where(worse, alpha / ahead.FALL, grown))
        error.copy_(reached)
        count.add_(1)

    return step
