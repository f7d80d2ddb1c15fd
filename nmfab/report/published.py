"""Published figures as text: beside the user's rows, and as implementation checks."""

import math

from nmfab.plan.selector import format_terms
from nmfab.report import text
from nmfab.results import published


def published_text(results):
    """Return the published tables that may stand beside results, and why others may not.

    Parameters
    ----------
    results : Results
        Of the selection.

    Returns
    -------
    str
        Per dataset and protocol of the selection the tables with its protocol; a line per table
        with another one.
    """
    task, lines, seen = results.task, [], set()
    for setting in results.settings:
        dataset, parameters = setting.parameters["dataset"], setting.parameters
        parameters = parameters | task.protocol_of(parameters)  # the usual annotator by name
        for table in published.tables(task.name, dataset):
            fits = table.comparable(dataset, parameters)
            if (table.title, fits) not in seen:
                seen.add((table.title, fits))
                lines += _table(table) if fits else _other(table)
    if not lines:
        return f"no figure is published for {task.name} on what is selected"
    return "\n".join(lines)


def _table(table):
    columns = [name for name in table.columns if any(name in row.values for row in table.rows)]
    header = ["published", *(f"{name} [{table.unit}]" if table.unit else name for name in columns)]
    rows = [
        [row.name, *(text.number(row.values.get(name, math.nan), table.unit) for name in columns)]
        for row in table.rows
        if row.values
    ]
    right = set(range(1, len(header)))
    return [table.title, "", *text.columns(header, rows, right), "", _source(table), ""]


def _source(table):
    return (
        f"{table.statistic} over {table.tracks} tracks; {table.source}; {table.confidence}: "
        f"{published.CONFIDENCE[table.confidence]}"
    )


def _other(table):
    terms = format_terms(table.protocol).replace(",", ", ")
    return [f"published with another protocol, not to be compared: {table.title} ({terms})"]


def checks_text(checks):
    """Return what ``nmfab verify`` shows.

    Parameters
    ----------
    checks : sequence of nmfab.report.verify.Check
        At least one.

    Returns
    -------
    str
    """
    unit = checks[0].table.unit
    header = ["row", "metric", "published", "here", "difference", ""]
    rows = [
        [
            check.row,
            check.metric,
            text.number(check.published, unit),
            text.number(check.here, unit),
            text.number(check.here - check.published, unit),
            check.verdict,
        ]
        for check in checks
    ]
    tables = {check.table.title: check.table for check in checks}
    notes = [line for table in tables.values() for line in (table.title, _source(table))]
    return "\n".join([*text.columns(header, rows, right={2, 3, 4}), "", *notes])
