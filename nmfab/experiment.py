"""An experiment: a task, its plans, and what can be asked of it from a script or a notebook."""

import os
from collections.abc import Mapping
from pathlib import Path

from nmfab.base.errors import DataError, NmfabError, UsageError
from nmfab.base.registry import load_plugin, source_file
from nmfab.base.resources import resolve_device
from nmfab.results.summary import Absent, absent_lines


class Experiment:
    """One task with its plans.

    Parameters
    ----------
    name : str
        Names the folder of its artifacts.
    task : str
        A registered task: ``"structure"``, ``"separation"``, ``"transcription"``, ...
    title : str
        One line for the head of tables.
    fixed : mapping, optional
        Parameters that differ from the task's defaults and are no factor.
    cache : path, optional
        Where artifacts are kept: ``cache/`` of the checkout, or of the current folder.
    data : sequence of path
        Folders of datasets, before those of ``$NMFAB_DATA`` and the checkout's ``data/``.

    Examples
    --------
    >>> experiment = Experiment("msa", task="structure")
    >>> experiment.add_plan("nmf", dataset=["demo"], algorithm=["torch_mu"], beta=[0, 1, 2])
    >>> len(experiment.grid.settings)
    3
    """

    def __init__(self, name, *, task, title="", fixed=None, cache=None, data=()):
        self.name, self.task_name, self.title = name, task, title or name
        self.cache = Path(cache) if cache else default_cache()
        self.data = [Path(folder) for folder in data]
        self.plugins = []
        self.device = "cpu"
        self.threads = None
        self.timing = False
        self.curve = None
        self.track_choice = None
        self._fixed = dict(fixed or {})
        self._plans = {}
        self._overrides = {}
        self._grid = None

    def add_plan(self, name, factors=None, /, **more):
        """Add a plan: a grid of factors, expanded alone and united with the others.

        Parameters
        ----------
        name : str
            Chosen in selectors as ``name/...``.
        factors : mapping or doce.Factor, optional
            Factors whose names are no Python names: ``{"my_nmf.sparsity": [0.1, 1]}``; or a plan
            as doce writes it.
        **more : list
            Factor and its modalities; a single modality need not be in a list.
        """
        if name in self._plans:
            raise UsageError(f"experiment {self.name} has a plan {name!r} already")
        if factors is not None and not isinstance(factors, Mapping):
            from nmfab.plan.doce import from_doce

            factors = from_doce(name, factors)
        plan = {**(factors or {}), **more}
        self._plans[name] = {k: v if isinstance(v, list) else [v] for k, v in plan.items()}
        self._grid = None

    def add_plugin(self, path):
        """Import a user's file; what it brings joins every plan that has a factor for it.

        Algorithms join the factor ``algorithm``; steps that of their family, baselines where they
        are those of the experiment's task.
        """
        from nmfab.algorithms import ALGORITHMS
        from nmfab.postprocessing import FAMILIES, STEPS

        path = Path(path).resolve()
        load_plugin(path)
        self.plugins.append(path)
        brought = [
            ("algorithm", name)
            for name in ALGORITHMS.names()
            if source_file(ALGORITHMS[name]) == str(path)
        ]
        for step in STEPS.brought_by(path):
            factor = FAMILIES[step.family].factor
            if factor != "baseline" or step.family == self.task_name:
                brought.append((factor, step.name))
        for plan in self._plans.values():
            for factor, name in brought:
                if factor in plan:
                    plan[factor] = [*plan[factor], name]
        self._grid = None

    def set(self, name, values):
        """Replace a factor's modalities, or fix a parameter: ``set("rank", [32])``."""
        self._overrides[name] = values if isinstance(values, list) else [values]
        self._grid = None

    @property
    def task(self):
        """The task, as an object."""
        from nmfab.tasks import TASKS

        return TASKS[self.task_name]()

    @property
    def grid(self):
        """The united plans: factors, settings, what is left out and why."""
        if self._grid is None:
            from nmfab.plan.grid import Grid

            self._grid = Grid(self.task, self._plans, self._fixed, self._overrides)
        return self._grid

    def doce(self):
        """Return the plans as a `doce.Factor` that holds a `doce.Factor` for each.

        A mask given to one of these picks what the same mask picks here after the plan's name:
        ``experiment.doce().nmf.mask([0, -1])`` and ``experiment.select("nmf/[0,-1]")``.
        """
        from nmfab.plan.doce import to_doce

        return to_doce(self.grid)

    def context(self, refresh=None):
        """Return what a worker process needs to know."""
        from nmfab.datasets.contract import data_roots
        from nmfab.run.context import Context

        return Context(
            experiment=self.name,
            task=self.task_name,
            cache=self.cache,
            roots=tuple(data_roots(self.data)),
            plugins=tuple(self.plugins),
            device=resolve_device(self.device),
            threads=self.threads or (os.cpu_count() if self.timing else None),
            refresh=refresh,
            timing=self.timing,
            curve=self.curve,
        )

    def select(self, selector=None):
        """Return the settings that a selector picks, all of them where it is None.

        Raises
        ------
        UsageError
            If there is none.
        """
        return self.grid.select(selector)

    def tracks(self, dataset, parameters, *, cached=False):
        """Return the ids of the tracks of a dataset that a setting runs over.

        Parameters
        ----------
        dataset : Dataset
            The collection.
        parameters : mapping
            The setting's parameters: a task may let one choose a subset.
        cached : bool
            Where the dataset is absent, name the tracks that have artifacts instead of failing.

        Raises
        ------
        DataError
            If the dataset is absent and `cached` is false.
        UsageError
            If a track that was asked for does not exist.
        """
        ids = self.task.tracks(dataset, parameters)
        if not ids and cached:
            ids = self.context().store().tracks(dataset.name)
        if not ids:
            raise DataError(f"dataset {dataset.name}: {dataset.status().message}")
        if self.track_choice is None:
            return ids
        if isinstance(self.track_choice, int):
            return ids[: self.track_choice]
        return [track for track in ids if track in self.track_choice]

    def units(self, settings, *, cached=False, refresh=None):
        """Return the `Unit` of each setting on each of its tracks.

        Parameters
        ----------
        settings : sequence of Setting
            What is asked for.
        cached : bool
            Where a dataset is absent, take the tracks that have artifacts.
        refresh : {"features", "nmf", "postprocessing", "metrics"}, optional
            The first stage of which what exists does not count.

        Returns
        -------
        units : list of nmfab.run.unit.Unit
        absent : dict of str to Absent
            The datasets that are not on this machine.
        """
        context, listed, absent = self.context(refresh), [], {}
        tracks = context.tracks()
        for index, setting in enumerate(settings):
            name = setting.parameters["dataset"]
            dataset = tracks.dataset(name)
            try:
                found = self.tracks(dataset, setting.parameters, cached=cached)
            except NmfabError as error:
                item = absent.setdefault(name, Absent(0, str(error), dataset.folder is None))
                item.settings += 1
                continue
            listed += [(index, setting.parameters, name, track) for track in found]
        self._check_track_choice({track for *_, track in listed})
        return context.units(listed, tracks), absent

    def _check_track_choice(self, found):
        if isinstance(self.track_choice, list):
            lost = [track for track in self.track_choice if track not in found]
            if lost:
                raise UsageError(f"no dataset of the selection has a track {', '.join(lost)}")

    def compute(self, selector=None, *, jobs=1, refresh=None, fail_fast=False, progress=None):
        """Compute what does not exist yet of the selected settings.

        Parameters
        ----------
        selector : str, dict or list, optional
            Which settings; all where None.
        jobs : int
            Number of processes.
        refresh : {"features", "nmf", "postprocessing", "metrics"}, optional
            The first stage to compute again.
        fail_fast : bool
            Stop at the first failure.
        progress : callable, optional
            See `nmfab.run.runner.run`.

        Returns
        -------
        nmfab.run.runner.Report
            A dataset that is absent is a warning, and a failure where the selector names it or no
            other is here.
        """
        from nmfab.plan.selector import parse
        from nmfab.run import runner

        settings = self.select(selector)
        units, absent = self.units(settings, refresh=refresh)
        report = runner.run(
            self.context(refresh), units, jobs=jobs, fail_fast=fail_fast, progress=progress
        )
        named = [
            value for item in parse(selector) for value in (item.factors or {}).get("dataset", ())
        ]
        wanted = {name: item for name, item in absent.items() if name in named or not units}
        left_out = {name: item for name, item in absent.items() if name not in wanted}
        report.warnings += [f"left out: {line}" for line in absent_lines(left_out)]
        for index, setting in enumerate(settings):
            name = setting.parameters["dataset"]
            if name in wanted:
                report.failures.append((index, name, "", wanted[name].reason))
        return report

    def results(self, selector=None):
        """Return the scores that exist of the selected settings, and what is missing.

        The datasets need not be here. With `timing`, comparable seconds are among the scores.

        Returns
        -------
        nmfab.results.table.Results
        """
        from nmfab.results.table import Results
        from nmfab.run.seconds import comparable
        from nmfab.run.timing import timing_of

        settings = self.select(selector)
        units, absent = self.units(settings, cached=True)
        rows, missing, timings, releases = [], [], [], []
        for unit in units:
            scores, reason = unit.scores()
            if scores is None:
                missing.append((settings[unit.index], unit.dataset, unit.track, reason))
            else:
                rows.append((settings[unit.index], unit.dataset, unit.track, scores))
                timings.append(timing_of(unit) if self.timing else None)
                releases.append(unit.releases())
        for setting in settings:
            name = setting.parameters["dataset"]
            if name in absent:
                missing.append((setting, name, None, absent[name].reason))
        for unit in units[:1]:
            unit.tracks.flush()
        told = comparable(timings) if self.timing else (None, "")
        return Results(self.task, self.grid, settings, rows, missing, *told, absent, releases)

    def load(self, node, selector, track=None):
        """Return what one node of one setting gave for one track, as its readers are given it.

        Parameters
        ----------
        node : str
            ``"nmf.factorize"``, ``"features.bars"``, ...
        selector : str, dict or list
            Picks one setting; of several, the first that has the node.
        track : str, optional
            Its id; the first that has the artifact where None.

        Returns
        -------
        dict of ndarray, or what the node decodes of them
            The caller's own, to be changed at will.

        Raises
        ------
        UsageError
            If no such artifact has been computed.
        """
        from nmfab.run.seconds import with_own_curve

        for unit in self._units(selector, track, node):
            arrays = unit.stored(node)
            if arrays is not None:
                # the caller's own: those of the unit are shared, and cannot be changed
                own = {name: array.copy() for name, array in arrays.items()}
                own = with_own_curve(own, unit.provenance(node) or {})
                decode = unit.node(node).decode
                return own if decode is None else decode(own)
        raise UsageError(
            f"no artifact {node!r} of {selector!r} is in {self.cache / self.name}: compute it first"
        )

    def audio(self, selector, track=None):
        """Return the sound of the estimates of one setting on one track, made from what is kept.

        Parameters
        ----------
        selector : str, dict or list
            Picks one setting; of several, the first that has results.
        track : str, optional
            Its id; the first that has results where None.

        Returns
        -------
        dict
            ``samples`` [shape=(estimates, channels, samples), dtype=float32], ``sample_rate`` (Hz),
            ``names`` of the estimates.

        Raises
        ------
        UsageError
            If the task has no sound, or nothing has been computed.
        DataError
            If the track is not on this machine: its phase is needed.
        """
        for unit in self._units(selector, track):
            node = self.task.sound_node(unit.parameters)
            if node is None:
                raise UsageError(f"the estimates of task {self.task_name} have no sound")
            if unit.exists(unit.target):
                return unit.unsaved(node)
        raise UsageError(f"nothing of {selector!r} has been computed: compute it first")

    def path(self, node, selector, track=None):
        """Return the HDF5 file of an artifact that `load` would read (not of a small one)."""
        for unit in self._units(selector, track, node):
            if unit.exists(node):
                return unit.path(node)
        raise UsageError(f"no artifact {node!r} of {selector!r} has been computed")

    def removable(self, selector=None):
        """Return ``{(dataset, track): keys}`` of the artifacts that only the selection needs.

        What another setting of the plans reads too is kept.
        """
        from nmfab.run.removal import kept_keys

        chosen = self.select(selector)
        others = [setting for setting in self.grid.settings if setting not in chosen]
        mine, theirs = (kept_keys(self.units(s, cached=True)[0]) for s in (chosen, others))
        found = {place: keys - theirs.get(place, set()) for place, keys in mine.items()}
        return {place: keys for place, keys in found.items() if keys}

    def remove(self, keys):
        """Remove artifacts as `removable` names them; return their number and their bytes."""
        from nmfab.run.removal import remove

        return remove(self.context().store(), keys)

    def _units(self, selector, track, node=None):
        """Yield the units that may have an artifact, of a node where one is named."""
        units, _ = self.units(self.select(selector), cached=True)
        for unit in units:
            named = track is None or unit.track == track
            if named and unit.begun and (node is None or node in unit.graph.nodes):
                yield unit


def default_cache():
    """Return ``cache/`` of the checkout that nmfab runs from, or of the current folder."""
    if os.environ.get("NMFAB_CACHE"):
        return Path(os.environ["NMFAB_CACHE"])
    checkout = Path(__file__).resolve().parents[1]
    return (checkout if (checkout / "setup.cfg").is_file() else Path.cwd()) / "cache"
