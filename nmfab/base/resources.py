"""What a computation may use: device, threads. It changes no result beyond rounding, so no key."""

import os
import sys
import tempfile
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from nmfab.base.errors import UsageError


@dataclass(frozen=True)
class Resources:
    """The device (``"cpu"`` or ``"cuda"``) and number of threads that a job may use.

    `curve` is the number of points at which loss and residual are looked at; as few as cost
    nothing where it is None.
    """

    device: str = "cpu"
    threads: int | None = None
    curve: int | None = None


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
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=count):
        before = limit_torch()
        try:
            yield
        finally:
            if before is not None:
                sys.modules["torch"].set_num_threads(before)


def limit_torch():
    """Bound torch's threads as the job asks, once torch is there; return what they were.

    Whoever imports torch calls this after it, so that a job that needs no torch imports none.
    """
    threads = current_resources().threads
    if threads is None or "torch" not in sys.modules:
        return None
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    return before


@contextmanager
def hold_device(device):
    """Keep other jobs of this user off the GPU for the block; nothing is held for ``"cpu"``.

    A file in the folder for temporary files is locked, which ends with the process that holds it.
    Products of float32 matrices are float32's own in the block, whatever the process has set.
    """
    if device == "cpu":
        yield
        return
    import fcntl  # there is none on Windows

    import torch

    name = f"nmfab-{os.getuid()}-{device}{torch.cuda.current_device()}.lock"
    with open(Path(tempfile.gettempdir()) / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with allow_tf32(False):
            yield


@contextmanager
def allow_tf32(allowed):
    """Have a GPU multiply float32 matrices as TF32 (10 bits of mantissa) in the block, or not."""
    import torch

    products = torch.backends.cuda.matmul
    before = products.allow_tf32
    products.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32 = before
