"""Write the parts of docs/datasets.md that the code knows: headers, answers to faulty files.

python scripts/dataset_docs.py            write it
python scripts/dataset_docs.py --check    tell whether it is as it should be
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from nmfab.datasets import DATASETS
from nmfab.datasets.mini import broken

PAGE = Path(__file__).resolve().parents[1] / "docs" / "datasets.md"
BEGIN = "<!-- written by scripts/dataset_docs.py -->"
END = "<!-- end -->"
_WORDS = {"read": "read", "told": "read, and told: ", "error": "**error**: "}


def answers():
    """Return the table of faulty files and what is answered to each, from writing and reading."""
    lines = ["| file | fault | answer |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        broken.write(root)
        for case, word, said in broken.answers(root):
            answer = f"{_WORDS[word]}{said}".replace("|", "\\|")
            lines.append(f"| {case.shown} | {case.fault} | {answer} |")
    return "\n".join(lines) + "\n"


def headers():
    """Return what the datasets say of themselves: a table, and a section for each."""
    found = [DATASETS[name]([]) for name in DATASETS.names()]
    lines = ["| name | tasks | size | licence |", "|---|---|---|---|"]
    for dataset in found:
        link = f"[`{dataset.name}`](#{dataset.name})"
        lines.append(
            f"| {link} | {', '.join(dataset.tasks)} | {dataset.size} | {dataset.licence} |"
        )
    for dataset in found:
        lines += ["", f"### {dataset.name}", "", f"{dataset.release}. Source: {dataset.source}."]
        lines += ["", "```", dataset.tree.rstrip(), "```", ""]
        lines += [f"{number}. {step}" for number, step in enumerate(dataset.steps, start=1)]
        if dataset.bibtex:
            lines += ["", "```bibtex", dataset.bibtex.strip(), "```"]
    return "\n".join(lines) + "\n"


def main(arguments=None):
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    text = PAGE.read_text(encoding="utf-8")
    parts = iter((answers(), headers()))
    wanted = re.sub(
        f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n\n{next(parts)}\n{END}", text, flags=re.DOTALL
    )
    if text == wanted:
        return 0
    if options.check:
        print(f"{PAGE} is not as the code says: python scripts/dataset_docs.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
