"""HALS on a CPU: one sweep over V per iteration, and rows minimized one after another.

V is seen as X ≈ B Aᵀ, its longer side first, as in `torch_sweep`: (X, B, A) is (Vᵀ, Hᵀ, W) or
(V, W, Hᵀ). Component k of B is set to max(0, (P_k − Σ_{j≠k} G_kj B_j) / G_kk), P = X A and G = AᵀA.
Rows of X depend on nothing but P and G: each thread has rows of its own, minimizes over its part of
B and gathers at once, while they are in its cache, what A's update needs of them, Bᵀ X.
"""

from itertools import pairwise

from nmfab.engine.torch_blocks import line_of
from nmfab.engine.torch_crew import Crew, one_thread
from nmfab.engine.torch_sweep import as_batch, rank_of, vectors_for

# Entries of V that are worth a thread of their own, and multiplications of A's update that are.
THREAD_SIZE = 1 << 17
THREAD_WORK = 1 << 22


class Piece:
    """Columns of one factor, which one thread minimizes over.

    Parameters
    ----------
    rows : tensor [shape=(rank, count)]
        H or Wᵀ, or some columns of them, in either order in memory.
    products : tensor [shape=(rank, count)]
        The other factor's rows times V, likewise.
    columns : tensor [shape=(count, rank)], optional
        To be kept the transpose of the rows.
    """

    def __init__(self, rows, products, columns=None):
        self.rows, self.products, self.columns = rows, products, columns
        self.descent = descent_for(rows, ahead=type(self) is not Piece)
        self.strided = [(line_of(x), *x.stride()) for x in (products, rows)]
        self.kept = None
        copy = rows.new_empty(rows.shape[1], 0) if columns is None else columns
        self.copied, self.real = copy.numpy(), copy.numpy().dtype.type

    def minimize(self, gram, inner, alpha=0.0, fixed=0):
        """Pass `inner` times over the rows after the `fixed`; `gram` is the other factor's."""
        if self.descent:
            more = self.copied, gram.numpy(), inner, fixed, self.real(alpha)
            return self.descent.minimize(*self.strided, self.kept, *more)
        sweep_rows(self.rows, self.products, gram, inner, fixed)
        self.copy()

    def copy(self):
        """Renew the columns."""
        if self.columns is not None:
            self.columns.copy_(self.rows.mT)


class Rows:
    """Rows first to last of X and of B, and what A's update needs of them."""

    def __init__(self, problem, first, last):
        self.problem, self.X, self.B = problem, problem.X[first:last], problem.B[first:last]
        self.given = self.X.new_empty(self.B.shape)
        self.piece = problem.piece(self.B.mT, self.given.mT)
        self.sums = self.X.new_zeros(problem.At.shape)
        self.gram = self.X.new_zeros(problem.gram.shape)

    def project(self):
        """Renew the products of X and A."""
        import torch

        torch.mm(self.X, self.problem.A, out=self.given)

    def gather(self):
        """Renew what A's update needs."""
        import torch

        torch.mm(self.B.mT, self.X, out=self.sums)
        torch.mm(self.B.mT, self.B, out=self.gram)


class LeastSquares:
    """One factorization X ≈ B Aᵀ by HALS.

    Parameters
    ----------
    X : tensor [shape=(long, short)]
    B : tensor [shape=(long, rank)]
    At : tensor [shape=(rank, short)]
    of_columns : bool
        Whether B is Hᵀ.
    cuts : tuple of list of (first, last)
        The rows of B, and the columns of Aᵀ, of each thread.
    inner : int
    fixed : int
        Components of A, the first, that are held.
    """

    piece = Piece

    def __init__(self, X, B, At, of_columns, cuts, inner, fixed):
        self.X, self.B, self.At, self.A = X, B, At, At.mT.contiguous()
        self.of_columns, self.inner, self.fixed = of_columns, inner, fixed
        self.updates_A = fixed < len(At)
        self.gram = At @ self.A
        of_B, of_A = cuts
        self.shares = [Rows(self, *cut) for cut in of_B]
        sums = self.shares[0].sums
        self.pieces = [self.piece(At[:, a:b], sums[:, a:b], self.A[a:b]) for a, b in of_A]
        self.started = False

    def iterate(self, each):
        """Do one iteration; ``each(function, members)`` calls it with every share or piece."""
        if not self.updates_A:
            if not self.started:  # A stays, and so do its products
                each(Rows.project, self.shares)
            each(self.minimize_B, self.shares)
        elif self.of_columns:
            each(self._sweep, self.shares)
            self._update_A(each)
        else:
            if not self.started:
                each(Rows.gather, self.shares)
            self._update_A(each)
            each(self._sweep, self.shares)
        self.started = True

    def minimize_B(self, share):
        """Minimize over a share's rows of B."""
        share.piece.minimize(self.gram, self.inner)

    def minimize_A(self, piece, gram):
        """Minimize over a piece of A; the gram is that of B."""
        piece.minimize(gram, self.inner, fixed=self.fixed)

    def _sweep(self, share):
        share.project()
        self.minimize_B(share)
        share.gather()

    def _update_A(self, each):
        first, *others = self.shares
        for other in others:
            first.sums += other.sums
        self.gram_B = sum((other.gram for other in others), first.gram)
        each(lambda piece: self.minimize_A(piece, self.gram_B), self.pieces)
        self._close()

    def _close(self):
        import torch

        torch.mm(self.At, self.A, out=self.gram)

    def renew(self, each):
        """Renew what the next iteration reads, after factors have been changed from outside."""
        if self.of_columns:
            self._close()
        else:
            each(Rows.gather, self.shares)


