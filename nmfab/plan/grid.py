"""Plans, factors and settings: each plan expanded alone, and their settings united."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

from nmfab.base.errors import NmfabError
from nmfab.base.values import canonical, canonical_json
from nmfab.plan.factors import Checker, holds, identity, override, token
from nmfab.plan.selection import selected
from nmfab.plan.selector import format_terms


@dataclass(frozen=True, eq=False)
class Setting:
    """One modality per factor, for the factors that are read.

    Two settings are equal where their values and parameters are, whatever plan they come from.

    Attributes
    ----------
    values : dict
        Factor and modality; a factor that the setting does not read is left out.
    parameters : dict
        Every parameter: the task's defaults, the fixed ones over them, `values` over those.
    plans : tuple of str
        The plans that the setting belongs to.
    kind : str
        ``"baseline"``, ``"oracle"``, or empty for an ordinary setting.
    """

    values: dict
    parameters: dict
    plans: tuple[str, ...] = ()
    kind: str = ""

    @cached_property
    def text(self):
        """One line, which is also a selector: ``dataset=demo,algorithm=torch_mu,beta=1``."""
        return format_terms(self.values)

    @cached_property
    def _identity(self):
        return canonical_json([self.values, self.parameters])

    def __eq__(self, other):
        return isinstance(other, Setting) and self._identity == other._identity

    def __hash__(self):
        return hash(self._identity)

    def __str__(self):
        return self.text


@dataclass(frozen=True)
class LeftOut:
    """A combination of a plan that cannot be computed, and why."""

    values: dict
    reason: str
    plan: str


class Grid:
    """The settings of one or several plans of a task.

    Parameters
    ----------
    task : Task
    plans : mapping
        Name of each plan, and its factors with their modalities.
    fixed : mapping, optional
        Parameters that have one value throughout.
    overrides : mapping, optional
        What the command line sets: name and modalities. A factor has its modalities replaced;
        elsewhere one modality is a fixed parameter, and several are a factor of every plan.

    Attributes
    ----------
    plans : dict
        Name of each plan and its factors, in canonical form.
    fixed : dict
        Fixed parameters, in canonical form.
    settings : list of Setting
        In the order of the plans; equal settings are one.
    left_out : list of LeftOut
        Combinations that cannot be computed.
    factors : dict
        Factor and its modalities, in order of appearance.

    Raises
    ------
    UsageError
        If a name or value does not exist.
    """

    def __init__(self, task, plans, fixed=None, overrides=None):
        self.task = task
        plans, fixed = override(plans, fixed or {}, overrides or {})
        check = Checker(task)
        self.fixed = {name: check.value(name, value) for name, value in fixed.items()}
        self.plans = {
            name: check.plan(name, factors, self.fixed) for name, factors in plans.items()
        }
        self._names = list(dict.fromkeys(name for plan in self.plans.values() for name in plan))
        found = self._expand()
        self.factors = self._gather(found)
        self.settings = list(found.values())

    def select(self, selector=None):
        """Return the settings that a selector picks, in the order of the grid.

        A setting that does not read a factor matches a selector that names it where its plan has
        the factor (a deterministic start is kept by ``seed=3``: it is what seed 3 gives), and
        always where it is a baseline or an oracle.

        Parameters
        ----------
        selector : None, str, mapping, list
            See `nmfab.plan.selector`.

        Returns
        -------
        list of Setting

        Raises
        ------
        UsageError
            If a plan, factor or modality does not exist, or nothing is selected.
        """
        return selected(self, selector)

    def varying(self, settings=None):
        """Return the factors that tell settings apart: the columns of a table.

        Factors with one modality are not among them, unless only baselines or oracles have them.
        Where settings would look alike, the factors that some of them lack are added.
        """
        settings = self.settings if settings is None else settings
        ordinary = any(not s.kind for s in settings)
        columns, single = set(), []
        for name in self.factors:
            having = [s for s in settings if name in s.values]
            count = len({token(s.values[name]) for s in having})
            names_marked = ordinary and having and all(s.kind for s in having)
            if count > 1 or names_marked:
                columns.add(name)
            elif 0 < len(having) < len(settings):
                single.append(name)
        while single and _alike(settings, columns):
            columns.add(single.pop(0))
        return [name for name in self.factors if name in columns]

    def constant(self, settings=None):
        """Return the factors that have one modality in all these settings, with that modality."""
        settings = self.settings if settings is None else settings
        columns = self.varying(settings)
        found = {}
        for name in self.factors:
            having = [s for s in settings if name in s.values]
            if having and name not in columns:
                found[name] = having[0].values[name]
        return found

    # Expansion

    def _expand(self):
        """Return identity → Setting, and fill `left_out`."""
        defaults = {name: canonical(p.default) for name, p in self.task.params.items()}
        base = {**defaults, **self.fixed}
        found, self.left_out, left = {}, [], set()
        for plan, factors in self.plans.items():
            for modalities in product(*factors.values()):
                chosen = dict(zip(factors, modalities, strict=True))
                parameters = {**base, **chosen}
                reason = self.task.skip(parameters)
                if reason is not None:
                    item = LeftOut(self._values(parameters, base, chosen, skip=True), reason, plan)
                    key = (identity(item.values), reason)
                    if key not in left:
                        left.add(key)
                        self.left_out.append(item)
                    continue
                self._add(found, plan, parameters, base)
        return found

    def _add(self, found, plan, parameters, base):
        values = self._values(parameters, base)
        key = identity(values)
        known = found.get(key)
        if known is None:
            full = {**base, **values}
            found[key] = Setting(values, full, (plan,), self.task.kind(full))
        elif plan not in known.plans:
            found[key] = Setting(known.values, known.parameters, (*known.plans, plan), known.kind)

    def _values(self, parameters, base, chosen=None, skip=False):
        """Return the factors that a combination reads, with their modalities."""
        try:
            read = self._reads(parameters, base)
        except NmfabError:
            if not skip:
                raise
            read = set(chosen)  # what cannot be computed need not have nodes
        return {name: parameters[name] for name in self._names if name in read}

    def _reads(self, parameters, base):
        nodes = _signature(self.task.nodes(parameters))
        read = {"dataset"}.union(*(params for _, params, _, _ in nodes))
        # A factor that no node names may still decide which nodes there are.
        silent = [n for n in self._names if n not in read and parameters.get(n) != base.get(n)]
        if silent and not self._same_nodes(parameters, base, silent, nodes):
            deciding = [n for n in silent if not self._same_nodes(parameters, base, [n], nodes)]
            read.update(deciding or silent)
        return read.intersection(parameters)

    def _same_nodes(self, parameters, base, names, nodes):
        changed = {name: value for name, value in parameters.items() if name not in names}
        changed.update((name, base[name]) for name in names if name in base)
        try:
            return _signature(self.task.nodes(changed)) == nodes
        except NmfabError:
            return False

    def _gather(self, found):
        factors = {name: [] for name in self._names}
        for plan in self.plans.values():
            for name, modalities in plan.items():
                factors[name].extend(m for m in modalities if not holds(factors[name], m))
        for setting in found.values():  # a plan may read at its default what another one varies
            for name, value in setting.values.items():
                if not holds(factors[name], value):
                    factors[name].append(value)
        return factors


def _signature(nodes):
    return [(n.name, dict(n.params), tuple(n.inputs), dict(n.versions)) for n in nodes]


def _alike(settings, columns):
    shown = {identity({n: v for n, v in s.values.items() if n in columns}) for s in settings}
    return len(shown) < len(settings)
