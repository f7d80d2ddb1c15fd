"""Small synthetic V in every form, for the conformance suite."""

import numpy as np

from nmfab.base.errors import UsageError

ROWS, FRAMES, CHANNELS, INSTANTS, BARS, PARTS = 24, 30, 2, 12, 15, 4


def example(form):
    """Return a V of a form: a few components and a little noise, drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    W, H = rng.random((ROWS, PARTS)), rng.random((PARTS, FRAMES))
    if form == "matrix":
        return W @ H + 0.1 * rng.random((ROWS, FRAMES))
    if form == "channels":
        gains = rng.random((CHANNELS, PARTS))
        V = np.einsum("fk,kn,ck->fnc", W, H, gains)
        return V + 0.1 * rng.random(V.shape)
    if form == "bars":
        H, Q = rng.random((INSTANTS, PARTS)), rng.random((BARS, PARTS))
        V = np.einsum("fk,tk,bk->ftb", W, H, Q)
        return V + 0.1 * rng.random(V.shape)
    if form == "mixture":
        shape = (ROWS, FRAMES, CHANNELS)
        noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        return np.sqrt(W @ H)[..., None] * noise
    if form == "views":
        other = rng.random((ROWS // 2, PARTS)) @ H
        return {
            "long": W @ H + 0.1 * rng.random((ROWS, FRAMES)),
            "short": other + 0.1 * rng.random(other.shape),
        }
    raise UsageError(f"there is no example of the form {form!r}")


def with_zeros(V):
    """Return V with about a third of its entries zero."""
    if isinstance(V, dict):
        return {name: with_zeros(values) for name, values in V.items()}
    V = V.copy()
    V[np.random.default_rng(1).random(V.shape) < 1 / 3] = 0
    return V


def with_silence(V):
    """Return V with a silent row and a silent frame, and their numbers."""
    row, frame = 3, 5
    if isinstance(V, dict):
        return {name: with_silence(values)[0] for name, values in V.items()}, row, frame
    V = V.copy()
    V[:, frame], V[row] = 0, 0
    return V, row, frame
