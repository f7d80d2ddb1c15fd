"""The β-divergence and its stationarity residual, for NumPy arrays and torch tensors alike.

d_β(x|y) = (x^β + (β−1) y^β − β x y^(β−1)) / (β (β−1)), whose limits are the Kullback-Leibler
divergence at β = 1 and that of Itakura and Saito at β = 0; β = 2 is (x − y)² / 2 (Févotte and
Idier, "Algorithms for nonnegative matrix factorization with the β-divergence", Neural Computation
2011, section 2).

Zeros:

- in V, β > 0: d_β(0|y) = y^β / β, which is finite (y at β = 1);
- in V, β ≤ 0: d_β(0|y) is infinite, and what of it depends on y has no lower bound: however small
  a floor of V, driving the model towards it would pay as much as modelling sound. Zeros carry no
  information there. They are masked: with M = (V > 0), loss, residual and both parts of the
  gradient are sums over M,

      D = Σ M ∘ d_β(V|WH),   N_H = Wᵀ (M ∘ V ∘ (WH)^(β−2)),   P_H = Wᵀ (M ∘ (WH)^(β−1)).

  What lies below the floor of the model (see below) no model reaches: `silenced` makes zeros of it
  for every algorithm alike. Else the dust in a resampler's stop band would weigh as much as sound.

  Nothing then says what the model is where V is silent. Where N and P are both 0 the update is
  0 / 0, and the entry becomes 0 (P is raised to the smallest normal number): from the first
  iteration on H is 0 in a column of V that is silent throughout, and the free templates are in
  such a row. Single zeros are filled by the model;
- in W·H: raised to `WH_FLOOR` (V has mean 1) wherever a logarithm or a negative power of it is
  taken.
"""

import numpy as np

WH_FLOOR = 1e-12


def exponent(beta):
    """Return γ(β): (N / P)^γ minimizes the majorizer of D_β (Févotte and Idier 2011, MM)."""
    if beta < 1:
        return 1 / (2 - beta)
    return 1 / (beta - 1) if beta > 2 else 1


def silenced(V, beta):
    """Return V, of mean 1, with zeros in the place of entries below `WH_FLOOR` where β ≤ 0."""
    if beta > 0 or not ((V > 0) & (V < WH_FLOOR)).any():
        return V
    return V * (V >= WH_FLOOR)


def mask(V, beta):
    """Return M = (V > 0), an array of booleans, where β ≤ 0 and V has zeros; else None."""
    if beta > 0:
        return None
    sounds = V > 0
    return None if bool(sounds.all()) else sounds


def divergence(V, WH, beta):
    """Return the β-divergence between V and its model, summed over entries.

    Parameters
    ----------
    V : array [shape=(m, n)]
        Nonnegative; at β ≤ 0 the sum leaves out its zeros.
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
        return total(error * error) / 2
    if beta > 1:
        # x^β and y^β alone would cancel near a perfect model, one at a time they do not
        terms = (V**beta - WH**beta) - beta * WH ** (beta - 1) * (V - WH)
        return total(terms) / (beta * (beta - 1))
    safe = WH.clip(WH_FLOOR, None)
    if beta == 1:
        # 0 · log 0 = 0: raising x to the floor inside the logarithm alone leaves that term at zero
        ratio = V.clip(WH_FLOOR, None) / safe
        return total(V * _log(ratio) - V + WH)
    sounds = mask(V, beta)
    if sounds is not None:
        V, safe = (_where(sounds, x, 1) for x in (V, safe))
    if beta == 0:
        ratio = V / safe
        return total(ratio - _log(ratio) - 1)
    terms = (V**beta - safe**beta) - beta * safe ** (beta - 1) * (V - safe)
    return total(terms) / (beta * (beta - 1))


def gradient_parts(V, W, H, beta, *, of_W=True, WH=None):
    """Return the negative and positive parts of the gradient, each nonnegative.

    ∇_H D = P_H − N_H with N_H = Wᵀ (V ∘ (WH)^(β−2)) and P_H = Wᵀ (WH)^(β−1), and the same for W
    (Févotte and Idier 2011, section 3); at β ≤ 0 zeros of V are masked in both.

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
    sounds = mask(V, beta)
    WH = WH if sounds is None else _where(sounds, WH, 1)  # no power of it is infinite where V is 0
    positive = 1 / WH if beta == 0 else WH ** (beta - 1)
    negative = V * positive / WH if beta < 2 else V * WH ** (beta - 2)  # WH may hold zeros there
    positive = positive if sounds is None else _where(sounds, positive, 0)
    return [
        (factor, _project(other, negative, flip), _project(other, positive, flip))
        for other, factor, flip in sides
    ]


