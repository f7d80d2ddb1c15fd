"""Zeros of V at β ≤ 0 for libraries that have no mask."""

import numpy as np


def iterations(one, V, W, H, beta, *, held=0, least=0.0):
    """Yield W, H after each call of ``one(V, W, H)``; at β ≤ 0 as if zeros of V were masked.

    Rows and columns of V that are silent throughout are left out, and are zeros in W and H. Other
    zeros are filled before each iteration by W·H: a term d_β(W̃H̃|WH) for each of them, W̃ and H̃
    being the factors before, is 0 where the iteration begins and never negative. So a step that
    lowers the divergence from the filled V lowers the masked one at least as much
    (majorization-minimization, with the same stationary points; it takes smaller steps than a mask
    would).

    Parameters
    ----------
    one : callable
        One iteration: gives W and H for V and the last ones.
    V, W, H : ndarray [shape=(m, n), (m, rank), (rank, n)]
        V and the start.
    beta : float
        Any real.
    held : int
        Columns of W, the first, that are not changed in silent rows either.
    least : float
        What W·H is raised to where it fills V: the floor that the library has for W·H.

    Yields
    ------
    W, H : ndarray
    """
    if beta > 0 or V.all():
        while True:
            W, H = one(V, W, H)
            yield W, H
    rows, columns = V.any(1), V.any(0)
    whole_W, whole_H = np.zeros_like(W), np.zeros_like(H)
    whole_W[:, :held] = W[:, :held]
    V, W, H = V[np.ix_(rows, columns)], W[rows], H[:, columns]
    zeros = V == 0
    while True:
        filled = np.where(zeros, np.maximum(W @ H, V.dtype.type(least)), V) if zeros.any() else V
        W, H = one(filled, W, H)
        whole_W[rows], whole_H[:, columns] = W, H
        yield whole_W.copy(), whole_H.copy()
