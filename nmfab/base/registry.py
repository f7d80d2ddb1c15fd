"""Registries of components: built-in files, entry points of other packages, plug-in files."""

import ast
import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from nmfab.base.errors import NmfabError, UsageError


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
    """Return a component's version, or a digest of its sources where it declares none.

    A component without a version is under work: editing its file, or one that it imports from
    beside it, renews all that it computed.
    """
    if component.version is not None:
        return component.version
    total = hashlib.blake2b(digest_size=8)
    for path in sources_of(source_file(component)):
        total.update(hashlib.blake2b(path.read_bytes()).digest())
    return f"source {total.hexdigest()}"


def sources_of(path):
    """Return a file and the modules beside it that it imports, and that these import.

    Parameters
    ----------
    path : path
        A Python file: a plug-in, or a module of somebody's package. Modules of nmfab that it
        imports are not counted.

    Returns
    -------
    list of Path
        The file first, the others sorted.
    """
    path = Path(path).resolve()
    top = path.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    found, waiting = {path}, [path]
    while waiting:
        current = waiting.pop()
        for module in _imports(current, current.stat().st_mtime_ns):
            for root in {path.parent, top}:
                for file in _files_of(root, current, module):
                    if file not in found:
                        found.add(file)
                        waiting.append(file)
    return [path, *sorted(found - {path})]


def _files_of(root, current, module):
    """Return the files below `root` that importing a dotted name runs (dots in front: relative)."""
    name = module.lstrip(".")
    for _ in range(len(module) - len(name)):
        root, current = current.parent, current.parent
    parts = [part for part in name.split(".") if part]
    places = [root.joinpath(*parts[: depth + 1]) for depth in range(len(parts))]
    files = [file for place in places for file in (place / "__init__.py", _python(place))]
    return [file for file in files if file.is_file()]


def _python(place):
    return place.with_name(f"{place.name}.py")


@cache
def _imports(path, changed):
    """Return the dotted names that a file imports, in functions too."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ()
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            joint = "." if node.module else ""
            names += [module, *(f"{module}{joint}{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.partition(".")[0] != "nmfab")


@cache
def release(library):
    """Return the release of an installed library, such as ``"0.11.0"``, or None without it."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def releases(libraries):
    """Return what a key says of libraries that decide a result: ``{"library.librosa": "0.11.0"}``.

    Parameters
    ----------
    libraries : sequence of str
        Names under which they are installed (``"scikit-learn"``).
    """
    return {f"library.{name}": release(name) for name in libraries}


def load_plugin(path):
    """Import a user's file, so that its components join the registries.

    It may import modules that lie beside it.

    Raises
    ------
    UsageError
        If the file does not exist or cannot be imported, or imports a module from beside it whose
        name another file has taken.
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
        with _importing_from(path.parent):
            spec.loader.exec_module(module)
            taken = _import_beside(path)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        told = str(error) if isinstance(error, NmfabError) else repr(error)
        raise UsageError(f"plug-in {path} cannot be imported: {told}") from error
    if taken is not None:
        del sys.modules[name]
        raise UsageError(f"plug-in {path}: {taken}")
    return module


@contextmanager
def _importing_from(folder):
    """Let modules of a folder be imported, after all others; later none will come from there."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _import_beside(plugin):
    """Import what a plug-in's functions will from beside it; tell of a name that is taken."""
    beside = [path for path in sources_of(plugin)[1:] if path.is_relative_to(plugin.parent)]
    for path in beside:
        place = path.parent if path.name == "__init__.py" else path.with_suffix("")
        name = ".".join(place.relative_to(plugin.parent).parts)
        with suppress(Exception):  # the function that imports it will tell
            importlib.import_module(name)
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).resolve() != path:
            return f"{name} is {file} already: rename {path}"
    return None