def _project(other, values, flip):
    """Return Wᵀ · values, or H · valuesᵀ."""
    return (values @ other.T).T if flip else other @ values


def stationarity(V, W, H, beta, *, fixed=0, WH=None):
    """Return the relative residual of the Karush-Kuhn-Tucker conditions at W, H.

    With G = P − N the gradient with respect to H (`gradient_parts`) and h_k the mean of row k of H
    (at β ≤ 0 over the columns in which V is not silent throughout),

        r_H = Σ_kj [ H_kj max(G_kj, 0) + max(H_kj, h_k) max(−G_kj, 0) ] / Σ_kj H_kj P_kj:

    the decrease of the loss that, to first order, is still to be had by setting entries to zero
    where the gradient is positive, or by adding to each its own or its row's mean size where it is
    negative, relative to Σ (WH)^β. It is 0 exactly at stationary points (H ≥ 0, G ≥ 0, H ∘ G = 0),
    and changes neither with the scale of V nor with W diag(d), diag(1/d) H. The larger of r_H and
    the same for Wᵀ is returned, whose numerator leaves out the columns of W that are held.

    Parameters
    ----------
    V, W, H, beta, WH
        See `gradient_parts`.
    fixed : int
        The first `fixed` columns of W are held; where all are, r_H is returned.

    Returns
    -------
    float
        0 at a stationary point; of the order of 1 at a random one.
    """
    residuals, of_W = [], fixed < W.shape[1]
    sides = gradient_parts(V, W, H, beta, of_W=of_W, WH=WH)
    sounds = mask(V, beta)
    for axis, (factor, negative, positive) in enumerate(sides):
        held, whole = fixed * axis, total(factor * positive)
        size = means(factor[held:], None if sounds is None else sounds.any(axis))
        decrease = missing(factor[held:], (positive - negative)[held:], size)
        residuals.append(relative(decrease, whole))
    return max(residuals)


def means(factor, heard=None):
    """Return the mean of each row over the columns that are `heard` (all where None), a column."""
    return (factor if heard is None else factor[:, heard]).mean(-1).reshape(-1, 1)


def missing(factor, gradient, size):
    """Return the decrease that is still to be had: the numerator of r_H in `stationarity`.

    Parameters
    ----------
    factor, gradient : array [shape=(rank, k)]
        H or Wᵀ, or some columns of it, and ∇D there, which is overwritten.
    size : array [shape=(rank, 1)]
        The mean of each row of the whole factor.
    """
    falling = gradient.clip(0, None)
    gradient -= falling  # what is left is negative: there the loss falls as entries grow
    on_numpy = isinstance(factor, np.ndarray)
    grown = np.maximum(factor, size) if on_numpy else factor.maximum(size)
    return dot(falling, factor) - dot(gradient, grown)


def relative(decrease, whole):
    """Return their quotient, which is 0 where there is nothing."""
    return decrease / whole if whole > 0 else float(decrease > 0)


def dot(first, second):
    """Return the sum of their products, entry by entry."""
    if isinstance(first, np.ndarray):
        return total(first * second)
    if first.mT.is_contiguous():
        first, second = first.mT, second.mT
    return float(first.reshape(-1).dot(second.reshape(-1)))


def total(values):
    """Return the sum of all entries, rows in their own dtype and their sums in float64."""
    double = np.float64 if isinstance(values, np.ndarray) else _torch_double()
    # a float64 copy of the whole takes longer than all the rest
    return float(values.sum(-1).sum(dtype=double))


def _where(condition, values, other):
    """Return values where the condition holds, another number elsewhere."""
    if isinstance(values, np.ndarray):
        return np.where(condition, values, values.dtype.type(other))
    return values.where(condition, other)


def _log(values):
    return values.log() if hasattr(values, "log") else np.log(values)


def _torch_double():
    import torch

    return torch.float64
