"""The task from audio to scores, on a small song whose sections are known."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile

from nmfab.base.errors import DataError, UsageError
from nmfab.metrics.downbeats import f_measure
from nmfab.plan.grid import Setting
from nmfab.tasks import TASKS

RATE = 22050
BAR = 1.0
SECTIONS = "AABBAACC"  # four bars each
START = 0.35


def _song():
    """Return 32 bars of chords and noise after an upbeat of 0.35 s of silence, mono."""
    rng = np.random.default_rng(0)
    chords = {"A": (220, 277, 330), "B": (247, 311, 392), "C": (196, 233, 294)}
    time = np.arange(int(BAR * RATE)) / RATE
    bars = [np.zeros(int(START * RATE))]
    for name in SECTIONS:
        for bar in range(4):
            pitches = [pitch * (1 + (bar % 2) / 3) for pitch in chords[name]]
            tone = sum(np.sin(2 * np.pi * pitch * time) for pitch in pitches)
            bars.append(0.1 * tone * np.exp(-2 * time))
    song = np.concatenate(bars)
    return (song + 0.003 * rng.standard_normal(len(song))).astype(np.float32)


@pytest.fixture(scope="module")
def parts():
    """Audio, sections (of eight bars) and beats of the song."""
    song = _song()
    beats = START + np.arange(4 * 4 * len(SECTIONS)) * BAR / 4
    starts = np.array([0, *(START + np.arange(0, 32, 8) * BAR), len(song) / RATE])
    return {
        "audio": {"samples": song[None], "sample_rate": RATE},
        "sections": {
            "intervals": np.column_stack([starts[:-1], starts[1:]]),
            "labels": np.array(["silence", *"ABAC"]),
        },
        "beats": {"times": beats, "positions": np.arange(len(beats)) % 4 + 1},
    }


@pytest.fixture(scope="module")
def task():
    return TASKS["structure"]()


def _parameters(task, **given):
    return {**{name: param.default for name, param in task.params.items()}, "stop": 50, **given}


def _run(task, parts, **given):
    """Compute the nodes in order; return the arrays of each by its short name."""
    arrays, values = {}, {}
    for node in task.nodes(_parameters(task, **given)):
        read = {part: parts.get(part) for part in node.parts}
        read |= {name: values[name] for name in (i.partition(".")[2] for i in node.inputs)}
        found = node.compute(dict(node.params), **read)
        node.check_returned(found)
        arrays[node.short_name] = found
        values[node.short_name] = found if node.decode is None else node.decode(found)
    return arrays


@pytest.mark.parametrize("similarity", ["cosine", "centered_cosine", "rbf"])
@pytest.mark.parametrize("beta", [2, 1])
def test_sections_of_an_easy_song_are_found(task, parts, similarity, beta):
    arrays = _run(task, parts, similarity=similarity, beta=beta)
    assert arrays["structure"]["F0.5"] > 0.8
    assert set(arrays["structure"]) == set(task.metrics)


def test_bars_and_matrix_carry_each_other(task, parts):
    arrays = _run(task, parts)
    times, V = arrays["bars"]["times"], arrays["barwise"]["V"]
    assert V.shape == (80 * 96, len(times) - 1) == (7680, 32)
    assert arrays["factorize"]["H"].shape[1] == 32
    np.testing.assert_allclose(times[:-1], START + np.arange(32) * BAR)
    loud = V.reshape(80, 96, 32).sum(axis=(0, 2))
    assert loud[:24].sum() > 2 * loud[72:].sum()  # each column begins with its downbeat
    boundaries = arrays["segments"]["boundaries"]
    assert boundaries[0] == 0  # the upbeat is a section of its own
    assert np.isin(boundaries[1:], times).all()
    assert (boundaries[1], boundaries[-1]) == (times[0], times[-1])


@pytest.mark.parametrize("feature", ["mel", "nn_log_mel", "chroma"])
def test_each_feature(task, parts, feature):
    V = _run(task, parts, feature=feature, baseline="signal")["barwise"]["V"]
    assert V.shape == ((12 if feature == "chroma" else 80) * 96, 32)
    assert (V >= 0).all()
    assert np.isfinite(V).all()


def test_baselines_and_oracle(task, parts):
    scores = {
        name: _run(task, parts, baseline=name)["structure"]
        for name in ("regular", "constant", "signal", "oracle")
    }
    assert scores["oracle"]["F0.5"] == 1  # sections begin on bars, and an upbeat on both sides
    assert scores["regular"]["F0.5"] == 1  # sections of eight bars
    assert scores["constant"]["F0.5"] == 1  # the prior alone prefers eight bars
    odd = _run(task, parts, baseline="regular", **{"regular.bars": 5})
    assert odd["structure"]["F0.5"] < 0.6
    assert odd["structure"]["segments"] == 8  # the upbeat, six of five bars, the last two


def test_kinds(task):
    kinds = {
        name: task.kind(_parameters(task, baseline=name)) for name in (None, "signal", "oracle")
    }
    assert kinds == {None: "", "signal": "baseline", "oracle": "oracle"}


def test_where_bars_come_from(task, parts):
    assert _run(task, parts)["bars"]["source"] == "annotated"
    assert _run(task, parts, bars="librosa")["bars"]["source"] == "librosa"
    without = {name: part for name, part in parts.items() if name != "beats"}
    bars = _run(task, without)["bars"]
    assert bars["source"] == "librosa"
    assert len(bars["times"]) >= 8


def test_annotated_bars_are_refused_where_there_are_none(task):
    node = task.nodes(_parameters(task, bars="annotated"))[0]
    assert node.parts == ("audio", "beats")
    assert node.optional_parts == ()  # so that Track.part names the track


def test_estimated_bars_are_scored_against_annotated_downbeats(task, parts):
    found = _run(task, parts, bars="librosa")
    annotated = parts["beats"]["times"][parts["beats"]["positions"] == 1]
    scores = found["structure"]
    assert scores["annotated_bars"] == 0
    assert scores["downbeat_F"] == f_measure(annotated, found["bars"]["times"][:-1]) > 0
    for bars in ("auto", "annotated"):
        scores = _run(task, parts, bars=bars)["structure"]
        assert scores["annotated_bars"] == 1
        assert np.isnan(scores["downbeat_F"])
    without = {name: part for name, part in parts.items() if name != "beats"}
    scores = _run(task, without, bars="librosa")["structure"]
    assert np.isnan(scores["downbeat_F"])


def test_a_table_says_whose_bars_it_has(task):
    def note(bars, *annotated, **values):
        scores = {f"t{n}": {"annotated_bars": value} for n, value in enumerate(annotated)}
        setting = Setting({"bars": bars} if values else {}, {"bars": bars})
        return task.notes([(setting, scores), (setting, scores)])

    assert note("auto", 1, 1) == ["bars annotated"]
    assert note("auto", 0, 0) == ["bars estimated by librosa, for none are annotated"]
    told = "bars annotated on 1 of 6 tracks, estimated by librosa on t0, t2, t3 and 2 more"
    assert note("auto", 0, 1, 0, 0, 0, 0) == [told]
    assert note("madmom", 0) == ["bars estimated by madmom"]
    assert note("madmom", 0, in_a_column=True) == []  # a column says so
    assert note("auto", 1, in_a_column=True) == ["bars annotated"]


def test_corrected_sections_renew_scores_alone(task):
    readers = [n.name for n in task.nodes(_parameters(task)) if "sections" in n.parts]
    assert readers == ["metrics.structure"]
    oracle = task.nodes(_parameters(task, baseline="oracle"))
    assert [n.name for n in oracle if "sections" in n.parts] == [
        "postprocessing.segments",
        "metrics.structure",
    ]


def test_every_parameter_is_in_the_keys_of_what_it_changes(task):
    changes = {
        "features.bars": {"bars": "librosa"},
        "features.barwise": {
            "feature": "mel",
            "nn_log_mel.n_mels": 40,
            "subdivision": 48,
            "sample_rate": 32000,
            "n_fft": 1024,
            "hop": 64,
        },
        "nmf.factorize": {"rank": 3, "beta": 2, "algorithm": "torch_hals"},
        "postprocessing.segments": {
            "scale": "H",
            "similarity": "rbf",
            "bands": None,
            "penalty": "modulo4",
            "penalty_weight": 2,
            "max_size": 16,
        },
        "metrics.structure": {"trim": True},
    }
    base = {n.name: (n.params, n.versions) for n in task.nodes(_parameters(task, beta=2))}
    base_one = {n.name: (n.params, n.versions) for n in task.nodes(_parameters(task))}
    for node, values in changes.items():
        for name, value in values.items():
            given = {"beta": 2} if name == "algorithm" else {}
            before = base if given else base_one
            changed = task.nodes(_parameters(task, **given, **{name: value}))
            differing = [n.name for n in changed if (n.params, n.versions) != before[n.name]]
            assert differing == [node], name


def test_baselines_read_no_parameter_of_the_factorization(task):
    for baseline in ("regular", "constant", "signal", "oracle"):
        nodes = task.nodes(_parameters(task, baseline=baseline))
        read = set().union(*(node.params for node in nodes))
        assert not read & {"algorithm", "beta", "rank", "init", "seed", "scale"}
        assert "baseline" in read


def test_unknown_features_are_named(task):
    with pytest.raises(UsageError, match=r"unknown feature 'nn_logmel'.*did you mean 'nn_log_mel'"):
        task.nodes(_parameters(task, feature="nn_logmel"))


def test_a_song_of_one_bar_and_silence_have_answers(task, parts):
    audio = {"samples": parts["audio"]["samples"][:, : 2 * RATE], "sample_rate": RATE}
    short = {
        "audio": audio,
        "beats": {"times": np.array([0.4]), "positions": np.array([1])},
        "sections": {
            "intervals": np.array([[0.0, 0.4], [0.4, 2.0]]),
            "labels": np.array(["", "A"]),
        },
    }
    for baseline in ("regular", "constant", "signal", "oracle"):
        scores = _run(task, short, baseline=baseline)["structure"]
        assert scores["segments"] == 2
        assert scores["F0.5"] == 1
    silent = {**short, "audio": {"samples": np.zeros_like(audio["samples"]), "sample_rate": RATE}}
    assert _run(task, silent, baseline="signal")["structure"]["segments"] == 2
    with pytest.raises(DataError, match="0 beats were found"):
        _run(task, silent, bars="librosa", baseline="regular")


def test_from_files_to_scores_and_again(tmp_path):
    from nmfab.experiment import Experiment

    folder = tmp_path / "data/rwcpop"
    song = _song()
    for place in (
        "audio",
        "annotations/mirex10_sections-main",
        "annotations/AIST.RWC-MDB-P-2001.BEAT",
    ):
        (folder / place).mkdir(parents=True)
    soundfile.write(folder / "audio/RM-P007.wav", song, RATE)
    times = [0, START, *(START + np.arange(8, 33, 8) * BAR)]
    (folder / "annotations/mirex10_sections-main/RM-P007.BLOCKS.lab").write_text(
        "".join(f"{a:.7f}\t{b:.7f}\tX\r\n" for a, b in pairwise(times))
    )
    beats = [
        (round(100 * (START + i * BAR / 4)), 384 if i % 4 == 0 else 48 * (i % 4))
        for i in range(128)
    ]
    (folder / "annotations/AIST.RWC-MDB-P-2001.BEAT/RM-P007.BEAT.TXT").write_text(
        "".join(f"{time}\t{time}\t{tick}\n" for time, tick in beats)
    )
    experiment = Experiment("msa", task="structure", cache=tmp_path, data=[tmp_path / "data"])
    experiment.add_plan("nmf", dataset="rwcpop", beta=[1, 2], stop=20)
    experiment.add_plan("baselines", dataset="rwcpop", baseline=["signal", "oracle"])
    report = experiment.compute()
    assert not report.failures
    assert report.computed == 4
    again = experiment.compute()
    assert (again.computed, again.reused) == (0, 4)
    scores = {str(setting): row["F0.5"] for setting, _, _, row in experiment.results().rows}
    assert scores["dataset=rwcpop,baseline=oracle"] == 1
    assert experiment.load("features.barwise", "beta=1")["V"].shape == (7680, 32)
