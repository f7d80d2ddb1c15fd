"""BSS Eval version 4 (images): SDR, ISR, SIR, SAR by frame, with filters of 512 taps.

An estimate is split into its reference, a filtered version of it (spatial distortion), filtered
versions of the other references (interference) and a rest (artifacts). The filters are the least
squares ones over the whole track; each frame is then filtered alone, its past taken as zero, and
gives four ratios of energies. Definitions: Vincent et al., "First stereo audio source separation
evaluation campaign", ICA 2007, Eq. 2 to 8; one set of filters per track: Stöter, Liutkus and Ito,
"The 2018 signal separation evaluation campaign", LVA/ICA 2018, which museval 0.4 implements.

What keeps it fast: correlations are summed over short blocks and never need a transform of the
track; the system depends on the references alone and is factored once (`prepare`); energies are
taken from spectra by Parseval's theorem, so that no frame is transformed back.

Signals are arrays [shape=(sources, channels, samples)] of float32 or float64; a block or frame at a
time is turned into float64, in which everything is computed, so that a long track is never copied.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.linalg

from nmfab.base.errors import ComputationError, UsageError
from nmfab.base.resources import current_resources

VERSION = 1
RATIOS = ("sdr", "isr", "sir", "sar")
SILENCE = 2.0**-15  # peak of one step of 16-bit audio; below it a reference counts as silent
_BLOCK = 8192  # length of the transforms that correlate
_BLOCKS_AT_ONCE = 64  # bounds the memory of a long track: about 70 MB of spectra
_FRAMES_AT_ONCE = 8
_BAND = 2**18  # bytes of one spectrum in a band of bins, so that a band stays in the cache


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


def bss_eval(references, estimates, *, window, hop=None, taps=512, rule="reference"):
    """Return the four ratios of every source and frame.

    Parameters
    ----------
    references : np.ndarray [shape=(sources, channels, samples)]
        True images; none may be silent throughout.
    estimates : np.ndarray [shape=(sources, channels, samples)]
        Estimate ``j`` is scored against reference ``j``.
    window, hop : int
        Length of a frame and distance between frames, in samples; `hop` is `window` by default.
        What is left of the track after the last whole frame is not scored.
    taps : int
        Length of the distortion filters, in samples.
    rule : {"reference", "museval"}
        Which frames are left out; see `frame_mask`.

    Returns
    -------
    dict of np.ndarray [shape=(sources, frames)]
        ``sdr``, ``isr``, ``sir``, ``sar`` in dB, NaN in frames that are left out; infinite where
        the error is exactly zero.

    Raises
    ------
    UsageError
        If shapes differ or the window is not positive.
    ComputationError
        If a reference is silent throughout.
    """
    references, estimates = validate(references, estimates)
    energies = frame_energies(prepare(references, taps=taps), estimates, window=window, hop=hop)
    keep = frame_mask(references, estimates, window=window, hop=hop, rule=rule)
    return ratios(energies, keep)


def validate(references, estimates):
    """Return both as floating point arrays, or raise as `bss_eval` says."""
    references, estimates = floating(references), floating(estimates)
    if references.ndim != 3 or references.shape != estimates.shape:
        raise UsageError(
            f"references {references.shape} and estimates {estimates.shape}: both must have the "
            "shape (sources, channels, samples)"
        )
    if not (np.isfinite(references).all() and np.isfinite(estimates).all()):
        raise ComputationError("references or estimates hold NaN or infinite samples")
    return references, estimates


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
    lags = scipy.fft.irfft(np.moveaxis(total, 0, -1), n=length, workers=_workers())
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
    spectra = scipy.fft.rfft(held, overwrite_x=True, workers=_workers())
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


def _solve(factor, right):
    return scipy.linalg.cho_solve((factor, True), right, check_finite=False)


def filters(system, estimates):
    """Return the least squares distortion filters of every estimate.

    Parameters
    ----------
    system : System
        From `prepare`.
    estimates : np.ndarray [shape=(sources, channels, samples)]
        Estimated images.

    Returns
    -------
    shared : np.ndarray [shape=(sources * channels, taps, sources, channels)]
        From every reference channel to every channel of every estimate.
    own : np.ndarray [shape=(sources, channels, taps, channels)]
        From the channels of reference j alone to those of estimate j.
    """
    sources, channels, samples = estimates.shape
    taps = system.taps
    lags = correlate(system.channels, estimates.reshape(-1, samples), taps)
    right = np.moveaxis(lags, 2, 1)
    shared = _solve(system.all_factor, right.reshape(-1, sources * channels))
    own = np.empty((sources, channels, taps, channels))
    for j, factor in enumerate(system.own_factors):
        rows = slice(j * channels, (j + 1) * channels)
        part = _solve(factor, right[rows, :, rows].reshape(-1, channels))
        own[j] = part.reshape(channels, taps, channels)
    return shared.reshape(sources * channels, taps, sources, channels), own


def frame_starts(samples, window, hop=None):
    """Return the first sample of every frame; one frame where the window holds the whole track."""
    hop = window if hop is None else hop
    if window < 1 or hop < 1:
        raise UsageError(f"window {window} and hop {hop} must be at least one sample")
    if window >= samples:
        return np.zeros(1, dtype=int)
    return np.arange((samples - window + hop) // hop) * hop


def frame_energies(system, estimates, *, window, hop=None):
    """Return the energies that the ratios are made of.

    Parameters
    ----------
    system : System
        From `prepare`.
    estimates : np.ndarray [shape=(sources, channels, samples)]
        Estimated images.
    window, hop : int
        See `bss_eval`.

    Returns
    -------
    np.ndarray [shape=(4, 2, sources, frames)]
        Numerator and denominator of SDR, ISR, SIR and SAR.
    """
    starts = frame_starts(estimates.shape[-1], window, hop)
    window = min(window, estimates.shape[-1])
    length = scipy.fft.next_fast_len(window + system.taps - 1)
    responses = _responses(filters(system, estimates), length)
    energies = np.empty((4, 2, estimates.shape[0], len(starts)))
    at_once = max(1, _FRAMES_AT_ONCE * 65536 // length)
    for first in range(0, len(starts), at_once):
        span = slice(first, first + at_once)
        truth = _frame_spectra(system.references, starts[span], window, length)
        guess = _frame_spectra(estimates, starts[span], window, length)
        energies[..., span] = _decompose(truth, guess, responses, length)
    return energies


def _frame_spectra(signals, starts, window, length):
    """Return the spectra [shape=(bins, frames, sources, channels)] of frames."""
    frames = np.stack([signals[..., start : start + window] for start in starts])
    frames = frames.astype(np.float64, copy=False)
    return np.moveaxis(scipy.fft.rfft(frames, n=length, workers=_workers()), -1, 0).copy()


def _responses(found, length):
    """Return the filters' spectra: (bins, inputs, outputs) and (bins, sources, in, out)."""
    shared, own = found
    shared = np.moveaxis(shared, 1, -1).reshape(shared.shape[0], -1, shared.shape[1])
    own = np.moveaxis(own, 2, -1)
    return [
        np.moveaxis(scipy.fft.rfft(taps, n=length, workers=_workers()), -1, 0).copy()
        for taps in (shared, own)
    ]


