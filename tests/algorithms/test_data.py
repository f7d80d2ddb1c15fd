"""V as the frame holds it, and what an algorithm's own start receives."""

from dataclasses import dataclass

import numpy as np
import pytest

from nmfab.algorithms import ALGORITHMS, algorithm, frame
from nmfab.algorithms.problem import View
from nmfab.base.errors import ComputationError
from nmfab.base.kinds import KINDS, Factorization, LowRank, kind

RNG = np.random.default_rng(0)
V = RNG.random((20, 4)) @ RNG.random((4, 25)) + 0.1


@dataclass(eq=False)
class Pair(Factorization):
    """Two matrices, each a product with the same activations."""

    left: np.ndarray
    right: np.ndarray
    H: np.ndarray

    def reconstruction(self):
        return {"left": self.left @ self.H, "right": self.right @ self.H}

    def activations(self):
        return self.H

    def scaled(self, factors, fixed=None):
        left, right = self.left * factors["left"], self.right * factors["right"]
        return self._described(Pair(left, right, self.H))


@dataclass(eq=False)
class Power(Factorization):
    """A model of a mixture's power."""

    P: np.ndarray

    def reconstruction(self):
        return self.P

    def scaled(self, factors, fixed=None):
        return self._described(Power(self.P * factors))


@pytest.fixture
def register():
    """Register an algorithm that yields its start for ever, for one test."""
    kind("pair", version=1)(Pair)
    kind("power", version=1)(Power)

    def add(**declared):
        def plain(V, W, H, *, beta=1, fixed=0, own=3):
            while True:
                yield W, H

        def other(V, model, *, beta=1, fixed=0, own=3):
            while True:
                yield model

        algorithm("mine", **declared)(plain if declared.get("gives", LowRank) is LowRank else other)

    yield add
    for name in ("pair", "power"):
        del KINDS._components[name]
    ALGORITHMS._components.pop("mine", None)


P = {"algorithm": "mine", "rank": 3, "stop": 2, "dtype": "float64", "seed": 5}


def noting(seen, make):
    def start(problem):
        seen.append(problem)
        return make(problem)

    return start


def usual(problem):
    return problem.usual_start(problem.V)


def test_a_start_is_told_of_the_setting(register):
    seen, view = [], View(frequencies=np.arange(20) * 10.0, sample_rate=400.0, power=2)
    register(start=noting(seen, usual))
    frame.factorize(P | {"beta": 0, "init": "nndsvd", "mine.own": 8}, V, view)
    (problem,) = seen
    assert (problem.rank, problem.beta, problem.iterations) == (3, 0, 2)
    assert (problem.init, problem.seed) == ("nndsvd", 5)
    assert problem.parameters == {"own": 8}
    assert problem.view is view
    np.testing.assert_array_equal(problem.frequencies, view.frequencies)
    assert problem.rng.random() == np.random.default_rng(5).random()
    assert problem.fixed is None
    for stop in ("0.01s", "kkt<0.9"):
        ALGORITHMS._components.pop("mine")
        register(start=noting(seen, usual))
        frame.factorize(P | {"stop": stop, "beta": 2}, V)
        assert seen[-1].iterations is None


@pytest.mark.usefixtures("register")
def test_a_start_of_a_model_without_beta_is_told_of_none():
    seen = []

    def blind(V, W, H):
        while True:
            yield W, H

    algorithm("mine", shown_beta=1, start=noting(seen, usual))(blind)
    frame.factorize(P, V)
    assert seen[0].beta is None


def test_a_start_is_told_of_templates_that_are_held_and_of_how_many(register):
    seen, held = [], 1 + RNG.random((20, 4))
    ones = noting(seen, lambda p: (np.ones((20, p.rank)), np.ones((p.rank, 25))))
    register(start=ones)
    some, every = (frame.factorize(p, V, fixed=held) for p in (P | {"rank": 6}, _without_rank(P)))
    assert [problem.rank for problem in seen] == [6, 4]
    for problem in seen:
        np.testing.assert_allclose(problem.fixed, held / held.mean())
    assert (some.rank, every.rank) == (6, 4)
    assert "init" in frame.parameters(P, held="all")
    assert "nmf.init" in frame.versions(P, held="all")
    assert frame.parameters(P, held="all")["seed"] == 5


