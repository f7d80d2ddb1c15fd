"""Why artifacts would be computed or reused, and what that will cost."""

import pytest
from toy import run

from nmfab.base import registry
from nmfab.run.explain import explain, forecast


def fates(made, selector=None, **options):
    units, _ = made.units(made.select(selector), cached=True, **options)
    return {
        (line.node, line.reason): (line.action, line.count, line.example) for line in explain(units)
    }


def cost(made, selector=None):
    units, _ = made.units(made.select(selector), cached=True)
    return forecast(made.context().store(), units)


def test_a_track_that_was_never_computed_is_not_read_for_it(experiment, monkeypatch):
    made = experiment(rank=[1, 2])
    monkeypatch.setattr("nmfab.store.fingerprints.file_digest", lambda path: pytest.fail("read"))
    told = "nothing of this track has been computed"
    assert fates(made) == {
        ("features.scale", told): ("compute", 3, "toy/one"),
        ("nmf.factorize", told): ("compute", 6, "toy/one"),
        ("postprocessing.estimate", told): ("compute", 6, "toy/one"),
        ("metrics.toy", told): ("compute", 6, "toy/one"),
    }


def test_the_nearest_that_exists_gives_the_reason(experiment):
    run(experiment(rank=[1], gain=[1]))
    near = experiment(rank=[3], gain=[1])
    near.set("tolerance", [5])
    found = fates(near)
    assert found["features.scale", "exists"] == ("reuse", 3, "toy/one")
    factorized = "rank: 1 → 3 (against the nearest that exists)"
    assert found["nmf.factorize", factorized] == ("compute", 3, "toy/one")
    estimated = "reads another nmf.factorize (against the nearest that exists)"
    assert found["postprocessing.estimate", estimated][0] == "compute"
    scored = "tolerance: 0.5 → 5, reads another postprocessing.estimate "
    assert found["metrics.toy", f"{scored}(against the nearest that exists)"][0] == "compute"
    run(experiment(rank=[2], gain=[7]))  # differs in more
    assert fates(near)["nmf.factorize", factorized]
    both = experiment(rank=[1], gain=[1])
    both.set("tolerance", [5])
    assert fates(both)["metrics.toy", "tolerance: 0.5 → 5 (against the nearest that exists)"]


def test_nodes_are_told_in_their_order(experiment):
    made = experiment(rank=[1])
    units, _ = made.units(made.select())
    nodes = [line.node for line in explain(units)]
    assert nodes == ["features.scale", "nmf.factorize", "postprocessing.estimate", "metrics.toy"]


def test_a_changed_part_and_other_libraries(experiment, data, monkeypatch):
    made = experiment(rank=[1])
    run(made)
    (data / "one.ref").write_text("7\n")
    found = fates(made)
    told = "answer changed (against the nearest that exists)"
    assert found["metrics.toy", told] == ("compute", 1, "toy/one")
    assert found["metrics.toy", "exists"] == ("reuse", 2, "toy/three")
    real = registry.release
    monkeypatch.setattr(registry, "release", lambda n: "0.1" if n == "numpy" else real(n))
    told = f"computed with numpy {real('numpy')}, now 0.1"
    assert fates(made)["features.scale", told] == ("reuse", 3, "toy/one")


def test_refreshing_is_a_reason(experiment):
    made = experiment(rank=[1])
    run(made)
    found = fates(made, refresh="postprocessing")
    assert found["nmf.factorize", "exists"][0] == "reuse"
    assert found["postprocessing.estimate", "to be refreshed"] == ("compute", 3, "toy/one")
    assert found["metrics.toy", "to be refreshed"][0] == "compute"


def test_measuring_alone_is_a_reason(experiment):
    made = experiment(rank=[1])
    run(made)
    made.timing, made.threads = True, 1
    told = "its seconds have not been measured alone here"
    assert fates(made)["nmf.factorize", told] == ("time", 3, "toy/one")
    made.compute()
    assert fates(made)["nmf.factorize", "exists"][0] == "reuse"


def test_a_track_that_cannot_be_read_fails(experiment, data):
    made = experiment(rank=[1, 2])
    run(made)
    (data / "two.ref").unlink()
    ((_, reason), fate) = next(item for item in fates(made).items() if item[1][0] == "fail")
    assert "two.ref cannot be read" in reason
    assert fate[1:] == (1, "toy/two")


def test_forecast_counts_and_takes_costs_from_what_exists(experiment):
    made = experiment(rank=[1, 2, 3])
    empty = cost(made)
    assert (empty.existing, empty.missing) == (0, 9)
    assert empty.to_compute == {
        "features.scale": 3,
        **dict.fromkeys(("nmf.factorize", "postprocessing.estimate", "metrics.toy"), 9),
    }
    assert (empty.seconds, empty.bytes, empty.used) == (0, 0, 0)
    assert set(empty.unknown) == set(empty.to_compute)
    run(made, {"rank": 1})
    found = cost(made)
    assert (found.existing, found.missing) == (3, 6)
    nodes = ("nmf.factorize", "postprocessing.estimate", "metrics.toy")
    assert found.to_compute == dict.fromkeys(nodes, 6)
    assert found.unknown == []
    units, _ = made.units(made.select({"rank": 1}))
    told = {name: [unit.provenance(name)["seconds"] for unit in units] for name in nodes}
    assert found.seconds == pytest.approx(6 * sum(sum(s) / 3 for s in told.values()))
    files = [unit.path("nmf.factorize").stat().st_size for unit in units]
    shards = [unit.path("metrics.toy").stat().st_size for unit in units]  # of two artifacts each
    assert found.bytes == pytest.approx(6 * sum(files) / 3 + 6 * sum(shards) / 3)
    features = [unit.path("features.scale").stat().st_size for unit in units]
    assert found.used == sum(files) + sum(shards) + sum(features)
    assert cost(made, {"rank": 1}).to_compute == {}
