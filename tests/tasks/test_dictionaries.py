"""Templates of isolated notes: of which notes, and by what divergence."""

import numpy as np
import pytest
from tasks import made
from tasks.conftest import NOTES, played

from nmfab.base.errors import UsageError

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


def test_one_frame_is_the_plain_dictionary(bench):
    made_up = bench(dictionary="isolated")
    plain = made_up.arrays(LEARNED)
    one = made_up.arrays(LEARNED, algorithm="convolutive", **{"convolutive.length": 1})
    np.testing.assert_allclose(one["W"][0], plain["W"], rtol=1e-3, atol=1e-5)
