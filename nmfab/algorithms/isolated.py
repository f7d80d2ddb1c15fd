"""Templates learned on isolated notes: one per pitch, by a factorization of rank 1."""

import numpy as np

from nmfab.base.errors import DataError

VERSION = 1
_ITERATIONS = 100


def learn_templates(spectra, notes, *, beta):
    """Learn one template per pitch.

    Parameters
    ----------
    spectra : iterable of dict
        Per recording ``V`` [shape=(m, n)] and ``step``, the seconds between its frames.
    notes : iterable of dict
        Per recording ``onsets`` and ``offsets`` (seconds) and ``pitches`` (MIDI) of its one note:
        the frames between them are learned from. Recordings of one pitch are learned from together.
    beta : float
        Of the divergence that is minimized.

    Returns
    -------
    dict
        ``W`` [shape=(m, k), columns of unit norm] and ``pitches`` [shape=(k,), MIDI, ascending];
        k is the number of pitches that sound.

    Raises
    ------
    DataError
        If a recording has not exactly one note, or none of them sounds.
    """
    by_pitch = {}
    for spectrum, note in zip(spectra, notes, strict=True):
        if len(note["pitches"]) != 1:
            raise DataError(
                f"an isolated note is annotated with {len(note['pitches'])} notes: templates need "
                "recordings of one note each"
            )
        bounds = np.array([note["onsets"][0], note["offsets"][0]]) / float(spectrum["step"])
        first, last = np.round(bounds)
        columns = spectrum["V"][:, int(first) : int(last) + 1]
        by_pitch.setdefault(int(note["pitches"][0]), []).append(columns)
    templates = {}
    for pitch, columns in sorted(by_pitch.items()):
        V = np.hstack(columns).astype(float)
        if V.any():
            templates[pitch] = rank_one_template(V, beta)
    if not templates:
        raise DataError("the isolated notes are all silent: there is nothing to learn from")
    W = np.stack(list(templates.values()), axis=1)
    return {"W": W.astype(np.float32), "pitches": np.array(list(templates))}


def rank_one_template(V, beta, iterations=_ITERATIONS):
    """Return w of the rank-1 β-NMF V ≈ w·h, of unit Euclidean norm.

    With w given, the β-divergence has its one minimum over h_n where Σ w^β h_n = Σ w^(β−1) V_n,
    for every β, and likewise for w: exact minimizations take turns. For β = 1 the first pair is
    the minimum itself.

    Parameters
    ----------
    V : np.ndarray [shape=(m, n)]
        Nonnegative, not silent.
    beta : float
        Of the divergence.
    iterations : int
        Pairs of minimizations.

    Returns
    -------
    np.ndarray [shape=(m,)]
    """
    # Zeros have an infinite divergence at and below β = 0, and no power β − 1 below 1.
    V = np.maximum(V[:, V.any(axis=0)], 1e-8 * V.mean())
    w = V.sum(axis=1)
    for _ in range(iterations):
        h = (w ** (beta - 1) @ V) / (w**beta).sum()
        w = (V @ h ** (beta - 1)) / (h**beta).sum()
        w /= w.max()  # the scale is free; kept near 1, powers stay finite
    return w / np.linalg.norm(w)
