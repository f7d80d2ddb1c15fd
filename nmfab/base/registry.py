"""Registries of components: built-in files, entry points of other packages, plug-in files."""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from importlib.metadata import entry_points
from pathlib import Path

from nmfab.base.errors import UsageError


class Registry:
    """Components of one kind by name.

    Built-in components are the modules of the package ``nmfab.<room>``, imported at the first
    look-up; other packages join through the entry point group of the same name, and a single file
    through `load_plugin`.

    Parameters
    ----------
    kind : str
        Singular word used in messages, e.g. ``"algorithm"``.
    room : str
        Package that holds the built-in components, e.g. ``"nmfab.algorithms"``; also the name of
        the entry point group.
    """

    def __init__(self, kind, room):
        self.kind = kind
        self.room = room
        self._components = {}
        self._loaded = False

    def add(self, name, component):
        """Register `component` under `name`; a name that is taken by another file is refused."""
        known = self._components.get(name)
        if known is not None and source_file(known) != source_file(component):
            raise UsageError(
                f"{self.kind} {name!r} of {source_file(component)} is already the name of the one "
                f"in {source_file(known)}: choose another"
            )
        self._components[name] = component
        return component

    def names(self):
        """Return the registered names, sorted."""
        self._load()
        return sorted(self._components)

    def __contains__(self, name):
        self._load()
        return name in self._components

    def __getitem__(self, name):
        """Return a component, or raise UsageError naming the nearest one."""
        self._load()
        if name not in self._components:
            raise UsageError(unknown(self.kind, name, self.names()))
        return self._components[name]

    def _load(self):
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.room)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.room}.{module.name}")
        for point in entry_points(group=self.room):
            point.load()


def unknown(kind, name, existing):
    """Return the one-line message for a name that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(str(name), [str(item) for item in existing], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}: there are {', '.join(map(str, existing))}{hint}"


def source_file(component):
    """Return the file that defines a component (the object, or what it wraps)."""
    target = getattr(component, "function", component)
    target = target if inspect.isclass(target) or inspect.isroutine(target) else type(target)
    return inspect.getsourcefile(inspect.unwrap(target))


def version_of(component):
    """Return a component's version, or a digest of its file where it declares none.

    A component without a version is under work: editing its file renews all that it computed.
    """
    if component.version is not None:
        return component.version
    text = Path(source_file(component)).read_bytes()
    return f"source {hashlib.blake2b(text, digest_size=8).hexdigest()}"


def load_plugin(path):
    """Import a user's file, so that its components join the registries.

    Raises
    ------
    UsageError
        If the file does not exist or cannot be imported.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise UsageError(f"plug-in {path} does not exist")
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return module
    place = hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()
    name = f"nmfab_plugin_{path.stem}_{place}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise UsageError(f"plug-in {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"plug-in {path} cannot be imported: {error!r}") from error
    return module
