"""Kernels of the sweep over V on a CPU at β of 1 and 0, compiled where they run (numba).

A product of matrices leaves W·H in memory, a division reads it and writes the ratio, the next
product reads that. Here 8 rows and 3 vectors of columns of W·H are made in the processor's
registers, divided there, and used while they lie in its first cache (`tiles`). There are three
products in an update:

- the model of some rows and columns: sums over components of B's entries times rows of Aᵀ;
- N of those rows: over columns of the ratio's entries times rows of A;
- what they add to A's numerator: over rows of B's entries times rows of the ratio.

Aᵀ, and the sums for it, lie tile by tile, each a few vectors wide (`factors.pack`). Addresses are
integers, steps from one row to the next are entries; the type of `floor` is that of the entries.
"""

from hashlib import sha256
from pathlib import Path

import numba
from numba import njit, types

from nmfab.engine.cpu import tiles as code
from nmfab.engine.cpu.tiles import BITS, HEIGHTS, ROWS, VECTORS, accumulate, get, put, weigh

# Rows of a block whose ratio is made before it is used: 9 KiB of it beside a tile of A.
GROUP = 48


def scratch_size(lanes):
    """Return how many entries the kernels work in, with so many to a vector."""
    return (2 * GROUP + ROWS) * VECTORS * lanes


def _digest():
    """Return a few letters that change with the files which kernels are made of."""
    sources = [Path(file).read_bytes() for file in (__file__, code.__file__)]
    return sha256(b"".join(sources)).hexdigest()[:8]


DIGEST = _digest()


def compiled(function):
    """Compile with numba, which keeps the result under the function's name.

    It looks at the function's own file alone to tell whether what it keeps is still right: the name
    is to tell of the other files.
    """
    function.__qualname__ += f"_{DIGEST}"
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that could keep it
        return njit(**options)(function)


@compiled
def height_of(left):
    """Return the height of the next tile of so many rows."""
    for height in HEIGHTS:
        if left >= height:
            return height
    return 0


@compiled
def edge(i, columns, lanes):
    """Return where tile i of so many columns begins: of up to VECTORS vectors, all about alike."""
    vectors = (columns + lanes - 1) // lanes
    tiles = (vectors + VECTORS - 1) // VECTORS
    return vectors * i // tiles * lanes


@compiled
def _add(floor, size, rows, width, count, a, row_step, step, w, w_step, c, c_step):
    """Add a product of any number of rows to c; see `_product`."""
    f = 0
    while f < rows:
        height = height_of(rows - f)
        own, to = a + f * row_step * size, c + f * c_step * size
        accumulate(floor, height, width, count, own, row_step, step, w, w_step, to, c_step)
        f += height


@compiled
def _ratio(
    floor, lanes, x, x_step, ahead, left, b, b_step, rank, t, wide, rows, scratch, p, masked
):
    """Fill the scratch, rows × wide, with the ratio; where p is true, the inverse follows it."""
    size = BITS // 8 // lanes
    room = GROUP * VECTORS * lanes * size
    spare, f = scratch + 2 * room, 0
    while f < rows:
        height = height_of(rows - f)
        at, step = x + f * x_step * size, x_step
        if wide - left > (rows - f - height) * x_step:
            # a vector that reaches beyond its row takes up the next one's entries, which meet zeros
            # in A; but here it would reach beyond the last, where memory may end
            for i in range(height):
                for j in range(left):
                    put(get(floor, at, i * x_step + j), spare, i * wide + j)
            at, step = spare, wide
        own, to = b + f * b_step * size, scratch + f * wide * size
        inverse = to + room if p else 0
        vectors = wide // lanes
        weigh(
            floor, height, vectors, rank, own, b_step, t, wide, at, step, ahead, to, wide, inverse
        )
        if masked is not None:  # decided when this is compiled: the branch alone takes time
            code.silence(floor, height, vectors, at, step, inverse, wide)
        f += height
    return scratch + room


