"""The node that factorizes V, shared by the tasks: parameters, batches, fixed templates."""

from functools import partial

from nmfab.algorithms import frame
from nmfab.algorithms.init import INITS
from nmfab.algorithms.settings import DEFAULTS, DTYPES
from nmfab.base.types import Node, Param

NMF_PARAMS = {
    "algorithm": Param(DEFAULTS["algorithm"], "name of the algorithm"),
    "beta": Param(DEFAULTS["beta"], "β of the divergence: 2 Euclidean, 1 KL, 0 Itakura-Saito"),
    "rank": Param(DEFAULTS["rank"], "number of components"),
    "init": Param(DEFAULTS["init"], "starting factors", choices=INITS),
    "seed": Param(DEFAULTS["seed"], "seed of a start that is drawn at random"),
    "stop": Param(
        DEFAULTS["stop"],
        "passes over V (200), seconds ('10s') or residual ('kkt<1e-4')",
        text=True,
    ),
    "dtype": Param(DEFAULTS["dtype"], "floating point numbers computed with", choices=DTYPES),
}


def nmf_node(p, *, source, V="V", frequencies=None, templates=None):
    """Return the node ``nmf.factorize``.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting.
    source : str
        Name of the node whose array `V` is factorized.
    V : str
        Name of that array.
    frequencies : str, optional
        Name of `source`'s array of the frequencies (Hz) of V's rows, for the harmonic start.
    templates : str, optional
        Name of another node, whose array ``W`` is held fixed.

    Returns
    -------
    Node
        Its arrays are those that `nmfab.algorithms.frame.factorize` returns.
    """
    fixed = templates is not None
    read = frame.parameters(p, templates=fixed)
    names = (V, frequencies)
    short = tuple(name.partition(".")[2] for name in (source, templates) if name)
    params = dict(read) if V == "V" else read | {"nmf.V": V}
    return Node(
        name="nmf.factorize",
        compute=partial(_compute, names, short),
        params=params,
        inputs=(source, templates) if fixed else (source,),
        versions=frame.versions(p, templates=fixed),
        absent=frame.absent(p),
        batch=frame.batch_names(p, templates=fixed),
        compute_batch=partial(_compute_batch, names, short),
    )


def nmf_skip(p, *, frequencies=None, templates=None, needs=("templates", "activations")):
    """Return why the setting cannot be factorized, or None; arguments as for `nmf_node`.

    `needs` names the methods that the task asks of an algorithm's own kind of factorization.
    """
    return frame.skip(
        p, frequencies=frequencies is not None, templates=templates is not None, needs=needs
    )


def _compute(names, short, params, **arrays):
    return frame.factorize(params, *_given(names, short, arrays))


def _compute_batch(names, short, settings, **arrays):
    return frame.factorize_batch(settings, *_given(names, short, arrays))


def _given(names, short, arrays):
    source = arrays[short[0]]
    frequencies = source[names[1]] if names[1] else None
    templates = arrays[short[1]]["W"] if len(short) > 1 else None
    return source[names[0]], frequencies, templates
