"""Components known by their sources, and libraries by their releases."""

import sys
from pathlib import Path

import pytest

from nmfab.base import registry
from nmfab.run.graph import Graph
from nmfab.tasks import TASKS

TASK = """
from toy import ToyTask
from nmfab.tasks import task
import helper_{0}

@task("mine_{0}")
class Mine(ToyTask):
    pass
"""


@pytest.fixture
def mine(tmp_path):
    """A plug-in task without a version, which imports modules from beside it; and its files."""
    name = tmp_path.name.replace("-", "_")
    folder = tmp_path / "plug-in"
    files = {
        f"mine_{name}.py": TASK.format(name),
        f"helper_{name}.py": f"def f():\n    from package_{name} import inner\n",
        f"package_{name}/__init__.py": "",
        f"package_{name}/inner.py": "from . import other\nfrom .deep import deepest\n",
        f"package_{name}/other.py": "",
        f"package_{name}/deep/__init__.py": "",
        f"package_{name}/deep/deepest.py": f"import helper_{name}",
        "unread.py": "",
        f"package_{name}/unread.py": "",
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    registry.load_plugin(folder / f"mine_{name}.py")
    yield TASKS[f"mine_{name}"], folder, [path for path in files if "unread" not in path]
    del TASKS._components[f"mine_{name}"]


def test_a_plug_in_is_known_by_its_source_and_what_it_imports_from_beside_it(mine):
    component, folder, files = mine
    found = registry.sources_of(folder / files[0])
    assert found[0] == folder / files[0]
    assert {path.relative_to(folder).as_posix() for path in found} == set(files)
    seen = {registry.version_of(component)}
    for path in files:
        with (folder / path).open("a") as file:
            file.write("\n# another")
        seen.add(registry.version_of(component))
    assert len(seen) == len(files) + 1
    for path in folder.rglob("unread.py"):
        path.write_text("# another")
    assert registry.version_of(component) in seen


def test_a_task_without_a_version_is_known_by_its_source(mine):
    component, folder, files = mine
    parameters = {name: param.default for name, param in component.params.items()}
    graph = Graph(component(), parameters)
    before = graph.recipe(graph.target)["versions"][f"task.{component.name}"]
    assert before.startswith("source ")
    (folder / files[1]).write_text("x = 1")
    graph = Graph(component(), parameters)
    assert graph.recipe(graph.target)["versions"][f"task.{component.name}"] != before


def test_modules_of_nmfab_beside_a_plug_in_are_none_of_its_own(tmp_path):
    (tmp_path / "nmfab").mkdir()
    (tmp_path / "nmfab" / "__init__.py").touch()
    (tmp_path / "mine.py").write_text("import nmfab\nfrom nmfab import base\n")
    assert registry.sources_of(tmp_path / "mine.py") == [tmp_path / "mine.py"]


def test_a_module_beside_it_whose_name_is_taken_is_refused(tmp_path):
    (tmp_path / "json.py").write_text("")
    (tmp_path / "mine.py").write_text("import json\n")
    with pytest.raises(registry.UsageError, match=r"json is .* already: rename .*json\.py"):
        registry.load_plugin(tmp_path / "mine.py")


def test_what_functions_import_from_beside_is_found_later(mine):
    _, folder, files = mine
    helper = sys.modules[Path(files[1]).stem]
    assert helper.f() is None
    assert str(folder) not in sys.path


def test_a_source_that_is_no_python_has_no_imports(tmp_path):
    (tmp_path / "mine.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("import (")
    assert len(registry.sources_of(tmp_path / "mine.py")) == 2


def test_a_library_that_is_not_installed_has_no_release():
    assert registry.release("no_such_library") is None
    assert registry.releases(("no_such_library",)) == {"library.no_such_library": None}
