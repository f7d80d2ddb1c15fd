"""Hierarchical alternating least squares with extrapolation, in torch: one problem or many."""

from typing import Any, NamedTuple

from nmfab.algorithms.contract import algorithm
from nmfab.algorithms.gpu import forms
from nmfab.algorithms.torch_hals import sweep_rows
from nmfab.algorithms.torch_rows import Part, Problem, Sweeps, total
from nmfab.algorithms.torch_sweep import as_batch

# Of Ang and Gillis for HALS with several passes: the first weight, what it and its ceiling grow by,
# and what it is divided by where the error rises.
FIRST, GROWTH, CEILING_GROWTH, FALL = 0.5, 1.01, 1.005, 1.5
# Iterations of plain HALS at the beginning: leaps from a random start lead to other, often worse
# minima.
DELAY = 10


@algorithm(
    "torch_ahals",
    version=1,
    arrays="torch",
    betas=(2,),
    batch=("seed", "init", "rank"),
    monotone=False,
)
def torch_ahals(V, W, H, *, inner=4, update_W=True):
    """Minimize ‖V − WH‖² by HALS from points extrapolated along the last steps.

    Ang and Gillis, "Accelerating nonnegative matrix factorization algorithms using extrapolation",
    Neural Computation 2019, algorithm 2 (with each factor extrapolated once it is updated) for HALS
    with several passes over the rows of a factor (Gillis and Glineur 2012): H is minimized over
    from Ĥ with Ŵ held fixed, Ĥ becomes [H + α (H − H_before)]₊, and the same for W. Where the error
    ‖V − W Ĥ‖² rises, the iteration is undone and α reduced, else α grows a little. The first 10
    iterations are those of `torch_hals`. With W held fixed nothing is extrapolated.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    inner : int
        Passes over the rows of a factor for each pass over V.
    update_W : bool
        False holds W fixed.

    Yields
    ------
    W, H
    """
    batched, W, H, _ = as_batch(W, H, 2)
    if V.device.type != "cpu":
        states = _on_gpu(V, W, H, inner, update_W)
    else:
        states = _swept(Sweeps(V, W, H, inner, update_W, kind=Extrapolated))
    for W, H in states:
        yield (W, H) if batched else (W[0], H[0])


def _swept(sweeps):
    kept = [tensor.clone() for tensor in (sweeps.Wt, sweeps.H)]
    for i, problem in enumerate(sweeps.problems):
        problem.keep_in(*(tensor[i] for tensor in kept))
    for _ in sweeps.iterate():
        yield kept[0].mT, kept[1]


class ExtrapolatedPart(Part):
    """A `Part` that looks ahead of what it has found, and can go back."""

    def lead(self, gram, inner, alpha):
        """Minimize, and extrapolate; keep what the error is computed from."""
        import torch

        self.solve(gram, inner)
        self.linear = (self.rows * self.products).sum(1).double() @ self.square[:, 0].double()
        self.found_gram = self.rows @ self.rows.mT
        self.found.copy_(self.rows)
        torch.sub(self.rows, self.kept, out=self.products)
        self.rows.add_(self.products, alpha=alpha).clamp_(min=0)
        self.close()

    def accept(self):
        """Make what was found the state."""
        self.kept.copy_(self.found)

    def undo(self):
        """Go back to the state before, without extrapolation."""
        self.rows.copy_(self.kept)
        self.close()


class Extrapolated(Problem):
    """A `Problem` whose α follows the error."""

    part = ExtrapolatedPart

    def keep_in(self, Wt, H):
        """Use these arrays (rank × m, rank × n) for the state, and begin with the start."""
        import torch

        for parts, kept in ((self.W, Wt), (self.H, H)):
            first = 0
            for part in parts:
                rank, length = part.rows.shape
                part.kept = kept[:rank, first : first + length]
                part.found = torch.empty_like(part.rows)
                first += length
        self.count, self.error = 0, float("inf")
        self.alpha, self.ceiling = FIRST, 1.0

    def iterate(self, each, inner, update_W):
        """Minimize over H, then over W, extrapolate both, and judge by the error."""
        alpha = self.alpha if update_W and self.count >= DELAY else 0.0
        each(self.H, lambda part: part.lead(self.gram_W, inner, alpha))
        if not update_W:
            each(self.H, ExtrapolatedPart.accept)
            return
        gram = total(part.gram for part in self.H)
        each(self.W, lambda part: part.lead(gram, inner, alpha))
        found_gram = total(part.found_gram for part in self.W)
        error = float((found_gram.double() * gram.double()).sum())
        error -= 2 * float(total(part.linear for part in self.W))
        worse = self.count >= DELAY and error > self.error
        for parts in (self.H, self.W):
            each(parts, ExtrapolatedPart.undo if worse else ExtrapolatedPart.accept)
        self.gram_W = total(part.gram for part in self.W)
        if worse:
            self.alpha, self.ceiling = self.alpha / FALL, self.alpha
        elif self.count >= DELAY:
            self.alpha = min(self.ceiling, GROWTH * self.alpha)
            self.ceiling = min(1.0, CEILING_GROWTH * self.ceiling)
        self.count, self.error = self.count + 1, error


def plain_updates(V, W, H, inner=4, update_W=True):
    """Iterate as `torch_ahals` does, all problems of a batch at once and row after row.

    Yields
    ------
    W, H
    """
    state = State.of(W, H)
    step = _plain_step(V, state, inner, update_W)
    while True:
        step()
        yield state.Wt.mT, state.H


def _on_gpu(V, W, H, inner, update_W):
    state = State.of(W, H)
    builds = {"plain": lambda *copies: _plain_step(V, State(*copies), inner, update_W)}
    problem = forms.about("torch_ahals", V, state[:2], H.shape[-2], inner, update_W)
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


def _plain_step(V, state, inner, update_W):
    import torch

    Wt, H, ahead_W, ahead_H, alpha, ceiling, error, count = state

    def step():
        started = count >= DELAY
        found_H = sweep_rows(ahead_H.clone(), ahead_W @ V, ahead_W @ ahead_W.mT, inner)
        if not update_W:
            H.copy_(found_H)
            ahead_H.copy_(found_H)
            return
        now = torch.where(started, alpha, 0)
        ahead_H.copy_((found_H + now * (found_H - H)).clamp_(min=0))
        products, gram = (V @ ahead_H.mT).mT.contiguous(), ahead_H @ ahead_H.mT
        found_W = sweep_rows(ahead_W.clone(), products, gram, inner)
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
