"""Hierarchical alternating least squares in torch: CPU or CUDA, one problem or many."""

from nmfab.algorithms.contract import algorithm
from nmfab.engine.gpu import forms
from nmfab.engine.torch_rows import sweep_rows, swept


@algorithm("torch_hals", version=1, arrays="torch", betas=(2,), batch=("seed", "init", "rank"))
def torch_hals(V, W, H, *, inner=1, fixed=0):
    """Minimize ‖V − WH‖² exactly over one row of H after another, then over W's columns.

    Cichocki and Phan, "Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations", IEICE Transactions 2009, with the products WᵀV and WᵀW (and V Hᵀ, H Hᵀ)
    computed once for `inner` passes over the rows (Gillis and Glineur, "Accelerated multiplicative
    updates and hierarchical ALS algorithms for nonnegative matrix factorization", Neural
    Computation 2012). One pass by default, which is HALS itself. A component whose template or
    activation is zero everywhere stays as it is.

    On a CPU each thread has columns of its own, passed over by a compiled kernel (`torch_rows`,
    `cpu.descent`); on a GPU all columns go together, row after row, launched as one graph where
    that is faster (`gpu.forms`).

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    inner : int
        Passes over the rows of a factor for each pass over V.
    fixed : int
        The first `fixed` columns of W are held.

    Yields
    ------
    W, H
    """
    if V.device.type == "cpu":
        return swept(V, W, H, inner, fixed)
    return _on_gpu(V, W, H, inner, fixed)


def plain_updates(V, W, H, inner=1, fixed=0):
    """Iterate as `torch_hals` does, all problems of a batch at once and row after row.

    Yields
    ------
    W, H
    """
    H, Wt = H.contiguous(), W.mT.contiguous()  # its rows are what is swept
    step = _plain_step(V, Wt, H, inner, fixed)
    while True:
        step()
        yield Wt.mT, H


def _plain_step(V, Wt, H, inner, fixed):
    def step():
        sweep_rows(H, Wt @ V, Wt @ Wt.mT, inner)
        if fixed < H.shape[-2]:
            # H Vᵀ would read V against its order in memory
            sweep_rows(Wt, (V @ H.mT).mT.contiguous(), H @ H.mT, inner, fixed)

    return step


def _on_gpu(V, W, H, inner, fixed):
    state = W.mT.contiguous(), H.contiguous()
    builds = {"plain": lambda Wt, H: _plain_step(V, Wt, H, inner, fixed)}
    problem = forms.about("torch_hals", V, state, H.shape[-2], inner, fixed)
    step = forms.iteration(builds, state, problem)
    while True:
        step()
        yield state[0].mT, state[1]
