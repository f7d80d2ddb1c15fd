"""The β-divergence and its stationarity residual, for NumPy arrays and torch tensors alike.

d_β(x|y) = (x^β + (β−1) y^β − β x y^(β−1)) / (β (β−1)), whose limits are the Kullback-Leibler
divergence at β = 1 and that of Itakura and Saito at β = 0; β = 2 is (x − y)² / 2 (Févotte and
Idier, "Algorithms for nonnegative matrix factorization with the β-divergence", Neural Computation
2011, section 2).

Zeros, for V of mean 1:

- in V, β > 0: d_β(0|y) = y^β / β, which is finite (y at β = 1);
- in V, β ≤ 0: d_β(0|y) is infinite, and what of it depends on y has no lower bound. `floored`
  raises V to `V_FLOOR` first, for every algorithm alike;
- in W·H: raised to `WH_FLOOR` wherever a logarithm or a negative power of it is taken.
"""

from contextlib import contextmanager
from functools import partial

import numpy as np

from nmfab.algorithms.torch_crew import Crew, one_thread

V_FLOOR = 1e-10
WH_FLOOR = 1e-12
# Entries of V that `measure` looks at together: those that stay in a cache, or all that a GPU holds
# without much memory, for there every look at a part is a stop.
BLOCK, GPU_BLOCK = 1 << 18, 1 << 26


def floored(V, beta):
    """Return V, for β ≤ 0 with entries below `V_FLOOR` raised to it; V's mean is taken to be 1."""
    return V.clip(V_FLOOR, None) if beta <= 0 else V


def divergence(V, WH, beta):
    """Return the β-divergence between V and its model, summed over entries.

    Parameters
    ----------
    V : array [shape=(m, n)]
        Nonnegative; strictly positive where β ≤ 0 (see `floored`).
    WH : array [shape=(m, n)]
        Nonnegative, of V's type.
    beta : float
        Any real.

    Returns
    -------
    float
        Rows are summed in V's dtype, and their sums in float64.
    """
    if beta == 2:
        error = V - WH
        return _total(error * error) / 2
    if beta > 1:
        # x^β and y^β alone would cancel near a perfect model, one at a time they do not
        terms = (V**beta - WH**beta) - beta * WH ** (beta - 1) * (V - WH)
        return _total(terms) / (beta * (beta - 1))
    safe = WH.clip(WH_FLOOR, None)
    if beta == 1:
        # 0 · log 0 = 0: raising x to the floor inside the logarithm alone leaves that term at zero
        ratio = V.clip(WH_FLOOR, None) / safe
        return _total(V * _log(ratio) - V + WH)
    if beta == 0:
        ratio = V / safe
        return _total(ratio - _log(ratio) - 1)
    terms = (V**beta - safe**beta) - beta * safe ** (beta - 1) * (V - safe)
    return _total(terms) / (beta * (beta - 1))


def gradient_parts(V, W, H, beta, *, of_W=True, WH=None):
    """Return the negative and positive parts of the gradient, each nonnegative.

    ∇_H D = P_H − N_H with N_H = Wᵀ (V ∘ (WH)^(β−2)) and P_H = Wᵀ (WH)^(β−1), and the same for W
    (Févotte and Idier 2011, section 3).

    Parameters
    ----------
    V, W, H : array [shape=(m, n), (m, rank), (rank, n)]
        The problem and a point.
    beta : float
        Any real.
    of_W : bool
        Whether W's parts are wanted too.
    WH : array [shape=(m, n)], optional
        W @ H, where it is at hand.

    Returns
    -------
    list of (factor, N, P)
        For H and, where wanted, for Wᵀ. P may be one column, the same for all.
    """
    sides = [(W.T, H, False)] + ([(H, W.T, True)] if of_W else [])
    if beta == 2:
        return [
            (factor, _project(other, V, flip), other @ other.T @ factor)
            for other, factor, flip in sides
        ]
    WH = W @ H if WH is None else WH
    WH = WH.clip(WH_FLOOR, None) if beta < 2 else WH
    if beta == 1:
        ratio = V / WH
        return [
            (factor, _project(other, ratio, flip), other.sum(-1).reshape(-1, 1))
            for other, factor, flip in sides
        ]
    positive = 1 / WH if beta == 0 else WH ** (beta - 1)
    negative = V * positive / WH if beta < 2 else V * WH ** (beta - 2)  # WH may hold zeros there
    return [
        (factor, _project(other, negative, flip), _project(other, positive, flip))
        for other, factor, flip in sides
    ]


