"""HALS's passes over the rows of one factor, compiled: on a few vectors of columns at a time.

Row k becomes max(0, (P_k − Σ_{j≠k} G_kj H_j) / G_kk), P being the other factor's rows times V and G
their products. Rows follow each other, columns depend on nothing but P and G: a tile of columns is
passed over as often as is wanted while it lies in the processor's first cache, 8 rows at a time in
its registers (`tiles.descend`).
"""

import numba
import numpy as np
from numba import types

from nmfab.algorithms.cpu.kernels import compiled, height_of
from nmfab.algorithms.cpu.tiles import BITS, VECTORS, descend


@compiled
def _weigh(gram, weights, within, inverse):
    """Put −G / G_kk into the weights, and into `within` too, by which rows of a tile follow.

    What a row takes from those before it in the same tile is in `within` alone. A component whose
    G_kk is 0 is told to stay as it is.
    """
    rank, f = len(gram), 0
    while f < rank:
        height = height_of(rank - f)
        for k in range(f, f + height):
            square = gram[k, k]
            inverse[k] = 1 / square if square > 0 else 0
            for j in range(rank):
                weight = -gram[k, j] * inverse[k]
                within[k, j] = weight
                weights[k, j] = 0 if f <= j <= k else weight
            if square == 0:
                weights[k, k] = 1
        f += height


@compiled
def _pick(line, start, step, scale, tile):
    """Put entries from `start` on, a step apart, times the scale into a tile's row."""
    if step == 1:
        given = line[start:][: len(tile)]
        for j in range(len(tile)):
            tile[j] = given[j] * scale
    else:
        for j in range(len(tile)):
            tile[j] = line[start + j * step] * scale


@compiled
def minimize(products, p_row, p_step, rows, row, step, count, columns, gram, inner):
    """Pass `inner` times over the rows, in place; return Σ rows ∘ products.

    Parameters
    ----------
    products : ndarray [shape=(size,)]
        A line of memory; P_kc at k · p_row + c · p_step.
    rows : ndarray [shape=(size,)]
        Likewise, by `row` and `step`.
    count : int
        Of columns.
    columns : ndarray [shape=(count, rank)]
        Is left a copy of the rows, transposed; none is made where it is empty.
    gram : ndarray [shape=(rank, rank)]
        G.
    inner : int
    """
    rank, size = len(gram), rows.itemsize
    lanes, zero, one = BITS // 8 // size, rows.dtype.type(0), rows.dtype.type(1)
    most = VECTORS * lanes
    room = np.empty(2 * rank * (most + rank) + lanes, rows.dtype)
    begin = (-np.int64(room.ctypes.data)) % (lanes * size) // size  # whole vectors follow
    room = room[begin:]
    of_rows, of_products = room[: rank * most], room[rank * most :][: rank * most]
    squares = room[2 * rank * most :][: 2 * rank * rank].reshape((2, rank, rank))
    inverse = np.empty(rank, rows.dtype)
    _weigh(gram, squares[0], squares[1], inverse)
    at = np.int64(room.ctypes.data)
    at_p, at_w = at + rank * most * size, at + 2 * rank * most * size
    for i in range(2 * rank * most):
        room[i] = 0
    found, c = 0.0, 0
    while c < count:
        left = min(most, count - c)
        vectors = (left + lanes - 1) // lanes
        wide = vectors * lanes
        for k in range(rank):
            _pick(products, k * p_row + c * p_step, p_step, inverse[k], of_products[k * wide :][:left])
            _pick(rows, k * row + c * step, step, one, of_rows[k * wide :][:left])
        for _ in range(inner):
            f = 0
            while f < rank:
                height, to, own = height_of(rank - f), f * wide * size, at_w + f * rank * size
                after = own + (rank * rank + f) * size
                descend(zero, height, vectors, rank, own, rank, at, wide, at_p + to, at + to, after)
                f += height
        for k in range(rank):
            own, given, sums = of_rows[k * wide :][:left], of_products[k * wide :][:left], zero
            for j in range(left):
                sums += own[j] * given[j]
            found += sums * gram[k, k]
            if step == 1:
                to_row = rows[k * row + c :][:left]
                for j in range(left):
                    to_row[j] = own[j]
            else:
                for j in range(left):
                    rows[k * row + (c + j) * step] = own[j]
            if len(columns):
                for j in range(left):
                    columns[c + j, k] = own[j]
        c += left
    return found


def compile_for(dtype):
    """Compile for float32 or float64, as `kernels.compile_for` does."""
    value, whole = numba.from_dtype(dtype), types.int64
    line, plane = types.Array(value, 1, "C"), types.Array(value, 2, "C")
    signature = (line, whole, whole, line, whole, whole, whole, plane, plane, whole)
    if signature not in minimize.overloads:
        minimize.compile(signature)
