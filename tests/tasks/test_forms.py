"""Forms of V: what each task gives, by hand, and algorithms that take it, up to the scores."""

from dataclasses import dataclass
from typing import Any

import librosa
import numpy as np
import pytest
from tasks.conftest import NOTES, RATE, played, song_of_bars, stems_song

from nmfab.algorithms import ALGORITHMS, algorithm
from nmfab.base.kinds import KINDS, Factorization, kind
from nmfab.tasks import TASKS

STFT, BARWISE = "features.stft", "features.barwise"


@pytest.fixture
def toys(monkeypatch):
    """Algorithms that take views and a mixture, and yield their start."""
    ALGORITHMS.names()
    KINDS.names()
    monkeypatch.setattr(ALGORITHMS, "_components", dict(ALGORITHMS._components))
    monkeypatch.setattr(KINDS, "_components", dict(KINDS._components))

    @kind("toy_views", version=1)
    @dataclass(eq=False)
    class Views(Factorization):
        W: Any  # templates of the first view
        second: Any
        H: Any

        def _all(self):
            return self.W, self.second

        def reconstruction(self):
            return dict(zip(("512", "256"), (W @ self.H for W in self._all()), strict=True))

        def grouped(self, groups, n_groups, frames=slice(None)):
            def sums(W):
                own = [groups == g for g in range(n_groups)]
                return np.stack([W[:, o] @ self.H[o][:, frames] for o in own])

            return dict(zip(("512", "256"), map(sums, self._all()), strict=True))

        def templates(self):
            return self.W

        def activations(self):
            return self.H

        def scaled(self, factors, fixed=None):
            first, second = factors["512"], factors["256"]
            return self._described(Views(self.W * first, self.second * second, self.H))

    def start_views(problem):
        assert list(problem.V) == ["512", "256"]
        for name, V in problem.V.items():
            assert problem.view[name].frequencies.shape == (len(V),)
            assert problem.view[name].window == int(name)
        H = problem.rng.random((problem.rank, problem.V["512"].shape[1])).astype(np.float32)
        first, second = (V @ H.T / len(H.T) for V in problem.V.values())
        return Views(first, second, H)

    @algorithm("toy_views", gives=Views, takes="views", start=start_views, monotone=False)
    def toy_views(V, model, *, beta=1):
        while True:
            yield model

    @kind("toy_mixture", version=1)
    @dataclass(eq=False)
    class Sides(Factorization):
        """Two sources, one on each side, known by construction, with a filter of their own."""

        W: Any
        H: Any

        def reconstruction(self):
            return self.grouped(np.array([0, 0]), 1)[0]

        def grouped(self, groups, n_groups, frames=slice(None)):
            parts = self.W[:, None, :] * self.H.T[None, frames, :]  # m × n × components
            sides = [np.stack([parts[..., 0], 0 * parts[..., 0]], axis=-1)]
            sides += [np.stack([0 * parts[..., 1], parts[..., 1]], axis=-1)]
            zero = np.zeros_like(sides[0])
            both = zip(sides, groups, strict=True)
            both = list(both)
            return np.stack([sum((s for s, o in both if o == g), zero) for g in range(n_groups)])

        def templates(self):
            return self.W

        def activations(self):
            return self.H

        def groups(self):
            return np.array([0, 1])

        def separate(self, X, groups):
            return np.stack([X * [1, 0], X * [0, 1]])

        def scaled(self, factors, fixed=None):
            return self._described(Sides(self.W, self.H * factors))

    def start_sides(problem):
        power = np.abs(problem.V) ** 2
        H = power.mean(axis=0).T
        return Sides(power.mean(axis=1), H / H.mean())

    @algorithm(
        "toy_mixture", gives=Sides, takes="mixture", start=start_sides, shown_beta=0, monotone=False
    )
    def toy_mixture(V, model):
        while True:
            yield model


def test_tasks_say_what_they_give():
    given = {name: set(TASKS[name].forms) for name in ("separation", "transcription", "structure")}
    assert given == {
        "separation": {"matrix", "channels", "mixture", "views"},
        "transcription": {"matrix", "channels", "views"},
        "structure": {"matrix", "bars", "views"},
    }


@pytest.mark.parametrize(
    ("task", "name", "form"),
    [
        ("separation", "ntd", "bars"),
        ("transcription", "ntd", "bars"),
        ("structure", "ntf", "channels"),
        ("transcription", "toy_mixture", "mixture"),
        ("structure", "toy_mixture", "mixture"),
    ],
)
def test_what_a_task_does_not_give_is_left_out_with_the_reason(toys, task, name, form):
    found = TASKS[task]()
    defaults = {key: param.default for key, param in found.params.items()}
    reason = found.skip({"dataset": "demo", **defaults, "algorithm": name, "init": "random"})
    assert reason.startswith(f"{name} takes V as {form}, and this task gives ")


def excerpt_spectra(n_fft=256, hop=64):
    samples = stems_song(0)["audio"]["samples"].astype(float)
    part = samples[:, round(0.37 * 6000) :][:, : round(0.8 * 6000)]
    return np.moveaxis(librosa.stft(part, n_fft=n_fft, hop_length=hop), 0, -1)


@pytest.mark.parametrize("power", [1, 2])
def test_channels_stand_behind_frames(separation, power):
    given = {"algorithm": "ntf", "power": power, "n_sources": 2}
    found = separation.arrays(STFT, **given)["V"]
    np.testing.assert_allclose(found, np.abs(excerpt_spectra()) ** power, rtol=1e-3, atol=1e-4)
    scores = separation.scores(**given)
    assert np.isfinite(scores["si_sdr"])
    model = separation.unit(**given).value("nmf.factorize")
    assert model.reconstruction().shape == found.shape


