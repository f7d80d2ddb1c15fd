"""The node that factorizes V, shared by the tasks: parameters, batches, held templates."""

from functools import partial

from nmfab.algorithms import frame
from nmfab.algorithms.init import INITS
from nmfab.algorithms.problem import View
from nmfab.algorithms.settings import DEFAULTS, DTYPES, form_of, kind_of, kind_version
from nmfab.base.kinds import has, restored, stored
from nmfab.base.types import Node, Param

__all__ = [
    "NMF_PARAMS",
    "form_of",
    "kind_has",
    "kind_of",
    "kind_version",
    "nmf_node",
    "nmf_skip",
]

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
_ABOUT_VIEW = ("frequencies", "times", "sample_rate", "window", "power")


def nmf_node(p, *, source, V="V", templates=None):
    """Return the node ``nmf.factorize``, whose readers are given a `Factorization`.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting.
    source : str
        Name of the node whose array `V` is factorized: a matrix, or a tensor in the form that the
        algorithm takes. Views are arrays of the names ``V.NAME``, in the order of the parameter
        `views`. Where `source` gives
        ``frequencies``, ``times``, ``sample_rate``, ``window`` or ``power`` (``frequencies.NAME``
        and so on for views), models can ask for them.
    V : str
        Name of that array.
    templates : str, optional
        Name of another node, whose factorization or array ``W`` has the templates that are held.

    Returns
    -------
    Node
        Its arrays are those of `nmfab.base.kinds.stored`.
    """
    held = "all" if templates is not None else "none"
    read = frame.parameters(p, held=held)
    short = tuple(name.partition(".")[2] for name in (source, templates) if name)
    # in the order of the parameter: files give arrays in another one, and the first view is masked
    views = tuple(map(str, p["views"])) if form_of(p) == "views" else ()
    return Node(
        name="nmf.factorize",
        compute=partial(_compute, V, views, short),
        params=dict(read) if V == "V" else read | {"nmf.V": V},
        inputs=(source, templates) if templates is not None else (source,),
        versions=frame.versions(p, held=held),
        batch=frame.batch_names(p, held=held),
        compute_batch=partial(_compute_batch, V, views, short),
        decode=restored,
    )


def nmf_skip(
    p, *, frequencies=False, templates=False, forms=("matrix",), needs=("templates", "activations")
):
    """Return why the setting cannot be factorized, or None.

    Parameters
    ----------
    p : mapping
        Every parameter of the setting.
    frequencies : bool
        Whether V's rows have frequencies.
    templates : bool
        Whether all templates are held.
    forms : sequence of str
        The forms of V that the task gives.
    needs : sequence of str
        Methods that the task calls of the factorization.
    """
    held = "all" if templates else "none"
    return frame.skip(p, frequencies=frequencies, held=held, forms=forms, needs=needs)


def kind_has(p, method):
    """Tell whether the factorization of a setting has a method, such as ``pitches``."""
    return has(kind_of(p), method)


def _compute(V, views, short, params, **arrays):
    return stored(frame.factorize(params, *_given(V, views, short, arrays)))


def _compute_batch(V, views, short, settings, **arrays):
    outcomes = frame.factorize_batch(settings, *_given(V, views, short, arrays))
    return [one if isinstance(one, Exception) else stored(one) for one in outcomes]


def _given(name, views, short, arrays):
    """Return V, how it was made, and the templates that are held."""
    source = arrays[short[0]]
    if views:
        V = {view: source[f"V.{view}"] for view in views}
        about = {view: _view(source, f".{view}") for view in views}
    else:
        V, about = source[name], _view(source, "")
    held = arrays[short[1]] if len(short) > 1 else None
    return V, about, held["W"] if held is not None else None


def _view(source, suffix):
    found = {name: source.get(f"{name}{suffix}", source.get(name)) for name in _ABOUT_VIEW}
    return View(**found)
