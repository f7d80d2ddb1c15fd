"""A summary as text: one table per dataset and protocol, and the notes that it needs."""

import math
import re

from nmfab.report import text
from nmfab.report.view import choose

_BOLD, _PLAIN = "\033[1m", "\033[0m"
_MARKS = {"baseline": "b", "oracle": "o"}
_MOST_NAMES = 2


def results_table(results, what=None, *, width=None, color=False):
    """Return the table of results that ``-d`` shows.

    Parameters
    ----------
    results : Results
        The scores.
    what : str, optional
        See `nmfab.report.view.choose`.
    width : int, optional
        Of the terminal, in characters; no limit where None. Nothing is cut: metrics that do not
        fit beside the others follow in a further table.
    color : bool
        Show the best values in bold.

    Returns
    -------
    str
    """
    view = choose(what, results.metrics, results.grid.factors)
    across = None if view.pivot == "seed" else "seed"
    shown = table(results.summary(view.metrics, across), view, width=width, color=color)
    more = len(results.metrics) - len(view.metrics)
    if "seconds" in view.metrics and results.seconds_note:
        shown = f"{shown}\n{results.seconds_note}"
    return f"{shown}\n{text.count(more, 'more metric')}: -d all" if more and not what else shown


def table(summary, view, *, width=None, color=False):
    """Return a summary as text.

    Parameters
    ----------
    summary : Summary
        What to show.
    view : View
        Which metrics, and the factor whose modalities are columns if there is one.
    width, color
        See `results_table`.

    Returns
    -------
    str
    """
    if view.pivot:
        sections = _pivoted(summary, view)
    else:
        sections = [_section(summary, block, view.metrics) for block in summary.blocks]
    lines = []
    for title, header, rows, labels in sections:
        lines += [title, ""]
        for part in _fit(header, rows, labels, width):
            lines += [*_aligned(*part, labels), ""]
    found = "\n".join(lines + _notes(summary, view))
    return re.sub(r"(-?[\d.]+)\*", rf"{_BOLD}\1{_PLAIN}*", found) if color else found


def _section(summary, block, metrics):
    """Return title, header, rows and the number of label columns of one block."""
    names = summary.columns
    marked = any(row.kind for row in block.rows)
    header = ([""] if marked else []) + names
    rows = [
        ([_MARKS.get(row.kind, "")] if marked else [])
        + [text.modality(row.values, n) for n in names]
        for row in block.rows
    ]
    if summary.folded:
        header.append(f"{summary.folded}s")
        for cells, row in zip(rows, block.rows, strict=True):
            cells.append(_seeds(row, summary.folded))
    labels = len(header)
    for name in metrics:
        header.append(_title(name, summary.metrics[name]))
        column = _column([row.cells[name] for row in block.rows], summary.metrics[name].unit)
        for cells, shown in zip(rows, column, strict=True):
            cells.append(shown)
    if any(row.missing for row in block.rows):
        header.append("missing")
        for cells, row in zip(rows, block.rows, strict=True):
            cells.append(str(sum(row.missing.values()) or ""))
    return _block_title(block), header, rows, labels


def _pivoted(summary, view):
    """Return sections with one metric, the modalities of a factor as columns."""
    name, factor = view.metrics[0], view.pivot
    metric = summary.metrics[name]
    groups = {}
    for block in summary.blocks:
        place = (None if factor == "dataset" else block.dataset, block.protocol)
        groups.setdefault(place, []).append(block)
    sections = []
    for blocks in groups.values():
        columns = [n for n in summary.columns if n != factor]
        every = [row for block in blocks for row in block.rows]
        modalities = list(dict.fromkeys(text.modality(row.values, factor) for row in every))
        modalities.sort(key=lambda shown: shown == text.ABSENT)
        lines = {}
        for row in every:
            key = (_MARKS.get(row.kind, ""), *(text.modality(row.values, n) for n in columns))
            lines.setdefault(key, {})[text.modality(row.values, factor)] = row.cells[name]
        marked = any(key[0] for key in lines)
        header = ([""] if marked else []) + columns
        rows = [list(key if marked else key[1:]) for key in lines]
        labels = len(header)
        for shown in modalities:
            header.append(f"{factor}={shown}" if shown != text.ABSENT else f"no {factor}")
            column = _column([line.get(shown) for line in lines.values()], metric.unit)
            for cells, cell in zip(rows, column, strict=True):
                cells.append(cell)
        title = f"{_title(name, metric)} · " + "; ".join(_block_title(b) for b in blocks)
        sections.append((title, header, rows, labels))
    return sections


