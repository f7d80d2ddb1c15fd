import numpy as np
import pytest
import torch

from nmfab.base.kinds import LowRank, restored, stored


def model(backend=np.asarray, rank=4):
    rng = np.random.default_rng(0)
    return LowRank(rng.random((6, rank)), rng.random((rank, 9))).mapped(backend)


@pytest.mark.parametrize("backend", [np.asarray, torch.as_tensor])
def test_components_groups_and_frames(backend):
    one = model(backend)
    W, H = np.asarray(one.W), np.asarray(one.H)
    each = np.einsum("fk,kt->kft", W, H)
    np.testing.assert_allclose(one.reconstruction(), each.sum(axis=0), rtol=1e-13)
    for k in range(4):
        np.testing.assert_allclose(one.component(k), each[k], rtol=1e-13)
    for frames in (slice(None), slice(2, 5), slice(4, 4)):
        found = one.grouped(np.array([2, -1, 0, 2]), 3, frames)
        np.testing.assert_allclose(found[0], each[2][:, frames])
        assert not np.asarray(found[1]).any()
        np.testing.assert_allclose(found[2], (each[0] + each[3])[:, frames])
    assert one.templates() is one.W
    assert one.activations() is one.H
    assert one.rank == 4


def test_scale_goes_into_templates_or_where_they_are_held_into_activations():
    one = model()
    np.testing.assert_array_equal(one.scaled(3.0).W, 3 * one.W)
    np.testing.assert_array_equal(one.scaled(3.0).H, one.H)
    for count in (2, 4):
        fixed = 5 * np.random.default_rng(1).random((6, count))
        divided = one.W.copy()
        divided[:, :count] = fixed / fixed.mean()  # as an algorithm holds them
        held = LowRank(divided, one.H).scaled(3.0, fixed=fixed)
        np.testing.assert_array_equal(held.W[:, :count], fixed)
        np.testing.assert_allclose(held.reconstruction(), 3 * divided @ one.H)
        assert held.W.shape == (6, 4)


def test_a_problem_of_a_batch_is_cut_at_its_rank():
    one, other = model(), model().scaled(2.0)
    both = LowRank(np.stack([one.W, other.W]), np.stack([one.H, other.H]))
    np.testing.assert_array_equal(both.problem(1).W, other.W)
    cut = both.problem(1, 3)
    np.testing.assert_array_equal(cut.W, other.W[:, :3])
    np.testing.assert_array_equal(cut.H, other.H[:3])


def test_what_the_frame_wrote_is_kept_by_every_method_and_by_a_file():
    one = model()
    one.curve = {"iteration": np.array([0, 3]), "loss": np.array([2.0, 1.0])}
    one.stopped, one.filled, one.scale, one.batch = "kkt", 2, 0.25, 8
    one.extra = {"weight": np.array([4.0])}
    back = restored(stored(one))
    np.testing.assert_array_equal(back.W, one.W)
    np.testing.assert_array_equal(back.H, one.H)
    for found in (back, one.mapped(np.copy), one.scaled(2.0), one.scaled(2.0, fixed=one.W)):
        assert (found.stopped, found.filled, found.scale, found.batch) == ("kkt", 2, 0.25, 8)
        assert list(found.curve) == ["iteration", "loss"]
        np.testing.assert_array_equal(found.curve["loss"], [2, 1])
        np.testing.assert_array_equal(found.extra["weight"], [4])
    one.extra = None
    assert restored(stored(one)).extra is None
