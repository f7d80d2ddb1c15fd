"""Updates of one block of parameters in which a model is linear, for any β.

Let Λ = A θ with a nonnegative linear map A, all other parameters fixed, and θ̃ the block before the
update. With

    N = Aᵀ (V ∘ Λ^(β−2)),    P = Aᵀ Λ^(β−1)

and u = θ/θ̃, D_β(V | Λ) is majorized by a sum over entries whose derivative is θ̃ times
P a(u) − N b(u), a = 1 (β ≤ 1) or u^(β−1), b = u^(β−2) (β ≤ 2) or 1 (Févotte and Idier, "Algorithms
for nonnegative matrix factorization with the β-divergence", Neural Computation 2011, section 4.1).
What minimizes it never raises the divergence, for every β and the whole block at once. Plain,
convolutive, harmonic, CP, Tucker, coupled and multi-resolution models are linear in each of their
blocks, so all of them are calls of `parts` and `update`.

Arrays are NumPy's or torch's, on any device. Nothing is changed in place.
"""

import numpy as np

from nmfab.base.arrays import module_of
from nmfab.base.divergence import WH_FLOOR, exponent
from nmfab.base.errors import UsageError

STEPS = 200  # of a bisection in the worst case; Newton takes 25 at most


def ratios(V, model, beta, mask=None):
    """Return V ∘ Λ^(β−2) and Λ^(β−1), of which N and P are images under Aᵀ.

    Parameters
    ----------
    V, model : array
        Data of mean 1 and model, of one shape; `WH_FLOOR` is added to the model where β < 2.
    beta : float
        Any real.
    mask : array of bool, optional
        Entries that count, of `nmfab.base.divergence.mask`: both are 0 elsewhere.

    Returns
    -------
    negative, positive : array
        `positive` is None where it is 1 everywhere (β = 1): see `parts`.
    """
    if beta < 2:
        model = model + WH_FLOOR
    if beta == 2:
        negative, positive = V, model
    elif beta == 1:
        negative, positive = V / model, None
    elif beta == 0:
        positive = 1 / model
        negative = V * positive * positive
    else:
        power = model ** (beta - 2)
        negative, positive = V * power, power * model
    if mask is not None:
        xp = module_of(model)
        positive = xp.ones_like(model) if positive is None else positive
        negative, positive = (xp.where(mask, x, xp.zeros_like(x)) for x in (negative, positive))
    return negative, positive


def parts(V, model, beta, adjoint, *, sums=None, mask=None):
    """Return N = Aᵀ (V ∘ Λ^(β−2)) and P = Aᵀ Λ^(β−1) of one block.

    Parameters
    ----------
    V, model : array
        See `ratios`.
    beta : float
        Any real.
    adjoint : callable
        Aᵀ, from arrays of V's shape to arrays of the block's.
    sums : callable, optional
        Returns Aᵀ 1, which P is at β = 1, cheaper than `adjoint` of ones; it may have length 1
        along axes on which it does not depend.
    mask : array of bool, optional
        See `ratios`.

    Returns
    -------
    N, P : array
    """
    negative, positive = ratios(V, model, beta, mask)
    N = adjoint(negative)
    if positive is not None:
        return N, adjoint(positive)
    return N, adjoint(module_of(V).ones_like(negative)) if sums is None else sums()


def update(theta, N, P, beta, *, l1=0.0, l2=0.0):
    """Return the block after one step on D_β + Σ l1·θ + Σ l2·θ².

    - θ̃ (N / (P + l1))^γ without `l2`, all β: for β > 1 because u ≤ u^β/β + const.
    - β = 1 with `l2`: the root of 2 l2 θ² + (P + l1) θ − θ̃ N = 0.
    - Other β with `l2`: θ̃ (N / (P + l1 + 2 l2 θ̃))^e, e = 1/(3−β) to β = 2 and γ(β) above, because
      P u^(β−1) ≤ P u to β = 2 and u² ≤ 2 u^β/β + const above it, up to constants of the integral.

    None of them raises the objective. Zeros stay zero, also where P is 0.

    Parameters
    ----------
    theta, N, P : array
        The block and its `parts`; P may have length 1 along some axes.
    beta : float
        Any real.
    l1, l2 : float or array
        Weights ≥ 0, for each entry where they are arrays. A concave penalty is added through its
        tangent: `l1` is then its slope at `theta`.

    Returns
    -------
    array
    """
    if absent(l2):
        return times_power(theta, N, P + l1, exponent(beta))
    if beta == 1:
        return quadratic_root(2 * l2, P + l1, theta * N)
    return times_power(theta, N, P + l1 + 2 * l2 * theta, exponent_with_square(beta))


def quadratic_root(a, b, c):
    """Return the nonnegative root of a θ² + b θ − c = 0 for a, c ≥ 0.

    2c / (b + √(b² + 4ac)) where b > 0, (√(b² + 4ac) − b) / (2a) elsewhere: neither subtracts
    numbers that are nearly equal, and at a = 0 the former is c / b. Where a and b are both 0, or
    b < 0 = a, there is no root: the largest number is returned.

    Parameters
    ----------
    a, b, c : float or array
        Of shapes that broadcast; at least one array.

    Returns
    -------
    array
    """
    return root_and_slope(a, b, c)[0]


