"""The model of a table: equality where there is no number, the best, lines about datasets."""

import math
from dataclasses import fields, replace

import hypothesis
import hypothesis.strategies as st
import pytest

from nmfab.report.verify import Check
from nmfab.results.summary import (
    Absent,
    Block,
    Cell,
    Comparison,
    Row,
    Summary,
    absent_lines,
    mark_best,
)
from nmfab.tasks import Metric

NAN = [math.nan, float("nan")]  # two objects


def made(kind, nan):
    row = Row({"rank": 1}, [], cells={"F": Cell(deviation=nan)})
    if kind is Block:
        return Block("one", None, [row], ["a"], [])
    if kind is Summary:
        return Summary({}, ["rank"], {}, None, [Block("one", None, [row], ["a"], [])])
    return {
        Cell: Cell(0.5, nan, nan, 1),
        Row: row,
        Comparison: Comparison(row, 3, -0.5, nan, "3 tracks"),
        Check: Check(None, "row", "F", nan, 0.5, 10),
    }[kind]


@pytest.mark.parametrize("kind", [Cell, Row, Block, Summary, Comparison, Check])
def test_without_a_number_they_are_equal_to_themselves_and_to_others_alike(kind):
    one, two = (made(kind, nan) for nan in NAN)
    assert one == one
    assert one == two
    assert [one] == [two]
    assert two in [one]
    assert one != made(kind, 0.25)
    assert made(kind, 0.25) != one


@pytest.mark.parametrize("field", [field.name for field in fields(Cell)])
def test_cells_that_differ_in_one_field_are_not_equal(field):
    cell = Cell(0.5, 0.25, 0.125, 3, 1, best=True)
    assert replace(cell, **{field: 7}) != cell
    assert cell != (0.5, 0.25, 0.125, 3, 1, True)


def absent(**nowhere):
    return {name: Absent(1, f"{name}: get it", away) for name, away in nowhere.items()}


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({}, []),
        ({"one": True}, ["one: get it"]),
        ({"one": False, "two": False}, ["one: get it", "two: get it"]),
        ({"one": True, "two": False}, ["one: get it", "two: get it"]),
        ({"a": True, "b": True}, ["datasets a, b: not on this machine; "]),
        ({"a": True, "b": False, "c": True}, ["datasets a, c: not on this machine; ", "b: get it"]),
    ],
)
def test_datasets_without_a_folder_share_a_line_and_others_say_what_they_lack(given, lines):
    found = absent_lines(absent(**given))
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))


LEVELS = st.lists(st.integers(-5, 5), min_size=2, max_size=6)


@hypothesis.given(LEVELS, st.booleans(), st.data())
def test_the_best_are_the_ordinary_rows_at_the_extreme_and_no_others(levels, higher, data):
    kinds = [data.draw(st.sampled_from(["", "", "baseline", "oracle"])) for _ in levels]
    # a difference of a millionth is one, that of rounding is none
    noise = [data.draw(st.sampled_from([0, 1e-16, 1e-6])) for _ in levels]
    means = [level * (1 + extra) for level, extra in zip(levels, noise, strict=True)]
    rows = [Row({}, [], kind, cells={"F": Cell(m)}) for m, kind in zip(means, kinds, strict=True)]
    mark_best(rows, "F", Metric("a metric", higher_is_better=higher))
    ordinary = [row.cells["F"].mean for row in rows if not row.kind]
    for row in rows:
        cell = row.cells["F"]
        rank = [abs(m - cell.mean) > 1e-10 and (m > cell.mean) == higher for m in ordinary]
        assert cell.best == (not row.kind and len(ordinary) > 1 and not any(rank))
