"""Steps that name pitches: one MIDI number for each template, 0 where it has none."""

import numpy as np

from nmfab.base.kinds import LowRank
from nmfab.postprocessing.contract import step

LOWEST, HIGHEST = 21, 108  # the keys of a piano, MIDI numbers
NO_PITCH = 0


def _needs_harmonic_start(params):
    if params.get("init") == "harmonic":
        return None
    return "pitch fixed goes with the templates of init harmonic"


@step("pitch", "fixed", version=2, calls=("activations",), skip=_needs_harmonic_start)
def fixed_pitches(factorization):
    """Return the pitches of a harmonic start: template k is MIDI 21 + k.

    Parameters
    ----------
    factorization : Factorization
        Of rank r.

    Returns
    -------
    np.ndarray [shape=(r,), dtype=int]
        MIDI numbers; 0 from the 89th template on, which start at random.
    """
    pitches = LOWEST + np.arange(factorization.rank)
    return np.where(pitches <= HIGHEST, pitches, NO_PITCH)


@step("pitch", "autocorrelation", version=2, calls=("templates",))
def autocorrelation_pitches(factorization, *, frequencies, power, nearest=0.85, least=0.1):
    """Pitch of each template by the autocorrelation of its inverse transform.

    The template is a modulus without phases; the autocorrelation of its zero-phase inverse
    transform is the inverse transform of its square (Wiener and Khinchin). Of the maxima between
    the periods of MIDI 21 and 108, the shortest period that reaches `nearest` of the highest one
    is taken, for twice a period is a period too.

    Parameters
    ----------
    factorization : Factorization
        Of rank r, its templates those of all bins of a transform.
    frequencies : np.ndarray [shape=(1 + n_fft // 2,)]
        Of the bins, Hz.
    power : {1, 2}
        Exponent of the modulus in V.
    nearest : float
        See above.
    least : float
        A template whose highest maximum stays below this part of the value at lag 0 has no pitch.

    Returns
    -------
    np.ndarray [shape=(r,), dtype=int]
        MIDI numbers, or 0.
    """
    W = factorization.templates()
    n_fft = 2 * (len(frequencies) - 1)
    sample_rate = float(frequencies[1]) * n_fft
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


@step("pitch", "harmonic", version=2, calls=("templates",))
def harmonic_pitches(factorization, *, harmonic_templates):
    """Pitch of each template: that of the harmonic template most like it (cosine).

    Parameters
    ----------
    factorization : Factorization
        Of rank r.
    harmonic_templates : np.ndarray [shape=(m, 88)]
        Of the keys of a piano, MIDI 21 to 108.

    Returns
    -------
    np.ndarray [shape=(r,), dtype=int]
        MIDI numbers, 0 for a template without energy.
    """
    W = factorization.templates()
    similarity = (unit_columns(harmonic_templates)[0]).T @ unit_columns(W)[0]
    best = np.arange(LOWEST, HIGHEST + 1)[similarity.argmax(axis=0)]
    return np.where(similarity.max(axis=0) > 0, best, NO_PITCH).astype(int)


@step("pitch", "oracle", version=2, oracle=True, calls=("activations",))
def oracle_pitches(factorization, *, notes, step):
    """Pitch of each template: the one whose reference activity correlates best with its row of H.

    It looks at the reference: a bound on what naming the templates can reach.

    Parameters
    ----------
    factorization : Factorization
        Of rank r.
    notes : dict
        The reference: ``onsets`` and ``offsets`` (s) and ``pitches`` (MIDI).
    step : float
        Seconds between frames.

    Returns
    -------
    np.ndarray [shape=(r,), dtype=int]
        MIDI numbers; 0 for a row that is constant or correlates with no pitch.
    """
    H = factorization.activations()
    names, rows = np.unique(np.round(notes["pitches"]).astype(int), return_inverse=True)
    if not names.size:
        return np.full(len(H), NO_PITCH)
    times = np.arange(H.shape[1]) * step
    activity = np.zeros((len(names), len(times)))
    bounds = np.searchsorted(times, np.column_stack([notes["onsets"], notes["offsets"]]))
    for (start, stop), row in zip(bounds, rows, strict=True):
        activity[row, start:stop] = 1.0
    correlation = _standardized(activity) @ _standardized(H).T
    best = names[correlation.argmax(axis=0)]
    return np.where(correlation.max(axis=0) > 0, best, NO_PITCH).astype(int)


def unit_columns(W):
    """Return W with columns of unit Euclidean norm (empty ones stay so), and their norms."""
    norms = np.linalg.norm(np.asarray(W, dtype=float), axis=0)
    return W / np.where(norms > 0, norms, 1.0), norms


@step("transcription", "salience", version=2)
def salience(V, *, harmonic_templates):
    """Return the product WᵀV of unit-norm harmonic templates with the spectrogram as activations.

    Parameters
    ----------
    V : np.ndarray [shape=(m, n)]
        A spectrogram.
    harmonic_templates : np.ndarray [shape=(m, 88)]
        Of the keys of a piano, MIDI 21 to 108.

    Returns
    -------
    LowRank
        Template k is MIDI 21 + k.
    """
    W = unit_columns(harmonic_templates)[0].astype(V.dtype)
    return LowRank(W, W.T @ V)


def _standardized(rows):
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(norms > 0, norms, 1.0)


def _frequency(pitch):
    return 440.0 * 2.0 ** ((pitch - 69) / 12)
