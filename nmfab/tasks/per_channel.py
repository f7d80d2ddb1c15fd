"""A factorization of each channel by itself, read as one of all channels."""

import numpy as np

from nmfab.base.kinds import Factorization


class PerChannel(Factorization):
    """The components of all channels: each sounds in its own channel and in no other.

    Parameters
    ----------
    models : sequence of Factorization
        One per channel, each of a matrix [shape=(m, n)].
    """

    def __init__(self, models):
        self.models = tuple(models)

    def templates(self):
        """Return the templates of the first channel, then those of the next, [shape=(m, rank)]."""
        return np.hstack([model.templates() for model in self.models])

    def activations(self):
        """Return the activations in the same order, [shape=(rank, n)]."""
        return np.vstack([model.activations() for model in self.models])

    def reconstruction(self):
        """Return the models of the channels, [shape=(m, n, channels)]."""
        return np.stack([model.reconstruction() for model in self.models], axis=-1)

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return the sums of each group's components, [shape=(n_groups, m, frames, channels)]."""
        ends = np.cumsum([model.rank for model in self.models])
        own = np.split(np.asarray(groups), ends[:-1])
        pairs = zip(self.models, own, strict=True)
        return np.stack([m.grouped(g, n_groups, frames=frames) for m, g in pairs], axis=-1)
