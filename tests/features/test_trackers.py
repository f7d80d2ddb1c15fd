"""Bars by madmom and beat_this: the real ones where installed, else stand-ins of their interface.

The stand-ins follow madmom 0.17.dev0 and beat_this 1.1.0: names, arguments, shapes, units.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from nmfab.base.errors import DataError, UsageError
from nmfab.experiment import Experiment
from nmfab.features import trackers
from nmfab.metrics.downbeats import f_measure
from nmfab.tasks import TASKS

RATE = 22050
DOWNBEATS = np.array([0.5, 2.5, 4.5])


class Signal(np.ndarray):
    """Samples that know their rate, as madmom's."""

    def __new__(cls, data, sample_rate=None, num_channels=None):
        made = np.asarray(data).view(cls)
        made.sample_rate, made.num_channels = sample_rate, num_channels
        return made


class RNN:
    """Likelihood of beats and downbeats, 100 per second, from a signal at 44.1 kHz."""

    def __call__(self, signal):
        assert (signal.sample_rate, signal.num_channels, signal.ndim) == (44100, 1, 1)
        assert signal.dtype == np.float32
        return np.zeros((len(signal) // 441, 2))


class DBN:
    """Beats [shape=(n, 2)]: seconds and place in the bar."""

    def __init__(self, beats_per_bar, fps):
        assert (beats_per_bar, fps) == ([3, 4], 100)

    def __call__(self, likelihood):
        times = np.arange(0, len(likelihood) / 100, 0.5)  # the first is an upbeat
        return np.column_stack([times, np.arange(3, len(times) + 3) % 4 + 1])


class Audio2Beats:
    """Beats and downbeats, in seconds, from samples and their rate."""

    def __init__(self, checkpoint_path="final0", device="cpu", float16=False, dbn=False):
        assert checkpoint_path.endswith("hub/checkpoints/beat_this-final0.ckpt")
        assert device == "cpu"

    def __call__(self, signal, sr):
        assert signal.ndim == 1
        times = np.arange(0.5, len(signal) / sr, 0.5)
        return times, times[::4]


def _module(name, **content):
    module = ModuleType(name)
    vars(module).update(content)
    return module


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Both, as stand-ins: a function that sets the release of a package."""
    releases = {"madmom": "0.17.dev0", "beat-this": "1.1.0"}
    modules = [
        _module("madmom"),
        _module("madmom.audio"),
        _module("madmom.audio.signal", Signal=Signal),
        _module("madmom.features"),
        _module(
            "madmom.features.downbeats",
            RNNDownBeatProcessor=RNN,
            DBNDownBeatTrackingProcessor=DBN,
        ),
        _module("beat_this"),
        _module("beat_this.inference", Audio2Beats=Audio2Beats),
    ]
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    brought = {"madmom": ["madmom"], "beat_this": ["beat-this"]}
    found = SimpleNamespace(packages_distributions=lambda: brought, version=releases.__getitem__)
    monkeypatch.setattr(trackers, "metadata", found)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    trackers._release.cache_clear()

    def release(package, version):
        releases[package] = version
        trackers._release.cache_clear()

    yield release
    trackers._release.cache_clear()


@pytest.fixture
def weights(installed):
    """The weights of beat_this, where it looks for them."""
    path = trackers.weights()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def absent(monkeypatch):
    """Neither."""
    monkeypatch.setattr(trackers, "metadata", SimpleNamespace(packages_distributions=dict))
    trackers._release.cache_clear()
    yield
    trackers._release.cache_clear()


def _noise(seconds, channels=2, rate=RATE):
    shape = (channels, int(seconds * rate))
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", trackers.TRACKERS)
def test_bars_begin_at_the_downbeats_found(weights, name):
    edges = trackers.TRACKERS[name](_noise(6), RATE)
    np.testing.assert_allclose(edges, [*DOWNBEATS, 6])


@pytest.mark.parametrize("name", trackers.TRACKERS)
def test_silence_and_a_few_samples_have_no_bars(weights, name):
    for samples in (np.zeros((2, 3 * RATE), np.float32), _noise(0.01)):
        with pytest.raises(DataError, match=f"{name} found no downbeat"):
            trackers.TRACKERS[name](samples, RATE)


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(absent):
    assert trackers.missing("madmom").startswith("madmom is not installed: pip install ")
    assert trackers.missing("beat_this") == "beat_this is not installed: pip install beat_this"
    assert trackers.missing("madmom").count("\n") == 0


def test_weights_are_not_downloaded(installed):
    assert trackers.missing("madmom") is None
    said = trackers.missing("beat_this")
    assert said.startswith("beat_this has no weights here: put final0.ckpt")
    assert said.endswith(str(trackers.weights()))
    with pytest.raises(DataError, match="no weights here"):
        trackers.beat_this_bars(_noise(3), RATE)


def _bars_node(name):
    task = TASKS["structure"]()
    defaults = {name: param.default for name, param in task.params.items()}
    return task.nodes({**defaults, "dataset": "demo", "bars": name})[0]


def test_another_release_or_other_weights_are_another_key(installed, weights):
    madmom, beat_this = _bars_node("madmom").versions, _bars_node("beat_this").versions
    assert madmom["madmom"] == "madmom 0.17.dev0"
    assert beat_this["beat_this"] == "beat-this 1.1.0"
    installed("madmom", "0.18")
    assert _bars_node("madmom").versions == madmom | {"madmom": "madmom 0.18"}
    assert _bars_node("beat_this").versions == beat_this
    weights.write_bytes(b"other weights")
    changed = _bars_node("beat_this").versions
    assert changed != beat_this
    assert changed | {"beat_this.weights": None} == beat_this | {"beat_this.weights": None}


def _experiment(tmp_path, bars):
    experiment = Experiment("bars", task="structure", cache=tmp_path / "cache")
    experiment.add_plan("rows", dataset=["demo"], baseline=["regular"], bars=bars)
    return experiment


def test_a_run_that_asks_for_nothing_else_is_refused(absent, tmp_path):
    with pytest.raises(UsageError, match=r"no setting .*: bars=madmom: madmom is not installed"):
        _experiment(tmp_path, ["madmom"]).compute()


def test_one_of_several_is_left_out_with_its_reason(absent, tmp_path):
    experiment = _experiment(tmp_path, ["librosa", "beat_this"])
    assert [setting.values["bars"] for setting in experiment.select()] == ["librosa"]
    (left,) = experiment.grid.left_out
    assert left.reason == "bars=beat_this: beat_this is not installed: pip install beat_this"


def _clicks():
    """Return 30 s at 22.05 kHz: a note on each beat, louder and lower on the downbeat."""
    samples = np.zeros(30 * RATE, dtype=np.float32)
    time = np.arange(4000) / RATE
    for beat in range(59):
        pitch, level = (110, 1.0) if beat % 4 == 0 else (440, 0.3)
        start = int((0.25 + beat * 0.5) * RATE)
        samples[start : start + 4000] += (
            level * np.sin(2 * np.pi * pitch * time) * np.exp(-time * 20)
        )
    return samples[None], 0.25 + np.arange(0, 59, 4) * 0.5


def _skip_where_missing(name):
    trackers._release.cache_clear()
    lacking = trackers.missing(name)
    if lacking is not None:
        pytest.skip(lacking)


def test_the_real_madmom_follows_a_metronome():
    _skip_where_missing("madmom")
    samples, downbeats = _clicks()
    assert f_measure(downbeats, trackers.madmom_bars(samples, RATE)[:-1]) > 0.8


def test_the_real_beat_this_takes_weights_from_the_disk(monkeypatch, tmp_path):
    """Its weights are drawn at random here: what it finds is noise, and where it lies is not."""
    beat_tracker = pytest.importorskip("beat_this.model.beat_tracker")
    import inspect

    import torch

    torch.manual_seed(0)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    sizes = {"transformer_dim": 64, "n_layers": 1}
    model = beat_tracker.BeatThis(**sizes)
    torch.nn.init.constant_(model.task_heads.beat_downbeat_lin.bias, 5.0)  # peaks are found
    defaults = inspect.signature(beat_tracker.BeatThis).parameters.items()
    trackers.weights().parent.mkdir(parents=True)
    checkpoint = {
        "hyper_parameters": {name: param.default for name, param in defaults} | sizes,
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
    }
    torch.save(checkpoint, trackers.weights())
    _skip_where_missing("beat_this")
    edges = trackers.beat_this_bars(_noise(5), RATE)
    assert (np.diff(edges) > 0).all()
    assert edges[0] >= 0
    assert edges[-1] == 5


def test_the_real_madmom_finds_the_bars_that_others_found_by_it(samples):
    _skip_where_missing("madmom")
    from nmfab.datasets.audio import read_audio

    theirs = np.load(samples / "peer" / "structure" / "bars_madmom.npy")
    audio = read_audio(samples / "salami" / "audio" / "176.mp3")
    edges = trackers.madmom_bars(audio["samples"], audio["sample_rate"])
    ours = edges[:-1]
    assert f_measure(theirs[1:, 0], ours) > 0.95
