"""What an algorithm's own start is given: the problem, and the start that everybody shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nmfab.algorithms.init import starting_factors


@dataclass(frozen=True)
class View:
    """How a spectrogram was made.

    Attributes
    ----------
    frequencies : ndarray [shape=(m,)] or None
        Of V's rows, Hz.
    times : ndarray [shape=(n,)] or None
        Of V's columns, seconds.
    sample_rate : float or None
        Hz.
    window : int or None
        Length of the analysis window, samples.
    power : float or None
        V is the modulus to this power.
    """

    frequencies: Any = None
    times: Any = None
    sample_rate: float | None = None
    window: int | None = None
    power: float | None = None


@dataclass(frozen=True)
class Problem:
    """What an algorithm's own `start` is given.

    Attributes
    ----------
    V : ndarray, or dict of ndarray for views
        In the form that the algorithm takes, divided by its scale, read-only.
    rank : int
        Number of components, those that are held included.
    rng : numpy.random.Generator
        Seeded by the setting's ``seed``.
    beta : float or None
        The β of the divergence; None for a model that reads none.
    parameters : dict
        The algorithm's own, by name.
    iterations : int or None
        How many are to come; None under a stop in seconds or by residual.
    fixed : ndarray [shape=(m, k) or (T, m, k)] or None
        Templates that the first k components hold, divided by their mean.
    view : View, or dict of View for views
        Frequencies, times, rate, window and power of V.
    init : str
        The start that the setting names.
    seed : int
        Of starts that are drawn.
    """

    V: Any
    rank: int
    rng: Any
    beta: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    iterations: int | None = None
    fixed: Any = None
    view: Any = field(default_factory=View)
    init: str = "nndsvda"
    seed: int = 0

    @property
    def frequencies(self):
        """Hz of V's rows, or None; of the first view where there are several."""
        return frequencies_of(self.view)

    def usual_start(self, V, rank=None):
        """Return W and H of the start that `init` and `seed` name, for a matrix.

        Parameters
        ----------
        V : ndarray [shape=(m, n)]
            Nonnegative, not silent: V itself, or a matrix made of it.
        rank : int, optional
            Number of components, all of them where None.

        Returns
        -------
        W, H : ndarray [shape=(m, rank), (rank, n)], float64
        """
        rank = self.rank if rank is None else rank
        options = {"init": self.init, "seed": self.seed, "frequencies": self.frequencies}
        return starting_factors(V, rank, **options)[:2]


def frequencies_of(view):
    """Return Hz of V's rows, of the first view where there are several; None where unknown."""
    if isinstance(view, dict):
        view = next(iter(view.values()), None)
    return None if view is None else view.frequencies
