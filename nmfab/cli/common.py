"""What both command lines share: what they say, and the exit status that errors give."""

import argparse
import logging
import os
import sys

from nmfab.base.errors import NmfabError, UsageError

_log = logging.getLogger("nmfab")


def status_of(action, *arguments):
    """Run an action and return its exit status; an error is one line on standard error.

    Returns
    -------
    int
        What the action returns (0 done, 1 something failed), 1 for an error, 2 for wrong usage,
        130 where it is interrupted.
    """
    try:
        return action(*arguments)
    except UsageError as error:
        complain(error)
        return 2
    except NmfabError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain("interrupted: finished results are kept; the same command computes the rest")
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written
        _log.debug("the traceback", exc_info=True)
        complain(f"{error.filename}: {error.strerror}" if error.filename else error)
        return 1


def say(text):
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(message):
    """Write a line to standard error."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def positive(text):
    """Return a whole number above 0; a type of argparse's."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def check_folders(data, cache=None):
    """Raise UsageError where a ``--data`` folder does not exist or ``--cache`` is not a folder.

    Parameters
    ----------
    data : sequence of Path
        Folders of datasets.
    cache : Path, optional
        It need not exist, but must not be a file, nor lie below one.
    """
    for folder in data:
        if not folder.is_dir():
            raise UsageError(f"--data {folder}: there is no such folder")
    for place in (cache, *cache.parents) if cache else ():
        if place.exists() and not place.is_dir():
            raise UsageError(f"--cache {cache}: {place} is a file, and a folder is needed")
