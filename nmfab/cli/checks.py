"""``nmfab check``: the checks of every component that a file registers."""

from pathlib import Path
from typing import NamedTuple

from nmfab.base.errors import UsageError
from nmfab.base.registry import load_plugin, source_file


class Verdict(NamedTuple):
    """What one check of one component gave; `passed` is None where it asserted nothing."""

    component: str
    check: str
    passed: bool | None
    detail: str


def check_file(path, data=()):
    """Run the checks on all that a plug-in file registers.

    Parameters
    ----------
    path : path
        A Python file.
    data : sequence of path
        Folders in which its datasets are looked for first.

    Yields
    ------
    Verdict

    Raises
    ------
    UsageError
        If the file cannot be imported or registers nothing that can be checked.
    """
    from nmfab.algorithms import ALGORITHMS, conformance
    from nmfab.datasets import DATASETS
    from nmfab.datasets import conformance as of_datasets
    from nmfab.datasets.contract import data_roots
    from nmfab.postprocessing import STEPS
    from nmfab.tasks import conformance as of_steps

    load_plugin(path)
    algorithms, datasets = _brought(ALGORITHMS, path), _brought(DATASETS, path)
    steps = _brought(STEPS, path)
    if not algorithms and not datasets and not steps:
        raise UsageError(
            f"{path} registers nothing to check: decorate a function with @algorithm or @step, or "
            "a class with @dataset"
        )
    for one in algorithms:
        for result in conformance.check(one):
            yield Verdict(one.name, result.name, result.passed, result.detail)
    for one in datasets:
        for result in of_datasets.check(one, data_roots(data)):
            yield Verdict(one.name, *result)
    for one in steps:
        for result in of_steps.check(one):
            yield Verdict(one.name, *result)


def _brought(registry, path):
    place = Path(path).resolve()
    known = [registry[name] for name in registry.names()]
    return [one for one in known if Path(source_file(one)).resolve() == place]
