"""Fingerprints of a track's parts: digests of the bytes of their files, remembered on disk.

The memory is a JSON file: part → its ``files``, a list of [digest of the path, size, time in ns,
digest of the bytes], and the ``libraries`` whose release decides what is read of them. A file that
has its path, size and time is not read again; and where the files are not on this machine, the
memory tells what they were. The paths themselves are not kept: a cache is shared.
"""

import hashlib
import os
from contextlib import suppress

from nmfab.base.errors import StoreError
from nmfab.base.types import file_digest
from nmfab.store.records import read_record, write_record


def fingerprints(memory, parts):
    """Return ``{part: fingerprint}`` from the files, and remember what was read.

    Parameters
    ----------
    memory : Path
        The JSON file; it need not exist yet.
    parts : mapping of str to Part
        The parts of a track.

    Raises
    ------
    StoreError
        If a file of a part is not there.
    """
    known = _load(memory)
    digests = {tuple(file[:3]): file[3] for part in known.values() for file in part["files"]}
    now = {
        name: {
            "files": [_file(path, digests) for path in part.files],
            "libraries": list(part.libraries),
        }
        for name, part in parts.items()
    }
    if now != known:
        with suppress(StoreError):  # a cache that cannot be written can be read
            write_record(memory, now)
    return {name: _join(part["files"]) for name, part in now.items()}


def remembered(memory):
    """Return ``{part: fingerprint}`` as they were when the files were last read."""
    return {name: _join(part["files"]) for name, part in _load(memory).items()}


def remembered_libraries(memory):
    """Return ``{part: names}`` of the libraries that decided what was read of each part."""
    return {name: tuple(part["libraries"]) for name, part in _load(memory).items()}


def _load(memory):
    found = read_record(memory)
    return found if isinstance(found, dict) else {}


def _file(path, digests):
    try:
        stat = os.stat(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    place = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
    identity = (place, stat.st_size, stat.st_mtime_ns)
    return [*identity, digests.get(identity) or file_digest(path)]


def _join(files):
    total = hashlib.blake2b(digest_size=16)
    for file in files:
        total.update(file[3].encode())
    return total.hexdigest()
