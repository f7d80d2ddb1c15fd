"""A model that is more than W·H, with a kind of factorization of its own: V ≈ F·S·H.

    nmfab check docs/examples/tri_factorization.py
    python experiments/mss.py --plugin docs/examples/tri_factorization.py \
        -s '{"algorithm":["tri_factorization","torch_mu"],"dataset":"demo"}' -c 2

A kind says what a task asks of a factorization: its reconstruction, its templates and activations,
and sums of its components. With these a task masks, groups and transcribes it as any other.
"""

from dataclasses import dataclass

import numpy as np

from nmfab import Factorization, algorithm, kind

FLOOR = 1e-12  # V has mean 1 here


@kind("tri_factorization")
@dataclass(eq=False)
class TriFactorization(Factorization):
    """F [shape=(m, atoms)], S [shape=(atoms, rank)] and H [shape=(rank, n)]."""

    F: np.ndarray
    S: np.ndarray
    H: np.ndarray

    def reconstruction(self):
        """Return F·S·H."""
        return self.F @ (self.S @ self.H)

    def templates(self):
        """Return F·S: each component is a mixture of the atoms."""
        return self.F @ self.S

    def activations(self):
        """Return H."""
        return self.H

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return the sum of each group's components at some frames."""
        groups, W, H = np.asarray(groups), self.templates(), self.H[:, frames]
        return np.stack([W[:, groups == g] @ H[groups == g] for g in range(n_groups)])

    def scaled(self, factors, fixed=None):
        """Return the model of V times a number."""
        return self._described(TriFactorization(self.F * factors, self.S, self.H))


def start(problem):
    """Draw atoms and activations as everybody's start does, and S at random."""
    F, _ = problem.usual_start(problem.V, problem.parameters["atoms"])
    _, H = problem.usual_start(problem.V)
    return TriFactorization(F, problem.rng.random((F.shape[1], problem.rank)), H)


@algorithm("tri_factorization", betas=(2,), gives=TriFactorization, start=start)
def tri_factorization(V, model, *, atoms=16):
    """Minimize ½‖V − F·S·H‖² by multiplicative updates, H before S before F (Ding et al. 2006).

    Templates are mixtures of common atoms: a rank that tasks see, and a smaller or larger one
    inside.
    """
    F, S, H = model.F, model.S, model.H
    while True:
        W = F @ S
        H = H * (W.T @ V) / np.maximum(W.T @ W @ H, FLOOR)
        S = S * (F.T @ V @ H.T) / np.maximum(F.T @ F @ S @ (H @ H.T), FLOOR)
        G = S @ H
        F = F * (V @ G.T) / np.maximum(F @ (G @ G.T), FLOOR)
        yield TriFactorization(F, S, H)
