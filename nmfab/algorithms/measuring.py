"""Loss and stationarity residual in one sweep over V: what the frame looks at.

The definitions are those of `divergence`. V is seen as X ≈ B Aᵀ, its longer side first, and
looked at in blocks of rows, so that the model never stands in memory whole. Written once for NumPy
arrays and torch tensors, in the words that both know.
"""

from contextlib import nullcontext
from functools import partial
from itertools import pairwise

import numpy as np

from nmfab.base.divergence import (
    WH_FLOOR,
    divergence,
    dot,
    gradient_parts,
    mask,
    means,
    missing,
    relative,
    total,
)
from nmfab.engine import flushing

# Entries of V that are looked at together: few blocks, for a thread that meets the others after
# every operation should have much to do; on a GPU each is a stop.
BLOCK, GPU_BLOCK = 1 << 20, 1 << 26


def measure(V, W, H, beta, *, fixed=0):
    """Return `divergence` and `stationarity` of V and W·H.

    Parameters
    ----------
    V, W, H, beta, fixed
        See `nmfab.base.divergence.stationarity`.

    Returns
    -------
    loss, residual : float
    """
    by_columns = V.shape[1] > V.shape[0]
    X, B, At = (V.T, H.T, W.T) if by_columns else (V, W, H)
    with _flushing(X):
        sounds = mask(X, beta)
        loss, of_B, of_A = _looked_at(X, sounds, B, At, beta)
        heard = [None, None] if sounds is None else [sounds.any(0), sounds.any(1)]
        sides = [(At, of_A, B.T, heard[0]), (B.T, of_B, At, heard[1])]
        whole = _whole(At, of_A, B.T, beta)  # Σ (WH)^β: the same for both
        decrease = _missing(*sides[by_columns], beta)
        if fixed < W.shape[1]:
            decrease = max(decrease, _missing(*sides[not by_columns], beta, fixed))
    return loss, relative(decrease, whole)


def _flushing(like):
    if isinstance(like, np.ndarray) or like.device.type != "cpu":
        return nullcontext()
    return flushing()


def _looked_at(X, sounds, B, At, beta):
    """Return the loss, and what was found for B and for A: the gradient, or N, or N and P."""
    on_host = isinstance(X, np.ndarray) or X.device.type == "cpu"
    most = max(1, (BLOCK if on_host else GPU_BLOCK) // X.shape[1])
    count = -(-len(X) // most)
    edges = [len(X) * i // count for i in range(count + 1)]
    xp, (look, arrays) = _module(X), LOOKS.get(beta, (partial(_general, beta), 0))
    work = [xp.empty_like(X[: -(-len(X) // count)]) for _ in range(arrays)]
    loss, of_A, of_B = 0.0, None, []
    for first, last in pairwise(edges):
        blocks = [array[: last - first] for array in work]
        silent = None if sounds is None else ~sounds[first:last]
        part, more, own = look(xp, X[first:last], silent, B[first:last], At, *blocks)
        loss += part
        of_A = more if of_A is None else [x + y for x, y in zip(of_A, more, strict=True)]
        of_B.append(own)
    joined = of_B[0] if count == 1 else map(xp.concatenate, zip(*of_B, strict=True))
    return loss, [part.T for part in joined], of_A


def _missing(factor, found, other, heard, beta, fixed=0):
    """Return the numerator of the residual of a factor's rows after the first `fixed`."""
    if beta == 2:
        (gradient,) = found
    elif beta == 1:
        gradient = other.sum(-1).reshape(-1, 1) - found[0]
    else:
        gradient = found[1] - found[0]
    factor, gradient = factor[fixed:], gradient[fixed:]
    return missing(factor, gradient, means(factor, heard))


def _whole(factor, found, other, beta):
    """Return Σ F ∘ P of a factor."""
    if beta == 2:
        return dot(factor @ factor.T, other @ other.T)
    if beta == 1:
        return float(factor.sum(-1) @ other.sum(-1))
    return dot(factor, found[1])


def _module(like):
    if isinstance(like, np.ndarray):
        return np
    import torch

    return torch


def _euclidean(xp, x, _, b, At, error):
    """Return the loss of a block and the gradients: both are products of the error."""
    xp.matmul(b, At, out=error)
    error -= x
    return dot(error, error) / 2, [b.T @ error], [error @ At.T]


def _kullback_leibler(xp, x, _, b, At, ratio):
    """Return the loss of a block, and N of both factors."""
    xp.matmul(b, At, out=ratio)
    xp.clip(ratio, WH_FLOOR, None, out=ratio)
    xp.divide(x, ratio, out=ratio)
    of_A, of_B = [b.T @ ratio], [ratio @ At.T]
    # where x is 0 so is its term, whatever the logarithm
    xp.clip(ratio, WH_FLOOR, None, out=ratio)
    xp.log(ratio, out=ratio)
    return dot(x, ratio) - total(x) + float(b.sum(0) @ At.sum(-1)), of_A, of_B


def _itakura_saito(xp, x, silent, b, At, inverse, ratio, weighted):
    """Return the loss of a block, and N and P of both factors."""
    xp.matmul(b, At, out=inverse)
    xp.clip(inverse, WH_FLOOR, None, out=inverse)
    xp.reciprocal(inverse, out=inverse)
    xp.multiply(x, inverse, out=ratio)
    xp.multiply(ratio, inverse, out=weighted)
    if silent is not None:
        inverse[silent], ratio[silent] = 0, 1  # a term of 1 − log 1 − 1
    of_A, of_B = [b.T @ weighted, b.T @ inverse], [weighted @ At.T, inverse @ At.T]
    loss = total(ratio) - len(x) * x.shape[1]
    xp.log(ratio, out=ratio)
    return loss - total(ratio), of_A, of_B


def _general(beta, _xp, x, _, b, At):
    model = b @ At
    (_, *of_A), (_, *of_B) = gradient_parts(x, b, At, beta, WH=model)
    return divergence(x, model, beta), of_A, [part.T for part in of_B]


# By β: how a block is looked at, and the number of arrays of its size for that.
LOOKS = {2: (_euclidean, 1), 1: (_kullback_leibler, 1), 0: (_itakura_saito, 3)}
