"""Multiplicative updates, one sweep over V per iteration: on a CPU in blocks that stay in cache.

V is seen as X ≈ B Aᵀ, its longer side first: (X, B, A) is (Vᵀ, Hᵀ, W) where V has more columns than
rows, (V, W, Hᵀ) otherwise. For a block of X's rows the model, the update of B's rows and then, with
the new ones, the block's share of A's numerator are computed before the next block is touched: X is
read once, the model never stands in memory whole, and the result is the alternating update itself.
What A needs from all blocks is small, A being on the shorter side.

H is updated before W. Where the blocks are H's, an iteration is a sweep and then A's update; where
they are W's, it is A's update (H) by what the previous sweep has gathered, and then a sweep.
"""

from itertools import pairwise, zip_longest

import numpy as np

from nmfab.base.divergence import WH_FLOOR, exponent
from nmfab.engine.torch_blocks import Fused, Scratch, Share
from nmfab.engine.torch_crew import Crew, flushing, one_thread

# Bytes of the model of one block: with X's block it leaves a usual L2 cache of 1 or 2 MiB for L3,
# but smaller ones are slower, for A's numerator is read and written at each block, and so are
# larger ones. At β = 2 there is no model, and one block is fastest.
BLOCK_BYTES = 1 << 21
LEAST_ROWS = 128
# Where kernels are used they read X's block twice, and find it in L2 the second time.
FUSED_BYTES = 1 << 18
LEAST_FUSED_ROWS = 192
# Where `cpu.kernels` are used: see `_fuses`.
FUSED = {1: 64, 0: 32}  # β: columns from which on they are
MOST_RANK = 192
# Multiplications of one iteration that are worth a thread of their own (about 0.1 ms).
THREAD_WORK = 1 << 21
# Entries of V up to which products alone (β = 2, one problem) are better shared out by torch.
WHOLE = 1 << 22


class Multiplicative:
    """One factorization X ≈ B Aᵀ by multiplicative updates at one β.

    Parameters
    ----------
    X : tensor [shape=(long, short)]
    raised : tensor [shape=(long, extra + rank)]
        B, after a column of ones where there is one.
    floor_At : tensor [shape=(extra + rank, short)]
        Aᵀ, below a row of `WH_FLOOR`: raised @ floor_At is the model, never zero.
    extra : int
        1, or 0 where a model of zero does no harm (β from 2 on).
    beta : float
    of_columns : bool
        Whether B is Hᵀ.
    kernels : module, optional
        `cpu.kernels`, for where it serves.
    fixed : int
        Components of A, the first, that are held.
    masked : bool
        Whether zeros of X are left out (β ≤ 0).
    """

    def __init__(
        self, X, raised, floor_At, extra, beta, of_columns, kernels=None, fixed=0,
        masked=False,
    ):  # fmt: skip
        self.of_columns, self.extra, self.fixed = of_columns, extra, fixed
        self.masked = masked
        self.X, self.raised, self.floor_At, self.beta = X, raised, floor_At, beta
        self.B, self.At = raised[:, extra:], floor_At[extra:]
        self.free_At = self.At[fixed:]
        # where A's gradient is taken, and B of the previous iteration: see torch_amu
        self.ahead, self.before = floor_At, None
        # at β = 2 a row of zeros in A leaves N without a P: N / tiny is to stay finite
        self.tiny = _tiny(X) ** (0.5 if beta == 2 else 1)
        self.gamma = exponent(beta)
        self.gram = self.weights = None
        fuses = kernels and _fuses(beta, X.shape[1], len(self.At))
        self.fused = Fused(self, kernels) if fuses else None
        self.A = None if fuses else self.At.mT.contiguous()
        self.shares = []
        self.refresh()

    def refresh(self):
        """Renew what is derived from A: its transpose, at β = 1 divided by its sums, and AᵀA."""
        if self.fused:  # does so by itself, see `pack`
            return
        if self.beta == 1:
            self.weights = self.At.sum(1).clamp_(min=self.tiny)
        self.A.copy_((self.At / self.weights[:, None] if self.beta == 1 else self.At).mT)
        if self.beta == 2:
            self.gram = self.At @ self.A

    def update_A(self):
        """Update A by what the shares have gathered."""
        first, *others = self.shares
        sums, of_B = first.sums, first.of_B
        for other in others:
            sums += other.sums
            of_B = of_B if of_B is None else of_B + other.of_B
        self.step_A(sums, of_B)
        self.refresh()

    def ratio_A(self, sums, of_B):
        """Return N / P of what is free of A, in the memory of N, and P."""
        if self.beta == 1:
            denominator = of_B[:, None]
        else:
            denominator = of_B @ self.ahead[self.extra :] if self.beta == 2 else sums[1]
        denominator = denominator[self.fixed :]
        return sums[0][self.fixed :].div_(denominator.clamp(min=self.tiny)), denominator

    def step_A(self, sums, of_B):
        """Multiply what is free of A by the power of N / P."""
        if self.fused:
            self.fused.multiply_A(sums, of_B)
        else:
            self.free_At.mul_(power(self.ratio_A(sums, of_B)[0], self.gamma))

    def begin(self):
        """Begin an iteration."""

    def pack(self):
        """Hand A to the kernels, where they are used: the last thing before a sweep."""
        if self.fused:
            self.fused.pack(self)

    def lead(self, block):
        """Prepare a block of B for its update."""

    def multiply(self, share, block, ratio, denominator):
        """Multiply a block of B by the power of N / P; P is `denominator`."""
        block.B.mul_(power(ratio, self.gamma))

    def multiply_fused(self, share, block):
        """Do so by the N, and at β = 0 the P, that kernels have left."""
        self.fused.multiply(block)


