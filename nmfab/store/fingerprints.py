"""Fingerprints of a track's parts: digests of the bytes of their files, remembered on disk.

The memory is a JSON file: part → list of [digest of the path, size, time in ns, digest of the
bytes]. A file that has its path, size and time is not read again; and where the files are not on
this machine, the memory tells what they were. The paths themselves are not kept: a cache is shared.
"""

import hashlib
import os

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
    digests = {tuple(file[:3]): file[3] for files in known.values() for file in files}
    now = {name: [_file(path, digests) for path in part.files] for name, part in parts.items()}
    if now != known:
        write_record(memory, now)
    return {name: _join(files) for name, files in now.items()}


def remembered(memory):
    """Return ``{part: fingerprint}`` as they were when the files were last read."""
    return {name: _join(files) for name, files in _load(memory).items()}


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
