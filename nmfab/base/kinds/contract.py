"""The contract of a kind of factorization: what algorithms yield and everything later reads."""

from dataclasses import fields
from typing import ClassVar

import numpy as np

from nmfab.base.errors import ComputationError, UsageError
from nmfab.base.registry import Registry

KINDS = Registry("kind of factorization", "nmfab.base.kinds")

# At the root of an artifact, beside the kind's own arrays.
CURVE = ("iteration", "seconds", "loss", "kkt", "objective")
_EXTRA = "extra."
_TUPLE, _DICT = ".", ":"


class Factorization:
    """A model of V: an object with named arrays and the methods that tasks call.

    A subclass is a dataclass of its arrays (real, complex or integer), or of tuples or dicts of
    arrays, made known by `kind`. Its methods work on NumPy arrays and, while an algorithm runs, on
    torch tensors. A field is called ``W`` or ``H`` only where it is what `templates` or
    `activations` returns.

    A kind may have four more methods: ``groups()``, the source that each component belongs to
    by construction (no grouping step runs then); ``pitches()``, the MIDI number of each component
    (no naming step runs then); ``separate(X, groups)``, the images of the sources in a complex
    spectrogram X [shape=(m, n, channels)], used in the place of masks; ``panning()``, the gains of
    each component [shape=(channels, rank)], each column adding up to 1, which grouping by panning
    reads.

    Attributes
    ----------
    name : str
        The kind.
    version : int or None
        Enters the key of every node that calls the kind's methods.
    signed : tuple of str
        Fields that may hold negative or complex numbers; all others are nonnegative.
    spreads : bool
        Whether what begins in one frame sounds in others: a silent frame behind it is not silent
        in the model.
    curve : dict of ndarray
        ``iteration``, ``seconds``, ``loss``, ``kkt`` and, where the algorithm yields one,
        ``objective``: one entry for each point that was measured.
    stopped : str
        Why the run ended.
    filled : int
        Components that the start had to draw at random.
    scale : float, or dict of float for views
        The number that V was divided by.
    batch : int
        How many problems shared the run; the seconds of `curve` are those of all of them.
    extra : dict of ndarray
        What no task reads (the absolute weight of a penalty, for instance).
    """

    name: ClassVar[str] = ""
    version: ClassVar[int | None] = None
    signed: ClassVar[tuple[str, ...]] = ()
    spreads: ClassVar[bool] = False
    curve = None
    stopped = ""
    filled = 0
    scale = 1.0
    batch = 1
    extra = None

    def reconstruction(self):
        """Return the model of V, in V's form (a dict for views)."""
        raise self._lacks("reconstruction")

    def grouped(self, groups, n_groups, frames=slice(None)):
        """Return the sums of the components of each group, at some of the frames.

        Parameters
        ----------
        groups : array of int [shape=(rank,)]
            The group of each component, −1 for none.
        n_groups : int
            Number of groups.
        frames : slice
            The frames wanted.

        Returns
        -------
        array [shape=(n_groups, m, frames, ...)]
            In V's form behind the first axis; zero for a group without components.
        """
        raise self._lacks("grouped")

    def templates(self):
        """Return one spectrum per component, array [shape=(m, rank)]."""
        raise self._lacks("templates")

    def activations(self):
        """Return the activations, array [shape=(rank, n)]."""
        raise self._lacks("activations")

    def scaled(self, factors, fixed=None):
        """Return the model with its reconstruction multiplied by a number.

        Parameters
        ----------
        factors : float, or dict of float for views
            What the reconstruction is multiplied by.
        fixed : array, optional
            Templates as they were given, before they were divided by their mean: the first
            components get exactly these, and activations are scaled in the place of templates.
        """
        raise self._lacks("scaled")

    def _lacks(self, method):
        return ComputationError(f"{type(self).__name__} has no method {method}: write one")

    @property
    def rank(self):
        """The number of activations that a task sees."""
        return len(self.activations())

    def component(self, k):
        """Return what component k adds to the reconstruction, in V's form."""
        groups = np.full(self.rank, -1)
        groups[k] = 0
        return self.grouped(groups, 1)[0]

    def arrays(self):
        """Return the kind's own arrays by name.

        An array is named as its field, those of a tuple are ``FIELD.0``, ``FIELD.1``, ..., those of
        a dict ``FIELD:0:NAME`` and so on: a file does not keep their order.
        """
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            entries = _entries(value)
            if entries is None:
                found[field.name] = value
            else:
                found |= {f"{field.name}{entry}": array for entry, array in entries.items()}
        return found

    def mapped(self, function):
        """Return the same kind with `function` applied to each of its arrays."""
        values = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, dict):
                values[field.name] = {entry: function(array) for entry, array in value.items()}
            elif isinstance(value, (tuple, list)):
                values[field.name] = tuple(map(function, value))
            else:
                values[field.name] = function(value)
        return self._described(type(self)(**values))

    def _described(self, other):
        """Return another factorization with what the frame wrote about this one."""
        for name in ("curve", "stopped", "filled", "scale", "batch", "extra"):
            setattr(other, name, getattr(self, name))
        return other


