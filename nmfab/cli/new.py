"""``nmfab new``: a commented file to begin a component from."""

import importlib.util
import keyword
from importlib import resources
from pathlib import Path

from nmfab.base.errors import UsageError

WHAT = ("algorithm", "dataset", "step")


def write(what, name, folder="."):
    """Write a component that passes ``nmfab check`` as it stands.

    Parameters
    ----------
    what : str
        One of `WHAT`.
    name : str
        Name of the component and of its file.
    folder : path
        Where the file goes.

    Returns
    -------
    Path
        The file ``NAME.py``.

    Raises
    ------
    UsageError
        If the name is no Python identifier, is taken, or the file exists or cannot be written.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} cannot be a name: use letters, digits and _, as in my_{what}")
    if _exists(what, name):
        raise UsageError(f"{what} {name!r} exists: choose another name")
    path = Path(folder) / f"{name}.py"
    if path.exists():
        raise UsageError(f"{path} exists: choose another name, or remove it first")
    module = importlib.util.find_spec(name)
    if module is not None and module.origin is not None:  # a mere folder hides nothing
        raise UsageError(
            f"{name!r} is a Python module, which {path.name} would hide: choose another"
        )
    template = resources.files("nmfab.cli") / "templates" / f"{what}.txt"
    text = template.read_text(encoding="utf-8").replace("NAME", name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _exists(what, name):
    """Tell whether a component has the name: its parameters would be mixed up."""
    from nmfab.algorithms import ALGORITHMS
    from nmfab.datasets import DATASETS
    from nmfab.postprocessing import STEPS

    if what == "dataset":
        return name in DATASETS
    return name in ALGORITHMS if what == "algorithm" else bool(STEPS.named(name))
