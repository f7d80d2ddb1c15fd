"""Modules that a library imports and that what is done with it seldom needs."""

import importlib
import sys
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def deferred(*names):
    """Give who imports these modules in the block stand-ins, which import them when first used.

    The standard library's ``LazyLoader`` does not serve: an ``import`` statement wakes it.

    Parameters
    ----------
    *names : str
        Top-level modules; one that is imported already is left as it is.
    """
    placed = {name: _StandIn(name) for name in names if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _StandIn(ModuleType):
    """A module of which nothing has been used yet."""

    def __getattr__(self, name):
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
