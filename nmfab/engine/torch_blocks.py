"""Rows of one problem of `torch_sweep`, swept in blocks: what is computed, and in which memory."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nmfab.base.divergence import WH_FLOOR


class Block(NamedTuple):
    """Rows of X and of B, and the scratch of the thread that sweeps them, as views.

    Where kernels serve, only X, B, N, P, `before` and `lines` are there.
    """

    X: Any  # rows × short
    B: Any  # rows × rank
    Bt: Any  # rank × rows
    raised: Any  # rows × (extra + rank): perhaps a column of ones before B
    model: Any  # rows × short
    weighted: Any  # rows × short
    both: Any  # (2 · rows) × short: model, weighted
    N: Any  # rows × rank
    P: Any  # rows × rank
    PN: Any  # (2 · rows) × rank
    before: Any  # rows × rank: B of the previous iteration, where that is kept
    step: Any  # rows × rank
    lines: Any  # B, N and P as `cpu.factors.multiply` wants them, or None


class Scratch:
    """Memory that one thread uses for one block after another.

    Parameters
    ----------
    cells : int
        Entries of the model of a block.
    small : int
        Entries of B's rows of a block, filled up to whole vectors.
    kernels : int
        Entries that `cpu.kernels` works in.
    like : tensor
    """

    def __init__(self, cells, small, kernels, like):
        self.values = like.new_empty(2 * cells)
        self.small = like.new_empty(3 * small)
        self.kernels = like.new_zeros(kernels)  # what is not zero is an entry of X

    def cut(self, problem, first, last):
        """Return the `Block` of rows first to last of X and B."""
        X, B, before = (
            None if whole is None else whole[first:last]
            for whole in (problem.X, problem.B, problem.before)
        )
        rows, short, rank = len(X), X.shape[1], B.shape[1]
        if problem.fused:
            wide = problem.fused.wide
            N, P = (self.small[i * rows * wide :][: rows * wide].view(rows, wide) for i in (0, 1))
            lines = line_of(B), B.stride(0), rows, rank, line_of(N), line_of(P), wide
            return Block(X, B, *[None] * 5, N, P, None, before, None, lines)
        both = X
        if problem.beta != 2:
            both = self.values[: 2 * rows * short].view(2 * rows, short)
        PNS = self.small[: 3 * rows * rank].view(3 * rows, rank)
        products = PNS[rows : 2 * rows], PNS[:rows], PNS[: 2 * rows]
        models = both[:rows], both[rows:], both
        raised = problem.raised[first:last]
        return Block(X, B, B.mT, raised, *models, *products, before, PNS[2 * rows :], None)


def line_of(matrix):
    """Return the memory of a matrix, from its first entry to its last."""
    last = sum((size - 1) * step for size, step in zip(matrix.shape, matrix.stride(), strict=True))
    return matrix.as_strided((last + 1 if matrix.numel() else 0,), (1,)).numpy()


class Share:
    """The rows of one problem that one thread sweeps, and what they add up to for A."""

    def __init__(self, problem, first, last, scratch, rows):
        self.problem = problem
        self.B = problem.B[first:last]
        count = max(1, -(-(last - first) // rows))
        edges = [first + (last - first) * i // count for i in range(count + 1)]
        self.blocks = [scratch.cut(problem, *edge) for edge in pairwise(edges)]
        # numerator and denominator of A's update, rank × short; at β of 1 and 2 the latter is
        # known from sums over B, or from BᵀB
        sums = 1 if problem.beta in (1, 2) else 2
        self.sums = problem.At.new_zeros(sums, *problem.At.shape)
        self.of_B = None
        self.uphill = 0.0  # see torch_amu
        if problem.fused:
            self.scratch = scratch  # the calls hold addresses in it
            self.tiles = problem.At.new_zeros(sums, len(problem.fused.tiles))
            self.calls = [problem.fused.calls(b, self.tiles, scratch) for b in self.blocks]
            self.sums = self.sums.numpy()
            self.gathered = list(zip(self.tiles.numpy(), self.sums, strict=True))

    def sweep(self, update=True, gather=True):
        """Update B's rows, gather what A's update needs, or both; yield after each block."""
        step = {1: _sweep_kl, 2: _sweep_euclidean}.get(self.problem.beta, _sweep_general)
        if self.problem.fused:
            step = _sweep_fused
        else:
            self.sums.zero_()
        yield from step(self, self.problem, update, gather)
        if gather and self.problem.beta == 1 and not self.problem.fused:
            self.of_B = self.B.sum(0)
        elif gather and self.problem.beta == 2:
            self.of_B = self.B.mT @ self.B


class Fused:
    """One problem as `cpu.kernels` wants it: A in whole vectors, Aᵀ in tiles, and their addresses.

    Parameters
    ----------
    problem : Multiplicative
    kernels : module
        `cpu.kernels`.
    """

    def __init__(self, problem, kernels):
        import torch

        from nmfab.engine.cpu import factors

        self.kernels, self.factors = kernels, factors
        like, (rank, short) = problem.At, problem.At.shape
        self.lanes = kernels.BITS // 8 // like.element_size()
        self.fold = factors.fold_of(rank, self.lanes)
        columns, self.wide = (-(-size // self.lanes) * self.lanes for size in (short, rank))
        self.At, self.A = problem.At.numpy(), like.new_zeros(columns, self.wide)
        self.edges = factors.edges(short, self.lanes)
        self.tiles = like.new_zeros(columns * rank)
        self.tiles_ahead = None
        self.real = self.At.dtype.type
        self.floor, self.tiny = self.real(WH_FLOOR), self.real(torch.finfo(like.dtype).tiny)
        self.squared, self.fixed = problem.beta == 0, problem.fixed
        self.masked = 1 if problem.masked else None
        # the sums of A at β = 1, and what A is multiplied by where `update` reads it
        self.weights, self.inverse = np.ones((2, rank), self.real)
        self.nothing = np.zeros(rank)  # in place of sums of B, where none are wanted
        self.scratch = kernels.scratch_size(self.lanes)
        # what `lay` and `pack` are called with at each iteration
        to = self.inverse.ctypes.data, self.A.data_ptr(), self.wide, self.fold
        self.laid = self.floor, self.lanes, problem.At.data_ptr(), short, rank, *to
        self.packed = self.At, self.edges, self.tiles.numpy()

    def pack(self, problem):
        """Renew A and the tiles of Aᵀ, and of the point where A's gradient is taken."""
        if not self.squared:
            self.factors.sum_up(self.At, self.weights, self.inverse, self.tiny)
        self.kernels.lay(*self.laid)
        self.factors.pack(*self.packed)
        if self.tiles_ahead is not None:
            ahead = problem.ahead[problem.extra :].numpy()
            self.factors.pack(ahead, self.edges, self.tiles_ahead.numpy())

    def multiply(self, block):
        """Multiply a block of B by what the kernels have left; see `Multiplicative.multiply`."""
        self.factors.multiply(*block.lines, self.tiny, self.squared)

    def extrapolate(self, block, alpha):
        """Replace a block of B by its extrapolation; see `torch_amu`."""
        before = block.before.numpy()
        self.factors.extrapolate(*block.lines[:4], before, self.real(alpha))

    def multiply_ahead(self, block):
        """Multiply a block of B as `multiply` does; return gradient times step."""
        uphill, before = np.zeros(len(self.At)), block.before.numpy()
        options = self.tiny, self.squared, self.weights
        self.factors.multiply_ahead(*block.lines, *options, before, uphill)
        return float(uphill.sum())

    def multiply_A(self, sums, of_B):
        """Multiply what is free of A by what has been gathered; see `Multiplicative.step_A`."""
        self.factors.multiply_A(self.At[self.fixed :], *self._gathered(sums, of_B))

    def multiply_A_ahead(self, sums, of_B, ahead, alpha):
        """Update A from its extrapolation, and that too; return gradient times step."""
        more = ahead.numpy()[self.fixed :], self.real(alpha)
        at = self.At[self.fixed :]
        return self.factors.multiply_A_ahead(at, *self._gathered(sums, of_B), *more)

    def _gathered(self, sums, of_B):
        of_B = self.nothing if self.squared else of_B
        free = slice(self.fixed, None)
        return sums[0][free], sums[-1][free], of_B[free], self.tiny, self.squared

    def calls(self, block, gathered, scratch):
        """Return the arguments of `update` and of `gather` for a block: its memory stays."""
        rows, short = block.X.shape
        factors = block.X.data_ptr(), short, short, block.B.data_ptr(), block.B.stride(0)
        ahead = self.tiles if self.tiles_ahead is None else self.tiles_ahead
        common = self.floor, self.lanes, *factors, block.B.shape[1], rows
        found, sums = ([x.data_ptr() for x in each] for each in ((block.N, block.P), gathered))
        if not self.squared:
            found[1:], sums[1:] = [0], [0]
        of_A = self.A.data_ptr(), self.wide, self.fold
        work = scratch.kernels.data_ptr()
        return (
            (*common, self.tiles.data_ptr(), *of_A, *found, work, self.masked),
            (*common, ahead.data_ptr(), *sums, work, self.masked),
        )


