"""Rows of structure worked out by hand, on a song whose first bar begins at 0.37 s."""

import itertools

import numpy as np
import pytest
from tasks import made
from tasks.conftest import BAR, FIRST, song_of_bars

from nmfab.features import trackers

SEGMENTS, BARS, BARWISE = "postprocessing.segments", "features.bars", "features.barwise"
END = FIRST + 16 * BAR


def bars_of(boundaries):
    """Return boundaries as numbers of bars from the first downbeat; 0 s is −0.74."""
    return np.round((np.asarray(boundaries) - FIRST) / BAR, 2).tolist()


@pytest.fixture
def bench(registered, tmp_path):
    """A function that writes a song, parts of it replaced, and returns its bench."""

    def make(dataset="made", without=(), base=None, **parts):
        song = {n: part for n, part in song_of_bars().items() if n not in without} | parts
        made.write(tmp_path / "data" / dataset, "song", **song)
        small = {"sample_rate": 6000, "n_fft": 256, "subdivision": 8, "stop": 20, "rank": 4}
        band = {"nn_log_mel.fmax": 3000, "nn_log_mel.n_mels": 20}
        given = {**small, **band, "init": "random", "max_size": 12, **(base or {})}
        return made.Bench("structure", tmp_path, dataset, **given)

    return make


def sections(*bars):
    """Return sections between numbers of bars."""
    times = FIRST + BAR * np.array(bars, dtype=float)
    return {
        "intervals": np.column_stack([times[:-1], times[1:]]),
        "labels": np.array(["x"] * (len(bars) - 1)),
    }


def test_regular_segments_begin_with_the_first_bar_and_have_zero_before_it(structure):
    given = {"baseline": "regular"}
    assert bars_of(structure.arrays(SEGMENTS, **given)["boundaries"]) == [-0.74, 0, 8, 16]
    five = structure.arrays(SEGMENTS, **given, **{"regular.bars": 5})["boundaries"]
    assert bars_of(five) == [-0.74, 0, 5, 10, 15, 16]


def test_regular_scores_by_hand(structure):
    """Reference 0, 8, 16 (and 0 s); of 0 s, 0, 5, 10, 15, 16 four lie within 0.5 s of those."""
    scores = structure.scores(baseline="regular", **{"regular.bars": 5})
    # estimated at 0, .37, 2.87, 5.37, 7.87, 8.37 s; annotated at 0, .37, 4.37, 8.37 s
    assert scores["P0.5"] == pytest.approx(3 / 6)
    assert scores["R0.5"] == pytest.approx(3 / 4)
    assert scores["F0.5"] == pytest.approx(0.6)
    assert scores["R3"] == 1  # 2.87 or 5.37 is within 3 s of 4.37
    assert scores["P3"] == pytest.approx(4 / 6)
    assert scores["segments"] == 5
    trimmed = structure.scores(baseline="regular", trim=True, **{"regular.bars": 5})
    # without the first and the last: .37, 2.87, 5.37, 7.87 against .37, 4.37
    assert trimmed["P0.5"] == pytest.approx(1 / 4)
    assert trimmed["R0.5"] == pytest.approx(1 / 2)


def test_oracle_is_the_reference_on_the_bars_with_zero_among_them(bench):
    made_up = bench(sections=sections(0, 3.2, 9.8, 16))
    found = made_up.arrays(SEGMENTS, baseline="oracle")["boundaries"]
    assert bars_of(found) == [-0.74, 0, 3, 10, 16]
    late = bench(sections=sections(-0.7, 3.2, 9.8, 16))
    late.anew()
    found = late.arrays(SEGMENTS, baseline="oracle")["boundaries"]
    assert bars_of(found) == [-0.74, 3, 10, 16]  # 0.02 s is nearer to 0 than to the first bar
    # annotated are 0, .02 and three more; of 0 and .02 the bars have one
    assert late.scores(baseline="oracle")["F0.5"] == pytest.approx(2 * 4 / (4 + 5))


