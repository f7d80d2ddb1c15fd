"""Multiplicative updates as matrix products over all of V: the form that any GPU runs."""

import numpy as np

from nmfab.base.divergence import WH_FLOOR, exponent

# Problems of a batch share their matrix products while W·H of all of them has at most this many
# entries: beyond it, on a CPU, the batch only leaves the cache sooner.
TOGETHER = {"cpu": 1 << 18, "cuda": 1 << 28}


def plain_step(V, W, H, beta, fixed=0):
    """Return a function that does one iteration of `engine.mu` on W and H at each call.

    W·H of as many problems of a batch as fit are computed at once.
    """
    most = max(1, TOGETHER[W.device.type] // V.numel())
    silent = silence_of(V, beta)
    groups = [(W[run], H[run], b) for run, b in runs(W, beta, most)]

    def step():
        for w, h, b in groups:
            multiply(h, *parts(V, w, h, b, silent), exponent(b))
            if fixed < W.shape[-1]:
                # Vᵀ ≈ Hᵀ Wᵀ: the same update, of Wᵀ
                turned = None if silent is None else silent.mT
                free = (x[..., fixed:, :] for x in (w.mT, *parts(V.mT, h.mT, w.mT, b, turned)))
                multiply(*free, exponent(b))

    return step


def runs(W, beta, most=None):
    """Yield index and β of every run of problems in a batch that have one β, of `most` at most."""
    if W.ndim == 2:
        yield ..., beta
        return
    betas = np.broadcast_to(beta, len(W)).tolist()
    first = 0
    for last in range(1, len(W) + 1):
        if last == len(W) or betas[last] != betas[first] or last - first == most:
            yield first if last == first + 1 else slice(first, last), betas[first]
            first = last


def silence_of(V, beta):
    """Return where V is 0, or None where it is nowhere or no β asks for a mask (β ≤ 0)."""
    if np.min(beta) > 0:
        return None
    silent = V == 0
    return silent if bool(silent.any()) else None


def parts(V, W, H, beta, silent=None):
    """Return numerator and denominator of H's update, N = Wᵀ (V ∘ (WH)^(β−2)), P = Wᵀ (WH)^(β−1).

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        In either order in memory; products follow it.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        Where the gradient is taken.
    beta : float
        Any real.
    silent : tensor of bool [shape=(m, n)], optional
        Where V is 0, which is left out of both sums at β ≤ 0.

    Returns
    -------
    N, P : tensor [shape=(..., rank, n)]
        P at β = 1 is (..., rank, 1).
    """
    Wt = W.mT
    if beta == 2:
        return Wt @ V, (Wt @ W) @ H
    weighted, power = weigh(V, _model(V, W, H), beta, silent)
    if beta == 1:
        return Wt @ weighted, W.sum(-2)[..., None]
    return Wt @ weighted, Wt @ power


def parts_at(V, W, H, beta, factors):
    """Return [(N, P), ...] of the factors named, from one W·H; see `engine.parts`."""
    import torch

    tiny = torch.finfo(W.dtype).tiny
    weighted, power = V, None
    if beta != 2:
        WH = _model(V, W, H)
        shape = torch.broadcast_shapes(V.shape, WH.shape)
        WH = WH if WH.shape == shape else WH.expand(shape).clone()
        # not looked at first whether V has zeros: a GPU would stop for it
        weighted, power = weigh(V, WH, beta, V == 0 if beta <= 0 else None)
    found = []
    for factor in factors:
        of_H = factor == "H"
        N = W.mT @ weighted if of_H else weighted @ H.mT
        if beta == 2:
            P = (W.mT @ W) @ H if of_H else W @ (H @ H.mT)
        elif beta == 1:
            P = W.sum(-2)[..., None] if of_H else H.sum(-1)[..., None, :]
        else:
            P = W.mT @ power if of_H else power @ H.mT
        found.append((N, P.clamp(min=tiny).expand_as(N)))
    return found


def weigh(V, WH, beta, silent=None):
    """Return V ∘ Λ^(β−2) and Λ^(β−1) for β ≠ 2, 0 where V is `silent`, in the memory of W·H.

    Λ is W·H, and `WH_FLOOR` more where β < 2. The second is None at β = 1, where it is 1.
    """
    import torch

    if beta < 2:
        WH.add_(WH_FLOOR)
    if beta == 1:
        return torch.div(V, WH, out=WH), None
    if beta == 0:
        inverse = WH.reciprocal_()
        if silent is not None:
            inverse.masked_fill_(silent, 0)
        return V * inverse * inverse, inverse
    if beta == 3:
        return V * WH, WH.square()
    power = WH ** (beta - 2)
    if silent is not None and beta < 0:
        power.masked_fill_(silent, 0)
    return V * power, power.mul_(WH)


def _model(V, W, H):
    """Return W·H in V's order in memory: against it, what follows entry by entry is slow."""
    return (H.mT @ W.mT).mT if V.stride(-2) < V.stride(-1) else W @ H


def multiply(factor, numerator, denominator, gamma):
    """Multiply a factor by (N / P)^γ, in place; N and P are overwritten."""
    import torch

    limits = torch.finfo(factor.dtype)
    # only where a component of W or H, or from β = 2 on a row of W or a column of H, is zero is the
    # denominator so small; the entry is to stay zero, not to become 0 · ∞
    ratio = numerator.div_(denominator.clamp_(min=limits.tiny)).clamp_(max=limits.max)
    if gamma == 0.5:
        ratio.sqrt_()
    elif gamma != 1:
        ratio.pow_(gamma)
    factor.mul_(ratio)