def _sweep_fused(share, problem, update, gather):
    fused, total = problem.fused, np.zeros(share.B.shape[1])
    for b, (of_update, of_gather) in zip(share.blocks, share.calls, strict=True):
        if update:
            problem.lead(b)
            fused.kernels.update(*of_update)
            problem.multiply_fused(share, b)
        if gather:
            fused.kernels.gather(*of_gather)
        if gather and not fused.squared:
            fused.factors.add_rows(*b.lines[:4], total)
        yield
    if gather:
        if not fused.squared:
            share.of_B = total
        for tiles, sums in share.gathered:
            fused.factors.unpack(tiles, fused.edges, sums)


def _sweep_kl(share, problem, update, gather):
    import torch

    for b in share.blocks:
        if update:
            problem.lead(b)
            torch.mm(b.raised, problem.floor_At, out=b.model)
            torch.div(b.X, b.model, out=b.model)
            torch.mm(b.model, problem.A, out=b.N)
            problem.multiply(share, b, b.N, problem.weights)
        if gather:
            torch.mm(b.raised, problem.ahead, out=b.model)
            torch.div(b.X, b.model, out=b.model)
            share.sums[0].addmm_(b.Bt, b.model)
        yield


def _sweep_euclidean(share, problem, update, gather):
    import torch

    for b in share.blocks:
        if update:
            problem.lead(b)
            torch.mm(b.X, problem.A, out=b.N)
            torch.mm(b.B, problem.gram, out=b.P)
            ratio = b.N.div_(b.P.clamp_(min=problem.tiny))
            problem.multiply(share, b, ratio, b.P)
        if gather:
            share.sums[0].addmm_(b.Bt, b.X)
        yield


