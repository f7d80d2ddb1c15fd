import numpy as np
import pytest
import torch

from nmfab.base.errors import ComputationError
from nmfab.base.kinds import restored, stored
from nmfab.base.kinds.tucker import Tucker


def model(backend=np.asarray):
    rng = np.random.default_rng(0)
    arrays = [rng.random(s) for s in ((3, 2, 5), (6, 3), (4, 2), (8, 5))]
    return Tucker(*arrays).mapped(backend)


@pytest.mark.parametrize("backend", [np.asarray, torch.as_tensor])
def test_patterns_components_and_groups(backend):
    one = model(backend)
    G, W, H, Q = (np.asarray(x) for x in (one.core, one.frequency, one.instant, one.bar))
    each = np.einsum("abc,fa,ib,tc->cfit", G, W, H, Q)
    np.testing.assert_allclose(one.reconstruction(), each.sum(axis=0), rtol=1e-13)
    for k in range(5):
        np.testing.assert_allclose(one.component(k), each[k], rtol=1e-13)
    groups = np.array([1, 0, -1, 1, 3])
    for bars in (slice(None), slice(2, 5), slice(1, None, 3), slice(4, 4)):
        found = one.grouped(groups, 4, bars)
        assert tuple(found.shape) == (4, 6, 4, len(range(8)[bars]))
        for g in range(4):
            np.testing.assert_allclose(found[g], each[groups == g].sum(axis=0)[..., bars])
    assert one.rank == 5


def test_templates_times_activations_are_the_unfolded_model():
    one = model()
    assert one.templates().shape == (24, 5)
    assert one.activations().shape == (5, 8)
    unfolded = one.reconstruction().reshape(24, 8)
    np.testing.assert_allclose(one.templates() @ one.activations(), unfolded)


def test_scaling_and_held_templates():
    one = model()
    np.testing.assert_allclose(one.scaled(2.0).reconstruction(), 2 * one.reconstruction())
    np.testing.assert_array_equal(one.scaled(2.0).bar, one.bar)
    with pytest.raises(ComputationError, match="holds no templates"):
        one.scaled(2.0, fixed=np.ones((24, 2)))


def test_it_is_stored_with_templates_and_activations():
    one = model()
    one.curve = {"iteration": np.array([0]), "loss": np.array([1.0])}
    arrays = stored(one)
    np.testing.assert_array_equal(arrays["W"], one.templates())
    np.testing.assert_array_equal(arrays["H"], one.bar.T)
    back = restored(arrays)
    assert isinstance(back, Tucker)
    np.testing.assert_array_equal(back.core, one.core)
