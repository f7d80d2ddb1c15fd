"""What surrounds the kernels, compiled like them: A in their layouts, and the steps of B.

torch would take several operations for each, every one a pass over memory; next to the kernels of
a small problem what torch and Python take to begin them is a tenth of an iteration.
"""

import numba
import numpy as np
from numba import types

from nmfab.algorithms.cpu.kernels import compiled, edge


def fold_of(rank, lanes):
    """Return how many of A's rows share a vector in what is left over of the components, or 1.

    Of 20 components 16 fill a vector, and 4 would leave 12 lanes of theirs idle. Folded by 4, a
    vector holds 4 rows of A: those entries of the first component, then of the second, ...
    """
    left, fold = rank % lanes, 1
    while left and left * fold * 2 <= lanes:
        fold *= 2
    return fold


def edges(columns, lanes):
    """Return where tiles of so many columns begin, and where the last ends."""
    found = [0]
    while found[-1] < columns:
        found.append(edge.py_func(len(found), columns, lanes))
    return np.array(found)


class Layout:
    """Aᵀ, rank × columns, laid out as `kernels.update` reads A: columns × whole vectors.

    Parameters
    ----------
    At : ndarray [shape=(rank, columns)]
        Read at each `fill`.
    lanes : int
        Entries of a vector.
    """

    def __init__(self, At, lanes):
        rank, columns = At.shape
        self.fold = fold = fold_of(rank, lanes)
        wide, high = (-(-size // lanes) * lanes for size in (rank, columns))
        self.A = np.zeros((high, wide), At.dtype)
        whole = rank if fold == 1 else wide - lanes
        # what goes where, with the components that it is of
        self._parts = [(At[:whole].T, slice(whole), self.A[:columns, :whole])]
        if fold > 1:
            left, full = rank - whole, columns // fold * fold
            folded = self.A[:, whole:].reshape(high, -1, fold)[:, :left]
            many = At[whole:, :full].reshape(left, full // fold, fold).swapaxes(0, 1)
            own = slice(whole, rank), None
            self._parts.append((many, own, folded[:full:fold]))
            if full < columns:
                few = columns - full
                self._parts.append((At[whole:, full:], own, folded[full, :, :few]))

    def fill(self, weights):
        """Copy A, each component divided by its weight."""
        for source, components, target in self._parts:
            np.divide(source, weights[components], out=target)


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
def multiply_A(At, N, P, of_B, tiny, root):
    """Multiply Aᵀ by N / of_B, or where `root` is true by the square root of N / P."""
    for k in range(len(At)):
        of_a, of_n = At[k], N[k]
        if root:
            of_p = P[k]
            for c in range(len(of_a)):
                of_a[c] *= np.sqrt(of_n[c] / max(of_p[c], tiny))
        else:
            total = max(of_B[k], tiny)
            for c in range(len(of_a)):
                of_a[c] *= of_n[c] / total


def compile_for(dtype):
    """Compile for float32 or float64, as `kernels.compile_for` does."""
    value, whole, root = numba.from_dtype(dtype), types.int64, types.boolean
    line, plane = types.Array(value, 1, "C"), types.Array(value, 2, "C")
    sums, edges = types.Array(types.float64, 1, "C"), types.Array(whole, 1, "C")
    B = line, whole, whole, whole
    N = line, line, whole, value, root
    for function, *arguments in (
        (pack, plane, edges, line),
        (unpack, line, edges, plane),
        (multiply, *B, *N),
        (extrapolate, *B, plane, value),
        (multiply_ahead, *B, *N, line, plane, sums),
        (add_rows, *B, sums),
        (multiply_A, plane, plane, plane, line, value, root),
    ):
        if tuple(arguments) not in function.overloads:
            function.compile(tuple(arguments))
