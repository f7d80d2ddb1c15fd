"""Hierarchical alternating least squares in torch: CPU or CUDA, one problem or many."""

from nmfab.algorithms.contract import algorithm


@algorithm("torch_hals", version=1, arrays="torch", betas=(2,), batch=("seed", "init"))
def torch_hals(V, W, H, *, inner=1, update_W=True):
    """Minimize ‖V − WH‖² exactly over one row of H after another, then over W's columns.

    Cichocki and Phan, "Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations", IEICE Transactions 2009, with the products WᵀV and WᵀW (and V Hᵀ, H Hᵀ)
    computed once for `inner` passes over the rows (Gillis and Glineur, "Accelerated multiplicative
    updates and hierarchical ALS algorithms for nonnegative matrix factorization", Neural
    Computation 2012). One pass by default, which is HALS itself. A component whose template or
    activation is zero everywhere stays as it is.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        Nonnegative, of mean 1.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    inner : int
        Passes over the rows of a factor for each pass over V.
    update_W : bool
        False holds W fixed.

    Yields
    ------
    W, H
    """
    H = H.contiguous()
    Wt = W.mT.contiguous()  # its rows are what is swept
    while True:
        _sweep(H, Wt @ V, Wt @ Wt.mT, inner)
        if update_W:
            # H Vᵀ would read V against its order in memory
            _sweep(Wt, (V @ H.mT).mT.contiguous(), H @ H.mT, inner)
        yield Wt.mT, H


def _sweep(rows, products, gram, inner):
    """Set each row k to max(0, row + (products_k − gram_k · rows) / gram_kk), in place."""
    import torch

    tiny = torch.finfo(rows.dtype).tiny
    for _ in range(inner):
        for k in range(rows.shape[-2]):
            square = gram[..., k, k, None].clamp(min=tiny)
            step = products[..., k, :] - (gram[..., k : k + 1, :] @ rows)[..., 0, :]
            row = rows[..., k, :]
            row.add_(step.div_(square)).clamp_(min=0)
