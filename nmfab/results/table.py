"""Scores → one long table → a summary, and a comparison with a reference named beforehand.

Means compare settings on the tracks that they have in common, per dataset and protocol, which are
never averaged together. Seeds are folded: a row is the mean over its seeds, their spread beside it.
"""

import math
from collections.abc import Mapping
from statistics import fmean

from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown
from nmfab.base.values import canonical, canonical_json, same
from nmfab.plan.selector import format_terms
from nmfab.results.summary import Block, Comparison, Row, Summary, absent_lines, cell_of, mark_best
from nmfab.tasks import Metric

SECONDS = Metric("seconds of the factorization, alone", higher_is_better=False, unit="s")
FEWEST_TRACKS = 6  # a two-sided signed-rank test on five pairs cannot go below p = .0625


class Results:
    """The scores of settings on tracks.

    Parameters
    ----------
    task : Task
        Names the metrics.
    grid : Grid
        Names the factors.
    settings : sequence of Setting
        What was asked for, with or without results.
    rows : iterable of (Setting, str, str, mapping)
        Setting, dataset, track, and metric → number.
    missing : iterable of (Setting, str, str or None, str)
        Setting, dataset, track (None: the whole dataset) and the reason.
    seconds : sequence of float, optional
        Of the factorization, one for each of `rows`: a column of its own.
    seconds_note : str
        Where they were measured, or why there are none.
    absent : mapping of str to Absent, optional
        Datasets that are not on this machine; no table shows them where it has another.
    releases : sequence of mapping, optional
        For each of `rows`, library → set of releases that it was computed with; a table whose rows
        mix releases says so.

    Attributes
    ----------
    metrics : dict
        Name and `Metric`: the task's, and ``seconds`` where they are given.
    """

    def __init__(
        self,
        task,
        grid,
        settings,
        rows,
        missing=(),
        seconds=None,
        seconds_note="",
        absent=None,
        releases=(),
    ):
        self.task, self.grid, self.settings = task, grid, list(settings)
        self.rows, self.missing = list(rows), list(missing)
        self.absent = dict(absent or {})
        self.metrics, self.seconds_note = dict(task.metrics), seconds_note
        if seconds is not None:
            self.metrics["seconds"] = SECONDS
            self.rows = [
                (*row[:3], {**row[3], "seconds": own})
                for row, own in zip(self.rows, seconds, strict=True)
            ]
        self.releases = list(releases)
        self._scores = {}
        for setting, _, track, scores in self.rows:
            self._scores.setdefault(setting, {})[track] = scores

    def records(self):
        """Yield one dict per setting and track: factors, kind, track, status, metrics.

        A missing result is there too, with its reason as status and no metric.
        """
        for setting, dataset, track, scores in self.rows:
            numbers = {name: scores.get(name, math.nan) for name in self.metrics}
            yield {**self._labels(setting, dataset, track), "status": "done", **numbers}
        for setting, dataset, track, reason in self.missing:
            numbers = dict.fromkeys(self.metrics, math.nan)
            yield {**self._labels(setting, dataset, track), "status": reason, **numbers}

    def _labels(self, setting, dataset, track):
        factors = {name: setting.values.get(name) for name in self.grid.factors}
        return {"dataset": dataset, **factors, "kind": setting.kind, "track": track}

    def to_frame(self):
        """Return the long table: one row per setting and track.

        Returns
        -------
        pandas.DataFrame
            Columns: the factors (None where a setting does not read one), ``kind``, ``track``,
            ``status`` (``"done"``, or why there is no result) and the metrics.
        """
        import pandas as pd

        # As objects first: a column of 1, 2 and None would turn into 1.0, 2.0 and NaN.
        frame = pd.DataFrame(list(self.records()), columns=self.column_names(), dtype=object)
        numbers = dict.fromkeys(self.metrics, float)
        whole = [name for name in frame if not frame[name].isna().any()]
        return frame.astype(numbers).astype(frame[whole].infer_objects().dtypes)

    def column_names(self):
        """Return the columns of the long table."""
        factors = [name for name in self.grid.factors if name != "dataset"]
        return ["dataset", *factors, "kind", "track", "status", *self.metrics]

    def summary(self, metrics=None, across="seed"):
        """Return means over tracks, per setting, dataset and protocol.

        A metric is averaged over the tracks for which every row has a number; a row that has none
        at all does not count against the others.

        Parameters
        ----------
        metrics : sequence of str, optional
            Which metrics; all where None.
        across : str or None
            The factor to average over; None for a row per setting.

        Returns
        -------
        Summary
        """
        metrics = self._metrics(metrics)
        rows = self._fold(across)
        here = [row for row in rows if row.settings[0].parameters["dataset"] not in self.absent]
        rows = here or rows
        blocks = {}
        for row in rows:
            blocks.setdefault(self._place(row), []).append(row)
        folded = across if any(len(row.settings) > 1 for row in rows) else None
        apart = (folded, "dataset", *self.task.protocol)  # said elsewhere than in a column
        settings = [setting for row in rows for setting in row.settings]
        constant = self.grid.constant(settings).items()
        return Summary(
            metrics=metrics,
            columns=[n for n in self.grid.varying(settings) if n not in apart],
            fixed={name: value for name, value in constant if name not in apart},
            folded=folded,
            blocks=[self._block(*place, found, metrics) for place, found in blocks.items()],
            absent=absent_lines(self.absent) if here else [],
        )

    def compare(self, reference, metric, across="seed"):
        """Compare every row with a reference that is named beforehand.

        Paired over tracks, two-sided Wilcoxon signed-rank test (Wilcoxon, "Individual comparisons
        by ranking methods", 1945), seeds averaged first, only within the reference's dataset and
        protocol. The best row must not be the reference: it would be chosen after the fact.

        Parameters
        ----------
        reference : Setting, Row or mapping
            A mapping names factors and modalities, and must pick one row.
        metric : str
            The metric to compare by.
        across : str or None
            The factor to average over first; None for a row per setting.

        Returns
        -------
        list of Comparison

        Raises
        ------
        UsageError
            If the metric does not exist, or the reference is not one row with results.
        """
        name = next(iter(self._metrics([metric])))
        rows = self._fold(across)
        base = _one_row(rows, reference)
        place = self._place(base)
        ours = self._per_track(base, name)
        if not ours:
            raise UsageError(f"the reference {_text(base)} has no result for {name}")
        others = [row for row in rows if row is not base and self._place(row) == place]
        return [_compare(row, self._per_track(row, name), ours) for row in others]

    def _place(self, row):
        """Return dataset and protocol of a row."""
        p = row.settings[0].parameters
        return p["dataset"], format_terms(self.task.protocol_of(p)).replace(",", ", ") or None

    def _metrics(self, names):
        known = self.metrics
        for name in names or ():
            if name not in known:
                raise UsageError(unknown("metric", name, known))
        return {name: known[name] for name in (known if names is None else names)}

    def _fold(self, across):
        """Return rows of settings that differ in one factor only, in the order of the settings."""
        rows = {}
        for setting in self.settings:
            values = {n: v for n, v in setting.values.items() if n != across}
            key = canonical_json([values, setting.parameters.get("dataset")])
            row = rows.setdefault(key, Row(values, [], setting.kind))
            row.settings.append(setting)
        reasons = {}
        for setting, _, _, reason in self.missing:
            count = reasons.setdefault(setting, {})
            count[reason] = count.get(reason, 0) + 1
        for row in rows.values():
            row.seeds = sum(setting in self._scores for setting in row.settings)
            for setting in row.settings:
                for reason, count in reasons.get(setting, {}).items():
                    row.missing[reason] = row.missing.get(reason, 0) + count
            if not row.seeds and not row.missing:
                row.missing["not computed"] = len(row.settings)
        return list(rows.values())

    def _block(self, dataset, protocol, rows, metrics):
        having = [s for row in rows for s in row.settings if s in self._scores]
        sets = [set(self._scores[setting]) for setting in having]
        common = set.intersection(*sets) if sets else set()
        union = set().union(*sets)
        for name, metric in metrics.items():
            self._fill(rows, name, common)
            mark_best(rows, name, metric)
        notes = list(self.task.notes([(setting, self._scores[setting]) for setting in having]))
        notes += self._mixed_releases(having)
        return Block(dataset, protocol, rows, sorted(common), sorted(union - common), notes)

    def _mixed_releases(self, settings):
        """Return the line that tells of libraries whose releases differ between rows, if any."""
        found = {}
        for row, releases in zip(self.rows, self.releases, strict=False):
            for library, several in releases.items() if row[0] in settings else ():
                found.setdefault(library, set()).update(several)
        mixed = [f"{n} {' and '.join(sorted(v))}" for n, v in sorted(found.items()) if len(v) > 1]
        return [f"computed with several releases: {'; '.join(mixed)}"] if mixed else []

    def _fill(self, rows, name, common):
        """Give each row its cell of one metric, on the tracks where all rows have a number."""
        numbers = {id(row): self._numbers(row, name, common) for row in rows}
        defined = [set(seed) for seeds in numbers.values() for seed in seeds if seed]
        shared = sorted(set.intersection(*defined)) if defined else []
        for row in rows:
            seeds = numbers[id(row)]
            undefined = len({track for seed in seeds for track in common if track not in seed})
            complete = [[seed[track] for track in shared] for seed in seeds if seed]
            row.cells[name] = cell_of(complete if shared else [], undefined)

    def _numbers(self, row, name, common):
        """Return one dict per seed with results: common track → number, NaN left out."""
        found = []
        for setting in row.settings:
            scores = self._scores.get(setting)
            if scores is not None:
                values = {track: scores[track].get(name, math.nan) for track in common}
                found.append({t: v for t, v in values.items() if not math.isnan(v)})
        return found

    def _per_track(self, row, name):
        """Return track → mean over seeds, for the tracks where every seed has a number."""
        seeds = [self._scores[s] for s in row.settings if s in self._scores]
        if not seeds:
            return {}
        found = {t: [seed.get(t, {}).get(name, math.nan) for seed in seeds] for t in seeds[0]}
        return {t: fmean(v) for t, v in found.items() if not any(math.isnan(x) for x in v)}