def _without_rank(p):
    return {name: value for name, value in p.items() if name != "rank"}


def test_the_usual_start_of_another_matrix_may_have_another_rank(register):
    shapes = []

    def start(problem):
        shapes.append([factor.shape for factor in problem.usual_start(problem.V[:9], 2)])
        return usual(problem)

    register(start=start)
    frame.factorize(P | {"init": "random"}, V)
    assert shapes == [[(9, 2), (2, 25)]]


def test_a_harmonic_start_of_ones_own_knows_the_frequencies(register):
    register(start=usual)
    tall, view = RNG.random((300, 12)), View(frequencies=np.arange(300) * 20.0)
    p = P | {"init": "harmonic", "rank": 88}
    assert (frame.factorize(p, tall, view).W == 0).mean() > 0.3
    with pytest.raises(ComputationError, match="needs at least that rank"):
        frame.factorize(p | {"rank": 87}, tall, view)


def test_what_a_start_gives_is_of_the_declared_kind(register):
    register(gives=Power, start=lambda problem: LowRank(*usual(problem)))
    with pytest.raises(ComputationError, match="mine starts from LowRank, not Power"):
        frame.factorize(P, V)
    ALGORITHMS._components.pop("mine")
    register(gives=Power, start=lambda problem: Power(problem.V))
    with pytest.raises(ComputationError, match="of the kind power, and the start is LowRank"):
        frame.factorize(P, V, start=LowRank(np.ones((20, 3)), np.ones((3, 25))))


def test_v_cannot_be_written_to(register):
    def start(problem):
        with pytest.raises(ValueError, match="read-only"):
            problem.V[0, 0] = 1
        return usual(problem)

    register(start=start)
    dusty = V.copy()
    dusty[0, 0] = 1e-14 * V.mean()  # silence at beta 0: another array is given
    for beta in (0, 1):
        frame.factorize(P | {"beta": beta}, dusty)


@pytest.mark.parametrize("rank", [2, 6])
def test_held_templates_start_with_a_model_of_the_mean_of_v(register, rank):
    """Free templates have the mean of those that are held."""
    held = 1 + RNG.random((20, 2))
    register()
    for scale in (1, 50):
        model = frame.factorize(P | {"rank": rank, "init": "random"}, scale * V, fixed=held)
        assert model.reconstruction().mean() == pytest.approx(scale * V.mean())
        np.testing.assert_allclose(model.W[:, :2], held)
        if rank > 2:
            assert model.W[:, 2:].mean() == pytest.approx(held.mean())
    full = V + RNG.random(V.shape)
    many = frame.factorize(P | {"rank": 25}, full, fixed=held)
    assert many.filled == 3  # 23 that are free, of a matrix of rank 20


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        (np.full((20, 2), -1.0), "negative entries"),
        (np.zeros((20, 2)), "do not fit V of 20 rows"),
        (np.full((20, 2), np.nan), "NaN entries"),
        (np.full((20, 2), np.inf), "do not fit V of 20 rows"),
        (np.ones((20, 2), dtype=int), "do not fit V of 20 rows"),
        (np.ones((19, 2)), "do not fit V of 20 rows"),
    ],
)
def test_templates_that_cannot_be_held(register, fixed, message):
    register()
    with pytest.raises(ComputationError, match=message):
        frame.factorize(P, V, fixed=fixed)


def test_an_algorithm_without_the_keyword_holds_none(register):
    for held in ("some", "all"):
        reason = frame.skip({"algorithm": "sklearn_mu", "beta": 1}, held=held)
        assert reason == "sklearn_mu cannot hold templates fixed: it takes no keyword fixed"


