"""The contract of a feature: a map of magnitude spectra to nonnegative columns of V."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nmfab.base.registry import Registry

FEATURES = Registry("feature", "nmfab.features")


@dataclass(frozen=True)
class Feature:
    """A feature: ``function(magnitude, *, sample_rate, n_fft, ...)``, column by column.

    ``magnitude`` [shape=(1 + n_fft // 2, n)] is the modulus of a centred STFT at any n frames, so
    that a task may compute only the frames that it needs. Further keywords are parameters of the
    feature, and each can be a factor (``NAME.param``). `libraries` are those whose release decides
    what it gives (``("librosa",)`` for a filterbank of librosa's): keys name it.
    """

    name: str
    function: Callable[..., Any]
    version: int | None
    libraries: tuple[str, ...] = ()

    @cached_property
    def defaults(self):
        """Keyword parameters of the feature's own and their defaults."""
        given = ("sample_rate", "n_fft")
        parameters = inspect.signature(self.function).parameters.values()
        own = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in given]
        return {p.name: p.default for p in own}


def feature(name, *, version=None, libraries=()):
    """Register a function as a feature; see `Feature`."""

    def register(function):
        FEATURES.add(name, Feature(name, function, version, tuple(libraries)))
        return function

    return register
