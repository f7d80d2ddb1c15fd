"""What the terminal and the csv file show, read back from the text."""

import csv as standard_csv
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from scored import CD, MU, datasets, results  # noqa: F401 - a fixture

from nmfab.base.errors import UsageError
from nmfab.plan.grid import LeftOut
from nmfab.report import csv, plans, runs, text
from nmfab.report.terminal import results_table
from nmfab.report.view import View, choose
from nmfab.tasks import Metric


@pytest.fixture
def found():
    """Two algorithms with seeds, a baseline, an oracle; one failure, one number undefined."""
    table = {}
    for algorithm, level in (("mu", 0.4), ("cd", 0.2)):
        for seed in (0, 1):
            key = f"dataset=one,algorithm={algorithm},init=random,seed={seed}"
            table[key] = {
                t: {"F": level + 0.1 * i + 0.02 * seed, "error": level * 10, "count": i}
                for i, t in enumerate("abc")
            }
    table["dataset=one,algorithm=mu,init=random,seed=1"]["c"]["error"] = math.nan
    del table["dataset=one,algorithm=cd,init=random,seed=1"]["a"]
    table["dataset=one,row=regular"] = {t: {"F": 0.9, "error": 0.5, "count": 8} for t in "abc"}
    plan = {"algorithm": ["mu", "cd"], "init": ["random"], "seed": [0, 1]}
    lost = ("dataset=one,algorithm=cd,init=random,seed=1", "one", "a", "the file is empty")
    return results(table, plan, [lost], rest={"dataset": ["one"], "row": ["regular", "oracle"]})


def lines(shown):
    return [line.rstrip() for line in shown.splitlines()]


def cells(shown, row):
    (line,) = [line for line in lines(shown) if row in line and ":" not in line and "=" not in line]
    return re.split(r"\s{2,}", line.strip())


def test_every_number_of_the_table_is_the_summary_s(found):
    shown = results_table(found)
    # tracks b and c are common: means of 0.5, 0.6 (and 0.02 more for seed 1)
    assert "0.560* ± 0.071 (0.014)" in shown
    assert "0.360  ± 0.071 (0.014)" in shown
    assert "one · excerpt=short · 2 tracks · 1 left out" in lines(shown)[0]
    assert cells(shown, "regular")[0] == "b"
    assert "0.900" in cells(shown, "regular")[4]
    assert "error [s] on one" not in shown


def test_what_is_missing_is_said(found):
    shown = results_table(found)
    assert "1 result missing: the file is empty" in shown
    assert "1 result missing: not computed" in shown  # the oracle
    assert cells(shown, "oracle")[0] == "o"
    assert re.search(r"error on one is over 1 of 2 tracks: .*algorithm=mu", shown)
    assert "no number for" not in shown


def test_a_row_without_any_number_is_said_and_a_detail_that_nobody_has_is_not():
    plan = {"algorithm": ["mu", "hals"], "init": ["nndsvda"]}
    names = [f"dataset=one,algorithm={name},init=nndsvda" for name in plan["algorithm"]]

    def shown(first, second, detail=False):
        scores = {"F": 0.5, "count": 2}
        rows = {
            name: {track: scores | {"error": error} for track in "ab"}
            for name, error in zip(names, (first, second), strict=True)
        }
        found = results(rows, plan)
        error = replace(found.metrics["error"], detail=detail)
        found.metrics["error"] = error
        return results_table(found, "all")

    assert "error on one: no number for algorithm=hals" in shown(1.0, math.nan)
    assert "error on one: no number for algorithm=mu; algorithm=hals" in shown(math.nan, math.nan)
    assert "no number for algorithm=hals" in shown(1.0, math.nan, detail=True)
    assert "no number for" not in shown(math.nan, math.nan, detail=True)


def test_metrics_that_are_not_shown_are_counted(found):
    def last(what=None):
        return results_table(found, what).splitlines()[-1]

    assert "more metric" not in last()
    found.metrics["count"] = replace(found.metrics["count"], detail=True)
    assert last() == "1 more metric: -d all"
    assert "more metric" not in last("all") + last("F")
    found.metrics["error"] = replace(found.metrics["error"], detail=True)
    assert last() == "2 more metrics: -d all"


def test_the_footer_tells_the_marks(found):
    shown = results_table(found)
    for note in (
        "±: standard deviation over tracks",
        "( ): standard deviation over seeds",
        "*: best",
        "b: baseline",
        "o: oracle",
        "fixed: init=random",
    ):
        assert note in shown


def test_numbers_are_aligned(found):
    shown = lines(results_table(found, "F"))
    rule = next(i for i, line in enumerate(shown) if line.startswith("─"))
    block = shown[rule + 1 : rule + 4]
    assert len({line.index("±") for line in block}) == 1
    assert len({line.index(".") for line in block}) == 1


def test_choice_of_metrics(found):
    assert "error [s]" not in results_table(found, "0")
    assert "error [s]" in results_table(found, "1")
    both = results_table(found, "[2,F]")
    header = next(line for line in lines(both) if "count" in line)
    assert header.index("count") < header.index("F")


def test_a_factor_s_modalities_as_columns(found):
    shown = results_table(found, "algorithm:0")
    header = next(line for line in lines(shown) if "algorithm=mu" in line)
    assert header.split("  ")[-1].strip() == "no algorithm"
    assert header.index("algorithm=mu") < header.index("algorithm=cd")
    assert "0.560* ± 0.071 (0.014)" in shown
    by_seed = results_table(found, "seed:F")
    assert "seed=0" in by_seed
    assert "standard deviation over seeds" not in by_seed
    assert "0.550" in by_seed  # mu, seed 0, tracks b and c
    assert "dataset=one" in results_table(found, "dataset:F")


