"""Published figures as data, beside results, and as implementation checks."""

import math

import numpy as np
import pytest

from nmfab.cli import experiment as cli
from nmfab.cli import tool
from nmfab.datasets import DATASETS, mini
from nmfab.experiment import Experiment
from nmfab.plan.factors import Checker
from nmfab.report.published import checks_text, published_text
from nmfab.report.verify import Check, verify
from nmfab.results import published
from nmfab.tasks import TASKS

ALL = [
    table
    for name in ("separation", "structure", "transcription")
    for table in published.tables(name)
]


@pytest.mark.parametrize("table", [*ALL, *published.tables("counting")], ids=lambda t: t.title)
def test_every_table_tells_where_it_is_from(table):
    assert table.source
    assert table.confidence in published.CONFIDENCE
    assert table.statistic in ("mean", "median")
    assert all(name in DATASETS for name in table.datasets)
    assert table.tracks > 0
    assert table.rows
    for row in table.rows:
        assert all(math.isfinite(value) for value in row.values.values())
        assert row.values or row.setting


@pytest.mark.parametrize("table", ALL, ids=lambda t: t.title)
def test_protocols_and_settings_are_parameters_of_the_task(table):
    task = TASKS[table.task]()
    for row in table.rows:
        assert {*table.protocol} <= task.params.keys()
        for name, value in (row.setting or {}).items():
            assert Checker(task).value(name, value) == value
        if row.setting:
            assert {*table.columns} & task.metrics.keys()
            assert table.tolerance is not None or not row.values


def test_figures_of_each_column_are_read():
    table = published.tables("separation", "musdb18")[0]
    irm = next(row for row in table.rows if row.name.endswith("(IRM2)"))
    assert irm.values == {
        "museval_sdr_vocals": 9.43,
        "museval_sdr_drums": 8.45,
        "museval_sdr_bass": 7.12,
        "museval_sdr_other": 7.85,
        "accompaniment": 15.64,
    }
    hpss = next(row for row in table.rows if row.name.startswith("HPSS"))
    assert hpss.values == {"museval_sdr_vocals": -0.34}


def test_only_the_same_protocol_is_comparable():
    table = published.tables("separation", "musdb18")[0]
    whole = {"subset": "test", "mono": False, "start": 0, "duration": None}
    assert table.comparable("musdb18", whole)
    assert not table.comparable("musdb18hq", whole)
    for other in ({"mono": True}, {"duration": 30}, {"subset": "train"}, {"mono": 0}):
        assert not table.comparable("musdb18", whole | other)
    assert not published.tables("nothing")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A miniature of RWC Pop."""
    folder = tmp_path_factory.mktemp("minis")
    mini.write("rwcpop", folder)
    return folder


def experiment(root, cache, **factors):
    made = Experiment("published", task="structure", title="published")
    made.data, made.cache = [root], cache
    made.add_plan("rows", dataset=["rwcpop"], baseline=["regular"], **factors)
    return made


def test_published_rows_stand_beside_results_of_their_protocol(root, tmp_path, capsys):
    made = experiment(root, tmp_path)
    argv = ["--data", str(root), "-c", "-d", "--published"]
    assert cli.main(made, argv) == 0
    out = capsys.readouterr().out
    assert "CBM, RBF, 7 bands, modulo 8" in out
    assert "0.665" in out
    assert "mean over 100 tracks; Marmoret" in out
    assert "another protocol" not in out


def test_figures_of_another_protocol_are_named_and_not_shown(root, tmp_path):
    text = published_text(experiment(root, tmp_path, annotator=["aist"]).results())
    assert "CBM" not in text
    assert "another protocol, not to be compared: RWC Pop" in text
    both = published_text(experiment(root, tmp_path, annotator=["aist", "mirex10"]).results())
    assert "CBM, RBF" in both
    assert "another protocol" in both


def test_verify_says_that_it_cannot_where_the_dataset_is_absent(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("NMFAB_DATA", raising=False)
    argv = ["verify", "separation", "musdb18", "--data", str(tmp_path), "--cache", str(tmp_path)]
    assert tool.main(argv) == 1
    err = capsys.readouterr().err
    assert err.startswith("cannot be checked: musdb18")
    assert len(err.splitlines()) == 1
    assert tool.main(["verify", "structure", "salami"]) == 2
    assert "no implementation check of structure on salami" in capsys.readouterr().err
    assert tool.main(["verify", "separate", "musdb18"]) == 2
    assert "did you mean 'separation'" in capsys.readouterr().err


def test_verify_judges_nothing_on_part_of_the_tracks(root, tmp_path):
    checks = verify("structure", "rwcpop", data=[root], cache=tmp_path)
    assert [check.metric for check in checks] == ["F0.5", "F3"]
    assert all(check.within is None and math.isfinite(check.here) for check in checks)
    assert "no figure is published: not judged" in checks_text(checks)


def test_verdicts():
    table = published.tables("separation", "musdb18")[0]
    judge = [
        Check(table, "mixture", "museval_sdr_bass", said, here, tracks)
        for said, here, tracks in (
            (0.67, 0.75, 50), (0.67, 0.78, 50), (0.67, 0.67, 49), (math.nan, 1, 50),
        )
    ]  # fmt: skip
    assert [check.within for check in judge] == [True, False, None, None]
    assert [check.verdict for check in judge] == [
        "within 0.1 dB",
        "OUTSIDE 0.1 dB",
        "49 of 50 tracks: not judged",
        "no figure is published: not judged",
    ]


def oracle_of_sisec(mixture, stems, kind):
    """Return estimates by an ideal mask, with scipy's transform as SiSEC's oracles have it."""
    from scipy.signal import istft, stft

    power, floor = int(kind[-1]), np.finfo(float).eps
    X, S = stft(mixture, nperseg=2048)[2], stft(stems, nperseg=2048)[2]
    if kind.startswith("irm"):
        mask = np.abs(S) ** power / (floor + (np.abs(S) ** power).sum(axis=0))
    else:
        mask = np.abs(S) ** power / (floor + np.abs(X) ** power) >= 0.5
    return istft(mask * X)[1][..., : mixture.shape[-1]]


def test_oracles_of_the_real_sample_score_as_museval_says(samples, tmp_path):
    """The implementation check of MUSDB18 on 7 s of it: to 0.1 dB, masks and scores apart."""
    from nmfab.metrics.separation import museval_module

    rows = ["mixture", "ibm1", "irm2"]
    made = Experiment("cut", task="separation", title="cut")
    made.data, made.cache = [samples], tmp_path
    made.add_plan(
        "rows", dataset=["musdb18"], subset=["train"], n_fft=2048, hop=1024, baseline=rows
    )
    assert not made.compute().failures
    ours = {setting.parameters["baseline"]: s for setting, _, _, s in made.results().rows}
    dataset = DATASETS["musdb18"]([samples])
    track = dataset.load(dataset.track_ids()[0])
    mixture = track.part("audio").read()["samples"].astype(float)
    stems = track.part("stems").read()
    true = stems["samples"].astype(float)
    for kind in rows:
        if kind == "mixture":
            found = np.broadcast_to(mixture / len(true), true.shape)
        else:
            found = oracle_of_sisec(mixture, true, kind)
        # Sources, samples, channels; frames of one second.
        swapped = [np.ascontiguousarray(part.swapaxes(1, 2)) for part in (true, found)]
        theirs = museval_module().bss_eval(*swapped, window=44100, hop=44100)[0]
        for name, frames in zip(stems["names"], theirs, strict=True):
            assert ours[kind][f"museval_sdr_{name}"] == pytest.approx(np.nanmedian(frames), abs=0.1)
