"""Implementation checks on the toy task: the statistic, the tracks, the tolerance, failures."""

from dataclasses import replace
from statistics import fmean, median

import pytest

from nmfab.base.errors import DataError, UsageError
from nmfab.cli import tool
from nmfab.report.verify import verify
from nmfab.results import published

# The errors of rank 1 on the toy tracks, whose sums are 3, 4, 5, against answers given below.
ANSWERS = {"one": 3, "two": 4.5, "three": 11}
ERRORS = [0.0, 0.5, 6.0]


UNPUBLISHED = published.Row("toy, rank 1", {}, {"rank": 1, "init": "svd"})


def table(**more):
    row = published.Row("toy, rank 1", {"error": 2.0}, {"rank": 1, "init": "svd"})
    other = published.Row("from elsewhere", {"error": 1.0, "unknown": 3.0})
    made = published.Table(
        task="toy",
        title="Toy",
        source="nowhere",
        confidence="M",
        datasets=("toy",),
        tracks=3,
        statistic="mean",
        protocol={"gain": 1},
        columns=("error", "unknown"),
        rows=(other, row),
        tolerance=0.5,
    )
    return replace(made, **more)


@pytest.fixture
def check(tmp_path, data, toys, monkeypatch):
    for name, value in ANSWERS.items():
        (data / f"{name}.ref").write_text(f"{value}\n")

    def run(made):
        monkeypatch.setattr(published, "tables", lambda task, dataset=None: [made])
        return verify("toy", "toy", data=[data.parent], cache=tmp_path / "cache")

    return run


@pytest.mark.parametrize(("statistic", "function"), [("mean", fmean), ("median", median)])
def test_the_statistic_is_the_table_s(check, statistic, function):
    (found,) = check(table(statistic=statistic))
    assert found.here == pytest.approx(function(ERRORS))
    assert (found.row, found.metric, found.tracks) == ("toy, rank 1", "error", 3)
    assert found.published == 2.0
    assert found.within == (abs(found.here - 2.0) <= 0.5)


def test_the_protocol_of_the_table_is_computed(check):
    (found,) = check(table(protocol={"gain": 2}))
    assert found.here == pytest.approx(fmean([3, 3.5, 1]))  # sums are 6, 8, 10


@pytest.mark.parametrize(("tracks", "judged"), [(2, True), (3, True), (4, False)])
def test_fewer_tracks_than_published_are_not_judged(check, tracks, judged):
    (found,) = check(table(tracks=tracks))
    assert (found.within is not None) == judged


def test_a_track_that_fails_is_named(check, data):
    (data / "two.txt").write_text("no number\n")
    with pytest.raises(DataError, match="cannot be checked: toy/two: "):
        check(table())


def test_what_cannot_be_checked_is_wrong_usage(check):
    with pytest.raises(UsageError, match="no implementation check of toy on toy: there are none"):
        check(table(rows=(published.Row("from elsewhere", {"error": 1.0}),)))


@pytest.mark.parametrize(
    ("more", "status", "verdict"),
    [
        ({}, 0, "within 0.5"),
        ({"tolerance": 0.1}, 1, "OUTSIDE 0.1"),
        ({"tracks": 4}, 1, "3 of 4 tracks: not judged"),
        ({"rows": (UNPUBLISHED,)}, 1, "no figure is published: not judged"),
    ],
)
def test_the_tool_says_the_verdict_and_ends_with_it(
    check, data, tmp_path, monkeypatch, capsys, more, status, verdict
):
    monkeypatch.setattr(published, "tables", lambda task, dataset=None: [table(**more)])
    argv = ["verify", "toy", "toy", "--data", data.parent, "--cache", tmp_path / "mine"]
    assert tool.main([str(word) for word in argv]) == status
    out = capsys.readouterr().out
    assert verdict in out
    assert "2.167" in out
    assert "mean over " in out
    assert (tmp_path / "mine" / "verify").is_dir()
