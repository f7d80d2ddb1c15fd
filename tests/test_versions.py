"""Built-in components whose source changes carry a new version, or a recorded waiver."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("versions", ROOT / "scripts" / "versions.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)

MEL = '''
"""A feature."""
from nmfab.base.spectrum import stft

@feature("mel", version=1)
def mel(magnitude, *, n_mels=80):
    return stft(magnitude) * n_mels  # a comment
'''
SPECTRUM = "def stft(x):\n    return x\n"


@pytest.fixture
def checkout(tmp_path):
    """A checkout of two files, recorded."""
    for name, text in {"features/mel.py": MEL, "base/spectrum.py": SPECTRUM}.items():
        path = tmp_path / "nmfab" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (tmp_path / "tests").mkdir()
    assert tool.main(["--update"], root=tmp_path) == 0
    assert tool.main([], root=tmp_path) == 0
    return tmp_path


def edit(checkout, name, old, new):
    path = checkout / "nmfab" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_no_component_has_changed_under_its_version():
    record = ROOT / tool.RECORD
    assert record.is_file(), "record the versions: python scripts/versions.py --update"
    found = tool.sources()
    update, explain = tool.differences(found, json.loads(record.read_text(encoding="utf-8")))
    assert not explain, "\n".join(explain.values())
    assert not update, f"{update}: run python scripts/versions.py --update"


def test_every_component_answers_to_a_version():
    found = tool.sources()
    used = set().union(*(source.imports for source in found.values()))
    # what no component imports yet alters nothing
    silent = [name for name in found if name in used and not tool.answerable(name, found)]
    assert not silent, f"no version speaks for {silent}: give them VERSION = 1"


def test_comments_docstrings_and_layout_are_no_change(checkout):
    edit(checkout, "features/mel.py", "  # a comment", "")
    edit(checkout, "features/mel.py", "A feature.", "The feature.")
    edit(checkout, "features/mel.py", "(magnitude, *,", "(\n    magnitude,\n    *,")
    assert tool.main([], root=checkout) == 0


def test_change_under_the_same_version_is_named_and_not_recorded(checkout, capsys):
    edit(checkout, "features/mel.py", "n_mels=80", "n_mels=81")
    assert tool.main([], root=checkout) == 1
    said = capsys.readouterr().out
    assert "nmfab/features/mel.py has changed" in said
    assert "--waive nmfab/features/mel.py" in said
    assert tool.main(["--update"], root=checkout) == 1
    assert tool.main([], root=checkout) == 1


def test_raised_version_must_be_recorded_before_the_next_change(checkout):
    edit(checkout, "features/mel.py", "n_mels=80", "n_mels=81")
    edit(checkout, "features/mel.py", "version=1", "version=2")
    assert tool.main([], root=checkout) == 1
    assert tool.main(["--update"], root=checkout) == 0
    assert tool.main([], root=checkout) == 0
    edit(checkout, "features/mel.py", "n_mels=81", "n_mels=82")
    assert tool.main(["--update"], root=checkout) == 1


def test_helper_answers_through_the_components_that_import_it(checkout, capsys):
    edit(checkout, "base/spectrum.py", "return x", "return 2 * x")
    assert tool.main([], root=checkout) == 1
    assert "no version of nmfab/features/mel.py" in capsys.readouterr().out
    edit(checkout, "features/mel.py", "version=1", "version=2")
    assert tool.main(["--update"], root=checkout) == 0


def test_waiver_is_kept_with_its_reason(checkout):
    edit(checkout, "base/spectrum.py", "return x", "return +x")
    assert tool.main(["--waive", "nmfab/base/spectrum.py", "the same values"], root=checkout) == 0
    record = json.loads((checkout / tool.RECORD).read_text())
    assert record["nmfab/base/spectrum.py"]["waivers"] == ["the same values"]
    assert tool.main([], root=checkout) == 0
    assert tool.main(["--waive", "nmfab/base/no.py", "why"], root=checkout) == 2


def test_digest_is_the_same_for_every_python():
    # The value on 3.11, 3.12 and 3.13, whose trees differ in fields that are empty here.
    program = 'def f(a, *, b=1.5):\n    """D."""\n    return f"{a!r:>{b}} {a}" "x"'
    assert tool.digest(ast.parse(program)) == "80699570444a8e74b3b16066820ca113"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 'a'", "x = 'b'"),
        ("x = ['', 1]", "x = [1]"),
        ("x = 1", "x = 1.0"),
        ("x = -y", "x = +y"),
    ],
)
def test_digest_sees_every_value(before, after):
    assert tool.digest(ast.parse(before)) != tool.digest(ast.parse(after))
