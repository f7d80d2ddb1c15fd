"""Tell when the source of a built-in component has changed and its version has not.

python scripts/versions.py                      what differs from tests/versions.json
python scripts/versions.py --update             record files whose version was raised, and new ones
python scripts/versions.py --waive FILE REASON  record a change that alters no result

An artifact's key holds the versions of the components that computed it, so that a component that
changes under its old version would be given the arrays of another one. Comments, docstrings and
layout are no change.
"""

import argparse
import ast
import copy
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORD = "tests/versions.json"
FOLDERS = (
    "base",
    "datasets",
    "features",
    "engine",
    "algorithms",
    "postprocessing",
    "metrics",
    "tasks",
)

# No array depends on these.
NOT_COMPUTING = {
    "nmfab/base/errors.py",
    "nmfab/base/registry.py",
    "nmfab/base/resources.py",
    "nmfab/base/types.py",
    "nmfab/base/values.py",  # keys do, and tests hold them one by one
    "nmfab/algorithms/checks.py",
    "nmfab/algorithms/examples.py",
    "nmfab/algorithms/function.py",
    *(f"nmfab/{folder}/conformance.py" for folder in ("algorithms", "datasets", "tasks")),
    "nmfab/datasets/download.py",
    *(f"nmfab/{folder}/contract.py" for folder in FOLDERS),
}

# What is written there is data, told apart by its bytes as any other.
WRITING = "nmfab/datasets/mini/"

# Where the version of a file stands, if neither in it nor in those that import it.
VERSION_STANDS_IN = {
    "nmfab/algorithms/frame.py": "nmfab/algorithms/settings.py",
    "nmfab/algorithms/loop.py": "nmfab/algorithms/settings.py",
}


@dataclass(frozen=True)
class Source:
    """One file: the digest of what it computes, the versions it declares, and what it imports."""

    digest: str
    versions: dict
    imports: frozenset


def sources(root=ROOT):
    """Return the `Source` of every file of a component, by its path below `root`."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((root / "nmfab" / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if name not in NOT_COMPUTING and not name.startswith(WRITING):
                tree = ast.parse(path.read_text(encoding="utf-8"))
                if path.name != "__init__.py" or _defines(tree):
                    found[name] = Source(digest(tree), versions(tree), _imports(tree, root))
    return found


def digest(tree):
    """Return a digest of a syntax tree that docstrings, comments and layout leave alone.

    Empty fields, and empty text in f-strings, are skipped: not every Python has them.
    """

    def plain(node):
        if isinstance(node, ast.JoinedStr):
            return "f-string", [plain(part) for part in node.values if not is_text(part, "")]
        if isinstance(node, ast.AST):
            fields = [(name, plain(value)) for name, value in ast.iter_fields(node)]
            return type(node).__name__, [(name, value) for name, value in fields if value]
        if isinstance(node, list):
            return [plain(item) for item in node]
        return None if node is None else repr(node)

    def is_text(node, text=None):
        constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
        return constant and text in (None, node.value)

    def is_docstring(statement):
        return isinstance(statement, ast.Expr) and is_text(statement.value)

    tree = copy.deepcopy(tree)
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            node.body = [item for item in node.body if not is_docstring(item)]
    return hashlib.blake2b(repr(plain(tree)).encode(), digest_size=16).hexdigest()


def versions(tree):
    """Return what a file declares by ``VERSION = 1`` and ``@feature("mel", version=1)``."""
    found = {}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            found |= {name: node.value.value for name in names if name.endswith("VERSION")}
        for decorator in getattr(node, "decorator_list", ()):
            for keyword in getattr(decorator, "keywords", ()):
                if keyword.arg == "version" and isinstance(keyword.value, ast.Constant):
                    found[f"{decorator.func.id} {decorator.args[0].value}"] = keyword.value.value
    return found


def answerable(name, found):
    """Return the files whose versions stand for a change of `name`.

    Itself where it declares a version; else the nearest files that import it and declare one.
    """
    waiting, seen, answer = [name], set(), set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if found[current].versions:
            answer.add(current)
        elif current in VERSION_STANDS_IN:
            waiting.append(VERSION_STANDS_IN[current])
        else:
            waiting += [other for other, source in found.items() if current in source.imports]
    return sorted(answer)


def differences(found, record):
    """Return (to update, to explain): files to record, and per unversioned change what to do."""
    update, explain = sorted(set(record) - set(found)), {}
    for name, source in found.items():
        before = record.get(name)
        if before is None:
            update.append(name)
            continue
        if source.digest != before["digest"]:
            same = [
                other
                for other in answerable(name, found)
                if other in record and found[other].versions == record[other]["versions"]
            ]
            if same:
                explain[name] = (
                    f"{name} has changed, and no version of {', '.join(same)}: raise it, or record "
                    f'that results are the same by python scripts/versions.py --waive {name} "why"'
                )
                continue
        if (source.digest, source.versions) != (before["digest"], before["versions"]):
            update.append(name)
    return update, explain


def recorded(source, waivers=()):
    """Return a file's entry in the record."""
    entry = {"digest": source.digest, "versions": source.versions}
    return entry | ({"waivers": list(waivers)} if waivers else {})


def main(arguments=None, root=ROOT):
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--waive", nargs=2, metavar=("FILE", "REASON"))
    options = parser.parse_args(arguments)
    path = root / RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = sources(root)
    if options.waive:
        name, reason = options.waive
        if name not in found or not reason.strip():
            print(f"{name}: a component's file below {root} and a reason are wanted")
            return 2
        record[name] = recorded(found[name], [*record.get(name, {}).get("waivers", ()), reason])
    update, explain = differences(found, record)
    if options.update:
        record = {name: entry for name, entry in record.items() if name in found}
        record |= {name: recorded(found[name]) for name in update if name in found}
        update = []
    if options.update or options.waive:
        path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for name in update:
        print(f"{name} is new, gone, or has a new version: python scripts/versions.py --update")
    for message in explain.values():
        print(message)
    return 1 if update or explain else 0


def _defines(tree):
    kinds = (ast.FunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.iter_child_nodes(tree))


def _imports(tree, root):
    """Return the paths below `root` of the modules of nmfab that a file imports, functions' too."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    paths = set()
    for module in modules:
        place = module.replace(".", "/")
        paths |= {
            name for name in (f"{place}.py", f"{place}/__init__.py") if (root / name).is_file()
        }
    return frozenset(paths)


if __name__ == "__main__":
    sys.exit(main())
