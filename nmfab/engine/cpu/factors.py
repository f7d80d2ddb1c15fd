"""What surrounds the kernels, compiled like them: A in their layouts, and the steps of B.

torch would take several operations for each, every one a pass over memory; next to the kernels of
a small problem what torch and Python take to begin them is a tenth of an iteration.
"""

import numba
import numpy as np
from numba import types

from nmfab.engine.cpu.kernels import compiled, edge


def fold_of(rank, lanes):
    """Return how many of A's rows share a vector in what is left over of the components, or 1.

    Of 20 components 16 fill a vector, and 4 would leave 12 lanes of theirs idle. Folded by 4, a
    vector holds 4 rows of A: those entries of the first component, then of the second, ...
    """
    left, fold = rank % lanes, 1
    while left and fold < 4 and left * fold * 2 <= lanes:
        fold *= 2
    return fold


def edges(columns, lanes):
    """Return where tiles of so many columns begin, and where the last ends."""
    found = [0]
    while found[-1] < columns:
        found.append(edge.py_func(len(found), columns, lanes))
    return np.array(found)


@compiled
def pack(At, edges, tiles):
    """Copy Aᵀ, rank × columns, to tiles: each rank rows of a few vectors.

    What follows the columns in the last tile stays as it is, zeros.
    """
    rank = len(At)
    for tile in range(len(edges) - 1):
        c, end = edges[tile], edges[tile + 1]
        for k in range(rank):
            of_a, row = At[k, c:end], tiles[c * rank + k * (end - c) :]
            for j in range(len(of_a)):
                row[j] = of_a[j]


@compiled
def unpack(tiles, edges, sums):
    """Copy tiles to rank × columns, and leave zeros in them."""
    rank = len(sums)
    for tile in range(len(edges) - 1):
        c, end = edges[tile], edges[tile + 1]
        for k in range(rank):
            of_a, row = sums[k, c:end], tiles[c * rank + k * (end - c) :]
            for j in range(len(of_a)):
                of_a[j] = row[j]
    tiles[:] = 0


@compiled
def multiply(B, b_step, rows, rank, N, P, step, tiny, root):
    """Multiply rows of B by those of N, or where `root` is true by the square root of N / P.

    All are lines of memory, whose rows begin every `b_step` or `step` entries.
    """
    for i in range(rows):
        of_b, of_n = B[i * b_step :][:rank], N[i * step :][:rank]
        if root:
            of_p = P[i * step :][:rank]
            for k in range(rank):
                of_b[k] *= np.sqrt(of_n[k] / max(of_p[k], tiny))
        else:
            for k in range(rank):
                of_b[k] *= of_n[k]


@compiled
def extrapolate(B, b_step, rows, rank, before, alpha):
    """Add to rows of B what they have grown by, times `alpha`; keep in `before` what they were."""
    for i in range(rows):
        of_b, was = B[i * b_step :][:rank], before[i]
        for k in range(rank):
            now = of_b[k]
            of_b[k] += alpha * max(now - was[k], 0)
            was[k] = now


@compiled
def multiply_ahead(B, b_step, rows, rank, N, P, step, tiny, root, weights, before, uphill):
    """Multiply as `multiply` does; add gradient times step since `before` to `uphill`.

    The gradient is P − N = P (1 − N / P); where no root is taken N is N / P already, and P are the
    weights.
    """
    for i in range(rows):
        of_b, of_n, was = B[i * b_step :][:rank], N[i * step :][:rank], before[i]
        if root:
            of_p = P[i * step :][:rank]
            for k in range(rank):
                below = max(of_p[k], tiny)
                ratio = of_n[k] / below
                of_b[k] *= np.sqrt(ratio)
                uphill[k] += (of_b[k] - was[k]) * (1 - ratio) * below
        else:
            for k in range(rank):
                of_b[k] *= of_n[k]
                uphill[k] += (of_b[k] - was[k]) * (1 - of_n[k]) * weights[k]


@compiled
def add_rows(B, b_step, rows, rank, total):
    """Add rows of B, a line of memory as in `multiply`, to the total."""
    for i in range(rows):
        of_b = B[i * b_step :][:rank]
        for k in range(rank):
            total[k] += of_b[k]


@compiled
def sum_up(At, weights, inverse, tiny):
    """Put the sum of each component of A into the weights, and 1 over it."""
    parts = np.empty(16, At.dtype)
    for k in range(len(At)):
        of_a = At[k]
        whole = len(of_a) // 16 * 16
        parts[:] = 0
        for c in range(0, whole, 16):
            for j in range(16):
                parts[j] += of_a[c + j]
        weights[k] = max(parts.sum() + of_a[whole:].sum(), tiny)
        inverse[k] = 1 / weights[k]


@compiled
def multiply_A(At, N, P, of_B, tiny, root):
    """Multiply Aᵀ by N / of_B, or where `root` is true by the square root of N / P."""
    for k in range(len(At)):
        of_a, of_n = At[k], N[k]
        if root:
            of_p = P[k]
            for c in range(len(of_a)):
                of_a[c] *= np.sqrt(of_n[c] / max(of_p[c], tiny))
        else:
            total = max(At.dtype.type(of_B[k]), tiny)
            for c in range(len(of_a)):
                of_a[c] *= of_n[c] / total


@compiled
def multiply_A_ahead(At, N, P, of_B, tiny, root, ahead, alpha):
    """Update Aᵀ as `multiply_A` does, but from `ahead`, which is then extrapolated anew.

    Returns
    -------
    uphill : float
        The sum of gradient times step.
    """
    uphill = np.zeros(At.shape[1], At.dtype)
    for k in range(len(At)):
        of_a, of_n, of_p, lead = At[k], N[k], P[k], ahead[k]
        total = max(At.dtype.type(of_B[k]), tiny)
        for c in range(len(of_a)):
            below = max(of_p[c], tiny) if root else total
            ratio = of_n[c] / below
            now = lead[c] * (np.sqrt(ratio) if root else ratio)
            step = now - of_a[c]
            uphill[c] += step * (1 - ratio) * below
            of_a[c] = now
            lead[c] = now + alpha * max(step, 0)
    return uphill.sum()


def compile_for(dtype, ahead=False):
    """Compile for float32 or float64, as `kernels.compile_for` does, with extrapolation or not."""
    value, whole, root = numba.from_dtype(dtype), types.int64, types.boolean
    line, plane = types.Array(value, 1, "C"), types.Array(value, 2, "C")
    sums, edges = types.Array(types.float64, 1, "C"), types.Array(whole, 1, "C")
    B = line, whole, whole, whole
    N = line, line, whole, value, root
    wanted = [
        (pack, plane, edges, line),
        (unpack, line, edges, plane),
        (add_rows, *B, sums),
        (sum_up, plane, line, line, value),
    ]
    if ahead:
        wanted += [
            (extrapolate, *B, plane, value),
            (multiply_ahead, *B, *N, line, plane, sums),
            (multiply_A_ahead, plane, plane, plane, sums, value, root, plane, value),
        ]
    else:
        wanted += [(multiply, *B, *N), (multiply_A, plane, plane, plane, sums, value, root)]
    for function, *arguments in wanted:
        if tuple(arguments) not in function.overloads:
            function.compile(tuple(arguments))
