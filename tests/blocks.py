"""Random problems in one block of parameters, for the tests of its steps."""

import numpy as np

from nmfab.algorithms import linear
from nmfab.base.divergence import mask

BETAS = (-0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3)


def matrix(rng):
    W = rng.random((8, 3)) ** 3
    return rng.random((3, 11)), lambda H: W @ H, lambda A: W.T @ A


def convolutive(rng):
    W = rng.random((4, 6, 2)) ** 2
    H = rng.random((2, 15))

    def model(H):
        return sum(W[t] @ np.pad(H, ((0, 0), (t, 0)))[:, : H.shape[1]] for t in range(4))

    def adjoint(A):
        return sum(W[t].T @ np.pad(A, ((0, 0), (0, t)))[:, t:] for t in range(4))

    return H, model, adjoint


def cp(rng):
    W, H = rng.random((6, 3)), rng.random((3, 7))
    return (
        rng.random((2, 3)),
        lambda Q: np.einsum("fk,kn,ck->fnc", W, H, Q),
        lambda A: np.einsum("fnc,fk,kn->ck", A, W, H),
    )


def tucker(rng):
    W, H, Q = rng.random((5, 3)), rng.random((6, 2)), rng.random((7, 4))
    return (
        rng.random((3, 2, 4)),
        lambda G: np.einsum("abc,fa,ib,tc->fit", G, W, H, Q),
        lambda A: np.einsum("fit,fa,ib,tc->abc", A, W, H, Q),
    )


MODELS = (matrix, convolutive, cp, tucker)


def problem(kind, seed, heavy=False):
    """Return a start, the map, its adjoint, and V of mean 1."""
    rng = np.random.default_rng(seed)
    theta, model, adjoint = kind(rng)
    V = rng.random(model(theta).shape) + 0.01
    if heavy:
        V, theta = np.exp(3 * rng.standard_normal(V.shape)), theta**8
    return theta, model, adjoint, V / V.mean()


def parts_of(theta, model, adjoint, V, beta):
    return linear.parts(V, model(theta), beta, adjoint, mask=mask(V, beta))


def rises(objective, worst=1e-10):
    """Tell whether any step raises it, by more than `worst` of what it was."""
    objective = np.array(objective)
    return bool((np.diff(objective) > worst * abs(objective[:-1]) + 1e-12).any())


def feasible(theta, total, axis):
    return theta * (total / theta.sum(axis=axis, keepdims=True))
