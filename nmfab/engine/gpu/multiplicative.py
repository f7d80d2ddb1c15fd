"""The multiplicative update on a GPU, in the form that is fastest there."""

from functools import partial

from nmfab.base.resources import allow_tf32
from nmfab.engine.gpu import forms, fused
from nmfab.engine.torch_plain import plain_step, runs, silence_of


def updates(V, W, H, beta, fixed=0, *, tf32=False, form=None):
    """Return a generator that iterates as `torch_mu` does; W and H are overwritten.

    The form is chosen, and its kernels compiled, before this returns: that is no iteration's time.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        On a GPU.
    W, H : tensor [shape=(..., m, rank), (..., rank, n)]
        The start.
    beta : float, or ndarray [shape=(batch,)]
        Any real.
    fixed : int
        The first `fixed` columns of W are held.
    tf32 : bool
        Multiply float32 matrices as TF32.
    form : str, optional
        One of `forms.NAMES`; else the fastest.

    Returns
    -------
    generator
        Of W and H.
    """
    with allow_tf32(tf32):
        builds = _builds(V, W.shape[-1], beta, fixed, tf32)
        betas = tuple(sorted({b for _, b in runs(W, beta)}))
        masked = silence_of(V, beta) is not None
        problem = forms.about("torch_mu", V, (W, H), W.shape[-1], betas, fixed, tf32, masked)
        step = forms.iteration(builds, (W, H), problem, form=form, tf32=tf32)
    return _iterate(step, W, H, tf32)


def _iterate(step, W, H, tf32):
    while True:
        with allow_tf32(tf32):
            step()
        yield W, H


def _builds(V, rank, beta, fixed, tf32):
    """Return the forms that there are for such a problem."""
    builds = {"plain": lambda W, H: plain_step(V, W, H, beta, fixed)}
    if rank > fused.LARGEST_RANK:
        return builds
    of = partial(fused_step, V, beta=beta, fixed=fixed)
    if tf32:
        return builds | {"fused": partial(of, precision="tf32")}
    builds["fused"] = partial(of, precision="ieee")
    if V.element_size() == 4:
        builds["tensor"] = partial(of, precision="tf32x3")
    return builds


def fused_step(V, W, H, *, beta, precision, fixed=0):
    """Return a function that does one iteration by fused kernels at each call.

    Raises
    ------
    ImportError
        If triton is not installed.
    """
    from nmfab.engine.gpu import kernels  # noqa: F401 - fails early where it is missing

    def of(factor, run):
        return factor[run] if factor[run].ndim == 3 else factor[run][None]

    halves = [
        half
        for run, b in runs(W, beta)
        for half in fused.halves(V, of(W, run), of(H, run), b, precision, fixed)
    ]

    def step():
        for half in halves:
            half()

    return step
