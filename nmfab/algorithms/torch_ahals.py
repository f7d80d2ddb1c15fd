"""Hierarchical alternating least squares with extrapolation, in torch: one problem or many."""

from typing import Any, NamedTuple

from nmfab.algorithms.contract import algorithm
from nmfab.engine.gpu import forms
from nmfab.engine.torch_blocks import line_of
from nmfab.engine.torch_rows import Piece, Problem, sweep_rows, swept
from nmfab.engine.torch_sweep import as_batch

# Of Ang and Gillis for HALS with several passes: the first weight, what it and its ceiling grow by,
# and what it is divided by where the error rises.
FIRST, GROWTH, CEILING_GROWTH, FALL = 0.5, 1.01, 1.005, 1.5
# Iterations of plain HALS, of one pass, at the beginning: leaps from a random start, and several
# passes too, lead to other, often worse minima.
DELAY = 20


@algorithm(
    "torch_ahals",
    version=2,
    arrays="torch",
    betas=(2,),
    batch=("seed", "init", "rank"),
    monotone=False,
)
def torch_ahals(V, W, H, *, inner=4, fixed=0):
    """Minimize ‖V − WH‖² by HALS from points extrapolated along the last steps.

    Ang and Gillis, "Accelerating nonnegative matrix factorization algorithms using extrapolation",
    Neural Computation 2019, algorithm 2 (with each factor extrapolated once it is updated) for HALS
    with several passes over the rows of a factor (Gillis and Glineur 2012): H is minimized over
    from Ĥ with Ŵ held fixed, Ĥ becomes [H + α (H − H_before)]₊, and the same for W. Where the error
    ‖V − W Ĥ‖² rises, the iteration is undone and α reduced, else α grows a little. The first 20
    iterations are those of `torch_hals`, which choose the minimum that is then reached faster.
    Where all of W is held nothing is extrapolated.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    inner : int
        Passes over the rows of a factor for each pass over V, after the first 20.
    fixed : int
        The first `fixed` columns of W are held.

    Yields
    ------
    W, H
    """
    if V.device.type == "cpu":
        return swept(V, W, H, inner, fixed, kind=Extrapolated)
    batched, W, H, _ = as_batch(W, H, 2)
    states = _on_gpu(V, W, H, inner, fixed)
    return states if batched else ((W[0], H[0]) for W, H in states)


class ExtrapolatedPiece(Piece):
    """A `Piece` that looks ahead of what it has found, and can go back."""

    def keep_in(self, state):
        """Use this tensor, which is the start, for the state."""
        import torch

        self.state, steps = state, state.stride()
        self.found = torch.empty_strided(state.shape, steps, dtype=state.dtype)
        self.kept = line_of(state), line_of(self.found), *steps

    def lead(self, gram, inner, alpha, fixed=0):
        """Minimize, extrapolate, and note the error: ‖V − WH‖² − ‖V‖², or its part."""
        self.error = self.minimize(gram, inner, alpha, fixed)
        if not self.descent:
            self._lead_on(gram, alpha)

    def _lead_on(self, gram, alpha):
        import torch

        beyond = torch.addmm(self.products, gram, self.rows, beta=-2)
        self.error = float((self.rows * beyond).sum(1).double().sum())
        self.found.copy_(self.rows)
        torch.lerp(self.state, self.found, 1 + alpha, out=self.rows).clamp_(min=0)
        self.copy()

    def accept(self):
        """Make what was found the state."""
        self.state.copy_(self.found)

    def undo(self):
        """Go back to the state before, without extrapolation."""
        self.rows.copy_(self.state)
        self.copy()


class Extrapolated(Problem):
    """A `Problem` whose α follows the error; B and A are the state, copies of them are ahead."""

    piece = ExtrapolatedPiece

    def __init__(self, X, B, At, of_columns, cuts, *options):
        super().__init__(X, B.clone(), At.clone(), of_columns, cuts, *options)
        for share, (first, last) in zip(self.shares, cuts[0], strict=True):
            share.piece.keep_in(B[first:last].mT)
        for piece, (first, last) in zip(self.pieces, cuts[1], strict=True):
            piece.keep_in(At[:, first:last])
        self.count, self.error = 0, float("inf")
        self.alpha, self.ceiling = FIRST, 1.0

    def minimize_B(self, share):
        """See `Problem`."""
        self._lead(share.piece, self.gram)

    def minimize_A(self, piece, gram):
        """See `Problem`."""
        self._lead(piece, gram, self.fixed)

    def _lead(self, piece, gram, fixed=0):
        if not self.updates_A:
            piece.lead(gram, self.inner, 0.0)
        elif self.count < DELAY:
            piece.lead(gram, 1, 0.0, fixed)
        else:
            piece.lead(gram, self.inner, self.alpha, fixed)

    def iterate(self, each):
        """Minimize and extrapolate, then judge by the error."""
        super().iterate(each)
        of_B = [share.piece for share in self.shares]
        if not self.updates_A:
            each(ExtrapolatedPiece.accept, of_B)
            return
        error = sum(piece.error for piece in (self.pieces if self.of_columns else of_B))
        worse = self.count >= DELAY and error > self.error
        for piece in (*of_B, *self.pieces):
            piece.undo() if worse else piece.accept()
        if worse:
            self.alpha, self.ceiling = self.alpha / FALL, self.alpha
            self.renew(each)
        elif self.count >= DELAY:
            self.alpha = min(self.ceiling, GROWTH * self.alpha)
            self.ceiling = min(1.0, CEILING_GROWTH * self.ceiling)
        self.count, self.error = self.count + 1, error


