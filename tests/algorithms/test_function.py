"""`nmfab.factorize`: any algorithm on any V, from a notebook."""

import numpy as np
import pytest

import nmfab
from nmfab.algorithms.problem import View
from nmfab.base.divergence import divergence
from nmfab.base.errors import ComputationError, NmfabError, UsageError


@pytest.fixture
def V():
    rng = np.random.default_rng(0)
    return 7 * (rng.random((20, 4)) @ rng.random((4, 25)) + 0.1 * rng.random((20, 25)))


@pytest.mark.parametrize("algorithm", ["torch_mu", "nnfac_mu", "convolutive", "my_own"])
def test_every_algorithm_gives_a_factorization_on_the_scale_of_V(V, algorithm, tmp_path):
    if algorithm == "my_own":

        @nmfab.algorithm("my_own", betas=(1,))
        def my_own(V, W, H):
            while True:
                H = H * (W.T @ (V / (W @ H))) / W.sum(axis=0)[:, None]
                W = W * ((V / (W @ H)) @ H.T) / H.sum(axis=1)
                yield W, H

    try:
        model = nmfab.factorize(V, 4, algorithm=algorithm, stop=300, dtype="float64")
    finally:
        nmfab.ALGORITHMS._components.pop("my_own", None)
    assert model.templates().shape == (20, 4)
    assert model.activations().shape == (4, 25)
    assert abs(model.reconstruction() - V).mean() < 0.1 * V.mean()
    assert model.curve["loss"][-1] < model.curve["loss"][0]
    assert set(model.curve) >= {"iteration", "seconds", "loss", "kkt"}
    loss = divergence(V / V.mean(), model.reconstruction() / V.mean(), 1)
    assert model.curve["loss"][-1] == pytest.approx(loss, rel=1e-6)


def test_it_goes_on_from_a_factorization_or_a_pair(V):
    whole = nmfab.factorize(V, 4, stop=40, dtype="float64")
    half = nmfab.factorize(V, 4, stop=20, dtype="float64")
    for start in (half, (half.W, half.H)):
        model = nmfab.factorize(V, start=start, stop=20, dtype="float64")
        np.testing.assert_allclose(model.reconstruction(), whole.reconstruction(), rtol=1e-8)


def test_templates_are_held_all_or_some(V):
    held = np.random.default_rng(1).random((20, 3))
    all_held = nmfab.factorize(V, fixed=held)
    np.testing.assert_array_equal(all_held.templates(), held.astype("float32"))
    some = nmfab.factorize(V, 5, fixed=held)
    np.testing.assert_array_equal(some.templates()[:, :3], held.astype("float32"))
    assert some.templates().shape == (20, 5)
    assert some.curve["loss"][-1] < all_held.curve["loss"][-1]


def test_a_start_may_have_more_components_than_are_held(V):
    held = 1 + np.random.default_rng(1).random((20, 3))
    start = nmfab.factorize(V, 5, fixed=held, stop=20)
    model = nmfab.factorize(V, fixed=held, start=start, stop=20)
    assert model.rank == 5
    np.testing.assert_array_equal(model.templates()[:, :3], held.astype("float32"))
    assert model.curve["loss"][-1] < start.curve["loss"][-1]


def test_a_view_says_more_than_frequencies():
    seen, ones = [], (np.ones((20, 2)), np.ones((2, 25)))

    @nmfab.algorithm("my_own", betas=(1,), start=lambda problem: seen.append(problem) or ones)
    def my_own(V, W, H):
        while True:
            yield W, H

    view = View(frequencies=np.arange(20.0), sample_rate=8000.0)
    try:
        nmfab.factorize(
            np.ones((20, 25)), 2, algorithm="my_own", view=view, frequencies=np.ones(20)
        )
    finally:
        nmfab.ALGORITHMS._components.pop("my_own", None)
    assert seen[0].view is view


def test_frequencies_seeds_and_own_parameters_arrive():
    rng = np.random.default_rng(0)
    V = rng.random((300, 12))
    harmonic = nmfab.factorize(V, 88, init="harmonic", frequencies=np.arange(300) * 20.0, stop=1)
    assert (harmonic.templates() == 0).mean() > 0.3
    first, second = (nmfab.factorize(V, 3, seed=seed, stop=5) for seed in (0, 1))
    assert abs(first.W - second.W).max() > 0.01
    passes = [
        nmfab.factorize(V, 3, algorithm="torch_hals", beta=2, inner=n, stop=3) for n in (1, 5)
    ]
    assert passes[1].curve["loss"][-1] != passes[0].curve["loss"][-1]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"rank": None}, UsageError, "needs a rank"),
        ({"algorithm": "torch_mv"}, UsageError, "did you mean 'torch_mu'"),
        ({"lenght": 3}, UsageError, "unknown parameter of algorithm torch_mu 'lenght'"),
        ({"algorithm": "ntf"}, ComputationError, "does not fit the form channels"),
        ({"start": (1, 2)}, UsageError, "are no pair"),
        ({"start": 3}, UsageError, "a pair W, H, or a factorization"),
        (
            {"start": (np.ones((20, 4)), np.ones((4, 9)))},
            ComputationError,
            "is a model of V",
        ),
        ({"fixed": 5}, UsageError, "the templates themselves"),
        ({"fixed": np.full((20, 3), np.nan)}, ComputationError, "NaN"),
        ({"frequencies": np.ones(3)}, UsageError, "for V of 20 rows"),
        ({"start": (np.ones((20, 2)), np.ones((2, 25)))}, UsageError, "has 2 components"),
        ({"fixed": np.ones((20, 7))}, ComputationError, "7 templates are to be held: rank 4"),
        ({"fixed": np.ones((3, 3))}, ComputationError, "do not fit V of 20 rows"),
        ({"init": "harmonic"}, NmfabError, "needs the frequency of each row"),
        ({"device": "tpu"}, UsageError, "unknown device 'tpu'"),
        (
            {"algorithm": "convolutive", "stop": "kkt<1e-3"},
            ComputationError,
            "the residual of convolutive cannot be measured",
        ),
    ],
)
def test_a_wrong_argument_is_named(V, wrong, error, message):
    with pytest.raises(error, match=message):
        nmfab.factorize(V, **{"rank": 4, **wrong})
