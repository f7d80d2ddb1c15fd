"""V as the frame holds it: checked, divided by its scale, with the templates that are held."""

import numpy as np

from nmfab.algorithms.problem import Problem, View, frequencies_of
from nmfab.algorithms.settings import beta_of, keywords, parse_stop
from nmfab.base.divergence import silenced
from nmfab.base.errors import ComputationError

_DIMENSIONS = {"matrix": 2, "channels": 3, "bars": 3, "mixture": 3, "views": 2}


class Data:
    """One V in the form that an algorithm takes.

    Parameters
    ----------
    V : ndarray, or dict of ndarray for views
        See `nmfab.algorithms.frame.factorize`.
    form : str
        One of `nmfab.algorithms.contract.FORMS`.
    dtype : {"float32", "float64"}
        Of what is computed; a mixture is complex of the same precision.
    view : View, or dict of View, optional
        How V was made.
    fixed : ndarray, optional
        Templates to be held.
    start : Factorization, optional
        The start, on V's scale.

    Attributes
    ----------
    arrays : dict of ndarray
        V divided by its scale, read-only, under ``"V"`` or the views' names.
    scale : float, or dict of float for views
        What V was divided by.
    silent : bool
        Whether V, or one of its views, is zero throughout.
    fixed_unit : ndarray or None
        `fixed` divided by its mean.

    Raises
    ------
    ComputationError
        If V is not of that form, or has entries that cannot be factorized.
    """

    def __init__(self, V, form, dtype, *, view=None, fixed=None, start=None):
        self.form, self.dtype, self.start = form, np.dtype(dtype), start
        self.view = view if view is not None else View()
        several = isinstance(V, dict)
        if several != (form == "views"):
            raise ComputationError(f"V is wanted as {form}: {_form_told(form)}")
        named = V if several else {"V": V}
        checked = {name: self._checked(name, values) for name, values in named.items()}
        scales = {name: self._scale(values) for name, values in checked.items()}
        self.silent = not all(scales.values())
        self.scale = scales if several else scales["V"]
        # the division in the dtype V came in: a float64 V far from 1 may not fit into float32
        self.arrays = {
            name: self._cast(values / scales[name] if scales[name] else values)
            for name, values in checked.items()
        }
        for values in self.arrays.values():
            values.flags.writeable = False
        self.fixed, self.fixed_unit = fixed, None
        if fixed is not None:
            self.fixed = self._checked_templates(fixed)
            self.fixed_unit = self.fixed / float(self.fixed.mean(dtype=np.float64))

    @property
    def V(self):
        """V divided by its scale: one array, or a dict of views."""
        return self.arrays if self.form == "views" else self.arrays["V"]

    def given(self, beta):
        """Return what the algorithm receives at a β: at and below 0 dust is silence."""
        if self.form == "mixture":
            return self.V
        given = {name: silenced(values, beta) for name, values in self.arrays.items()}
        for values in given.values():
            values.flags.writeable = False
        return given if self.form == "views" else given["V"]

    @property
    def n_fixed(self):
        """The number of components whose templates are held."""
        return 0 if self.fixed is None else self.fixed.shape[-1]

    @property
    def frequencies(self):
        """Hz of V's rows, or None."""
        return frequencies_of(self.view)

    def factors(self):
        """Return what the model's reconstruction is multiplied by to be on V's scale."""
        # the model of a mixture is one of its power
        return self.scale**2 if self.form == "mixture" else self.scale

    def inverse_factors(self):
        """Return what brings a model from V's scale to that of the divided V."""
        factors = self.factors()
        if isinstance(factors, dict):
            return {name: 1 / factor for name, factor in factors.items()}
        return 1 / factors

    def in_dtype(self, array):
        """Return an array in the dtype asked for; whole numbers stay so."""
        array = np.asarray(array)
        if array.dtype.kind == "c":
            return array.astype(np.result_type(self.dtype, np.complex64), copy=False)
        return array.astype(self.dtype, copy=False) if array.dtype.kind == "f" else array

    def problem(self, algorithm, read):
        """Return the `Problem` that an algorithm's own start is given."""
        stop = parse_stop(read["stop"])
        own = keywords(algorithm, read)
        own.pop("beta", None)
        return Problem(
            self.given(beta_of(read)),
            read.get("rank", self.n_fixed),
            np.random.default_rng(read.get("seed", 0)),
            beta=beta_of(read) if algorithm.reads_beta else None,
            parameters=own,
            iterations=stop.iterations if stop.seconds is stop.kkt is None else None,
            fixed=self.fixed_unit,
            view=self.view,
            init=read.get("init", "nndsvda"),
            seed=read.get("seed", 0),
        )

    def sounding(self):
        """Return the same data with ones in the place of what is silent, to draw a start from."""
        V = {name: values if values.any() else values + 1 for name, values in self.arrays.items()}
        V = V if self.form == "views" else V["V"]
        return Data(V, self.form, self.dtype, view=self.view, fixed=self.fixed)

    def _checked(self, name, values):
        values = np.asarray(values)
        complex_wanted = self.form == "mixture"
        kinds = "fcui" if complex_wanted else "fiub"
        if values.dtype.kind not in kinds or values.size == 0:
            raise ComputationError(
                f"{name} of shape {values.shape}, {values.dtype} is not factorized: "
                f"{'complex' if complex_wanted else 'real'} numbers are needed, at least one"
            )
        if values.ndim != _DIMENSIONS[self.form]:
            raise ComputationError(
                f"{name} of shape {values.shape} does not fit the form {self.form}: "
                f"{_form_told(self.form)}"
            )
        if values.dtype.kind not in "fc":
            values = values.astype(self.dtype)
        if complex_wanted:
            if not np.isfinite(values).all():
                raise ComputationError(f"{name} has NaN or infinite entries: it is not factorized")
            return values
        least, most = float(values.min()), float(values.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            raise ComputationError(f"{name} has NaN or infinite entries: it cannot be factorized")
        if least < 0:
            raise ComputationError(f"{name} has negative entries (down to {least:g})")
        return values

    def _scale(self, values):
        if self.form == "mixture":
            return float(np.sqrt(np.mean(np.abs(values) ** 2, dtype=np.float64)))
        return float(values.sum(dtype=np.float64) / values.size)

    def _cast(self, values):
        if self.form == "mixture":
            return values.astype(np.result_type(self.dtype, np.complex64))
        return values.astype(self.dtype)

    def _checked_templates(self, fixed):
        fixed = np.asarray(fixed)
        rows = None if self.form == "views" else len(self.arrays["V"])
        if fixed.dtype.kind == "f" and np.isnan(fixed).any():
            raise ComputationError("templates to be held have NaN entries")
        fits = fixed.ndim in (2, 3) and fixed.shape[-2:-1] == (rows,)
        if not fits or fixed.dtype.kind != "f" or not fixed.any() or not np.isfinite(fixed).all():
            raise ComputationError(
                f"templates of shape {fixed.shape} do not fit V of {rows} rows: a matrix (rows × "
                "components), or one for each frame of a template (frames × rows × components), "
                "that is finite and not zero is needed"
            )
        if fixed.min() < 0:
            raise ComputationError("templates to be held have negative entries")
        return fixed.astype(self.dtype)


def _form_told(form):
    return {
        "matrix": "one matrix, frequencies × frames",
        "channels": "frequencies × frames × channels",
        "bars": "frequencies × instants × bars",
        "mixture": "a complex spectrum, frequencies × frames × channels",
        "views": "a dict of matrices",
    }[form]
