"""The convolutive kind: templates that last several frames."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nmfab.base.arrays import members, module_of
from nmfab.base.kinds.contract import Factorization, kind


@kind("convolutive", version=1)
@dataclass(eq=False)
class Convolutive(Factorization):
    """V ≈ Σ_t W_t · (H shifted right by t); what leaves at the end is lost.

    Attributes
    ----------
    kernels : array [shape=(T, m, rank)]
        W_t, the templates t frames after their onset.
    H : array [shape=(rank, n)]
        Activations.
    """

    spreads: ClassVar[bool] = True

    kernels: Any
    H: Any

    def reconstruction(self):
        """Return Σ_t W_t · (H shifted right by t)."""
        return convolved(self.kernels, self.H)

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return the sums of each group's components; frames before the slice reach into it."""
        n, length = self.H.shape[1], len(self.kernels)
        wanted = range(n)[frames]
        first, last = min(wanted, default=0), max(wanted, default=-1) + 1
        before = min(first, length - 1)
        H = self.H[:, first - before : last]
        places = [before + frame - first for frame in wanted]
        sums = [
            convolved(self.kernels[:, :, own], H[own])[:, places]
            for own in members(groups, n_groups)
        ]
        return module_of(self.H).stack(sums)

    def templates(self):
        """Return Σ_t W_t, array [shape=(m, rank)]."""
        return self.kernels.sum(0)

    def activations(self):
        """Return H."""
        return self.H

    def scaled(self, factors, fixed=None):
        """Return the model with H times the factor; held kernels as they were given.

        Kernels of one frame may be given as a matrix.
        """
        if fixed is None:
            return self._described(Convolutive(self.kernels, self.H * factors))
        held = fixed.reshape(len(self.kernels), *fixed.shape[-2:]).astype(self.kernels.dtype)
        count, mean = held.shape[2], float(fixed.mean(dtype=np.float64))
        kernels = np.concatenate([held, self.kernels[:, :, count:]], axis=2)
        H = np.concatenate([self.H[:count] * (factors / mean), self.H[count:] * factors])
        return self._described(Convolutive(kernels, H))


def shifted(H, length):
    """Return H shifted right by 0 ... length − 1, array [shape=(length, rank, n)].

    Zeros come in, and columns fall off the end.
    """
    xp, n = module_of(H), H.shape[1]
    silence = xp.zeros_like(H)
    return xp.stack(
        [
            xp.concatenate([silence[:, : min(t, n)], H[:, : max(n - t, 0)]], axis=1)
            for t in range(length)
        ]
    )


def convolved(kernels, H):
    """Return Σ_t W_t · (H shifted right by t), array [shape=(m, n)], as one product."""
    rows = len(kernels) * len(H)
    return flat(kernels) @ shifted(H, len(kernels)).reshape(rows, H.shape[1])


def flat(kernels):
    """Return kernels [shape=(T, m, rank)] as the matrix (m, T · rank), t slowest."""
    length, m, rank = kernels.shape
    return module_of(kernels).moveaxis(kernels, 0, 1).reshape(m, length * rank)
