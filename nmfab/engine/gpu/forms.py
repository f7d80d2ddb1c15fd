"""Which form of an iteration a GPU runs: timed there on the problem itself, and remembered.

Forms give the same numbers but for rounding, as devices and threads do: they are in no key. What
wins depends on the card and the shape, so each is timed once per process, for shapes of about the
same size together. ``NMFAB_GPU_FORM`` pins one, which also makes two runs equal bit by bit.
"""

import logging
import os
from functools import cache

from nmfab.base.errors import ComputationError, UsageError
from nmfab.engine.gpu.graphs import recorded

logger = logging.getLogger("nmfab")

GRAPH = "+graph"
NAMES = tuple(name + more for name in ("plain", "fused", "tensor") for more in ("", GRAPH))
VARIABLE = "NMFAB_GPU_FORM"
# Largest relative difference after one iteration of a form that is taken for the same update.
SAME = {False: 1e-4, True: 1e-2}  # by TF32
ENOUGH = 3.0  # milliseconds that a timing takes at least
_fastest = {}


def iteration(builds, state, problem, *, form=None, tf32=False):
    """Return the function that does an iteration on `state`, in the form asked for or the fastest.

    Parameters
    ----------
    builds : dict of str to callable
        By the name of a form, ``"plain"`` first: called with tensors like those of `state`, gives a
        function that does one iteration on them in place.
    state : sequence of tensor
        On a GPU; left as it is.
    problem : tuple
        What the choice depends on besides the card, such as `about` gives.
    form : str, optional
        One of `NAMES`; else what the variable ``NMFAB_GPU_FORM`` says, else what is fastest.
    tf32 : bool
        Whether forms may differ by as much as TF32 does.

    Raises
    ------
    UsageError
        If the variable names no form.
    ComputationError
        If the form asked for cannot be had here.
    """
    form = form or pinned()
    if form and form.removesuffix(GRAPH) in builds:
        try:
            return _built(builds, form, state)
        except (ImportError, RuntimeError) as error:
            raise ComputationError(
                f"the form {form} cannot be had here ({_short(error)}): unset {VARIABLE}, and the "
                "fastest of those that can is taken"
            ) from error
    card = _card(state[0])
    if (card, problem) not in _fastest:
        _fastest[card, problem] = _choose(builds, state, SAME[tf32])
    return _built(builds, _fastest[card, problem], state)


def repeated(step, W, H):
    """Yield W and H after each call of `step`, which changes them in place."""
    while True:
        step()
        yield W, H


def pinned():
    """Return the form that the environment asks for, or None."""
    form = os.environ.get(VARIABLE) or None
    if form not in (None, *NAMES):
        raise UsageError(f"{VARIABLE}={form}: there are {', '.join(NAMES)}")
    return form


def about(name, V, state, *more):
    """Return what tells problems apart for which another form may be fastest.

    Sizes of V count by powers of two: tracks of slightly different length share a choice.
    """
    sizes = tuple(size.bit_length() for size in V.shape)
    return name, str(V.dtype), sizes, tuple(tuple(x.shape[:-2]) for x in state), *more


def _card(values):
    import torch

    return torch.cuda.get_device_name(values.device)


def _built(builds, form, state):
    step = builds[form.removesuffix(GRAPH)](*state)
    return recorded(step, state) if form.endswith(GRAPH) else step


def _choose(builds, state, same):
    """Return the fastest of the forms that can be had and agree with the first."""
    times, expected = {}, None
    for name in builds:
        try:
            copies = [values.clone() for values in state]
            step = builds[name](*copies)
            step()
            if expected is None:
                expected = [values.clone() for values in copies]
            elif _differ(copies, expected) > same:
                raise RuntimeError("it gives other numbers than the plain form")
            times[name] = _milliseconds(step)
            times[name + GRAPH] = _milliseconds(recorded(step, copies))
        except Exception as error:  # compilers and drivers raise what they like
            if not times:
                raise
            _left_out(name + GRAPH if name in times else name, _short(error))
    fastest = min(times, key=times.get)
    told = ", ".join(f"{form} {ms:.3g} ms" for form, ms in times.items())
    logger.info("an iteration on %s: %s", _card(state[0]), told)
    return fastest


@cache
def _left_out(form, why):
    logger.warning("the form %s is left out on this GPU: %s", form, why)


def _short(error):
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:200]


def _differ(found, expected):
    """Return the largest relative difference, by norms; infinite where there is NaN."""
    import torch

    differences = [
        float(torch.linalg.vector_norm(x - y) / torch.linalg.vector_norm(y).clamp(min=1e-30))
        for x, y in zip(found, expected, strict=True)
    ]
    return max(d if d == d else float("inf") for d in differences)


def _milliseconds(step):
    """Return the time of one iteration."""
    import torch

    step()
    count = 1
    while True:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(count):
            step()
        end.record()
        end.synchronize()
        ms = begin.elapsed_time(end)
        if ms >= ENOUGH or count >= 256:
            return ms / count
        count *= 4