def _sweep_general(share, problem, update, gather):
    import torch

    for b in share.blocks:
        if update:
            problem.lead(b)
            torch.mm(b.raised, problem.floor_At, out=b.model)
            _weigh(b.X, b.model, b.weighted, problem.beta, problem.masked)
            torch.mm(b.both, problem.A, out=b.PN)
            ratio = b.N.div_(b.P.clamp_(min=problem.tiny))
            problem.multiply(share, b, ratio, b.P)
        if gather:
            torch.mm(b.raised, problem.ahead, out=b.model)
            _weigh(b.X, b.model, b.weighted, problem.beta, problem.masked)
            share.sums[0].addmm_(b.Bt, b.weighted)
            share.sums[1].addmm_(b.Bt, b.model)
        yield


def _weigh(X, model, weighted, beta, masked):
    """Turn `model` into its power β−1, and `weighted` into X times its power β−2.

    Where it is `masked` both become 0 at zeros of X.
    """
    import torch

    if beta == 0:
        torch.mul(X, model.reciprocal_(), out=weighted).mul_(model)
    elif beta == 0.5:
        torch.mul(X, model.rsqrt_(), out=weighted).mul_(model).mul_(model)
    elif beta == 1.5:
        torch.rsqrt(model, out=weighted)
        model.mul_(weighted)
        weighted.mul_(X)
    elif beta == 3:
        torch.mul(X, model, out=weighted)
        model.square_()
    else:
        torch.pow(model, beta - 2, out=weighted)
        model.mul_(weighted)
        weighted.mul_(X)
    if masked:
        silent = X == 0
        model.masked_fill_(silent, 0)
        weighted.masked_fill_(silent, 0)  # a power that is infinite has made it NaN
