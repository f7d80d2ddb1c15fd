"""The plain kind: V ≈ W·H."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmfab.base.arrays import members, module_of
from nmfab.base.kinds.contract import Factorization, kind


@kind("low_rank", version=1)
@dataclass(eq=False)
class LowRank(Factorization):
    """V ≈ W·H.

    Attributes
    ----------
    W : array [shape=(m, rank)]
        Templates.
    H : array [shape=(rank, n)]
        Activations.
    """

    W: Any
    H: Any

    def reconstruction(self):
        """Return W·H."""
        return self.W @ self.H

    def component(self, k):
        """Return w_k h_k."""
        return self.W[:, [k]] @ self.H[[k]]

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return the products of each group's columns of W with its rows of H."""
        H = self.H[:, frames]
        sums = [self.W[:, own] @ H[own] for own in members(groups, n_groups)]
        return module_of(H).stack(sums)

    def templates(self):
        """Return W."""
        return self.W

    def activations(self):
        """Return H."""
        return self.H

    def scaled(self, factors, fixed=None):
        """Return W times the factor, or with templates as they were given, H times it."""
        if fixed is None:
            return self._described(type(self)(self.W * factors, self.H))
        mean = float(fixed.mean(dtype=np.float64))
        held = fixed.astype(self.W.dtype)
        free = self.W[:, held.shape[1] :] * mean
        W = np.hstack([held, free]) if free.shape[1] else held
        return self._described(type(self)(W, self.H * (factors / mean)))

    def problem(self, b, rank=None):
        """Return problem b of a batch, whose components from `rank` on are padding."""
        W, H = self.W[b], self.H[b]
        rank = len(H) if rank is None else rank
        return type(self)(W[:, :rank], H[:rank])
