"""What a run, a plan and a page of information say, by hand."""

from types import SimpleNamespace

import pytest

from nmfab.base.types import Param
from nmfab.datasets import Status
from nmfab.plan.grid import LeftOut
from nmfab.report import plans, runs
from nmfab.results.summary import Absent
from nmfab.run.explain import Forecast, Line
from nmfab.tasks import Metric

NOTHING = Forecast(6, 0, {}, 0.0, 0.0, [], 1234)
SOME = Forecast(2, 4, {"nmf.x": 3, "metrics.y": 4}, 120.0, 5e6, ["metrics.y"], 999)


@pytest.mark.parametrize(
    ("cost", "lines"),
    [
        (NOTHING, "exists: 6 of 6 results#; 1.23 kB on disk|to compute: nothing"),
        (
            SOME,
            "exists: 2 of 6 results#; 999 B on disk|to compute: 3 nmf.x, 4 metrics.y|"
            "expected: 2 min on one process, 5 MB|cost not known before one is computed: metrics.y",
        ),
        (
            Forecast(0, 1, {"nmf.x": 1}, 0.0, 0.0, ["nmf.x"], 0),
            "exists: 0 of 1 result#; 0 B on disk|to compute: 1 nmf.x|"
            "cost not known before one is computed: nmf.x",
        ),
        (
            Forecast(0, 1, {}, 0.0, 0.0, [], 0),
            "exists: 0 of 1 result#; 0 B on disk|to compute: nothing that can be computed",
        ),
        (
            Forecast(1, 1, {"nmf.x": 1}, 3.0, 10.0, [], 0),
            "exists: 1 of 2 results#; 0 B on disk|to compute: 1 nmf.x|"
            "expected: 3.0 s on one process, 10 B",
        ),
    ],
)
def test_what_exists_and_what_the_rest_costs(cost, lines):
    wanted = lines.replace("#", " (a setting on a track)").split("|")
    assert runs.tracks_text([], {}, cost).splitlines() == wanted


def test_tracks_are_counted_once_per_dataset_and_absent_ones_by_their_settings():
    places = [("one", "a"), ("one", "b"), ("one", "a"), ("two", "a")]
    units = [SimpleNamespace(dataset=dataset, track=track) for dataset, track in places]
    absent = {"three": Absent(2, "three: get it", True), "four": Absent(1, "four: no beats", False)}
    first, second, *_ = runs.tracks_text(units, absent, NOTHING).splitlines()
    assert first == "tracks: one 2, two 1"
    assert second == "without data: 3 settings, three: get it; four: no beats"


def report(failures=(), computed=None, timed=None):
    tally = SimpleNamespace(computed=computed or {}, timed=timed or {})
    return SimpleNamespace(computed=3, reused=1, failures=list(failures), seconds=42.4, tally=tally)


def test_the_last_line_of_a_run():
    made = {"nmf.x": 3, "nmf.idle": 0}
    assert runs.outcome(report()) == "computed 3, reused 1 in 42 s"
    assert runs.outcome(report(computed=made)) == "computed 3, reused 1 in 42 s: 3 nmf.x"
    both = runs.outcome(report([(0, "one", "a", "bad")], made, {"nmf.x": 2}))
    assert both == "computed 3, reused 1, failed 1 in 42 s: 3 nmf.x, timed 2 nmf.x"


def test_failures_are_grouped_by_reason_and_name_a_few_tracks():
    settings = [SimpleNamespace(text=f"rank={rank}") for rank in range(3)]
    failures = [(i, "one", t, "bad  luck") for i in (1, 2) for t in "abcd"]
    failures += [(2, "two", "", "no folder"), (2, "one", "a", "worse")]
    assert runs.failures(report(failures), settings) == [
        "failed: bad luck (2 settings on one/a, one/b, one/c and 1 more tracks)",
        "failed: no folder (rank=2 on two)",
        "failed: worse (rank=2 on one/a)",
    ]


def test_an_explanation_is_a_table():
    lines = [
        Line("nmf.x", "compute", "rank: 1 → 2", 12, "one/a"),
        Line("metrics.y", "reuse", "", 3, "one/b"),
    ]
    head, _, first, second = runs.explanation(lines).splitlines()
    assert head.split() == ["node", "number", "why", "e.g."]
    assert first.split() == ["nmf.x", "compute", "12", "rank:", "1", "→", "2", "one/a"]
    assert second.split() == ["metrics.y", "reuse", "3", "one/b"]
    assert second.index("3") == first.index("12") + 1


def test_information_shows_parameters_as_they_are_fixed_metrics_and_datasets(tmp_path):
    class Task:
        """Sums.

        And more.
        """

        name = "toy"
        params = {
            "rank": Param(2, "templates"),
            "init": Param("svd", "start", choices=("svd", "random")),
        }
        metrics = {"F": Metric("F-measure"), "error": Metric("distance", unit="s")}

    grid = SimpleNamespace(plans={"a": {}, "b": {}}, fixed={"rank": 7})
    experiment = SimpleNamespace(task=Task(), title="Title", grid=grid, cache=tmp_path, name="x")
    shown = runs.information(experiment, {"one": Status("absent", "get it")})
    lines = [line.split() for line in shown.splitlines()]
    assert shown.startswith("Title\ntask toy: Sums.\nplans: a, b\n")
    assert ["rank", "7", "templates"] in lines
    assert ["init", "svd", "svd", "random", "start"] in lines
    assert ["0", "F", "F-measure"] in lines
    assert ["1", "error", "s", "distance"] in lines
    assert ["one", "absent", "get", "it"] in lines
    assert lines[-1] == ["cache:", str(tmp_path / "x")]


def setting(text, kind="", names=("a",)):
    return SimpleNamespace(text=text, kind=kind, plans=names)


def test_a_plan_counts_its_own_settings_and_those_that_are_marked():
    settings = [
        setting("x=1"),
        setting("x=2", names=("a", "b")),
        setting("b=1", "baseline", ("b",)),
        setting("b=2", "baseline", ("b",)),
        setting("o=1", "oracle", ("b",)),
    ]
    grid = SimpleNamespace(
        plans={"a": {"x": [1, "two"]}, "b": {"x": [2], "b": [1, 2]}},
        factors={"x": [1, "two", 2], "b": [1, 2]},
        settings=settings,
        fixed={"rank": 3},
        left_out=[LeftOut({}, why, "a") for why in ("too slow", "too slow", "no beta")],
    )
    lines = [line.rstrip() for line in plans.plan_text(grid).splitlines()]
    assert "plan a · 2 settings" in lines
    assert "plan b · 4 settings" in lines
    assert "0  x       0:1  1:two" in lines
    assert "1  b       0:1  1:2" in lines
    assert "fixed: rank=3" in lines
    assert "selected: 5 settings, 2 baselines and 1 oracle among them" in lines
    assert "left out: 3 settings that cannot be computed" in lines
    assert [line.split() for line in lines[-2:]] == [
        ["2", "×", "too", "slow"],
        ["1", "×", "no", "beta"],
    ]
    chosen = plans.plan_text(grid, settings[:1]).splitlines()
    assert "selected: 1 of 5 settings" in [line.rstrip() for line in chosen] or (
        "selected: 1 of 5 setting" in [line.rstrip() for line in chosen]
    )
    assert plans.list_text(settings[1:3]).splitlines() == ["x=2", "b=1  (baseline)"]