def kind(name, *, version=None):
    """Register a dataclass, a subclass of `Factorization`, as a kind.

    Parameters
    ----------
    name : str
        Stored with every artifact of the kind.
    version : int, optional
        Counts changes of its methods that alter results. Without one, the file's source stands in
        its place, so that what depends on an edited plug-in is computed again.

    Raises
    ------
    UsageError
        If it is no subclass of `Factorization`.
    """

    def register(cls):
        if not (isinstance(cls, type) and issubclass(cls, Factorization)):
            raise UsageError(f"kind {name}: derive the class from nmfab.base.kinds.Factorization")
        cls.name, cls.version = name, version
        return KINDS.add(name, cls)

    return register


def has(cls, method):
    """Tell whether a kind defines a method of the contract."""
    return getattr(cls, method, None) is not getattr(Factorization, method, None)


def stored(model):
    """Return a factorization as the arrays of an artifact, on the host.

    ``W`` and ``H`` are among them for every kind that has templates and activations.
    """
    arrays = dict(model.arrays())
    for name, method in (("W", "templates"), ("H", "activations")):
        if name not in arrays and has(type(model), method):
            arrays[name] = getattr(model, method)()
    arrays |= {f"{_EXTRA}{name}": value for name, value in (model.extra or {}).items()}
    about = {"kind": model.name, "stopped": model.stopped, "filled": model.filled}
    about |= {"batch": model.batch}
    scale = model.scale
    about |= (
        {f"scale.{view}": value for view, value in scale.items()}
        if isinstance(scale, dict)
        else {"scale": scale}
    )
    return arrays | dict(model.curve or {}) | about


def restored(arrays):
    """Return the factorization that `stored` gave the arrays of.

    Where its kind is not registered here (a plug-in that was not loaded) the arrays come back as
    they are.
    """
    name = str(arrays["kind"])
    if name not in KINDS:
        return dict(arrays)
    cls = KINDS[name]
    values = {field.name: _field(arrays, field.name) for field in fields(cls)}
    model = cls(**values)
    model.curve = {name: arrays[name] for name in CURVE if name in arrays}
    model.stopped, model.filled = str(arrays["stopped"]), int(arrays["filled"])
    model.batch = int(arrays["batch"])
    views = {n.removeprefix("scale."): float(v) for n, v in arrays.items() if n[:6] == "scale."}
    model.scale = views or float(arrays["scale"])
    extra = {n.removeprefix(_EXTRA): v for n, v in arrays.items() if n.startswith(_EXTRA)}
    model.extra = extra or None
    return model


def _entries(value):
    """Return the arrays of a tuple or dict by what follows the field's name, or None."""
    if isinstance(value, dict):
        named = enumerate(value.items())
        return {f"{_DICT}{place}{_DICT}{name}": array for place, (name, array) in named}
    if isinstance(value, (tuple, list)):
        return {f"{_TUPLE}{place}": array for place, array in enumerate(value)}
    return None


def _field(arrays, name):
    """Return a field's array, or its tuple or dict of arrays."""
    if name in arrays:
        return arrays[name]
    named = _under(arrays, f"{name}{_DICT}")
    if named:
        in_order = sorted(named, key=lambda entry: int(entry.partition(_DICT)[0]))
        return {entry.partition(_DICT)[2]: named[entry] for entry in in_order}
    placed = _under(arrays, f"{name}{_TUPLE}")
    return tuple(placed[str(place)] for place in range(len(placed)))


def _under(arrays, head):
    return {key.removeprefix(head): value for key, value in arrays.items() if key.startswith(head)}


def field_of(name):
    """Return the field that an array of `Factorization.arrays` belongs to."""
    return name.partition(_DICT)[0].partition(_TUPLE)[0]
