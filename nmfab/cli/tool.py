"""The tool ``nmfab``: what there is to do around experiments."""

import argparse
import math
import os
import sys
from pathlib import Path

from nmfab import __version__
from nmfab.base.errors import NmfabError, UsageError

_DATASETS = """\
nmfab datasets                 all datasets, and what of them is on this machine
nmfab datasets NAME            the files wanted, the steps, licence, BibTeX, what is missing
nmfab datasets get NAME        download what can be had without an account
nmfab datasets mini NAME DIR   write a miniature in the official layout: synthesised sound
"""


def main(argv=None):
    """Run the tool ``nmfab``; return its exit status: 0 done, 1 something failed, 2 wrong usage.

    Parameters
    ----------
    argv : list of str, optional
        The arguments, those of the process where None.
    """
    options = _parser().parse_args(argv)
    try:
        return options.action(options)
    except UsageError as error:
        _complain(error)
        return 2
    except NmfabError as error:
        _complain(error)
        return 1
    except KeyboardInterrupt:
        _complain("interrupted: what was done is kept, the same command goes on from there")
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser():
    parser = argparse.ArgumentParser(prog="nmfab", description="Tools around nmfab's experiments.")
    parser.add_argument("-v", "--version", action="version", version=f"nmfab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="run the conformance suite on a file's algorithms")
    check.add_argument("file", type=Path, help="a Python file with @algorithm functions")
    check.set_defaults(action=_check)
    datasets = commands.add_parser(
        "datasets",
        help="what datasets there are, what each wants, and what is here",
        description=_DATASETS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="nmfab datasets [NAME | get NAME | mini NAME DIR] "
        "[--data DIR] [--missing] [--verify]",
    )
    datasets.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    datasets.add_argument(
        "--data", action="append", default=[], type=Path, metavar="DIR", help="datasets lie there"
    )
    datasets.add_argument("--missing", action="store_true", help="name all that is missing")
    datasets.add_argument(
        "--verify", action="store_true", help="compare files with the md5 of mirdata's index"
    )
    datasets.set_defaults(action=_datasets)
    verify = commands.add_parser(
        "verify", help="compute rows whose figures are published, and compare"
    )
    verify.add_argument("task", help="separation, structure")
    verify.add_argument("dataset", help="musdb18, rwcpop")
    add = verify.add_argument
    add("--data", action="append", default=[], type=Path, metavar="DIR", help="datasets lie there")
    add("--cache", type=Path, metavar="DIR", help="artifacts lie there")
    add("--jobs", type=int, default=1, metavar="N", help="number of processes")
    verify.set_defaults(action=_verify)
    return parser


def _verify(options):
    from nmfab.report import published
    from nmfab.report.verify import verify

    _check_folders(options.data)
    checks = verify(
        options.task, options.dataset, data=options.data, cache=options.cache, jobs=options.jobs
    )
    _say(published.checks_text(checks))
    judged = [check.within for check in checks if not math.isnan(check.published)]
    return 0 if judged and all(judged) else 1


def _check_folders(folders):
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--data {folder}: there is no such folder")


def _check(options):
    from nmfab.algorithms.conformance import check_file
    from nmfab.report import runs

    failed = 0
    for result in check_file(options.file):
        _say(runs.check_line(result))
        failed += not result.passed
    _say("all checks passed" if not failed else f"{failed} checks failed")
    return 1 if failed else 0


def _datasets(options):
    _check_folders(options.data)
    match options.words:
        case []:
            _say(_report().table(_all_datasets(options)))
        case ["get", *names]:
            return _get(names, options)
        case ["mini", *words]:
            return _mini(words)
        case [name] if options.verify:
            return _verify_files(_dataset(name, options))
        case [name]:
            _say(_report().page(_dataset(name, options), all_missing=options.missing))
        case words:
            raise UsageError(
                f"nmfab datasets {' '.join(words)}: one name is wanted (nmfab datasets -h)"
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
        raise UsageError("nmfab datasets get NAME: one dataset is wanted")
    from nmfab.datasets import download
    from nmfab.report import progress

    dataset = _dataset(names[0], options)
    if dataset.downloads:
        folder = dataset.folder or dataset.roots[0] / dataset.name
        _say(f"into {folder}")
        for remote in download.remotes(dataset.downloads):
            with progress.byte_bar(remote.name, sys.stderr.isatty()) as tell:
                new = download.get(remote, folder, tell)
            verified = "" if remote.checksum else " (no checksum is published for it)"
            _say(f"{remote.name}: {'done' if new else 'was there'}{verified}")
        dataset = _dataset(names[0], options)
        _say(f"{dataset.name}: {_report().state_line(dataset)}")
    if dataset.no_download or not dataset.downloads:
        _say(_report().by_hand(dataset))
    return 0 if dataset.downloads else 1


def _verify_files(dataset):
    from nmfab.datasets import download

    if dataset.folder is None:
        raise UsageError(f"{dataset.name} is not here: nmfab datasets {dataset.name} tells more")
    checked, wrong = download.differing(dataset.folder)
    for name in wrong:
        _say(f"differs: {name}")
    _say(f"{dataset.name}: {checked - len(wrong)} of {checked} files have the md5 of the index")
    return 1 if wrong else 0


def _mini(words):
    if len(words) != 2:
        raise UsageError("nmfab datasets mini NAME DIR: a dataset and a folder are wanted")
    from nmfab.datasets import mini

    folder = mini.write(words[0], Path(words[1]))
    _say(f"{folder}: a miniature of {words[0]}, synthesised; --data {words[1]} finds it")
    return 0


def _say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _complain(message):
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
