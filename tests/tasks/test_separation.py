"""The separation task: what a change renews, every row and every option, on a small dataset."""

import numpy as np
import pytest
from scipy.io import wavfile

from nmfab.base.errors import DataError
from nmfab.datasets.musdb18 import STEMS
from nmfab.experiment import Experiment
from nmfab.metrics.separation import si_sdr
from nmfab.run.graph import Graph
from nmfab.tasks import separation_nodes
from nmfab.tasks.separation import Separation

RATE = 8000
SMALL = {"n_fft": 512, "hop": 128, "rank": 6, "stop": 20, "init": "random", "n_sources": 4}
BASELINES = ["mixture", "silence", "hpss", "ibm1", "ibm2", "irm1", "irm2", "dictionary"]


def parameters(**given):
    defaults = {name: param.default for name, param in Separation.params.items()}
    return {"dataset": "musdb18hq", **defaults, **SMALL, **given}


def write(folder, silent=()):
    """Write clicks, a low tone, a band of noise and a gliding tone as the four stems."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    clicks = np.exp(-40 * (time % 0.25)) * rng.standard_normal(len(time))
    low = np.sin(2 * np.pi * 80 * time) * (time % 1 < 0.7)
    high = np.sin(2 * np.pi * (1500 * time)) * (time % 0.6 < 0.3)
    glide = np.sin(2 * np.pi * (400 * time + 150 * time**2)) * (time > 0.4)
    pans = [(0.5, 0.5), (0.5, 0.5), (0.8, 0.2), (0.3, 0.7)]
    stems = np.stack(
        [np.outer(pan, s) for pan, s in zip(pans, (clicks, low, high, glide), strict=True)]
    )
    stems[[STEMS.index(name) for name in silent]] = 0
    pcm = np.round(6000 * stems).astype(np.int16)
    for name, sound in zip(STEMS, pcm, strict=True):
        wavfile.write(folder / f"{name}.wav", RATE, sound.T)
    wavfile.write(folder / "mixture.wav", RATE, pcm.sum(axis=0, dtype=np.int16).T)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.delenv("NMFAB_DATA", raising=False)
    write(tmp_path / "data" / "musdb18hq" / "test" / "Four")

    def make(**factors):
        made = Experiment(
            "mss",
            task="separation",
            fixed=SMALL,
            cache=tmp_path / "cache",
            data=[tmp_path / "data"],
        )
        made.add_plan("plan", dataset=["musdb18hq"], **factors)
        return made

    return make


def scores(made):
    """Compute, and return the scores of every setting in order."""
    report = made.compute()
    assert not report.failures
    assert all("is silent throughout" in warning for warning in report.warnings)
    found = made.results().rows
    assert not made.results().missing
    return report, [row[3] for row in found]


def test_every_baseline(experiment):
    _, rows = scores(experiment(baseline=BASELINES, seed=[0]))
    found = dict(zip([s["baseline"] for s in settings(experiment)], rows, strict=True))
    assert found["mixture"]["si_sdr_gain"] == pytest.approx(0, abs=1e-6)
    assert found["silence"]["sdr"] == pytest.approx(0, abs=1e-9)
    assert found["hpss"]["missing_estimates"] == 2
    for name in ("ibm1", "ibm2", "irm1", "irm2", "dictionary"):
        assert found[name]["si_sdr"] > found["mixture"]["si_sdr"] + 5
        assert found[name]["missing_estimates"] == 0
    for row in rows:
        assert set(row) == set(Separation.metrics)


def settings(experiment):
    return [s.parameters for s in experiment(baseline=BASELINES, seed=[0]).select()]


def test_oracle_grouping_beats_the_mixture_and_blind_does_not_beat_it(experiment):
    _, (blind, oracle) = scores(experiment(grouping=["mfcc", "oracle"], rank=[8], stop=[100]))
    assert oracle["si_sdr"] > blind["si_sdr"] - 1e-9
    assert oracle["si_sdr_gain"] > 3


def test_a_rerun_computes_nothing_and_a_mask_no_factorization(experiment):
    report, _ = scores(experiment(masking=["wiener2"], grouping=["mfcc", "oracle"]))
    assert report.tally.computed["nmf.factorize"] == 1
    again, _ = scores(experiment(masking=["wiener2"], grouping=["mfcc", "oracle"]))
    assert (again.computed, again.reused) == (0, 2)
    assert not again.tally.computed
    masks = ["wiener1", "wiener2", "direct"]
    more, rows = scores(experiment(masking=masks, grouping=["mfcc"]))
    assert set(more.tally.computed) == {"metrics.separation"}
    assert len({row["si_sdr"] for row in rows}) == 3


@pytest.mark.parametrize("power", [1, 2])
def test_channels_with_factors_of_their_own(experiment, power):
    made = experiment(factors=["per_channel"], grouping=["mfcc", "oracle"], power=[power])
    report, rows = scores(made)
    assert report.tally.computed["nmf.factorize"] == 1
    assert report.tally.computed["nmf.factorize_right"] == 1
    assert np.isfinite([row["si_sdr"] for row in rows]).all()
    left, right = (made.load(name, None) for name in ("nmf.factorize", "nmf.factorize_right"))
    assert not np.allclose(left.W, right.W)


def test_excerpt_and_mono_are_part_of_the_setting(experiment):
    made = experiment(mono=[False, True], duration=[None, 1], baseline=["irm1"])
    report, rows = scores(made)
    assert report.computed == 4
    assert len({row["si_sdr"] for row in rows}) == 4


def test_an_excerpt_behind_the_end_is_refused(experiment):
    report = experiment(start=[5], baseline=["mixture"]).compute()
    assert "the track lasts 2.00 s" in report.failures[0][3]


def test_silent_stem_is_left_out(experiment, tmp_path):
    write(tmp_path / "data" / "musdb18hq" / "train" / "Three", silent=["bass"])
    made = experiment(baseline=["irm1", "dictionary", "mixture"], subset=["train"])
    _, rows = scores(made)
    for row in rows:
        assert row["silent_stems"] == 1
        assert row["missing_estimates"] == 0
        assert np.isnan(row["sdr_bass"])
        assert np.isfinite(row["sdr"])
    _, rows = scores(experiment(grouping=["oracle", "mfcc"], subset=["train"]))
    assert all(row["silent_stems"] == 1 for row in rows)


def test_fewer_components_than_stems_leaves_some_missing(experiment):
    _, rows = scores(experiment(rank=[2], grouping=["mfcc", "oracle"]))
    assert all(row["missing_estimates"] >= 2 for row in rows)


def test_sound_of_the_estimates(experiment):
    made = experiment(baseline=["irm2"])
    scores(made)
    unit = next(iter(made._units(None, None)))
    node = made.task.sound_node(made.select()[0].parameters)
    found = node.compute(dict(node.params), **unit.arguments(node))
    assert found["names"].tolist() == list(STEMS)
    assert found["sample_rate"] == RATE
    stems = unit.opened.part("stems")["samples"]
    assert found["samples"].shape == stems.shape
    assert (si_sdr(stems, found["samples"]) > 5).all()


def test_sound_names_what_is_matched(experiment):
    made = experiment(grouping=["mfcc"])
    scores(made)
    unit = next(iter(made._units(None, None)))
    node = made.task.sound_node(made.select()[0].parameters)
    found = node.compute(dict(node.params), **unit.arguments(node))
    named = [name for name in found["names"] if name]
    assert len(named) == len(set(named)) > 0
    stems = unit.opened.part("stems")["samples"]
    row = made.results().rows[0][3]
    for name in named:
        estimate = found["samples"][found["names"].tolist().index(name)]
        expected = si_sdr(stems[STEMS.index(name)].astype(float), estimate.astype(float))
        assert row[f"si_sdr_{name}"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("beta", 2, "nmf.factorize"),
        ("rank", 7, "nmf.factorize"),
        ("seed", 3, "nmf.factorize"),
        ("power", 2, "features.stft"),
        ("n_fft", 1024, "features.stft"),
        ("hop", 64, "features.stft"),
        ("mono", True, "features.stft"),
        ("start", 1, "features.stft"),
        ("duration", 1, "features.stft"),
        ("factors", "per_channel", "features.stft"),
        ("grouping", "oracle", "postprocessing.grouping"),
        ("n_sources", 3, "postprocessing.grouping"),
        ("kmeans_seed", 1, "postprocessing.grouping"),
        ("masking", "wiener1", "postprocessing.estimates"),
        ("bss_backend", "museval", "metrics.separation"),
        ("subset", "train", "metrics.separation"),
    ],
)
def test_a_parameter_renews_the_node_that_reads_it_and_none_before(name, value, where):
    task = Separation()
    first, second = (Graph(task, parameters(**change)) for change in ({}, {name: value}))
    changed = [
        node
        for node in first.order()
        if first.recipe(first.nodes[node]) != second.recipe(second.nodes[node])
    ]
    assert changed[0] == where


@pytest.mark.parametrize("baseline", [None, *BASELINES])
def test_nodes_read_nothing_that_they_do_not_name(baseline):
    """A setting reduced to what its nodes name gives the same nodes."""
    task = Separation()
    given = parameters(baseline=baseline)
    graph = Graph(task, given)
    read = {name for node in graph.nodes.values() for name in node.params}
    assert read - {"dataset", "torch_mu.tf32", "form", "mfcc.n_mfcc", "mfcc.restarts"} <= set(given)
    expected = {"baseline", "mono", "start", "duration", "bss_backend", "subset"}
    if baseline in ("mixture", "silence"):
        assert read == expected
    if baseline in ("hpss", "irm1"):
        assert read == expected | {"n_fft", "hop"}
    if baseline == "dictionary":
        assert {"rank", "seed", "masking", "power"} <= read
        assert not {"grouping", "n_sources", "kmeans_seed", "factors"} & (
            read - set(graph.nodes["features.stft"].params)
        )


def test_a_dataset_without_subsets_does_not_read_one():
    graph = Graph(Separation(), parameters(dataset="demo", baseline="mixture"))
    assert "subset" not in graph.nodes["metrics.separation"].params


def test_kinds():
    task = Separation()
    assert task.kind(parameters()) == ""
    assert task.kind(parameters(grouping="oracle")) == "oracle"
    for name in BASELINES:
        expected = "baseline" if name in ("mixture", "silence", "hpss") else "oracle"
        assert task.kind(parameters(baseline=name)) == expected


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"mono": True, "factors": "per_channel"}, "more than one channel"),
        ({"baseline": "dictionary", "factors": "per_channel"}, "shared factors"),
        ({"baseline": "dictionary", "algorithm": "sklearn_cd", "beta": 2}, "templates"),
        ({"algorithm": "nnfac_hals", "beta": 1}, "beta"),
        ({"hop": 512}, "half"),
        ({"baseline": "irm1", "n_fft": 511}, "even"),
    ],
)
def test_what_cannot_be_computed_says_why(given, reason):
    task = Separation()
    assert reason in task.skip(parameters(**given))
    assert task.skip(parameters()) is None
    assert task.skip(parameters(baseline="mixture", mono=True)) is None


def test_stems_that_do_not_fit_the_mixture_are_refused():
    audio = {"samples": np.ones((2, 100), np.float32), "sample_rate": RATE}
    stems = {"samples": np.ones((4, 2, 90), np.float32), "sample_rate": RATE, "names": STEMS}
    params = {"mono": False, "start": 0, "duration": None}
    with pytest.raises(DataError, match="do not fit the mixture"):
        separation_nodes.scores(params, audio=audio, stems=stems, estimates={})
