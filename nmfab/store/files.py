"""Artifacts on disk: what a node saved for a track, and what is remembered beside it.

A features or nmf artifact is a file of its own, ``<node>/<key>.h5``; small ones (estimates, scores)
lie in shards, one per job, one group per key. Concurrent runs need no lock: what bears its name is
complete. A file that does not give back what was written, whatever it does when it is read, is
reported, renamed to ``*.broken`` and from then on absent.
"""

import errno
import platform
import time
import uuid
import weakref
from collections import deque
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote

from nmfab.base.errors import StoreError
from nmfab.store import hdf5
from nmfab.store.fingerprints import fingerprints, remembered, remembered_libraries
from nmfab.store.records import read_record, set_aside, write_record

FIT = "_fit"  # the place, beside the tracks of a dataset, of what was learned over several
SHARDS, FAILURES, PARTS, MEMORY = "shards", "failures", "parts.json", "memory"
MOST_OPEN = 64  # shards open for reading: a process may have some 1024 files open
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # no fault of the file


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
        self._open = deque()  # weak references to the places that have a shard open

    def keep_open(self, place):
        """Let a place have a shard open; that of another is closed where there are many."""
        self._open.append(weakref.ref(place))
        if len(self._open) > MOST_OPEN:
            oldest = self._open.popleft()()
            if oldest is not None and oldest is not place:
                oldest.close()

    def place(self, dataset, track):
        """Return the `Place` of one track (or of `FIT`)."""
        return Place(self, dataset, track)

    def tracks(self, dataset):
        """Return the ids of the tracks that have results or failures, sorted.

        Those that were only learned from have neither.
        """
        folder = self.folder / encode(dataset)
        found = {p.parent.name for name in (SHARDS, FAILURES) for p in folder.glob(f"*/{name}")}
        return sorted(decode(name) for name in found - {FIT})

    def sample(self, node, most):
        """Return (provenance, bytes) of some artifacts of a node, from at most `most` files."""
        for folder in (node, SHARDS):
            found = _sizes(islice(self.folder.glob(f"*/*/{folder}/*.h5"), most), node)
            if found:
                return found
        return []


def _sizes(files, node):
    found = []
    for path in files:
        header = _attempt(path, hdf5.read_header, path)
        for provenance in header.artifacts.values() if header else ():
            if provenance["node"] == node:
                found.append((provenance, path.stat().st_size / len(header.artifacts)))
    return found


def _attempt(path, look, *arguments):
    """Return what `look` makes of a file, or None where the file is gone or had to be set aside."""
    try:
        return look(*arguments)
    except FileNotFoundError:
        return None  # another process was here first
    except Exception as error:  # whatever a damaged file makes of itself
        if getattr(error, "errno", None) in _SCARCE:
            raise StoreError(f"{path} cannot be opened: {error}") from error
        set_aside(path, error)
        return None


