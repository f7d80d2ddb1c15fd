import numpy as np
import pytest
from oracles import oracle

from nmfab.postprocessing.notes import Activity
from nmfab.postprocessing.smoothed import centred_average, notes_above_average, smoothed


@pytest.mark.parametrize("window", [0, 1, 3, 20])
def test_the_average_is_over_the_frames_that_there_are(window):
    rows = np.random.default_rng(0).random((3, 9))
    found = centred_average(rows, window)
    for k in range(3):
        for n in range(9):
            near = rows[k, max(0, n - window) : n + window + 1]
            assert found[k, n] == pytest.approx(near.mean(), rel=1e-12)


def test_notes_by_hand():
    """Averages of 3 frames: row 0 1.5, 1, 1, 2, 3, 4 ...; their largest is 6, so θ = 0.3 is 1.8."""
    rows = np.array([[0, 3, 0, 0, 6, 3, 9], [0, 0, 0, 0, 0, 0, 0.0]])
    # averages 1.5, 1, 1, 2, 3, 6, 6: differences −1.5, 2, −1, −2, 3, −3, 3
    onsets, offsets, pitches = notes_above_average(
        rows, [60, 72], step=0.5, threshold=0.3, window=1
    )
    assert onsets.tolist() == [0.5, 2, 3]
    assert offsets.tolist() == [1, 2.5, 3.5]
    assert pitches.tolist() == [60, 60, 60]
    step = smoothed(Activity(rows, np.array([60, 72])), step=0.5, threshold=0.3, window=1)
    assert [each.tolist() for each in step] == [[0.5, 2, 3], [1, 2.5, 3.5], [60, 60, 60]]
    higher = notes_above_average(rows, [60, 72], step=0.5, threshold=0.4, window=1)
    assert higher[0].tolist() == [2, 3]


def test_notes_of_several_pitches_ascend_and_silence_has_none():
    rows = np.zeros((2, 12))
    rows[1, 2:4], rows[0, 6:9] = 1, 1
    onsets, offsets, pitches = notes_above_average(
        rows, [60, 64], step=1.0, threshold=0.1, window=4
    )
    assert onsets.tolist() == [2, 6]
    assert offsets.tolist() == [4, 9]
    assert pitches.tolist() == [64, 60]
    nothing = notes_above_average(0 * rows, [60, 64], step=1.0, threshold=0.1, window=4)
    assert [len(x) for x in nothing] == [0, 0, 0]
    assert [len(x) for x in notes_above_average(np.zeros((0, 5)), [], step=1.0, threshold=0.1,
                                                window=2)] == [0, 0, 0]  # fmt: skip


@pytest.mark.parametrize(("threshold", "window"), [(0.05, 3), (0.05, 10), (0.2, 3)])
def test_notes_of_TransSSCNMF(threshold, window):
    """Away from the borders, where theirs is an average over all notes."""
    o = oracle("semisupervised_TransSSCNMF")
    H, step, n = o["H_it50"], 0.02, o["H_it50"].shape[1]
    onsets, _, pitches = notes_above_average(
        H, o["midi"], step=step, threshold=threshold, window=window
    )
    theirs = o[f"notes_thr{threshold}_win{window}"]

    def inside(times, names):
        frames = np.round(times / step).astype(int)
        kept = (frames > window) & (frames < n - window - 1)
        return sorted(zip(frames[kept].tolist(), names[kept].astype(int).tolist(), strict=True))

    ours = inside(onsets, pitches)
    assert len(ours) > 3
    assert ours == inside(theirs[:, 0], theirs[:, 2])
