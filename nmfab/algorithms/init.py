"""Starting factors: the same W0 and H0 for every algorithm of a comparison."""

import logging

import numpy as np

from nmfab.base.errors import ComputationError, UsageError
from nmfab.base.registry import unknown

VERSION = 1
INITS = ("random", "nndsvda", "nndsvd", "harmonic")
PIANO = range(21, 109)  # MIDI numbers, A0 to C8
HALF_BAND = 0.03
PARTIALS = 16  # from the 17th on, neighbouring bands of ±3% touch: a template would hold every bin
EMPTY_BIN = 1e-3

logger = logging.getLogger("nmfab")


def reads_seed(init):
    """Tell whether a start depends on the seed; refuse an `init` that does not exist."""
    if init not in INITS:
        raise UsageError(unknown("init", init, INITS))
    return init in ("random", "harmonic")


def starting_factors(V, rank, *, init="nndsvda", seed=0, frequencies=None):
    """Draw W0 and H0.

    Parameters
    ----------
    V : ndarray [shape=(m, n)]
        Nonnegative, not silent.
    rank : int
        Number of components.
    init : {"nndsvda", "nndsvd", "random", "harmonic"}
        See `nndsvd`, `random_factors`, `harmonic_factors`.
    seed : int
        Read by the starts that `reads_seed` names.
    frequencies : ndarray [shape=(m,)], optional
        Hz of V's rows, which "harmonic" needs.

    Returns
    -------
    W, H : ndarray [shape=(m, rank), (rank, n)], float64
    filled : int
        Number of components at the end that the start could not give and that are random.

    Raises
    ------
    UsageError
        Unknown `init`, or a rank that it cannot have.
    ComputationError
        A harmonic start without frequencies.
    """
    seeded = reads_seed(init)
    V = np.asarray(V, dtype=np.float64)
    if init == "random":
        return (*random_factors(V, rank, np.random.default_rng(seed)), 0)
    if init == "harmonic":
        if frequencies is None:
            raise ComputationError(
                "init harmonic needs the frequency of each row of V, and this feature has none: "
                "use another feature or init"
            )
        W, H = harmonic_factors(V, rank, frequencies, np.random.default_rng(seed))
    else:
        W, H = nndsvd(V, rank, fill=init == "nndsvda")
    filled = rank - W.shape[1]
    if filled:
        # nothing but the rank asks for these, so a start that reads no seed stays so
        rng = np.random.default_rng([seed if seeded else 0, 1])
        more_W, more_H = random_factors(V, rank, rng)
        W = np.hstack([W, more_W[:, :filled]])
        H = np.vstack([H, more_H[:filled]])
        logger.warning(
            "init %s gives %d components for V of %d × %d: the other %d of rank %d start at random",
            init, rank - filled, *V.shape, filled, rank,
        )  # fmt: skip
    return W, H, filled


def random_factors(V, rank, rng):
    """Return |N(0, 1)| · √(mean V / rank) for both factors, scikit-learn's scale."""
    scale = np.sqrt(V.mean() / rank)
    W = scale * np.abs(rng.standard_normal((V.shape[0], rank)))
    H = scale * np.abs(rng.standard_normal((rank, V.shape[1])))
    return W, H


def nndsvd(V, rank, *, fill):
    """Return the nonnegative double SVD of V.

    Boutsidis and Gallopoulos, "SVD based initialization: a head start for nonnegative matrix
    factorization", Pattern Recognition 2008: of each pair of singular vectors the pair of positive
    or of negative parts, whichever has the larger product of norms.

    Parameters
    ----------
    V : ndarray [shape=(m, n)]
        Nonnegative.
    rank : int
        At most that of V counts: fewer components come back where V's own rank is lower.
    fill : bool
        NNDSVDa: zeros become the mean of V (without it multiplicative updates keep them).

    Returns
    -------
    W, H : ndarray [shape=(m, k), (k, n)], k ≤ rank
    """
    left, values, right = _leading_svd(V, rank)
    W = np.zeros((V.shape[0], len(values)))
    H = np.zeros((len(values), V.shape[1]))
    for k, value in enumerate(values):
        u, v = left[:, k], right[k]
        pairs = [(np.maximum(u, 0), np.maximum(v, 0)), (np.maximum(-u, 0), np.maximum(-v, 0))]
        norms = [(np.linalg.norm(x), np.linalg.norm(y)) for x, y in pairs]
        best = int(norms[1][0] * norms[1][1] > norms[0][0] * norms[0][1])
        (x, y), (norm_x, norm_y) = pairs[best], norms[best]
        scale = np.sqrt(value * norm_x * norm_y)
        W[:, k], H[k] = scale * x / norm_x, scale * y / norm_y
    if fill:
        W[W == 0] = V.mean()
        H[H == 0] = V.mean()
    return W, H


def _leading_svd(V, rank):
    """Return the leading singular triplets by the smaller Gram matrix: deterministic, no seed."""
    from scipy.linalg import eigh

    tall = V.shape[0] >= V.shape[1]
    gram = V.T @ V if tall else V @ V.T
    size = len(gram)
    squares, vectors = eigh(gram, subset_by_index=[max(size - rank, 0), size - 1])
    values, vectors = np.sqrt(np.maximum(squares[::-1], 0)), vectors[:, ::-1]
    # squaring V leaves half of the digits: below √ε a singular value is not told from zero
    kept = values > values[0] * np.sqrt(size * np.finfo(float).eps)
    values, vectors = values[kept], vectors[:, kept]
    others = (V @ vectors if tall else V.T @ vectors) / values
    return (others, values, vectors.T) if tall else (vectors, values, others.T)


def harmonic_templates(frequencies):
    """Return one template per piano key, MIDI 21 to 108, flat within ±3% of each partial.

    The h-th of 16 partials has height 1/h. A band narrower than the bins around it takes the
    nearest bin. Bins that no template holds get `EMPTY_BIN` times the largest entry in every
    template, because a row of zeros in W can never approximate sound there (and is a division by
    zero in multiplicative updates); all other zeros stay, and multiplicative updates keep them
    (Raczyński, Ono, Sagayama, "Multipitch analysis with harmonic nonnegative matrix approximation",
    ISMIR 2007).

    Parameters
    ----------
    frequencies : ndarray [shape=(m,)]
        Hz of V's rows, increasing.

    Returns
    -------
    ndarray [shape=(m, 88)], float64
    """
    frequencies = np.asarray(frequencies, dtype=np.float64)
    half_bin = np.abs(np.gradient(frequencies))[:, None] / 2
    fundamentals = 440.0 * 2.0 ** ((np.array(PIANO) - 69) / 12)
    W = np.zeros((len(frequencies), len(fundamentals)))
    for h in range(1, PARTIALS + 1):
        partials = h * fundamentals
        distance = np.abs(frequencies[:, None] - partials)
        inside = distance <= np.maximum(HALF_BAND * partials, half_bin)
        W = np.maximum(W, inside / h)
    W[~W.any(axis=1)] = EMPTY_BIN * W.max()
    return W


def harmonic_factors(V, rank, frequencies, rng):
    """Return `harmonic_templates` and random activations, W·H having the mean of V.

    Raises
    ------
    UsageError
        If `rank` is below 88, the number of piano keys.
    """
    if rank < len(PIANO):
        raise UsageError(f"init harmonic has {len(PIANO)} templates: rank {rank} is too small")
    W = harmonic_templates(frequencies)
    H = np.abs(rng.standard_normal((W.shape[1], V.shape[1])))
    return W, H * (V.mean() / (W @ H).mean())
