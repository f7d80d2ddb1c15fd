"""What stands beside the arrays of an artifact, so that a stranger knows how they came to be."""

from nmfab.base import registry
from nmfab.base.resources import current_resources

_LIBRARIES = (
    *("numpy", "scipy", "torch", "scikit-learn", "nn_fac", "tensorly", "numba"),
    *("av", "soxr", "librosa", "mir_eval", "museval"),
)


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


def libraries():
    """Return the releases of nmfab and of the libraries that its results come from."""
    found = {name: registry.release(name) for name in ("nmfab", *_LIBRARIES)}
    return {name: release for name, release in found.items() if release is not None}
