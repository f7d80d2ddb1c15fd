"""scikit-learn's solvers, called one iteration at a time: they keep nothing between two.

scikit-learn updates its first factor first, so it is given Vᵀ ≈ Hᵀ Wᵀ: H is then before W.
"""

import numpy as np

from nmfab.algorithms.contract import algorithm
from nmfab.algorithms.sounding import iterations

EPSILON = np.finfo(np.float32).eps  # scikit-learn's floor of W·H, in float64 too


@algorithm("sklearn_mu", version=2, libraries=("scikit-learn",))
def sklearn_mu(V, W, H, *, beta=1.0):
    """Multiplicative updates of scikit-learn (Févotte and Idier 2011), no tolerance.

    scikit-learn raises W·H to 1.2e-7 (the machine epsilon of float32) before it takes a negative
    power of it, whatever the dtype, and for β ≤ 1 sets entries below 2.2e-16 to zero. At β ≤ 0 it
    refuses zeros in V: they are left out, or filled by W·H (`sounding.iterations`).
    """
    return _iterate(V, W, H, beta, solver="mu", beta_loss=beta)


@algorithm("sklearn_cd", version=1, libraries=("scikit-learn",), betas=(2,))
def sklearn_cd(V, W, H):
    """Coordinate descent of scikit-learn: HALS entry by entry (Cichocki and Phan 2009)."""
    return _iterate(V, W, H, 2, solver="cd")


def _iterate(V, W, H, beta, **options):
    # here, not in the generator, where it would be timed
    from sklearn.decomposition import non_negative_factorization

    def one(V, W, H):
        Ht, Wt, _ = non_negative_factorization(
            V.T, W=H.T, H=W.T, n_components=W.shape[1], init="custom", tol=0, max_iter=1, **options
        )
        return Wt.T, Ht.T

    return iterations(one, V, W, H, beta, least=EPSILON)
