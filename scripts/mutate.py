"""Put one-line faults into the code, one at a time, and say which of them the tests notice.

python scripts/mutate.py nmfab/datasets --count 60         faults drawn from a catalogue (--seed)
python scripts/mutate.py --faults FILE                     faults written by hand
python scripts/mutate.py nmfab/tasks --list                show the faults and run nothing

FILE holds three lines for each fault, and comments after #:

    nmfab/datasets/slakh.py
    -        sum_[:, :length] += sound["samples"][:, :length]
    +        sum_[:, :length] = sound["samples"][:, :length]

A number after the path (``slakh.py:117``) is needed where the old line occurs more than once. A
fault is tried on a copy of the checkout with the tests of its folder and tests/tasks, those of its
file first (--alone and --tests choose others). tests/test_versions.py never counts: it notices that
code changed, not that it is wrong. A fault that alters nothing that can be observed goes unnoticed
too: judge the list.
"""

import argparse
import ast
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LEFT_OUT = (".git", ".venv", "cache", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
_COMPARED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
_COMBINED = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "%", ast.Mod: "//",
    ast.Pow: "*", ast.BitOr: "&", ast.BitAnd: "|", ast.MatMult: "*",
}  # fmt: skip
_CALLED = {
    "min": "max", "max": "min", "any": "all", "all": "any", "argmin": "argmax", "argmax": "argmin",
    "mean": "median", "median": "mean", "sum": "max", "floor": "ceil", "ceil": "floor",
    "minimum": "maximum", "maximum": "minimum", "sorted": "list", "startswith": "endswith",
    "append": "extend", "partition": "rpartition", "rpartition": "partition", "zeros": "ones",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Fault:
    """One line of one file, and what stands there instead."""

    path: str
    line: int  # from 1
    old: str
    new: str

    def __str__(self):
        """Return the fault as a file for --faults has it."""
        return f"{self.path}:{self.line}\n-{self.old}\n+{self.new}"


def read_faults(text, root=ROOT):
    """Return the faults that a file describes; ValueError names one that does not fit the code."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    faults = []
    for place, old, new in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        path, _, number = place.strip().partition(":")
        if old[0] != "-" or new[0] != "+":
            raise ValueError(f"{place}: a line with - and one with + must follow")
        code = (root / path).read_text().splitlines()
        found = [i for i, line in enumerate(code, 1) if line.strip() == old[1:].strip()]
        found = [i for i in found if not number or i == int(number)]
        if len(found) != 1:
            raise ValueError(f"{place}: {len(found)} lines are {old[1:].strip()!r}, not one")
        here = code[found[0] - 1]
        indent = here[: len(here) - len(here.lstrip())]
        faults.append(Fault(path, found[0], here, indent + new[1:].strip()))
    return faults


def draw_faults(folders, count, seed, root=ROOT):
    """Return `count` different faults out of the catalogue, the same for one seed."""
    files = set()
    for folder in folders:
        place = root / folder
        files |= {place} if place.is_file() else set(place.rglob("*.py"))
    every = []
    for path in sorted(files):
        name = path.relative_to(root).as_posix()
        every += [Fault(name, *found) for found in catalogue(path.read_text())]
    return sorted(random.Random(seed).sample(every, min(count, len(every))))


def catalogue(source):
    """Return (line number, old line, new line) of every fault that the operators make of a file."""
    lines, found = source.splitlines(), set()
    for node in _computing(ast.parse(source)):
        if getattr(node, "lineno", None) is None or node.lineno != node.end_lineno:
            continue
        text = lines[node.lineno - 1]
        inside = _text(text, node)
        for new in _changes(node, text):
            line = _before(text, node.col_offset) + new + _after(text, node.end_col_offset)
            if new != inside and _compiles(lines, node.lineno, line):
                found.add((node.lineno, text, line))
    return sorted(found)


def _computing(tree):
    """Yield the nodes of code that computes: no docstrings, messages, errors or annotations."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Expr) and _name(node.value).startswith(("_log.", "warnings.")):
            continue
        if node in getattr(tree, "decorator_list", ()):
            continue  # names and versions of components
        if isinstance(tree, ast.ClassDef) and isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue  # a header
        yield node
        yield from _computing(node)


def _name(node):
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def _changes(node, line):
    """Yield what may stand in the place of a node."""

    def text(part):
        return _text(line, part)

    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield f"{text(node.left)} {_COMPARED[type(node.ops[0])]} {text(node.comparators[0])}"
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMBINED:
        yield f"({text(node.left)} {_COMBINED[type(node.op)]} {text(node.right)})"
    elif isinstance(node, ast.BoolOp) and len(node.values) == 2:
        yield text(node.values[0])
        other = " and " if isinstance(node.op, ast.Or) else " or "
        yield f"({other.join(map(text, node.values))})"
    elif isinstance(node, ast.UnaryOp):
        yield text(node.operand)
    elif isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.Subscript) and text(node.slice) in ("0", "-1", "1"):
        yield f"{text(node.value)}[{'0' if text(node.slice) != '0' else '-1'}]"
    elif isinstance(node, ast.IfExp):
        yield f"({text(node.body)})"
        yield f"({text(node.orelse)})"
    elif isinstance(node, ast.Call):
        yield from _calls(node, text)
    elif isinstance(node, ast.Dict) and len(node.keys) > 1:
        kept = zip(node.keys[:-1], node.values[:-1], strict=True)
        parts = [
            f"{text(key)}: {text(value)}" if key else f"**{text(value)}" for key, value in kept
        ]
        yield f"{{{', '.join(parts)}}}"
    elif isinstance(node, ast.AugAssign):
        yield f"{text(node.target)} = {text(node.value)}"
    elif isinstance(node, (ast.Continue, ast.Expr)):
        yield "pass"


