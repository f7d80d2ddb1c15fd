"""Nonnegative CP of spectrograms of several channels, by multiplicative updates for any β."""

import numpy as np

from nmfab.algorithms import linear
from nmfab.algorithms.contract import algorithm
from nmfab.base.divergence import mask as entries
from nmfab.base.kinds.cp import CP, panned

NOISE = 0.1  # of the starting gains, so that components may move apart


def start(problem):
    """Return the usual start of the sum over channels, and gains of 1 plus up to 10% noise.

    Held templates come first; activations are then constant. With one channel this is the start
    of a plain factorization.
    """
    V, held = problem.V, problem.fixed
    channels = V.shape[2]
    if held is None:
        W, H = problem.usual_start(V.sum(axis=2))
    else:
        W, free = held, problem.rank - held.shape[1]
        if free:
            drawn, _ = problem.usual_start(V.sum(axis=2), free)
            W = np.hstack([held, drawn / drawn.mean()])
        # W and V have mean 1 and gains add up to 1 over the channels: the model has mean 1 too
        H = np.full((problem.rank, V.shape[1]), channels / problem.rank)
    Q = 1 + NOISE * problem.rng.random((channels, problem.rank))
    return CP(W, H, Q / Q.sum(axis=0))


@algorithm("ntf", version=1, gives=CP, takes="channels", arrays="torch", start=start)
def ntf(V, model, *, beta=1.0, fixed=0):
    """Minimize D_β(V | Λ), Λ_fnc = Σ_k w_fk h_kn q_ck, all nonnegative (NTF, or CP).

    H, W and Q are multiplied by (N / P)^γ(β) in this order, Λ anew each time: Λ is linear in each
    of them, so the divergence never rises (`linear`). Then Σ_f w = 1 for every component that is
    not held and Σ_c q = 1; H takes the scale. With one channel Q is 1, and W·H is that of
    `torch_mu`.

    The model adds powers or magnitudes over components: it knows no phase between channels.

    Parameters
    ----------
    V : tensor [shape=(m, n, channels)]
        Nonnegative, of mean 1. At β ≤ 0 entries that are exactly 0 are left out.
    model : CP
        The start.
    beta : float
        Any real; 0, 1 and 2 in the reference.
    fixed : int
        The first `fixed` columns of W are held, which may be all.

    Yields
    ------
    CP

    References
    ----------
    A. Marmoret, N. Bertin and J. Cohen, "Multi-channel automatic music transcription using tensor
    algebra", 2021 (report of 2019), section 3.

    A. Cichocki, R. Zdunek, A. H. Phan and S. Amari, "Nonnegative matrix and tensor factorizations",
    Wiley 2009, chapter 3.
    """
    W, H, Q, mask = model.W, model.H, model.Q, entries(V, beta)
    while True:
        H = _of_H(V, W, H, Q, beta, mask)
        if fixed < len(H):
            W = _of_W(V, W, H, Q, beta, mask, fixed)
        if len(Q) > 1:
            Q = _of_Q(V, W, H, Q, beta, mask)
        W, H, Q = normalized(W, H, Q, fixed)
        yield CP(W, H, Q)


def _of_H(V, W, H, Q, beta, mask):
    """Return H after its update."""

    def adjoint(A):
        return (_spectra(W, A) * Q.mT[:, None]).sum(2)

    def sums():
        return (W.sum(0) * Q.sum(0))[:, None]

    model = CP(W, H, Q).reconstruction()
    return linear.update(H, *linear.parts(V, model, beta, adjoint, sums=sums, mask=mask), beta)


def _of_W(V, W, H, Q, beta, mask, fixed):
    """Return W after its update, the first `fixed` columns as they are."""
    import torch

    heard = panned(H, Q)[fixed:]
    N, P = linear.parts(
        V, CP(W, H, Q).reconstruction(), beta,
        lambda A: A.reshape(len(A), -1) @ heard.mT, sums=lambda: heard.sum(1)[None], mask=mask,
    )  # fmt: skip
    moved = linear.update(W[:, fixed:], N, P, beta)
    return torch.cat([W[:, :fixed], moved], 1) if fixed else moved


def _of_Q(V, W, H, Q, beta, mask):
    """Return Q after its update."""

    def adjoint(A):
        return (_spectra(W, A) * H[:, :, None]).sum(1).mT

    def sums():
        return (W.sum(0) * H.sum(1))[None]

    model = CP(W, H, Q).reconstruction()
    return linear.update(Q, *linear.parts(V, model, beta, adjoint, sums=sums, mask=mask), beta)


def _spectra(W, A):
    """Return Wᵀ A over frequencies, tensor [shape=(rank, n, channels)]."""
    return (W.mT @ A.reshape(len(A), -1)).reshape(-1, *A.shape[1:])


def normalized(W, H, Q, fixed=0):
    """Return the same model with Σ_f w = 1 and Σ_c q = 1, where W is not held and nothing is 0."""
    import torch

    def sums(factor, held=0):
        found = factor.sum(0)
        found[:held] = 1
        return torch.where(found > 0, found, torch.ones_like(found))

    of_W, of_Q = sums(W, fixed), sums(Q)
    return W / of_W, H * (of_W * of_Q)[:, None], Q / of_Q
