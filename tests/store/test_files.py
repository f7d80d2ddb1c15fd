import json

import h5py
import numpy as np
import pytest

from nmfab.base.errors import StoreError
from nmfab.base.types import Node, Part
from nmfab.store.files import Store, decode, encode

BIG = Node("nmf.factorize", lambda params: {})
SMALL = Node("metrics.toy", lambda params: {}, small=True)


@pytest.fixture
def place(tmp_path):
    return Store(tmp_path, "toy").place("data", "a/b: ünï")


def write(place, node, key, value=1.0):
    place.write(node, key, {"x": np.arange(3) * value, "t": np.array(["é", "b"])}, {"recipe": {}})


@pytest.mark.parametrize("name", ["a/b", "..", ".x", "_fit", "ünï", "a b", "50%", "-"])
def test_names_survive_as_folders(name):
    assert decode(encode(name)) == name
    assert "/" not in encode(name)
    assert encode(name)[0] not in "._"


@pytest.mark.parametrize("node", [BIG, SMALL])
def test_arrays_come_back_as_written(place, node):
    assert not place.has(node, "k")
    write(place, node, "k")
    place.flush()
    fresh = Store(place.store.folder.parent, "toy").place("data", "a/b: ünï")
    assert fresh.has(node, "k")
    arrays = fresh.read(node, "k")
    np.testing.assert_array_equal(arrays["x"], np.arange(3.0))
    assert arrays["t"].tolist() == ["é", "b"]
    provenance = fresh.provenance(node, "k")
    assert provenance["track"] == "a/b: ünï"
    assert {"host", "time", "checksum", "node", "key"} <= set(provenance)


@pytest.mark.parametrize("node", [BIG, SMALL])
def test_numbers_come_back_with_their_types(place, node):
    numbers = {"si_sdr": 1.5, "count": 3, "single": np.float32(0.1), "none": np.nan}
    place.write(node, "k", {**numbers, "x": np.arange(2)}, {"recipe": {}})
    place.flush()
    fresh = Store(place.store.folder.parent, "toy").place("data", "a/b: ünï")
    found = fresh.read(node, "k")
    assert set(found) == {*numbers, "x"}
    for name, value in numbers.items():
        assert found[name].dtype == np.asarray(value).dtype
        np.testing.assert_equal(found[name], np.asarray(value))
    with pytest.raises(StoreError, match="scalars"):
        place.write(node, "k", {"scalars": 1}, {})


def test_plain_h5py_reads_an_artifact(place):
    write(place, BIG, "k")
    with h5py.File(place.path(BIG, "k")) as file:
        np.testing.assert_array_equal(file["x"], np.arange(3.0))
        assert json.loads(file.attrs["provenance"])["node"] == "nmf.factorize"


def test_objects_are_refused_rather_than_pickled(place):
    with pytest.raises(StoreError, match="'x'"):
        place.write(BIG, "k", {"x": np.array([{}], dtype=object)}, {})


def test_no_temporary_file_is_left_when_writing_fails(place, monkeypatch):
    monkeypatch.setattr("nmfab.store.hdf5._fill", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(StoreError, match="full"):
        write(place, BIG, "k")
    assert not [path for path in place.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("node", [BIG, SMALL])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "changed"])
def test_a_damaged_artifact_is_set_aside_and_said(place, node, damage, caplog):
    write(place, node, "k")
    place.flush()
    path = place.path(node, "k")
    content = path.read_bytes()
    if damage == "changed":
        at = content.index(np.array([0.0, 1.0, 2.0]).tobytes()) + 8
        path.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    else:
        path.write_bytes(content[:600] if damage == "truncated" else b"nothing" * 100)
    fresh = Store(place.store.folder.parent, "toy").place("data", "a/b: ünï")
    with caplog.at_level("WARNING", "nmfab"):
        assert fresh.read(node, "k") is None
    assert str(path) in caplog.text
    assert path.with_suffix(".broken").is_file()
    assert not fresh.has(node, "k")


def test_the_newest_of_two_shards_counts(place):
    for value in (1.0, 2.0):
        write(place, SMALL, "k", value)
        place.flush()
        np.testing.assert_array_equal(place.read(SMALL, "k")["x"], np.arange(3) * value)
    fresh = Store(place.store.folder.parent, "toy").place("data", "a/b: ünï")
    np.testing.assert_array_equal(fresh.read(SMALL, "k")["x"], [0, 2, 4])


def test_removal_keeps_the_other_artifacts_of_a_shard(place):
    write(place, SMALL, "gone")
    write(place, SMALL, "kept")
    write(place, BIG, "gone")
    place.flush()
    count, freed = place.remove({"gone"})
    assert count == 2
    assert freed > 0
    assert not place.has(SMALL, "gone")
    assert not place.has(BIG, "gone")
    assert place.read(SMALL, "kept") is not None


def test_a_failure_is_no_result_and_goes_when_one_is_written(place):
    place.write_failure(BIG, "k", "because", "trace")
    assert place.failure("k") == "because"
    assert not place.has(BIG, "k")
    write(place, BIG, "k")
    assert place.failure("k") is None


def test_fingerprints_follow_the_bytes_and_are_remembered(place, tmp_path, monkeypatch):
    file = tmp_path / "audio.wav"
    file.write_bytes(b"one")
    parts = {"audio": Part((file,), dict)}
    first = place.fingerprints(parts)
    assert place.fingerprints() == first
    monkeypatch.setattr(
        "nmfab.store.fingerprints.file_digest", lambda path: pytest.fail("read again")
    )
    assert place.fingerprints(parts) == first
    monkeypatch.undo()
    file.write_bytes(b"two!")
    assert place.fingerprints(parts) != first
    other = tmp_path / "copy.wav"
    other.write_bytes(b"one")
    assert place.fingerprints({"audio": Part((other,), dict)}) == first


def test_few_shards_are_open_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("nmfab.store.files.MOST_OPEN", 2)
    store = Store(tmp_path, "toy")
    places = [store.place("data", f"track {number}") for number in range(4)]
    for number, place in enumerate(places):
        write(place, SMALL, "k", number)
        place.flush()
    for _ in range(2):
        for number, place in enumerate(places):
            np.testing.assert_array_equal(place.read(SMALL, "k")["x"], np.arange(3) * number)
            assert sum(place._reading is not None for place in places) <= 2


def test_every_file_of_a_part_is_in_its_fingerprint(place, tmp_path):
    files = tuple(tmp_path / name for name in ("bass.wav", "drums.wav"))
    for file in files:
        file.write_bytes(b"one")
    parts = {"stems": Part(files, dict)}
    seen = {place.fingerprints(parts)["stems"]}
    for file in files:
        file.write_bytes(b"another")
        seen.add(place.fingerprints(parts)["stems"])
        assert place.fingerprints()["stems"] in seen
    assert len(seen) == 3