def test_nothing_is_cut_at_a_narrow_terminal(found):
    wide = results_table(found)
    narrow = results_table(found, width=72)
    table = narrow[: narrow.index("±: standard")]
    assert max(map(len, table.splitlines()[2:])) <= 72
    numbers = re.compile(r"\d\.\d{2,}")
    assert sorted(numbers.findall(wide)) == sorted(numbers.findall(narrow))


def test_bold_changes_nothing_else(found):
    bold = results_table(found, color=True)
    assert "\033[1m0.560\033[0m*" in bold
    assert re.sub(r"\033\[\d?m", "", bold) == results_table(found)


METRICS = {
    "F": Metric("F-measure"),
    "error": Metric("distance"),
    "count": Metric("how many"),
    "F_drums": Metric("of one stem", detail=True),
}


@pytest.mark.parametrize(
    ("what", "view"),
    [
        (None, View(("F", "error", "count"))),
        (" ", View(("F", "error", "count"))),
        ("all", View(("F", "error", "count", "F_drums"))),
        ("1", View(("error",))),
        ("[0, 2]", View(("F", "count"))),
        ("error", View(("error",))),
        ("[2,2,0]", View(("count", "F"))),
        ("rank:0", View(("F",), "rank")),
        (" rank : error ", View(("error",), "rank")),
    ],
)
def test_what_to_display(what, view):
    assert choose(what, METRICS, ["rank", "beta"]) == view


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("4", "unknown metric 4: there are 0 F, 1 error, 2 count"),
        ("-1", "unknown metric -1"),
        ("eror", "unknown metric 'eror'"),
        ("true", "unknown metric True"),
        ("rnak:0", "unknown factor 'rnak': there are rank, beta; did you mean 'rank'"),
        ("[0,", "character"),
    ],
)
def test_what_cannot_be_displayed_is_named(what, words):
    with pytest.raises(UsageError, match=words):
        choose(what, METRICS, ["rank", "beta"])


def test_csv_reads_back(found, tmp_path):
    path = tmp_path / "scores.csv"
    assert csv.write(found, path) == len(found.rows) + 1
    with path.open(newline="", encoding="utf-8") as file:
        back = list(standard_csv.DictReader(file))
    assert list(back[0]) == found.column_names()
    for record, line in zip(found.records(), back, strict=True):
        for name, value in record.items():
            if value is None or value != value:
                assert line[name] == ""
            elif isinstance(value, float):
                assert float(line[name]) == value
            else:
                assert line[name] == str(value)
    assert back[-1]["status"] == "the file is empty"
    with pytest.raises(UsageError, match="cannot be written"):
        csv.write(found, tmp_path / "nowhere" / "scores.csv")


def test_the_plan_shows_positions_that_select(found):
    grid = found.grid
    grid.left_out = [LeftOut({}, why, "nmf") for why in ("too slow", "too slow", "no beta 1")]
    shown = plans.plan_text(grid, grid.select("nmf/seed=0"))
    assert "plan nmf · 4 settings" in shown
    assert re.search(r"^1  algorithm  0:mu  1:cd$", shown, re.M)
    assert {s.values["algorithm"] for s in grid.select("nmf/[-1,1]")} == {"cd"}
    assert "selected: 2 of 6 settings" in shown
    assert "left out: 3 settings" in shown
    assert re.search(r"2 × too slow\n +1 × no beta 1", shown)


def test_the_list_selects_what_it_lists(found):
    listed = plans.list_text(found.settings).splitlines()
    assert len(listed) == len(found.settings)
    for line, setting in zip(listed, found.settings, strict=True):
        assert setting in found.grid.select(line.partition("  ")[0])
    assert listed[-1].endswith("  (oracle)")


def test_numbers():
    assert text.number(0.56789) == "0.568"
    assert text.number(-5.126, "dB") == "-5.13"
    assert text.number(math.nan) == "–"
    assert text.number(math.inf, "dB") == "inf"
    assert [text.size(n) for n in (0, 999, 1000, 123456, 1.5e9)] == [
        *("0 B", "999 B", "1 kB", "123 kB", "1.5 GB"),
    ]
    assert [text.duration(s) for s in (0.04, 42, 180, 9000)] == ["0.0 s", "42 s", "3 min", "2.5 h"]


def test_a_run_is_told_in_one_line():
    tally = SimpleNamespace(computed={"nmf.factorize": 4, "features.v": 0}, timed={})
    report = SimpleNamespace(computed=0, reused=96, failures=[], seconds=1.234, tally=tally)
    assert runs.outcome(report) == "computed 0, reused 96 in 1.2 s: 4 nmf.factorize"
    report.failures = [
        (0, "one", "a", "no\nsound"),
        (1, "one", "a", "no\nsound"),
        (1, "two", "", "?"),
    ]
    settings = [SimpleNamespace(text=MU), SimpleNamespace(text=CD)]
    assert "failed 3" in runs.outcome(report)
    assert runs.failures(report, settings) == [
        "failed: no sound (2 settings on one/a)",
        f"failed: ? ({CD} on two)",
    ]
    report.failures = [(0, "one", track, "no sound") for track in "abcde"]
    assert runs.failures(report, settings) == [
        f"failed: no sound ({MU} on one/a, one/b, one/c and 2 more tracks)"
    ]
