"""Which artifacts can be removed: those that no other setting reads."""

from toy import calls, run


def test_what_was_learned_is_removed_from_where_it_is_kept(experiment):
    made = experiment(learn=[True], gain=[1, 2])
    assert run(made) == (6, 0, 0)
    keys = made.removable({"gain": 2})
    assert set(keys) == {("toy", track) for track in ("one", "two", "three", "_fit")}
    assert len(keys["toy", "_fit"]) == 1
    assert made.remove(keys)[0] == 13  # of each track four artifacts
    assert len(list((made.cache / "toy" / "toy" / "_fit").rglob("*.h5"))) == 1
    assert run(made) == (3, 3, 0)
    assert len(calls("learn")) == 1
    assert len(calls("factorize")) == 3


def test_what_another_setting_reads_is_kept(experiment):
    made = experiment(learn=[True], rank=[1, 2])
    run(made)
    keys = made.removable({"rank": 2})
    assert set(keys) == {("toy", track) for track in ("one", "two", "three")}
    assert {len(found) for found in keys.values()} == {3}
