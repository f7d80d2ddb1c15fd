"""The task from audio to scores, on a small piece whose notes are known."""

import numpy as np
import pytest

from nmfab.algorithms.isolated import learn_templates, rank_one_template
from nmfab.base.errors import DataError
from nmfab.tasks import TASKS

RATE = 16000
NOTES = np.array(
    # onset, offset, pitch: a repeated note, an octave, a chord, and a note held to the end
    [[0.3, 0.9, 60], [0.9, 1.4, 60], [1.5, 2.1, 48], [2.2, 2.9, 55], [2.2, 2.9, 64],
     [3.0, 4.0, 72], [3.3, 4.0, 67]]
)  # fmt: skip
DURATION = 4.0


def tone(pitch, seconds):
    time = np.arange(round(seconds * RATE)) / RATE
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    partials = [h for h in range(1, 13) if h * f0 < RATE / 2]
    sound = sum(np.sin(2 * np.pi * h * f0 * time) / h for h in partials)
    return (
        sound
        * np.exp(-2 * time)
        * np.clip(time / 0.005, 0, 1)
        * np.clip((seconds - time) / 0.02, 0, 1)
    )


def recording(notes, duration):
    """Return the parts of a track."""
    sound = 1e-4 * np.random.default_rng(0).standard_normal(round(duration * RATE))
    for onset, offset, pitch in notes:
        start = round(onset * RATE)
        played = tone(pitch, offset - onset)
        sound[start : start + len(played)] += 0.1 * played[: len(sound) - start]
    onsets, offsets, pitches = np.array(notes, dtype=float).reshape(-1, 3).T
    return {
        "audio": {"samples": sound[None].astype(np.float32), "sample_rate": RATE},
        "notes": {"onsets": onsets, "offsets": offsets, "pitches": pitches.astype(int)},
    }


@pytest.fixture(scope="module")
def piece():
    return recording(NOTES, DURATION)


@pytest.fixture(scope="module")
def isolated():
    return [recording([(0.1, 1.0, pitch)], 1.2) for pitch in range(45, 76)]


@pytest.fixture(scope="module")
def task():
    return TASKS["transcription"]()


def parameters(task, **given):
    defaults = {name: param.default for name, param in task.params.items()}
    return {**defaults, "stop": 30, **given}


def run(task, piece, fit=(), **given):
    """Compute the nodes in order; return the arrays of each by its short name."""
    arrays, values, nodes = {}, {}, task.nodes(parameters(task, **given))
    for node in nodes:
        if node.fit is None:
            read = {part: piece[part] for part in node.parts}
            read |= {name: values[name] for name in (i.partition(".")[2] for i in node.inputs)}
        else:
            params = dict(nodes[0].params)
            read = {
                "stft": [nodes[0].compute(params, audio=track["audio"]) for track in fit],
                "notes": [track["notes"] for track in fit],
            }
        found = node.compute(dict(node.params), **read)
        node.check_returned(found)
        arrays[node.short_name] = found
        values[node.short_name] = found if node.decode is None else node.decode(found)
    return arrays


@pytest.mark.parametrize("beta", [1, 2])
def test_notes_of_an_easy_piece_are_found(task, piece, beta):
    scores = run(task, piece, beta=beta, threshold=0.3, stop=100)["transcription"]
    assert scores["F"] > 0.6
    assert abs(scores["onset_deviation"]) < 0.025  # a hop is 20 ms
    assert scores["recall_ceiling"] == 1
    assert set(scores) == set(task.metrics)


def test_a_dictionary_of_the_same_piano_finds_all(task, piece, isolated):
    arrays = run(task, piece, isolated, dictionary="isolated", threshold=0.1)
    scores = arrays["transcription"]
    assert scores["F"] == 1
    assert scores["frame_F"] > 0.8
    assert arrays["dictionary"]["pitches"].tolist() == list(range(45, 76))
    held = arrays["factorize"]["W"] / np.linalg.norm(arrays["factorize"]["W"], axis=0)
    np.testing.assert_allclose(held, arrays["dictionary"]["W"], atol=1e-5)


def test_a_note_held_to_the_end_and_a_repeated_one_are_found(task, piece, isolated):
    arrays = run(task, piece, isolated, dictionary="isolated", threshold=0.1)
    notes = arrays["estimate"]
    assert notes["offsets"][notes["pitches"] == 67] == pytest.approx(DURATION, abs=0.03)
    assert notes["onsets"][notes["pitches"] == 60] == pytest.approx([0.3, 0.9], abs=0.05)


def test_a_dictionary_without_a_pitch_caps_recall(task, piece, isolated):
    arrays = run(task, piece, isolated[:15], dictionary="isolated")  # 45 to 59
    assert arrays["transcription"]["recall_ceiling"] == pytest.approx(2 / 7)
    assert arrays["transcription"]["recall"] <= 2 / 7


