"""Which artifacts can be removed: those that no other setting reads."""

from toy import calls, run


def test_what_was_learned_is_removed_from_where_it_is_kept(experiment):
    made = experiment(learn=[True, False], rank=[1])
    assert run(made) == (6, 0, 0)
    keys = made.removable({"learn": True})
    assert set(keys) == {("toy", track) for track in ("one", "two", "three", "_fit")}
    assert len(keys["toy", "_fit"]) == 1
    assert made.remove(keys)[0] == 7  # per track estimate and score
    assert not list((made.cache / "toy" / "toy" / "_fit").rglob("*.h5"))
    assert run(made) == (3, 3, 0)
    assert len(calls("learn")) == 1
    assert calls("factorize") == []


def test_what_another_setting_reads_is_kept(experiment):
    made = experiment(learn=[True], rank=[1, 2])
    run(made)
    keys = made.removable({"rank": 2})
    assert set(keys) == {("toy", track) for track in ("one", "two", "three")}
    assert {len(found) for found in keys.values()} == {3}
