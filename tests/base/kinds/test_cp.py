import numpy as np
import pytest
import torch

from nmfab.base.kinds import restored, stored
from nmfab.base.kinds.cp import CP


def model(backend=np.asarray):
    rng = np.random.default_rng(0)
    return CP(rng.random((6, 5)), rng.random((5, 8)), rng.random((3, 5))).mapped(backend)


@pytest.mark.parametrize("backend", [np.asarray, torch.as_tensor])
def test_components_and_groups_add_up(backend):
    one = model(backend)
    each = np.einsum("fk,kn,ck->kfnc", *(np.asarray(x) for x in (one.W, one.H, one.Q)))
    np.testing.assert_allclose(one.reconstruction(), each.sum(axis=0), rtol=1e-13)
    for k in range(5):
        np.testing.assert_allclose(one.component(k), each[k], rtol=1e-13)
    groups = np.array([1, 0, -1, 1, 3])
    for frames in (slice(None), slice(2, 5), slice(1, None, 3), slice(4, 4)):
        found = one.grouped(groups, 4, frames)
        assert tuple(found.shape) == (4, 6, len(range(8)[frames]), 3)
        for g in range(4):
            np.testing.assert_allclose(found[g], each[groups == g].sum(axis=0)[:, frames])
    assert one.templates() is one.W
    assert one.activations() is one.H
    assert one.rank == 5


def test_scaling():
    one = model()
    np.testing.assert_allclose(one.scaled(2.0).reconstruction(), 2 * one.reconstruction())
    np.testing.assert_array_equal(one.scaled(2.0).W, one.W)
    given = 17 * np.random.default_rng(1).random((6, 2))
    one.W[:, :2] = given / given.mean()
    found = one.scaled(3.0, fixed=given)
    np.testing.assert_array_equal(found.W[:, :2], given)
    for k in range(5):
        np.testing.assert_allclose(found.component(k), 3 * one.component(k))


def test_it_is_stored_with_its_gains():
    one = model()
    one.curve = {"iteration": np.array([0]), "loss": np.array([1.0])}
    back = restored(stored(one))
    assert isinstance(back, CP)
    for name in "WHQ":
        np.testing.assert_array_equal(getattr(back, name), getattr(one, name))


@pytest.mark.parametrize("backend", [np.asarray, torch.as_tensor])
def test_panning_is_gains_that_add_up_to_one(backend):
    gains = np.array([[3.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    one = CP(np.ones((2, 3)), np.ones((3, 4)), gains).mapped(backend)
    np.testing.assert_array_equal(np.asarray(one.panning()), [[0.75, 0, 1], [0.25, 0, 0]])
