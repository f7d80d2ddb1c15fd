"""The loop: what it measures of each problem, where it ends, what it refuses and warns of."""

from dataclasses import dataclass

import numpy as np
import pytest

from nmfab.algorithms import frame
from nmfab.base.divergence import stationarity
from nmfab.base.errors import ComputationError
from nmfab.base.kinds import KINDS, Factorization, LowRank, kind
from nmfab.base.resources import Resources, use_resources

RNG = np.random.default_rng(0)
V = RNG.random((20, 4)) @ RNG.random((4, 25)) + 0.1
P = {"algorithm": "mine", "beta": 2, "rank": 3, "init": "random", "stop": 3, "dtype": "float64"}


def idle(V, W, H):
    while True:
        yield W, H


@pytest.mark.parametrize("count", [2, 3])
def test_the_residual_leaves_out_templates_that_are_held(count):
    """Of H alone where all are held: it falls to zero, which that of W does not."""
    held = 1 + RNG.random((20, count))
    p = {"rank": 3, "beta": 1, "stop": 400, "dtype": "float64", "init": "random"}
    model = frame.factorize(p, V, fixed=held)
    whole = stationarity(V, model.W, model.H, 1)
    assert model.curve["kkt"][-1] == pytest.approx(
        stationarity(V, model.W, model.H, 1, fixed=count), rel=1e-3
    )
    assert model.curve["kkt"][-1] < 0.1 * whole
    np.testing.assert_allclose(model.W[:, :count], held)


def test_each_problem_of_a_batch_has_its_own_objective_and_its_own_rank(register):
    def batched(V, W, H):
        while True:
            yield W, H, W[..., 0, 0] if W.ndim == 3 else W[0, 0]

    register(batched, batch=("seed", "rank"))
    settings = [P | {"seed": seed, "rank": rank} for seed, rank in ((0, 2), (1, 4), (2, 3))]
    for setting, model in zip(settings, frame.factorize_batch(settings, V), strict=True):
        assert model.batch == 3
        assert model.W.shape == (20, setting["rank"])
        assert model.H.shape == (setting["rank"], 25)
        assert model.curve["objective"][-1] == pytest.approx(model.W[0, 0] / V.mean())
        np.testing.assert_array_equal(model.W, frame.factorize(setting, V).W)


def test_what_ended_is_kept_though_the_others_go_on_in_the_same_arrays(register):
    def in_place(V, W, H):
        while True:
            Wt = np.swapaxes(W, -1, -2)
            H *= (Wt @ V) / (Wt @ W @ H)
            Ht = np.swapaxes(H, -1, -2)
            W *= (V @ Ht) / (W @ (H @ Ht))
            yield W, H

    register(in_place, batch=("seed",))
    settings = [P | {"rank": 4, "seed": seed, "stop": "kkt<1e-3"} for seed in range(4)]
    together = frame.factorize_batch(settings, V)
    assert len({model.curve["iteration"][-1] for model in together}) > 1
    for setting, model in zip(settings, together, strict=True):
        np.testing.assert_allclose(model.W, frame.factorize(setting, V).W, rtol=1e-9)


def test_an_end_on_the_last_iteration_by_residual_is_one_by_residual(register, monkeypatch):
    monkeypatch.setattr("nmfab.algorithms.settings.CAP", 2)
    exact = LowRank(RNG.random((20, 3)) + 0.1, RNG.random((3, 25)) + 0.1)

    def late(V, W, H):
        yield 2 * W, H
        yield W, H
        raise AssertionError("called a third time")

    register(late)
    p = P | {"stop": "kkt<1e-6"}
    model = frame.factorize(p, exact.reconstruction(), start=exact)
    assert (model.stopped, model.curve["iteration"][-1]) == ("kkt", 2)


