"""Steps of one block whose entries sum to a given number, group by group; see `linear`."""

import math

import numpy as np

from nmfab.algorithms.linear import (
    STEPS,
    absent,
    exponent,
    exponent_with_square,
    like,
    root_and_slope,
    times_power,
)
from nmfab.base.arrays import module_of


def update_summing_to(theta, N, P, beta, total, axis, *, l2=0.0):
    """Return the block after one step on D_β + Σ l2·θ² under Σ θ = `total` along an axis.

    A multiplier ν is added to P and found so that the constraint holds (Leplat, Gillis and Idier,
    "Multiplicative updates for NMF with β-divergences under disjoint equality constraints", SIAM
    Journal on Matrix Analysis and Applications 2021):

    - β = 1 and P of length 1 along the axis: no ν at all, θ = total · θ̃ N / Σ (θ̃ N).
    - β ≤ 1: θ̃ (N / (P + ν))^γ. The unknown is τ = ν + min P > 0: P + ν would cancel.
    - β = 1 with `l2`: the root of 2 l2 θ² + (P + ν) θ − θ̃ N = 0.
    - elsewhere θ̃ ((N + ν⁻) / (P + ν⁺))^e with e of `update`, ν⁺ = max(ν, 0), ν⁻ = max(−ν, 0):
      ν u lies below its majorizer for either sign, where N / (P + ν) does for ν ≥ 0 alone.

    Parameters
    ----------
    theta, N, P : array
        The block, which must satisfy the constraint (else the first step may raise the objective),
        and its `parts`.
    beta : float
        Any real.
    total : float
        The sum of each group, positive.
    axis : int
        Along which entries are summed; the others number the groups.
    l2 : float or array
        See `update`. (A weight l1 that is the same for all entries of a group changes nothing.)

    Returns
    -------
    array
        A group whose θ̃ N are all 0 stays as it is.
    """
    xp = module_of(theta)
    c = theta * N
    if beta == 1 and absent(l2) and P.shape[axis] == 1:
        sums = c.sum(axis=axis, keepdims=True)
        limits = xp.finfo(theta.dtype)
        return xp.where(sums > 0, c * (total / sums.clip(limits.tiny, None)), theta)
    if absent(l2) and beta <= 1:
        return _summing_by_shift(theta, N, P, exponent(beta), total, axis)
    if beta == 1:
        return quadratic_summing_to(2 * l2, P, c, total, axis, stays=theta)
    if absent(l2):
        return _summing_by_sign(theta, N, P, exponent(beta), total, axis)
    return _summing_by_sign(theta, N, P + 2 * l2 * theta, exponent_with_square(beta), total, axis)


def quadratic_summing_to(a, b, c, total, axis, *, stays):
    """Return roots of a θ² + (b + ν) θ − c = 0 with Σ θ = `total` along an axis.

    Parameters
    ----------
    a, b, c : float or array
        a, c ≥ 0; see `quadratic_root`.
    total, axis
        See `update_summing_to`.
    stays : array
        What a group is where its c are all 0; of the block's shape.

    Returns
    -------
    array
    """
    a, b, c = (like(value, stays) + 0 * stays for value in (a, b, c))
    counts = c > 0
    rest = _above_least(b, counts, axis)

    def at(tau):
        theta, slope = root_and_slope(a, rest + tau, c)
        return _kept(theta, counts), slope

    def edge(value):
        return c / value - a * value - rest

    return _solved(at, edge, counts, total, axis, stays)


def _summing_by_shift(theta, N, P, gamma, total, axis):
    """θ̃ (N / (P + ν))^γ, decreasing and convex in ν."""
    counts = theta * N > 0
    rest = _above_least(P + 0 * theta, counts, axis)

    def at(tau):
        below = rest + tau
        return _kept(times_power(theta, N, below, gamma), counts), gamma / below

    def edge(value):
        return N * (theta / value) ** (1 / gamma) - rest

    return _solved(at, edge, counts, total, axis, theta)


def _summing_by_sign(theta, N, P, gamma, total, axis):
    """θ̃ ((N + ν⁻) / (P + ν⁺))^γ, decreasing in ν and continuous, with an edge at 0."""
    xp = module_of(theta)
    tiny = xp.finfo(theta.dtype).tiny
    counts = (theta > 0) & ((theta * N).sum(axis=axis, keepdims=True) > 0)
    P = (P + 0 * theta).clip(tiny, None)

    def at(nu):
        above, below = N + (-nu).clip(0, None), P + nu.clip(0, None)
        slope = gamma / xp.where(nu > 0, below, above).clip(tiny, None)
        return _kept(times_power(theta, above, below, gamma), counts), slope

    def edge(value):
        ratio = (value / theta.clip(tiny, None)) ** (1 / gamma)
        return xp.where(ratio * P <= N, N / ratio.clip(tiny, None) - P, N - ratio * P)

    return _solved(at, edge, counts, total, axis, theta)


def _above_least(P, counts, axis):
    """Return P − min P, the least taken over the entries of each group that count."""
    xp = module_of(P)
    least = xp.amin(xp.where(counts, P, xp.full_like(P, math.inf)), axis=axis, keepdims=True)
    return (P - least.clip(None, xp.finfo(P.dtype).max)).clip(0, None)


def _solved(at, edge, counts, total, axis, stays):
    """Return the entries at the multiplier where each group sums to `total`.

    Newton steps within a bracket, from its lower end; where they leave it, its middle.

    Parameters
    ----------
    at : callable
        multiplier → entries, decreasing, and −(dθ/dν)/θ.
    edge : callable
        value → the multipliers at which each entry has that value: where the first entry reaches
        `total` the sum is too large, where the last falls to its share of it too small.
    counts : array of bool
        Entries that can be positive.
    total, axis, stays
        See `quadratic_summing_to`.
    """
    xp = module_of(stays)
    eps = xp.finfo(stays.dtype).eps
    size = counts.sum(axis=axis, keepdims=True)
    alive = size > 0
    size = size.clip(1, None)

    def most(value):
        with np.errstate(over="ignore"):
            found = xp.where(counts, edge(value), xp.full_like(stays, -math.inf))
        found = xp.amax(found, axis=axis, keepdims=True)
        return xp.where(alive, found, xp.ones_like(found))

    low, high = most(total), most(total / size)
    nu = low
    for _ in range(STEPS):
        theta, slope = at(nu)
        miss = theta.sum(axis=axis, keepdims=True) - total
        low, high = xp.where(miss > 0, nu, low), xp.where(miss < 0, nu, high)
        newton = nu + miss / (theta * slope).sum(axis=axis, keepdims=True).clip(eps * eps, None)
        positive = (low > 0) & (high > 0)  # multipliers of several magnitudes: the geometric mean
        middle = xp.where(
            positive, xp.sqrt(low.clip(0, None)) * xp.sqrt(high.clip(0, None)), (low + high) / 2
        )
        following = xp.where((newton >= low) & (newton <= high), newton, middle)
        done = (abs(miss) <= 8 * eps * total) | (following == nu) | ~alive
        if bool(done.all()):
            break
        nu = xp.where(done, nu, following)
    sums = theta.sum(axis=axis, keepdims=True)
    theta = theta * (total / xp.where(alive, sums, xp.ones_like(sums)))
    return xp.where(alive, theta, stays)


def _kept(theta, counts):
    xp = module_of(theta)
    return xp.where(counts, theta, xp.zeros_like(theta))
