"""The import order and the habits that docs/architecture.md promises, read off every file."""

import ast
import re
import subprocess
import sys
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from nmfab import engine

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "nmfab").rglob("*.py"))
ROOMS = {"datasets", "features", "algorithms", "postprocessing", "metrics"}

# Each layer imports only itself and what stands below it, and members of one layer never each
# other. The rooms are one layer.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"report"},
    {"experiment"},
    {"results"},
    {"run"},
    {"plan"},
    {"tasks"},
    ROOMS,
    {"engine", "store"},
    {"base"},
]
RANK = {name: -index for index, layer in enumerate(LAYERS) for name in layer}

# Imported as a whole at their first use, with the compiler that each needs.
KERNELS = {
    "nmfab.engine.gpu.kernels",
    *(f"nmfab.engine.cpu.{name}" for name in ("kernels", "tiles", "factors")),
}
DOOR = {"nmfab.engine", *(f"nmfab.engine.{name}" for name in engine.__all__)}
ONLY_IN = {
    "doce": "nmfab/plan/doce.py",
    "h5py": "nmfab/store/hdf5.py",
    "triton": "nmfab/engine/gpu/kernels.py",
    "numba": "nmfab/engine/cpu/",
    "llvmlite": "nmfab/engine/cpu/tiles.py",
}
# Their import takes a second or more, or fails where an optional part of the machine is missing.
INSIDE_FUNCTIONS = {"torch", "librosa", "mirdata", "matplotlib", "pandas", "sklearn", "doce"}
# They raise on import where ffmpeg is not on the PATH.
NEVER = {"museval", "musdb", "stempeg"}

LONGEST = 400  # lines of code: docstrings may be as long as they must
LONG = {}  # file: the reason that a reader accepts for its being longer


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def files(*folders):
    """Return pytest parameters, one per Python file, under the file's name."""
    found = sorted(chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders))
    return [pytest.param(path, id=name_of(path)) for path in found]


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """Yield (module, whether inside a function, line); ``from a import b`` gives ``a.b``."""

    def visit(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name_of(path)}:{child.lineno}: a relative import"
                for alias in child.names:
                    yield f"{child.module}.{alias.name}", inside, child.lineno
            deeper = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from visit(child, inside or deeper)

    return visit(tree(path), False)


def layer_of(module):
    """Return the part of nmfab that a dotted name lies in, None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in RANK else None


def calls(path):
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def test_every_part_has_a_layer():
    parts = {path.relative_to(ROOT / "nmfab").parts[0].removesuffix(".py") for path in FILES}
    assert parts - {"__init__"} == set(RANK)


@pytest.mark.parametrize("path", files("nmfab"))
def test_imports_only_what_stands_below(path):
    own = layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for module, _, line in imports(path):
        other = layer_of(module)
        if not module.startswith("nmfab.") or other in (None, own):
            continue
        assert own is not None, f"{name_of(path)}:{line} imports {module}: the package imports none"
        assert RANK[other] < RANK[own], f"{name_of(path)}:{line} imports {module}"
        alone = other != "engine" or own == "algorithms"
        assert alone, f"{name_of(path)}:{line} imports {module}, which algorithms alone may"
        door = other != "engine" or module in DOOR
        assert door, f"{name_of(path)}:{line} imports {module}: the engine has one door"


@pytest.mark.parametrize("path", files("nmfab", "experiments"))
def test_heavy_modules_are_imported_where_they_are_used(path):
    for module, inside, line in imports(path):
        top = module.partition(".")[0]
        where = f"{name_of(path)}:{line} imports {module}"
        assert top not in NEVER, where
        assert name_of(path).startswith(ONLY_IN.get(top, name_of(path))), where
        assert inside or top not in INSIDE_FUNCTIONS | {"h5py"}, where
        assert inside or module not in KERNELS or path.parent.name == "cpu", where


@pytest.mark.parametrize("path", files("nmfab", "experiments"))
def test_no_construct_that_is_forbidden(path):
    for node in calls(path):
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        where = f"{name_of(path)}:{node.lineno}"
        assert called not in ("eval", "exec"), f"{where}: {called}"
        reports = name_of(path).startswith(("nmfab/cli/", "nmfab/report/"))
        assert called != "print" or reports, f"{where}: print outside the report"
        assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}, where
    for module, _, line in imports(path):
        top = module.partition(".")[0]
        where = f"{name_of(path)}:{line}"
        assert top not in ("pickle", "dill", "shelve", "marshal", "cloudpickle"), where
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{name_of(path)}:{node.lineno}: a bare except"
        assert not isinstance(node, ast.Assert), f"{name_of(path)}:{node.lineno}: assert"


@pytest.mark.parametrize("path", files("nmfab", "experiments", "docs/examples", "scripts"))
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(tree(path)), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", files("nmfab"))
def test_documented_parameters_exist(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            spec, text = node.args, ast.get_docstring(node) or ""
            given = [*spec.posonlyargs, *spec.args, spec.vararg, *spec.kwonlyargs, spec.kwarg]
            names = {argument.arg for argument in given if argument}
            unknown = documented(text) - names
            assert not unknown, f"{name_of(path)}:{node.lineno}: {node.name} has no {unknown}"


def documented(docstring):
    """Return the names under Parameters of a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", docstring, re.M | re.S)
    lines = section.group(1).splitlines() if section else []
    heads = [line.partition(" :")[0] for line in lines if line[:1].strip()]
    return {name.strip(" *") for head in heads for name in head.split(",")}


def code_lines(path):
    """Return the number of lines of a file without those of its docstrings."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree(path)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines


@pytest.mark.parametrize("path", files("nmfab", "experiments", "scripts", "tests"))
def test_file_can_be_read_at_a_sitting(path):
    lines = code_lines(path)
    if name_of(path) in LONG:
        assert lines > LONGEST, f"{name_of(path)} has {lines} lines: take it from the exceptions"
    else:
        assert lines <= LONGEST, f"{name_of(path)} has {lines} lines: split it, or give a reason"


@pytest.mark.parametrize("path", files("experiments"))
def test_experiment_is_a_page_without_logic(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 100
    logic = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.While, ast.Try)
    assert not [node for node in ast.walk(tree(path)) if isinstance(node, logic)]


def test_no_path_of_somebodys_home():
    homes = re.compile(r"(?<![\w.])/(?:home|Users|root)/\w|[A-Z]:\\Users\\")
    kinds = {".py", ".md", ".sh", ".cfg", ".toml", ".txt", ".ipynb", ".json", ".yaml"}
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    tracked = [ROOT / name for name in listed if name] or [*FILES, *ROOT.glob("*.md")]
    assert tracked
    for path in tracked:
        if path.suffix in kinds and path.is_file():
            found = homes.search(path.read_text(encoding="utf-8"))
            assert not found, f"{name_of(path)}: {found.group()}"


EXPERIMENTS = [
    pytest.param(f"runpy.run_path({str(path)!r}, run_name='__main__')", id=path.name)
    for path in sorted((ROOT / "experiments").glob("*.py"))
]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import nmfab", id="import nmfab"),
        pytest.param("import nmfab.cli.tool; nmfab.cli.tool.main()", id="nmfab"),
        *EXPERIMENTS,
    ],
)
def test_help_imports_nothing_heavy(statement):
    program = f"""
import runpy, sys
sys.argv = ["nmfab", "--help"]
try:
    {statement}
except SystemExit as end:
    assert not end.code, end.code
heavy = "doce pandas h5py torch triton numba librosa sklearn scipy matplotlib mirdata nn_fac rich"
print("\\nimported:", [name for name in heavy.split() if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported: []"