def _project(other, values, flip):
    """Return Wᵀ · values, or H · valuesᵀ."""
    return (values @ other.T).T if flip else other @ values


def stationarity(V, W, H, beta, *, of_W=True, WH=None):
    """Return the relative residual of the Karush-Kuhn-Tucker conditions at W, H.

    With G = P − N the gradient with respect to H (`gradient_parts`) and h_k the mean of row k of H,

        r_H = Σ_kj [ H_kj max(G_kj, 0) + max(H_kj, h_k) max(−G_kj, 0) ] / Σ_kj H_kj P_kj:

    the decrease of the loss that, to first order, is still to be had by setting entries to zero
    where the gradient is positive, or by adding to each its own or its row's mean size where it is
    negative, relative to Σ (WH)^β. It is 0 exactly at stationary points (H ≥ 0, G ≥ 0, H ∘ G = 0),
    and changes neither with the scale of V nor with W diag(d), diag(1/d) H. The larger of r_H and
    the same for Wᵀ is returned.

    Parameters
    ----------
    V, W, H, beta, of_W, WH
        See `gradient_parts`; without `of_W` (W held fixed) r_H is returned.

    Returns
    -------
    float
        0 at a stationary point; of the order of 1 at a random one.
    """
    residuals = []
    for factor, negative, positive in gradient_parts(V, W, H, beta, of_W=of_W, WH=WH):
        size = factor.mean(-1).reshape(-1, 1)
        residuals.append(_relative(*_missing(factor, negative, positive, size)))
    return max(residuals)


def _missing(factor, negative, positive, size):
    """Return the decrease that is still to be had, and what it is relative to."""
    gradient = positive - negative
    falling = gradient.clip(0, None)
    gradient -= falling  # what is left is negative: there the loss falls as entries grow
    on_numpy = isinstance(factor, np.ndarray)
    grown = np.maximum(factor, size) if on_numpy else factor.maximum(size)
    missing = _dot(falling, factor) - _dot(gradient, grown)
    if positive.shape[-1] == 1:
        return missing, _total(factor.sum(-1)[:, None] * positive)
    return missing, _dot(factor, positive)


def _relative(missing, whole):
    return missing / whole if whole > 0 else float(missing > 0)


def measure(V, W, H, beta, *, of_W=True):
    """Return `divergence` and `stationarity` in one sweep over V, in blocks that stay in cache.

    Parameters
    ----------
    V, W, H, beta, of_W
        See `gradient_parts`.

    Returns
    -------
    loss, residual : float
    """
    by_columns = V.shape[1] > V.shape[0]
    # X ≈ B Aᵀ, the longer side first: what is on the shorter one is small
    X, B, At = (V.T, H.T, W.T) if by_columns else (V, W, H)
    with _threads(X) as share_out:
        found = share_out(partial(_swept, X, B, At, beta, B.mean(0).reshape(-1, 1)), len(X))
        loss, of_B, sums = (_added(terms) for terms in zip(*found, strict=True))
        if beta == 2:
            sums[1] = sums[1] @ At
        of_A = _missing(At, *sums, At.mean(-1).reshape(-1, 1))
    of_H, of_other = (of_B, of_A) if by_columns else (of_A, of_B)
    residual = _relative(*of_H)
    return loss[0], max(residual, _relative(*of_other)) if of_W else residual


