"""Artifacts in HDF5: what a node saved for a track. The only file that imports h5py.

A features or nmf artifact is a file of its own, ``<node>/<key>.h5``; small ones (estimates, scores)
lie in shards, one per job, one group per key. A file is written under a temporary name and renamed:
what bears its name is complete, so that concurrent runs need no lock. Nothing is ever pickled.
"""

import hashlib
import json
import logging
import os
import platform
import time
import uuid
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from nmfab.base.errors import StoreError
from nmfab.base.values import canonical_json
from nmfab.store.fingerprints import fingerprints, remembered, temporary_name, write_text

FIT = "_fit"  # the place, beside the tracks of a dataset, of what was learned over several
SHARDS, FAILURES, PARTS = "shards", "failures", "parts.json"
SCALARS = "scalars"  # the record of an artifact that has several numbers
_log = logging.getLogger("nmfab.store.files")


def encode(name):
    """Return a name as a folder's: percent-encoded, no leading dot or underscore."""
    text = quote(name, safe=" ()'!,;&+=@-_.~")
    return f"%{ord(text[0]):02X}{text[1:]}" if text[:1] in (".", "_") else text


def decode(folder):
    """Return the name that `encode` made a folder's name of."""
    return unquote(folder)


class Store:
    """The artifacts of one experiment, under ``<cache>/<experiment>/``.

    Parameters
    ----------
    root : path
        The cache folder; it need not exist yet.
    experiment : str
        Name of the experiment.
    """

    def __init__(self, root, experiment):
        self.experiment = experiment
        self.folder = Path(root) / encode(experiment)

    def place(self, dataset, track):
        """Return the `Place` of one track (or of `FIT`)."""
        return Place(self, dataset, track)

    def tracks(self, dataset):
        """Return the ids of the tracks that have artifacts, sorted."""
        folder = self.folder / encode(dataset)
        if not folder.is_dir():
            return []
        return sorted(decode(f.name) for f in folder.iterdir() if f.is_dir() and f.name != FIT)


