"""Nonnegative Tucker decomposition of barwise tensors, by multiplicative updates for any β."""

import logging

import numpy as np

from nmfab.algorithms import linear
from nmfab.algorithms.contract import algorithm
from nmfab.base.divergence import mask as entries
from nmfab.base.kinds.tucker import Tucker

FLOOR = 1e-12  # of the start: multiplicative updates keep zeros
CHOICES = ("free", "identity")

logger = logging.getLogger("nmfab")


def start(problem):
    """Return the absolute values of the higher-order SVD plus 1e-12, or random factors.

    The SVD serves every init but ``random``. Where `rank` is above the number of bars, the
    patterns that it cannot give are random. The core is scaled so that the model has V's mean.
    """
    V = np.asarray(problem.V, dtype=np.float64)
    ranks = _ranks(V.shape, problem)
    if problem.init == "random":
        factors = [np.abs(problem.rng.standard_normal(s)) for s in zip(V.shape, ranks, strict=True)]
        core, filled = np.abs(problem.rng.standard_normal(ranks)), 0
    else:
        core, factors, filled = _higher_order_svd(V, ranks, problem.rng)
    for place, name in enumerate(("frequency", "instant")):
        if problem.parameters[name] == "identity":
            factors[place] = np.eye(V.shape[place])
    model = Tucker(core, *factors)
    model = model.scaled(V.mean() / model.reconstruction().mean())
    model.filled = filled
    return model


def _ranks(shape, problem):
    """Return the three ranks, those of frequency and instant at most V's own sizes."""
    ranks = []
    for size, name in zip(shape, ("frequency", "instant"), strict=False):
        free = problem.parameters[name] == "free"
        ranks.append(min(problem.parameters[f"{name}_rank"], size) if free else size)
    return (*ranks, problem.rank)


def _higher_order_svd(V, ranks, rng):
    """Return core and factors, absolute values, and how many patterns had to be drawn.

    De Lathauwer, De Moor and Vandewalle, "A multilinear singular value decomposition", SIAM Journal
    on Matrix Analysis and Applications 2000: leading singular vectors of each unfolding.
    """
    vectors = []
    for mode, rank in enumerate(ranks):
        unfolded = np.moveaxis(V, mode, 0).reshape(V.shape[mode], -1)
        _, found = np.linalg.eigh(unfolded @ unfolded.T)
        vectors.append(found[:, ::-1][:, :rank])
    core = np.abs(np.einsum("fit,fa,ib,tc->abc", V, *vectors, optimize=True))
    factors = [np.abs(found) + FLOOR for found in vectors]
    filled = ranks[2] - core.shape[2]
    if filled:
        more = [np.abs(rng.standard_normal((*x.shape[:-1], filled))) for x in (core, factors[2])]
        core = np.concatenate([core, core.mean() * more[0]], axis=2)
        factors[2] = np.hstack([factors[2], factors[2].mean() * more[1]])
        logger.warning(
            "ntd: V of %d bars gives %d patterns: the other %d of rank %d start at random",
            V.shape[2], V.shape[2], filled, ranks[2],
        )  # fmt: skip
    return core + FLOOR, factors, filled


def _refused(p):
    for name in ("frequency_rank", "instant_rank"):
        rank = p[f"ntd.{name}"]
        if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
            return f"ntd.{name} is a whole number, 1 or more, not {rank!r}"
    for name in ("frequency", "instant"):
        if p[f"ntd.{name}"] not in CHOICES:
            return f"ntd.{name} is free or identity, not {p[f'ntd.{name}']!r}"
    if p.get("init") == "harmonic":
        return "init harmonic is made of piano keys, and ntd starts from an SVD or at random"
    return None