def _swept(X, B, At, beta, size, begin, end):
    """Return what some rows of X add to [loss], to B's residual and to the sums for A's."""
    on_host = isinstance(X, np.ndarray) or X.device.type == "cpu"
    rows = max(1, (BLOCK if on_host else GPU_BLOCK) // X.shape[1])
    gram = At @ At.T if beta == 2 else None
    found = []
    for first in range(begin, end, rows):
        span = slice(first, min(first + rows, end))
        loss, sums, own = _parts(X[span], B[span], At, beta, gram)
        found.append(([loss], _missing(B[span].T, *own, size), sums))
    return [_added(terms) for terms in zip(*found, strict=True)]


def _added(terms):
    """Return the sums of lists, entry by entry."""
    return [sum(more, first) for first, *more in zip(*terms, strict=True)]


@contextmanager
def _threads(like):
    """Give a function that has ``of(begin, end)`` computed for shares of a number of rows.

    Tensors in main memory are shared out among threads as an iteration's are (`torch_crew`): where
    torch splits every operation, a look takes as long as several iterations.
    """
    if isinstance(like, np.ndarray) or like.device.type != "cpu":
        yield lambda of, size: [of(0, size)]
        return
    import torch

    count = min(torch.get_num_threads(), 1 + like.numel() // BLOCK)
    with one_thread():
        crew = Crew(count)
        try:
            yield partial(_shared_out, crew)
        finally:
            crew.close()


def _shared_out(crew, of, size):
    count = min(crew.count, size)
    found = [None] * count

    def share(i):
        found[i] = of(size * i // count, size * (i + 1) // count)

    crew.run([partial(share, i) for i in range(count)])
    return found


def _parts(V, W, H, beta, gram):
    """Return loss, (N, P) of H and (N, P) of Wᵀ, few arrays of V's size being made on the way."""
    WH = W @ H
    if beta not in (2, 1, 0):
        (_, *of_H), (_, *of_W) = gradient_parts(V, W, H, beta, WH=WH)
        return divergence(V, WH, beta), of_H, of_W
    if beta == 2:
        WH -= V
        # P of H is completed from WᵀW when all of V has been seen
        return _dot(WH, WH) / 2, (W.T @ V, W.T @ W), ((V @ H.T).T, (W @ gram).T)
    if beta == 1:
        total = float(W.sum(0) @ H.sum(-1)) - _total(V)
        ratio = _divided(V, _raised(WH))
        of_H, of_W = (W.T @ ratio, W.T.sum(-1)[:, None]), ((ratio @ H.T).T, H.sum(-1)[:, None])
        # where V is 0 so is its term, whatever the logarithm
        return _dot(V, _log_in_place(_raised(ratio))) + total, of_H, of_W
    inverse = _raised(WH)
    inverse **= -1
    ratio = V * inverse
    weighted = ratio * inverse
    of_H, of_W = (W.T @ weighted, W.T @ inverse), ((weighted @ H.T).T, (inverse @ H.T).T)
    loss = _total(ratio) - len(V) * V.shape[1]
    return loss - _total(_log_in_place(ratio)), of_H, of_W


def _raised(values):
    """Raise values to `WH_FLOOR`, in place."""
    if isinstance(values, np.ndarray):
        return np.maximum(values, WH_FLOOR, out=values)
    return values.clamp_(min=WH_FLOOR)


def _divided(first, second):
    """Return their quotient, in the place of the second."""
    second **= -1
    second *= first
    return second


def _dot(first, second):
    """Return the sum of their products, entry by entry."""
    if isinstance(first, np.ndarray):
        return _total(first * second)
    if first.mT.is_contiguous():
        first, second = first.mT, second.mT
    return float(first.reshape(-1).dot(second.reshape(-1)))


def _log_in_place(values):
    return values.log_() if hasattr(values, "log_") else np.log(values, out=values)


def _log(values):
    return values.log() if hasattr(values, "log") else np.log(values)


def _total(values):
    double = np.float64 if isinstance(values, np.ndarray) else _torch_double()
    # rows in their own dtype: a float64 copy of the whole takes longer than all the rest
    return float(values.sum(-1).sum(dtype=double))


def _torch_double():
    import torch

    return torch.float64
