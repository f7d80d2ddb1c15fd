"""A table with the modalities of a factor as columns: no row, mark or number is lost."""

import itertools
import re

import pytest
from scored import datasets, results  # noqa: F401 - a fixture

from nmfab.report import text
from nmfab.report.terminal import results_table

MARKS = {"": "", "baseline": "b", "oracle": "o"}


@pytest.fixture
def found():
    """Every row kind, on two datasets; each row has a number of its own."""
    plan = {"dataset": ["one", "two"], "algorithm": ["mu", "cd"], "init": ["random", "nndsvda"]}
    rest = {"dataset": ["one", "two"], "row": ["regular", "oracle"]}
    made = results({}, plan, rest=rest)
    level = itertools.count(1)
    table = {
        s.text: {t: {"F": i + d, "error": 1.0, "count": 2} for t, d in (("a", 0), ("b", 0.5))}
        for s, i in zip(made.settings, level, strict=False)
    }
    return results(table, plan, rest=rest)


def sections(shown, factor):
    """Return per title the header and the lines of cells of a pivoted table."""
    found, lines = {}, shown.splitlines()
    for rule, line in enumerate(lines):
        if line.startswith("─"):
            starts = [m.start() for m in re.finditer("─+", line)] + [10**6]
            cut = [slice(a, b) for a, b in itertools.pairwise(starts)]
            rows = itertools.takewhile(str.strip, lines[rule + 1 :])
            found[lines[rule - 3]] = (
                [lines[rule - 1][part].strip() for part in cut],
                [[row[part].strip() for part in cut] for row in rows],
            )
    return found


@pytest.mark.parametrize("factor", ["algorithm", "init", "row", "dataset"])
def test_every_row_has_its_cell_beside_its_mark_and_labels(found, factor):
    summary = found.summary(["F"])
    shown = sections(results_table(found, f"{factor}:F"), factor)
    seen = 0
    for block in summary.blocks:
        titles = [title for title in shown if factor == "dataset" or f" {block.dataset} " in title]
        (title,) = titles
        header, lines = shown[title]
        for row in block.rows:
            modality = text.modality(row.values, factor)
            column = header.index(f"{factor}={modality}" if modality != "–" else f"no {factor}")
            labels = [text.modality(row.values, n) for n in summary.columns if n != factor]
            own = [line for line in lines if line[: 1 + len(labels)] == [MARKS[row.kind], *labels]]
            assert len(own) == 1, (row.values, lines)
            assert own[0][column].split()[0].rstrip("*") == f"{row.cells['F'].mean:.3f}"
            assert ("*" in own[0][column]) == row.cells["F"].best
            seen += 1
    assert seen == len(found.settings) == 12


@pytest.mark.parametrize("factor", ["algorithm", "init", "row", "dataset"])
def test_marks_are_told_below(found, factor):
    shown = results_table(found, f"{factor}:F")
    assert "b: baseline" in shown
    assert "o: oracle" in shown


def test_a_pivoted_table_of_ordinary_rows_has_no_column_of_marks(found):
    nmf = results({}, {"algorithm": ["mu", "cd"], "init": ["random", "nndsvda"]})
    nmf = results({s.text: {"a": 0.5} for s in nmf.settings}, {"algorithm": ["mu", "cd"]} | INIT)
    ((header, lines),) = sections(results_table(nmf, "algorithm:F"), "algorithm").values()
    assert header == ["init", "algorithm=mu", "algorithm=cd"]
    assert [line[0] for line in lines] == ["random", "nndsvda"]
    assert "baseline" not in results_table(nmf, "algorithm:F")


INIT = {"init": ["random", "nndsvda"]}


def test_what_has_no_factor_comes_last_and_an_empty_place_is_empty():
    plan = {"row": ["regular"], "dataset": ["one"]}
    rest = {"dataset": ["one"], "algorithm": ["mu"], "init": ["random"]}
    more = {"dataset": ["one"], "algorithm": ["cd"], "init": ["random", "nndsvda"]}
    made = results({}, plan, rest=rest, more=more)
    made = results({s.text: {"a": 0.5} for s in made.settings}, plan, rest=rest, more=more)
    ((header, lines),) = sections(results_table(made, "algorithm:F"), "algorithm").values()
    assert header[-3:] == ["algorithm=mu", "algorithm=cd", "no algorithm"]
    by_init = {line[header.index("init")]: line[-3:] for line in lines if not line[0]}
    assert by_init["nndsvda"] == ["", "0.500*", ""]  # mu was not asked for there
    assert by_init["random"] == ["0.500*", "0.500*", ""]