class Place:
    """What is kept for one track: artifacts, shards, failures, fingerprints of its parts."""

    def __init__(self, store, dataset, track):
        self.store, self.dataset, self.track = store, dataset, track
        name = FIT if track == FIT else encode(track)
        self.folder = store.folder / encode(dataset) / name
        self._shards = {}  # shard file -> its keys
        self._pending = {}  # key -> (arrays, provenance), small artifacts not yet in a shard
        self._reading = None  # the shard open for reading: scores are read one after the other

    def has(self, node, key):
        """Tell whether the artifact of `node` under `key` exists."""
        if node.small:
            return key in self._pending or self._shard_of(key) is not None
        return self._file(node, key).is_file()

    def read(self, node, key):
        """Return an artifact's arrays, or None where it is absent or had to be set aside.

        An artifact that cannot be read as it was written is reported, renamed to ``*.broken`` and
        from then on absent.
        """
        if key in self._pending:
            return dict(self._pending[key][0])
        path = self.path(node, key)
        if path is None:
            return None
        try:
            if node.small:
                return _read_group(self._open_shard(path)[key])
            with _open(path) as file:
                return _read_group(file)
        except (OSError, KeyError, ValueError, StoreError) as error:
            self._set_aside(path, error)
            return None

    def provenance(self, node, key):
        """Return how an artifact came to be, or None where it is absent or unreadable."""
        if key in self._pending:
            return self._pending[key][1]
        path = self.path(node, key)
        if path is None:
            return None
        try:
            with _open(path) as file:
                return json.loads((file[key] if node.small else file).attrs["provenance"])
        except (OSError, KeyError, ValueError) as error:
            self._set_aside(path, error)
            return None

    def provenances(self, node_name):
        """Return ``{key: provenance}`` of all artifacts of a node here, small or not."""
        found = {}
        for path in sorted((self.folder / node_name).glob("*.h5")):
            for provenance in self.provenances_in(path):
                found[path.stem] = provenance
        for path in self._shard_files():
            for provenance in self.provenances_in(path, grouped=True):
                if provenance["node"] == node_name:
                    found[provenance["key"]] = provenance
        return found

    def provenances_in(self, path, grouped=False):
        """Return the provenance of a file's artifact, or of all those of a shard (`grouped`)."""
        try:
            with _open(path) as file:
                groups = file.values() if grouped else [file]
                return [json.loads(group.attrs["provenance"]) for group in groups]
        except (OSError, KeyError, ValueError) as error:
            self._set_aside(path, error)
            return []

    def write(self, node, key, arrays, provenance):
        """Save an artifact; a small one waits for `flush`.

        Raises
        ------
        StoreError
            If an array is of a kind that HDF5 holds only by pickling.
        """
        arrays = {name: _plain(name, value) for name, value in arrays.items()}
        provenance = {
            "node": node.name,
            "key": key,
            "experiment": self.store.experiment,
            "dataset": self.dataset,
            "track": self.track,
            **provenance,
            "host": platform.node(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "checksum": _checksum(arrays),
        }
        if node.small:
            self._pending[key] = (arrays, provenance)
        else:
            path = self._file(node, key)
            _write(path, lambda file: _fill_group(file, arrays, provenance))
        self._failure(key).unlink(missing_ok=True)

    def annotate(self, node, key, more):
        """Add to the provenance of an artifact that has a file of its own; its arrays stay."""
        path = self._file(node, key)
        with _open(path) as source:

            def fill(file):
                for name in source:
                    source.copy(name, file)
                told = json.loads(source.attrs["provenance"]) | more
                file.attrs["provenance"] = json.dumps(told)

            _write(path, fill)

    def flush(self):
        """Write the small artifacts that wait into one shard."""
        if not self._pending:
            return
        pending = self._pending

        def fill(file):
            for key, (arrays, provenance) in pending.items():
                _fill_group(file.create_group(key), arrays, provenance)

        path = self.folder / SHARDS / f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.h5"
        _write(path, fill)
        self._shards[path] = set(pending)
        self._pending = {}

    def remove(self, keys):
        """Remove the artifacts under `keys`; return how many there were, and their bytes."""
        self.close()
        count, freed = 0, 0
        for path in sorted(self.folder.glob("*/*.h5")):
            if path.parent.name != SHARDS and path.stem in keys:
                count, freed = count + 1, freed + path.stat().st_size
                path.unlink()
        for path in self._shard_files():
            removed, size = self._remove_from_shard(path, keys)
            count, freed = count + removed, freed + size
        for key in keys:
            self._failure(key).unlink(missing_ok=True)
        self._shards = {}
        return count, freed

    def _remove_from_shard(self, path, keys):
        kept = self._keys_of(path) - keys
        removed = len(self._keys_of(path)) - len(kept)
        if not removed:
            return 0, 0
        before = path.stat().st_size
        after = 0
        if kept:
            rest = path.with_name(f"{path.stem[:20]}-{uuid.uuid4().hex[:12]}.h5")
            with _open(path) as source:
                _write(rest, lambda file: [source.copy(key, file) for key in sorted(kept)])
            after = rest.stat().st_size
        path.unlink()
        return removed, before - after

    def write_failure(self, node, key, message, trace):
        """Record that a node could not be computed; never taken for a result."""
        record = {"node": node.name, "key": key, "message": message, "traceback": trace}
        record["time"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        write_text(self._failure(key), json.dumps(record, indent=1))

    def failure(self, key):
        """Return the message of a recorded failure, or None."""
        try:
            return json.loads(self._failure(key).read_text())["message"]
        except (OSError, ValueError, KeyError):
            return None

    def fingerprints(self, parts=None):
        """Return ``{part: fingerprint}``, from the files or, without `parts`, as remembered.

        A fingerprint is the digest of the bytes of a part's files. It is remembered by path, size
        and time of each file, so that a rerun reads none of them.

        Parameters
        ----------
        parts : mapping of str to Part, optional
            The parts of the track where its dataset is on this machine.
        """
        memory = self.folder / PARTS
        return remembered(memory) if parts is None else fingerprints(memory, parts)

    def remember(self, name, value):
        """Keep a JSON value under a name of the caller's, beside the artifacts."""
        write_text(self.folder / "memory" / f"{name}.json", json.dumps(value))

    def recall(self, name):
        """Return what `remember` kept, or None."""
        try:
            return json.loads((self.folder / "memory" / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None

    def path(self, node, key):
        """Return the file that holds an artifact, or None where there is none."""
        path = self._shard_of(key) if node.small else self._file(node, key)
        return path if path is not None and path.is_file() else None

    def _file(self, node, key):
        return self.folder / node.name / f"{key}.h5"

    def _failure(self, key):
        return self.folder / FAILURES / f"{key}.json"

    def _shard_files(self):
        return sorted((self.folder / SHARDS).glob("*.h5"))

    def _shard_of(self, key):
        """Return the newest shard with a key: a refreshed artifact stands in two."""
        for path in sorted(self._shards, reverse=True):
            if key in self._shards[path]:
                return path
        for path in reversed(self._shard_files()):  # another run may have added one since
            if path not in self._shards and key in self._keys_of(path):
                return path
        return None

    def _keys_of(self, path):
        if path not in self._shards:
            try:
                with _open(path) as file:
                    self._shards[path] = set(file)
            except (OSError, ValueError) as error:
                self._set_aside(path, error)
                return set()
        return self._shards[path]

    def _open_shard(self, path):
        if self._reading is None or self._reading[0] != path:
            self.close()
            self._reading = (path, _open(path))
        return self._reading[1]

    def close(self):
        """Close the shard that is open for reading, if any."""
        if self._reading is not None:
            self._reading[1].close()
            self._reading = None

    def _set_aside(self, path, error):
        self.close()
        self._shards.pop(path, None)
        aside = path.with_suffix(".broken")
        if path.is_file():
            os.replace(path, aside)
        _log.warning(
            "%s cannot be read (%s): set aside as %s, to be computed again", path, error, aside.name
        )


def _open(path):
    import h5py

    return h5py.File(path, "r", locking=False)


def _write(path, fill):
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        with h5py.File(temporary, "w", locking=False) as file:
            fill(file)
            file.flush()
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _plain(name, value):
    array = np.asarray(value)
    if name == SCALARS:
        raise StoreError(f"an array cannot be called {name!r}: the numbers of an artifact are")
    if array.dtype.kind not in "biufcU":
        raise StoreError(
            f"array {name!r} of type {array.dtype} cannot be saved: use numbers, booleans or text"
        )
    return array


def _fill_group(group, arrays, provenance):
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
    group.attrs["provenance"] = json.dumps(provenance)


def _read_group(group):
    import h5py

    arrays = {}
    for name, data in group.items():
        if name == SCALARS:
            record = data[()]
            arrays.update((number, record[number]) for number in record.dtype.names)
            continue
        text = h5py.check_string_dtype(data.dtype) is not None
        arrays[name] = np.asarray(data.asstr()[()], dtype=str) if text else data[()]
    expected = json.loads(group.attrs["provenance"])["checksum"]
    if _checksum(arrays) != expected:
        raise StoreError("its checksum does not fit")
    return arrays


def _checksum(arrays):
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.kind == "U":
            content = canonical_json(array.tolist()).encode()
        else:
            content = np.ascontiguousarray(array).data
        total.update(f"{name}{array.shape}".encode())
        total.update(content)
    return total.hexdigest()
