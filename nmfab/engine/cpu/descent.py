"""HALS's passes over the rows of one factor, compiled: on a few vectors of columns at a time.

Row k becomes max(0, (P_k − Σ_{j≠k} G_kj H_j) / G_kk), P being the other factor's rows times V and G
their products. Rows follow each other, columns depend on nothing but P and G: a tile of columns is
passed over as often as is wanted while it lies in the processor's first cache, 8 rows at a time in
its registers (`tiles.descend`).
"""

import numba
import numpy as np
from numba import types

from nmfab.engine.cpu.kernels import compiled, height_of
from nmfab.engine.cpu.tiles import BITS, VECTORS, accumulate, descend, get, put, turn


@compiled
def _weigh(gram, weights, within, inverse, fixed):
    """Put −G / G_kk into the weights, and into `within` too, by which rows of a tile follow.

    What a row takes from those before it in the same tile is in `within` alone. A component whose
    G_kk is 0 stays as it is. The first `fixed` rows are not passed over, and have no
    weights.
    """
    rank, f = len(gram), fixed
    for k in range(fixed):
        inverse[k] = 1 / gram[k, k] if gram[k, k] > 0 else 0
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
def _turned(zero, lanes, a, a_step, rows, columns, c, c_step):
    """Copy rows × columns at a to c with the axes exchanged."""
    size = BITS // 8 // lanes
    whole_rows, whole_columns = rows // lanes * lanes, columns // lanes * lanes
    for i in range(0, whole_rows, lanes):
        for j in range(0, whole_columns, lanes):
            turn(zero, a + (i * a_step + j) * size, a_step, c + (j * c_step + i) * size, c_step)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            put(get(zero, a, i * a_step + j), c, j * c_step + i)


@compiled
def _moved(zero, lanes, a, a_step, rows, columns, c, c_step):
    """Copy rows × columns at a to c."""
    for i in range(rows):
        for j in range(columns):
            put(get(zero, a, i * a_step + j), c, i * c_step + j)


@compiled
def _look_ahead(of_rows, of_state, c, left, rank, alpha):
    """Put rows of a tile into `found`, and what is extrapolated into their place."""
    rows, row, step = of_rows
    kept, found, k_row, k_step = of_state
    along = step == 1  # whether columns follow each other in memory, or components
    for i in range(rank if along else left):
        start = i * row + c if along else (c + i) * step
        of_state = i * k_row + c if along else (c + i) * k_step
        count = left if along else rank
        own, was, now = rows[start:][:count], kept[of_state:][:count], found[of_state:][:count]
        for j in range(count):
            value = own[j]
            now[j] = value
            own[j] = max(value + alpha * (value - was[j]), 0)


@compiled
def _error(own_rows, own_products, gram, left, at, at_p):
    """Return Σ rows ∘ (G rows − 2 P) of a tile, which holds P / G_kk and then G rows − 2 P."""
    rank, size, zero, error = len(gram), gram.itemsize, gram.dtype.type(0), 0.0
    wide = len(own_rows) // rank
    for k in range(rank):
        given, scale = own_products[k * wide :][:wide], -2 * gram[k, k]
        for j in range(wide):
            given[j] *= scale
    f, of_gram = 0, np.int64(gram.ctypes.data)
    while f < rank:
        height = height_of(rank - f)
        a, to = of_gram + f * rank * size, at_p + f * wide * size
        accumulate(zero, height, VECTORS, rank, a, rank, 1, at, wide, to, wide)
        f += height
    for k in range(rank):
        given, own, sums = own_products[k * wide :][:left], own_rows[k * wide :][:left], zero
        for j in range(left):
            sums += own[j] * given[j]
        error += sums
    return error


