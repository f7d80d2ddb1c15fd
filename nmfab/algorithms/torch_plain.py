"""Multiplicative updates as matrix products over all of V: the form for a GPU."""

import numpy as np

from nmfab.algorithms.divergence import WH_FLOOR
from nmfab.algorithms.torch_sweep import exponent

# Problems of a batch share their matrix products while W·H of all of them has at most this many
# entries: beyond it, on a CPU, the batch only leaves the cache sooner.
TOGETHER = {"cpu": 1 << 18, "cuda": 1 << 28}


def plain_updates(V, W, H, beta, update_W=True):
    """Iterate as `torch_mu` does, W·H of as many problems as fit at once; W and H are overwritten.

    Yields
    ------
    W, H
    """
    groups = list(_groups(W, H, V.numel(), beta))
    while True:
        for w, h, b in groups:
            _update_H(V, w, h, b)
            if update_W:
                _update_W(V, w, h, b)
        yield W, H


def _groups(W, H, size, beta):
    """Split a batch into runs of one β whose W·H may stand in memory together, as views."""
    if W.ndim == 2:
        yield W, H, beta
        return
    betas = np.broadcast_to(beta, len(W)).tolist()
    most = max(1, TOGETHER[W.device.type] // size)
    first = 0
    for last in range(1, len(W) + 1):
        if last == len(W) or betas[last] != betas[first] or last - first == most:
            one = last == first + 1
            run = first if one else slice(first, last)
            yield W[run], H[run], betas[first]
            first = last


def _update_H(V, W, H, beta):
    Wt = W.mT
    if beta == 2:
        _multiply(H, Wt @ V, (Wt @ W) @ H, 1)
    elif beta == 1:
        _multiply(H, Wt @ _ratio(V, W, H), W.sum(-2)[..., None], 1)
    else:
        negative, positive = _powers(V, W, H, beta)
        _multiply(H, Wt @ negative, Wt @ positive, exponent(beta))


def _update_W(V, W, H, beta):
    Ht = H.mT
    if beta == 2:
        _multiply(W, V @ Ht, W @ (H @ Ht), 1)
    elif beta == 1:
        _multiply(W, _ratio(V, W, H) @ Ht, H.sum(-1)[..., None, :], 1)
    else:
        negative, positive = _powers(V, W, H, beta)
        _multiply(W, negative @ Ht, positive @ Ht, exponent(beta))


def _ratio(V, W, H):
    """Return V / (WH), in the one array that W·H takes."""
    import torch

    WH = (W @ H).add_(WH_FLOOR)
    return torch.div(V, WH, out=WH)


def _powers(V, W, H, beta):
    """Return V ∘ (WH)^(β−2) and (WH)^(β−1)."""
    WH = W @ H
    if beta < 2:
        WH.add_(WH_FLOOR)
    if beta == 0:
        inverse = WH.reciprocal_()
        return V * inverse * inverse, inverse
    if beta == 3:
        return V * WH, WH.square()
    power = WH ** (beta - 2)
    return V * power, power.mul_(WH)


def _multiply(factor, numerator, denominator, gamma):
    import torch

    # only where a whole column of W (row of H) is zero is the denominator so small
    ratio = numerator.div_(denominator.clamp_(min=torch.finfo(factor.dtype).tiny))
    if gamma == 0.5:
        ratio.sqrt_()
    elif gamma != 1:
        ratio.pow_(gamma)
    factor.mul_(ratio)