def _text(row):
    return row.settings[0].text


def _one_row(rows, reference):
    """Return the row that a setting, a row or a mapping names."""
    if isinstance(reference, Row):
        found = [row for row in rows if any(s in row.settings for s in reference.settings)]
    elif isinstance(reference, Mapping):
        wanted = {name: canonical(value) for name, value in reference.items()}
        found = [
            row
            for row in rows
            if all(n in row.values and same(row.values[n], v) for n, v in wanted.items())
        ]
    else:
        found = [row for row in rows if reference in row.settings]
    if len(found) != 1:
        raise UsageError(
            f"the reference {reference} names {len(found)} rows, and one is needed: name more "
            "factors"
            if found
            else f"the reference {reference} names no row of the selection"
        )
    return found[0]


def _compare(row, theirs, ours):
    """Return the comparison of a row's numbers per track with the reference's."""
    tracks = sorted(set(theirs) & set(ours))
    differences = [theirs[track] - ours[track] for track in tracks]
    mean = fmean(differences) if differences else math.nan
    unequal = sum(difference != 0 for difference in differences)
    if len(tracks) < FEWEST_TRACKS:
        return Comparison(row, len(tracks), mean, refused=_too_few(len(tracks), "tracks in common"))
    if unequal < FEWEST_TRACKS:
        return Comparison(row, len(tracks), mean, refused=_too_few(unequal, "tracks that differ"))
    from scipy.stats import wilcoxon

    p = float(wilcoxon(differences, zero_method="wilcox", alternative="two-sided").pvalue)
    return Comparison(row, len(tracks), mean, p)


def _too_few(count, what):
    return f"{count} {what}: below {FEWEST_TRACKS} the test cannot reach p < .05"