def test_a_model_with_an_objective_and_what_it_carries_are_kept(register):
    def carrying(V, W, H):
        for i in range(3):
            model = LowRank(W, H)
            model.extra = {"weight": np.array([i, 7]), "told": np.array([1])}
            yield model, 10 - i

    def start(problem):
        model = LowRank(*problem.usual_start(problem.V))
        model.extra = {"weight": np.array([9, 9]), "drawn": np.array([3])}
        return model

    register(carrying, start=start)
    model = frame.factorize(P, V)
    np.testing.assert_array_equal(model.curve["objective"], [np.nan, 10, 8])
    assert {name: list(value) for name, value in model.extra.items()} == {
        "weight": [2, 7], "told": [1], "drawn": [3],
    }  # fmt: skip


def test_an_end_above_the_first_objective_is_said(register, caplog):
    def rising(V, W, H):
        for i in range(3):
            yield W, H, 1.0 + i

    register(rising)
    frame.factorize(P, V)
    assert "mine, beta 2: ended above where it started" in caplog.text


def test_an_array_of_another_shape_is_refused(register):
    def shrinking(V, W, H):
        yield W, H
        yield W[:, :2], H[:2]

    register(shrinking)
    message = r"mine: W \(20, 2\), H \(2, 25\) at iteration 2, expected W \(20, 3\), H \(3, 25\)"
    with pytest.raises(ComputationError, match=message):
        frame.factorize(P | {"stop": 2}, V)


def test_complex_entries_are_refused(register):
    def turning(V, W, H):
        yield W, H * 1j

    register(turning)
    with pytest.raises(ComputationError, match="mine: complex entries in H at iteration 1"):
        frame.factorize(P, V)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("beta", "sounds", "said"), [(1, True, True), (1, False, False)])
def test_a_silent_row_or_column_is_said_where_v_sounds(register, caplog, axis, beta, sounds, said):
    def dying(V, W, H, *, beta=1):
        W, H = W.copy(), H.copy()
        (W[2:3] if axis == 0 else H[:, 2])[...] = 0
        while True:
            yield W, H

    register(dying, betas=None)
    seen = V.copy()
    (seen[2:3] if axis == 0 else seen[:, 2])[...] *= sounds
    frame.factorize(P | {"beta": beta}, seen)
    assert ("W·H is 0 where V is not" in caplog.text) == said


def test_in_least_squares_a_model_may_be_zero_where_v_is_not(register, caplog):
    def dying(V, W, H):
        H = H.copy()
        H[:, 2] = 0
        while True:
            yield W, H

    register(dying)
    frame.factorize(P, V)
    assert "W·H is 0" not in caplog.text


@pytest.mark.parametrize("points", [40, 41, 200])
def test_a_curve_has_every_iteration_where_as_many_points_are_asked_for(register, points):
    register(idle)
    with use_resources(Resources(curve=points)):
        model = frame.factorize(P | {"stop": 40}, V)
    assert model.curve["iteration"].tolist() == list(range(41))


@dataclass(eq=False)
class Layers(Factorization):
    """The sum of several matrices, which may be negative, and of one that may not."""

    parts: tuple
    rest: np.ndarray

    signed = ("parts",)

    def reconstruction(self):
        return sum(self.parts) + self.rest

    def scaled(self, factors, fixed=None):
        parts = tuple(factors * part for part in self.parts)
        return self._described(Layers(parts, factors * self.rest))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda model: model, None),
        (lambda model: Layers(model.parts, -model.rest), "a negative entry in rest at iteration 1"),
        (
            lambda model: Layers((0 * model.parts[0], -model.parts[1]), model.rest / 2),
            "a negative entry in the reconstruction of V at iteration 1",
        ),
    ],
)
def test_signs_are_those_that_a_kind_declares(register, spoil, message):
    def own(V, model):
        while True:
            yield spoil(model)

    kind("layers", version=1)(Layers)
    try:
        register(own, gives=Layers, start=lambda p: Layers((-p.V / 2, p.V), np.full_like(p.V, 0.5)))
        if message is None:
            assert frame.factorize(P, V).parts[0].max() < 0
        else:
            with pytest.raises(ComputationError, match=f"mine: {message}"):
                frame.factorize(P, V)
    finally:
        del KINDS._components["layers"]
