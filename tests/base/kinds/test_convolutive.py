import numpy as np
import pytest
import torch

from nmfab.base.kinds import restored, stored
from nmfab.base.kinds.convolutive import Convolutive, shifted


def model(length=4, m=6, rank=5, n=13, backend=np.asarray):
    rng = np.random.default_rng(0)
    return Convolutive(rng.random((length, m, rank)), rng.random((rank, n))).mapped(backend)


def slowly(W, H, k):
    """Return component k, entry by entry."""
    length, m, _ = W.shape
    n = H.shape[1]
    Y = np.zeros((m, n))
    for f in range(m):
        for j in range(n):
            Y[f, j] = sum(W[t, f, k] * H[k, j - t] for t in range(length) if j >= t)
    return Y


@pytest.mark.parametrize("backend", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("n", [13, 2])
def test_components_are_convolutions_and_add_up(backend, n):
    one = model(n=n, backend=backend)
    W, H = np.asarray(one.kernels), np.asarray(one.H)
    for k in range(5):
        np.testing.assert_allclose(one.component(k), slowly(W, H, k), rtol=1e-13)
    total = sum(slowly(W, H, k) for k in range(5))
    np.testing.assert_allclose(one.reconstruction(), total, rtol=1e-13)
    np.testing.assert_allclose(one.templates(), W.sum(axis=0))
    assert one.activations() is one.H
    assert one.rank == 5


@pytest.mark.parametrize("backend", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize(
    "frames",
    [slice(None), slice(5, 9), slice(0, 2), slice(1, 6), slice(9, None), slice(-3, None),
     slice(2, 12, 3), slice(7, 7)],
)  # fmt: skip
def test_groups_at_some_frames(backend, frames):
    one = model(backend=backend)
    W, H = np.asarray(one.kernels), np.asarray(one.H)
    groups = np.array([1, 0, -1, 1, 3])
    found = one.grouped(groups, 4, frames)
    assert len(found) == 4
    for g in range(4):
        expected = sum(slowly(W, H, k) for k in range(5) if groups[k] == g) + np.zeros((6, 13))
        np.testing.assert_allclose(found[g], expected[:, frames], rtol=1e-13)


def test_a_kernel_that_begins_before_the_slice_is_heard_in_it():
    kernels = np.ones((3, 1, 1))
    H = np.array([[0, 1.0, 0, 0, 0, 0]])
    found = Convolutive(kernels, H).grouped([0], 1, slice(2, 5))[0, 0]
    assert found.tolist() == [1, 1, 0]


def test_shifts_lose_what_leaves():
    H = np.array([[1.0, 2.0, 3.0]])
    assert shifted(H, 5)[:, 0].tolist() == [[1, 2, 3], [0, 1, 2], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_scaling_leaves_kernels_as_they_sum():
    one = model()
    twice = one.scaled(2.0)
    np.testing.assert_allclose(twice.reconstruction(), 2 * one.reconstruction())
    np.testing.assert_array_equal(twice.kernels, one.kernels)


def test_held_kernels_come_back_as_they_were_given():
    given = 17 * np.random.default_rng(1).random((4, 6, 2))
    one = model()
    one.kernels[:, :, :2] = given / given.mean()
    found = one.scaled(3.0, fixed=given)
    np.testing.assert_array_equal(found.kernels[:, :, :2], given)
    np.testing.assert_allclose(found.reconstruction(), 3 * one.reconstruction())
    for k in range(5):
        np.testing.assert_allclose(found.component(k), 3 * one.component(k))


def test_it_is_stored_with_templates_and_activations():
    one = model()
    one.curve = {"iteration": np.array([0]), "loss": np.array([1.0])}
    arrays = stored(one)
    np.testing.assert_array_equal(arrays["W"], one.templates())
    np.testing.assert_array_equal(arrays["H"], one.H)
    back = restored(arrays)
    assert isinstance(back, Convolutive)
    np.testing.assert_array_equal(back.kernels, one.kernels)
