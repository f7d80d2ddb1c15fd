"""Templates learned on isolated notes: one per pitch, by a factorization of rank 1."""

import numpy as np

from nmfab.algorithms.convolutive import parts_of_W, update_H
from nmfab.algorithms.linear import update
from nmfab.base.divergence import divergence
from nmfab.base.errors import DataError
from nmfab.base.kinds.convolutive import Convolutive

VERSION = 3
_ITERATIONS = 100
_EVERY = 10  # iterations between two looks at a kernel's loss, which costs as much as one of them
_SILENT = 1e-10  # of the loudest entry: frames below it are left out; and H at the start


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
    learned = learn_kernels(spectra, notes, length=1, beta=beta)
    return {"W": learned["kernels"][0], "pitches": learned["pitches"]}


def learn_kernels(spectra, notes, *, length, beta=1, unit="euclidean"):
    """Learn one template of several frames per pitch, by a convolutive factorization of rank 1.

    Parameters
    ----------
    spectra, notes : list of dict
        See `learn_templates`. Recordings of one pitch have one kernel and activations of their own.
    length : int
        T, in frames. With 1 the kernels are the templates of `learn_templates`, bit by bit.
    beta : float
        Of the divergence that is minimized; 1 in the reference.
    unit : {"euclidean", "sum"}
        What is 1 for each kernel: the Euclidean norm of Σ_t W_t, as in `learn_templates`, or the
        sum of its entries, as in the reference.

    Returns
    -------
    dict
        ``kernels`` [shape=(T, m, k)] and ``pitches`` [shape=(k,), MIDI, ascending].

    Raises
    ------
    DataError
        If a recording has not exactly one note, or none of them sounds.

    References
    ----------
    H. Wu, A. Marmoret and J. Cohen, "Semi-supervised convolutive NMF for automatic piano
    transcription", Sound and Music Computing 2022, section 3.
    """
    kernels = {}
    for pitch, recordings in _by_pitch(spectra, notes).items():
        heard = [V for V in recordings if V.any()]
        if not heard:
            continue
        if length == 1:
            kernel = rank_one_template(np.hstack(recordings).astype(float), beta)[None]
        else:
            kernel = kernel_of_notes([_heard(V.astype(float)) for V in heard], length, beta)
            kernel = kernel / np.linalg.norm(kernel.sum(axis=0))
        kernels[pitch] = kernel / kernel.sum() if unit == "sum" else kernel
    if not kernels:
        raise DataError("the isolated notes are all silent: there is nothing to learn from")
    W = np.stack(list(kernels.values()), axis=2)
    return {"kernels": W.astype(np.float32), "pitches": np.array(list(kernels))}


def _by_pitch(spectra, notes):
    """Return the frames between onset and offset of each recording, by ascending pitch."""
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
        by_pitch.setdefault(int(note["pitches"][0]), []).append(columns.copy("K"))  # V can go
    return dict(sorted(by_pitch.items()))


def _heard(V):
    """Return V without the frames in which nothing sounds."""
    return V[:, V.max(axis=0, initial=0) > _SILENT * V.max(initial=0)]


def kernel_of_notes(recordings, length, beta=1, iterations=500, tolerance=1e-7):
    """Return the kernel of a convolutive factorization of rank 1, its entries summing to 1.

    It starts as the `length` successive frames of largest sum, in the loudest recording, with
    H = 1 where such frames begin in each recording and 1e-10 elsewhere. (The published code puts
    that 1 `length` frames late.)

    Parameters
    ----------
    recordings : list of np.ndarray [shape=(m, n)]
        Nonnegative, none of them silent.
    length : int
        T, in frames. A recording that is shorter counts as followed by silence.
    beta : float
        Of the divergence.
    iterations : int
        At most.
    tolerance : float
        Ends earlier where ten iterations lower the divergence by less than ten times this part of
        that of the start.

    Returns
    -------
    np.ndarray [shape=(T, m)]
    """
    import torch

    mean = sum(V.sum() for V in recordings) / sum(V.size for V in recordings)
    Vs = [np.maximum(_padded(V / mean, length), 1e-8 * (beta <= 0)) for V in recordings]
    firsts, windows = zip(*(_loudest(V, length) for V in Vs), strict=True)
    W = max(windows, key=np.sum).T[:, :, None]
    Hs = [np.full((1, V.shape[1]), _SILENT) for V in Vs]
    for H, first in zip(Hs, firsts, strict=True):
        H[0, first] = 1
    Vs, Hs = ([torch.from_numpy(x) for x in arrays] for arrays in (Vs, Hs))
    return _rank_one(Vs, torch.from_numpy(W.copy()), Hs, beta, iterations, tolerance)[0].numpy()


def _padded(V, length):
    return np.pad(V, ((0, 0), (0, max(0, length - V.shape[1]))))


def _loudest(V, length):
    """Return where the `length` successive frames of largest sum begin, and these frames."""
    sums = np.convolve(V.sum(axis=0), np.ones(length), "valid")
    first = int(np.argmax(sums))
    return first, V[:, first : first + length]


def _rank_one(Vs, W, Hs, beta, iterations, tolerance):
    """Return the kernel [shape=(T, m)] and each recording's H after joint updates."""
    first = before = _loss(Vs, W, Hs, beta)
    for iteration in range(1, iterations + 1):
        Hs = [update_H(V, W, H, beta) for V, H in zip(Vs, Hs, strict=True)]
        pairs = [parts_of_W(V, W, H, beta) for V, H in zip(Vs, Hs, strict=True)]
        N, P = (sum(parts) for parts in zip(*pairs, strict=True))
        W = update(W, N, P, beta)
        whole = W.sum()
        W, Hs = W / whole, [H * whole for H in Hs]
        if iteration % _EVERY == 0:
            loss = _loss(Vs, W, Hs, beta)
            if before - loss < tolerance * _EVERY * first:
                break
            before = loss
    return W[:, :, 0], Hs


def _loss(Vs, W, Hs, beta):
    models = (Convolutive(W, H).reconstruction() for H in Hs)
    return sum(divergence(V, model, beta) for V, model in zip(Vs, models, strict=True))


def rank_one_template(V, beta, iterations=_ITERATIONS):
    """Return w of the rank-1 β-NMF V ≈ w·h, of unit Euclidean norm.

    With w given, the β-divergence has its one minimum over h_n where Σ w^β h_n = Σ w^(β−1) V_n,
    for every β, and likewise for w: exact minimizations take turns. For β = 1 the first pair is
    the minimum itself. At β ≤ 0 zeros of V are left out of the sums (`nmfab.base.divergence`), and
    w is 0 in bins that are silent throughout.

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
    if beta <= 0:
        return _masked_template(V, beta, iterations)
    # Zeros have no power β − 1 below 1.
    V = np.maximum(V[:, V.any(axis=0)], 1e-8 * V.mean())
    w = V.sum(axis=1)
    for _ in range(iterations):
        h = (w ** (beta - 1) @ V) / (w**beta).sum()
        w = (V @ h ** (beta - 1)) / (h**beta).sum()
        w /= w.max()  # the scale is free; kept near 1, powers stay finite
    return w / np.linalg.norm(w)


def _masked_template(V, beta, iterations):
    heard = V.any(axis=1)
    V = V[np.ix_(heard, V.any(axis=0))]
    M, w = V > 0, V.sum(axis=1)
    for _ in range(iterations):
        h = (w ** (beta - 1) @ V) / (w**beta @ M)
        w = (V @ h ** (beta - 1)) / (M @ h**beta)
        w /= w.max()
    template = np.zeros(len(heard))
    template[heard] = w / np.linalg.norm(w)
    return template
