"""HALS on a CPU: rows of H, then of Wᵀ, minimized one after another, as products of blocks of rows.

Row k of H is set to max(0, (P_k − Σ_{j≠k} G_kj H_j) / G_kk), P = WᵀV and G = WᵀW. What the rows
outside a block of 16 contribute to it is one matrix product; only the rows inside follow each
other. Columns depend on nothing but P and G, so each thread has its own.
"""

from itertools import pairwise
from typing import NamedTuple

from nmfab.algorithms.torch_crew import Crew, one_thread
from nmfab.algorithms.torch_sweep import rank_of

ROWS = 16
# Entries of V that are worth a thread of their own: the operations on single rows are short, and
# on less than that threads wait for each other's Python.
THREAD_SIZE = 1 << 21


class Side(NamedTuple):
    """One factor, rank × its length, and the same with the axes exchanged."""

    rows: object
    columns: object


class Part:
    """Columns first to last of one factor, which one thread minimizes over.

    Parameters
    ----------
    X : tensor [shape=(long, short)]
        V or its transpose.
    factor, other : Side
        What is updated, and what is held fixed.
    first, last : int
    on_long : bool
        Whether the factor is the one of the longer side.
    """

    def __init__(self, X, factor, other, first, last, on_long):
        self.rows, self.columns = factor.rows[:, first:last], factor.columns[first:last]
        self.X = X[first:last] if on_long else X[:, first:last]
        self.other, self.on_long = other, on_long
        rank = len(self.rows)
        self.products = X.new_empty(self.rows.shape)
        self.gram = X.new_empty(rank, rank)
        self.tail = X.new_empty(min(rank, ROWS), last - first)
        self.row = X.new_empty(last - first)
        # what a pass reads at each row, cut once: weights within the block, and outside it
        self.within, self.outside = X.new_empty(rank, rank), X.new_empty(rank, rank)
        self.plan = [self._cut(a, min(a + ROWS, rank)) for a in range(0, rank, ROWS)]

    def _cut(self, a, b):
        rows = [
            (self.tail[k - a], self.rows[a:b].mT, self.within[k, a:b], self.rows[k])
            for k in range(a, b)
        ]
        return self.products[a:b], self.outside[a:b], self.tail[: b - a], rows

    def minimize(self, gram, inner):
        """Pass `inner` times over the rows; `gram` is that of the other factor."""
        self.solve(gram, inner)
        self.close()

    def solve(self, gram, inner):
        """Pass over the rows, and leave what is derived from them as it was."""
        import torch

        if self.on_long:
            self.products.copy_(torch.mm(self.X, self.other.columns).mT)
        else:
            torch.mm(self.other.rows, self.X, out=self.products)
        self._weigh(gram)
        for _ in range(inner):
            for products, outside, tail, rows in self.plan:
                torch.addmm(products, outside, self.rows, alpha=-1, out=tail)
                for begin, block, weights, row in rows:
                    torch.addmv(begin, block, weights, alpha=-1, out=self.row)
                    torch.clamp_min(self.row, 0, out=row)

    def close(self):
        """Renew what is derived from the rows: columns and gram."""
        import torch

        self.columns.copy_(self.rows.mT)
        torch.mm(self.rows, self.columns, out=self.gram)

    def _weigh(self, gram):
        """Divide by G_kk; a component whose G_kk is 0 is told to stay as it is."""
        diagonal = gram.diagonal()
        dead = diagonal == 0
        self.square = diagonal.masked_fill(dead, 1)[:, None]
        self.products.div_(self.square)
        weights = gram / self.square
        weights.diagonal().copy_(-dead.to(gram.dtype))
        self.outside.copy_(weights)
        for a in range(0, len(gram), ROWS):
            self.outside[a : a + ROWS, a : a + ROWS] = 0
        self.within.copy_(weights)


class Problem:
    """One factorization: the parts of H and of W, and the gram of W."""

    part = Part

    def __init__(self, X, W, H, cuts):
        W, H = (Side(factor, factor.mT.contiguous()) for factor in (W, H))
        by_columns = len(X) == H.rows.shape[1]
        self.H = [self.part(X, H, W, a, b, by_columns) for a, b in cuts(H.rows.shape[1])]
        self.W = [self.part(X, W, H, a, b, not by_columns) for a, b in cuts(W.rows.shape[1])]
        self.gram_W = W.rows @ W.columns

    def iterate(self, each, inner, update_W):
        """Minimize over H, then over W; ``each(parts, function)`` calls it with every part."""
        each(self.H, lambda part: part.minimize(self.gram_W, inner))
        if update_W:
            gram = total(part.gram for part in self.H)
            each(self.W, lambda part: part.minimize(gram, inner))
            self.gram_W = total(part.gram for part in self.W)


class Sweeps:
    """All problems of one call: who computes what, and the iteration.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Copied, unless its longer side lies first in memory.
    W, H : tensor [shape=(batch, m, rank), (batch, rank, n)]
        The starts; components at the end that are zero everywhere are left out.
    inner : int
        Passes over the rows of a factor in each iteration.
    update_W : bool
    kind : type
        Of the problems.
    """

    def __init__(self, V, W, H, inner, update_W, kind=Problem):
        import torch

        X = (V.mT if V.shape[1] >= V.shape[0] else V).contiguous()
        self.inner, self.update_W = inner, update_W
        self.Wt, self.H = W.mT.contiguous(), H.clone(memory_format=torch.contiguous_format)
        count = min(torch.get_num_threads(), max(1, V.numel() // THREAD_SIZE))
        self.crew = Crew(count)
        whole = len(W) // count * count
        self.problems = []
        for i in range(len(W)):
            rank = rank_of(W[i], H[i])
            cuts = _one if i < whole else lambda length: _parts(length, count)
            self.problems.append(kind(X, self.Wt[i, :rank], self.H[i, :rank], cuts))
        self.lists = [self.problems[i:whole:count] for i in range(count)]
        self.shared = self.problems[whole:]

    def factors(self):
        """Return W and H, views that the next iteration overwrites."""
        return self.Wt.mT, self.H

    def iterate(self):
        """Yield after each iteration."""
        try:
            while True:
                with one_thread():
                    self._iterate()
                yield
        finally:
            self.crew.close()

    def _iterate(self):
        if self.lists[0]:
            self.crew.run([lambda own=own: self._whole(own) for own in self.lists])
        for problem in self.shared:
            problem.iterate(self._together, self.inner, self.update_W)

    def _whole(self, problems):
        for problem in problems:
            problem.iterate(_in_turn, self.inner, self.update_W)

    def _together(self, parts, function):
        self.crew.run([lambda part=part: function(part) for part in parts])


def _in_turn(parts, function):
    for part in parts:
        function(part)


def _one(length):
    return [(0, length)]


def _parts(length, count):
    """Cut a range among threads; a thread may get nothing of a very short one."""
    return [
        cut for cut in pairwise(length * i // count for i in range(count + 1)) if cut[0] < cut[1]
    ]


def total(grams):
    """Return the sum of what the parts have, in their order."""
    return sum(grams)