@algorithm(
    "ntd",
    version=1,
    gives=Tucker,
    takes="bars",
    arrays="torch",
    skip=_refused,
    start=start,
)
def ntd(
    V,
    model,
    *,
    beta=1.0,
    frequency_rank=32,
    instant_rank=32,
    frequency="free",
    instant="free",
):
    """Minimize D_β(V | G ×₁ W ×₂ H ×₃ Q), all nonnegative (NTD).

    W (spectra), H (rhythms within a bar), Q (patterns in bars) and the core G are multiplied by
    (N / P)^γ(β) in this order, the model anew each time. It is linear in each of them, with

        N_G = (V ∘ Λ^(β−2)) ×₁ Wᵀ ×₂ Hᵀ ×₃ Qᵀ,  P_G = Λ^(β−1) ×₁ Wᵀ ×₂ Hᵀ ×₃ Qᵀ

    for the core and the like for the others, so the divergence never rises (`linear`). No Kronecker
    product is formed. `rank` is the number of patterns, the columns of Q.

    Parameters
    ----------
    V : tensor [shape=(m, instants, bars)]
        Nonnegative, of mean 1. At β ≤ 0 entries that are exactly 0 are left out.
    model : Tucker
        The start.
    beta : float
        Any real; 0 and 1 found boundaries better than 2 (Marmoret, Voorwinden, Leplat, Cohen and
        Bimbot).
    frequency_rank, instant_rank : int
        Columns of W and H, at most as many as V has frequencies and instants; 8 to 48 in the
        references.
    frequency, instant : {"free", "identity"}
        ``"identity"`` holds W (for chroma, which has 12 rows) or H as the identity; the rank of
        that mode is then not read.

    Yields
    ------
    Tucker

    References
    ----------
    A. Marmoret, J. Cohen, N. Bertin and F. Bimbot, "Uncovering audio patterns in music with
    nonnegative Tucker decomposition for structural segmentation", ISMIR 2020.

    A. Marmoret, F. Voorwinden, V. Leplat, J. Cohen and F. Bimbot, "Nonnegative Tucker decomposition
    with beta-divergence for music structure analysis of audio signals", GRETSI 2022.
    """
    core, W, H, Q = model.core, model.frequency, model.instant, model.bar
    mask = entries(V, beta)
    while True:
        if frequency == "free":
            W = _of_W(V, core, W, H, Q, beta, mask)
        if instant == "free":
            H = _of_H(V, core, W, H, Q, beta, mask)
        Q = _of_Q(V, core, W, H, Q, beta, mask)
        core = _of_core(V, core, W, H, Q, beta, mask)
        yield Tucker(core, W, H, Q)


def _of_W(V, core, W, H, Q, beta, mask):
    """Return W after its update."""
    rest = H @ (core @ Q.mT)  # core ×₂ H ×₃ Q [shape=(frequency_rank, instants, bars)]
    rows = rest.reshape(len(rest), -1)
    return _updated(
        W, V, (W @ rows).reshape(V.shape), beta, mask,
        lambda A: A.reshape(len(A), -1) @ rows.mT, lambda: rows.sum(1)[None],
    )  # fmt: skip


def _of_H(V, core, W, H, Q, beta, mask):
    """Return H after its update."""
    import torch

    bars = core @ Q.mT  # core ×₃ Q [shape=(frequency_rank, instant_rank, bars)]
    return _updated(
        H, V, _times(W, H @ bars), beta, mask,
        lambda A: torch.einsum("ait,abt->ib", _times(W.mT, A), bars),
        lambda: torch.einsum("a,abt->b", W.sum(0), bars)[None],
    )  # fmt: skip


def _of_Q(V, core, W, H, Q, beta, mask):
    """Return Q after its update."""
    import torch

    return _updated(
        Q, V, _times(W, H @ (core @ Q.mT)), beta, mask,
        lambda A: torch.einsum("abt,abc->tc", H.mT @ _times(W.mT, A), core),
        lambda: torch.einsum("a,b,abc->c", W.sum(0), H.sum(0), core)[None],
    )  # fmt: skip


def _of_core(V, core, W, H, Q, beta, mask):
    """Return the core after its update."""
    import torch

    return _updated(
        core, V, _times(W, H @ (core @ Q.mT)), beta, mask,
        lambda A: (H.mT @ _times(W.mT, A)) @ Q,
        lambda: torch.einsum("a,b,c->abc", W.sum(0), H.sum(0), Q.sum(0)),
    )  # fmt: skip


def _updated(block, V, model, beta, mask, adjoint, sums):
    N, P = linear.parts(V, model, beta, adjoint, sums=sums, mask=mask)
    return linear.update(block, N, P, beta)


def _times(matrix, tensor):
    """Return tensor ×₁ matrix."""
    product = matrix @ tensor.reshape(len(tensor), -1)
    return product.reshape(len(matrix), *tensor.shape[1:])
