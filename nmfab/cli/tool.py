"""The tool ``nmfab``: checks, new components, datasets, published figures."""

import argparse
import math
import sys
from pathlib import Path

from nmfab import __version__
from nmfab.base.errors import UsageError
from nmfab.cli.common import check_folders, positive, say, status_of
from nmfab.cli.new import WHAT

_DATASETS = """\
nmfab datasets                 list all datasets, and whether they are on this machine
nmfab datasets NAME            show the files it needs, how to get them, licence, BibTeX
nmfab datasets get NAME        download the files that need no account
nmfab datasets mini NAME DIR   write a miniature in the official layout: synthesised sound
"""


def main(argv=None):
    """Run the tool ``nmfab``; return its exit status, as `nmfab.cli.common.status_of` does.

    Parameters
    ----------
    argv : list of str, optional
        The arguments, those of the process where None.
    """
    options = _parser().parse_args(argv)
    return status_of(options.action, options)


def _parser():
    parser = argparse.ArgumentParser(
        prog="nmfab",
        description="Tools around nmfab's experiments.",
        epilog="exit status: 0 done, 1 something failed, 2 wrong usage, 130 interrupted",
    )
    parser.add_argument("-v", "--version", action="version", version=f"nmfab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    of_data = {"action": "append", "default": [], "type": Path, "metavar": "DIR"}
    of_data["help"] = "folder to look for datasets in, before $NMFAB_DATA"
    check = commands.add_parser(
        "check",
        help="check the algorithms, datasets and steps of a file",
        description="Run the checks of its kind on each component that a file registers.",
    )
    check.add_argument("file", type=Path, metavar="FILE.py", help="the file, as for --plugin")
    check.add_argument("--data", **of_data)
    check.set_defaults(action=_check)
    new = commands.add_parser(
        "new",
        help="write a commented file to begin a component from",
        description="Write NAME.py here: a component that passes nmfab check as it stands.",
    )
    new.add_argument("what", choices=WHAT, help=f"what to write: {', '.join(WHAT)}")
    new.add_argument("name", metavar="NAME", help="name of the component and of its file")
    new.set_defaults(action=_new)
    datasets = commands.add_parser(
        "datasets",
        help="list datasets, show the files that one needs, download",
        description=_DATASETS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="nmfab datasets [NAME | get NAME | mini NAME DIR] "
        "[--data DIR] [--missing] [--verify]",
    )
    datasets.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    datasets.add_argument("--data", **of_data)
    datasets.add_argument("--missing", action="store_true", help="list every missing file")
    datasets.add_argument(
        "--verify", action="store_true", help="compare files with the md5 of mirdata's index"
    )
    datasets.set_defaults(action=_datasets)
    verify = commands.add_parser(
        "verify", help="compute settings with published figures, and compare"
    )
    verify.add_argument("task", help="task: separation, structure")
    verify.add_argument("dataset", help="dataset: musdb18, rwcpop")
    add = verify.add_argument
    add("--data", **of_data)
    add("--cache", type=Path, metavar="DIR", help="folder of artifacts")
    add("--jobs", type=positive, default=1, metavar="N", help="number of processes (default: 1)")
    verify.set_defaults(action=_verify)
    return parser


def _verify(options):
    from nmfab.report import progress, published
    from nmfab.report.verify import verify

    check_folders(options.data, options.cache)
    title = f"{options.task} on {options.dataset}"
    with progress.bar(title, sys.stderr.isatty()) as tell:
        checks = verify(
            options.task,
            options.dataset,
            data=options.data,
            cache=options.cache,
            jobs=options.jobs,
            progress=tell,
        )
    say(published.checks_text(checks))
    judged = [check.within for check in checks if not math.isnan(check.published)]
    return 0 if judged and all(judged) else 1


def _check(options):
    from nmfab.cli.checks import check_file
    from nmfab.report import runs

    check_folders(options.data)
    found = []
    for verdict in check_file(options.file, options.data):
        say(runs.check_line(*verdict))
        found.append(verdict)
    say(runs.check_summary(found))
    return 1 if any(verdict.passed is False for verdict in found) else 0


def _new(options):
    from nmfab.cli import new

    path = new.write(options.what, options.name)
    say(f"{path} written; nmfab check {path} checks it")
    return 0


def _datasets(options):
    check_folders(options.data)
    match options.words:
        case []:
            say(_report().table(_all_datasets(options)))
        case ["get", *names]:
            return _get(names, options)
        case ["mini", *words]:
            return _mini(words)
        case [name] if options.verify:
            return _verify_files(_dataset(name, options))
        case [name]:
            say(_report().page(_dataset(name, options), all_missing=options.missing))
        case words:
            raise UsageError(
                f"nmfab datasets {' '.join(words)}: one name is needed (see nmfab datasets -h)"
            )
    return 0


def _report():
    from nmfab.report import datasets

    return datasets


def _dataset(name, options):
    from nmfab.datasets import DATASETS
    from nmfab.datasets.contract import data_roots

    return DATASETS[name](data_roots(options.data))


def _all_datasets(options):
    from nmfab.datasets import DATASETS

    return [_dataset(name, options) for name in DATASETS.names()]


def _get(names, options):
    if len(names) != 1:
        raise UsageError("nmfab datasets get NAME: one dataset is needed")
    from nmfab.datasets import download
    from nmfab.report import progress

    dataset = _dataset(names[0], options)
    if dataset.downloads:
        folder = dataset.folder or dataset.roots[0] / dataset.name
        say(f"into {folder}")
        for remote in download.remotes(dataset.downloads):
            with progress.byte_bar(remote.name, sys.stderr.isatty()) as tell:
                new = download.get(remote, folder, tell)
            verified = "" if remote.checksum else " (no checksum is published for it)"
            say(f"{remote.name}: {'done' if new else 'exists already'}{verified}")
        dataset = _dataset(names[0], options)
        say(f"{dataset.name}: {_report().state_line(dataset)}")
    if dataset.no_download or not dataset.downloads:
        say(_report().by_hand(dataset))
    return 0 if dataset.downloads else 1


def _verify_files(dataset):
    from nmfab.datasets import download

    if dataset.folder is None:
        raise UsageError(
            f"{dataset.name} is not on this machine: see nmfab datasets {dataset.name}"
        )
    checked, wrong = download.differing(dataset.folder)
    for name in wrong:
        say(f"differs: {name}")
    say(
        f"{dataset.name}: {checked - len(wrong)} of {checked} files have the md5 of mirdata's index"
    )
    return 1 if wrong else 0


def _mini(words):
    if len(words) != 2:
        raise UsageError("nmfab datasets mini NAME DIR: a dataset and a folder are needed")
    from nmfab.datasets import mini

    folder = mini.write(words[0], Path(words[1]))
    say(f"{folder}: a miniature of {words[0]} with synthesised sound; use it by --data {words[1]}")
    return 0
