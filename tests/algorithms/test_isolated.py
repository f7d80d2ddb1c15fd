"""Kernels learned on isolated notes."""

import numpy as np
import pytest
import torch
from oracles import apart, oracle

from nmfab.algorithms import isolated
from nmfab.algorithms.convolutive import convolutive
from nmfab.algorithms.isolated import (
    kernel_of_notes,
    learn_kernels,
    learn_templates,
    rank_one_template,
)
from nmfab.base.errors import DataError
from nmfab.base.kinds.convolutive import Convolutive
from nmfab.postprocessing.smoothed import notes_above_average

STEP = 0.02


def note(seed, length=5, m=30, n=24, at=6):
    """Return a decaying note, its spectrum changing from frame to frame."""
    rng = np.random.default_rng(seed)
    attack = rng.gamma(0.6, size=(m, 1)) * 0.5 ** np.arange(length)
    sustain = rng.gamma(0.6, size=(m, 1)) * 0.9 ** np.arange(length)
    V = np.zeros((m, n))
    V[:, at : at + length] = attack + sustain
    return V + 1e-4 * rng.random((m, n))


def annotated(V, pitch, first=0, last=None):
    last = V.shape[1] - 1 if last is None else last
    notes = {"onsets": np.array([first * STEP]), "offsets": np.array([last * STEP])}
    return {"V": V, "step": STEP}, notes | {"pitches": np.array([pitch])}


def learned(pairs, **options):
    spectra, notes = zip(*pairs, strict=True)
    return learn_kernels(list(spectra), list(notes), **options)


def test_numbers_of_TransSSCNMF():
    """From their start, which has the note too late."""
    o = oracle("semisupervised_learn_TransSSCNMF")
    V, W, H = (torch.from_numpy(o[name]) for name in ("X", "W0", "H0"))
    mean = V.mean()
    kernel, (H,) = isolated._rank_one([V / mean], W, [H / mean], 1, 100, -1)
    assert apart(kernel, o["W_it100"][:, :, 0]) < 1e-6
    assert apart(H * mean, o["H_it100"]) < 1e-6


@pytest.mark.parametrize("at", [0, 6, 19])
def test_a_note_is_its_own_kernel(at):
    """Also where the loudest frames are the first, or the last."""
    V = note(1, at=at)
    kernel = kernel_of_notes([V], 5)
    expected = V[:, at : at + 5].T / V[:, at : at + 5].sum()
    assert kernel.sum() == pytest.approx(1)
    assert apart(kernel, expected) < 5e-3


def test_the_start_is_the_loudest_stretch():
    V = np.array([[0.0, 1, 5, 4, 1, 7, 0]])
    first, frames = isolated._loudest(V, 2)
    assert first == 2
    assert frames.tolist() == [[5, 4]]
    assert isolated._loudest(V, 3)[0] == 3


def test_several_recordings_of_a_pitch_share_a_kernel():
    first = note(3)
    again = np.roll(2.5 * first, 4, axis=1)
    pairs = [annotated(first, 60), annotated(again, 60), annotated(note(4), 55)]
    found = learned(pairs, length=5)
    assert found["kernels"].shape == (5, 30, 2)
    assert found["kernels"].dtype == np.float32
    assert found["pitches"].tolist() == [55, 60]
    alone = learned(pairs[:1], length=5)["kernels"][:, :, 0]
    assert apart(found["kernels"][:, :, 1], alone) < 0.02
    # neither recording reaches into the other: joined end to end they would
    cut = [annotated(first[:, :11], 60), annotated(first[:, 6:], 60)]
    assert apart(learned(cut, length=5)["kernels"][:, :, 0], alone) < 0.02