def test_a_tensor_of_channels_is_grouped_by_the_true_stems_of_each(separation):
    given = {"algorithm": "ntf", "grouping": "oracle", "rank": 8, "stop": 60}
    blind = separation.scores(baseline="mixture")
    assert separation.scores(**given)["si_sdr"] > blind["si_sdr"] + 3


def test_a_mixture_is_the_complex_spectrum_and_may_bring_groups_and_a_filter(toys, separation):
    given = {"algorithm": "toy_mixture", "rank": 2}
    found = separation.arrays(STFT, **given)
    np.testing.assert_allclose(found["V"], excerpt_spectra(), rtol=1e-3, atol=1e-4)
    nodes = separation.nodes(**given)
    assert "postprocessing.grouping" not in nodes  # the model knows its sources
    read = {name for node in nodes.values() for name in node.params}
    assert not {"grouping", "masking", "power", "n_sources", "kmeans_seed", "beta"} & read
    sound = separation.sound(**given)["samples"]
    mixture = stems_song(0)["audio"]["samples"][:, 2220 : 2220 + 4800]
    np.testing.assert_allclose(sound[0, 0], mixture[0], atol=1e-4)
    np.testing.assert_allclose(sound[1, 1], mixture[1], atol=1e-4)
    assert not sound[0, 1].any()


def test_views_are_spectra_of_several_windows_at_the_same_frames(toys, separation):
    given = {"algorithm": "toy_views", "views": (512, 256), "n_sources": 2}
    found = separation.arrays(STFT, **given)
    for size in (512, 256):
        expected = np.abs(excerpt_spectra(size)).mean(axis=-1)
        np.testing.assert_allclose(found[f"V.{size}"], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            found[f"frequencies.{size}"], np.arange(size // 2 + 1) * 6000 / size
        )
    assert "n_fft" not in separation.nodes(**given)[STFT].params
    for grouping in ("mfcc", "oracle"):  # sound is made with the first view
        assert np.isfinite(separation.scores(**given, grouping=grouping)["si_sdr"])
    other = {**given, "views": (512, 128)}
    assert separation.keys(**given)[STFT] != separation.keys(**other)[STFT]


def test_too_short_a_window_for_the_hop_is_left_out(toys, separation):
    given = separation.parameters(algorithm="toy_views", views=(512, 64))
    assert "hop at most half" in separation.task.skip(given)


def test_transcription_of_views_and_of_channels(toys, transcription):
    given = {"algorithm": "toy_views", "views": (512, 256), "rank": 8, "init": "random"}
    stft = transcription.arrays(STFT, **given, pitch="oracle")
    assert stft["V.512"].shape[1] == stft["V.256"].shape[1] == len(stft["times"])
    for pitch in ("oracle", "harmonic", "autocorrelation"):
        named = transcription.arrays("postprocessing.pitches", **given, pitch=pitch)["pitches"]
        assert len(named) == 8
        assert transcription.scores(**given, pitch=pitch)["reference_notes"] == 4
    given = {"algorithm": "ntf", "rank": 6, "init": "random", "pitch": "oracle"}
    V = transcription.arrays(STFT, **given)["V"]
    matrix = transcription.arrays(STFT)["V"]
    np.testing.assert_allclose(V[..., 0], matrix, rtol=1e-5, atol=1e-6)  # the file has one channel
    assert transcription.scores(**given)["reference_notes"] == 4
    assert len(played(NOTES, 2.2)["audio"]["samples"][0]) == round(2.2 * RATE)


def test_bars_are_the_barwise_matrix_folded(structure):
    matrix = structure.arrays(BARWISE)["V"]
    given = {"algorithm": "ntd", "rank": 3}
    own = {f"ntd.{name}": 4 for name in ALGORITHMS["ntd"].own if name.endswith("_rank")}
    folded = structure.arrays(BARWISE, **given, **own)["V"]
    assert folded.shape == (20, 8, 16)
    for feature in (0, 7, 19):
        for instant in (0, 5):
            np.testing.assert_array_equal(folded[feature, instant], matrix[feature * 8 + instant])
    assert np.isfinite(structure.scores(**given, **own)["F0.5"])


def test_barwise_views_have_a_window_each(toys, structure):
    given = {"algorithm": "toy_views", "views": (512, 256)}
    found = structure.arrays(BARWISE, **given)
    np.testing.assert_array_equal(found["V.256"], structure.arrays(BARWISE)["V"])
    np.testing.assert_array_equal(found["V.512"], structure.arrays(BARWISE, n_fft=512)["V"])
    assert song_of_bars()["audio"]["samples"].shape[0] == 2


def test_a_convolutive_model_is_masked_by_its_components(separation):
    given = {"algorithm": "convolutive", "rank": 6, "grouping": "oracle", "stop": 30}
    scores = separation.scores(**given)
    assert scores["si_sdr"] > separation.scores(baseline="mixture")["si_sdr"]
    unit = separation.unit(**given)
    model, groups = unit.value("nmf.factorize"), unit.get("postprocessing.grouping")["groups"]
    sums = np.stack(
        [sum(model.component(k) for k in np.flatnonzero(groups == g)) for g in range(2)]
    )
    gains = sums**2 / (sums**2).sum(axis=0)
    X = excerpt_spectra()[..., 0]
    expected = librosa.istft(gains[1] * X, n_fft=256, hop_length=64, length=4800)
    np.testing.assert_allclose(separation.sound(**given)["samples"][1, 0], expected, atol=1e-3)
