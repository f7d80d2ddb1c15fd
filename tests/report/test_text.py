"""Digits, sizes, durations, modalities and columns."""

import math

import hypothesis
import hypothesis.strategies as st
import pytest

from nmfab.report import text

FINITE = st.floats(-(10**6) + 1, 10**6 - 1)


@hypothesis.given(FINITE)
def test_a_ratio_has_three_decimals_and_a_number_with_a_unit_two(value):
    for unit, decimals in (("", 3), ("dB", 2), ("s", 2)):
        shown = text.number(value, unit)
        assert len(shown.partition(".")[2]) == decimals
        assert abs(float(shown) - value) <= 0.5 * 10**-decimals + 1e-9


@hypothesis.given(st.floats(1e6, 1e300) | st.floats(-1e300, -1e6))
def test_a_huge_number_has_three_digits(value):
    shown = text.number(value)
    assert math.isclose(float(shown), value, rel_tol=5.1e-3)
    assert len(shown) <= 10


@hypothesis.given(st.floats(0, 1e14))
def test_a_size_is_of_three_digits_and_the_nearest_unit(number):
    shown, unit = text.size(number).split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert abs(float(shown) * factor - number) <= max(0.5, 5.1e-3 * number)
    assert unit in ("TB", "B") or 1 <= float(shown) < 1000


@hypothesis.given(st.floats(0, 1e7))
def test_a_duration_is_rounded_in_its_unit(seconds):
    shown, unit = text.duration(seconds).split()
    factor, half = {"s": (1, 0.5), "min": (60, 30), "h": (3600, 180)}[unit]
    half = 0.05 if "." in shown and unit == "s" else half
    assert abs(float(shown) * factor - seconds) <= half + 1e-6
    assert unit == "h" or float(shown) < 100


DURATIONS = [
    *((0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (99.4, "99 s"), (99.6, "2 min")),
    *((5940, "99 min"), (5999, "1.7 h"), (36000, "10.0 h")),
]


@pytest.mark.parametrize(("seconds", "shown"), DURATIONS)
def test_durations(seconds, shown):
    assert text.duration(seconds) == shown


MODALITIES = [
    *(({}, "–"), ({"f": None}, "–"), ({"f": 0}, "0"), ({"f": False}, "false")),
    *(({"f": "1"}, "1"), ({"f": "a b"}, "a b"), ({"f": 0.5}, "0.5"), ({"f": [1, 2]}, "[1, 2]")),
]


@pytest.mark.parametrize(("values", "shown"), MODALITIES)
def test_a_modality_that_is_absent_is_a_dash_and_zero_is_not(values, shown):
    assert text.modality(values, "f") == shown


def test_counts():
    assert [text.count(n, "track") for n in (0, 1, 2)] == ["0 tracks", "1 track", "2 tracks"]


CELLS = st.text("ab1.–", max_size=6)


@hypothesis.given(st.integers(1, 4), st.data())
def test_columns_are_aligned_left_or_right_and_as_wide_as_said(number, data):
    row = st.lists(CELLS, min_size=number, max_size=number)
    header, rows = data.draw(row), data.draw(st.lists(row, max_size=4))
    right = data.draw(st.sets(st.integers(0, number - 1)))
    head, rule, *lines = text.columns(header, rows, right)
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(number)]
    assert text.width_of(header, rows) == sum(widths) + 2 * (number - 1)
    assert rule.strip() == "  ".join("─" * w for w in widths).strip()
    for shown, cells in zip([head, *lines], [header, *rows], strict=True):
        at = 0
        padded = shown.ljust(200)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            place = padded[at : at + width]
            assert place == (cell.rjust(width) if i in right else cell.ljust(width))
            at += width + 2
