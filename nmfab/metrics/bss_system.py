"""What BSS Eval v4 needs of the references alone: correlations and the factored system.

Correlations are summed over short blocks and never need a transform of the track. Their matrix is
block Toeplitz when its rows are ordered by lag, then by signal: the Schur algorithm factors it in
the square of its size, and Cholesky would take the cube.
"""

from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

from nmfab.base.errors import ComputationError
from nmfab.base.resources import current_resources

SILENCE = 2.0**-15  # peak of one step of 16-bit audio; below it a reference counts as silent
_BLOCK = 8192  # length of the transforms that correlate
_SHORT = 2**23  # samples of all references whose spectra are kept: 24 s of four stereo stems
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
    all_factor : np.ndarray [shape=(taps * sources * channels, taps * sources * channels)]
        Cholesky factor (lower) of the correlations of the delayed references of all sources, rows
        ordered by delay, then by source and channel.
    own_factors : np.ndarray [shape=(sources, taps * channels, taps * channels)]
        The same for each source alone.
    loaded : bool
        Whether the noise floor of 16-bit audio was added; see `prepare`.
    """

    references: np.ndarray
    taps: int
    all_factor: np.ndarray
    own_factors: np.ndarray
    loaded: bool
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def channels(self):
        """The references as [shape=(sources * channels, samples)]."""
        return self.references.reshape(-1, self.references.shape[-1])

    def remembered(self, key, make):
        """Return ``make()``, kept for the next estimates where the track is short enough."""
        if self.references.size > _SHORT:
            return make()
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


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
        shape = (sources, channels)
        apart = _factors(np.stack(own), loading.reshape(shape), noise.reshape(shape) / 4)
        if apart is None:  # the small ones first: they tell soonest
            continue
        together = _factors(lags[None], loading[None], noise[None] / 4)
        if together is not None:
            return System(references, taps, together[0], apart, loading is noise)
    raise ComputationError("the references cannot be told apart, even with noise added to them")


def correlate(first, second, taps, remembered=lambda key, make: make()):
    """Return ``r[a, b, k] = sum_m first[a, m - k] second[b, m]`` for lags k from 0 to taps − 1.

    Parameters
    ----------
    first, second : np.ndarray [shape=(signals, samples)]
        Signals taken as zero outside.
    taps : int
        Number of lags.
    remembered : callable
        `System.remembered` of the system that `first` belongs to: its spectra serve again.

    Returns
    -------
    np.ndarray [shape=(len(first), len(second), taps)]
    """
    import scipy.fft

    length = max(_BLOCK, scipy.fft.next_fast_len(4 * taps, real=True))
    step = length - taps + 1
    blocks = -(-first.shape[-1] // step)
    total = 0.0
    for start in range(0, blocks, _BLOCKS_AT_ONCE):
        span = range(start, min(start + _BLOCKS_AT_ONCE, blocks))
        early = remembered(
            ("blocks", start, taps),
            lambda: by_bin(_block_spectra(first, span, step, length, before=taps - 1).conj()),  # noqa: B023
        )
        late = by_bin(_block_spectra(second, span, step, length, before=0))
        total = total + early @ late.mT
    total = np.moveaxis(total, 0, -1)
    lags = scipy.fft.irfft(total, n=length, workers=workers())
    return lags[..., :taps]


def _block_spectra(signals, span, step, length, before):
    """Return spectra [shape=(signals, blocks, bins)] of blocks that begin `before` early.

    A block without its past stands where it would stand with it, so that lag k of the product is
    lag k of the signals.
    """
    import scipy.fft

    held = np.zeros((len(signals), len(span), length))
    for place, index in enumerate(span):
        begin = index * step - before
        piece = signals[:, max(begin, 0) : index * step + step]
        offset = length - step + (max(begin, 0) - index * step)
        held[:, place, offset : offset + piece.shape[-1]] = piece
    return scipy.fft.rfft(held, overwrite_x=True, workers=workers())


def by_bin(spectra):
    """Return spectra with bins first, where a product of matrices at each is a third of a sum."""
    return np.ascontiguousarray(np.moveaxis(spectra, -1, 0))


def _factors(lags, loading, least):
    """Return the Cholesky factors of several systems, or None where a pivot is below `least`.

    Parameters
    ----------
    lags : np.ndarray [shape=(systems, signals, signals, taps)]
        As `correlate` gives them.
    loading, least : np.ndarray [shape=(systems, signals)]
        What is added to the energy of each signal, and what each of its pivots must reach.
    """
    taps = lags.shape[-1]
    lags = lags.copy()
    diagonal = np.arange(lags.shape[1])
    lags[:, diagonal, diagonal, 0] += loading + np.finfo(np.float64).eps
    try:
        with _blas().limit(limits=1, user_api="blas"):
            factors = schur(lags)
    except np.linalg.LinAlgError:
        return None
    pivots = np.diagonal(factors, axis1=1, axis2=2) ** 2
    return factors if (pivots >= np.tile(least, taps)).all() else None


def schur(lags):
    """Factor block Toeplitz matrices of correlations by the block Schur algorithm.

    With Z the shift by one block, T − Z T Zᵀ = U Uᵀ − V Vᵀ has as many columns as there are signals
    in U and V. Each step gives one block column of the factor, U itself, shifts U, and turns (U, V)
    by a hyperbolic rotation that clears the first block of V; V is updated from the new U, the
    stabler form. Kailath and Sayed, "Displacement structure: theory and applications", SIAM Review
    1995, Sect. 4; Bojanczyk, Brent, Van Dooren and de Hoog, "A note on downdating the Cholesky
    factorization", SIAM J. Sci. Stat. Comput. 1987.

    Parameters
    ----------
    lags : np.ndarray [shape=(systems, signals, signals, taps)]
        As `correlate` gives them: entry (i, a), (k, b) of a matrix is the correlation of signals a
        and b at lag i − k.

    Returns
    -------
    np.ndarray [shape=(systems, taps * signals, taps * signals)]
        Lower triangular L with L Lᵀ the matrix, its rows ordered by lag, then by signal.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not positive definite to rounding.
    """
    systems, size, _, taps = lags.shape
    first = np.moveaxis(lags, (1, 2, 3), (3, 1, 2)).reshape(systems, size, taps * size)
    # All is kept transposed, so that rows are contiguous: U has `size` long rows.
    U = np.linalg.solve(np.linalg.cholesky(first[..., :size].mT), first)
    V = U
    upper = np.zeros((systems, taps * size, taps * size))
    upper[:, :size] = U
    unit = np.eye(size)
    for start in range(size, taps * size, size):
        U, V = U[..., :-size], V[..., size:]
        K = np.linalg.solve(U[..., :size].mT, V[..., :size].mT)
        A, B = np.linalg.cholesky(unit - K @ K.mT), np.linalg.cholesky(unit - K.mT @ K)
        U = np.linalg.inv(A) @ (U - K @ V)
        V = B.mT @ V - np.linalg.solve(B, K.mT @ A) @ U
        upper[:, start : start + size, start:] = U
    return upper.mT


def solve(factor, right):
    """Return the solution for a factor of a `System` and right-hand sides in columns."""
    import scipy.linalg

    with _blas().limit(limits=1, user_api="blas"):
        return scipy.linalg.cho_solve((factor, True), right, check_finite=False)


@cache
def _blas():
    """Return the BLAS libraries, to be kept at one thread where several are slower.

    OpenBLAS shares out few columns so that each thread goes through the whole triangle.
    """
    import scipy.linalg  # noqa: F401 - its BLAS must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def workers():
    """Return the number of threads that transforms may use."""
    return current_resources().threads or 1
