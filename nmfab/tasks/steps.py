"""Nodes made of steps: what a task offers by name, and what of it the steps ask for.

A task offers parts, arrays of nodes and values made of them under names; a step asks for some by
the names of its arguments. From this follows all that a node of steps declares: nothing is listed
by hand for a choice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nmfab.base.errors import UsageError
from nmfab.base.registry import version_of
from nmfab.base.types import Node
from nmfab.base.values import canonical
from nmfab.postprocessing import STEPS


@dataclass(frozen=True)
class Offer:
    """Something that a step may ask for by the name of an argument.

    Attributes
    ----------
    get : callable
        ``get(params, arrays)`` returns it; both hold what is declared below, and maybe more.
    params : tuple of str, or mapping
        Names of the parameters that `get` reads; with values where a default is resolved first.
    parts, optional_parts, inputs : tuple of str
        Names of the parts of the track and of the nodes that `get` reads.
    versions : mapping
        Of the components that `get` uses.
    """

    get: Callable[..., Any]
    params: tuple[str, ...] | Mapping[str, Any] = ()
    parts: tuple[str, ...] = ()
    optional_parts: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    versions: Mapping[str, Any] = field(default_factory=dict)

    def read(self, p):
        """Return name and value of the parameters that are read."""
        if isinstance(self.params, Mapping):
            return dict(self.params)
        return {name: p[name] for name in self.params}


def of_part(name):
    """Offer a part of the track, as its reader gives it."""
    return Offer(lambda params, arrays: arrays[name], parts=(name,))


def of_node(node, array=None):
    """Offer what readers of a node are given, or one of its arrays; a single number as such."""
    short = node.partition(".")[2]

    def get(params, arrays):
        found = arrays[short]
        if array is None:
            return found
        found = found[array]
        return found.item() if getattr(found, "ndim", 1) == 0 else found

    return Offer(get, inputs=(node,))


@dataclass(frozen=True)
class Chosen:
    """A step of a chain, and the factor that chose it ("" where there is no choice)."""

    step: Any
    factor: str = ""


def choice(family, p, factor):
    """Return the step of a family that a factor of the setting chooses."""
    return Chosen(STEPS.find(family, p[factor]), factor)


def always(family, name):
    """Return a step that no factor chooses."""
    return Chosen(STEPS.find(family, name))


def skip(chain, p, offers):
    """Return why a chain of steps cannot be computed, or None; `UsageError` for unknown names."""
    for chosen in chain:
        reason = chosen.step.skip(p) if chosen.step.skip is not None else None
        if reason:
            return reason
    _asked(chain, p, offers)
    return None


def methods(chain):
    """Return the methods of a factorization that the steps of a chain call."""
    return tuple(dict.fromkeys(name for chosen in chain for name in chosen.step.calls))


def looks(chain):
    """Tell whether a step of the chain looks at the reference."""
    return any(chosen.step.oracle for chosen in chain)


def node(p, name, chain, offers, finish, *, reads=(), params=None, versions=None, **more):
    """Return a node that calls a chain of steps one after the other.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting.
    name : str
        Of the node.
    chain : sequence of Chosen
        What a step gives, those behind it are given under that name.
    offers : mapping of str to Offer
        What the task can give.
    finish : callable
        ``finish(values, params, arrays)`` returns the node's arrays: `values` holds what the steps
        gave and what `reads` names.
    reads : sequence of str
        Offers that `finish` reads.
    params, versions : mapping, optional
        Further ones.
    **more
        Further fields of the node.

    Returns
    -------
    Node

    Raises
    ------
    UsageError
        If a step asks for something that the task does not offer.
    """
    asked = _asked(chain, p, offers)
    used = [offers[item] for item in dict.fromkeys((*asked, *reads)) if item in offers]
    plain = [item for item in asked if item not in offers]
    own = {
        f"{c.step.name}.{key}": canonical(p.get(f"{c.step.name}.{key}", default))
        for c in chain
        for key, default in c.step.defaults.items()
    }
    named = {}
    known = {f"step.{c.step.family}.{c.step.name}": version_of(c.step) for c in chain}
    for offer in used:
        named |= offer.read(p)
        known |= offer.versions
    libraries = dict.fromkeys(library for c in chain for library in c.step.libraries)
    return Node(
        name=name,
        compute=partial(_compute, chain, offers, tuple(reads), finish),
        params={
            **{c.factor: p[c.factor] for c in chain if c.factor},
            **{item: p[item] for item in plain},
            **named,
            **own,
            **(params or {}),
        },
        parts=_union(used, "parts"),
        optional_parts=_union(used, "optional_parts"),
        inputs=_union(used, "inputs"),
        versions=known | dict(versions or {}),
        libraries=(*libraries, *more.pop("libraries", ())),
        **more,
    )


def _union(offers, name):
    return tuple(dict.fromkeys(item for offer in offers for item in getattr(offer, name)))


def _asked(chain, p, offers):
    """Return the names that the steps ask the task for, in order."""
    asked, given = [], set()
    for chosen in chain:
        for name in chosen.step.wanted:
            if name in given:
                continue
            if name not in offers and name not in p:
                there = ", ".join(sorted({*offers, *given}))
                raise UsageError(
                    f"step {chosen.step.name} asks for {name!r}: there are {there}, and the "
                    "parameters of the task"
                )
            asked.append(name)
        given.add(chosen.step.gives)
    return tuple(dict.fromkeys(asked))


def _compute(chain, offers, reads, finish, params, **arrays):
    values = {}

    def value(name):
        if name in values:
            return values[name]
        return offers[name].get(params, arrays) if name in offers else params[name]

    for chosen in chain:
        step = chosen.step
        given = {name: value(name) for name in step.wanted}
        own = {name: params[f"{step.name}.{name}"] for name in step.defaults}
        values[step.gives] = step(**given, **own)
    values |= {name: value(name) for name in reads}
    return finish(values, params, arrays)
