"""What of a dataset can be had without an account: fetched, verified, unpacked.

The only file of nmfab that uses the network, and only ``nmfab datasets get`` calls it. A download
that breaks off is gone on with by the same command: bytes lie in ``.downloads/NAME.part`` until
they are all there and their checksum is right, the archive until it is unpacked, and a note
(``NAME.done``) from then on.
"""

import hashlib
import http.client
import importlib
import json
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from nmfab.base.errors import DataError

ZENODO = "https://zenodo.org/api/records"
_PLACE = ".downloads"
_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
_BROKEN = (OSError, http.client.HTTPException)  # URLError and time-outs are OSErrors


@dataclass(frozen=True)
class Remote:
    """One file to fetch.

    Attributes
    ----------
    url, name : str
        Where it is, and what it is called here.
    checksum : str
        ``"md5:..."`` or ``"sha256:..."``; empty where none is published.
    folder : str
        Where it goes or is unpacked, below the dataset's folder.
    lift : tuple of str
        Folders of the archive whose content goes right there.
    """

    url: str
    name: str
    checksum: str = ""
    folder: str = ""
    lift: tuple[str, ...] = ()


def remotes(downloads):
    """Return the files that a dataset's ``downloads`` name.

    Parameters
    ----------
    downloads : sequence of str
        ``mirdata:DATASET/REMOTE`` (address and md5 from mirdata; the remote ``index`` is its
        index), ``zenodo:RECORD/FILE`` (md5 from Zenodo, which is asked) or ``URL -> FOLDER``.

    Returns
    -------
    list of Remote

    Raises
    ------
    DataError
        If Zenodo cannot be asked, or does not have the file.
    """
    return [_remote(text) for text in downloads]


def _remote(text):
    kind, _, place = text.partition(":")
    name, _, key = place.partition("/")
    if kind == "mirdata":
        return _from_mirdata(name, key)
    if kind == "zenodo":
        return _from_zenodo(name, key)
    url, _, folder = text.partition(" -> ")
    return Remote(url, url.rpartition("/")[2], folder=folder)


def _from_mirdata(name, key):
    module = importlib.import_module(f"mirdata.datasets.{name}")
    default = module.INDEXES[module.INDEXES["default"]]
    found = default.remote if key == "index" else module.REMOTES[key]
    return Remote(
        url=found.url,
        name=found.filename,
        checksum=f"md5:{found.checksum}",
        folder="" if key == "index" else found.destination_dir or "",
        lift=tuple(found.unpack_directories or ()),
    )


def _from_zenodo(record, name):
    url = f"{ZENODO}/{record}"
    try:
        with _open(url) as answer:
            files = json.loads(answer.read())["files"]
        found = {file["key"]: file for file in files}[name]
        return Remote(found["links"]["self"], name, found["checksum"])
    except _BROKEN as error:
        raise DataError(f"{url} cannot be asked for {name} ({error}): try again later") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{url} does not name {name} any more: fetch it by hand") from error


def get(remote, folder, progress=None):
    """Fetch a file, verify and unpack it, going on from where an earlier call broke off.

    Parameters
    ----------
    remote : Remote
        What.
    folder : Path
        The dataset's folder; made where it is not there.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes; total is None where it is not known.

    Returns
    -------
    bool
        False where an earlier call has done it all.

    Raises
    ------
    DataError
        If the file cannot be fetched (what has come is kept), has another checksum (it is removed)
        or cannot be unpacked, or the disk is too small.
    """
    place = folder / _PLACE
    note, archive = place / f"{remote.name}.done", place / remote.name
    if note.is_file() and json.loads(note.read_text()) == _note(remote):
        return False
    place.mkdir(parents=True, exist_ok=True)
    if not archive.is_file():
        part = place / f"{remote.name}.part"
        _fetch(remote, part, progress or (lambda done, total: None))
        _verify(part, remote)
        part.replace(archive)
    target = folder / remote.folder
    target.mkdir(parents=True, exist_ok=True)
    _unpack(archive, target)
    for name in remote.lift:
        _lift(target / name, target)
    archive.unlink(missing_ok=True)
    note.write_text(json.dumps(_note(remote)))
    return True


def _note(remote):
    return {"url": remote.url, "checksum": remote.checksum}


def _open(url, start=0):
    headers = {"User-Agent": "nmfab"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)


def _fetch(remote, part, progress):
    """Fetch what of a file is not in `part` yet."""
    start = part.stat().st_size if part.is_file() else 0
    try:
        with _open(remote.url, start) as answer:
            if answer.status != 206:  # the server sends it all again
                start = 0
            length = answer.headers.get("Content-Length")
            total = None if length is None else start + int(length)
            free = shutil.disk_usage(part.parent).free
            if total is not None and total - start > free:
                raise DataError(
                    f"{remote.name} needs {(total - start) / 1e9:.1f} GB and {part.parent} has "
                    f"{free / 1e9:.1f} GB free: name another folder by --data"
                )
            done = _copy(answer, part, start, total, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            return  # it is all there: the checksum tells
        raise DataError(
            f"{remote.url} answers {error.code} {error.reason}: try later, or fetch it by hand"
        ) from error
    except _BROKEN as error:
        raise DataError(
            f"{remote.url} broke off ({error}): the same command goes on from there"
        ) from error
    if total is not None and done < total:
        raise DataError(
            f"{remote.url} broke off after {done} of {total} bytes: the same command goes on from "
            "there"
        )


def _copy(answer, part, start, total, progress):
    done = start
    with open(part, "ab" if start else "wb") as file:
        progress(done, total)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            progress(done, total)
    return done


def _verify(part, remote):
    kind, _, wanted = remote.checksum.partition(":")
    if not wanted:
        return
    with open(part, "rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != wanted:
        part.unlink()
        raise DataError(
            f"{remote.url} came with {kind} {found} and not {wanted}: it is removed; try again, "
            "and if that repeats, the file has changed at its source"
        )


def _unpack(archive, target):
    """Unpack a zip or tar, told by its content; another file is moved as it is."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                file.extractall(target)  # leaves out absolute names and ..
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as file:
                file.extractall(target, filter="data")
        else:
            archive.replace(target / archive.name)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"{archive} cannot be unpacked ({error}): remove it and try again"
        ) from error


def _lift(source, target):
    """Move the content of a folder of an archive up, beside what is there."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            goal = target / path.relative_to(source)
            goal.parent.mkdir(parents=True, exist_ok=True)
            path.replace(goal)
    if source.is_dir():
        shutil.rmtree(source)


def differing(folder):
    """Return what of a dataset does not have the md5 that mirdata's index states.

    Parameters
    ----------
    folder : Path
        The dataset's, with the index in it.

    Returns
    -------
    checked : int
        Files that were compared.
    differing : list of str
        Those with another content, as paths below the folder; a missing one is not compared.

    Raises
    ------
    DataError
        If there is no index, or it cannot be read.
    """
    indexes = sorted(Path(folder).glob("*_index_*.json"))
    if not indexes:
        raise DataError(f"{folder} holds no index of mirdata: there are no checksums to compare")
    try:
        tracks = json.loads(indexes[-1].read_text(encoding="utf-8"))["tracks"]
        entries = {path: md5 for files in tracks.values() for path, md5 in files.values() if path}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{indexes[-1]} is no index of mirdata: fetch it again") from error
    checked, wrong = 0, []
    for name, wanted in sorted(entries.items()):
        path = Path(folder) / name
        if path.is_file():
            checked += 1
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "md5").hexdigest() != wanted:
                    wrong.append(name)
    return checked, wrong
