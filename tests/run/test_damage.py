"""One damaged file blocks no command, and changes no score."""

from contextlib import suppress

import pytest
import toy
from toy import run

from nmfab.base.errors import UsageError
from nmfab.run.explain import explain, forecast

FACTORS = {"rank": [1, 2, 13], "learn": [True, False]}
NONSENSE = [b"", b"null", b"[]", b"\x89HDF\r\n\x1a\n" + bytes(600)]


def kept(experiment):
    folder = experiment.cache / "toy"
    return sorted(p for p in folder.rglob("*") if p.suffix in (".h5", ".json"))


def scores(results):
    return sorted((row[0].text, row[2], row[3]["error"]) for row in results.rows)


def sort_of(path):
    """Return what kind of file it is: one of each is damaged."""
    return path.name if path.name == "parts.json" else path.parent.name


def commands(made):
    """Do what -d, -e, -p, --explain and the first half of -R do."""
    made.results().to_frame()
    units, _ = made.units(made.select(), cached=True)
    forecast(made.context().store(), units)
    explain(units)
    made.removable({"rank": 2})


@pytest.mark.parametrize("content", [*NONSENSE, "zeros", "bit"], ids=range(6))
def test_a_damaged_file_of_any_kind_blocks_no_command(experiment, content, caplog):
    made = experiment(**FACTORS)
    run(made, {"rank": 1})
    made.compute()
    right = scores(made.results())
    assert len(right) == 12
    files = {sort_of(path): path for path in kept(made)}
    assert set(files) == {
        *("features.scale", "nmf.factorize", "postprocessing.learned", "shards"),
        *("parts.json", "memory", "failures"),
    }
    for path in files.values():
        whole = path.read_bytes()
        at = len(whole) * 2 // 3
        changed = {
            "zeros": whole[:100] + bytes(42) + whole[142:],
            "bit": whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :],
        }.get(content, content)
        path.write_bytes(changed)
        caplog.clear()
        commands(made)
        path.with_suffix(".broken").unlink(missing_ok=True)
        path.write_bytes(changed)
        with suppress(UsageError):
            made.load("features.scale", {"rank": 2, "learn": False}, "two")
        report = made.compute()
        assert report.computed + report.reused == 12
        assert ("shards" in path.parts) <= bool(report.warnings)
        assert scores(made.results()) == right


def test_a_damaged_shard_is_told_and_computed_anew(experiment):
    made = experiment()
    run(made)
    right = scores(made.results())
    (path,) = (made.cache / "toy" / "toy" / "two" / "shards").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    report = made.compute()
    assert (report.computed, report.reused) == (1, 2)
    (warning,) = report.warnings
    assert str(path) in warning
    assert scores(made.results()) == right


def test_tables_compute_nothing_in_the_place_of_what_is_damaged(experiment):
    made = experiment()
    run(made)
    (path,) = (made.cache / "toy" / "toy" / "two" / "shards").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    toy.CALLS.clear()
    results = made.results()
    assert toy.CALLS == []
    assert len(results.rows) == 2
    assert [(track, reason) for _, _, track, reason in results.missing] == [("two", "not computed")]


def test_removal_where_files_are_damaged(experiment):
    made = experiment(rank=[1, 2])
    run(made)
    for path in kept(made):
        if path.suffix == ".h5" and "two" in path.parts:
            path.write_bytes(path.read_bytes()[:-1])
    keys = made.removable({"rank": 2})
    made.remove(keys)
    assert len(made.results({"rank": 1}).rows) == 2
    assert run(made) == (4, 2, 0)
