"""The form of an artifact's file: HDF5 behind a header. The only file that imports h5py.

The user block, which HDF5 leaves to applications and plain h5py skips, holds one line of text that
names its size and digest, and one of JSON: the provenance of each artifact of the file, and the
digest of all bytes behind the user block. What was not written so is not handed to libhdf5, which
answers damaged bytes with any exception whatever, with endless loops and with crashes; and a
provenance is read without it. Nothing is ever pickled.
"""

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass

import numpy as np

from nmfab.base.errors import StoreError
from nmfab.base.values import canonical_json
from nmfab.store.records import temporary_name

SCALARS = "scalars"  # the record of an artifact that has several numbers
_FIRST = re.compile(rb"nmfab artifact: header of ([ 0-9]{10}) bytes, digest ([0-9a-f]{32})\n")
_LENGTH = 84  # bytes of that line
_SMALLEST = 512  # bytes of a user block, a power of two
_SETTLED = 10**9  # ns after which a file that changes gets another time of change
_verified = {}  # path -> what the file was when its bytes were last verified, in this process


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes
    ----------
    size : int
        Bytes of the header.
    body : str
        Digest of the bytes behind it.
    grouped : bool
        Whether each artifact is a group under its key (a shard), or one lies at the root.
    artifacts : dict
        Key → provenance.
    """

    size: int
    body: str
    grouped: bool
    artifacts: dict


def write(path, artifacts, *, grouped):
    """Write a file under a temporary name and rename it: it is there whole or not at all.

    Parameters
    ----------
    path : Path
        Where to.
    artifacts : mapping
        Key → (dict of arrays, provenance); one, unless they are `grouped`.
    grouped : bool
        See `Header`.

    Raises
    ------
    StoreError
        If that is impossible.
    """
    import h5py

    temporary = temporary_name(path)
    told = {key: provenance for key, (_, provenance) in artifacts.items()}
    size = _SMALLEST
    while size < _LENGTH + len(_text("0" * 32, grouped, told)):
        size *= 2
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(temporary, "w", locking=False, userblock_size=size) as file:
            for key, (arrays, provenance) in artifacts.items():
                group = file.create_group(key) if grouped else file
                _fill(group, arrays)
                group.attrs["provenance"] = json.dumps(provenance)
        with open(temporary, "r+b", buffering=0) as file:
            text = _text(_digest_behind(file, size), grouped, told)
            text = text.ljust(size - _LENGTH, b"\0")
            first = f"nmfab artifact: header of {size:10d} bytes, digest {_digest(text)}\n"
            file.seek(0)
            file.write(first.encode() + text)
        os.replace(temporary, path)
    except Exception as error:  # h5py raises what it likes
        raise StoreError(f"{path} cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_header(path):
    """Return the `Header` of a file.

    Raises
    ------
    StoreError
        If it is not as it was written.
    """
    with open(path, "rb") as file:
        first = _FIRST.fullmatch(file.read(_LENGTH))
        if first is None:
            raise StoreError("it does not begin as an artifact does")
        size = min(int(first.group(1)), os.fstat(file.fileno()).st_size)
        text = file.read(max(0, size - _LENGTH))
    if _digest(text) != first.group(2).decode():
        raise StoreError("its header is not as it was written")
    told = json.loads(text.rstrip(b"\0"))
    header = Header(size, told["body"], told["grouped"], told["artifacts"])
    for key, provenance in header.artifacts.items():
        if provenance["key"] != key or not isinstance(provenance["recipe"], dict):
            raise StoreError(f"its header has another artifact under {key}")
    return header


def verified_header(path):
    """Return the `Header` of a file, all of whose bytes were found to be those that were written.

    They are looked at once per process, as long as the file stays what it was.

    Raises
    ------
    StoreError
        If they are not.
    """
    header = read_header(path)
    with open(path, "rb", buffering=0) as file:
        stat = os.fstat(file.fileno())
        identity = (stat.st_ino, stat.st_size, stat.st_mtime_ns, header.body)
        if _verified.get(path) != identity:
            if _digest_behind(file, header.size) != header.body:
                raise StoreError("its bytes are not those that were written")
            if time.time_ns() - stat.st_mtime_ns > _SETTLED:
                _verified[path] = identity
    return header


def opened(path):
    """Return the header and the open HDF5 file, verified as `verified_header` does."""
    import h5py

    return verified_header(path), h5py.File(path, "r", locking=False)


def arrays_in(file, header, key, node):
    """Return the arrays of one artifact.

    Parameters
    ----------
    file : h5py.File
        As `opened` gives it.
    header : Header
        Its header.
    key, node : str
        Key of the artifact, and the name of the node that made it.

    Raises
    ------
    StoreError
        If the file holds another artifact, or other arrays than its provenance says.
    """
    provenance = provenance_in(header, key, node)
    arrays = _arrays(file[key] if header.grouped else file)
    if checksum(arrays) != provenance["checksum"]:
        raise StoreError("its arrays are not those that its provenance tells of")
    return arrays


def provenance_in(header, key, node):
    """Return the provenance of an artifact, after a check of its key and node."""
    if key not in header.artifacts:
        raise StoreError(f"it holds another artifact than {key}")
    provenance = header.artifacts[key]
    if provenance["node"] != node:
        raise StoreError(f"it holds a result of {provenance['node']}, not of {node}")
    return provenance


def plain(name, value):
    """Return an array as it can be saved.

    Raises
    ------
    StoreError
        For a name that HDF5 reads as a path, and for what it holds only by pickling.
    """
    array = np.asarray(value)
    if name == SCALARS:
        raise StoreError(f"an array cannot be called {name!r}: the numbers of an artifact are")
    if not name or "/" in name or name == ".":
        raise StoreError(f"an array cannot be called {name!r}: HDF5 reads that as a path")
    if array.dtype.kind not in "biufcU":
        raise StoreError(
            f"array {name!r} of type {array.dtype} cannot be saved: use numbers, booleans or text"
        )
    if array.dtype.kind == "U" and not _writable("".join(array.ravel().tolist())):
        raise StoreError(f"array {name!r} cannot be saved: its text is no UTF-8, or has a NUL")
    # a number is read as one of numpy's scalars, which know no byte order
    return array if array.ndim else array.astype(array.dtype.newbyteorder("="))


def _writable(text):
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def checksum(arrays):
    """Return a digest of names, shapes, types, byte orders and contents of arrays."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.kind == "U":  # its length is numpy's business
            kind, content = "text", canonical_json(array.tolist()).encode()
        else:
            kind, content = array.dtype.str, np.ascontiguousarray(array).data
        total.update(canonical_json([name, kind, list(array.shape)]).encode())
        total.update(content)
    return total.hexdigest()


def _text(body, grouped, artifacts):
    return json.dumps({"body": body, "grouped": grouped, "artifacts": artifacts}).encode()


def _digest(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _digest_behind(file, size):
    file.seek(size)
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _fill(group, arrays):
    import h5py

    numbers = {n: a for n, a in arrays.items() if a.ndim == 0 and a.dtype.kind in "iuf"}
    if len(numbers) > 1:  # as one record: fifty scores are read as fast as one
        record = np.zeros((), dtype=[(name, number.dtype) for name, number in numbers.items()])
        for name, number in numbers.items():
            record[name] = number
        group.create_dataset(SCALARS, data=record)
        arrays = {name: array for name, array in arrays.items() if name not in numbers}
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            group.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=array)


def _arrays(group):
    import h5py

    arrays = {}
    for name, data in group.items():
        if name == SCALARS:
            record = data[()]
            arrays.update((number, record[number]) for number in record.dtype.names)
            continue
        text = h5py.check_string_dtype(data.dtype) is not None
        arrays[name] = np.asarray(data.asstr()[()], dtype=str) if text else data[()]
    return arrays