@compiled
def _unfold(floor, size, lanes, fold, at):
    """Put the sum of every `fold` entries of a vector at its beginning."""
    for k in range(lanes // fold):
        total = floor - floor
        for j in range(fold):
            total += get(floor, at, k * fold + j)
        put(total, at, k)


@compiled
def update(
    floor, lanes, x, x_step, columns, b, b_step, rank, rows, tiles, a, a_step, fold, n, p, work,
    masked,
):  # fmt: skip
    """Put N, and P where that is an address, of some rows of B (rows × a_step) at n and p.

    Parameters
    ----------
    floor : float32 or float64
        Added to the model.
    lanes : int
        Entries of a vector.
    x, x_step, columns : int
        X's rows × columns.
    b, b_step, rank, rows : int
        B's rows × rank.
    tiles : int
        Aᵀ, see `factors.pack`.
    a, a_step : int
        A, columns × a_step, zeros after its entries: whole vectors of components, and of columns.
    fold : int
        So many rows of A share their last vector, in the first of them; see `factors.fold_of`.
    n, p : int
        rows × a_step.
    work : int
        `scratch_size` entries, zeros at first.
    masked : int, optional
        Given, zeros of X are left out of P.
    """
    size = BITS // 8 // lanes
    for i in range(rows * a_step):
        put(floor - floor, n, i)
        if p:
            put(floor - floor, p, i)
    whole = a_step - lanes if fold > 1 else a_step
    tile, c = 0, 0
    while c < columns:
        tile += 1
        end = edge(tile, columns, lanes)
        left, wide, t = columns - c, end - c, tiles + c * rank * size
        ahead = wide if left > wide else rows * x_step - c  # the next tile, or block of rows
        for g in range(0, rows, GROUP):
            group = min(GROUP, rows - g)
            at, of_b = x + (g * x_step + c) * size, b + g * b_step * size
            inverse = _ratio(
                floor, lanes, at, x_step, ahead, left, of_b, b_step, rank, t, wide, group, work, p,
                masked,
            )  # fmt: skip
            k, inside = 0, min(wide, left)
            while k < a_step:
                width, step = min(VECTORS, (whole - k) // lanes), 1
                if k == whole:
                    width, step = -fold, fold
                count, w = (inside + step - 1) // step, a + (c * a_step + k) * size
                to = (g * a_step + k) * size
                for of_p in range(2 if p else 1):  # written once, that it is compiled once
                    own, out = (inverse, p + to) if of_p else (work, n + to)
                    w_step = step * a_step
                    _add(floor, size, group, width, count, own, wide, step, w, w_step, out, a_step)
                k += max(width, 1) * lanes
        c = end
    if whole < a_step:
        for i in range(rows):
            _unfold(floor, size, lanes, fold, n + (i * a_step + whole) * size)
            if p:
                _unfold(floor, size, lanes, fold, p + (i * a_step + whole) * size)


@compiled
def gather(floor, lanes, x, x_step, columns, b, b_step, rank, rows, tiles, n, p, work, masked):
    """Add what some rows of B give to the tiles of A's N, and of its P where that is an address."""
    size = BITS // 8 // lanes
    tile, c = 0, 0
    while c < columns:
        tile += 1
        end = edge(tile, columns, lanes)
        left, wide, of_tile = columns - c, end - c, c * rank * size
        ahead = wide if left > wide else rows * x_step - c
        t, vectors = tiles + of_tile, wide // lanes
        for g in range(0, rows, GROUP):
            group = min(GROUP, rows - g)
            at, of_b = x + (g * x_step + c) * size, b + g * b_step * size
            inverse = _ratio(
                floor, lanes, at, x_step, ahead, left, of_b, b_step, rank, t, wide, group, work, p,
                masked,
            )  # fmt: skip
            for of_p in range(2 if p else 1):
                own, to = (inverse, p + of_tile) if of_p else (work, n + of_tile)
                _add(floor, size, rank, vectors, group, of_b, 1, b_step, own, wide, to, wide)
        c = end


@compiled
def lay(floor, lanes, at, columns, rank, scales, a, a_step, fold):
    """Copy A from Aᵀ, rank × columns, each component times its scale, to where `update` reads it.

    Some columns at a time, so that what is written across stays in cache.
    """
    size = BITS // 8 // lanes
    whole = a_step - lanes if fold > 1 else rank
    for first in range(0, columns, lanes):
        last = min(first + lanes, columns)
        for k in range(rank):
            scale, own = get(floor, scales, k), at + k * columns * size
            if k < whole:
                for c in range(first, last):
                    put(get(floor, own, c) * scale, a, c * a_step + k)
            else:
                to = a + (whole + (k - whole) * fold) * size
                for c in range(first, last, fold):
                    for j in range(min(fold, last - c)):
                        put(get(floor, own, c + j) * scale, to, c * a_step + j)


def compile_for(dtype, masked=False):
    """Compile for float32 or float64: seconds the first time, then read from numba's cache."""
    last = [types.int64 if masked else types.none]
    for function, more in ((update, last), (gather, last), (lay, [])):
        count = function.py_func.__code__.co_argcount - 1 - len(more)
        signature = (numba.from_dtype(dtype), *[types.int64] * count, *more)
        if signature not in function.overloads:
            function.compile(signature)
