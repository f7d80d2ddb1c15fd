"""Hierarchical alternating least squares in torch: CPU or CUDA, one problem or many."""

from nmfab import engine
from nmfab.algorithms.contract import algorithm


@algorithm("torch_hals", version=1, arrays="torch", betas=(2,), batch=("seed", "init", "rank"))
def torch_hals(V, W, H, *, inner=1, fixed=0):
    """Minimize ‖V − WH‖² exactly over one row of H after another, then over W's columns.

    Cichocki and Phan, "Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations", IEICE Transactions 2009, with the products WᵀV and WᵀW (and V Hᵀ, H Hᵀ)
    computed once for `inner` passes over the rows (Gillis and Glineur, "Accelerated multiplicative
    updates and hierarchical ALS algorithms for nonnegative matrix factorization", Neural
    Computation 2012). One pass by default, which is HALS itself. A component whose template or
    activation is zero everywhere stays as it is.

    On a CPU each thread has columns of its own; on a GPU all columns go together, row after row.

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
    return engine.hals(V, W, H, inner=inner, fixed=fixed)