def _decompose(truth, guess, responses, length):
    """Return the energies [shape=(4, 2, sources, frames)], summed over bands that fit the cache."""
    weight = np.full(len(truth), 2.0 / length)
    weight[0] = 1.0 / length
    if length % 2 == 0:
        weight[-1] = 1.0 / length
    step = max(1, _BAND // (truth[0].size * truth.itemsize))
    total = 0.0
    for start in range(0, len(truth), step):
        band = slice(start, start + step)
        spectra = (truth[band], guess[band], *(part[band] for part in responses))
        total = total + _band_energies(*spectra, weight[band])
    return total


def _band_energies(truth, guess, shared, own, weight):
    bins, frames = truth.shape[:2]
    everything = (truth.reshape(bins, frames, -1) @ shared).reshape(truth.shape)
    spatial = sum(truth[..., c, None] * own[:, None, :, c, :] for c in range(truth.shape[-1]))

    def energy(spectrum):
        parts = spectrum.view(np.float64)
        return np.einsum("f,ftjc,ftjc->jt", weight, parts, parts)

    source = energy(truth)
    return np.array(
        [
            (source, energy(guess - truth)),
            (source, energy(spatial - truth)),
            (energy(spatial), energy(everything - spatial)),
            (energy(everything), energy(guess - everything)),
        ]
    )


def ratios(energies, keep):
    """Return the four ratios in dB from `frame_energies`, NaN where `keep` is false.

    An error of zero gives infinity; nothing over nothing gives NaN.
    """
    numerator, denominator = energies[:, 0], energies[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        decibel = 10 * np.log10(numerator / denominator)
    return dict(zip(RATIOS, np.where(keep, decibel, np.nan), strict=True))


def frame_mask(references, estimates, *, window, hop=None, rule="reference"):
    """Tell which frames of which source are scored.

    Parameters
    ----------
    references, estimates : np.ndarray [shape=(sources, channels, samples)]
        Images.
    window, hop : int
        See `bss_eval`.
    rule : {"reference", "museval"}
        ``"reference"``: a frame is left out for the sources whose own reference is silent in it
        (peak below `SILENCE`), whatever the estimate does. ``"museval"``: it is left out for all
        sources as soon as one reference or estimate adds up to zero over its channels at every
        sample.

    Returns
    -------
    np.ndarray [shape=(sources, frames)], bool
    """
    if rule not in ("reference", "museval"):
        raise UsageError(f"unknown rule {rule!r}: there are reference, museval")
    columns = []
    for start in frame_starts(references.shape[-1], window, hop):
        span = slice(start, start + window)
        if rule == "reference":
            columns.append(np.abs(references[..., span]).max(axis=(1, 2)) >= SILENCE)
            continue
        sounding = [x[..., span].sum(axis=1).any(axis=1).all() for x in (references, estimates)]
        columns.append(np.full(len(references), all(sounding)))
    return np.stack(columns, axis=1)


def _workers():
    return current_resources().threads or 1
