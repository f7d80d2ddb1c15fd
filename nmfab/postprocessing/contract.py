"""The contract of a step: one choice of post-processing, and what it reads.

A step is a function whose signature says all: arguments without a default are what it is given by
the task (the factorization, a part of the track, a parameter of the task), by name; arguments with
a default are parameters of its own, each of which can be a factor (``STEP.param``). What a step
does not name it does not get, so that the key of its result can be trusted.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from nmfab.base.errors import UsageError
from nmfab.base.registry import Registry, source_file, unknown


class Family(NamedTuple):
    """What the steps of a family decide.

    Attributes
    ----------
    gives : str
        Name under which the steps behind it are given what it returns.
    factor : str
        The factor that chooses one, "" where there is no choice.
    help : str
        What a step returns.
    """

    gives: str
    factor: str
    help: str


FAMILIES = {
    "grouping": Family(
        "groups", "grouping", "the group of each component, int [shape=(rank,)], −1 for none"
    ),
    "masking": Family(
        "sound", "masking", "the sound of each group, [shape=(groups, channels, samples)]"
    ),
    "separation": Family(
        "sound", "baseline", "the sound of each source, [shape=(sources, channels, samples)]"
    ),
    "pitch": Family(
        "pitches", "pitch", "the MIDI number of each component, int [shape=(rank,)], 0 for none"
    ),
    "activity": Family("activity", "", "activations brought together by pitch"),
    "thresholding": Family(
        "notes", "thresholding", "onsets and offsets (s) and pitches (MIDI) of notes"
    ),
    "transcription": Family(
        "factorization", "baseline", "templates and activations, as a factorization"
    ),
    "columns": Family("columns", "", "what bars are compared by, [shape=(features, bars)]"),
    "similarity": Family(
        "similarity", "similarity", "the self-similarity of bars, [shape=(bars, bars)]"
    ),
    "segmentation": Family("boundaries", "segmentation", "boundaries, s, on edges of bars"),
    "structure": Family("boundaries", "baseline", "boundaries, s, unless it gives something else"),
}


@dataclass(frozen=True)
class Step:
    """A step and what it declares of itself; see `step`."""

    family: str
    name: str
    function: Callable[..., Any]
    version: int | None = None
    oracle: bool = False
    libraries: Sequence[str] = ()
    calls: Sequence[str] = ()
    gives: str = ""
    skip: Callable[..., str | None] | None = None

    @cached_property
    def wanted(self):
        """Names of what the task is to give."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in parameters if p.default is p.empty)

    @cached_property
    def defaults(self):
        """The step's own parameters and their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    def __call__(self, **arguments):
        """Call the function."""
        return self.function(**arguments)


class Steps(Registry):
    """Steps under ``FAMILY.NAME``."""

    def family(self, family):
        """Return the names of a family's steps, in the order in which they were registered."""
        self._load()
        head = f"{family}."
        return [name.removeprefix(head) for name in self._components if name.startswith(head)]

    def find(self, family, name):
        """Return a step, or raise UsageError naming the nearest one of its family."""
        if f"{family}.{name}" not in self:
            raise UsageError(unknown(f"step of {family}", name, self.family(family)))
        return self[f"{family}.{name}"]

    def named(self, name):
        """Return the steps of that name, whatever their family."""
        self._load()
        return [step for step in self._components.values() if step.name == name]

    def brought_by(self, path):
        """Return the steps that a file defines."""
        self._load()
        return [s for s in self._components.values() if source_file(s) == str(path)]


STEPS = Steps("step", "nmfab.postprocessing")


class Choices(Sequence):
    """The names of a family's steps as they are when somebody looks: plug-ins may bring more.

    Parameters
    ----------
    family : str
        Of the steps.
    before, after : sequence
        Choices that are no steps.
    """

    def __init__(self, family, before=(), after=()):
        self.known = family, tuple(before), tuple(after)

    def _names(self):
        family, before, after = self.known
        return [*before, *STEPS.family(family), *after]

    def __len__(self):
        return len(self._names())

    def __getitem__(self, index):
        return self._names()[index]


def step(
    family,
    name,
    *,
    version=None,
    oracle=False,
    libraries=(),
    calls=(),
    gives=None,
    skip=None,
):
    """Register a function as a step.

    Parameters
    ----------
    family : str
        What the step decides; a key of `FAMILIES`, which says what it returns. A task has a factor
        for each family that it uses.
    name : str
        The modality of that factor.
    version : int, optional
        Counts changes that alter results. Without one, the file's source stands in its place.
    oracle : bool
        Whether the step looks at the reference: its rows are marked, and never count as the best.
    libraries : sequence of str
        Packages whose release decides the result: it is part of the key.
    calls : sequence of str
        Methods of the factorization that it needs, such as ``templates``: the plan leaves out the
        kinds that lack one.
    gives : str, optional
        For a row without a factorization that enters later than usual: what it returns.
    skip : callable, optional
        ``skip(params)`` returns why a setting cannot be computed, or None.

    Raises
    ------
    UsageError
        If there is no such family, or the function takes ``*args`` or ``**kwargs``.
    """

    def register(function):
        if family not in FAMILIES:
            raise UsageError(unknown("family of steps", family, FAMILIES))
        parameters = inspect.signature(function).parameters.values()
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            raise UsageError(f"step {name}: its signature says what it reads: no * or ** argument")
        made = Step(
            family, name, function, version, oracle, tuple(libraries), tuple(calls),
            gives or FAMILIES[family].gives, skip,
        )  # fmt: skip
        STEPS.add(f"{family}.{name}", made)
        return function

    return register
