"""The model of a table: blocks of rows that may be compared, a cell per metric.

Made by `nmfab.results.table`, shown by `nmfab.report`.
"""

import math
from dataclasses import dataclass, field, fields
from statistics import fmean, stdev


class SameNumbers:
    """Equality field by field in which two NaN are the same: no number is no number.

    A dataclass's own is not: until Python 3.12 it takes one NaN for itself and not for another, and
    since 3.13 not even that.
    """

    __hash__ = None

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return all(a == b or (_is_nan(a) and _is_nan(b)) for a, b in pairs)


def _is_nan(value):
    return isinstance(value, float) and math.isnan(value)


@dataclass(eq=False)
class Cell(SameNumbers):
    """One metric of one row.

    Attributes
    ----------
    mean, deviation : float
        Over tracks, of the mean over seeds; NaN where there is no number (one track has no
        deviation).
    spread : float
        Standard deviation over seeds of their means over tracks; NaN with fewer than two seeds.
    tracks : int
        How many tracks the mean is over.
    undefined : int
        How many of the common tracks have no number here.
    best : bool
        The best of its table, baselines and oracles apart.
    """

    mean: float = math.nan
    deviation: float = math.nan
    spread: float = math.nan
    tracks: int = 0
    undefined: int = 0
    best: bool = False


@dataclass
class Row:
    """One setting of the summary, its seeds folded.

    Attributes
    ----------
    values : dict
        Factor and modality, the folded factor left out.
    settings : list of Setting
        What was folded.
    kind : str
        ``"baseline"``, ``"oracle"`` or empty.
    seeds : int
        How many of `settings` have results.
    cells : dict
        Metric and `Cell`.
    missing : dict
        Reason and the number of results that are missing for it.
    """

    values: dict
    settings: list
    kind: str = ""
    seeds: int = 0
    cells: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)


@dataclass
class Block:
    """The rows that may be compared: one dataset, one protocol, the same tracks.

    Attributes
    ----------
    dataset, protocol : str or None
        What all rows share.
    rows : list of Row
    tracks : list of str
        The tracks that all rows with a result have in common.
    left_out : list of str
        Tracks that some rows have a result for, and not all.
    notes : list of str
        How the results came about, as `Task.notes` says.
    """

    dataset: str
    protocol: str | None
    rows: list
    tracks: list
    left_out: list
    notes: list = field(default_factory=list)


@dataclass
class Summary:
    """A table for a report.

    Attributes
    ----------
    metrics : dict
        Name and `Metric`, in the order shown.
    columns : list of str
        Factors that tell rows apart.
    fixed : dict
        Factors that have one modality throughout.
    folded : str or None
        The factor that was averaged over, where a row has more than one of its modalities.
    blocks : list of Block
    absent : list of str
        Lines about the datasets that are in no block because they are not on this machine.
    """

    metrics: dict
    columns: list
    fixed: dict
    folded: str | None
    blocks: list
    absent: list = field(default_factory=list)


@dataclass
class Absent:
    """One dataset that cannot be computed here.

    Attributes
    ----------
    settings : int
        How many of the selection are on it.
    reason : str
        One line, with what to do.
    nowhere : bool
        The dataset has no folder; otherwise it has one without a track that the task can use.
    """

    settings: int
    reason: str
    nowhere: bool


@dataclass(frozen=True, eq=False)
class Comparison(SameNumbers):
    """One row against the reference.

    Attributes
    ----------
    row : Row
    tracks : int
        Pairs that both have a number for.
    difference : float
        Mean over tracks of row minus reference.
    p : float
        Of the two-sided Wilcoxon signed-rank test; NaN where `refused` says why.
    refused : str
        Why there is no p, or empty.
    """

    row: Row
    tracks: int
    difference: float
    p: float = math.nan
    refused: str = ""


def cell_of(seeds, undefined):
    """Return the `Cell` of a row.

    Parameters
    ----------
    seeds : list of list of float [shape=(seeds, tracks)]
        The numbers, none of them NaN.
    undefined : int
        How many common tracks have no number.
    """
    if not seeds:
        return Cell(undefined=undefined)
    over_seeds = [fmean(track) for track in zip(*seeds, strict=True)]
    means = [fmean(seed) for seed in seeds]
    return Cell(
        mean=fmean(over_seeds),
        deviation=stdev(over_seeds) if len(over_seeds) > 1 else math.nan,
        spread=stdev(means) if len(means) > 1 else math.nan,
        tracks=len(over_seeds),
        undefined=undefined,
    )


def mark_best(rows, name, metric):
    """Mark the best ordinary rows, ties included; one row alone is not best of anything."""
    ranked = [row.cells[name] for row in rows if not row.kind]
    ranked = [cell for cell in ranked if not math.isnan(cell.mean)]
    if metric.higher_is_better is None or len(ranked) < 2:
        return
    best = (max if metric.higher_is_better else min)(cell.mean for cell in ranked)
    for cell in ranked:
        cell.best = math.isclose(cell.mean, best, rel_tol=1e-12)


def absent_lines(absent):
    """Return one line for all datasets without a folder, and one for each other.

    Parameters
    ----------
    absent : mapping of str to Absent
        By dataset.

    Returns
    -------
    list of str
    """
    nowhere = [name for name, item in absent.items() if item.nowhere]
    if len(nowhere) < 2:
        return [item.reason for item in absent.values()]
    others = [item.reason for item in absent.values() if not item.nowhere]
    listed = f"datasets {', '.join(nowhere)}: not on this machine; nmfab datasets NAME says more"
    return [listed, *others]
