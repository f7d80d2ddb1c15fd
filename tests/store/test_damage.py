"""Whatever a file has become: it is set aside and named, and the others are read."""

import errno
import json
import os

import h5py
import numpy as np
import pytest

from nmfab.base.errors import StoreError
from nmfab.base.types import Node, Part
from nmfab.store import hdf5
from nmfab.store.files import Store

BIG = Node("nmf.factorize", lambda params: {})
SMALL = Node("metrics.toy", lambda params: {}, small=True)
ARRAYS = {
    "W": np.arange(12, dtype=np.float32).reshape(4, 3),
    "labels": np.array(["é", "chorus"]),
    "score": 0.4,
    "count": 3,
}


@pytest.fixture
def place(tmp_path):
    """A place with two artifacts in files of their own, and four in a shard."""
    place = Store(tmp_path, "toy").place("data", "track")
    for node, keys in ((BIG, "ab"), (SMALL, "cdef")):
        for number, key in enumerate(keys):
            arrays = ARRAYS | {"W": ARRAYS["W"] + number}
            place.write(node, key, arrays, {"recipe": {"node": node.name}, "seconds": 1.0})
    place.flush()
    return place


def fresh(place):
    return Store(place.store.folder.parent, "toy").place("data", "track")


def same(found, number=0):
    assert set(found) == set(ARRAYS)
    for name, array in (ARRAYS | {"W": ARRAYS["W"] + number}).items():
        np.testing.assert_array_equal(found[name], array)
        if name != "labels":
            assert found[name].dtype == np.asarray(array).dtype


def looks(place, node, key):
    """Return what every way of reading gives, none of which may raise."""
    found = fresh(place)
    assert isinstance(found.has(node, key), bool)
    provenance = found.provenance(node, key)
    assert provenance is None or provenance["key"] == key
    arrays = found.read(node, key)
    assert isinstance(found.provenances(node.name), dict)
    found.close()
    return arrays


def damaged(content, seed):
    """Yield a file's content with runs of zeros and single flipped bits all over it."""
    rng = np.random.default_rng(seed)
    for at in range(0, len(content), 61):
        yield content[:at] + bytes(42) + content[at + 42 :]
    for at in rng.integers(len(content), size=150):
        bit = 1 << int(rng.integers(8))
        yield content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
    for at in rng.integers(len(content), size=20):
        yield content[:at]
    yield content + b"\0"


@pytest.mark.parametrize(("node", "key", "other"), [(BIG, "a", "b"), (SMALL, "c", None)])
def test_no_byte_of_a_file_may_change(place, node, key, other, caplog):
    path = place.path(node, key)
    content = path.read_bytes()
    for number, changed in enumerate(damaged(content, 1)):
        path.write_bytes(changed)
        caplog.clear()
        with caplog.at_level("WARNING", "nmfab"):
            arrays = looks(place, node, key)
        if changed == content:  # zeros where zeros were
            same(arrays)
            continue
        assert arrays is None, number
        assert len(caplog.records) == 1, number
        assert str(path) in caplog.text
        assert path.with_suffix(".broken").is_file()
        assert fresh(place).read(node, key) is None
        if other is not None:
            same(fresh(place).read(node, other), 1)


def test_exchanged_files_are_noticed(place, caplog):
    first, second = place.path(BIG, "a"), place.path(BIG, "b")
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    assert fresh(place).provenance(BIG, "a") is None
    assert fresh(place).read(BIG, "b") is None
    assert str(first) in caplog.text
    assert str(second) in caplog.text


def test_a_file_of_another_node_is_noticed(place, caplog):
    other = Node("nmf.other", lambda params: {})
    path = place.folder / other.name / "a.h5"
    path.parent.mkdir()
    path.write_bytes(place.path(BIG, "a").read_bytes())
    assert fresh(place).read(other, "a") is None
    assert "nmf.factorize" in caplog.text


def exchange(file):
    file.move("c", "x")
    file.move("d", "c")
    file.move("x", "d")


def test_exchanged_groups_of_a_shard_are_noticed(place, caplog):
    path = place.path(SMALL, "c")
    with h5py.File(path, "r+") as file:
        exchange(file)
    assert fresh(place).read(SMALL, "c") is None
    assert str(path) in caplog.text