def power_of(problem):
    return Power(abs(problem.V) ** 2)


def test_a_mixture_is_divided_by_its_root_mean_square_and_its_model_is_one_of_power(register):
    X = 30 * (RNG.standard_normal((5, 6, 2)) + 1j * RNG.standard_normal((5, 6, 2)))
    seen = []
    register(gives=Power, takes="mixture", start=noting(seen, power_of))
    model = frame.factorize(P, X)
    root = np.sqrt(np.mean(abs(X) ** 2))
    assert model.scale == pytest.approx(root)
    np.testing.assert_allclose(seen[0].V, X / root)
    assert not seen[0].V.flags.writeable
    np.testing.assert_allclose(model.reconstruction(), abs(X) ** 2)
    np.testing.assert_allclose(model.curve["loss"], 0, atol=1e-9)
    again = frame.factorize(P, X, start=model)
    np.testing.assert_allclose(again.reconstruction(), model.reconstruction())
    X[0, 0, 0] = np.nan
    with pytest.raises(ComputationError, match="NaN or infinite entries"):
        frame.factorize(P, X)


def half(problem):
    left, right = problem.V["left"], problem.V["right"]
    return Pair(left, right, np.eye(left.shape[1]))


def test_a_start_of_views_is_scaled_view_by_view(register):
    views = {"left": 7 * V, "right": V[:5]}
    seen = []
    register(gives=Pair, takes="views", start=noting(seen, half))
    model = frame.factorize(
        P, views, {"left": View(np.arange(20.0)), "right": View(np.arange(5.0))}
    )
    np.testing.assert_array_equal(seen[0].frequencies, np.arange(20.0))
    again = frame.factorize(P, views, start=model)
    for found in (model, again):
        for name, values in found.reconstruction().items():
            np.testing.assert_allclose(values, views[name])
        np.testing.assert_allclose(found.curve["loss"], 0, atol=1e-9)


@pytest.mark.parametrize("silent", ["left", "right"])
def test_a_view_that_is_silent_is_silent_in_the_model(register, silent):
    views = {"left": 7 * V, "right": 2 * V}
    views[silent] = np.zeros_like(V)
    seen = []
    register(gives=Pair, takes="views", start=noting(seen, half))
    model = frame.factorize(P, views)
    assert model.stopped == "silent"
    assert model.curve["iteration"].tolist() == [0]
    for name, values in model.reconstruction().items():
        np.testing.assert_allclose(values, views[name], atol=1e-12)
        assert seen[0].V[name].mean() == pytest.approx(1)


def test_views_and_matrices_are_not_taken_for_each_other(register):
    with pytest.raises(ComputationError, match="V is wanted as matrix: one matrix"):
        frame.factorize({"rank": 3}, {"V": V})
    register(gives=Pair, takes="views", start=half)
    with pytest.raises(ComputationError, match="V is wanted as views: a dict of matrices"):
        frame.factorize(P, V)


def test_settings_of_several_dtypes_each_have_theirs():
    settings = [{"dtype": dtype, "stop": 2} for dtype in ("float32", "float64")]
    dtypes = [model.W.dtype for model in frame.factorize_batch(settings, V)]
    assert dtypes == [np.float32, np.float64]


@pytest.mark.usefixtures("register")
def test_dust_is_silence_in_the_calls_of_beta_0_alone():
    seen = {}

    def noting(V, W, H, *, beta=1):
        seen[tuple(np.atleast_1d(beta).tolist())] = V[0, 0]
        while True:
            yield W, H

    algorithm("mine", batch=("beta",))(noting)
    dusty = V.copy()
    dusty[0, 0] = 1e-14 * V.mean()
    frame.factorize_batch([P | {"beta": beta} for beta in (2, 0, 1)], dusty)
    assert seen == {(0,): 0, (1, 2): pytest.approx(1e-14, abs=1e-16)}
