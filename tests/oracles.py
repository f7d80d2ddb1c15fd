"""Numbers that others' published code gave: where they lie, and how far ours are from them."""

import os
from pathlib import Path

import numpy as np
import pytest


def oracle(name):
    """Return the arrays of an oracle file as a dict; skip the test where there is none.

    They are looked for in $NMFAB_ORACLES, else in ../shared/oracles beside the checkout.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "oracles"
    folder = Path(os.environ.get("NMFAB_ORACLES") or beside)
    path = folder / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"oracle values: no file {path} (name the folder by NMFAB_ORACLES)")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def apart(ours, theirs):
    """Return the largest difference over the largest entry."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
