"""NTD of a real barwise tensor: boundaries of one song beside the published means.

python scripts/ntd_barwise.py FOLDER
python scripts/ntd_barwise.py FOLDER --published ntd_rwcpop_two_folds.csv --stop 200

FOLDER holds, as the authors of MusicNTD publish them for RWC Pop 1,

    *_nn_log_mel*.npy    the tensor, m frequencies × 96 instants × bars
    *_bars.npy           begin and end of each bar in seconds; slice k of the tensor is entry k + 1,
                         for the first entry is the silence before the first downbeat
    *.lab                the annotated sections: begin, end, label

The CSV of --published is `ntd_rwcpop_two_folds.csv`, extracted from MusicNTD's notebook "ICASSP2022
- Cross-validation results": its columns feature, update_rule, beta, rank_W, rank_H, rank_Q,
tested_on, tolerance and f are read. Each of its rows for this feature by multiplicative updates is
computed with the ranks that were chosen there: rank_W is ntd.frequency_rank, rank_H is
ntd.instant_rank, rank_Q the rank. The published F is a mean over the 50 songs of a fold, ours is of
one song: beside each other they tell an error of the implementation, not a better method.

Boundaries come from the cosine similarity of the bars in Q by Correlation Block-Matching (7 bands,
modulo 8, weight 1), scored as mir_eval does, without trimming.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from nmfab import factorize
from nmfab.base.errors import NmfabError, UsageError
from nmfab.datasets.sections import read_section_table
from nmfab.metrics.structure import evaluate
from nmfab.postprocessing.cbm import segment_bars
from nmfab.postprocessing.segmentation import regular
from nmfab.postprocessing.similarity import cosine

FEATURE = "nn_log_mel_grill"
RANKS = (32, 32, 32)


def only(folder, pattern):
    """Return the one file of a folder that matches."""
    found = sorted(Path(folder).glob(pattern))
    if len(found) != 1:
        raise UsageError(f"{folder}: one {pattern} is wanted, and there are {len(found)}")
    return found[0]


def read(folder):
    """Return the tensor, the edges of its bars and the annotated sections (seconds)."""
    V = np.load(only(folder, "*_nn_log_mel*.npy"))
    bars = np.load(only(folder, "*_bars.npy"))
    if V.ndim != 3 or len(bars) != V.shape[2] + 1:
        raise UsageError(
            f"{folder}: a tensor of shape {V.shape} and {len(bars)} bars do not belong together"
        )
    edges = np.append(bars[1:, 0], bars[-1, 1])
    return V, edges, read_section_table(only(folder, "*.lab"))["intervals"]


def published_rows(path):
    """Return (beta, ranks, fold tested on, F at 0.5 s, F at 3 s) of the rows for the feature."""
    rows = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["feature"] == FEATURE and row["update_rule"] == "mu":
                ranks = tuple(int(row[name]) for name in ("rank_W", "rank_H", "rank_Q"))
                key = float(row["beta"]), ranks, row["tested_on"]
                rows.setdefault(key, {})[float(row["tolerance"])] = float(row["f"])
    if not rows:
        raise UsageError(f"{path}: no row of {FEATURE} by multiplicative updates")
    return [(*key, f[0.5], f[3.0]) for key, f in rows.items()]


def scored(columns, edges, sections):
    """Return F at 0.5 and 3 s of the boundaries found in columns (features × bars)."""
    return scored_boundaries(edges[segment_bars(cosine(columns))[0]], sections)


def scored_boundaries(times, sections):
    """Return F at 0.5 and 3 s of boundaries in seconds."""
    scores = evaluate(sections, np.stack([times[:-1], times[1:]], axis=1))
    return scores["F0.5"], scores["F3"]


def decomposed(V, beta, ranks, stop):
    """Return the factorization."""
    return factorize(
        V, ranks[2], algorithm="ntd", beta=beta, init="nndsvda", stop=stop,
        frequency_rank=ranks[0], instant_rank=ranks[1],
    )  # fmt: skip


def line(name, ours, theirs=None, more=""):
    """Return a row of the table."""
    told = " / ".join(f"{f:.3f}" for f in theirs) if theirs else "–"
    return f"{name:<28}{ours[0]:.3f} / {ours[1]:.3f}      {told:<16}{more}"


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="tensor, bars and sections of one song")
    parser.add_argument("--published", metavar="CSV", help="ntd_rwcpop_two_folds.csv")
    parser.add_argument("--stop", type=int, default=200, help="iterations (default: 200)")
    options = parser.parse_args(arguments)
    V, edges, sections = read(options.folder)
    rows = [(beta, RANKS, "", None, None) for beta in (0.0, 1.0, 2.0)]
    if options.published:
        rows = published_rows(options.published) + rows
    print(f"{options.folder}: {V.shape[0]} frequencies, {V.shape[1]} instants, {V.shape[2]} bars")
    print(f"F at 0.5 / 3 s; {options.stop} iterations")
    print(f"{'':<28}{'this song':<19}{'published mean':<16}")
    print(line("every 8 bars", scored_boundaries(regular(edges, bars=8), sections)))
    print(line("no factorization", scored(V.reshape(-1, V.shape[2]), edges, sections)))
    for beta, ranks, fold, short, long in rows:
        model = decomposed(V, beta, ranks, options.stop)
        loss, seconds = model.curve["loss"], model.curve["seconds"][-1]
        more = f"loss {loss[0]:.4g} to {loss[-1]:.4g} in {seconds:.1f} s"
        more += f"; mean of {fold}" if fold else ""
        name = f"beta {beta:g}, ranks {' '.join(map(str, ranks))}"
        theirs = None if short is None else (short, long)
        print(line(name, scored(model.activations(), edges, sections), theirs, more))


if __name__ == "__main__":
    try:
        main()
    except NmfabError as error:
        sys.exit(str(error))