class Descents:
    """All problems of one call: who computes what, and the iteration.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Copied, unless its longer side lies first in memory.
    W, H : tensor [shape=(batch, m, rank), (batch, rank, n)]
        The starts; components at the end that are zero everywhere are left out.
    inner : int
        Passes over the rows of a factor in each iteration.
    fixed : int
        The first `fixed` columns of W are held.
    kind : type
        `LeastSquares`, or a subclass.
    """

    def __init__(self, V, W, H, inner, fixed, kind=LeastSquares):
        import torch

        self.by_columns = V.shape[1] >= V.shape[0] or fixed > 0  # what is held is A's
        X = (V.mT if self.by_columns else V).contiguous()
        B, At = (H.mT, W.mT) if self.by_columns else (W, H)
        self.B, self.At = (x.clone(memory_format=torch.contiguous_format) for x in (B, At))
        count = min(torch.get_num_threads(), max(1, V.numel() // THREAD_SIZE))
        self.crew = Crew(count)
        whole = len(W) // count * count
        self.problems = []
        for i in range(len(W)):
            rank, parts = rank_of(W[i], H[i]), 1 if i < whole else count
            of_A = min(parts, max(1, rank * rank * X.shape[1] * inner // THREAD_WORK))
            cuts = _cuts(len(X), parts), _cuts(X.shape[1], of_A)
            factors = self.B[i, :, :rank], self.At[i, :rank]
            self.problems.append(kind(X, *factors, self.by_columns, cuts, inner, fixed))
        self.lists = [self.problems[i:whole:count] for i in range(count)]
        self.shared = self.problems[whole:]

    def factors(self):
        """Return W and H, views that the next iteration overwrites."""
        return (self.At.mT, self.B.mT) if self.by_columns else (self.B, self.At)

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
            self.crew.run([lambda own=own: _whole(own) for own in self.lists])
        for problem in self.shared:
            problem.iterate(self._together)

    def _together(self, function, members):
        self.crew.run([lambda member=member: function(member) for member in members])


def _whole(problems):
    for problem in problems:
        problem.iterate(_in_turn)


def _in_turn(function, members):
    for member in members:
        function(member)


def _cuts(length, count):
    """Cut a range among threads; one may get nothing of a very short one."""
    edges = pairwise(length * i // count for i in range(count + 1))
    return [(first, last) for first, last in edges if first < last]


def swept(V, W, H, inner, fixed, kind=LeastSquares):
    """Return the iterator of `torch_hals`; compiling is done before the first step, not in it."""
    batched, W, H, _ = as_batch(W, H, 2)
    descent_for(V, ahead=kind is not LeastSquares)
    return _factors_swept(V, W, H, inner, fixed, kind, batched)


def _factors_swept(V, W, H, inner, fixed, kind, batched):
    descents = Descents(V, W, H, inner, fixed, kind)
    W, H = descents.factors() if batched else (factor[0] for factor in descents.factors())
    for _ in descents.iterate():
        yield W, H


def sweep_rows(rows, products, gram, inner, fixed=0):
    """Set each row k to max(0, row + (products_k − gram_k · rows) / gram_kk), in place.

    Parameters
    ----------
    rows : tensor [shape=(..., rank, n)]
        What is minimized over; returned as well.
    products : tensor [shape=(..., rank, n)]
        The other factor's rows times V.
    gram : tensor [shape=(..., rank, rank)]
        Products of the other factor's rows.
    inner : int
        Passes.
    fixed : int
        The first `fixed` rows stay as they are.
    """
    import torch

    tiny = torch.finfo(rows.dtype).tiny
    for _ in range(inner):
        for k in range(fixed, rows.shape[-2]):
            square = gram[..., k, k, None].clamp(min=tiny)
            step = products[..., k, :] - (gram[..., k : k + 1, :] @ rows)[..., 0, :]
            row = rows[..., k, :]
            row.add_(step.div_(square)).clamp_(min=0)
    return rows


def descent_for(like, ahead=False):
    """Return the module `cpu.descent`, compiled for this tensor's dtype; None where it cannot be.

    It is imported here, for numba takes its time.
    """
    if not vectors_for(like):
        return None
    from nmfab.engine.cpu import descent

    descent.compile_for(like.numpy().dtype, ahead)
    return descent
