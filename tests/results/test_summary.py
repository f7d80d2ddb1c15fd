"""The model of a table: equality where there is no number, the best, lines about datasets."""

import math
from dataclasses import fields, replace

import pytest

from nmfab.report.verify import Check
from nmfab.results.summary import Block, Cell, Comparison, Row, Summary

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