def plain_updates(V, W, H, inner=4, fixed=0):
    """Iterate as `torch_ahals` does, all problems of a batch at once and row after row.

    Yields
    ------
    W, H
    """
    state = State.of(W, H)
    step = _plain_step(V, state, inner, fixed)
    while True:
        step()
        yield state.Wt.mT, state.H


def _on_gpu(V, W, H, inner, fixed):
    state = State.of(W, H)
    builds = {"plain": lambda *copies: _plain_step(V, State(*copies), inner, fixed)}
    problem = forms.about("torch_ahals", V, state[:2], H.shape[-2], inner, fixed)
    step = forms.iteration(builds, state, problem)
    while True:
        step()
        yield state.Wt.mT, state.H


class State(NamedTuple):
    """Everything that an iteration changes, in place: on a GPU nothing of it is read meanwhile."""

    Wt: Any  # batch × rank × m
    H: Any  # batch × rank × n
    ahead_W: Any
    ahead_H: Any
    alpha: Any  # batch × 1 × 1, as what follows
    ceiling: Any
    error: Any  # float64
    count: Any  # iterations done

    @classmethod
    def of(cls, W, H):
        """Return the state at the start."""
        import torch

        H, Wt = H.clone(memory_format=torch.contiguous_format), W.mT.contiguous().clone()
        alpha = torch.full((len(H), 1, 1), FIRST, dtype=H.dtype, device=H.device)
        error = torch.full_like(alpha, float("inf"), dtype=torch.float64)
        return cls(
            Wt, H, Wt.clone(), H.clone(), alpha, torch.ones_like(alpha), error,
            torch.zeros_like(alpha, dtype=torch.int64),
        )  # fmt: skip


def _plain_step(V, state, inner, fixed):
    import torch

    Wt, H, ahead_W, ahead_H, alpha, ceiling, error, count = state

    updates_W = fixed < H.shape[-2]

    def minimized(rows, products, gram, fixed=0):
        first = sweep_rows(rows.clone(), products, gram, 1, fixed)
        more = sweep_rows(first.clone(), products, gram, inner - 1, fixed) if inner > 1 else first
        return torch.where(count >= DELAY, more, first) if updates_W else more

    def step():
        started = count >= DELAY
        found_H = minimized(ahead_H, ahead_W @ V, ahead_W @ ahead_W.mT)
        if not updates_W:
            H.copy_(found_H)
            ahead_H.copy_(found_H)
            return
        now = torch.where(started, alpha, 0)
        ahead_H.copy_((found_H + now * (found_H - H)).clamp_(min=0))
        products, gram = (V @ ahead_H.mT).mT.contiguous(), ahead_H @ ahead_H.mT
        found_W = minimized(ahead_W, products, gram, fixed)
        ahead_W.copy_((found_W + now * (found_W - Wt)).clamp_(min=0))
        quadratic = ((found_W @ found_W.mT).double() * gram.double()).sum((1, 2), keepdim=True)
        linear = (found_W * products).sum(2, keepdim=True).double().sum(1, keepdim=True)
        reached = quadratic - 2 * linear
        worse = started & (reached > error)
        for kept, found, ahead in ((H, found_H, ahead_H), (Wt, found_W, ahead_W)):
            kept.copy_(torch.where(worse, kept, found))
            ahead.copy_(torch.where(worse, kept, ahead))
        grown = torch.where(started, torch.minimum(ceiling, GROWTH * alpha), alpha)
        higher = torch.where(started, (CEILING_GROWTH * ceiling).clamp(max=1), ceiling)
        ceiling.copy_(torch.where(worse, alpha, higher))
        alpha.copy_(torch.where(worse, alpha / FALL, grown))
        error.copy_(reached)
        count.add_(1)

    return step