class Place:
    """What is kept for one track: artifacts, shards, failures, fingerprints of its parts."""

    def __init__(self, store, dataset, track):
        self.store, self.dataset, self.track = store, dataset, track
        name = FIT if track == FIT else encode(track)
        self.folder = store.folder / encode(dataset) / name
        self._shards = {}  # shard file -> its keys
        self._lost = set()  # files that could not be read, for where they cannot be renamed either
        self._pending = {}  # key -> (arrays, provenance), small artifacts not yet in a shard
        self._reading = None  # the shard open for reading: scores are read one after the other

    # -- reading ------------------------------------------------------------------------------

    def has(self, node, key):
        """Tell whether there is a file for the artifact of `node` under `key`."""
        return (node.small and key in self._pending) or self.path(node, key) is not None

    def read(self, node, key):
        """Return an artifact's arrays, or None where it is absent or had to be set aside."""
        if key in self._pending:
            return dict(self._pending[key][0])
        return self._first(node, key, self._arrays)

    def provenance(self, node, key):
        """Return how an artifact came to be, or None where it is absent or unreadable."""
        if key in self._pending:
            return self._pending[key][1]
        return self._first(node, key, self._provenance)

    def provenances(self, node_name):
        """Return ``{key: provenance}`` of all artifacts of a node here, small or not."""
        found = {}
        for path in (*sorted((self.folder / node_name).glob("*.h5")), *self._shard_files()):
            header = self._attempt(path, hdf5.read_header, path)
            for key, provenance in header.artifacts.items() if header else ():
                if provenance["node"] == node_name:
                    found[key] = provenance
        return found

    def path(self, node, key):
        """Return the file that holds an artifact, or None where there is none."""
        if node.small:
            return self._shard_of(key)
        path = self._file(node, key)
        return path if path.is_file() and path not in self._lost else None

    def close(self):
        """Close the shard that is open for reading, if any."""
        if self._reading is not None:
            self._reading[2].close()
            self._reading = None

    def _first(self, node, key, look):
        """Return what `look` gives of the first file that can be read, the newest shard first."""
        while (path := self.path(node, key)) is not None:
            found = self._attempt(path, look, path, node, key)
            if found is not None:
                return found
        return None

    def _attempt(self, path, look, *arguments):
        found = _attempt(path, look, *arguments)
        if found is None:
            self.close()
            self._shards.pop(path, None)
            self._lost.add(path)
        return found

    def _arrays(self, path, node, key):
        if node.small:
            header, file = self._open_shard(path)
            return hdf5.arrays_in(file, header, key, node.name)
        header, file = hdf5.opened(path)
        with file:
            return hdf5.arrays_in(file, header, key, node.name)

    def _provenance(self, path, node, key):
        header = self._open_shard(path)[0] if node.small else hdf5.read_header(path)
        return hdf5.provenance_in(header, key, node.name)

    def _open_shard(self, path):
        if self._reading is None or self._reading[0] != path:
            self.close()
            self._reading = (path, *hdf5.opened(path))
        self.store.keep_open(self)
        return self._reading[1:]

    # -- writing ------------------------------------------------------------------------------

    def write(self, node, key, arrays, provenance):
        """Save an artifact; a small one waits for `flush`.

        Raises
        ------
        StoreError
            If an array cannot be saved, or the file cannot be written.
        """
        arrays = {name: hdf5.plain(name, value) for name, value in arrays.items()}
        provenance = {
            "node": node.name,
            "key": key,
            "experiment": self.store.experiment,
            "dataset": self.dataset,
            "track": self.track,
            **provenance,
            "host": platform.node(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "checksum": hdf5.checksum(arrays),
        }
        if node.small:
            self._pending[key] = (arrays, provenance)
        else:
            self._write_file(node, key, arrays, provenance)
        self._failure(key).unlink(missing_ok=True)

    def annotate(self, node, key, more):
        """Add to the provenance of an artifact that has a file of its own; its arrays stay."""
        provenance, arrays = self.provenance(node, key), self.read(node, key)
        if arrays is not None:
            self._write_file(node, key, arrays, provenance | more)

    def flush(self):
        """Write the small artifacts that wait into one shard."""
        if not self._pending:
            return
        path = self.folder / SHARDS / f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.h5"
        hdf5.write(path, self._pending, grouped=True)
        self._shards[path] = set(self._pending)
        self._pending = {}

    def _write_file(self, node, key, arrays, provenance):
        path = self._file(node, key)
        hdf5.write(path, {key: (arrays, provenance)}, grouped=False)
        self._lost.discard(path)

    # -- removing -----------------------------------------------------------------------------

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
            artifacts = self._attempt(path, _artifacts, path, kept)
            if artifacts is None:
                return 0, 0
            rest = path.with_name(f"{path.stem[:20]}-{uuid.uuid4().hex[:12]}.h5")
            hdf5.write(rest, artifacts, grouped=True)
            after = rest.stat().st_size
        path.unlink()
        return removed, before - after

    # -- records ------------------------------------------------------------------------------

    def write_failure(self, node, key, message, trace):
        """Record that a node could not be computed; never taken for a result."""
        record = {"node": node.name, "key": key, "message": message, "traceback": trace}
        record["time"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        write_record(self._failure(key), record)

    def failure(self, key):
        """Return the message of a recorded failure, or None."""
        record = read_record(self._failure(key))
        return record["message"] if record and record["key"] == key else None

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

    def libraries(self, parts=None):
        """Return ``{part: names}`` of libraries whose release decides what is read of each part."""
        if parts is None:
            return remembered_libraries(self.folder / PARTS)
        return {name: part.libraries for name, part in parts.items()}

    def remember(self, name, value):
        """Keep a JSON value under a name of the caller's, beside the artifacts."""
        with suppress(StoreError):  # a cache that cannot be written can be read
            write_record(self._memory(name), {"name": name, "value": value})

    def recall(self, name):
        """Return what `remember` kept, or None."""
        record = read_record(self._memory(name))
        return record["value"] if record and record["name"] == name else None

    # -- names --------------------------------------------------------------------------------

    def _file(self, node, key):
        return self.folder / node.name / f"{key}.h5"

    def _failure(self, key):
        return self.folder / FAILURES / f"{key}.json"

    def _memory(self, name):
        return self.folder / MEMORY / f"{name}.json"

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
        if path in self._lost:
            return set()
        if path not in self._shards:
            # small files: what a run counts as there can be read
            header = self._attempt(path, hdf5.verified_header, path)
            if header is None:
                return set()
            self._shards[path] = set(header.artifacts)
        return self._shards[path]


def _artifacts(path, keys):
    """Return ``{key: (arrays, provenance)}`` of some artifacts of a shard."""
    header, file = hdf5.opened(path)
    with file:
        return {
            key: (hdf5.arrays_in(file, header, key, told["node"]), told)
            for key, told in header.artifacts.items()
            if key in keys
        }
