"""Models that are more than W·H: kinds of their own, from the start to what is stored."""

from dataclasses import dataclass, fields

import numpy as np
import pytest

from nmfab.algorithms import ALGORITHMS, algorithm, frame
from nmfab.base.errors import ComputationError, UsageError
from nmfab.base.kinds import KINDS, Factorization, LowRank, kind, restored, stored
from nmfab.base.values import canonical


@dataclass(eq=False)
class Sum(Factorization):
    """Two matrices that share their activations."""

    left: np.ndarray
    right: np.ndarray
    shared: np.ndarray

    def reconstruction(self):
        return {"left": self.left @ self.shared, "right": self.right @ self.shared}

    def activations(self):
        return self.shared

    def scaled(self, factors, fixed=None):
        left, right = self.left * factors["left"], self.right * factors["right"]
        return self._described(Sum(left, right, self.shared))


def coupled_start(problem):
    rng, V = problem.rng, problem.V
    sizes = [(len(V["left"]), problem.rank), (len(V["right"]), problem.rank)]
    model = Sum(
        *(rng.random(size) for size in sizes), rng.random((problem.rank, V["left"].shape[1]))
    )
    model.extra = {"drawn": np.array([problem.rank])}
    return model


def coupled(V, model, *, weight=1.0):
    """Couple two factorizations by stacking their arrays."""
    stacked = np.vstack([V["left"], V["right"]])
    W, H, rows = np.vstack([model.left, model.right]), model.shared, len(model.left)
    while True:
        H = H * (W.T @ stacked) / np.maximum(W.T @ W @ H, 1e-12)
        W = W * (stacked @ H.T) / np.maximum(W @ (H @ H.T), 1e-12)
        yield Sum(W[:rows], W[rows:], H), weight * np.sum((stacked - W @ H) ** 2) / 2


@pytest.fixture
def register():
    """Register a function and the kind for one test."""
    before = set(ALGORITHMS.names())
    kind("sum", version=3)(Sum)
    yield lambda function, **declared: algorithm("mine", **{"betas": (2,)} | declared)(function)
    del KINDS._components["sum"]
    for name in set(ALGORITHMS.names()) - before:
        del ALGORITHMS._components[name]


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    V = rng.random((20, 4)) @ rng.random((4, 25)) + 0.01
    return {"left": 50 * V[:12], "right": 2 * V[12:]}


SETTING = {"algorithm": "mine", "beta": 2, "rank": 4, "seed": 1, "stop": 300, "dtype": "float64"}


def test_a_model_of_its_own_kind_comes_back_on_the_scale_of_each_view(register, views):
    register(coupled, gives=Sum, takes="views", start=coupled_start)
    model = frame.factorize(SETTING, views)
    assert isinstance(model, Sum)
    for name, found in model.reconstruction().items():
        assert abs(found - views[name]).max() < 0.1 * views[name].max()
        assert model.scale[name] == pytest.approx(views[name].mean())
    assert (np.diff(model.curve["loss"]) < 0).all()
    assert np.isnan(model.curve["kkt"]).all()
    np.testing.assert_allclose(model.curve["objective"][1:], model.curve["loss"][1:])
    assert np.isnan(model.curve["objective"][0])
    assert model.extra["drawn"] == [4]


def test_what_is_stored_gives_the_model_back(register, views):
    register(coupled, gives=Sum, takes="views", start=coupled_start)
    model = frame.factorize(SETTING, views)
    arrays = stored(model)
    assert arrays["kind"] == "sum"
    np.testing.assert_array_equal(arrays["H"], model.shared)
    assert "W" not in arrays
    back = restored({name: np.asarray(value) for name, value in arrays.items()})
    for field in fields(model):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(model, field.name))
    assert (back.stopped, back.scale, back.batch) == (model.stopped, model.scale, 1)
    np.testing.assert_array_equal(back.extra["drawn"], [4])
    assert list(back.curve) == ["iteration", "seconds", "loss", "kkt", "objective"]


def test_arrays_of_a_kind_that_is_not_registered_read_as_arrays(register, views, monkeypatch):
    register(coupled, gives=Sum, takes="views", start=coupled_start)
    arrays = stored(frame.factorize(SETTING, views))
    monkeypatch.delitem(KINDS._components, "sum")
    assert set(restored(arrays)) == set(arrays)
    monkeypatch.setitem(KINDS._components, "sum", Sum)


def test_the_kind_is_in_the_key_and_its_parameters_too(register):
    register(coupled, gives=Sum, takes="views", start=coupled_start)
    assert frame.versions(SETTING)["kind.sum"] == 3
    assert frame.parameters(SETTING)["mine.weight"] == canonical(1.0)
    assert frame.parameters(SETTING)["seed"] == 1


def test_what_a_task_needs_is_asked_beforehand(register):
    register(coupled, gives=Sum, takes="views", start=coupled_start)
    forms = ("matrix", "views")
    lacking = "the factorization that mine yields has no templates"
    assert frame.skip(SETTING, forms=forms, needs=("templates", "activations")) == lacking
    assert frame.skip(SETTING, forms=forms, needs=("activations",)) is None
    refused = "mine takes V as views, and this task gives matrix, bars"
    assert frame.skip(SETTING, forms=("matrix", "bars")) == refused


def test_a_residual_that_cannot_be_measured_is_no_stop(register):
    register(coupled, gives=Sum, takes="views", start=coupled_start)
    reason = frame.skip(SETTING | {"stop": "kkt<1e-3"}, forms=("views",))
    assert reason.startswith("the residual of mine cannot be measured")
    assert frame.skip(SETTING | {"stop": "3s"}, forms=("views",)) is None


