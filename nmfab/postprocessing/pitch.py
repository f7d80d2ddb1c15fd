"""Templates → pitches: one MIDI number for each column of W, 0 where it has none."""

import numpy as np

VERSION = 1
LOWEST, HIGHEST = 21, 108  # the keys of a piano, MIDI numbers
NO_PITCH = 0


def fixed_pitches(rank):
    """Return the pitches of a harmonic start: template k is MIDI 21 + k.

    Parameters
    ----------
    rank : int
        Number of templates.

    Returns
    -------
    np.ndarray [shape=(rank,), dtype=int]
        MIDI numbers; 0 from the 89th template on, which start at random.
    """
    pitches = LOWEST + np.arange(rank)
    return np.where(pitches <= HIGHEST, pitches, NO_PITCH)


def autocorrelation_pitches(W, *, sample_rate, n_fft, power=1, nearest=0.85, least=0.1):
    """Pitch of each template by the autocorrelation of its inverse transform.

    The template is a modulus without phases; the autocorrelation of its zero-phase inverse
    transform is the inverse transform of its square (Wiener and Khinchin). Of the maxima between
    the periods of MIDI 21 and 108, the shortest period that reaches `nearest` of the highest one
    is taken, for twice a period is a period too.

    Parameters
    ----------
    W : np.ndarray [shape=(1 + n_fft // 2, rank)]
        Templates, nonnegative.
    sample_rate : float
        Hz.
    n_fft : int
        Length of the transform that the rows of W belong to.
    power : {1, 2}
        Exponent of the modulus in W.
    nearest : float
        See above.
    least : float
        A template whose highest maximum stays below this part of the value at lag 0 has no pitch.

    Returns
    -------
    np.ndarray [shape=(rank,), dtype=int]
        MIDI numbers, or 0.
    """
    fine = max(1, int(np.ceil(160_000 / sample_rate)))  # at 160 kHz a lag at MIDI 108 is 45 cents
    spectrum = np.asarray(W, dtype=float) ** (2 / power)
    length = fine * n_fft
    # Zero padding of the spectrum: the same function at finer lags.
    correlation = np.fft.irfft(spectrum, n=length, axis=0)[: length // 2]
    rate = fine * sample_rate
    shortest = rate / _frequency(HIGHEST + 0.5)
    longest = min(rate / _frequency(LOWEST - 0.5), len(correlation) - 2)
    lags = np.arange(int(np.ceil(shortest)), int(longest) + 1)
    pitches = np.full(spectrum.shape[1], NO_PITCH)
    for k, column in enumerate(correlation.T):
        period = _shortest_period(column, lags, nearest, least)
        if period is not None:
            pitch = int(np.round(69 + 12 * np.log2(rate / period / 440)))
            pitches[k] = min(max(pitch, LOWEST), HIGHEST)
    return pitches


def _shortest_period(correlation, lags, nearest, least):
    """Return the lag, a fraction included, of the first high maximum, or None."""
    before, here, after = (correlation[lags + shift] for shift in (-1, 0, 1))
    maxima = np.flatnonzero((here > before) & (here >= after) & (here > least * correlation[0]))
    if not maxima.size:
        return None
    first = maxima[here[maxima] >= nearest * here[maxima].max()][0]
    # Vertex of the parabola through three points: a lag is 45 cents at the highest pitch.
    curvature = before[first] - 2 * here[first] + after[first]
    return lags[first] + (before[first] - after[first]) / (2 * curvature)


def harmonic_pitches(W, dictionary, dictionary_pitches):
    """Pitch of each template: that of the harmonic template most like it (cosine).

    Parameters
    ----------
    W : np.ndarray [shape=(m, rank)]
        Templates, nonnegative.
    dictionary : np.ndarray [shape=(m, n)]
        Harmonic templates, in the unit and power of W.
    dictionary_pitches : np.ndarray [shape=(n,)]
        Their MIDI numbers.

    Returns
    -------
    np.ndarray [shape=(rank,), dtype=int]
        MIDI numbers, 0 for a template without energy.
    """
    similarity = (unit_columns(dictionary)[0]).T @ unit_columns(W)[0]
    best = np.asarray(dictionary_pitches)[similarity.argmax(axis=0)]
    return np.where(similarity.max(axis=0) > 0, best, NO_PITCH).astype(int)


def oracle_pitches(H, intervals, pitches, times):
    """Pitch of each template: the one whose reference activity correlates best with its row of H.

    It looks at the reference: a bound on what naming the templates can reach.

    Parameters
    ----------
    H : np.ndarray [shape=(rank, n)]
        Activations.
    intervals : np.ndarray [shape=(k, 2)]
        Onsets and offsets of the reference notes, seconds.
    pitches : np.ndarray [shape=(k,)]
        Their MIDI numbers.
    times : np.ndarray [shape=(n,)]
        Of the frames, seconds.

    Returns
    -------
    np.ndarray [shape=(rank,), dtype=int]
        MIDI numbers; 0 for a row that is constant or correlates with no pitch.
    """
    names = np.unique(np.round(pitches).astype(int))
    if not names.size:
        return np.full(len(H), NO_PITCH)
    activity = np.zeros((len(names), len(times)))
    bounds = np.searchsorted(times, np.asarray(intervals, dtype=float).reshape(-1, 2))
    rows = np.searchsorted(names, np.round(pitches).astype(int))
    for (start, stop), row in zip(bounds, rows, strict=True):
        activity[row, start:stop] = 1.0
    correlation = _standardized(activity) @ _standardized(H).T
    best = names[correlation.argmax(axis=0)]
    return np.where(correlation.max(axis=0) > 0, best, NO_PITCH).astype(int)


def unit_columns(W):
    """Return W with columns of unit Euclidean norm (empty ones stay so), and their norms."""
    norms = np.linalg.norm(np.asarray(W, dtype=float), axis=0)
    return W / np.where(norms > 0, norms, 1.0), norms


def _standardized(rows):
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(norms > 0, norms, 1.0)


def _frequency(pitch):
    return 440.0 * 2.0 ** ((pitch - 69) / 12)
