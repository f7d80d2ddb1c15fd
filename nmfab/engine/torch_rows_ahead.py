"""HALS from points extrapolated along the last steps, on a CPU.

The sweep is that of `torch_rows`; `nmfab.algorithms.torch_ahals` says what is computed.
"""

from nmfab.engine.torch_blocks import line_of
from nmfab.engine.torch_rows import LeastSquares, Piece

# Of Ang and Gillis for HALS with several passes: the first weight, what it and its ceiling grow by,
# and what it is divided by where the error rises.
FIRST, GROWTH, CEILING_GROWTH, FALL = 0.5, 1.01, 1.005, 1.5
# Iterations of plain HALS, of one pass, at the beginning: leaps from a random start, and several
# passes too, lead to other, often worse minima.
DELAY = 20


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


class ExtrapolatedLeastSquares(LeastSquares):
    """HALS whose α follows the error; B and A are the state, copies of them are ahead."""

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
        """See `LeastSquares`."""
        self._lead(share.piece, self.gram)

    def minimize_A(self, piece, gram):
        """See `LeastSquares`."""
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
