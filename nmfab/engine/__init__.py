"""Fast β-NMF behind one door; it knows nothing of nmfab but base.

`mu`, `hals` and both with extrapolation iterate a whole factorization V ≈ W·H; `parts` is one
gradient, for models whose other steps are their own. Tensors lie on a CPU or a GPU. What is behind
the door (sweeps, compiled kernels, forms of a GPU) is nobody else's concern.

What is common to the iterations:

V : tensor [shape=(m, n)]
    Nonnegative, of mean 1. At β ≤ 0 its zeros are masked (`nmfab.base.divergence`). On a CPU a copy
    is made unless its longer side lies first in memory.
W, H : tensor [shape=(..., m, rank), (..., rank, n)]
    The start, of one problem or a batch. H is updated before W.
beta : float, or ndarray [shape=(batch,)]
    Any real.
inner : int
    Passes of HALS over the rows of a factor for each pass over V.
fixed : int
    The first `fixed` columns of W are held; the rank holds all.
"""

from nmfab.base.errors import ComputationError, UsageError
from nmfab.engine.gpu import descent, extrapolated, multiplicative
from nmfab.engine.torch_crew import flushing, one_thread
from nmfab.engine.torch_plain import parts_at
from nmfab.engine.torch_rows import swept as descended
from nmfab.engine.torch_rows_ahead import ExtrapolatedLeastSquares
from nmfab.engine.torch_sweep import swept
from nmfab.engine.torch_sweep_ahead import ExtrapolatedMultiplicative

__all__ = ["extrapolated_hals", "extrapolated_mu", "flushing", "hals", "mu", "one_thread", "parts"]


def mu(V, W, H, *, beta=1.0, fixed=0, tf32=False):
    """Return an iterator over W, H of multiplicative updates; see `nmfab.algorithms.torch_mu`.

    Parameters
    ----------
    V, W, H, beta, fixed
        See the module.
    tf32 : bool
        Let a GPU multiply float32 matrices as TF32.

    Raises
    ------
    ComputationError
        If a CPU is asked for TF32.
    """
    if V.device.type != "cpu":
        return multiplicative.updates(V, W, H, beta, fixed, tf32=tf32)
    if tf32:
        raise ComputationError("torch_mu.tf32 is a GPU's: use --device cuda, or leave it false")
    return swept(V, W, H, beta, fixed)


def extrapolated_mu(V, W, H, *, beta=1.0, fixed=0):
    """Return an iterator over W, H, extrapolated; see `nmfab.algorithms.torch_amu`."""
    if V.device.type != "cpu":
        return extrapolated.extrapolated(V, W, H, beta, fixed)
    return swept(V, W, H, beta, fixed, kind=ExtrapolatedMultiplicative)


def hals(V, W, H, *, inner=1, fixed=0):
    """Return an iterator over W, H of HALS (β = 2); see `nmfab.algorithms.torch_hals`."""
    if V.device.type != "cpu":
        return descent.descents(V, W, H, inner, fixed)
    return descended(V, W, H, inner, fixed)


def extrapolated_hals(V, W, H, *, inner=4, fixed=0):
    """Return an iterator over W, H of HALS, extrapolated; see `nmfab.algorithms.torch_ahals`."""
    if V.device.type != "cpu":
        return descent.extrapolated(V, W, H, inner, fixed)
    return descended(V, W, H, inner, fixed, kind=ExtrapolatedLeastSquares)


def parts(V, W, H, beta, of="H"):
    """Return N and P, the negative and positive part of the gradient of D_β(V | W·H).

    For H they are N = Wᵀ (M ∘ V ∘ Λ^(β−2)) and P = Wᵀ (M ∘ Λ^(β−1)), for W they are
    N = (M ∘ V ∘ Λ^(β−2)) Hᵀ and P = (M ∘ Λ^(β−1)) Hᵀ. Λ is W·H, and 1e-12 more where β < 2
    (`WH_FLOOR`; V has mean 1). M is 0 at zeros of V if β ≤ 0, else 1. (N / P)^γ(β), γ being 1
    for 1 ≤ β ≤ 2, is the multiplicative update (Févotte and Idier 2011, section 3).

    Parameters
    ----------
    V : tensor [shape=(..., m, n)]
        Nonnegative, on a CPU or a GPU.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        Where the gradient is taken. Leading dimensions broadcast.
    beta : float
        Any real.
    of : {"H", "W"}, or a sequence of them
        The factor; several share one W·H, and so one point.

    Returns
    -------
    N, P : tensor [shape of the factor]
        P is at least the dtype's smallest normal number, so that 0 / 0 is 0. At β = 1 it is a view
        in which entries share memory: not to be written to. A list of such pairs where `of` is a
        sequence.

    Raises
    ------
    UsageError
        If `of` names another factor.
    """
    factors = (of,) if isinstance(of, str) else tuple(of)
    if not set(factors) <= {"H", "W"}:
        raise UsageError(f"parts of {of!r}: a factor is 'H' or 'W'")
    found = parts_at(V, W, H, beta, factors)
    return found[0] if isinstance(of, str) else found
