"""The command line of an experiment, in doce's letters."""

import argparse
import atexit
import gc
import json
import os
import shutil
import sys
from pathlib import Path

from nmfab import __version__
from nmfab.base.errors import UsageError
from nmfab.base.types import STAGES
from nmfab.cli.common import check_folders, complain, positive, say, status_of

_PLUGIN = "load algorithms, datasets and steps from this file"
_DATA = "folder to look for datasets in, before $NMFAB_DATA"
_SELECTORS = """\
selectors (-s), all of the same settings:
  '{"beta":[1,2],"dataset":"rwcpop"}'     factors and modalities
  '<"beta":[1,2],"dataset":"rwcpop">'     the same
  'beta=1+2,dataset=rwcpop'               the same; text that holds + , : = / is quoted
  '[0,[1,2]]'                             by position, -1 for every modality
  'PLAN/beta=1'                           of one plan only
A list of selectors means any of them. Baselines and oracles
without a factor that the selector names stay selected.

exit status: 0 done, 1 something failed, 2 wrong usage, 130 interrupted
"""


def build_parser(experiment):
    """Return the argument parser of an experiment."""
    parser = argparse.ArgumentParser(
        description=experiment.title,
        epilog=_SELECTORS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument_group("what to do (in this order)").add_argument
    add("-i", "--information", action="store_true", help="show task, parameters, metrics, datasets")
    add(
        "-p",
        "--plan",
        action="store_true",
        help="show factors and settings, what exists, what the rest costs",
    )
    add("-l", "--list", action="store_true", help="list the settings, one per line")
    add("--explain", action="store_true", help="say why each artifact would be computed or reused")
    add("-R", "--remove", action="store_true", help="remove the selection's artifacts (asks first)")
    add(
        "-c",
        "--compute",
        nargs="?",
        const=1,
        type=positive,
        metavar="N",
        help="compute, in N processes (default: 1)",
    )
    add(
        "-e",
        "--export",
        metavar="FILE.csv",
        type=Path,
        help="write the scores, a line per setting and track",
    )
    add(
        "-d",
        "--display",
        nargs="?",
        const="",
        metavar="WHAT",
        help="show the table of all metrics, or of some: 0, '[0,2]', a name; rank:0 shows "
        "metric 0 with a column per modality of rank",
    )
    add(
        "--published", action="store_true", help="with -d: published figures with the same protocol"
    )
    add("-v", "--version", action="version", version=f"nmfab {__version__}")
    add = parser.add_argument_group("on what").add_argument
    add("-s", "--select", metavar="SELECTOR", help="which settings (see below; default: all)")
    add("--tracks", metavar="N|IDS", help='the first N tracks, or ids: a,b or \'["a, b","c"]\'')
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="fix a parameter, or replace a factor's modalities: rank=32, beta=0+1",
    )
    add("--plugin", action="append", default=[], type=Path, metavar="FILE.py", help=_PLUGIN)
    add("--data", action="append", default=[], type=Path, metavar="DIR", help=_DATA)
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        help=f"folder of artifacts (default: {experiment.cache})",
    )
    add = parser.add_argument_group("how").add_argument
    add(
        "--device",
        default="cpu",
        choices=["cpu", "cuda", "auto"],
        help="device for torch (default: cpu)",
    )
    add(
        "--threads",
        type=positive,
        metavar="N",
        help="threads per process (default: the cores, divided)",
    )
    add(
        "--refresh",
        choices=STAGES,
        metavar="STAGE",
        help=f"compute again from this stage on: {', '.join(STAGES)}",
    )
    add(
        "--timing",
        action="store_true",
        help="with -c: run factorizations one at a time and measure their seconds. Existing "
        "results are kept and run once more only to be timed; -c reports how many. With -d, -e: "
        "a column of these seconds, – where they cannot be compared",
    )
    add(
        "--curve",
        type=positive,
        metavar="N",
        help="points of the curve of loss and residual (default: 5 in 200 iterations). Existing "
        "results keep theirs; with --timing they get one of N points, measured alone",
    )
    add("--fail-fast", action="store_true", help="stop at the first failure")
    add(
        "-P",
        "--progress",
        action="store_true",
        help="show a progress bar (always shown at a terminal)",
    )
    add("--yes", action="store_true", help="remove without asking")
    return parser


def main(experiment, argv=None):
    """Run the command line of an experiment; return its exit status.

    Parameters
    ----------
    experiment : Experiment
        With its plans.
    argv : list of str, optional
        The arguments, those of the process where None.
    """
    parser = build_parser(experiment)
    options = parser.parse_args(argv)
    return status_of(_act, experiment, options, parser)


