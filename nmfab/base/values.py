"""Parameter values in one canonical form, so that equal values give equal keys.

Numbers are rounded to 12 significant digits and computed with so; 1 equals 1.0 and not true;
NaN and infinities are refused.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from numbers import Integral, Real

from nmfab.base.errors import UsageError


def canonical(value):
    """Return `value` in its canonical form.

    Parameters
    ----------
    value : None, bool, number, str, or a list, tuple or mapping of those
        A modality or parameter.

    Returns
    -------
    None, bool, int, float, str, list or dict
        Integral floats become int, other floats are rounded to 12 significant digits.

    Raises
    ------
    UsageError
        If the value is NaN, infinite, or of a type that JSON does not know.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _canonical_float(float(value))
    if type(value).__name__ in ("bool", "bool_"):  # numpy's own, without importing numpy
        return bool(value)
    if isinstance(value, Mapping):
        return {str(name): canonical(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    raise UsageError(f"{value!r} cannot be a parameter: use numbers, text, true, false or null")


def _canonical_float(value):
    if not math.isfinite(value):
        raise UsageError(f"{value} cannot be a parameter: a finite number is needed")
    rounded = float(f"{value:.12g}")
    return int(rounded) if rounded.is_integer() else rounded


def same(first, second):
    """Tell whether two canonical values are the same modality (1 is 1.0, and is not true)."""
    return type(first) is type(second) and first == second


def canonical_json(value):
    """Return the one JSON text of a canonical value: sorted names, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value):
    """Return the key of a canonical value: 32 hexadecimal digits of BLAKE2b over its JSON."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()