def test_another_kind_than_declared(register):
    def surprising(V, W, H):
        while True:
            yield Sum(W, W, H)

    register(surprising)
    with pytest.raises(ComputationError, match="mine yields Sum, not W, H or W, H, objective"):
        frame.factorize({"algorithm": "mine", "beta": 2}, np.ones((4, 5)))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"gives": Sum, "takes": "views"}, "the kind sum has no usual start"),
        ({"gives": Sum, "takes": "sounds", "start": coupled_start}, "takes is one of matrix"),
        ({"gives": dict, "start": coupled_start}, "gives is a subclass"),
        ({"gives": Sum, "start": coupled_start, "batch": ("seed",)}, "cannot share a call"),
    ],
)
def test_declarations_that_contradict_themselves(register, declared, message):
    with pytest.raises(UsageError, match=message):
        register(coupled, **declared)


def test_a_kind_without_a_name_is_refused():
    @dataclass(eq=False)
    class Nameless(Factorization):
        W: np.ndarray

    with pytest.raises(UsageError, match=r"make Nameless known: @kind"):
        algorithm("mine", betas=(2,), gives=Nameless, start=coupled_start)(coupled)
    with pytest.raises(UsageError, match="derive the class"):
        kind("other")(dict)


def test_a_start_is_timed_and_told_what_it_needs(register, monkeypatch):
    seen = []

    def start(problem):
        seen.append(problem)
        return problem.usual_start(problem.V)

    def idle(V, W, H, *, beta=1.0, weight=2):
        while True:
            yield W, H

    clock = iter(np.arange(0, 1e6) * 0.5)
    monkeypatch.setattr("nmfab.algorithms.frame.perf_counter", lambda: next(clock))
    register(idle, betas=None, start=start)
    V = np.random.default_rng(0).random((6, 7))
    p = {"algorithm": "mine", "beta": 0.5, "rank": 3, "init": "random", "seed": 5}
    model = frame.factorize(p | {"stop": 4, "mine.weight": 9}, V)
    assert model.curve["seconds"][0] == pytest.approx(0.5, abs=0.1)
    (problem,) = seen
    assert (problem.rank, problem.beta, problem.iterations) == (3, 0.5, 4)
    assert problem.parameters == {"weight": 9}
    assert problem.V.mean() == pytest.approx(1)
    W, H = problem.usual_start(problem.V)
    np.testing.assert_allclose(model.H, H, rtol=1e-6)
    np.testing.assert_allclose(model.W, W * V.mean(), rtol=1e-6)
    frame.factorize(p | {"stop": "0.1s"}, V)
    assert seen[1].iterations is None
    other = frame.factorize(p | {"seed": 6, "stop": 4}, V)
    assert abs(other.W - model.W).max() > 0.01


def test_a_model_without_beta_names_the_one_that_is_shown(register):
    def own(V, W, H):
        while True:
            yield W, H

    register(own, betas=None, shown_beta=0)
    assert "beta" not in frame.parameters({"algorithm": "mine", "beta": 2})
    V = np.random.default_rng(0).random((6, 7)) + 0.1
    model = frame.factorize(
        {"algorithm": "mine", "rank": 2, "init": "random", "dtype": "float64"}, V
    )
    ratio = V / model.reconstruction()
    assert model.curve["loss"][-1] == pytest.approx(np.sum(ratio - np.log(ratio) - 1), rel=1e-5)


def test_an_end_above_the_start_is_said(register, caplog):
    def rising(V, W, H):
        while True:
            W = W * 1.5
            yield W, H

    register(rising)
    frame.factorize({"algorithm": "mine", "beta": 2, "stop": 9}, np.ones((4, 5)) + np.eye(4, 5))
    assert "mine, beta 2: ended above where it started" in caplog.text


def test_a_model_that_is_zero_where_V_is_not_is_said(register, caplog):
    def dying(V, W, H, *, beta=1.0):
        H = H.copy()
        H[:, 2] = 0
        while True:
            yield W, H

    register(dying, betas=(1,))
    frame.factorize({"algorithm": "mine", "beta": 1, "stop": 9}, np.ones((4, 5)) + np.eye(4, 5))
    assert "W·H is 0 where V is not" in caplog.text


def test_groups_of_a_low_rank_model():
    rng = np.random.default_rng(0)
    model = LowRank(rng.random((6, 3)), rng.random((3, 8)))
    whole = model.grouped([1, -1, 1], 3)
    np.testing.assert_allclose(whole[1], model.component(0) + model.component(2))
    assert not whole[[0, 2]].any()
    np.testing.assert_array_equal(
        model.grouped([1, -1, 1], 3, frames=slice(2, 5)), whole[:, :, 2:5]
    )


@kind("bundle", version=1)
@dataclass(eq=False)
class Bundle(Factorization):
    """A tuple, a dict whose names are numbers, and one array."""

    layers: tuple
    views: dict
    H: np.ndarray

    def activations(self):
        return self.H


def test_tuples_and_dicts_of_arrays_come_back_as_they_were():
    rng = np.random.default_rng(0)
    layers = tuple(rng.random((2, size)) for size in range(1, 13))
    views = {"256": rng.random(3), "0": rng.random(2)}
    arrays = stored(Bundle(layers, views, rng.random((2, 5))))
    try:
        back = restored({name: arrays[name] for name in sorted(arrays)})  # as a file gives them
        twice = back.mapped(lambda array: 2 * array)
    finally:
        KINDS._components.pop("bundle")
    for found, factor in ((back, 1), (twice, 2)):
        assert len(found.layers) == 12
        for ours, theirs in zip(found.layers, layers, strict=True):
            np.testing.assert_array_equal(ours, factor * theirs)
        assert list(found.views) == ["256", "0"]
        np.testing.assert_array_equal(found.views["256"], factor * views["256"])
