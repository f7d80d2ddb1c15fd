"""One factorization for a notebook: `nmfab.factorize`."""

import numpy as np

from nmfab.algorithms import frame
from nmfab.algorithms.contract import ALGORITHMS
from nmfab.algorithms.problem import View
from nmfab.base.errors import UsageError
from nmfab.base.kinds import Factorization, LowRank
from nmfab.base.registry import unknown
from nmfab.base.resources import Resources, resolve_device, use_resources


def factorize(
    V,
    rank=None,
    *,
    algorithm="torch_mu",
    beta=1,
    init="random",
    seed=0,
    start=None,
    fixed=None,
    stop=200,
    dtype="float32",
    device="cpu",
    frequencies=None,
    view=None,
    **own,
):
    """Factorize V by any algorithm of the registry, a plug-in's included.

    Parameters
    ----------
    V : ndarray [shape=(m, n)], or in the form that the algorithm takes
        Nonnegative and finite, frequency first; m × n × channels, m × instants × bars, a complex
        spectrum m × n × channels, or a dict of matrices for models of those forms.
    rank : int, optional
        Number of components; that of `start` or `fixed` where None.
    algorithm : str
        Its name: ``nmfab.ALGORITHMS.names()`` lists them.
    beta : float
        β of the divergence: 2 Euclidean, 1 Kullback-Leibler, 0 Itakura-Saito.
    init : {"random", "nndsvda", "nndsvd", "harmonic"}
        The start; "harmonic" needs `frequencies`.
    seed : int
        Of starts that are drawn at random.
    start : (W, H), or Factorization, optional
        The start itself, on V's scale.
    fixed : ndarray [shape=(m, k), or (T, m, k) for convolutive models], optional
        Templates that the first k components hold.
    stop : int or str
        A number of iterations, seconds (``"10s"``) or a stationarity residual (``"kkt<1e-4"``).
    dtype : {"float32", "float64"}
        Of what is computed.
    device : {"cpu", "cuda", "auto"}
        Where algorithms written in torch compute.
    frequencies : ndarray [shape=(m,)], optional
        Of V's rows, Hz.
    view : View, or dict of View, optional
        More of how V was made: times, rate, window, power.
    **own
        The algorithm's own parameters, by their names: ``length=10``.

    Returns
    -------
    Factorization
        With ``reconstruction()``, ``templates()``, ``activations()`` as NumPy arrays on V's scale,
        and ``curve``, a dict of arrays: ``iteration``, ``seconds``, ``loss``, ``kkt`` and, where
        the algorithm has one, ``objective``. Loss and objective, and so the weights of penalties,
        are those of V divided by its mean (``scale``).

    Raises
    ------
    UsageError
        For a name or value that does not exist.
    ComputationError
        If V cannot be factorized so.

    Examples
    --------
    >>> import numpy as np, nmfab
    >>> V = np.random.default_rng(0).random((40, 60))
    >>> model = nmfab.factorize(V, 5, beta=1)
    >>> model.templates().shape, model.curve["loss"][-1] < model.curve["loss"][0]
    ((40, 5), True)
    """
    known = ALGORITHMS[algorithm]
    for name in own:
        if name not in known.own:
            raise UsageError(unknown(f"parameter of algorithm {algorithm}", name, known.own))
    start = _as_model(start)
    fixed = _as_templates(fixed)
    frequencies = _as_frequencies(frequencies, V)
    if rank is None:
        if start is None and fixed is None:
            raise UsageError("factorize needs a rank: factorize(V, 10)")
        rank = start.rank if start is not None else fixed.shape[-1]
    if start is not None and start.rank != rank:
        raise UsageError(f"the start has {start.rank} components, and rank is {rank}")
    params = {
        "algorithm": algorithm, "beta": beta, "rank": rank, "init": init, "seed": seed,
        "stop": stop, "dtype": dtype,
    }  # fmt: skip
    params |= {f"{algorithm}.{name}": value for name, value in own.items()}
    if view is None and frequencies is not None:
        view = View(frequencies)
    with use_resources(Resources(resolve_device(device))):
        return frame.factorize(params, V, view, fixed, start)


def _as_templates(fixed):
    if fixed is None:
        return None
    fixed = np.asarray(fixed)
    if fixed.ndim < 2:
        raise UsageError("fixed is the templates themselves (m × k), not their number")
    return fixed


def _as_frequencies(frequencies, V):
    if frequencies is None:
        return None
    frequencies = np.asarray(frequencies, dtype=float)
    rows = len(next(iter(V.values())) if isinstance(V, dict) else V)
    if frequencies.shape != (rows,):
        raise UsageError(f"frequencies of shape {frequencies.shape} for V of {rows} rows")
    return frequencies


def _as_model(start):
    if start is None or isinstance(start, Factorization):
        return start
    try:
        W, H = (np.asarray(factor, dtype=float) for factor in start)
    except (TypeError, ValueError) as error:
        raise UsageError("start is a pair W, H, or a factorization") from error
    if W.ndim != 2 or H.ndim != 2 or W.shape[1] != H.shape[0]:
        raise UsageError(f"start: W {W.shape} and H {H.shape} are no pair (m × rank, rank × n)")
    return LowRank(W, H)