@compiled
def minimize(of_products, of_rows, of_state, columns, gram, inner, fixed, alpha):
    """Pass `inner` times over the rows after the first `fixed`, in place.

    Parameters
    ----------
    of_products : tuple (ndarray [shape=(size,)], int, int)
        P: a line of memory, and the steps in it from one row to the next and within a row, one of
        which is 1.
    of_rows : tuple (ndarray [shape=(size,)], int, int)
        Likewise.
    of_state : tuple (ndarray [shape=(size,)], ndarray [shape=(size,)], int, int), optional
        Likewise the rows that were kept, and memory for those that are found: where it is given
        they go there, [found + α (found − kept)]₊ takes their place, and the error is computed.
    columns : ndarray [shape=(count, rank or 0)]
        Is left a copy of the rows, transposed, where it has room for them.
    gram : ndarray [shape=(rank, rank)]
        G.
    inner : int
        Passes.
    fixed : int
        Rows that stay as they are.
    alpha : float
        α.

    Returns
    -------
    error : float
        Σ rows ∘ (G rows − 2 P): ‖V − WH‖² − ‖V‖², or the columns' part of it.
    """
    products, p_row, p_step = of_products
    rows, row, step = of_rows
    (count, copied), rank, size = columns.shape, len(gram), rows.itemsize
    lanes, zero = BITS // 8 // size, rows.dtype.type(0)
    wide = VECTORS * lanes
    room = np.empty(2 * rank * (wide + rank) + lanes, rows.dtype)
    begin = (-np.int64(room.ctypes.data)) % (lanes * size) // size  # whole vectors follow
    room = room[begin:]
    own_rows, own_products = room[: rank * wide], room[rank * wide :][: rank * wide]
    squares = room[2 * rank * wide :][: 2 * rank * rank].reshape((2, rank, rank))
    inverse = np.empty(rank, rows.dtype)
    _weigh(gram, squares[0], squares[1], inverse, fixed)
    at = np.int64(room.ctypes.data)
    at_p, at_w = at + rank * wide * size, at + 2 * rank * wide * size
    at_rows, at_given = np.int64(rows.ctypes.data), np.int64(products.ctypes.data)
    at_columns = np.int64(columns.ctypes.data)
    for i in range(2 * rank * wide):
        room[i] = 0
    error, c = 0.0, 0
    while c < count:
        left = min(wide, count - c)
        given, own = at_given + c * p_step * size, at_rows + c * step * size
        if p_step == 1:
            _moved(zero, lanes, given, p_row, rank, left, at_p, wide)
        else:
            _turned(zero, lanes, given, p_step, left, rank, at_p, wide)
        if step == 1:
            _moved(zero, lanes, own, row, rank, left, at, wide)
        else:
            _turned(zero, lanes, own, step, left, rank, at, wide)
        for k in range(rank):
            of_p, scale = own_products[k * wide :][:left], inverse[k]
            for j in range(left):
                of_p[j] *= scale
        for _ in range(inner):
            f = fixed
            while f < rank:
                height, to, of_w = height_of(rank - f), f * wide * size, at_w + f * rank * size
                within = of_w + (rank * rank + f) * size
                descend(zero, height, rank, of_w, rank, at, wide, at_p + to, at + to, within)
                f += height
        if step == 1:
            _moved(zero, lanes, at, wide, rank, left, own, row)
        else:
            _turned(zero, lanes, at, wide, rank, left, own, step)
        if of_state is not None:  # decided when this is compiled
            error += _error(own_rows, own_products, gram, left, at, at_p)
            _look_ahead(of_rows, of_state, c, left, rank, alpha)
        if copied and step == 1:
            _turned(zero, lanes, own, row, rank, left, at_columns + c * copied * size, copied)
        c += left
    return error


def compile_for(dtype, ahead=False):
    """Compile for float32 or float64, as `kernels.compile_for` does, with extrapolation or not."""
    value, whole = numba.from_dtype(dtype), types.int64
    line, plane = types.Array(value, 1, "C"), types.Array(value, 2, "C")
    strided, state = types.Tuple((line, whole, whole)), types.Tuple((line, line, whole, whole))
    signature = strided, strided, state if ahead else types.none, plane, plane, whole, whole, value
    if signature not in minimize.overloads:
        minimize.compile(signature)
