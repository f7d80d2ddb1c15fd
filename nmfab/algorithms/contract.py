"""The contract of an algorithm: what its file declares, and nothing about how it is run."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nmfab.base.errors import UsageError
from nmfab.base.kinds import Factorization, LowRank
from nmfab.base.registry import Registry

ALGORITHMS = Registry("algorithm", "nmfab.algorithms")

# Keywords that the frame fills by itself: they are no parameters of the algorithm's own.
RESERVED = ("beta", "n_iter", "fixed")
FORMS = ("matrix", "channels", "bars", "mixture", "views")


@dataclass(frozen=True)
class Algorithm:
    """An algorithm and what it declares of itself; see `algorithm`."""

    name: str
    function: Callable[..., Any]
    version: int | None = None
    gives: type = LowRank
    takes: str = "matrix"
    arrays: str = "numpy"
    betas: Sequence[float] | None = None
    shown_beta: float | None = None
    stops: str = "frame"
    batch: Sequence[str] = ()
    skip: Callable[..., str | None] | None = None
    start: Callable[..., Any] | None = None
    monotone: bool = True
    libraries: Sequence[str] = ()

    @cached_property
    def defaults(self):
        """Keyword parameters and their defaults, ``beta`` included where the function takes it."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @cached_property
    def own(self):
        """The algorithm's own parameters, each of which can be a factor (``NAME.param``)."""
        return {name: value for name, value in self.defaults.items() if name not in RESERVED}

    @property
    def plain(self):
        """Whether the function is given W and H rather than a model."""
        return self.gives is LowRank

    @property
    def reads_beta(self):
        """Whether the setting's beta is read."""
        return self.shown_beta is None


def algorithm(
    name,
    *,
    version=None,
    gives=LowRank,
    takes="matrix",
    arrays="numpy",
    betas=None,
    shown_beta=None,
    stops="frame",
    batch=(),
    skip=None,
    start=None,
    monotone=True,
    libraries=(),
):
    """Register a generator function as an algorithm.

    The function is called ``function(V, W, H, *, beta=..., ...)`` and yields ``W, H`` (or
    ``W, H, objective``) after each iteration, H having been updated before W. With a kind of
    factorization of its own (`gives`) it is called ``function(V, model, *, beta=..., ...)`` and
    yields the model, or ``(model, objective)``. The frame around it draws the start, divides V by
    its mean, counts, measures, stops and checks.

    An algorithm that takes the keyword ``fixed`` can be given templates: it then holds those of
    its first ``fixed`` components, which may be all, and moves the others.

    Parameters
    ----------
    name : str
        The modality of the factor ``algorithm``.
    version : int, optional
        Counts changes that alter results. Without one, the file's source stands in its place, so
        that an edited plug-in runs again.
    gives : type
        The kind of factorization that is yielded, a subclass of `nmfab.base.kinds.Factorization`.
        Every kind but `LowRank`, the plain W·H, needs a `start`.
    takes : {"matrix", "channels", "bars", "mixture", "views"}
        The form of V: an m × n matrix; m × n × channels; m × instants × bars; a complex spectrum
        m × n × channels; several named matrices.
    arrays : {"numpy", "torch"}
        What V and the model hold; torch tensors lie on the device in use.
    betas : sequence of float, optional
        The values of beta that the algorithm can minimize; any real where None. A function without
        a keyword ``beta`` must say which, or give `shown_beta`.
    shown_beta : float, optional
        For a model that reads no beta: the one at which its divergence is shown.
    stops : {"frame", "self"}
        ``"self"``: the function takes the keyword ``n_iter`` and yields once, after that many.
    batch : sequence of str
        Parameters whose settings may share one call: W and H then have a leading dimension, and a
        batched ``beta`` is an array of that length. For the plain kind alone.
    skip : callable, optional
        ``skip(params)`` returns why a setting cannot be computed, or None.
    start : callable, optional
        ``start(problem)`` draws a start of the algorithm's own from a
        `nmfab.algorithms.problem.Problem`: a model of the kind that is given, or a pair W, H. Its
        seconds count as the algorithm's.
    monotone : bool
        Whether the objective (the divergence, where none is yielded) never rises, which the
        conformance suite then holds.
    libraries : sequence of str
        Packages whose release decides the result: it is part of the key.

    Raises
    ------
    UsageError
        If the declaration contradicts the function.
    """

    def register(function):
        declared = Algorithm(
            name, function, version, gives, takes, arrays, betas, shown_beta, stops, tuple(batch),
            skip, start, monotone, tuple(libraries),
        )  # fmt: skip
        reason = _contradiction(declared)
        if reason:
            raise UsageError(f"algorithm {name}: {reason}")
        ALGORITHMS.add(name, declared)
        return function

    return register


def _contradiction(declared):
    """Return how a declaration contradicts the function, or None."""
    betas = declared.betas is None and declared.shown_beta is None
    checks = (
        _signature(declared),
        declared.arrays not in ("numpy", "torch")
        and f"arrays is 'numpy' or 'torch', not {declared.arrays!r}",
        declared.stops not in ("frame", "self")
        and f"stops is 'frame' or 'self', not {declared.stops!r}",
        declared.takes not in FORMS
        and f"takes is one of {', '.join(FORMS)}, not {declared.takes!r}",
        betas
        and "beta" not in declared.defaults
        and "take beta as a keyword, or say which values it minimizes: betas=(2,)",
        not declared.reads_beta
        and "beta" in declared.defaults
        and "a model that reads no beta (shown_beta) takes no keyword beta",
        declared.stops == "self"
        and "n_iter" not in declared.defaults
        and "stops='self' needs the keyword n_iter",
        _kind(declared),
    )
    return next((reason for reason in checks if reason), None)


def _signature(declared):
    """Return what is wrong with the parameters before the asterisk, or None."""
    wanted = ("V", "W", "H") if declared.plain else ("V", "model")
    parameters = inspect.signature(declared.function).parameters.values()
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) > len(wanted):
        more = ", ".join(positional[len(wanted) :])
        return f"write an asterisk before {more}: f({', '.join(wanted)}, *, {more}=...)"
    if len(positional) < len(wanted):
        return f"the function takes {', '.join(wanted)}, then keywords"
    for name, default in declared.own.items():
        if default is inspect.Parameter.empty:
            return f"the parameter {name} needs a default: {name}=..."
    return None


def _kind(declared):
    """Return what is wrong with the kind of factorization, or None."""
    gives = declared.gives
    if not (isinstance(gives, type) and issubclass(gives, Factorization)):
        return "gives is a subclass of nmfab.base.kinds.Factorization"
    if not gives.name:
        return f"make {gives.__name__} known: @kind('NAME') above the dataclass"
    if not declared.plain and declared.start is None:
        return f"the kind {gives.name} has no usual start: give start=..."
    if declared.plain and declared.takes != "matrix" and declared.start is None:
        return f"V of the form {declared.takes} has no usual start: give start=..."
    if not declared.plain and declared.batch:
        return f"the kind {gives.name} cannot share a call: leave out batch"
    return None
