"""Triton kernels of a multiplicative update; the only file that imports triton, at its first use.

F (n × rank) is updated, D (m × rank) held fixed, and V ≈ D Fᵀ (m × n), all by strides: the update
of H has F = Hᵀ, D = W; that of W has F = W, D = Hᵀ and Vᵀ in the place of V. Ranks are filled up
with zeros to a power of two. Numbers that stay the same for a run (β, floors) are compiled in.
"""

import triton
import triton.language as tl


@triton.jit
def gather(
    V, D, F, N, P,
    m, n, rank, span,
    v_i, v_j, d_b, d_i, d_r, f_b, f_j, f_r, n_s, n_b, n_j, n_r, p_s, p_b, p_j, p_r,
    beta: tl.constexpr, floor: tl.constexpr, precision: tl.constexpr, masked: tl.constexpr,
    R: tl.constexpr, TILE_N: tl.constexpr, TILE_M: tl.constexpr,
):  # fmt: skip
    """Add up numerator and denominator of TILE_N rows of F over `span` rows of V.

    N and P are (splits × batch × n × rank). At β = 1 the denominator is the same for all rows (P's
    stride over n is 0), at β = 2 it is not needed. V is read once, and D Fᵀ never leaves the chip.
    Where it is `masked`, zeros of V are left out of both.
    """
    split, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    j = tl.program_id(0) * TILE_N + tl.arange(0, TILE_N)
    r = tl.arange(0, R)
    own = (j < n)[:, None] & (r < rank)[None, :]
    dtype = N.dtype.element_ty
    Ft = tl.load(F + batch * f_b + j[:, None] * f_j + r[None, :] * f_r, mask=own, other=0.0)
    above = tl.zeros((TILE_N, R), dtype=dtype)
    below = tl.zeros((TILE_N, R), dtype=dtype)
    sums = tl.zeros((R,), dtype=dtype)
    first = split * span
    last = tl.minimum(first + span, m)
    columns = V + j.to(tl.int64)[:, None] * v_j
    components = D + batch * d_b + r[None, :] * d_r
    for start in range(first, last, TILE_M):
        i = start + tl.arange(0, TILE_M)
        there = i < last
        rows = i.to(tl.int64)
        Dt = tl.load(
            components + rows[:, None] * d_i,
            mask=there[:, None] & (r < rank)[None, :],
            other=0.0,
        )
        weighted = tl.load(
            columns + rows[None, :] * v_i, mask=(j < n)[:, None] & there[None, :], other=0.0
        )
        if beta != 2:
            model = tl.dot(Ft, tl.trans(Dt), input_precision=precision, out_dtype=dtype) + floor
            if beta == 1:
                weighted = weighted / model
                sums += tl.sum(Dt, 0)
            else:
                # beyond V's rows any finite number does: D is zero there
                model = tl.where(there[None, :], model, 1.0)
                sounds = weighted > 0
                if beta == 0:
                    power = 1.0 / model
                    weighted = weighted * power * power
                elif beta == 3:
                    power = model * model
                    weighted = weighted * model
                else:
                    power = tl.exp2((beta - 2) * tl.log2(model))
                    weighted = weighted * power
                    power = power * model
                if masked:  # also of what a power that is infinite has made NaN
                    weighted = tl.where(sounds, weighted, 0.0)
                    power = tl.where(sounds, power, 0.0)
                below = tl.dot(power, Dt, below, input_precision=precision, out_dtype=dtype)
        above = tl.dot(weighted, Dt, above, input_precision=precision, out_dtype=dtype)
    rows = j.to(tl.int64)[:, None]
    where_N = N + split.to(tl.int64) * n_s + batch * n_b
    tl.store(where_N + rows * n_j + r[None, :] * n_r, above, mask=own)
    where_P = P + split.to(tl.int64) * p_s + batch * p_b
    if beta == 1:
        # every tile has found the same
        tl.store(where_P + r * p_r, sums, mask=(r < rank) & (tl.program_id(0) == 0))
    elif beta != 2:
        tl.store(where_P + rows * p_j + r[None, :] * p_r, below, mask=own)


@triton.jit
def finish(
    F, N, P,
    n, rank, splits, fixed,
    f_b, f_j, f_r, n_s, n_b, n_j, n_r, p_s, p_b, p_j, p_r,
    beta: tl.constexpr, gamma: tl.constexpr, tiny: tl.constexpr, largest: tl.constexpr,
    R: tl.constexpr, TILE_N: tl.constexpr,
):  # fmt: skip
    """Multiply TILE_N rows of F by (N / P)^gamma, the splits added up in their order.

    The first `fixed` columns of F stay as they are.
    At β = 2 the denominator is given whole: P has one split.
    """
    batch = tl.program_id(1).to(tl.int64)
    j = tl.program_id(0) * TILE_N + tl.arange(0, TILE_N)
    r = tl.arange(0, R)
    own = (j < n)[:, None] & (r < rank)[None, :]
    rows = j.to(tl.int64)[:, None]
    where_N = N + batch * n_b + rows * n_j + r[None, :] * n_r
    where_P = P + batch * p_b + rows * p_j + r[None, :] * p_r
    above = tl.load(where_N, mask=own, other=0.0)
    below = tl.load(where_P, mask=own, other=0.0)
    for split in range(1, splits):
        above += tl.load(where_N + tl.cast(split, tl.int64) * n_s, mask=own, other=0.0)
        if beta != 2:
            below += tl.load(where_P + tl.cast(split, tl.int64) * p_s, mask=own, other=0.0)
    # with a denominator so small the factor is zero, and stays so; NaN is to be seen, not hidden
    ratio = above / tl.maximum(below, tiny, propagate_nan=tl.PropagateNan.ALL)
    ratio = tl.minimum(ratio, largest, propagate_nan=tl.PropagateNan.ALL)
    if gamma == 0.5:
        ratio = tl.sqrt(ratio)
    elif gamma != 1:
        # the logarithm of 0 is not taken
        powers = tl.exp2(gamma * tl.log2(tl.where(ratio > 0, ratio, 1.0)))
        ratio = tl.where(ratio > 0, powers, ratio)
    where_F = F + batch * f_b + rows * f_j + r[None, :] * f_r
    own = own & (r >= fixed)[None, :]
    tl.store(where_F, tl.load(where_F, mask=own, other=0.0) * ratio, mask=own)
