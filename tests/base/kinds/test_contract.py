from dataclasses import dataclass

import numpy as np
import pytest

from nmfab.base.kinds import KINDS, Factorization, kind, restored, stored
from nmfab.base.kinds.contract import field_of


@dataclass(eq=False)
class Bag(Factorization):
    """Matrices in a tuple and in a dict, and activations that every one of them shares."""

    parts: tuple
    named: dict
    rows: np.ndarray

    def templates(self):
        return np.vstack(self.parts)

    def activations(self):
        return self.rows

    def grouped(self, groups, n_groups, frames=slice(None)):
        masks = [np.equal(groups, g) for g in range(n_groups)]
        return np.stack([self.templates()[:, m] @ self.rows[m, frames] for m in masks])


@pytest.fixture
def bag():
    kind("bag", version=1)(Bag)
    rng = np.random.default_rng(0)
    parts = tuple(rng.random((n, 3)) for n in range(1, 13))
    named = {f"view {n}": rng.random(n) for n in range(12, 0, -1)}
    yield Bag(parts, named, rng.random((3, 5)))
    del KINDS._components["bag"]


def test_a_file_gives_tuples_and_dicts_back_in_their_order(bag):
    arrays = stored(bag)
    back = restored({name: arrays[name] for name in sorted(arrays)})
    assert [len(part) for part in back.parts] == list(range(1, 13))
    assert list(back.named) == [f"view {n}" for n in range(12, 0, -1)]
    for name, values in bag.named.items():
        np.testing.assert_array_equal(back.named[name], values)


def test_templates_and_activations_stand_in_the_file_as_w_and_h(bag):
    arrays = stored(bag)
    np.testing.assert_array_equal(arrays["W"], bag.templates())
    np.testing.assert_array_equal(arrays["H"], bag.rows)


def test_an_array_belongs_to_its_field(bag):
    fields = {field_of(name) for name in bag.arrays()}
    assert fields == {"parts", "named", "rows"}
    assert len(bag.arrays()) == 25


def test_a_component_is_a_group_of_its_own(bag):
    for k in range(3):
        expected = np.outer(bag.templates()[:, k], bag.rows[k])
        np.testing.assert_allclose(bag.component(k), expected)


def test_scales_of_views_and_of_one_v_come_back(bag):
    for scale in (0.5, {"left": 2.0, "right": 0.25}):
        bag.scale = scale
        assert restored(stored(bag)).scale == scale
