"""Write the part of docs/datasets.md that stands in the headers of the datasets.

python scripts/dataset_docs.py            write it
python scripts/dataset_docs.py --check    tell whether it is as it should be
"""

import argparse
import sys
from pathlib import Path

from nmfab.datasets import DATASETS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "datasets.md"
BEGIN = "<!-- written by scripts/dataset_docs.py -->"


def generated():
    """Return the generated part: a table, and a section for each dataset."""
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
    wanted = f"{text.partition(BEGIN)[0]}{BEGIN}\n\n{generated()}"
    if text == wanted:
        return 0
    if options.check:
        print(f"{PAGE} is not as the headers say: python scripts/dataset_docs.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
