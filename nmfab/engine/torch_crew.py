"""Threads that each compute their own part of a factorization, every operation in one thread.

torch splits each single operation among its threads: they meet after every one of them, and each
has the other's half of a block in its cache. Threads that sweep different columns meet once per
iteration.
"""

import queue
import sys
import threading
from contextlib import contextmanager

_DENORMAL = 1e-310


@contextmanager
def one_thread():
    """Compute the block's operations in this thread alone, denormal numbers taken as zero."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with flushing():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def flushing():
    """Take denormal numbers as zero in what this thread computes.

    Activations that die away pass through the denormal range (below 1.2e-38 in float32), where
    this kind of processor multiplies a hundred times slower; next to V of mean 1 they are nothing.
    """
    import torch

    flushes = _DENORMAL * 1.0 == 0  # torch sets this and does not tell it
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushes)


class Crew:
    """A fixed number of threads, this one among them.

    Parameters
    ----------
    count : int
        Number of threads, from 1 on.
    """

    def __init__(self, count):
        import torch

        self.count = count
        self._orders = [queue.SimpleQueue() for _ in range(count - 1)]
        self._reports = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, args=(orders,), daemon=True)
            for orders in self._orders
        ]
        # torch gives a thread that it has not seen the number that was set last, in any thread
        threads = torch.get_num_threads()
        for thread in self._threads:
            thread.start()
            self._reports.get()
        torch.set_num_threads(threads)

    def run(self, tasks):
        """Call each of at most `count` functions in its own thread; wait for all.

        The first is called in this thread, which is to be inside `one_thread`.
        """
        for orders, task in zip(self._orders, tasks[1:], strict=False):
            orders.put(task)
        try:
            tasks[0]()
        finally:
            failures = [self._reports.get() for _ in tasks[1:]]
        for failure in failures:
            if failure is not None:
                raise failure

    def close(self):
        """End the threads.

        One that is still letting go of its tensors when Python ends takes the process down with it.
        """
        for orders in self._orders:
            orders.put(None)
        for thread in self._threads if not sys.is_finalizing() else ():
            thread.join()

    def _serve(self, orders):
        import torch

        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        self._reports.put(None)
        while (task := orders.get()) is not None:
            try:
                task()
                self._reports.put(None)
            except BaseException as error:  # noqa: BLE001 - told to the thread that waits
                self._reports.put(error)
