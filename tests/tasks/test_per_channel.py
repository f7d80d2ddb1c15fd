"""Factorizations of the channels, read as one."""

import numpy as np

from nmfab.base.kinds import LowRank
from nmfab.tasks.per_channel import PerChannel


def test_components_of_a_channel_sound_in_it_alone():
    rng = np.random.default_rng(0)
    left = LowRank(rng.random((6, 2)), rng.random((2, 7)))
    right = LowRank(rng.random((6, 3)), rng.random((3, 7)))
    both = PerChannel([left, right])
    assert both.rank == 5
    np.testing.assert_array_equal(both.templates()[:, 2:], right.W)
    np.testing.assert_array_equal(both.activations()[:2], left.H)
    V = both.reconstruction()
    assert V.shape == (6, 7, 2)
    np.testing.assert_allclose(V[..., 0], left.W @ left.H)
    np.testing.assert_allclose(V[..., 1], right.W @ right.H)
    assert not both.component(3)[..., 0].any()
    np.testing.assert_allclose(both.component(3)[..., 1], right.component(1))
    # of the left ones the first, of the right ones the second and the third
    found = both.grouped([1, -1, 0, 1, 1], 2, frames=slice(2, 5))
    assert found.shape == (2, 6, 3, 2)
    assert not found[0, ..., 0].any()
    np.testing.assert_allclose(found[1, ..., 0], left.component(0)[:, 2:5])
    np.testing.assert_allclose(found[0, ..., 1], right.component(0)[:, 2:5])
    wanted = right.component(1) + right.component(2)
    np.testing.assert_allclose(found[1, ..., 1], wanted[:, 2:5])