def test_constant_gives_what_the_prior_on_sizes_gives(structure):
    """Of 16 bars that are all alike two segments of eight have no penalty; of 12 at most."""
    given = {"baseline": "constant"}
    assert bars_of(structure.arrays(SEGMENTS, **given)["boundaries"]) == [-0.74, 0, 8, 16]
    # modulo 4: 12 + 4, 4 + 12 and 8 + 8 have no penalty; the longest block correlates most
    free = structure.arrays(SEGMENTS, **given, penalty="modulo4", bands=None)
    blocks = {sizes: sum(p * (p - 1) / p for p in sizes) for sizes in ((8, 8), (4, 12), (12, 4))}
    assert len(set(blocks.values())) == 1  # a tie, by hand: p · (p − 1) / p summed
    assert bars_of(free["boundaries"]) == [-0.74, 0, 4, 16]  # of equals the longer last segment


def test_signal_compares_the_columns_of_v(bench):
    """Two kinds of bars, eight and eight: the row without a factorization finds the change."""
    made_up = bench(base={"baseline": "signal", "max_size": 16, "penalty_weight": 0})
    V = made_up.arrays(BARWISE)["V"].astype(float)
    unit = V / np.linalg.norm(V, axis=0)
    best = {}
    for kind, S in (
        ("cosine", unit.T @ unit),
        ("centered_cosine", _cosine(V - V.mean(axis=1, keepdims=True))),
        ("rbf", _rbf(unit)),
    ):
        found = made_up.arrays(SEGMENTS, similarity=kind)
        edges = np.array(bars_of(found["boundaries"])[1:], dtype=int)
        score = sum(_block(S[a:b, a:b]) for a, b in itertools.pairwise(edges))
        assert score >= _best(S) - 1e-6
        best[kind] = score
    assert len(set(np.round(list(best.values()), 3))) == 3


def _cosine(columns):
    unit = columns / np.linalg.norm(columns, axis=0)
    return unit.T @ unit


def _rbf(unit):
    d = np.linalg.norm(unit[:, :, None] - unit[:, None], axis=0)
    return np.exp(-(d**2) / (2 * d[~np.eye(len(d), dtype=bool)].std()))


def _block(S, bands=7):
    """Return size times the correlation of a block with the kernel of seven bands."""
    i = np.arange(len(S))
    kernel = (np.abs(i[:, None] - i) <= bands) & (i[:, None] != i)
    return (kernel * S).sum() / len(S)


def _best(S):
    """Return the best score of all segmentations, by dynamic programming over ends."""
    best = [0.0]
    for end in range(1, len(S) + 1):
        best.append(max(best[a] + _block(S[a:end, a:end]) for a in range(end)))
    return best[-1]


@pytest.mark.parametrize("scale", ["W", "H", "none"])
def test_activations_are_compared_on_the_scale_asked_for(bench, scale):
    given = {"scale": scale, "max_size": 16, "penalty_weight": 0, "similarity": "cosine"}
    made_up = bench(base=given)
    factors = made_up.arrays("nmf.factorize")
    W, H = factors["W"].astype(float), factors["H"].astype(float)
    scales = {
        "W": np.linalg.norm(W, axis=0),
        "H": 1 / np.linalg.norm(H, axis=1),
        "none": np.ones(4),
    }
    S = _cosine(H * scales[scale][:, None])
    edges = np.array(bars_of(made_up.arrays(SEGMENTS)["boundaries"])[1:], dtype=int)
    score = sum(_block(S[a:b, a:b]) for a, b in itertools.pairwise(edges))
    assert score == pytest.approx(_best(S), rel=1e-6)


def test_matrix_is_that_of_the_resampled_mean_of_the_channels(bench):
    import librosa
    import soxr

    made_up = bench(base={"baseline": "signal", "hop": 30})
    V = made_up.arrays(BARWISE)["V"]
    assert V.shape == (20 * 8, 16)
    samples = song_of_bars()["audio"]["samples"].mean(axis=0)
    samples = soxr.resample(samples, 8000, 6000, "HQ")
    spectrum = np.abs(librosa.stft(samples, n_fft=256, hop_length=30))
    bank = librosa.filters.mel(sr=6000, n_fft=256, n_mels=20, fmin=80, fmax=3000)
    columns = np.log1p(bank @ spectrum**2)
    for bar in (0, 7, 15):
        first, last = (round((FIRST + BAR * (bar + k)) / (30 / 6000)) for k in (0, 1))
        frames = np.rint(first + np.arange(8) * (last - first) / 8).astype(int)
        np.testing.assert_allclose(
            V[:, bar].reshape(20, 8), columns[:, frames], rtol=1e-3, atol=1e-4
        )


