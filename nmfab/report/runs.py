"""What a run did, why artifacts are computed, what there is: as text."""

from nmfab.plan.selector import format_value
from nmfab.report import text
from nmfab.report.text import duration, size
from nmfab.results.summary import absent_lines

__all__ = [
    "check_line",
    "check_summary",
    "explanation",
    "failures",
    "information",
    "outcome",
    "size",
    "tracks_text",
]

_VERDICTS = {True: "ok", False: "FAILED", None: "not applicable"}


def information(experiment, states):
    """Return what ``-i`` shows: task, parameters, metrics, datasets.

    Parameters
    ----------
    experiment : Experiment
        Whose task is described.
    states : dict
        Dataset and its `Status`.
    """
    task = experiment.task
    summary = (task.__doc__ or "").strip().partition("\n")[0]
    lines = [
        experiment.title,
        f"task {task.name}: {summary}",
        f"plans: {', '.join(experiment.grid.plans)}",
    ]
    lines += ["", *_parameters(task, experiment.grid.fixed)]
    rows = [
        [str(i), name, metric.unit, metric.help]
        for i, (name, metric) in enumerate(task.metrics.items())
    ]
    lines += ["", *text.columns(["", "metric", "unit", "meaning"], rows, right={0})]
    rows = [[name, status.state, status.message] for name, status in states.items()]
    if rows:
        lines += ["", *text.columns(["dataset", "state", ""], rows)]
    return "\n".join([*lines, "", f"cache: {experiment.cache / experiment.name}"])


def _parameters(task, fixed):
    rows = []
    for name, param in task.params.items():
        choices = " ".join(format_value(c) for c in param.choices) if param.choices else ""
        value = format_value(fixed.get(name, param.default))
        rows.append([name, value, choices, param.help])
    return text.columns(["parameter", "value", "choices", "meaning"], rows)


def tracks_text(units, absent, cost):
    """Return what ``-p`` shows of a selection: tracks, what exists, what the rest will cost.

    Parameters
    ----------
    units : list of nmfab.run.unit.Unit
        All that can be computed.
    absent : dict of str to Absent
        The datasets that are not on this machine.
    cost : nmfab.run.explain.Forecast
        What exists and what the rest will cost.
    """
    found = {}
    for unit in units:
        found.setdefault(unit.dataset, set()).add(unit.track)
    shown = [f"{dataset} {len(tracks)}" for dataset, tracks in found.items()]
    lines = [f"tracks: {', '.join(shown)}"] if shown else []
    if absent:
        number = text.count(sum(item.settings for item in absent.values()), "setting")
        lines.append(f"without data: {number}, {'; '.join(absent_lines(absent))}")
    return "\n".join(lines + _cost(cost))


def _cost(cost):
    """Return what exists, and what the rest will take."""
    total = cost.existing + cost.missing
    lines = [
        f"exists: {cost.existing} of {text.count(total, 'result')} (a setting on a track); "
        f"{size(cost.used)} on disk"
    ]
    if not cost.missing:
        return [*lines, "to compute: nothing"]
    nodes = ", ".join(f"{number} {name}" for name, number in cost.to_compute.items())
    lines.append(f"to compute: {nodes or 'nothing that can be computed'}")
    known = [name for name in cost.to_compute if name not in cost.unknown]
    if known:
        lines.append(f"expected: {duration(cost.seconds)} on one process, {size(cost.bytes)}")
    if cost.unknown:
        lines.append(f"cost not known before one is computed: {', '.join(cost.unknown)}")
    return lines


def outcome(report):
    """Return the last line of a run: ``computed 0, reused 96``.

    Parameters
    ----------
    report : nmfab.run.runner.Report
        What the run did.
    """
    line = f"computed {report.computed}, reused {report.reused}"
    if report.failures:
        line += f", failed {len(report.failures)}"
    line += f" in {duration(report.seconds)}"
    made = _counted(report.tally.computed) + _counted(report.tally.timed, "timed ")
    return f"{line}: {', '.join(made)}" if made else line


def _counted(nodes, word=""):
    return [f"{word}{number} {name}" for name, number in nodes.items() if number]


def failures(report, settings, most=3):
    """Return a line per reason for which something failed, with the settings and tracks it met.

    Parameters
    ----------
    report : nmfab.run.runner.Report
        What the run did.
    settings : list of Setting
        The selection that the run was given.
    most : int
        How many tracks are named; the others are counted.
    """
    met = {}
    for index, dataset, track, reason in report.failures:
        place = f"{dataset}/{track}" if track else dataset
        places, indices = met.setdefault(" ".join(reason.split()), ({}, {}))
        places[place] = indices[index] = None
    lines = []
    for reason, (places, indices) in met.items():
        named = ", ".join(list(places)[:most])
        more = f" and {len(places) - most} more tracks" if len(places) > most else ""
        which = settings[min(indices)].text if len(indices) == 1 else f"{len(indices)} settings"
        lines.append(f"failed: {reason} ({which} on {named}{more})")
    return lines


def explanation(lines):
    """Return what ``--explain`` shows.

    Parameters
    ----------
    lines : list of nmfab.run.explain.Line
        Node, action, reason, count and an example each.
    """
    rows = [[line.node, line.action, str(line.count), line.reason, line.example] for line in lines]
    return "\n".join(text.columns(["node", "", "number", "why", "e.g."], rows, right={2}))


def check_line(component, check, passed, detail):
    """Return the line of one check of one component.

    Parameters
    ----------
    component, check : str
        Names.
    passed : bool or None
        None where the check asserted nothing.
    detail : str
        What was seen, or why not.
    """
    word = _VERDICTS[passed]
    line = f"{word:<14}  {component}  {check}"
    return f"{line}: {detail}" if detail and detail != word else line


def check_summary(verdicts):
    """Return the last line of ``nmfab check``: how many checks failed, and which.

    Parameters
    ----------
    verdicts : list of (str, str, bool or None, str)
        As `check_line` takes them.
    """
    failed = [f"{component} {check}" for component, check, passed, _ in verdicts if passed is False]
    idle = sum(passed is None for _, _, passed, _ in verdicts)
    more = f", {idle} not applicable" if idle else ""
    total = len(verdicts) - idle
    if failed:
        return f"{len(failed)} of {text.count(total, 'check')} failed{more}: {', '.join(failed)}"
    return f"all checks passed ({total}){more}" if total else f"no check passed{more}"
