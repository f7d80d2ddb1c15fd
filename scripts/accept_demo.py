"""Measure whether the embedded dataset is neither too easy nor too hard, and say so.

python scripts/accept_demo.py                     from the results in cache/
python scripts/accept_demo.py --compute 2         computes first, with two jobs
python scripts/accept_demo.py --write             puts what it prints into docs/demo.md
"""

import argparse
import importlib.util
import math
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "demo.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
# What makes a method, and what is averaged; power goes with beta.
METHOD, FOLDED = ("algorithm", "beta", "power"), ("seed",)
SEEDS_FACTOR = 2.0  # how far the spread over methods must exceed that over seeds


@dataclass(frozen=True)
class Judged:
    """How one experiment is judged.

    Attributes
    ----------
    file : str
        The experiment.
    metrics : tuple of str
        The metric that decides, and those shown beside it.
    selectors : tuple of str
        The settings that are judged.
    methods, seeds : dict
        Where in the plan methods are compared, and where starts: values of factors.
    unit : str
        Empty where the metric lies between 0 and 1, else ``"dB"``.
    """

    file: str
    metrics: tuple[str, ...]
    selectors: tuple[str, ...]
    methods: dict
    seeds: dict
    unit: str = ""


JUDGED = {
    "structure": Judged(
        "msa.py",
        ("F0.5", "F3"),
        ("dataset=demo",),
        {"init": "nndsvda", "similarity": "cosine", "rank": 10},
        {"init": "random"},
    ),
    "transcription": Judged(
        "transcription.py",
        ("F", "frame_F", "recall_ceiling"),
        ("dataset=demo",),
        {"init": "harmonic", "pitch": "fixed", "thresholding": "fixed", "dictionary": None},
        {"init": "harmonic", "pitch": "fixed", "thresholding": "fixed"},
    ),
    "separation": Judged(
        "mss.py",
        ("si_sdr", "sdr"),
        ("dataset=demo",),
        {"grouping": "mfcc", "rank": 8},
        {"grouping": "mfcc", "rank": 8},
        "dB",
    ),
}


