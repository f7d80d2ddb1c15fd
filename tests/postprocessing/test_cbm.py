"""Block matching against as_seg, against every segmentation of a short song, and by hand."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.postprocessing.cbm import PENALTIES, block_correlations, modulo4, modulo8, segment_bars


@pytest.fixture(scope="module")
def compute_cbm():
    """as_seg's own: pip install as_seg base_audio ipython."""
    return pytest.importorskip("as_seg.CBM_algorithm").compute_cbm


def _random(n, seed=0):
    return np.random.default_rng(seed).random((n, n))


def _blocks(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return (labels[:, None] == labels).astype(float)


def _slow_gains(similarity, max_size, bands, penalty, weight):
    """Scores of all segments, kernel by kernel, from the definition."""
    n = len(similarity)

    def correlation(start, size):
        i, j = np.indices((size, size))
        kernel = (i != j) & (np.abs(i - j) <= (size if bands is None else bands))
        return (similarity[start : start + size, start : start + size] * kernel).sum() / size**2

    factor = max([0.0, *(correlation(start, 8) for start in range(n - 8))])
    return {
        (start, start + size): size * correlation(start, size) - weight * factor * penalty(size)
        for size in range(1, max_size + 1)
        for start in range(n - size + 1)
    }


@pytest.mark.parametrize("bands", [None, 1, 3, 7, 15])
@pytest.mark.parametrize("penalty", ["modulo8", "modulo4"])
@pytest.mark.parametrize("weight", [0, 0.3, 1])
def test_score_and_segments_equal_as_seg(compute_cbm, bands, penalty, weight):
    matrices = [_random(n, n) for n in (1, 2, 7, 8, 9, 16, 40)]
    matrices += [_random(33) - 0.5]  # similarities below zero
    matrices += [_blocks(sizes) for sizes in ([8, 8, 4, 8], [3, 5, 9, 1, 12], [40])]
    for similarity in matrices:
        for max_size in (8, 32):  # as_seg needs the kernel of 8 bars
            segments, expected = compute_cbm(
                similarity,
                max_size=max_size,
                penalty_weight=weight,
                penalty_func=penalty,
                bands_number=bands,
            )
            boundaries, score = segment_bars(
                similarity, bands=bands, penalty=penalty, penalty_weight=weight, max_size=max_size
            )
            assert score == pytest.approx(expected, rel=1e-10, abs=1e-10)
            theirs = [int(start) for start, _ in segments] + [len(similarity)]
            if list(boundaries) != theirs:  # only where both are equally good
                gains = _slow_gains(similarity, max_size, bands, PENALTIES[penalty], weight)
                worth = [sum(gains[pair] for pair in pairwise(b)) for b in (boundaries, theirs)]
                assert worth[0] == pytest.approx(worth[1], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("bands", [None, 2])
def test_the_best_of_all_segmentations_is_found(bands):
    n = 11
    similarity = _random(n, 3)
    gains = _slow_gains(similarity, 6, bands, modulo8, 0.5)
    paths = ((0, *inner, n) for count in range(n) for inner in combinations(range(1, n), count))
    scores = {
        path: sum(gains[pair] for pair in pairwise(path))
        for path in paths
        if all(pair in gains for pair in pairwise(path))
    }
    best = max(scores, key=scores.get)
    boundaries, score = segment_bars(similarity, bands=bands, penalty_weight=0.5, max_size=6)
    assert tuple(boundaries) == best
    assert score == pytest.approx(scores[best], rel=1e-12)


@pytest.mark.parametrize("bands", [None, 1, 4])
def test_correlations_equal_their_definition(bands):
    similarity = _random(13, 5)
    correlations = block_correlations(similarity, 9, bands)
    gains = _slow_gains(similarity, 9, bands, lambda size: 0, 0)
    for (start, end), gain in gains.items():
        assert correlations[end - start, start] == pytest.approx(gain / (end - start), abs=1e-12)
    assert np.isnan(correlations[9, 5:]).all()


def test_penalties_by_hand():
    assert [modulo8(size) for size in (1, 2, 4, 6, 7, 8, 9, 12, 16)] == [
        1, 0.5, 0.25, 0.5, 1, 0, 1, 0.25, 0.25,
    ]  # fmt: skip
    assert [modulo4(size) for size in (1, 2, 4, 6, 7, 8, 12)] == [1, 0.5, 0, 0.5, 1, 0, 0]


def test_two_blocks_by_hand():
    # blocks of 2 with the full kernel: each is worth 2 · (2 / 4) = 1, all four bars 4 · (4 / 16)
    # = 1, one bar 0; below nine bars there is no penalty
    boundaries, score = segment_bars(_blocks([2, 2]), bands=None)
    assert score == 2
    np.testing.assert_array_equal(boundaries, [0, 2, 4])


def test_the_window_that_ends_with_the_song_does_not_count():
    similarity = np.zeros((9, 9))
    similarity[1:, 1:] = 1  # the second window of 8 alone is similar throughout
    correlations = block_correlations(similarity, 8)
    assert correlations[8, 0] < correlations[8, 1]
    factor = correlations[8, 0]
    _, with_penalty = segment_bars(similarity, bands=None, max_size=1)
    _, without = segment_bars(similarity, bands=None, max_size=1, penalty_weight=0)
    assert without - with_penalty == pytest.approx(9 * factor)  # nine segments, penalty 1 each


def test_there_is_no_penalty_below_nine_bars():
    for n in range(1, 9):
        similarity = _random(n, n)
        _, free = segment_bars(similarity, penalty_weight=0)
        _, costly = segment_bars(similarity, penalty_weight=100)
        assert free == costly


def test_equal_bars_are_one_segment_as_long_as_allowed():
    boundaries, _ = segment_bars(np.ones((8, 8)), bands=None)
    np.testing.assert_array_equal(boundaries, [0, 8])
    boundaries, _ = segment_bars(np.ones((16, 16)), bands=7)
    np.testing.assert_array_equal(boundaries, [0, 8, 16])


def test_one_bar_is_one_segment():
    boundaries, score = segment_bars(np.ones((1, 1)))
    np.testing.assert_array_equal(boundaries, [0, 1])
    assert score == 0


def test_transposing_changes_nothing():
    similarity = _random(20, 7)
    boundaries, score = segment_bars(similarity)
    mirrored, same = segment_bars(similarity.T)
    np.testing.assert_array_equal(boundaries, mirrored)
    assert same == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"penalty": "modulo16"}, "unknown penalty 'modulo16'"),
        ({"bands": 0}, "bands 0"),
        ({"max_size": 0}, "max_size 0"),
    ],
)
def test_parameters_without_meaning_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        segment_bars(np.ones((4, 4)), **arguments)


@pytest.mark.parametrize("similarity", [np.ones((2, 3)), np.ones((0, 0)), np.full((2, 2), np.nan)])
def test_matrices_without_meaning_are_refused(similarity):
    with pytest.raises(UsageError):
        segment_bars(similarity)
