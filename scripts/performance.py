"""What the bench scripts share: their parts of docs/performance.md, and the head of each."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"


def put(name, text, page=PAGE):
    """Put a script's part into the page, in the place of an older one.

    Parameters
    ----------
    name : str
        Of the part: ``"nmf"``, ``"nmf_beta_2"``, ``"nmf_cuda"``, ``"bss_eval"``, ``"pipeline"``.
    text : str
        Markdown, beginning with a heading of the second level.
    page : Path
        Made where it does not exist.
    """
    mark = f"<!-- {name}: written by scripts/{Path(sys.argv[0]).name} -->"
    old = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
    before, _, rest = old.partition(mark)
    after = rest.partition(mark)[2].strip()
    parts = [before.rstrip(), mark, text.strip(), mark, *([after] if after else [])]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def head(title, packages, *notes):
    """Return the lines above a table: heading, command, machine, versions.

    Parameters
    ----------
    title : str
        The heading.
    packages : sequence of str
        Whose versions count.
    *notes : str
        What else decides: threads, runs.
    """
    command = " ".join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    installed = ", ".join(f"{name} {_version(name)}" for name in packages)
    machine = f"{processor()}, Python {platform.python_version()}, {installed}"
    return [f"## {title}", "", f"`{command}`", "", f"{'; '.join([machine, *notes])}.", ""]


def table(header, rows):
    """Return rows of text as the lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(str, cells))} |" for cells in lines]


def processor():
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
