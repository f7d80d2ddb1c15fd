"""The long table as a csv file."""

import csv
import math
from pathlib import Path

from nmfab.base.errors import UsageError
from nmfab.plan.selector import format_value


def write(results, path):
    """Write the long table: one line per setting and track, under one header line.

    The columns are those of `Results.to_frame`. A factor that a setting does not read and a metric
    that is not defined are empty; ``status`` is ``done``, or why there is no result.

    Parameters
    ----------
    results : Results
        The scores.
    path : path
        The file, overwritten.

    Returns
    -------
    int
        The number of lines below the header.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    names = results.column_names()
    try:
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            written = 0
            for record in results.records():
                writer.writerow({name: _plain(value) for name, value in record.items()})
                written += 1
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return written


def _plain(value):
    """Return a value as a csv field: text as it is, numbers in full, true, false."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, str) else format_value(value)
