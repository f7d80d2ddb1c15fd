"""The Tucker kind for bars: patterns of spectra and rhythms, and how much of each a bar has."""

from dataclasses import dataclass
from typing import Any

from nmfab.base.arrays import members, module_of
from nmfab.base.errors import ComputationError
from nmfab.base.kinds.contract import Factorization, kind


@kind("tucker", version=1)
@dataclass(eq=False)
class Tucker(Factorization):
    """V ≈ core ×₁ frequency ×₂ instant ×₃ bar.

    Component k is pattern k, core[:, :, k] between its spectra and rhythms, in every bar as much
    as column k of `bar` says.

    Attributes
    ----------
    core : array [shape=(frequency_rank, instant_rank, rank)]
        How spectra and rhythms make patterns.
    frequency : array [shape=(m, frequency_rank)]
        Spectra.
    instant : array [shape=(instants, instant_rank)]
        Rhythms: when within a bar.
    bar : array [shape=(bars, rank)]
        How much of each pattern a bar has.
    """

    core: Any
    frequency: Any
    instant: Any
    bar: Any

    def reconstruction(self):
        """Return the model, array [shape=(m, instants, bars)]."""
        return self.patterns() @ self.bar.T

    def patterns(self):
        """Return core ×₁ frequency ×₂ instant, array [shape=(m, instants, rank)]."""
        return _patterns(self.core, self.frequency, self.instant)

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return the sums of each group's patterns at some of the bars.

        [shape=(n_groups, m, instants, bars)]: the frames are bars here.
        """
        bar = self.bar[frames]
        sums = [
            _patterns(self.core[:, :, own], self.frequency, self.instant) @ bar[:, own].T
            for own in members(groups, n_groups)
        ]
        return module_of(bar).stack(sums)

    def templates(self):
        """Return the patterns, unfolded as the barwise matrix is: (m · instants) × rank."""
        patterns = self.patterns()
        return patterns.reshape(patterns.shape[0] * patterns.shape[1], patterns.shape[2])

    def activations(self):
        """Return barᵀ, rank × bars."""
        return self.bar.T

    def scaled(self, factors, fixed=None):
        """Return the model with the core times the factor.

        Raises
        ------
        ComputationError
            If templates are held: a pattern is no parameter of the model.
        """
        if fixed is not None:
            raise ComputationError("a Tucker model holds no templates: its patterns are products")
        core = self.core * factors
        return self._described(Tucker(core, self.frequency, self.instant, self.bar))


def _patterns(core, frequency, instant):
    """Return core ×₁ frequency ×₂ instant."""
    first, second, last = core.shape
    spectra = frequency @ core.reshape(first, second * last)
    return instant @ spectra.reshape(len(frequency), second, last)
