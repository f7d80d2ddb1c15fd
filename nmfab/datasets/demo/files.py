"""Files of the dataset: 16-bit WAV and tab-separated annotations, written whole or not at all."""

import os
import tempfile
import wave
from contextlib import contextmanager

import numpy as np

from nmfab.base.errors import DataError

_FULL = 32767


def to_pcm(sound):
    """Return the sound [float, within ±1] as 16-bit integers.

    Raises
    ------
    DataError
        If it is not finite, or louder than full scale: a mix is turned down, never clipped.
    """
    if not np.max(np.abs(sound), initial=0.0) <= 1.0:
        raise DataError("dataset demo: a rendered sound is not within full scale: lower its level")
    return np.round(sound * _FULL).astype("<i2")


def write_wav(path, pcm, sample_rate):
    """Write one channel of 16-bit integers."""
    with written_whole(path) as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sample_rate)
        out.writeframes(np.asarray(pcm, "<i2").tobytes())


def write_rows(path, rows):
    """Write one line a row, tab-separated, times with six decimals."""
    with written_whole(path) as file:
        for row in rows:
            cells = (f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row)
            file.write(("\t".join(cells) + "\n").encode())


def read_rows(path, columns):
    """Return the columns of a tab-separated file as lists of text.

    Raises
    ------
    DataError
        If the file is missing or a line has another number of columns.
    """
    try:
        rows = [line.split("\t") for line in path.read_text().splitlines()]
    except OSError as error:
        raise DataError(f"{path} cannot be read: delete its folder to render it again") from error
    if any(len(row) != columns for row in rows):
        raise DataError(f"{path} needs {columns} columns in each line: delete it to render it")
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(columns)]


@contextmanager
def written_whole(path):
    """Give a binary file that takes the name `path` once the block has ended without an error.

    Two processes may write the same file at once: each renames its own, complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