@pytest.mark.parametrize("unit", ["euclidean", "sum"])
def test_units(unit):
    kernels = learned([annotated(note(s), 40 + s) for s in range(3)], length=4, unit=unit)[
        "kernels"
    ]
    if unit == "sum":
        np.testing.assert_allclose(kernels.sum(axis=(0, 1)), 1, rtol=1e-5)
    else:
        np.testing.assert_allclose(np.linalg.norm(kernels.sum(axis=0), axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_length_1_is_the_plain_dictionary(beta):
    pairs = [annotated(note(s), 40 + s, 3, 15) for s in range(3)]
    spectra, notes = zip(*pairs, strict=True)
    plain = learn_templates(list(spectra), list(notes), beta=beta)
    found = learned(pairs, length=1, beta=beta)
    np.testing.assert_allclose(found["kernels"][0], plain["W"], rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(found["pitches"], plain["pitches"])


def test_templates_of_one_frame_are_of_all_recordings_of_a_pitch():
    """At β = 1 the sum over all frames, of unit norm."""
    pairs = [annotated(note(1), 60), annotated(note(2), 60), annotated(np.zeros((30, 9)), 60)]
    found = learned(pairs, length=1)["kernels"][0, :, 0]
    expected = note(1).sum(axis=1) + note(2).sum(axis=1)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-4)


@pytest.mark.parametrize(("tolerance", "expected"), [(-1, 38), (1, 10), (1e-3, 20)])
def test_the_loss_is_looked_at_every_ten_iterations(monkeypatch, tolerance, expected):
    """Losses of 100, 50, 49.5, 49 ...: after 20 iterations the last ten lowered it by 0.5."""
    losses, taken = iter([100, 50, 49.5, 49.2]), []
    monkeypatch.setattr(isolated, "_loss", lambda *_: next(losses))
    monkeypatch.setattr(isolated, "update_H", lambda V, W, H, beta: taken.append(1) or H)
    V, W, H = (torch.ones(shape, dtype=float) for shape in ((3, 6), (2, 3, 1), (1, 6)))
    isolated._rank_one([V], W, [H], 1, 38, tolerance)
    assert len(taken) == expected


def test_only_the_frames_of_the_note_are_learned_from():
    V = note(5)
    other = V.copy()
    other[:, 14:] = 9.0
    one, two = (learned([annotated(x, 60, 4, 12)], length=5)["kernels"] for x in (V, other))
    np.testing.assert_array_equal(one, two)


def test_silent_frames_are_taken_out_and_short_notes_go_on_in_silence():
    V = note(6)
    gaps = np.insert(V, [3, 8, 8], 0, axis=1)
    one, two = (learned([annotated(x, 60)], length=5)["kernels"] for x in (V, gaps))
    np.testing.assert_array_equal(one, two)
    short = learned([annotated(V[:, 6:9], 60)], length=5)["kernels"]
    assert short.shape == (5, 30, 1)
    assert not short[3:].any()
    assert np.isfinite(short).all()


def test_what_cannot_be_learned_from():
    with pytest.raises(DataError, match="all silent"):
        learned([annotated(np.zeros((4, 9)), 60)], length=3)
    spectrum, notes = annotated(note(7), 60)
    with pytest.raises(DataError, match="annotated with 2 notes"):
        learned([(spectrum, notes | {"pitches": np.array([60, 61])})], length=3)


@pytest.mark.parametrize("length", [5, 10])
def test_notes_played_from_the_dictionary_are_found(length):
    """12 notes, 200 frames, 10% noise: onsets within 2 frames, F ≥ 0.95."""
    rng = np.random.default_rng(8)
    pairs = [annotated(note(s, length=length, m=60), 60 + s) for s in range(6)]
    kernels = learned(pairs, length=length)["kernels"].astype(float)
    H = np.zeros((6, 200))
    played = [(k % 6, 8 + 15 * k) for k in range(12)]
    for k, frame in played:
        H[k, frame] = 0.5 + rng.random()
    V = Convolutive(kernels, H).reconstruction()
    V = (V * (1 + 0.1 * rng.standard_normal(V.shape))).clip(1e-6)
    V /= V.mean()
    start = Convolutive(kernels, np.full(H.shape, 0.1)).mapped(torch.from_numpy)
    generator = convolutive(torch.from_numpy(V), start, beta=1, fixed=6, length=length)
    for _ in range(60):
        found = next(generator)
    onsets, _, pitches = notes_above_average(
        found.H.numpy(), np.arange(6), step=1.0, threshold=0.3, window=10
    )
    left, right = list(zip(onsets, pitches, strict=True)), 0
    for k, frame in played:
        near = [each for each in left if each[1] == k and abs(each[0] - frame) <= 2]
        if near:
            left.remove(near[0])
            right += 1
    assert 2 * right / (len(onsets) + 12) >= 0.95


@pytest.mark.parametrize("beta", [0, -0.5])
def test_zeros_count_for_nothing_at_and_below_0(beta):
    rng = np.random.default_rng(0)
    w, h = rng.random(12) + 0.1, rng.random(20) + 0.1
    V = np.outer(w, h)
    V[rng.random(V.shape) < 0.2] = 0
    V[3], V[:, 5] = 0, 0
    w[3] = 0
    expected = w / np.linalg.norm(w)  # it models all that sounds without an error
    np.testing.assert_allclose(rank_one_template(V, beta), expected, atol=1e-8)
