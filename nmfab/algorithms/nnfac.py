"""The algorithms of nn_fac, called one iteration at a time: they keep nothing between two."""

import numpy as np

from nmfab.algorithms.contract import algorithm

NN_FAC_FLOOR = 1e-12  # nn_fac's own, absolute: V has mean 1


def _skip(params):
    if params["beta"] < 0:
        return f"nn_fac refuses a beta below 0 (here {params['beta']})"
    return None


@algorithm("nnfac_mu", version=1, skip=_skip)
def nnfac_mu(V, W, H, *, beta=1.0, update_W=True):
    """Multiplicative updates of nn_fac (Févotte and Idier 2011), H before W, no tolerance.

    nn_fac holds every entry at 1e-12 or above, and divides by W·H as it is: the start is raised to
    the same floor, or a zero in it would give NaN. nn_fac computes its loss at every iteration,
    which is part of its time.
    """
    W, H = np.maximum(W, NN_FAC_FLOOR), np.maximum(H, NN_FAC_FLOOR)
    return _iterate(V, W, H, "mu", beta, update_W)


@algorithm("nnfac_hals", version=1, betas=(2,))
def nnfac_hals(V, W, H, *, update_W=True):
    """HALS of nn_fac (Gillis and Glineur 2012), H before W, no tolerance.

    Each iteration solves for a factor by up to 100 passes over its rows, or until they change it
    by less than 1e-8 in squared norm (nn_fac's constants, V having mean 1).
    """
    return _iterate(V, W, H, "hals", 2, update_W)


def _iterate(V, W, H, rule, beta, update_W):
    from nn_fac.nmf import compute_nmf  # here, not in the generator, where it would be timed

    return _iterations(compute_nmf, V, W, H, rule, beta, update_W)


def _iterations(compute_nmf, V, W, H, rule, beta, update_W):
    while True:
        W, H = compute_nmf(
            V,
            W.shape[1],
            W,
            H,
            n_iter_max=1,
            tol=0,
            update_rule=rule,
            beta=beta,
            fixed_modes=[not update_W, False],
            update_order="VU",
        )
        yield W, H
