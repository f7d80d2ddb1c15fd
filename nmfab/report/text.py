"""Numbers, modalities and aligned columns as text."""

import math

from nmfab.plan.selector import format_value

ABSENT = "–"


def number(value, unit=""):
    """Return a number with three decimals for a ratio and two for a unit; ``–`` for NaN."""
    if math.isnan(value):
        return ABSENT
    return f"{value:.3g}" if abs(value) >= 1e6 else f"{value:.{2 if unit else 3}f}"


def modality(values, factor):
    """Return the modality of a factor, ``–`` where it is absent or null."""
    value = values.get(factor)
    return ABSENT if value is None else format_value(value).strip('"')


def pairs(values):
    """Return ``name=value, name=value``."""
    return ", ".join(f"{name}={format_value(value)}" for name, value in values.items())


def count(number, noun):
    """Return ``1 track``, ``3 tracks``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(number):
    """Return a number of bytes as ``12.3 MB`` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return (
                f"{number:.0f} {unit}" if unit == "B" or number >= 99.5 else f"{number:.3g} {unit}"
            )
        number /= 1000
    return f"{number:.3g} TB"


def duration(seconds):
    """Return seconds as ``0.8 s``, ``42 s``, ``3 min``, ``2.5 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def columns(header, rows, right=()):
    """Return lines of aligned columns under a header and a rule.

    Parameters
    ----------
    header : list of str
        One title per column.
    rows : list of list of str
        The cells.
    right : collection of int
        Columns that are aligned on the right.
    """
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]

    def line(row):
        cells = [
            text.rjust(width) if i in right else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return [line(header), rule, *map(line, rows)]


def width_of(header, rows):
    """Return how many characters wide `columns` makes a table."""
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return sum(widths) + 2 * (len(widths) - 1)