def _tiny(values):
    import torch

    return torch.finfo(values.dtype).tiny


def power(ratio, gamma):
    """Return ratio^γ, in its own memory."""
    if gamma == 0.5:
        return ratio.sqrt_()
    return ratio if gamma == 1 else ratio.pow_(gamma)


def as_batch(W, H, beta):
    """Return whether there is a batch, W and H with that dimension, and the list of its betas."""
    batched = W.ndim == 3
    W, H = (W, H) if batched else (W[None], H[None])
    return batched, W, H, np.broadcast_to(beta, len(W)).tolist()


class Sweeps:
    """All problems of one call: who computes what, and the iteration.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Copied, unless its longer side lies first in memory.
    W, H : tensor [shape=(batch, m, rank), (batch, rank, n)]
        The starts; components at the end that are zero everywhere are left out.
    betas : list of float
    fixed : int
        The first `fixed` columns of W are held.
    kind : type
        `Multiplicative`, or a subclass.
    """

    def __init__(self, V, W, H, betas, fixed, kind=Multiplicative):
        import torch

        self.by_columns = V.shape[1] >= V.shape[0] or fixed > 0  # what is held is A's
        self.updates_A = fixed < W.shape[-1]
        X = (V.mT if self.by_columns else V).contiguous()
        B, At = (H.mT, W.mT) if self.by_columns else (W, H)
        self.extra = int(min(betas) < 2)
        self.raised = torch.cat([torch.ones_like(B[..., : self.extra]), B], -1)
        self.floor_At = torch.cat([torch.zeros_like(At[:, : self.extra]), At], 1)
        zeros = min(betas) <= 0 and bool((X == 0).any())
        self.problems = []
        kernels = kernels_for(X, betas, ahead=kind is not Multiplicative)
        for i, beta in enumerate(betas):
            if beta < 2:
                self.floor_At[i, 0] = WH_FLOOR
            masked = zeros and beta <= 0
            rank = self.extra + rank_of(W[i], H[i])
            factors = self.raised[i, :, :rank], self.floor_At[i, :rank]
            more = self.extra, beta, self.by_columns, kernels, fixed, masked
            self.problems.append(kind(X, *factors, *more))
        work = len(betas) * X.numel() * W.shape[-1]
        self.on_cpu = X.device.type == "cpu"
        whole = not self.on_cpu or (betas == [2] and X.numel() <= WHOLE)
        most = 1 if whole else torch.get_num_threads()
        self.crew = Crew(min(most, max(1, work // THREAD_WORK)))
        self.context = flushing if whole else one_thread
        self._assign(X)

    def _assign(self, X):
        """Give whole problems to each thread, and share out those that are left over."""
        count, (long, short) = self.crew.count, X.shape
        whole = len(self.problems) // count * count
        rows = []
        cells = small = kernels = 0
        for i, problem in enumerate(self.problems):
            fused, own = problem.fused, long if i < whole else -(-long // count)
            rows.append(min(own, self._rows(problem, X)))
            small = max(small, rows[i] * (fused.wide if fused else len(problem.At)))
            kernels = max(kernels, fused.scratch if fused else 0)
            cells = max(cells, 0 if fused or problem.beta == 2 else rows[i] * short)
        scratch = [Scratch(cells, small, kernels, X) for _ in range(count)]
        self.lists = [self.problems[i:whole:count] for i in range(count)]
        self.shared = self.problems[whole:]
        for i, problem in enumerate(self.problems):
            if i < whole:
                edges, threads = [(0, long)], [scratch[i % count]]
            else:
                edges, threads = pairwise(long * k // count for k in range(count + 1)), scratch
            problem.shares = [
                Share(problem, *edge, own, rows[i])
                for edge, own in zip(edges, threads, strict=True)
            ]

    def _rows(self, problem, X):
        """Return how many rows of X are a block."""
        long, short = X.shape
        if problem.beta == 2 or not self.on_cpu:
            return long
        size, least = BLOCK_BYTES, LEAST_ROWS
        if problem.fused:
            size, least = FUSED_BYTES, LEAST_FUSED_ROWS
        return max(least, size // (short * X.element_size()))

    def factors(self):
        """Return W and H, views that the next iteration overwrites."""
        B, At = self.raised[..., self.extra :], self.floor_At[:, self.extra :]
        return (At.mT, B.mT) if self.by_columns else (B, At)

    def iterate(self):
        """Yield after each iteration."""
        try:
            if not self.by_columns:
                with self.context():
                    for problem in self.problems:
                        self._prime(problem)
            while True:
                with self.context():
                    self._iterate()
                yield
        finally:
            self.crew.close()

    def _prime(self, problem):
        problem.pack()
        _in_turn(share.sweep(update=False) for share in problem.shares)

    def _iterate(self):
        if not self.by_columns:
            self._each(Share.sweep, before=Multiplicative.update_A)
        elif self.updates_A:
            self._each(Share.sweep, after=Multiplicative.update_A)
        else:
            self._each(lambda share: share.sweep(gather=False))

    def _each(self, sweep, before=None, after=None):
        def prepare(problem):
            problem.begin()
            if before:
                before(problem)
            problem.pack()

        def whole(problems):
            for problem in problems:
                prepare(problem)
            _in_turn(sweep(problem.shares[0]) for problem in problems)
            for problem in problems if after else ():
                after(problem)

        if self.lists[0]:
            self.crew.run([lambda own=own: whole(own) for own in self.lists])
        for problem in self.shared:
            prepare(problem)
            self.crew.run(
                [lambda share=share: _in_turn([sweep(share)]) for share in problem.shares]
            )
            if after:
                after(problem)


def _in_turn(sweeps):
    """Do a block of each in turn: of a batch, while that block of X is in cache."""
    for _ in zip_longest(*sweeps):
        pass


def kernels_for(like, betas, ahead=False):
    """Return the module `cpu.kernels`, compiled for this tensor's dtype, or None.

    None where β, dtype or processor is not among those that it knows. It is imported here, for
    numba takes its time.
    """
    if not any(beta in FUSED for beta in betas) or not vectors_for(like):
        return None
    from nmfab.engine.cpu import factors, kernels

    kernels.compile_for(like.numpy().dtype)
    if 0 in betas and bool((like == 0).any()):
        kernels.compile_for(like.numpy().dtype, masked=True)
    factors.compile_for(like.numpy().dtype, ahead)
    return kernels


def vectors_for(like):
    """Return whether what is compiled knows this tensor's dtype and this processor."""
    import torch

    if like.device.type != "cpu" or like.dtype not in (torch.float32, torch.float64):
        return False
    from nmfab.engine.cpu import tiles

    return bool(tiles.SHAPE)


def _fuses(beta, columns, rank):
    """Return whether the kernels are faster than matrix products of blocks.

    They save what is done entry by entry: twice as much at β = 0 as at 1, and little next to
    products of a high rank. Where rows are short too many of their tiles are not whole.
    """
    return columns >= FUSED.get(beta, np.inf) and rank <= MOST_RANK


def swept(V, W, H, beta, fixed, kind=Multiplicative):
    """Return the iterator of `torch_mu`; what needs compiling is compiled before the first step."""
    batched, *factors, betas = as_batch(W, H, beta)
    kernels_for(V, betas, ahead=kind is not Multiplicative)
    return _factors_swept(V, *factors, betas, fixed, kind, batched)


def _factors_swept(V, W, H, betas, fixed, kind, batched):
    sweeps = Sweeps(V, W, H, betas, fixed, kind=kind)
    W, H = sweeps.factors() if batched else (factor[0] for factor in sweeps.factors())
    for _ in sweeps.iterate():
        yield W, H


def rank_of(W, H):
    """Return the number of components without those at the end that are zero everywhere."""
    used = ((W != 0).any(0) | (H != 0).any(1)).nonzero()
    return int(used[-1]) + 1 if len(used) else W.shape[1]
