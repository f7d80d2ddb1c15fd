"""What stands beside the arrays of an artifact, so that a stranger knows how they came to be."""

import importlib.metadata
from functools import cache

from nmfab.base.resources import current_resources

_LIBRARIES = ("numpy", "scipy", "torch", "scikit-learn", "nn_fac", "librosa", "mir_eval", "museval")


def provenance(recipe, seconds, batch):
    """Return the provenance of what was computed just now; the store adds place, host and time.

    Parameters
    ----------
    recipe : mapping
        All that the key is made of.
    seconds : float
        The artifact's share of the wall time of its call.
    batch : int
        How many artifacts shared that call.
    """
    resources = current_resources()
    return {
        "recipe": recipe,
        "seconds": seconds,
        "batch": batch,
        "device": resources.device,
        "threads": resources.threads,
        "libraries": libraries(),
    }


@cache
def libraries():
    """Return the versions of nmfab and of the libraries that its results come from."""
    found = {}
    for name in ("nmfab", *_LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
