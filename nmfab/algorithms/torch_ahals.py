"""Hierarchical alternating least squares with extrapolation, in torch: one problem or many."""

from nmfab import engine
from nmfab.algorithms.contract import algorithm


@algorithm(
    "torch_ahals",
    version=2,
    arrays="torch",
    betas=(2,),
    batch=("seed", "init", "rank"),
    monotone=False,
)
def torch_ahals(V, W, H, *, inner=4, fixed=0):
    """Minimize ‖V − WH‖² by HALS from points extrapolated along the last steps.

    Ang and Gillis, "Accelerating nonnegative matrix factorization algorithms using extrapolation",
    Neural Computation 2019, algorithm 2 (with each factor extrapolated once it is updated) for HALS
    with several passes over the rows of a factor (Gillis and Glineur 2012): H is minimized over
    from Ĥ with Ŵ held fixed, Ĥ becomes [H + α (H − H_before)]₊, and the same for W. Where the error
    ‖V − W Ĥ‖² rises, the iteration is undone and α reduced, else α grows a little. The first 20
    iterations are those of `torch_hals`, which choose the minimum that is then reached faster.
    Where all of W is held nothing is extrapolated.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    inner : int
        Passes over the rows of a factor for each pass over V, after the first 20.
    fixed : int
        The first `fixed` columns of W are held.

    Yields
    ------
    W, H
    """
    return engine.extrapolated_hals(V, W, H, inner=inner, fixed=fixed)
