"""Convolutive NMF: templates of several frames (Smaragdis 2004), by updates that never rise."""

import numpy as np

from nmfab.algorithms import linear
from nmfab.algorithms.contract import algorithm
from nmfab.base.divergence import mask as entries
from nmfab.base.errors import ComputationError, UsageError
from nmfab.base.kinds.convolutive import Convolutive, flat, shifted

DECAY = 0.9
WARM_UP = 50  # iterations of plain NMF that activations of a whole dictionary start with


def start(problem):
    """Return the usual start's template in every frame of a kernel, times 0.9^t.

    Kernels that are held come first. Where all are held, H starts with 50 iterations of plain
    KL-NMF with the templates W_0 alone (Wu, Marmoret and Cohen 2022, section 3), from constant
    activations; at length 1 that is the model itself, and H is constant.

    Raises
    ------
    ComputationError
        If kernels that are held have another length than the parameter says.
    """
    length = problem.parameters["length"]
    decay = DECAY ** np.arange(length)
    decay = (decay / decay.sum())[:, None, None]
    if problem.fixed is None:
        W, H = problem.usual_start(problem.V)
        return Convolutive(decay * W, H)
    held = problem.fixed if problem.fixed.ndim == 3 else problem.fixed[None]
    if len(held) != length:
        raise ComputationError(
            f"convolutive: the templates given last {len(held)} frames, and length is {length}"
        )
    free = problem.rank - held.shape[2]
    # a kernel of mean 1 adds up to `length` times as much over its frames
    H = np.full((problem.rank, problem.V.shape[1]), 1 / (problem.rank * length))
    if not free:
        return Convolutive(held, H if length == 1 else _warmed_up(problem.V, held[0], H))
    W, _ = problem.usual_start(problem.V, free)
    kernels = decay * (length * W / W.mean())
    return Convolutive(np.concatenate([held, kernels], axis=2), H)


def _warmed_up(V, W, H):
    """Return H after iterations of KL-NMF with W held."""
    V, W = np.asarray(V, dtype=float), np.asarray(W, dtype=float)
    sums = W.sum(axis=0)[:, None]
    for _ in range(WARM_UP):
        H = linear.update(H, *linear.parts(V, W @ H, 1, lambda A: W.T @ A, sums=lambda: sums), 1)
    return H


def _refused(p):
    length = p["convolutive.length"]
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        return f"convolutive.length is a number of frames, 1 or more, not {length!r}"
    return None


@algorithm(
    "convolutive",
    version=1,
    gives=Convolutive,
    arrays="torch",
    skip=_refused,
    start=start,
)
def convolutive(V, model, *, beta=1.0, fixed=0, length=10):
    """Minimize D_β(V | Λ), Λ = Σ_{t<T} W_t H^(t→), H^(t→) being H shifted right by t frames.

    Zeros come in at the left, and columns fall off the end. With A = V ∘ Λ^(β−2), B = Λ^(β−1) and
    R^(←t) shifted to the left,

        H ← H ∘ (Σ_t W_tᵀ A^(←t) / Σ_t W_tᵀ B^(←t))^γ(β),
        W_t ← W_t ∘ (A H^(t→)ᵀ / B H^(t→)ᵀ)^γ(β) for all t at once, Λ anew between H and W,

    which are updates of `linear` (Λ is linear in H and in all W_t together) and so never raise the
    divergence. Smaragdis's updates average H over t and divide by one Λ for both: they do. Sums in
    the last T − 1 columns have fewer terms, also at β = 1. Then every kernel that is not held is
    divided by its sum over t and frequency, and H multiplied by it.

    At length 1 the products W·H are those of `torch_mu`.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1. At β ≤ 0 entries that are exactly 0 are left out.
    model : Convolutive
        The start.
    beta : float
        Any real.
    fixed : int
        The kernels of the first `fixed` components are held, which may be all.
    length : int
        T, in frames: 5, 10 and 20 of 20 ms for piano (Wu, Marmoret and Cohen), 8 to 10 of 23 ms
        for drums.

    Yields
    ------
    Convolutive

    References
    ----------
    P. Smaragdis, "Non-negative matrix factor deconvolution; extraction of multiple sound sources
    from monophonic inputs", ICA 2004.

    H. Wu, A. Marmoret and J. Cohen, "Semi-supervised convolutive NMF for automatic piano
    transcription", Sound and Music Computing 2022.
    """
    W, H, mask = model.kernels, model.H, entries(V, beta)
    if len(W) != length:
        raise UsageError(f"convolutive: the start lasts {len(W)} frames, and length is {length}")
    while True:
        H = update_H(V, W, H, beta, mask)
        if fixed < len(H):
            W = _of_W(V, W, H, beta, mask, fixed)
            W, H = normalized(W, H, fixed)
        yield Convolutive(W, H)


def update_H(V, W, H, beta, mask=None):
    """Return H after its update, W as it is."""
    N, P = linear.parts(
        V, _model(V, W, shifted(H, len(W))), beta,
        lambda A: _correlated(W, A), sums=lambda: _sums_of_H(W, V.shape[1]), mask=mask,
    )  # fmt: skip
    return linear.update(H, N, P, beta)


def _of_W(V, W, H, beta, mask, fixed):
    """Return all W_t after their update, those of the first `fixed` components as they are."""
    import torch

    N, P = parts_of_W(V, W, H, beta, mask, fixed)
    moved = linear.update(W[:, :, fixed:], N, P, beta)
    return torch.cat([W[:, :, :fixed], moved], 2) if fixed else moved


def parts_of_W(V, W, H, beta, mask=None, fixed=0):
    """Return N and P of all W_t [shape=(T, m, rank − fixed)]; P has one row at β = 1."""
    ahead = shifted(H, len(W))
    free = ahead[:, fixed:]
    columns = free.reshape(-1, free.shape[2]).mT

    def adjoint(A):
        return (A @ columns).reshape(len(A), len(W), -1).movedim(1, 0)

    return linear.parts(
        V, _model(V, W, ahead), beta, adjoint, sums=lambda: free.sum(2)[:, None], mask=mask
    )


def _model(V, W, ahead):
    """Return Λ in V's order in memory: against it, what follows entry by entry is slow."""
    W, ahead = flat(W), ahead.reshape(-1, ahead.shape[2])
    return (ahead.mT @ W.mT).mT if V.stride(0) < V.stride(1) else W @ ahead


def _correlated(W, A):
    """Return Σ_t W_tᵀ A^(←t)."""
    n = A.shape[1]
    products = (flat(W).mT @ A).reshape(len(W), -1, n)
    sums = products[0].clone()
    for t in range(1, min(len(W), n)):
        sums[:, : n - t] += products[t, :, t:]
    return sums


def _sums_of_H(W, n):
    """Return Σ_t W_tᵀ 1^(←t) [shape=(rank, n)]: in column j, over t < n − j."""
    import torch

    sums = W.sum(1).cumsum(0)
    last = torch.arange(n - 1, -1, -1, device=W.device).clip(max=len(W) - 1)
    return sums[last].mT


def normalized(W, H, fixed=0):
    """Return kernels whose entries sum to 1, and H with their sums; held and dead ones stay."""
    import torch

    sums = W.sum((0, 1))
    sums[:fixed] = 1
    sums = torch.where(sums > 0, sums, torch.ones_like(sums))
    return W / sums, H * sums[:, None]
