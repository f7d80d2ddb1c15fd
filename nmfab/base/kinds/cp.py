"""The CP kind: a spectrum, activations and gains per channel for each component."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmfab.base.arrays import members, module_of
from nmfab.base.kinds.contract import Factorization, kind


@kind("cp", version=1)
@dataclass(eq=False)
class CP(Factorization):
    """V_fnc ≈ Σ_k w_fk h_kn q_ck.

    Attributes
    ----------
    W : array [shape=(m, rank)]
        Templates.
    H : array [shape=(rank, n)]
        Activations.
    Q : array [shape=(channels, rank)]
        Gains: where each component stands among the channels.
    """

    W: Any
    H: Any
    Q: Any

    def reconstruction(self):
        """Return Σ_k w_k ∘ h_k ∘ q_k, array [shape=(m, n, channels)]."""
        return _sum(self.W, self.H, self.Q)

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return the sums of each group's components, [shape=(n_groups, m, frames, channels)]."""
        H = self.H[:, frames]
        sums = [_sum(self.W[:, own], H[own], self.Q[:, own]) for own in members(groups, n_groups)]
        return module_of(H).stack(sums)

    def templates(self):
        """Return W."""
        return self.W

    def activations(self):
        """Return H."""
        return self.H

    def panning(self):
        """Return gains of each component that add up to 1 over the channels, [channels × rank].

        A component without gains has zeros.
        """
        sums = self.Q.sum(0)
        return self.Q / module_of(sums).where(sums > 0, sums, 1)

    def scaled(self, factors, fixed=None):
        """Return the model with H times the factor; held templates as they were given."""
        if fixed is None:
            return self._described(CP(self.W, self.H * factors, self.Q))
        held, mean = fixed.astype(self.W.dtype), float(fixed.mean(dtype=np.float64))
        count = held.shape[1]
        W = np.hstack([held, self.W[:, count:]])
        H = np.concatenate([self.H[:count] * (factors / mean), self.H[count:] * factors])
        return self._described(CP(W, H, self.Q))


def panned(H, Q):
    """Return h_kn q_ck as a matrix [shape=(rank, n · channels)], channels fastest."""
    # .T of a matrix is the same in NumPy and torch
    return (H[:, :, None] * Q.T[:, None, :]).reshape(len(H), H.shape[1] * len(Q))


def _sum(W, H, Q):
    return (W @ panned(H, Q)).reshape(len(W), H.shape[1], len(Q))
