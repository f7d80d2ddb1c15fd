"""The contract of an algorithm: what its file declares, and nothing about how it is run."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from nmfab.base.errors import UsageError
from nmfab.base.registry import Registry

ALGORITHMS = Registry("algorithm", "nmfab.algorithms")

# Keywords that the frame fills by itself: they are no parameters of the algorithm's own.
RESERVED = ("beta", "n_iter", "fixed")


@dataclass(frozen=True)
class Problem:
    """What an algorithm's own `start` is given.

    Attributes
    ----------
    V : ndarray [shape=(m, n)], or whatever the model takes (a dict of arrays)
        Divided by its mean, read-only.
    beta : float
        The β of the divergence.
    frequencies : ndarray [shape=(m,)] or None
        Hz, of V's rows.
    templates : ndarray [shape=(m, rank)] or None
        Templates that are held fixed.
    """

    V: Any
    beta: float
    frequencies: Any = None
    templates: Any = None


class Factorization:
    """What a model that is more than V ≈ W·H yields; a subclass is a dataclass of its arrays.

    `reconstruction` is obligatory. ``templates()`` [shape=(m, rank)], ``activations()``
    [shape=(rank, n)] and ``component(k)`` are what a task may need besides: the plan leaves out a
    task that needs one that `kind` (see `algorithm`) does not have.
    """

    def reconstruction(self):
        """Return the model's approximation of V, in V's own form."""
        raise NotImplementedError

    def arrays(self):
        """Return the named arrays that are stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Algorithm:
    """An algorithm and what it declares of itself; see `algorithm`."""

    name: str
    function: Callable[..., Any]
    version: int | None
    arrays: str
    betas: Sequence[float] | None
    stops: str
    batch: Sequence[str]
    skip: Callable[..., str | None] | None
    start: Callable[..., Any] | None
    absent: Mapping[str, Any]
    kind: type | None = None
    monotone: bool = True

    @cached_property
    def defaults(self):
        """Keyword parameters and their defaults, ``beta`` included where the function takes it."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @cached_property
    def own(self):
        """The algorithm's own parameters, each of which can be a factor (``NAME.param``)."""
        return {name: value for name, value in self.defaults.items() if name not in RESERVED}


def algorithm(
    name,
    *,
    version=None,
    arrays="numpy",
    betas=None,
    stops="frame",
    batch=(),
    skip=None,
    start=None,
    absent=None,
    kind=None,
    monotone=True,
):
    """Register a generator function as an algorithm.

    The function is called ``function(V, W, H, *, beta=..., ...)`` and yields ``W, H`` (or
    ``W, H, loss``) after each iteration, H having been updated before W. The frame around it draws
    the start, divides V by its mean, counts, measures, stops and checks. An algorithm that takes
    the keyword ``fixed`` can hold templates: the first ``fixed`` columns of W stay as given.

    Parameters
    ----------
    name : str
        The modality of the factor ``algorithm``.
    version : int, optional
        Counts changes that alter results. Without one, the file's source stands in its place, so
        that an edited plug-in runs again.
    arrays : {"numpy", "torch"}
        What V, W and H are; torch tensors lie on the device in use.
    betas : sequence of float, optional
        The values of beta that the algorithm can minimize; any real where None. A function without
        a keyword ``beta`` must say which.
    stops : {"frame", "self"}
        ``"self"``: the function takes the keyword ``n_iter`` and yields once, after that many.
    batch : sequence of str
        Parameters whose settings may share one call: W and H then have a leading dimension, and a
        batched ``beta`` is an array of that length.
    skip : callable, optional
        ``skip(params)`` returns why a setting cannot be computed, or None.
    start : callable, optional
        ``start(problem, rank, rng)`` draws a start of the algorithm's own from a `Problem`: a tuple
        of arrays, given to the function after V. ``init`` is then not read.
    absent : mapping, optional
        For keywords introduced later: the value that older artifacts were computed with.
    kind : type, optional
        The subclass of `Factorization` that is yielded in the place of W and H.
    monotone : bool
        Whether the loss never rises, which the conformance suite then holds.

    Raises
    ------
    UsageError
        If the declaration contradicts the function.
    """

    def register(function):
        declared = Algorithm(
            name,
            function,
            version,
            arrays,
            betas,
            stops,
            tuple(batch),
            skip,
            start,
            absent or {},
            kind,
            monotone,
        )
        if arrays not in ("numpy", "torch"):
            raise UsageError(f"algorithm {name}: arrays is 'numpy' or 'torch', not {arrays!r}")
        if stops not in ("frame", "self"):
            raise UsageError(f"algorithm {name}: stops is 'frame' or 'self', not {stops!r}")
        if betas is None and "beta" not in declared.defaults:
            raise UsageError(
                f"algorithm {name}: take beta as a keyword, or say which values it minimizes: "
                "betas=(2,)"
            )
        if stops == "self" and "n_iter" not in declared.defaults:
            raise UsageError(f"algorithm {name}: stops='self' needs the keyword n_iter")
        ALGORITHMS.add(name, declared)
        return function

    return register
