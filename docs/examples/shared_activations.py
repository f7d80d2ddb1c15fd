"""A model of two views of one recording: a long and a short window, with the same activations.

    nmfab check docs/examples/shared_activations.py

`takes="views"` asks the task for several named matrices; each is divided by its own mean, and the
model comes back on the scale of each. `reconstruction` then gives a dict.
"""

from dataclasses import dataclass

import numpy as np

from nmfab import Factorization, algorithm, kind
from nmfab.base.divergence import divergence

FLOOR = 1e-12  # each view has mean 1 here


@kind("shared_activations")
@dataclass(eq=False)
class SharedActivations(Factorization):
    """Templates of each view (m × rank) under its name, and the activations of all, H."""

    each: dict
    H: np.ndarray

    def reconstruction(self):
        """Return the model of each view, by its name."""
        return {name: W @ self.H for name, W in self.each.items()}

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return, for each view, the sum of each group's components at some frames."""
        groups, H = np.asarray(groups), self.H[:, frames]
        members = [groups == g for g in range(n_groups)]
        return {name: np.stack([W[:, g] @ H[g] for g in members]) for name, W in self.each.items()}

    def templates(self):
        """Return the templates of the first view."""
        return next(iter(self.each.values()))

    def activations(self):
        """Return H."""
        return self.H

    def scaled(self, factors, fixed=None):
        """Return the model with each view on its own scale."""
        each = {name: W * factors[name] for name, W in self.each.items()}
        return self._described(SharedActivations(each, self.H))


def start(problem):
    """Start each view's templates from that view, and H from the first."""
    drawn = {name: problem.usual_start(V) for name, V in problem.V.items()}
    H = next(iter(drawn.values()))[1]
    return SharedActivations({name: W for name, (W, _) in drawn.items()}, H)


@algorithm("shared_activations", betas=(1,), takes="views", gives=SharedActivations, start=start)
def shared_activations(V, model, *, weight=1.0):
    """Minimize D_KL(V₁ | W₁H) + weight · D_KL(V₂ | W₂H), the views having equally many frames."""
    each, H = dict(model.each), model.H
    gains = {name: weight if place else 1.0 for place, name in enumerate(V)}
    while True:
        ratios = {name: V[name] / np.maximum(W @ H, FLOOR) for name, W in each.items()}
        above = sum(gains[name] * W.T @ ratios[name] for name, W in each.items())
        below = sum(gains[name] * W.sum(axis=0) for name, W in each.items())
        H = H * above / np.maximum(below[:, None], FLOOR)
        for name, W in each.items():
            ratio = V[name] / np.maximum(W @ H, FLOOR)
            each[name] = W * (ratio @ H.T) / np.maximum(H.sum(axis=1), FLOOR)
        model = SharedActivations(dict(each), H)
        found = model.reconstruction()
        yield model, sum(gains[name] * divergence(V[name], found[name], 1) for name in V)