def test_bars_are_annotated_where_they_can_be(bench):
    annotated = bench(base={"baseline": "regular"})
    assert bars_of(annotated.arrays(BARS)["times"]) == list(range(17))
    assert annotated.scores()["annotated_bars"] == 1
    assert np.isnan(annotated.scores()["downbeat_F"])


def test_bars_are_estimated_where_there_are_no_beats(bench):
    made_up = bench(without=("beats",), base={"baseline": "regular"})
    assert made_up.arrays(BARS)["source"] == "librosa"
    assert made_up.scores()["annotated_bars"] == 0
    assert np.isnan(made_up.scores()["downbeat_F"])


@pytest.mark.parametrize("name", ["madmom", "beat_this"])
def test_bars_of_a_tracker_are_those_that_it_gives(bench, monkeypatch, name):
    """The tracker hears both channels at the track's own rate, beats or none."""
    song, heard = song_of_bars(), []

    def tracker(samples, sample_rate):
        heard.append((samples.shape, sample_rate))
        return np.array([0.5, 2.0, 8.0])

    node = bench().task.nodes(bench().parameters(bars=name))[0]
    monkeypatch.setitem(trackers.TRACKERS, name, tracker)
    assert node.parts == ("audio",)
    found = node.compute(node.params, audio=song["audio"])
    assert (found["times"].tolist(), found["source"]) == ([0.5, 2.0, 8.0], name)
    assert heard == [(song["audio"]["samples"].shape, 8000)]


def test_estimated_downbeats_are_scored_against_annotated_ones(bench):
    made_up = bench(base={"baseline": "regular", "bars": "librosa"})
    found = made_up.arrays(BARS)["times"][:-1]
    near = np.abs(found[:, None] - (FIRST + BAR * np.arange(16))) <= 0.07
    hits = min(near.any(axis=1).sum(), near.any(axis=0).sum())
    assert made_up.scores()["downbeat_F"] == pytest.approx(2 * hits / (len(found) + 16))


def test_a_last_bar_is_short_by_the_median_of_the_others(bench):
    """Bars of .5 s but for one of 4 s: of the .13 s left a quarter of the median is .125 s."""
    downbeats = np.array([0.37, 0.87, 1.37, 1.87, 2.37, 6.37, 6.87, 7.37, 7.87, 8.24])
    beats = {"times": downbeats, "positions": np.ones(len(downbeats), dtype=int)}
    times = bench(beats=beats).arrays(BARS)["times"]
    np.testing.assert_allclose(times, [*downbeats, END], atol=1e-6)


def test_annotators(bench, structure):
    """Against 1: 0, 8, 16; against 2: 0, 5, 16. Regular segments of eight are the first's."""
    made_up = bench("annotated", base={"baseline": "regular"})
    first, second = (made_up.scores(annotator=number) for number in (1, 2))
    assert first["F0.5"] == 1
    assert second["F0.5"] == pytest.approx(3 / 4)  # three of four, of four
    better = made_up.scores()
    assert better["F0.5"] == 1
    assert better["F0.5_annotator1"] == 1
    assert better["F0.5_annotator2"] == pytest.approx(3 / 4)
    assert np.isnan(first["F0.5_annotator1"])
    lower = made_up.scores(annotator=1, level="lower")
    assert lower["F0.5"] == pytest.approx(2 * 4 / (4 + 6))
    oracle = {n: made_up.arrays(SEGMENTS, baseline="oracle", annotator=n) for n in (1, 2, "better")}
    assert bars_of(oracle[1]["boundaries"]) == [-0.74, 0, 8, 16]
    assert bars_of(oracle[2]["boundaries"]) == [-0.74, 0, 5, 16]
    assert bars_of(oracle["better"]["boundaries"]) == [-0.74, 0, 8, 16]


def test_an_annotator_may_be_missing(bench):
    made_up = bench(
        "annotated", without=("sections.1.upper", "sections.1.lower"), base={"baseline": "regular"}
    )
    scores = made_up.scores()
    assert scores["F0.5"] == scores["F0.5_annotator2"] == pytest.approx(3 / 4)
    assert np.isnan(scores["F0.5_annotator1"])
    oracle = made_up.arrays(SEGMENTS, baseline="oracle")["boundaries"]
    assert bars_of(oracle) == [-0.74, 0, 5, 16]
    tracks = {
        n: made_up.task.tracks(made_up.dataset, made_up.parameters(annotator=n)) for n in (1, 2)
    }
    assert tracks == {1: [], 2: ["song"]}