def _act(experiment, options, parser):
    _configure(experiment, options)
    if options.curve and options.compute is None:
        raise UsageError("--curve N is for what -c computes: add -c")
    experiment.select(options.select)  # a wrong selector stops before anything is done
    acted, status = False, 0
    for name, action in _ACTIONS.items():
        if getattr(options, name) not in (None, False):
            acted = True
            status = max(status, action(experiment, options) or 0)
    if not acted:
        parser.print_usage()
        say(f"nothing to do: -c computes, -d shows, -p plans; see {parser.prog} --help")
        return 2
    return status


def _configure(experiment, options):
    from nmfab.plan.selector import parse_assignment

    for plugin in options.plugin:
        experiment.add_plugin(plugin)
    for assignment in options.set:
        experiment.set(*parse_assignment(assignment))
    check_folders(options.data, options.cache)
    experiment.data = [*options.data, *experiment.data]
    experiment.cache = options.cache or experiment.cache
    experiment.device = options.device
    experiment.threads = options.threads
    experiment.timing = options.timing
    experiment.curve = options.curve
    if options.threads is None and (options.compute or 1) > 1:
        experiment.threads = max(1, (os.cpu_count() or 1) // options.compute)
    experiment.track_choice = _tracks(options.tracks)


def _tracks(text):
    if text is None:
        return None
    text = text.strip()
    if text.isdecimal():
        if int(text) == 0:
            raise UsageError("--tracks 0: at least one track is needed")
        return int(text)
    if text.startswith("["):
        try:
            ids = [str(track) for track in json.loads(text)]
        except ValueError as error:
            raise UsageError(f"--tracks {text}: not a list of ids ({error})") from error
    else:
        ids = [track.strip() for track in text.split(",") if track.strip()]
    if not ids:
        raise UsageError(f"--tracks {text!r}: at least one track is needed")
    return ids


def _information(experiment, options):
    from nmfab.report import runs

    context = experiment.context()
    names = experiment.grid.factors.get("dataset", [])
    say(runs.information(experiment, {name: context.dataset(name).status() for name in names}))


def _plan(experiment, options):
    from nmfab.report import plans, runs
    from nmfab.run.explain import forecast

    settings = experiment.select(options.select)
    units, absent = experiment.units(settings, cached=True, refresh=options.refresh)
    cost = forecast(experiment.context().store(), units)
    say(plans.plan_text(experiment.grid, settings))
    say(runs.tracks_text(units, absent, cost))


def _list(experiment, options):
    from nmfab.report import plans

    say(plans.list_text(experiment.select(options.select)))


def _explain(experiment, options):
    from nmfab.report import runs
    from nmfab.results.summary import absent_lines
    from nmfab.run.explain import explain

    settings = experiment.select(options.select)
    units, absent = experiment.units(settings, cached=True, refresh=options.refresh)
    say(runs.explanation(explain(units)))
    for line in absent_lines(absent):
        complain(line)


def _remove(experiment, options):
    from nmfab.report import text

    keys = experiment.removable(options.select)
    count = sum(len(found) for found in keys.values())
    if not count:
        say("nothing to remove: there is no artifact that only the selection needs")
        return
    if not options.yes and not _confirmed(f"remove {count} artifacts of {len(keys)} tracks?"):
        say("nothing removed")
        return
    removed, freed = experiment.remove(keys)
    say(f"removed {removed} artifacts, {text.size(freed)}")


def _confirmed(question):
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Without a terminal to ask at, add --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _compute(experiment, options):
    from nmfab.report import progress, runs

    # at the end of the process the collector would go through torch and librosa: most of a second
    atexit.register(gc.freeze)
    settings = experiment.select(options.select)
    shown = options.progress or sys.stderr.isatty()
    with progress.bar(experiment.title, shown) as tell:
        report = experiment.compute(
            options.select,
            jobs=options.compute,
            refresh=options.refresh,
            fail_fast=options.fail_fast,
            progress=tell,
        )
    for warning in report.warnings:
        complain(f"warning: {warning}")
    for line in runs.failures(report, settings):
        complain(line)
    if report.failures:
        complain(f"tracebacks: {experiment.cache / experiment.name / 'nmfab.log'}")
    say(runs.outcome(report))
    return 1 if report.failures else 0


def _export(experiment, options):
    from nmfab.report import csv

    count = csv.write(experiment.results(options.select), options.export)
    say(f"{options.export}: {count} rows, one for each setting on each track")


def _display(experiment, options):
    from nmfab.report import terminal

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    results = experiment.results(options.select)
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    say(terminal.results_table(results, options.display, width=width, color=color))
    if options.published:
        from nmfab.report import published

        say(f"\n{published.published_text(results)}")


_ACTIONS = {
    "information": _information,
    "plan": _plan,
    "list": _list,
    "explain": _explain,
    "remove": _remove,
    "compute": _compute,
    "export": _export,
    "display": _display,
}