@pytest.mark.parametrize("pitch", ["autocorrelation", "harmonic", "oracle"])
def test_templates_that_start_anywhere_are_named(task, piece, pitch):
    arrays = run(task, piece, init="nndsvda", rank=6, pitch=pitch, stop=200, threshold=0.15)
    assert len(set(arrays["pitches"]["pitches"]) & set(NOTES[:, 2].astype(int))) >= 3
    assert arrays["transcription"]["F"] > 0.5


def test_oracle_and_baseline_rows_are_marked(task):
    kinds = [
        ({}, ""),
        ({"baseline": "salience"}, "baseline"),
        ({"pitch": "oracle"}, "oracle"),
        ({"dictionary": "isolated"}, ""),
        ({"dictionary": "isolated", "pitch": "oracle"}, ""),  # its templates have their names
    ]
    for given, kind in kinds:
        assert task.kind(parameters(task, **given)) == kind


def test_salience_is_the_product_of_harmonic_templates_and_spectrogram(task, piece):
    arrays = run(task, piece, baseline="salience", threshold=0.3)
    W, H, V = arrays["baseline"]["W"], arrays["baseline"]["H"], arrays["stft"]["V"]
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(H, W.T @ V, rtol=1e-5)
    assert "factorize" not in arrays
    assert 0 < arrays["transcription"]["F"] < 0.9


def test_spectrogram_is_that_of_librosa(task, piece):
    import librosa

    given = {"window": 1500, "n_fft": 2048, "hop": 320, "power": 2}
    stft = run(task, piece, baseline="salience", **given)["stft"]
    expected = librosa.stft(
        piece["audio"]["samples"][0], n_fft=2048, hop_length=320, win_length=1500
    )
    np.testing.assert_allclose(stft["V"], np.abs(expected) ** 2, rtol=1e-5, atol=1e-4)
    assert stft["step"] == 320 / RATE
    assert stft["frequencies"][1] == RATE / 2048
    assert stft["duration"] == DURATION


def test_the_excerpt_bounds_sound_and_reference(task, piece):
    arrays = run(task, piece, excerpt=2.5, baseline="salience")
    assert arrays["stft"]["duration"] == 2.5
    assert arrays["transcription"]["reference_notes"] == 5
    assert run(task, piece, excerpt=None, baseline="salience")["stft"]["duration"] == DURATION


def test_resampling_keeps_time_and_pitch(task, piece, isolated):
    scores = run(
        task, piece, isolated, dictionary="isolated", sample_rate=22050, hop=441, threshold=0.1
    )["transcription"]
    assert scores["F"] > 0.9
    assert abs(scores["onset_deviation"]) < 0.02


def test_silence_and_a_piece_without_notes_have_scores(task, piece):
    silent = {**piece, "audio": {"samples": np.zeros((1, RATE), "f"), "sample_rate": RATE}}
    scores = run(task, silent)["transcription"]
    assert scores["F"] == scores["notes"] == 0
    empty = {"onsets": np.zeros(0), "offsets": np.zeros(0), "pitches": np.zeros(0, dtype=int)}
    scores = run(task, {**piece, "notes": empty}, pitch="oracle")["transcription"]
    assert scores["F"] == scores["reference_notes"] == 0


def test_what_does_not_fit_is_left_out_with_its_reason(task):
    assert task.skip(parameters(task)) is None
    assert "harmonic" in task.skip(parameters(task, init="random"))
    assert task.skip(parameters(task, init="random", pitch="oracle")) is None
    assert task.skip(parameters(task, init="random", baseline="salience")) is None
    assert "rank" in task.skip(parameters(task, rank=10))
    assert "beta" in task.skip(parameters(task, algorithm="nnfac_hals", beta=1))


def test_estimated_notes_can_be_heard(task, piece, isolated):
    arrays = run(task, piece, isolated, dictionary="isolated")
    node = task.sound_node(parameters(task, dictionary="isolated"))
    sound = node.compute({}, estimate=arrays["estimate"])
    samples, rate = sound["samples"][0, 0], sound["sample_rate"]
    assert len(samples) == DURATION * rate
    spectrum = np.abs(np.fft.rfft(samples[round(1.6 * rate) : round(2.0 * rate)]))
    assert spectrum.argmax() / 0.4 == pytest.approx(130.8, abs=3)  # the octave below, alone there


def test_one_threshold_serves_both_powers(task, piece, isolated):
    """Activations are compared as magnitudes: power 2 asks for no threshold of its own."""
    given = {"dictionary": "isolated", "threshold": 0.15, "stop": 100}
    counts = [
        run(task, piece, isolated, power=power, **given)["transcription"]["notes"]
        for power in (1, 2)
    ]
    assert max(counts) <= 1.5 * min(counts)


