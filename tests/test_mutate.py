"""Faults put into a toy checkout: those that its tests notice, those that they do not."""

import ast
from pathlib import Path

import pytest

SCRIPTS = str(Path(__file__).resolve().parents[1] / "scripts")
CODE = '''"""A room."""


def mean(values, *, floor=0):
    """Return the mean, at least floor: 1 + 1."""
    total = 0.0
    for value in values:
        total += value
    if not values:
        raise ValueError(f"{len(values) + 1} values: min")
    return max(total / len(values), floor)


def last(values):
    return {"last": values[-1], "count": len(values)}
'''
TEST = """from nmfab.room.means import last, mean


def test_mean():
    assert mean([1, 2, 6]) == 3


def test_last():
    assert last([4, 5])["last"] == 5
"""


@pytest.fixture
def mutate(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import mutate

    return mutate


@pytest.fixture
def checkout(tmp_path):
    """A package of one room, with its tests."""
    root = tmp_path / "toy"
    for place, text in {
        "nmfab/__init__.py": "",
        "nmfab/room/__init__.py": "",
        "nmfab/room/means.py": CODE,
        "tests/room/test_means.py": TEST,
        "tests/test_versions.py": "def test_versions():\n    assert False\n",
    }.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_faults_by_hand_are_told_apart_and_the_checkout_stays(mutate, checkout, tmp_path, capsys):
    faults = tmp_path / "faults"
    faults.write_text(
        "# the second is not held by any test\n"
        "nmfab/room/means.py\n-        total += value\n+        total = value\n\n"
        "nmfab/room/means.py:11\n-    return max(total / len(values), floor)\n"
        "+return total / len(values)\n"
    )
    assert mutate.main(["--faults", str(faults), "--root", str(checkout), "--jobs", "2"]) == 1
    told = capsys.readouterr().out
    assert "1 of 2 faults noticed" in told
    assert told.count("UNNOTICED") == 1
    assert told.rstrip().endswith("+    return total / len(values)")
    assert (checkout / "nmfab/room/means.py").read_text() == CODE


def test_an_endless_loop_ends_with_its_time(mutate, checkout, tmp_path):
    copies = mutate.Copies(checkout, tmp_path / "copies", 1)
    loop = mutate.Fault("nmfab/room/means.py", 9, "    if not values:", "    while values:")
    lines = CODE.replace("raise ValueError", "str").splitlines()
    (tmp_path / "copies/0/checkout/nmfab/room/means.py").write_text("\n".join(lines))
    assert copies.run(loop, ["tests/room"], 8)[0] == "out of time"
    assert copies.run(None, ["tests/room"], 600)[0] == "passed"


def test_tests_that_fail_without_a_fault_judge_nothing(mutate, checkout, capsys):
    (checkout / "tests/room/test_means.py").write_text("def test():\n    assert 1 == 2\n")
    with pytest.raises(SystemExit):
        mutate.main(["nmfab/room", "--count", "1", "--root", str(checkout)])
    assert "failed without a fault" in capsys.readouterr().err
    (checkout / "tests/room/test_means.py").write_text("")
    with pytest.raises(SystemExit):
        mutate.main(["nmfab/room", "--count", "1", "--root", str(checkout)])
    assert "no test without a fault" in capsys.readouterr().err


def test_a_fault_that_does_not_fit_the_code_is_named(mutate, checkout):
    for text, reason in (
        ("nmfab/room/means.py\n-    nothing\n+    else\n", "0 lines are 'nothing'"),
        ("nmfab/room/means.py\n-\n+    else\n", "4 lines are ''"),
        ("nmfab/room/means.py\n     total\n+    else\n", "must follow"),
    ):
        with pytest.raises(ValueError, match=reason):
            mutate.read_faults(text, checkout)


def test_the_catalogue_leaves_docstrings_and_messages_alone(mutate):
    found = mutate.catalogue(CODE)
    lines = CODE.splitlines()
    assert all(lines[number - 1] == old != new for number, old, new in found)
    assert {
        "total = value",
        "if values:",
        "return min(total / len(values), floor)",
        "return max((total * len(values)), floor)",
        'return {"last": values[0], "count": len(values)}',
        'return {"last": values[-1]}',
        "def mean(values, *, floor=1):",
    } <= {new.strip() for _, _, new in found}
    assert not {number for number, _, _ in found} & {1, 5, 10}
    for number, _, new in found:
        ast.parse("\n".join([*lines[: number - 1], new, *lines[number:]]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a < b", "a <= b"),
        ("a == b", "a != b"),
        ("a in b", "a not in b"),
        ("a + b", "(a - b)"),
        ("a and b", "(a or b)"),
        ("f(a, unit=2)", "f(a)"),
        ("f(a, unit=2)", "f(a, unit=3)"),
        ("x.min(axis=1)", "x.max(axis=1)"),
        ("x[-1]", "x[0]"),
        ("x[0]", "x[-1]"),
        ("not a", "a"),
        ("a if b else c", "(c)"),
        ("'é' + x[-1]", "'é' + x[0]"),
    ],
)
def test_each_operator(mutate, old, new):
    assert new in {found[2] for found in mutate.catalogue(f"{old}\n")} or (
        f"y = {new}" in {found[2] for found in mutate.catalogue(f"y = {old}\n")}
    )


def test_a_seed_draws_the_same_faults(mutate, checkout):
    first, again, other = (
        mutate.draw_faults(["nmfab/room"], 5, seed, checkout) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert len(set(first)) == 5
    everything = mutate.draw_faults(["nmfab/room/means.py"], 1000, 0, checkout)
    assert set(first) <= set(everything)


def test_tests_of_a_file_are_its_own_then_its_folders_then_the_tasks(mutate, checkout):
    (checkout / "tests/tasks").mkdir()
    named = mutate.mirrored("nmfab/room/means.py", checkout)
    assert named == ["tests/room/test_means.py", "tests/room", "tests/tasks"]
    assert mutate.mirrored("nmfab/room/means.py", checkout, alone=True) == named[:2]
    assert mutate.mirrored("nmfab/room/__init__.py", checkout) == ["tests/room", "tests/tasks"]
