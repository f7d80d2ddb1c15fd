"""The files of run/ in their order: each imports, and is handed objects of, those before it."""

import ast
from pathlib import Path

import nmfab.run

FOLDER = Path(nmfab.run.__file__).parent
ORDER = (
    *("graph", "seconds", "logs", "track", "kept", "unit", "timing", "context"),
    *("jobs", "runner", "explain", "removal"),
)
# Before the class Unit is declared nothing is called that has its methods.
OF_UNITS = {"arguments", "stored", "provenance", "scores", "learned_from", "unsaved"}


def test_every_file_has_its_place():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(ORDER)


def test_files_import_only_those_before_them():
    for place, name in enumerate(ORDER):
        tree = ast.parse((FOLDER / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nmfab.run."):
                assert node.module.rpartition(".")[2] in ORDER[:place], f"{name}: {node.module}"


def test_what_stands_below_units_calls_none_of_their_methods():
    for name in ORDER[: ORDER.index("kept")]:
        tree = ast.parse((FOLDER / f"{name}.py").read_text())
        called = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not called & OF_UNITS, name
