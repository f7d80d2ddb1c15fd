"""nmfab: a benchmark of nonnegative matrix factorization on audio."""

import importlib

__version__ = "0.1.0.dev0"

_HOMES = {  # imported when first asked for, so that `import nmfab` stays light
    "Experiment": "nmfab.experiment",
    "ALGORITHMS": "nmfab.algorithms",
    "Factorization": "nmfab.base.kinds",
    "algorithm": "nmfab.algorithms",
    "dataset": "nmfab.datasets",
    "factorize": "nmfab.algorithms.function",
    "feature": "nmfab.features",
    "kind": "nmfab.base.kinds",
    "task": "nmfab.tasks",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nmfab' has no attribute {name!r}")
