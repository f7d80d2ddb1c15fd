"""Factors of a plan: which names and values exist, and what the command line overrides."""

from collections.abc import Mapping

from nmfab.algorithms import ALGORITHMS
from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown
from nmfab.base.values import canonical, canonical_json, same
from nmfab.datasets import DATASETS
from nmfab.features import FEATURES
from nmfab.postprocessing import STEPS


class Checker:
    """Tells which names and values a task knows.

    Parameters
    ----------
    task : Task
        Declares the parameters.
    """

    def __init__(self, task):
        self.task = task

    def plan(self, plan, factors, fixed):
        """Return the factors of a plan with their modalities in canonical form, each once.

        Raises
        ------
        UsageError
            If a name or value does not exist, or there is no dataset.
        """
        if not isinstance(plan, str) or not plan or "/" in plan:
            raise UsageError(f"plan {plan!r}: a name without '/' is needed")
        checked = {}
        for name, modalities in factors.items():
            found = []
            for value in _listed(modalities):
                value = self.value(name, value)
                if not holds(found, value):
                    found.append(value)
            if not found:
                raise UsageError(f"plan {plan}: factor {name} has no modality")
            checked[name] = found
        if "dataset" not in {**checked, **self.task.params, **fixed}:
            raise UsageError(f"plan {plan} names no dataset: add dataset=[...]")
        return checked

    def value(self, name, value):
        """Return a value in canonical form.

        Raises
        ------
        UsageError
            If the parameter or the value does not exist.
        """
        params = self.task.params
        if name != "dataset" and name not in params and not _is_component_param(name):
            raise UsageError(unknown("factor or parameter", name, {"dataset": None, **params}))
        value = canonical(value)
        if name == "dataset":
            DATASETS[value]
        choices = getattr(params.get(name), "choices", None)
        if choices is not None and not holds([canonical(c) for c in choices], value):
            raise UsageError(unknown(f"modality of {name}", value, choices))
        if choices is None and name in params and not _fits(params[name], value):
            raise UsageError(f"{name}={value}: a number is needed, as in {params[name].default}")
        return value


def _fits(param, value):
    """Tell whether a value can stand where the default is a number; null always can."""
    is_number = [type(v) in (int, float) for v in (canonical(param.default), value)]
    return not is_number[0] or is_number[1] or value is None or param.text


def override(plans, fixed, overrides):
    """Put what the command line sets into plans and fixed parameters.

    A factor has its modalities replaced; elsewhere one modality is a fixed parameter, and several
    are a factor of every plan.

    Returns
    -------
    plans, fixed : dict
    """
    plans = {name: dict(factors) for name, factors in plans.items()}
    fixed = dict(fixed)
    for name, modalities in overrides.items():
        modalities = _listed(modalities)
        for factors in plans.values():
            if name in factors or len(modalities) > 1:
                factors[name] = modalities
        if len(modalities) == 1:
            fixed[name] = modalities[0]
    return plans, fixed


def _listed(modalities):
    single = isinstance(modalities, (str, Mapping)) or not hasattr(modalities, "__iter__")
    return [modalities] if single else list(modalities)


def _is_component_param(name):
    """Tell whether ``NAME.param`` names a parameter of an algorithm, a feature or a step."""
    component, dot, param = name.partition(".")
    if not dot:
        return False
    found = [registry[component] for registry in (ALGORITHMS, FEATURES) if component in registry]
    found += STEPS.named(component)
    known = [key for each in found for key in each.defaults]
    if found and param not in known:
        raise UsageError(unknown(f"parameter of {component}", param, known))
    return bool(found)


def holds(modalities, value):
    """Tell whether `value` is one of `modalities` (1 is 1.0, and is not true)."""
    return any(same(value, known) for known in modalities)


def token(value):
    """Return a hashable that is equal for the same modalities only (1 is not true)."""
    scalar = value is None or isinstance(value, (bool, int, float, str))
    return (type(value), value) if scalar else canonical_json(value)


def identity(values):
    """Return a hashable for a dict of modalities."""
    return tuple((name, token(value)) for name, value in values.items())
