"""The algorithms of nn_fac, called one iteration at a time: they keep nothing between two."""

from functools import partial

import numpy as np

from nmfab.algorithms.contract import algorithm
from nmfab.algorithms.sounding import iterations

NN_FAC_FLOOR = 1e-12  # nn_fac's own, absolute: V has mean 1


def _skip(params):
    if params["beta"] < 0:
        return f"nn_fac refuses a beta below 0 (here {params['beta']})"
    return None


@algorithm("nnfac_mu", version=2, libraries=("nn_fac",), skip=_skip)
def nnfac_mu(V, W, H, *, beta=1.0, fixed=0):
    """Multiplicative updates of nn_fac (Févotte and Idier 2011), H before W, no tolerance.

    nn_fac holds every entry at 1e-12 or above, and divides by W·H as it is: the start is raised to
    the same floor, or a zero in it would give NaN. nn_fac computes its loss at every iteration,
    which is part of its time. It holds all templates or none: where some are held, it updates all,
    and these are put back, which is the update of the others by themselves. At β = 0 zeros in V
    are left out, or filled by W·H (`sounding.iterations`).
    """
    raised = np.maximum(W, NN_FAC_FLOOR), np.maximum(H, NN_FAC_FLOOR)
    return _iterate(V, *raised, "mu", beta, W[:, :fixed].copy())


@algorithm("nnfac_hals", version=1, libraries=("nn_fac",), betas=(2,))
def nnfac_hals(V, W, H, *, fixed=0):
    """HALS of nn_fac (Gillis and Glineur 2012), H before W, no tolerance.

    Each iteration solves for a factor by up to 100 passes over its rows, or until they change it
    by less than 1e-8 in squared norm (nn_fac's constants, V having mean 1). nn_fac holds all
    templates or none: where some are held, it is given what they leave of V for the others.
    """
    return _iterate(V, W, H, "hals", 2, W[:, :fixed].copy())


def _iterate(V, W, H, rule, beta, held):
    from nn_fac.nmf import compute_nmf  # here, not in the generator, where it would be timed

    call = partial(compute_nmf, n_iter_max=1, tol=0, update_rule=rule, beta=beta, update_order="VU")
    rank, fixed = W.shape[1], held.shape[1]
    some, sounds = 0 < fixed < rank, V.any(1) if beta <= 0 else slice(None)
    held, rank_by_rank = held[sounds], some and rule == "hals"

    def one(V, W, H):
        W, H = call(V, rank, W, H, fixed_modes=[fixed == rank or rank_by_rank, False])
        if rank_by_rank:
            rest = V - held @ H[:fixed]
            free, _ = call(rest, rank - fixed, W[:, fixed:], H[fixed:], fixed_modes=[False, True])
            W = np.hstack([held, free])
        elif some:
            W[:, :fixed] = held
        return W, H

    return iterations(one, V, W, H, beta, held=fixed)
