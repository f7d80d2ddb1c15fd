"""Thresholds of transcription chosen on other pieces: F of each piece, by leave-one-piece-out.

python scripts/transcription_thresholds.py -s maps_convolutive/ -c 2      as published for MAPS
python scripts/transcription_thresholds.py -s convolutive/ -c 1 --set threshold=0.1+0.2+0.3+0.4

The settings are those of experiments/transcription.py that -s picks, --set replacing modalities.
Settings that differ in nothing but threshold and dataset are one row. For each piece the threshold
is the one with the highest mean F on all the other pieces of the row (the lowest of several).
Beside it stand the two figures that are published, which look at the pieces they are computed on:
the best single threshold, and the best one of each piece.
"""

import argparse
import importlib.util
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from nmfab.base.errors import NmfabError, UsageError
from nmfab.plan.selector import format_terms, parse_assignment

ROOT = Path(__file__).resolve().parents[1]


def best(scores, pieces):
    """Return the threshold of highest mean over some pieces, the lowest of several.

    Parameters
    ----------
    scores : mapping of float to mapping
        Threshold, piece, score.
    pieces : sequence
        Those that are looked at.

    Raises
    ------
    UsageError
        If there are none.
    """
    if not pieces:
        raise UsageError("a threshold is chosen on other pieces: there is one piece alone")
    return max(sorted(scores), key=lambda threshold: fmean(scores[threshold][p] for p in pieces))


def left_out(scores):
    """Return for each piece the threshold that is best on the others, and its score."""
    pieces = list(next(iter(scores.values())))
    chosen = {p: best(scores, [other for other in pieces if other != p]) for p in pieces}
    return {p: (threshold, scores[threshold][p]) for p, threshold in chosen.items()}


def rows(results, metric="F"):
    """Return the scores of each row by threshold and piece, of the pieces that all rows have.

    Parameters
    ----------
    results : nmfab.results.table.Results
        Of settings that have a threshold; the others are passed over.
    metric : str
        What decides.

    Returns
    -------
    dict of str to dict
        What the rows differ in; threshold, (dataset, track), score.
    """
    settings = [s for s in results.settings if "threshold" in s.values]
    apart = ("threshold", "dataset")
    varying = [name for name in results.grid.varying(settings) if name not in apart]
    found = defaultdict(lambda: defaultdict(dict))
    for setting, dataset, track, scores in results.rows:
        if setting in settings:
            name = format_terms({n: setting.values[n] for n in varying if n in setting.values})
            found[name][setting.values["threshold"]][dataset, track] = scores[metric]
    every = [set(pieces) for row in found.values() for pieces in row.values()]
    common = sorted(set.intersection(*every)) if every else []
    if not common:
        raise UsageError("no piece has all its results: compute them with -c")
    lost = len(set.union(*every)) - len(common)
    if lost:
        print(f"{lost} pieces lack results, and are left out", file=sys.stderr)
    return {
        name: {t: {p: pieces[p] for p in common} for t, pieces in row.items()}
        for name, row in found.items()
    }


def table(found):
    """Return the lines of both tables: a line per row, then one per piece."""
    chosen = {name: left_out(scores) for name, scores in found.items()}
    pieces = list(next(iter(chosen.values())))
    lines = [f"{len(pieces)} pieces", "", "| | row | F, θ of other pieces | F, one θ | that θ |"
             " F, θ of each piece |", "|---|---|---|---|---|---|"]  # fmt: skip
    for number, (name, scores) in enumerate(found.items(), 1):
        one = best(scores, pieces)
        own = fmean(max(scores[t][p] for t in scores) for p in pieces)
        told = fmean(score for _, score in chosen[name].values())
        alone = fmean(scores[one].values())
        lines.append(f"| {number} | {name} | {told:.3f} | {alone:.3f} | {one:g} | {own:.3f} |")
    heads = " | ".join(str(number) for number in range(1, len(found) + 1))
    lines += ["", f"| F (θ chosen on other pieces) | {heads} |", "|---|" + "---|" * len(found)]
    for dataset, track in pieces:
        cells = [chosen[name][dataset, track] for name in found]
        told = " | ".join(f"{score:.3f} ({threshold:g})" for threshold, score in cells)
        lines.append(f"| {dataset} {track} | {told} |")
    return lines


def main(arguments=None):
    """Compute what is asked for, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("-s", "--select", default="maps_convolutive/", help="settings (default: %(default)s)")
    add("--set", action="append", default=[], metavar="NAME=VALUES", help="as the experiment's")
    add("--data", action="append", default=[], metavar="FOLDER", help="as the experiment's")
    add("--cache", metavar="FOLDER", help="as the experiment's")
    add("-c", "--compute", type=int, default=0, metavar="N", help="compute first, in N processes")
    add("--metric", default="F", help="what decides (default: %(default)s)")
    options = parser.parse_args(arguments)
    experiment = load(ROOT / "experiments" / "transcription.py")
    experiment.data += [Path(folder) for folder in options.data]
    experiment.cache = Path(options.cache) if options.cache else experiment.cache
    for assignment in options.set:
        experiment.set(*parse_assignment(assignment))
    if options.compute:
        for line in experiment.compute(options.select, jobs=options.compute).failures:
            print(*line[1:], file=sys.stderr)
    print("\n".join(table(rows(experiment.results(options.select), options.metric))))


def load(path):
    """Return the experiment that a file makes."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.experiment


if __name__ == "__main__":
    try:
        main()
    except NmfabError as error:
        sys.exit(str(error))