def main(arguments=None):
    """Print the report; the status is 1 where a criterion is not met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tasks", nargs="*", help=f"which of {', '.join(JUDGED)}; all by default")
    parser.add_argument("--cache", type=Path, help="folder of artifacts")
    parser.add_argument("--compute", type=int, metavar="N", help="compute first, with N jobs")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    given = parser.parse_args(arguments)
    for name in given.tasks:
        if name not in JUDGED:
            parser.error(f"unknown task {name!r}: there are {', '.join(JUDGED)}")
    if given.write and given.tasks:
        parser.error("--write needs all tasks: the page shows them all")
    lines, met = [], True
    for name in given.tasks or JUDGED:
        judged = JUDGED[name]
        rows = read_rows(judged, given.cache, given.compute)
        text, passed = report(name, judged, rows)
        lines += text
        met = met and passed
    page = "\n".join(lines)
    print(page)
    if given.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{page}\n{END}{rest.partition(END)[2]}")
    return 0 if met else 1


def read_rows(judged, cache, jobs):
    """Return the rows of an experiment: setting, kind, and each metric's mean over the tracks.

    Tracks that lack a result in some row are left out of all; without any, the program ends.
    """
    spec = importlib.util.spec_from_file_location(
        judged.file[:-3], ROOT / "experiments" / judged.file
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    experiment = module.experiment
    if cache:
        experiment.cache = cache
    settings, tracks = {}, defaultdict(set)
    for selector in judged.selectors:
        if jobs:
            experiment.compute(selector, jobs=jobs)
        results = experiment.results(selector)
        for setting, _, track, scores in results.rows:
            settings.setdefault(setting, {})[track] = scores
            tracks[track].add(setting)
        untouched = len(results.settings) - len({setting for setting, *_ in results.rows})
        if untouched:
            print(f"{judged.file}: {untouched} settings have no result yet", file=sys.stderr)
    common = [track for track, found in tracks.items() if len(found) == len(settings)]
    if not common:
        sys.exit(f"{judged.file}: no track has all its results: run with --compute")
    if len(common) < len(tracks):
        print(f"{judged.file}: {len(common)} of {len(tracks)} tracks are complete", file=sys.stderr)
    return [
        {
            "values": dict(setting.values),
            "kind": setting.kind,
            "tracks": len(common),
            **{name: _mean(found[track][name] for track in common) for name in judged.metrics},
        }
        for setting, found in settings.items()
    ]


def _mean(numbers):
    numbers = [number for number in numbers if not math.isnan(number)]
    return fmean(numbers) if numbers else math.nan


def report(name, judged, rows):
    """Return the lines about one experiment, and whether all its criteria are met."""
    folded = fold(rows, judged.metrics)
    verdicts = judge(judged, folded)
    lines = [f"## {name.capitalize()}: {rows[0]['tracks']} tracks", ""]
    lines += ["| criterion | measured | met |", "|---|---|---|"]
    lines += [f"| {text} | {value} | {_verdict(ok)} |" for text, value, ok in verdicts]
    lines += ["", *table(judged, folded), ""]
    return lines, all(ok is not False for _, _, ok in verdicts)


def _verdict(ok):
    return {True: "yes", False: "**no**", None: "–"}[ok]


def fold(rows, metrics):
    """Return the rows with their seeds folded: means over seeds, and the range of those means."""
    groups = defaultdict(list)
    for row in rows:
        values = {name: value for name, value in row["values"].items() if name not in FOLDED}
        groups[row["kind"], tuple(sorted(values.items(), key=str))].append(row)
    return [
        {
            "kind": kind,
            "values": dict(values),
            "seeds": len(group),
            "ranges": {name: _range(row[name] for row in group) for name in metrics},
            **{name: _mean(row[name] for row in group) for name in metrics},
        }
        for (kind, values), group in groups.items()
    ]


def _range(numbers):
    numbers = [number for number in numbers if not math.isnan(number)]
    return max(numbers) - min(numbers) if numbers else math.nan


def judge(judged, rows):
    """Return (criterion, measured value, met or None) for each criterion."""
    metric = judged.metrics[0]
    plain = [row for row in rows if not row["kind"]]
    best = max(row[metric] for row in plain)
    oracle = max(row[metric] for row in rows if row["kind"] == "oracle")
    verdicts = []
    if judged.unit:
        guided = [r for r in rows if r["kind"] == "oracle" and r["values"].get("grouping")]
        top = max(row[metric] for row in guided)
        verdicts.append(
            (
                f"oracle grouping at least 3 dB above the best blind row ({metric})",
                f"{top:.2f} against {best:.2f} dB",
                top - best >= 3,
            )
        )
    else:
        baselines = [row[metric] for row in rows if row["kind"] == "baseline"]
        verdicts += [
            (
                f"no baseline at 0 or 1 ({metric})",
                f"{min(baselines):.3f} to {max(baselines):.3f}",
                min(baselines) > 0.02 and max(baselines) < 0.98,
            ),
            (f"best method at most .9 ({metric})", f"{best:.3f}", best <= 0.9),
            (f"oracle at least .95 ({metric})", f"{oracle:.3f}", oracle >= 0.95),
        ]
    verdicts.append(spread(judged, plain, metric))
    return verdicts


def spread(judged, rows, metric):
    """Compare the range over methods with the range over seeds, mean over the rows with several."""
    over_methods = _range(row[metric] for row in _chosen(rows, judged.methods))
    several = [row for row in _chosen(rows, judged.seeds) if row["seeds"] > 1]
    over_seeds = [row["ranges"][metric] for row in several]
    text = (
        f"range over algorithm and beta ({_told(judged.methods)}) above twice the range over seeds "
        f"({_told(judged.seeds)}), {metric}"
    )
    if not over_seeds:
        return text, "no row has several seeds", None
    noise = fmean(over_seeds)
    return text, f"{over_methods:.3f} against {noise:.3f}", over_methods > SEEDS_FACTOR * noise


def _chosen(rows, wanted):
    return [r for r in rows if all(r["values"].get(k) == v for k, v in wanted.items())]


def _told(values):
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def table(judged, rows):
    """Return the means of all rows as a Markdown table."""
    given = {name for row in rows for name in row["values"]}
    varying = [n for n in sorted(given) if len({str(r["values"].get(n)) for r in rows}) > 1]
    head = ["kind", *varying, "seeds", *judged.metrics]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    order = {"": 0, "baseline": 1, "oracle": 2}
    for row in sorted(rows, key=lambda r: (order[r["kind"]], -r[judged.metrics[0]])):
        cells = [row["kind"] or "NMF"]
        cells += [_shown(row["values"].get(name)) for name in varying]
        cells += [str(row["seeds"]) if row["seeds"] > 1 else "–"]
        digits = 2 if judged.unit else 3
        for name in judged.metrics:
            width = f" ({row['ranges'][name]:.{digits}f})" if row["seeds"] > 1 else ""
            cells.append(f"{row[name]:.{digits}f}{width}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _shown(value):
    return "–" if value is None else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