def _constants(value):
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
    elif isinstance(value, float):
        yield repr(value * 1.5)


def _calls(node, text):
    """Yield a call of the counterpart, and calls that leave a keyword argument out."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    arguments = [*map(text, node.args)]
    keywords = [
        f"{k.arg}={text(k.value)}" if k.arg else f"**{text(k.value)}" for k in node.keywords
    ]
    if name in _CALLED:
        called = text(node.func).removesuffix(name) + _CALLED[name]
        yield f"{called}({', '.join(arguments + keywords)})"
    for i, keyword in enumerate(node.keywords):
        if keyword.arg in ("strict", "copy"):  # without them the same comes out
            continue
        yield f"{text(node.func)}({', '.join(arguments + keywords[:i] + keywords[i + 1 :])})"


def _text(line, node):
    return line.encode()[node.col_offset : node.end_col_offset].decode()


def _before(line, column):
    return line.encode()[:column].decode()


def _after(line, column):
    return line.encode()[column:].decode()


def _compiles(lines, number, line):
    try:
        ast.parse("\n".join([*lines[: number - 1], line, *lines[number:]]))
    except SyntaxError:
        return False
    return True


def mirrored(path, root, *, alone=False):
    """Return the tests to run for a file of the package: those named like it, its folder's, tasks'.

    Parameters
    ----------
    path : str
        Below the checkout, ``nmfab/FOLDER/.../NAME.py``.
    root : Path
        The checkout.
    alone : bool
        Whether those of the tasks are left out.
    """
    parts, stem = Path(path).parts, Path(path).stem.strip("_")
    mirror = root / "tests" / parts[1] if len(parts) > 2 else root / "tests"
    own = sorted(mirror.glob(f"test*{stem}*.py")) if stem != "init" else []
    wanted = (mirror,) if alone else (mirror, root / "tests/tasks")
    folders = [place for place in wanted if place.is_dir()]
    return [place.relative_to(root).as_posix() for place in dict.fromkeys([*own, *folders])]


class Copies:
    """Copies of a checkout, one for each of several workers.

    Parameters
    ----------
    root, folder : Path
        The checkout, and where copies of it are made.
    number : int
        Of copies.
    """

    def __init__(self, root, folder, number):
        self._free = queue.SimpleQueue()
        self.root = root
        for index in range(number):
            place = Path(folder) / str(index) / "checkout"
            shutil.copytree(root, place, ignore=shutil.ignore_patterns(*_LEFT_OUT))
            self._free.put(place)

    def run(self, fault, tests, seconds):
        """Return (outcome, seconds) of the tests with a fault, or with none where it is None.

        The outcome is ``"passed"``, ``"failed"``, ``"out of time"`` or, where pytest ran no test,
        ``"no test"``.
        """
        place = self._free.get()
        try:
            if fault is None:
                return self._outcome(place, tests, seconds)
            path = place / fault.path
            before = path.read_text()
            lines = before.split("\n")
            lines[fault.line - 1] = fault.new
            path.write_text("\n".join(lines))
            try:
                return self._outcome(place, tests, seconds)
            finally:
                path.write_text(before)
        finally:
            self._free.put(place)

    def _outcome(self, place, tests, seconds):
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        command.append("--ignore=tests/test_versions.py")
        # Byte code is known by size and second of its source, which two faults may share.
        environment = os.environ | {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
        environment.setdefault("NMFAB_SAMPLES", str(self.root.parent / "shared" / "samples"))
        start = time.monotonic()
        try:
            done = subprocess.run(
                command, cwd=place, env=environment, capture_output=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return "out of time", time.monotonic() - start
        outcome = {0: "passed", 5: "no test"}.get(done.returncode, "failed")
        return outcome, time.monotonic() - start


def judge(faults, root, *, tests=None, alone=False, jobs=1, show=print):
    """Try the faults, and return those that no test noticed.

    Parameters
    ----------
    faults : sequence of Fault
        Of the checkout `root`.
    root : Path
        See above.
    tests : sequence of str, optional
        What pytest runs; `mirrored` each fault's file where None.
    alone : bool
        As in `mirrored`.
    jobs : int
        How many run at a time.
    show : callable
        Is given a line for each.

    Raises
    ------
    ValueError
        If the tests fail, or there are none, without a fault.
    """
    chosen = {fault.path: tests or mirrored(fault.path, root, alone=alone) for fault in faults}
    every = sorted({place for places in chosen.values() for place in places})
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder, ThreadPoolExecutor(jobs) as pool:
        copies = Copies(root, folder, jobs)
        outcome, seconds = copies.run(None, every, None)
        if outcome != "passed":
            raise ValueError(f"{' '.join(every)}: {outcome} without a fault")
        limit = 30 + 3 * seconds

        def tried(fault):
            return fault, *copies.run(fault, chosen[fault.path], limit)

        unnoticed = []
        for fault, outcome, seconds in pool.map(tried, faults):
            word = {"passed": "UNNOTICED", "failed": "noticed"}.get(outcome, outcome)
            unnoticed += [fault] if outcome == "passed" else []
            show(f"{word}, {seconds:.0f} s: {fault}\n")
    return unnoticed


def main(arguments=None):
    """Run the command; status 1 where a fault went unnoticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", help="folders or files to draw faults from")
    parser.add_argument("--faults", type=Path, help="file of faults written by hand")
    parser.add_argument("--count", type=int, default=40, help="faults to draw (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--tests", nargs="+", help="tests to run in place of those of the folder")
    parser.add_argument("--alone", action="store_true", help="without tests/tasks: quicker")
    parser.add_argument("--jobs", type=int, default=1, help="faults tried at a time (default: 1)")
    parser.add_argument("--list", action="store_true", help="show the faults and run nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    options = parser.parse_intermixed_args(arguments)
    if bool(options.folders) == (options.faults is not None):
        parser.error("name folders to draw faults from, or a file by --faults")
    try:
        if options.faults is not None:
            faults = read_faults(options.faults.read_text(), options.root)
        else:
            faults = draw_faults(options.folders, options.count, options.seed, options.root)
        if options.list:
            print("\n\n".join(map(str, faults)))
            return 0
        how = {"tests": options.tests, "alone": options.alone, "jobs": options.jobs}
        unnoticed = judge(faults, options.root, **how)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{len(faults) - len(unnoticed)} of {len(faults)} faults noticed")
    for fault in unnoticed:
        print(f"\n{fault}")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