def sealed_anew(path, change):
    """Change what lies behind the header, and give it the digest of what it then is."""
    header = hdf5.read_header(path)
    with h5py.File(path, "r+") as file:
        change(file)
    with open(path, "r+b", buffering=0) as file:
        text = hdf5._text(hdf5._digest_behind(file, header.size), header.grouped, header.artifacts)
        text = text.ljust(header.size - hdf5._LENGTH, b"\0")
        first = f"nmfab artifact: header of {header.size:10d} bytes, digest {hdf5._digest(text)}\n"
        file.seek(0)
        file.write(first.encode() + text)


def as_type(kind, name="W"):
    def change(file):
        group = file.get("c", file)
        array = group[name][()]
        del group[name]
        group[name] = array.view(kind) if array.dtype.itemsize == np.dtype(kind).itemsize else array

    return change


def shaped(file):
    group = file.get("c", file)
    array = group["W"][()].reshape(3, 4)
    del group["W"]
    group["W"] = array


def renamed(file):
    file.get("c", file).move("W", "V")


@pytest.mark.parametrize(("node", "key"), [(BIG, "a"), (SMALL, "c")])
@pytest.mark.parametrize("change", [as_type("<i4"), as_type(">f4"), shaped, renamed])
def test_types_orders_shapes_and_names_are_those_of_the_provenance(place, node, key, change):
    path = place.path(node, key)
    sealed_anew(path, lambda file: None)
    same(fresh(place).read(node, key))
    sealed_anew(path, change)
    assert fresh(place).read(node, key) is None


def test_groups_exchanged_under_a_digest_that_fits_are_noticed(place):
    sealed_anew(place.path(SMALL, "c"), exchange)
    assert fresh(place).read(SMALL, "c") is None


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "i8", "?", "c16", ">f4", ">i8", "f2", "u1"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
@pytest.mark.parametrize("node", [BIG, SMALL])
def test_every_type_and_shape_comes_back(tmp_path, kind, shape, node):
    place = Store(tmp_path, "toy").place("data", "track")
    array = np.ones(shape, kind)
    place.write(node, "k", {"x": array, "t": np.full(shape, "ab")}, {"recipe": {}})
    place.flush()
    found = fresh(place).read(node, "k")
    assert found["x"].shape == shape
    assert found["x"].dtype == (array.dtype if shape else array.dtype.newbyteorder("="))
    np.testing.assert_array_equal(found["x"], array)
    np.testing.assert_array_equal(found["t"], np.full(shape, "ab"))


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, AttributeError, RecursionError])
@pytest.mark.parametrize(("node", "key"), [(BIG, "a"), (SMALL, "c")])
def test_any_exception_sets_the_file_aside(place, node, key, error, monkeypatch, caplog):
    def fail(*given):
        raise error("told")

    path = place.path(node, key)
    with monkeypatch.context() as patched:
        patched.setattr(hdf5, "_arrays", fail)
        assert fresh(place).read(node, key) is None
    assert not path.exists()
    assert [record.getMessage().split()[0] for record in caplog.records] == [str(path)]


def test_a_machine_out_of_open_files_is_no_fault_of_the_file(place, monkeypatch):
    def refuse(*given):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(hdf5, "read_header", refuse)
    with pytest.raises(StoreError, match="Too many open files"):
        fresh(place).read(BIG, "a")
    monkeypatch.undo()
    same(fresh(place).read(BIG, "a"))


def test_an_older_shard_is_read_where_the_newer_is_damaged(place):
    place.write(SMALL, "c", ARRAYS, {"recipe": {}})
    place.flush()
    newest = place.path(SMALL, "c")
    newest.write_bytes(newest.read_bytes()[:-1])
    same(fresh(place).read(SMALL, "c"))


def test_a_file_that_cannot_be_renamed_is_named_and_absent(place, monkeypatch, caplog):
    def refuse(*given):
        raise PermissionError(13, "Permission denied")

    path = place.path(BIG, "a")
    path.write_bytes(b"")
    monkeypatch.setattr("os.replace", refuse)
    found = fresh(place)
    assert found.read(BIG, "a") is None
    assert not found.has(BIG, "a")
    assert f"{path} cannot be read" in caplog.text
    assert "remove it" in caplog.text


def test_a_folder_in_the_place_of_a_shard_is_set_aside(place, caplog):
    folder = place.folder / "shards" / "99999999999999999999-x.h5"
    folder.mkdir()
    same(fresh(place).read(SMALL, "c"))
    assert str(folder) in caplog.text


