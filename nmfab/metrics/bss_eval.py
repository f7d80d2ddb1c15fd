"""BSS Eval version 4 (images): SDR, ISR, SIR, SAR by frame, with filters of 512 taps.

An estimate is split into its reference, a filtered version of it (spatial distortion), filtered
versions of the other references (interference) and a rest (artifacts). The filters are the least
squares ones over the whole track; each frame is then filtered alone, its past taken as zero, and
gives four ratios of energies. Definitions: Vincent et al., "First stereo audio source separation
evaluation campaign", ICA 2007, Eq. 2 to 8; one set of filters per track: Stöter, Liutkus and Ito,
"The 2018 signal separation evaluation campaign", LVA/ICA 2018, which museval 0.4 implements.

What keeps it fast: the system depends on the references alone and is factored once
(`nmfab.metrics.bss_system`); energies are taken from spectra by Parseval's theorem, so that no
frame is transformed back.

Signals are arrays [shape=(sources, channels, samples)] of float32 or float64; a block or frame at a
time is turned into float64, in which everything is computed, so that a long track is never copied.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nmfab.base.errors import ComputationError, UsageError
from nmfab.metrics.bss_system import SILENCE, by_bin, correlate, floating, prepare, solve, workers

VERSION = 1
RATIOS = ("sdr", "isr", "sir", "sar")
_FRAMES_AT_ONCE = 8
_BAND = 2**18  # bytes of one spectrum in a band of bins, so that a band stays in the cache


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
    flat = estimates.reshape(-1, samples)
    lags = correlate(system.channels, flat, taps, remembered=system.remembered)
    right = np.moveaxis(lags, 2, 0)  # by delay, then by signal, as the system's rows
    shared = solve(system.all_factor, right.reshape(-1, sources * channels))
    own = np.empty((sources, channels, taps, channels))
    for j, factor in enumerate(system.own_factors):
        rows = slice(j * channels, (j + 1) * channels)
        part = solve(factor, right[:, rows, rows].reshape(-1, channels))
        own[j] = part.reshape(taps, channels, channels).swapaxes(0, 1)
    shared = shared.reshape(taps, sources * channels, sources, channels)
    return shared.swapaxes(0, 1), own


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
    import scipy.fft

    starts = frame_starts(estimates.shape[-1], window, hop)
    window = min(window, estimates.shape[-1])
    length = scipy.fft.next_fast_len(window + system.taps - 1)
    responses = _responses(filters(system, estimates), length)
    energies = np.empty((4, 2, estimates.shape[0], len(starts)))
    at_once = max(1, _FRAMES_AT_ONCE * 65536 // length)
    for first in range(0, len(starts), at_once):
        span = slice(first, first + at_once)
        truth = system.remembered(
            ("frames", first, window, hop),
            lambda: _frame_spectra(system.references, starts[span], window, length),  # noqa: B023
        )
        guess = _frame_spectra(estimates, starts[span], window, length)
        energies[..., span] = _decompose(truth, guess, responses, length)
    return energies


def _frame_spectra(signals, starts, window, length):
    """Return the spectra [shape=(sources, channels, frames, bins)] of frames."""
    import scipy.fft

    frames = np.empty((*signals.shape[:2], len(starts), window))
    for place, start in enumerate(starts):
        frames[:, :, place] = signals[..., start : start + window]
    return scipy.fft.rfft(frames, n=length, workers=workers())


def _responses(found, length):
    """Return the filters' spectra: (inputs, sources, channels, bins), (sources, in, out, bins)."""
    import scipy.fft

    shared, own = (np.moveaxis(taps, axis, -1) for taps, axis in zip(found, (1, 2), strict=True))
    return [scipy.fft.rfft(taps, n=length, workers=workers()) for taps in (shared, own)]


def _decompose(truth, guess, responses, length):
    """Return the energies [shape=(4, 2, sources, frames)], summed over bands that fit the cache."""
    bins = truth.shape[-1]
    step = max(1, _BAND * bins // truth.nbytes)

    def of_band(start):
        return _band_energies(*(part[..., start : start + step] for part in spectra))

    spectra = truth, guess, *responses
    with ThreadPoolExecutor(workers()) as pool:
        total = sum(pool.map(of_band, range(0, bins, step)))
    # Bins that stand for two frequencies count twice: all but zero and, in even lengths, the last.
    single = slice(None, None, bins - 1) if length % 2 == 0 else slice(0, 1)
    alone = _band_energies(*(part[..., single] for part in spectra))
    return (2 * total - alone) / length


def _band_energies(truth, guess, shared, own):
    """Return the sums over the bins given of the squared moduli that `frame_energies` names."""
    sources, channels, frames, bins = truth.shape
    inputs = truth.reshape(sources * channels, frames, bins)
    outputs = shared.reshape(sources * channels, sources * channels, bins)
    # a product of matrices at each bin takes half the time of one sum over all of them
    products = by_bin(inputs).mT @ by_bin(outputs)
    everything = np.ascontiguousarray(products.T).reshape(guess.shape)
    spatial = sum(truth[:, a, None] * own[:, a, :, None] for a in range(channels))

    def energy(spectrum):
        parts = np.ascontiguousarray(spectrum).view(np.float64)
        return np.einsum("jctf,jctf->jt", parts, parts)

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