def root_and_slope(a, b, c):
    """Return the root and −dθ/db / θ = 1 / √(b² + 4ac)."""
    xp = module_of(b, a, c)
    limits = xp.finfo(_dtype(b, a, c))
    a, b, c = (like(value, b, a, c) for value in (a, b, c))
    # √a √c apart: their product may underflow where the root does not
    root = xp.hypot(b, 2 * xp.sqrt(a) * xp.sqrt(c))
    with np.errstate(over="ignore"):
        above = 2 * c / (b + root).clip(limits.tiny, None)
        below = (root - b) / (2 * a).clip(limits.tiny, None)
    theta = xp.where(b > 0, above, below).clip(None, limits.max)
    return theta, 1 / root.clip(limits.tiny, None)


def exponent_of_several(betas):
    """Return e with which θ̃ (Σ α N / Σ α P)^e never raises Σ α_i D_β_i.

    e = 1/(A − B), A = max(max β − 1, 0), B = min(min β − 2, 0): every a(u) lies between 1 and
    u^A, every b(u) between 1 and u^B. It is γ(β) for one β. The least γ(β_i) is not monotone.
    """
    return 1 / (max(max(betas) - 1, 0) - min(min(betas) - 2, 0))


def update_several(theta, Ns, Ps, betas, weights, *, l1=0.0, exact=False):
    """Return the block after one step on Σ α_i D_β_i + Σ l1·θ.

    Parameters
    ----------
    theta : array
        The block.
    Ns, Ps : sequence of array
        Its `parts` for each β, of the data and model that β is read with.
    betas, weights : sequence of float
        β_i and α_i ≥ 0, of which one is positive.
    l1 : float or array
        See `update`.
    exact : bool
        Minimize the majorizer itself (`root_of_several`): longer steps, without `l1`.

    Returns
    -------
    array
    """
    if exact:
        if not absent(l1):
            raise UsageError("update_several: exact steps take no l1; leave out exact=True")
        return theta * root_of_several(Ns, Ps, betas, weights)
    used = [each for each in zip(Ns, Ps, betas, weights, strict=True) if each[3] > 0]
    N = sum(alpha * N for N, _, _, alpha in used)
    P = sum(alpha * P for _, P, _, alpha in used)
    return times_power(theta, N, P + l1, exponent_of_several([beta for _, _, beta, _ in used]))


def root_of_several(Ns, Ps, betas, weights):
    """Return the root u of Σ α_i (P_i a_i(u) − N_i b_i(u)) = 0, entry by entry.

    It lies between the smallest and the largest (N_i / P_i)^γ(β_i); Newton on log u within that
    bracket, bisection where a step leaves it.

    Parameters
    ----------
    Ns, Ps, betas, weights
        See `update_several`.

    Returns
    -------
    array
    """
    used = [each for each in zip(Ns, Ps, betas, weights, strict=True) if each[3] > 0]
    xp = module_of(used[0][0])
    limits = xp.finfo(used[0][0].dtype)
    logs = [
        xp.log(times_power(1.0, N, P + 0 * N, exponent(beta)).clip(limits.tiny, None))
        for N, P, beta, _ in used
    ]
    low, high = logs[0], logs[0]
    for log in logs[1:]:
        low, high = xp.minimum(low, log), xp.maximum(high, log)
    x = (low + high) / 2
    for _ in range(STEPS):
        value, slope = _of_several(x, used, xp)
        low, high = xp.where(value < 0, x, low), xp.where(value > 0, x, high)
        newton = x - value / slope.clip(limits.tiny, None)
        following = xp.where((newton > low) & (newton < high), newton, (low + high) / 2)
        done = (abs(following - x) <= 4 * limits.eps * (1 + abs(x))) | (value == 0)
        x = xp.where(value == 0, x, following)
        if bool(done.all()):
            break
    nothing = sum(alpha * N for N, _, _, alpha in used) == 0
    return xp.where(nothing, xp.zeros_like(x), xp.exp(x))


def _of_several(x, used, xp):
    """Return Σ α (P a − N b) and its derivative at u = exp(x)."""
    value, slope = 0, 0
    for N, P, beta, alpha in used:
        a, b = max(beta - 1, 0), min(beta - 2, 0)
        grown, shrunk = alpha * P * xp.exp(a * x), alpha * N * xp.exp(b * x)
        value, slope = value + grown - shrunk, slope + a * grown - b * shrunk
    return value, slope


def exponent_with_square(beta):
    """Return the exponent of `update` where squares are penalized."""
    return 1 / (3 - beta) if beta <= 2 else exponent(beta)


def times_power(theta, N, P, gamma):
    """Return θ̃ (N / P)^γ; the ratio stays finite, so that zeros of θ̃ stay zero."""
    limits = module_of(N).finfo(N.dtype)
    with np.errstate(over="ignore"):
        ratio = (N / P.clip(limits.tiny, None)).clip(None, limits.max)
    if gamma == 0.5:
        return theta * module_of(N).sqrt(ratio)
    return theta * (ratio if gamma == 1 else ratio**gamma)


def absent(weight):
    """Tell whether a weight is the number 0, not an array."""
    return isinstance(weight, int | float) and weight == 0


def like(value, *arrays):
    """Return a number or an array as an array of the first one's kind."""
    if hasattr(value, "shape"):
        return value
    first = next(array for array in arrays if hasattr(array, "shape"))
    return module_of(first).full_like(first, value)


def _dtype(*values):
    return next(value.dtype for value in values if hasattr(value, "dtype"))
