"""The long table as csv and as a frame: a line per setting and track, numbers in full."""

import csv as standard_csv
import math

import pytest
from scored import MU, datasets, results  # noqa: F401 - a fixture

from nmfab.plan.selector import format_value
from nmfab.report import csv

HARD = [0.1 + 0.2, 1e-300, 1 / 3, -12345678.9, 5e20, 0.0, 2.0]


def lines_of(found, path):
    csv.write(found, path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(standard_csv.DictReader(file))


@pytest.fixture
def found():
    plan = {"algorithm": ["mu"], "init": ["random", "nndsvda"], "seed": [0, 1]}
    rest = {"dataset": ["one"], "row": ["regular", "oracle"]}
    text = "dataset=one,algorithm=mu,init={}"
    table = {
        text.format("random,seed=1"): {
            f't{i}, "{i}"': {"F": v, "error": -v, "count": i} for i, v in enumerate(HARD)
        },
        text.format("nndsvda"): {"é": {"F": math.inf, "error": math.nan}},
        "dataset=one,row=regular": {"a": {"F": 0.5, "error": 1, "count": 2}},
    }
    lost = ("dataset=one,row=oracle", "one", None, 'no "notes", and\nno beats')
    return results(table, plan, [lost], rest=rest)


def test_every_result_is_a_line_in_full(found, tmp_path):
    lines = lines_of(found, tmp_path / "scores.csv")
    assert len(lines) == len(found.rows) + len(found.missing) == len(HARD) + 3
    for line, (setting, dataset, track, scores) in zip(lines, found.rows, strict=False):
        assert (line["dataset"], line["track"], line["status"]) == (dataset, track, "done")
        assert line["kind"] == setting.kind
        for name in found.grid.factors:
            value = setting.values.get(name)
            shown = value if isinstance(value, str) else format_value(value)
            assert line[name] == ("" if value is None else shown)
        for name in found.metrics:
            value = scores.get(name, math.nan)
            assert line[name] == "" if math.isnan(value) else float(line[name]) == value


def test_kinds_and_reasons_stand_in_the_file(found, tmp_path):
    lines = lines_of(found, tmp_path / "scores.csv")
    assert [line["kind"] for line in lines[-3:]] == ["", "baseline", "oracle"]
    assert lines[-1]["status"] == 'no "notes", and\nno beats'
    assert lines[-1]["track"] == lines[-1]["F"] == ""
    frame = found.to_frame()
    assert list(frame["kind"][-3:]) == ["", "baseline", "oracle"]
    assert list(frame["F"][: len(HARD)]) == HARD
    assert list(frame) == list(lines[0])


def test_seconds_are_a_column_where_they_are_given(tmp_path):
    from nmfab.results.table import Results

    found = results({MU: {"a": 0.5, "b": 0.25}})
    given = Results(found.task, found.grid, found.settings, found.rows, (), [1.5, math.nan], "x")
    lines = lines_of(given, tmp_path / "scores.csv")
    assert [line["seconds"] for line in lines] == ["1.5", ""]
    assert "seconds" not in lines_of(found, tmp_path / "scores.csv")[0]
