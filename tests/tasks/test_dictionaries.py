"""Templates of isolated notes: of which notes, and by what divergence."""

import numpy as np
import pytest
from tasks import made
from tasks.conftest import NOTES, played

from nmfab.algorithms.frame import factorize
from nmfab.base.errors import UsageError
from nmfab.base.kinds.convolutive import Convolutive
from nmfab.metrics.transcription import evaluate
from nmfab.postprocessing.notes import merge_pitches
from nmfab.postprocessing.smoothed import smoothed
from nmfab.run.kept import NodeFailure
from nmfab.tasks import transcription

LEARNED, NMF, ESTIMATE = "nmf.dictionary", "nmf.factorize", "postprocessing.estimate"
SMALL = {"sample_rate": 8000, "window": 800, "n_fft": 1024, "hop": 80, "excerpt": 1.5, "stop": 20}


@pytest.fixture
def bench(registered, tmp_path):
    """A function that returns a bench on tracks of one dataset, isolated notes on two."""

    def make(dataset="made", tracks=("song",), **base):
        for track in tracks:
            made.write(tmp_path / "data" / dataset, track, **played(NOTES, 2.2))
        for place, pitches in ((dataset, (60, 61, 67, 72)), ("subsets", (62, 64))):
            for pitch in pitches:
                note = played([(0.1, 0.5, pitch)], 0.7)
                made.write(tmp_path / "data" / place, f"isolated/piano_{pitch:03}", **note)
        return made.Bench("transcription", tmp_path, dataset, **{**SMALL, **base})

    return make


def test_a_dictionary_of_another_dataset(bench):
    made_up = bench()
    for name in ("subsets:isolated", "subsets:isolated:piano"):
        learned = made_up.arrays(LEARNED, dictionary=name)
        assert learned["pitches"].tolist() == [62, 64]
    own = made_up.arrays(LEARNED, dictionary="isolated")
    assert own["pitches"].tolist() == [60, 61, 67, 72]
    keys = [made_up.keys(dictionary=name) for name in ("isolated", "subsets:isolated")]
    assert keys[0][LEARNED] != keys[1][LEARNED]
    assert keys[0][NMF] != keys[1][NMF]
    assert made_up.scores(dictionary="subsets:isolated")["recall_ceiling"] == 0


def test_what_cannot_be_learned_elsewhere_is_left_out(bench):
    made_up = bench()
    skip = made_up.task.skip
    assert skip(made_up.parameters(dictionary="subsets:isolated")) is None
    reason = skip(made_up.parameters(dictionary="subsets:isolated", sample_rate=None))
    assert "needs a sample_rate" in reason
    with pytest.raises(UsageError, match="unknown dataset 'subset'"):
        skip(made_up.parameters(dictionary="subset:isolated"))


def test_a_tracks_fold_is_left_out(bench):
    """60 and 72 are even, 61 and 67 odd: a track learns from those of the other fold."""
    made_up = bench("folds", tracks=("song 0", "song 1", "song 2"))
    given = {"dictionary": "isolated"}
    learned = {t: made_up.arrays(LEARNED, t, **given) for t in ("song 0", "song 1", "song 2")}
    assert learned["song 0"]["pitches"].tolist() == [61, 67]
    assert learned["song 1"]["pitches"].tolist() == [60, 72]
    keys = [made_up.keys(track, **given)[LEARNED] for track in ("song 0", "song 1", "song 2")]
    assert keys[0] == keys[2] != keys[1]  # one artifact per fold, not per track
    elsewhere = {"dictionary": "made:isolated"}
    bench("made")
    assert len(made_up.arrays(LEARNED, "song 0", **elsewhere)["pitches"]) == 4


@pytest.mark.parametrize("length", [1, 4])
def test_templates_of_several_frames_are_learned_and_held(bench, length):
    given = {"algorithm": "convolutive", "convolutive.length": length, "dictionary": "isolated"}
    made_up = bench(threshold=0.2, **given)
    learned = made_up.arrays(LEARNED)
    assert learned["W"].shape == (length, 513, 4)
    assert learned["pitches"].tolist() == [60, 61, 67, 72]
    model = made_up.unit().value(NMF)
    held = model.kernels / model.kernels.sum()
    np.testing.assert_allclose(held, learned["W"] / learned["W"].sum(), rtol=1e-4, atol=1e-9)
    found = made_up.arrays(ESTIMATE)
    assert set(found["pitches"]) == {60, 67, 72}
    assert made_up.scores()["F"] == 1
    other = made_up.keys(**{"convolutive.length": length + 1})
    assert other[LEARNED] != made_up.keys()[LEARNED]


