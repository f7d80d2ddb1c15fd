"""What both command lines share: what they say, and the exit status that errors give."""

import argparse
import os
import sys

from nmfab.base.errors import NmfabError, UsageError


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


def check_folders(folders):
    """Raise UsageError for a folder of ``--data`` that does not exist."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--data {folder}: there is no such folder")
