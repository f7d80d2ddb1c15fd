"""Models of kinds of their own on a GPU against a CPU; skipped where there is none."""

import numpy as np
import pytest
import torch
from blocks import feasible, matrix, parts_of, problem

from nmfab.algorithms import sums
from nmfab.algorithms.function import factorize

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

DEVICE = "cuda"
SHAPES = {"convolutive": (30, 40), "ntf": (30, 40, 2), "ntd": (30, 20, 25)}


@pytest.mark.parametrize("beta", [-0.5, 0, 0.5, 1, 2, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_a_gpu_gives_what_a_cpu_gives(name, beta):
    V = np.random.default_rng(0).random(SHAPES[name])
    V[V < 0.2] = 0
    options = {"algorithm": name, "beta": beta, "init": "random", "stop": 20, "dtype": "float64"}
    found, expected = (factorize(V, 4, device=device, **options) for device in (DEVICE, "cpu"))
    for field, ours in found.arrays().items():
        theirs = expected.arrays()[field]
        assert np.abs(ours - theirs).max() <= 1e-8 * np.abs(theirs).max(), field


@pytest.mark.parametrize("beta", [0, 1, 1.5, 3])
@pytest.mark.parametrize("l2", [0.0, 0.4])
def test_sums_are_kept_on_a_gpu(beta, l2):
    theta, model, adjoint, V = problem(matrix, 0)
    theta = feasible(theta, 1.0, 0)
    given = theta, *parts_of(theta, model, adjoint, V, beta)
    expected = sums.update_summing_to(*given, beta, 1.0, 0, l2=l2)
    given = (torch.from_numpy(np.array(x)).to(DEVICE) for x in given)
    found = sums.update_summing_to(*given, beta, 1.0, 0, l2=l2).cpu()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