def test_removal_from_a_damaged_shard_spares_the_rest(place, caplog):
    path = place.path(SMALL, "c")
    path.write_bytes(path.read_bytes()[:-1])
    assert fresh(place).remove({"a", "c"})[0] == 1
    assert str(path) in caplog.text
    same(fresh(place).read(BIG, "b"), 1)


def test_bytes_are_verified_once_while_the_file_stays_what_it_was(place, monkeypatch):
    monkeypatch.setattr(hdf5, "_SETTLED", -1)
    counted, digest = [], hdf5._digest_behind
    monkeypatch.setattr(hdf5, "_digest_behind", lambda *given: counted.append(1) or digest(*given))
    for _ in range(3):
        same(fresh(place).read(BIG, "a"))
    assert len(counted) == 1
    path = place.path(BIG, "a")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    assert fresh(place).read(BIG, "a") is None


def test_what_was_written_a_moment_ago_is_verified_each_time(place, monkeypatch):
    monkeypatch.setattr(hdf5, "_SETTLED", 10**12)
    same(fresh(place).read(BIG, "a"))
    path = place.path(BIG, "a")
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fresh(place).read(BIG, "a") is None


@pytest.mark.parametrize("name", ["", ".", "a/b"])
def test_a_name_that_hdf5_reads_as_a_path_is_refused(place, name):
    with pytest.raises(StoreError, match="cannot be called"):
        place.write(BIG, "k", {name: 1.0}, {})


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_hdf5_cannot_hold_is_refused(place, text):
    with pytest.raises(StoreError, match="array 't' cannot be saved"):
        place.write(BIG, "k", {"t": np.array([text])}, {})


NONSENSE = [b"null", b"[]", b"{}", b"3", b'"x"', b"", b"\xff\xfe", b"[" * 100_000, b"1" * 5000]


@pytest.mark.parametrize("content", NONSENSE, ids=range(len(NONSENSE)))
def test_small_records_are_set_aside(place, tmp_path, content, caplog):
    audio = tmp_path / "audio.wav"
    audio.write_bytes(b"one")
    parts = {"audio": Part((audio,), dict)}
    known = place.fingerprints(parts)
    place.write_failure(BIG, "k", "because", "trace")
    place.remember("tracks", ["one", "two"])
    assert place.failure("k") == "because"
    assert place.recall("tracks") == ["one", "two"]
    files = sorted(place.folder.rglob("*.json"))
    assert len(files) == 3
    for path in files:
        path.write_bytes(content)
    assert place.fingerprints() == {}
    assert place.failure("k") is None
    assert place.recall("tracks") is None
    assert all(str(path) in caplog.text for path in files)
    assert len(caplog.records) == 3
    assert place.fingerprints(parts) == known


def test_a_record_that_was_changed_is_no_record(place):
    place.remember("tracks", ["one", "two"])
    (path,) = place.folder.rglob("*.json")
    path.write_text(path.read_text().replace("two", "too"))
    assert place.recall("tracks") is None


def test_exchanged_records_are_noticed(place):
    for key in "xy":
        place.write_failure(BIG, key, f"because of {key}", "trace")
        place.remember(key, [key])
    for folder in ("failures", "memory"):
        first, second = (place.folder / folder / f"{key}.json" for key in "xy")
        second.write_text(first.read_text())
    assert place.failure("x") == "because of x"
    assert place.failure("y") is None
    assert place.recall("y") is None


def test_a_record_is_readable_json(place):
    place.write_failure(BIG, "k", "because", "trace")
    (path,) = place.folder.rglob("*.json")
    assert json.loads(path.read_text())["content"]["message"] == "because"


def test_a_cache_that_cannot_be_written_can_be_read(place, tmp_path, monkeypatch):
    def refuse(*given):
        raise PermissionError(13, "Permission denied")

    audio = tmp_path / "audio.wav"
    audio.write_bytes(b"one")
    monkeypatch.setattr("os.replace", refuse)
    assert set(place.fingerprints({"audio": Part((audio,), dict)})) == {"audio"}
    place.remember("tracks", ["one"])
    assert place.recall("tracks") is None
    same(fresh(place).read(SMALL, "c"))
    with pytest.raises(StoreError, match=r"k\.h5 cannot be written: .*Permission denied"):
        place.write(BIG, "k", ARRAYS, {"recipe": {}})
    assert not list(place.folder.rglob("*.tmp"))
