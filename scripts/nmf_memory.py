"""What an algorithm needs beyond one V, W and H; for bench_nmf."""

import ctypes
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nmf_libraries as libraries
import torch
from nmf_problems import synthetic

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def on_gpu(begin, own):
    """Return the bytes that two iterations need there beyond `own`, those of one V, W and H."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    begin()[0](2)
    return max(0, torch.cuda.max_memory_allocated() - before - own)


def on_cpu(name, size, beta):
    """Return the bytes that two iterations of nmfab's algorithm need; None where no system tells.

    They are counted in a process of their own: what other libraries have allocated and let go in
    this one would be taken for it, or hide it.
    """
    if not REFERENCES.exists():
        return None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_counted, name, size, beta, torch.get_num_threads()).result()


def _counted(name, size, beta, threads):
    torch.set_num_threads(threads)
    V, W, H = synthetic(*size)
    own = V.nbytes + W.nbytes + H.nbytes

    def once():
        ctypes.CDLL(None).malloc_trim(0)
        before = _kilobytes("VmRSS")
        REFERENCES.write_text("5")
        libraries.ours(name)(V, W, H, beta, "cpu")[0](2)
        return max(0, 1024 * (_kilobytes("VmHWM") - before) - own)

    # what libraries and the allocator take at their first use, or for a new thread, is not V's
    return min(once() for _ in range(5))


def _kilobytes(name):
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith(name))
    return int(line.split()[1])
