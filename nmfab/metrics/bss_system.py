"""What BSS Eval v4 needs of the references alone: correlations and the factored system.

Correlations are summed over short blocks and never need a transform of the track.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.linalg

from nmfab.base.errors import ComputationError
from nmfab.base.resources import current_resources

SILENCE = 2.0**-15  # peak of one step of 16-bit audio; below it a reference counts as silent
_BLOCK = 8192  # length of the transforms that correlate
_BLOCKS_AT_ONCE = 64  # bounds the memory of a long track: about 70 MB of spectra


@dataclass(frozen=True)
class System:
    """What BSS Eval needs of the references alone; made by `prepare` and shared by all estimates.

    Attributes
    ----------
    references : np.ndarray [shape=(sources, channels, samples)]
        The reference images.
    taps : int
        Length of the distortion filters, in samples.
    all_factor : np.ndarray [shape=(sources * channels * taps, sources * channels * taps)]
        Cholesky factor (lower) of the correlations of the delayed references of all sources.
    own_factors : list of np.ndarray [shape=(channels * taps, channels * taps)]
        The same for each source alone.
    loaded : bool
        Whether the noise floor of 16-bit audio was added; see `prepare`.
    """

    references: np.ndarray
    taps: int
    all_factor: np.ndarray
    own_factors: list
    loaded: bool

    @cached_property
    def channels(self):
        """The references as [shape=(sources * channels, samples)]."""
        return self.references.reshape(-1, self.references.shape[-1])


def floating(signals):
    """Return the signals themselves where they are float32 or float64, else as float64."""
    signals = np.asarray(signals)
    known = signals.dtype in (np.float32, np.float64)
    return signals if known else signals.astype(np.float64)


def prepare(references, *, taps=512):
    """Correlate the references and factor the systems that give the distortion filters.

    References that are empty above some frequency (decoded from AAC or mp3, resampled) leave the
    filters there to rounding errors: gains of 10⁴ on nothing, which the edges of a frame turn into
    tens of decibels of "interference", in museval too. Where what is left of a reference after
    prediction from its past and from the others falls below a quarter of the rounding noise of
    16-bit audio, that noise is therefore added to the system (not to the signals): scores are then
    those of the same stems written to 16-bit files, to about 0.1 dB. Stems that come from such
    files are left as they are.

    Parameters
    ----------
    references : np.ndarray [shape=(sources, channels, samples)]
        True images.
    taps : int
        Length of the filters, in samples.

    Returns
    -------
    System

    Raises
    ------
    ComputationError
        If a reference is silent throughout: its filters are not determined.
    """
    references = floating(references)
    silent = np.flatnonzero(~references.any(axis=(1, 2)))
    if silent.size:
        raise ComputationError(f"reference {silent[0]} is silent throughout: leave it out")
    sources, channels, samples = references.shape
    flat = references.reshape(sources * channels, samples)
    lags = correlate(flat, flat, taps)
    own = [lags[j : j + channels, j : j + channels] for j in range(0, len(flat), channels)]
    # Rounding makes noise only where there is sound: digital silence stays exact.
    noise = np.count_nonzero(flat, axis=1) * SILENCE**2 / 12
    for loading in (np.zeros_like(noise), noise):
        factors = []
        for j, part in enumerate((*own, lags)):  # the small ones first: they tell soonest
            rows = slice(j * channels, (j + 1) * channels) if j < sources else slice(None)
            factors.append(_factor(part, loading[rows], least=noise[rows] / 4))
            if factors[-1] is None:
                break
        else:
            return System(references, taps, factors[-1], factors[:-1], loading is noise)
    raise ComputationError("the references cannot be told apart, even with noise added to them")


def correlate(first, second, taps):
    """Return ``r[a, b, k] = sum_m first[a, m - k] second[b, m]`` for lags k from 0 to taps − 1.

    Parameters
    ----------
    first, second : np.ndarray [shape=(signals, samples)]
        Signals taken as zero outside.
    taps : int
        Number of lags.

    Returns
    -------
    np.ndarray [shape=(len(first), len(second), taps)]
    """
    length = max(_BLOCK, scipy.fft.next_fast_len(4 * taps, real=True))
    step = length - taps + 1
    blocks = -(-first.shape[-1] // step)
    total = 0.0
    for start in range(0, blocks, _BLOCKS_AT_ONCE):
        span = range(start, min(start + _BLOCKS_AT_ONCE, blocks))
        early = _block_spectra(first, span, step, length, before=taps - 1)
        late = _block_spectra(second, span, step, length, before=0)
        total = total + early.conj() @ late.transpose(0, 2, 1)
    lags = scipy.fft.irfft(np.moveaxis(total, 0, -1), n=length, workers=workers())
    return lags[..., :taps]


def _block_spectra(signals, span, step, length, before):
    """Return spectra [shape=(bins, signals, blocks)] of blocks that begin `before` early.

    A block without its past stands where it would stand with it, so that lag k of the product is
    lag k of the signals.
    """
    held = np.zeros((len(signals), len(span), length))
    for place, index in enumerate(span):
        begin = index * step - before
        piece = signals[:, max(begin, 0) : index * step + step]
        offset = length - step + (max(begin, 0) - index * step)
        held[:, place, offset : offset + piece.shape[-1]] = piece
    spectra = scipy.fft.rfft(held, overwrite_x=True, workers=workers())
    return np.ascontiguousarray(np.moveaxis(spectra, -1, 0))


def _factor(lags, loading, least):
    """Return the Cholesky factor, or None where a pivot of a signal is below its `least`."""
    matrix = _toeplitz(lags)
    taps = lags.shape[-1]
    matrix[np.diag_indices_from(matrix)] += np.repeat(loading, taps) + np.finfo(np.float64).eps
    try:
        factor = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    return factor if (np.diagonal(factor) ** 2 >= np.repeat(least, taps)).all() else None


def _toeplitz(lags):
    """Return the matrix with rows (a, i), columns (b, k) and entries ``sum x_a[m-i] x_b[m-k]``."""
    signals, _, taps = lags.shape
    matrix = np.empty((signals * taps, signals * taps), order="F")
    for a in range(signals):
        for b in range(signals):
            block = matrix[a * taps : (a + 1) * taps, b * taps : (b + 1) * taps]
            # Entry (i, k) depends on i - k alone: lag i - k of (a, b), or k - i of (b, a).
            block[...] = scipy.linalg.toeplitz(lags[a, b], lags[b, a])
    return matrix


def solve(factor, right):
    """Return the solution for a factor of a `System` and right-hand sides in columns."""
    return scipy.linalg.cho_solve((factor, True), right, check_finite=False)


def workers():
    """Return the number of threads that transforms may use."""
    return current_resources().threads or 1