def reads(task, name, **given):
    """Return the parameters that a node and all before it read."""
    nodes = {node.name: node for node in task.nodes(parameters(task, **given))}

    def visit(node):
        return set(node.params).union(*(visit(nodes[source]) for source in node.inputs))

    return visit(nodes[name])


def test_changing_a_threshold_renews_no_factorization(task):
    after = {"threshold", "thresholding", "average", "gap", "shortest", "onset_tolerance", "pitch"}
    assert not after & reads(task, "nmf.factorize")
    assert after <= reads(task, "metrics.transcription")
    spectrum = {"sample_rate", "n_fft", "hop", "window", "power", "excerpt"}
    assert spectrum <= reads(task, "nmf.factorize")


def test_rows_read_what_they_use_and_no_more(task):
    salience = reads(task, "metrics.transcription", baseline="salience")
    assert not {"rank", "beta", "seed", "init", "algorithm", "pitch"} & salience
    learned = reads(task, "metrics.transcription", dictionary="isolated")
    assert not {"rank", "seed", "init", "pitch"} & learned
    assert {"dictionary", "beta", "algorithm"} <= learned


def test_a_look_at_the_reference_is_marked_and_renews_no_factorization(task):
    oracle = {"thresholding": "oracle"}
    for given in ({}, {"dictionary": "isolated"}, {"baseline": "salience"}):
        assert task.kind(parameters(task, **oracle, **given)) == "oracle"
    assert "threshold" not in reads(task, "metrics.transcription", **oracle)
    nodes = {node.name: node for node in task.nodes(parameters(task, **oracle))}
    assert "notes" in nodes["postprocessing.estimate"].parts
    assert "notes" not in nodes["nmf.factorize"].parts


@pytest.mark.parametrize("pitch", ["harmonic", "oracle"])
def test_thresholds_of_the_oracle_are_at_least_as_good_as_one_for_all(task, piece, isolated, pitch):
    given = {"pitch": pitch, "stop": 30}
    blind, best = (
        run(task, piece, isolated, thresholding=name, **given)["transcription"]["F"]
        for name in ("fixed", "oracle")
    )
    assert best >= blind > 0


@pytest.mark.parametrize("beta", [2, 1.5, 1, 0.5, 0])
def test_rank_one_template_of_a_rank_one_matrix(beta):
    rng = np.random.default_rng(0)
    w, h = rng.random(30) + 0.01, rng.random(12) + 0.01
    found = rank_one_template(np.outer(w, h), beta)
    np.testing.assert_allclose(found, w / np.linalg.norm(w), rtol=1e-6)


def test_rank_one_template_for_beta_2_is_the_leading_singular_vector():
    V = np.random.default_rng(1).random((20, 15))
    left = np.linalg.svd(V)[0][:, 0]
    np.testing.assert_allclose(rank_one_template(V, 2), np.abs(left), rtol=1e-6)


@pytest.mark.parametrize("beta", [2, 1, 0, 0.5])
def test_rank_one_template_is_stationary(beta):
    """The gradient of the β-divergence vanishes: no scikit-learn, no code under test."""
    V = np.random.default_rng(2).random((20, 15)) + 0.05
    w = rank_one_template(V, beta)
    h = (w ** (beta - 1) @ V) / (w**beta).sum()
    model = np.outer(w, h)
    gradient = (model ** (beta - 2) * (model - V)) @ h
    scale = (model ** (beta - 2) * V) @ h
    assert np.abs(gradient / scale).max() < 1e-6


def test_templates_are_learned_per_pitch_between_onset_and_offset():
    V = np.zeros((3, 10))
    V[0, 2:5], V[1, 6:] = 2.0, 9.0  # the note, and what comes after it
    spectra = [{"V": V, "step": 0.1}, {"V": V, "step": 0.1}, {"V": V[:, :2], "step": 0.1}]
    note = {"onsets": np.array([0.2]), "offsets": np.array([0.4]), "pitches": np.array([60])}
    lower = {**note, "pitches": np.array([40])}
    silent = {**note, "onsets": np.array([0.0]), "offsets": np.array([0.1])}
    learned = learn_templates(spectra, [note, lower, {**silent, "pitches": [50]}], beta=1)
    assert learned["pitches"].tolist() == [40, 60]
    np.testing.assert_allclose(learned["W"], [[1, 1], [0, 0], [0, 0]], atol=1e-6)
    with pytest.raises(DataError, match="all silent"):
        learn_templates(spectra[2:], [silent], beta=1)
    two = {name: np.repeat(value, 2) for name, value in note.items()}
    with pytest.raises(DataError, match="annotated with 2 notes"):
        learn_templates(spectra[:1], [two], beta=1)
