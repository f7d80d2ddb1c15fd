"""What a computation may use: device, threads. It changes no result beyond rounding, so no key."""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from nmfab.base.errors import UsageError


@dataclass(frozen=True)
class Resources:
    """The device (``"cpu"`` or ``"cuda"``) and number of threads that a job may use."""

    device: str = "cpu"
    threads: int | None = None


_DEFAULT = Resources()
_current = ContextVar("resources", default=_DEFAULT)


def current_resources():
    """Return the resources of the job in progress."""
    return _current.get()


def resolve_device(name):
    """Turn ``"auto"`` into the device that is there; refuse ``"cuda"`` where there is none."""
    if name not in ("cpu", "cuda", "auto"):
        raise UsageError(f"unknown device {name!r}: there are cpu, cuda, auto")
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise UsageError("device cuda was asked for, and torch sees no GPU: use --device cpu")
    return "cpu"


@contextmanager
def use_resources(resources):
    """Compute the block with `resources`, thread pools of BLAS, OpenMP and torch bounded."""
    token = _current.set(resources)
    try:
        if resources.threads is None:
            yield
        else:
            with _bounded_threads(resources.threads):
                yield
    finally:
        _current.reset(token)


@contextmanager
def _bounded_threads(count):
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        torch.set_num_threads(before)