def _column(cells, unit):
    """Return the cells of one metric, their parts aligned under each other."""
    parts = []
    for cell in cells:
        if cell is None or math.isnan(cell.mean):
            parts.append((text.ABSENT if cell is not None else "", "", "", False))
            continue
        deviation = "" if math.isnan(cell.deviation) else text.number(cell.deviation, unit)
        spread = "" if math.isnan(cell.spread) else f"({text.number(cell.spread, unit)})"
        parts.append((text.number(cell.mean, unit), deviation, spread, cell.best))
    wide = [max(len(part[i]) for part in parts) for i in range(3)]
    star = any(part[3] for part in parts)
    shown = []
    for mean, deviation, spread, best in parts:
        found = mean.rjust(wide[0]) + ("*" if best else " " * star)
        if wide[1]:
            found += f" ± {deviation:>{wide[1]}}" if deviation else " " * (wide[1] + 3)
        if wide[2]:
            found += f" {spread:>{wide[2]}}"
        shown.append(found)
    return shown


def _fit(header, rows, labels, width):
    """Split the columns after the labels over as many tables as the width asks for."""
    if width is None or text.width_of(header, rows) <= width or len(header) <= labels + 1:
        return [(header, rows)]
    parts, taken = [], []
    for column in range(labels, len(header)):
        wanted = [*range(labels), *taken, column]
        picked = _pick(header, rows, wanted)
        if taken and text.width_of(*picked) > width:
            parts.append(_pick(header, rows, [*range(labels), *taken]))
            taken = []
        taken.append(column)
    return [*parts, _pick(header, rows, [*range(labels), *taken])]


def _pick(header, rows, columns):
    return [header[i] for i in columns], [[row[i] for i in columns] for row in rows]


def _aligned(header, rows, labels):
    right = {
        i for i in range(labels) if all(_is_number(row[i]) or row[i] == text.ABSENT for row in rows)
    }
    return text.columns(header, rows, right)


def _is_number(shown):
    try:
        float(shown)
    except ValueError:
        return False
    return True


def _title(name, metric):
    return f"{name} [{metric.unit}]" if metric.unit else name


def _block_title(block):
    parts = [str(block.dataset)]
    if block.protocol is not None:
        parts.append(block.protocol)
    parts.append(text.count(len(block.tracks), "track"))
    if block.left_out:
        parts.append(f"{len(block.left_out)} left out: some rows have no result for them")
    return " · ".join(parts)


def _seeds(row, folded):
    if not any(folded in setting.values for setting in row.settings):
        return text.ABSENT
    total = len(row.settings)
    return str(total) if row.seeds == total else f"{row.seeds}/{total}"


def _notes(summary, view):
    """Return the lines under the tables."""
    rows = [row for block in summary.blocks for row in block.rows]
    cells = [row.cells[name] for row in rows for name in view.metrics]
    notes = []
    if any(not math.isnan(cell.deviation) for cell in cells):
        notes.append("±: standard deviation over tracks")
    if any(not math.isnan(cell.spread) for cell in cells):
        notes.append(f"( ): standard deviation over {summary.folded}s of the mean")
    if any(cell.best for cell in cells):
        notes.append("*: best")
    kinds = {row.kind for row in rows}
    notes += [f"{mark}: {kind}" for kind, mark in _MARKS.items() if kind in kinds]
    lines = [" · ".join(notes)] if notes else []
    if summary.fixed:
        lines.append(f"fixed: {text.pairs(summary.fixed)}")
    for block in summary.blocks:
        lines += [f"{block.dataset}: {note}" for note in block.notes]
        for name in view.metrics:
            if name != "seconds":  # a row without a factorization has none, and needs no excuse
                lines += _undefined(summary, block, name)
    return [*lines, *_missing(rows), *(f"left out: {line}" for line in summary.absent)]


def _undefined(summary, block, name):
    """Tell which rows have no number for a metric on tracks that they have a result for."""
    without, partly = [], []
    for row in block.rows:
        if row.cells[name].undefined:
            whole = row.cells[name].undefined == len(block.tracks)
            (without if whole else partly).append(row)
    lines = []
    if without and not (summary.metrics[name].detail and len(without) == len(block.rows)):
        lines.append(f"{name} on {block.dataset}: no number for {_labels(summary, without)}")
    if partly:
        used = max(row.cells[name].tracks for row in block.rows)
        lines.append(
            f"{name} on {block.dataset} is over {used} of "
            f"{text.count(len(block.tracks), 'track')}: no number on some for "
            f"{_labels(summary, partly)}"
        )
    return lines


def _labels(summary, rows):
    shown = "; ".join(_label(summary, row) for row in rows[:_MOST_NAMES])
    return f"{shown}; and {len(rows) - _MOST_NAMES} more" if len(rows) > _MOST_NAMES else shown


def _label(summary, row):
    names = [n for n in summary.columns if n in row.values]
    return text.pairs({name: row.values[name] for name in names}) or row.kind or "the row"


def _missing(rows):
    """Return a line per reason why results are missing."""
    reasons = {}
    for row in rows:
        for reason, number in row.missing.items():
            reasons[reason] = reasons.get(reason, 0) + number
    return [f"{text.count(n, 'result')} missing: {reason}" for reason, n in reasons.items()]