@pytest.mark.parametrize("beta", [0, 1, 2])
def test_one_frame_is_the_plain_dictionary(bench, beta):
    """The same templates bit by bit, and the same activations by updates written otherwise."""
    made_up = bench(dictionary="isolated", beta=beta, dtype="float64", stop=60)
    given = {"algorithm": "convolutive", "convolutive.length": 1}
    plain, one = made_up.arrays(LEARNED), made_up.arrays(LEARNED, **given)
    np.testing.assert_array_equal(one["W"][0], plain["W"])
    expected, found = made_up.arrays(NMF)["H"], made_up.arrays(NMF, **given)["H"]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * expected.max())


@pytest.mark.parametrize("length", [5, 10])
def test_notes_resynthesised_from_the_dictionary_come_back(bench, length):
    """12 notes of 4 pitches, some together, 200 frames, 10% noise: F ≥ 0.95 within 2 frames."""
    given = {"algorithm": "convolutive", "convolutive.length": length, "dictionary": "isolated"}
    learned = bench().arrays(LEARNED, **given)
    rng = np.random.default_rng(length)
    H, played_notes = np.zeros((4, 200)), []
    for k in range(12):
        frame = 10 + 30 * (k // 2) + 3 * (k % 2)
        pitch = (k + k // 4) % 4
        H[pitch, frame] = 0.5 + rng.random()
        played_notes.append((frame, learned["pitches"][pitch]))
    V = Convolutive(learned["W"].astype(float), H).reconstruction()
    V = V * (1 + 0.1 * rng.standard_normal(V.shape)).clip(0)
    read = {"algorithm": "convolutive", "beta": 1, "stop": 60, "convolutive.length": length}
    model = factorize(read | {"dtype": "float64"}, V, fixed=learned["W"])
    activity = merge_pitches(model, pitches=learned["pitches"], power=1)
    onsets, offsets, pitches = smoothed(activity, step=0.02, threshold=0.1)
    begins, names = np.array(played_notes).T
    reference = np.column_stack([begins, begins + 5]) * 0.02
    estimate = np.column_stack([onsets, offsets])
    scores = evaluate(
        reference, names, estimate, pitches, duration=4, available_pitches=learned["pitches"],
        onset_tolerance=0.0401, pitch_unit="hz",
    )  # fmt: skip
    assert scores["F"] >= 0.95


def test_the_instrument_that_plays(bench, tmp_path):
    """Notes of the track's own instrument, one artifact for each."""
    made_up = bench("instruments", tracks=("piano song", "flute song", "piano again", "unknown"))
    for pitch in (61, 64):
        note = played([(0.1, 0.5, pitch)], 0.7, "flute")
        made.write(tmp_path / "data" / "instruments", f"isolated/flute_{pitch:03}", **note)
    loud = played([(0.1, 0.5, 62)], 0.7)
    made.write(tmp_path / "data" / "instruments", "isolated/piano:M_062", **loud)
    assert made_up.arrays(LEARNED, "piano song", dictionary="own:M")["pitches"].tolist() == [62]
    own = {"dictionary": "own"}
    learned = [made_up.arrays(LEARNED, track, **own) for track in ("piano song", "flute song")]
    assert [each["pitches"].tolist() for each in learned] == [[60, 61, 67, 72], [61, 64]]
    keys = [made_up.keys(track, **own)[LEARNED] for track in ("piano song", "piano again")]
    assert keys[0] == keys[1] != made_up.keys("flute song", **own)[LEARNED]
    with pytest.raises(NodeFailure, match="unknown: it is not told which instrument plays"):
        made_up.arrays(LEARNED, "unknown", **own)


@pytest.mark.parametrize(
    ("dictionary", "expected"),
    [
        ("isolated", (None, "isolated")), ("piano", (None, "isolated:piano")),
        ("own", (None, "isolated:own")), ("own:M", (None, "isolated:own:M")),
        ("maps:isolated", ("maps", "isolated")), ("maps:isolated:own", ("maps", "isolated:own")),
        ("maps:isolated:ENSTDkCl:M", ("maps", "isolated:ENSTDkCl:M")),
    ],
)  # fmt: skip
def test_names_of_dictionaries(dictionary, expected):
    assert transcription._source(dictionary) == expected


def test_a_window_is_a_number_of_frames(bench):
    made_up = bench(thresholding="smoothed", dictionary="isolated")
    for window in (0, -1, 2.5, True):
        reason = made_up.task.skip(made_up.parameters(**{"smoothed.window": window}))
        assert f"1 or more, not {window!r}" in reason
    assert made_up.task.skip(made_up.parameters(**{"smoothed.window": 1})) is None
    keys = [made_up.keys(**{"smoothed.window": window}) for window in (10, 11)]
    assert keys[0] == made_up.keys()
    assert keys[0][ESTIMATE] != keys[1][ESTIMATE]
    assert keys[0][NMF] == keys[1][NMF]


def test_units_of_templates_are_two(bench):
    made_up = bench(dictionary="isolated")
    reason = made_up.task.skip(made_up.parameters(**{"merged.unit": "max"}))
    assert reason == "merged.unit is euclidean or sum, not 'max'"
    assert made_up.task.skip(made_up.parameters(**{"merged.unit": "sum"})) is None
