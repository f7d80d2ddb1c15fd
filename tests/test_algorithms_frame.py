"""The frame: what a setting reads, when it stops, what it refuses, batches, other models."""

import itertools
import logging
from dataclasses import dataclass

import numpy as np
import pytest

from nmfab.algorithms import ALGORITHMS, Factorization, algorithm, frame
from nmfab.algorithms import settings as of_settings
from nmfab.algorithms.settings import Stop, parse_stop
from nmfab.base.errors import ComputationError, UsageError
from nmfab.tasks.nmf import NMF_PARAMS, nmf_node, nmf_skip


@pytest.fixture
def V():
    rng = np.random.default_rng(0)
    return rng.random((20, 4)) @ rng.random((4, 25)) + 0.1 * rng.random((20, 25))


@pytest.fixture
def register():
    """Register a function for one test."""
    before = set(ALGORITHMS.names())
    yield lambda function, **declared: algorithm("mine", **{"betas": (2,)} | declared)(function)
    for name in set(ALGORITHMS.names()) - before:
        del ALGORITHMS._components[name]


def idle(V, W, H):
    while True:
        yield W, H


def test_a_setting_reads_what_its_start_and_algorithm_need_and_no_more():
    assert frame.parameters({"dataset": "demo", "seed": 3}) == {
        "algorithm": "torch_mu",
        "beta": 1,
        "rank": 10,
        "init": "nndsvda",
        "stop": 200,
        "dtype": "float32",
    }
    assert frame.parameters({"init": "random", "seed": 3})["seed"] == 3
    hals = frame.parameters({"algorithm": "torch_hals", "beta": 2.0})
    assert hals["torch_hals.inner"] == 1
    assert hals["beta"] == 2
    fixed = frame.parameters({"init": "random"}, templates=True)
    assert not {"rank", "init", "seed"} & set(fixed)


def test_parameters_of_what_was_read_are_the_same_again():
    for p in ({"init": "random", "seed": 2}, {"algorithm": "torch_hals", "torch_hals.inner": 3}):
        read = frame.parameters(p)
        assert frame.parameters(read) == read


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ({"algorithm": "torch_mv"}, "did you mean 'torch_mu'"),
        ({"algorithm": "torch_hals", "torch_hals.iner": 2}, "did you mean 'torch_hals.inner'"),
        ({"torch_mu.x": 2}, "unknown parameter of algorithm torch_mu 'torch_mu.x'"),
        ({"rank": 0}, "rank 0 is not a whole number from 1 on"),
        ({"rank": 2.5}, "rank 2.5"),
        ({"rank": True}, "rank True"),
        ({"seed": -1}, "seed -1"),
        ({"beta": "1"}, "beta '1' is not a number"),
        ({"beta": float("nan")}, "finite"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"init": "svd"}, "unknown init 'svd'"),
        ({"stop": "soon"}, "stop 'soon' is not understood"),
    ],
)
def test_a_wrong_value_is_named(p, message):
    with pytest.raises(UsageError, match=message):
        frame.parameters(p)


def test_other_algorithms_parameters_may_stand_in_the_setting():
    assert "torch_hals.inner" not in frame.parameters({"torch_hals.inner": 4})


def test_versions_and_absent_values(register):
    def later(V, W, H, *, new=3):
        yield W, H

    register(later, absent={"new": 1})
    assert frame.absent({"algorithm": "mine"}) == {"mine.new": 1}
    assert frame.versions({"algorithm": "mine"})["algorithm.mine"].startswith("source ")
    assert frame.versions({}) == {"algorithm.torch_mu": 1, "nmf.frame": 1, "nmf.init": 1}


def test_stops_are_parsed():
    cap = of_settings.CAP
    assert parse_stop(7) == Stop(7)
    assert parse_stop("10s") == parse_stop(" 10 s") == Stop(cap, seconds=10)
    assert parse_stop("0.5s") == Stop(cap, seconds=0.5)
    assert parse_stop("kkt<1e-4") == parse_stop("KKT < 0.0001") == Stop(cap, kkt=1e-4)


@pytest.mark.parametrize("stop", [0, -1, 2.5, True, None, "0s", "1.2.3s", "kkt<", "loss<1", ""])
def test_stops_that_are_none(stop):
    with pytest.raises(UsageError, match="is not understood"):
        parse_stop(stop)


def test_iterations_are_counted(V, register):
    seen = itertools.count()

    def counting(V, W, H):
        while True:
            next(seen)
            yield W, H

    register(counting)
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": 37}, V)
    assert next(seen) == 37
    assert result["stopped"] == "iterations"
    assert result["iteration"][[0, 1, 2, -1]].tolist() == [0, 1, 2, 37]
    assert len(result["iteration"]) == len(result["loss"]) == len(result["kkt"])
    assert (np.diff(result["iteration"]) > 0).all()
    assert (np.diff(result["seconds"]) >= 0).all()


def test_the_curve_is_that_of_the_same_run_stopped_earlier(V):
    long, short = (frame.factorize({"stop": n}, V) for n in (100, 10))
    np.testing.assert_array_equal(long["iteration"][:7], short["iteration"][:7])
    np.testing.assert_array_equal(long["loss"][:7], short["loss"][:7])


def test_the_residual_stops_it(V):
    result = frame.factorize({"stop": "kkt<1e-2"}, V)
    assert result["stopped"] == "kkt"
    assert result["kkt"][-1] < 1e-2 <= result["kkt"][-2]


def test_a_residual_that_is_not_reached_ends_at_the_cap_and_says_so(
    V, register, caplog, monkeypatch
):
    monkeypatch.setattr(of_settings, "CAP", 50)
    register(idle)
    with caplog.at_level(logging.WARNING, logger="nmfab"):
        result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": "kkt<1e-9"}, V)
    assert (result["stopped"], result["iteration"][-1]) == ("cap", 50)
    assert "not at its stop after" in caplog.text


def test_seconds_stop_it_whatever_the_measuring_takes(V, register, monkeypatch):
    clock = iter(np.arange(0, 1e6) * 0.25)  # each look at the clock finds a quarter second gone
    monkeypatch.setattr("nmfab.algorithms.loop.perf_counter", lambda: next(clock))
    register(idle)
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": "10s"}, V)
    assert result["stopped"] == "seconds"
    assert 10 <= result["seconds"][-1] < 10.6


def test_an_algorithm_may_end_by_itself(V, register):
    def short(V, W, H):
        for _ in range(5):
            yield W, H

    register(short)
    result = frame.factorize({"algorithm": "mine", "beta": 2}, V)
    assert (result["stopped"], result["iteration"][-1]) == ("itself", 5)


def test_a_library_that_iterates_by_itself_is_told_how_often(V, register):
    told = []

    def library(V, W, H, *, n_iter):
        told.append(n_iter)
        yield W, H

    register(library, stops="self")
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": 33}, V)
    assert told == [33]
    assert result["iteration"].tolist() == [0, 33]
    reason = frame.skip({"algorithm": "mine", "beta": 2, "stop": "10s"})
    assert reason == "mine iterates by itself: its stop is a number of iterations"
    assert frame.parameters({"algorithm": "mine", "beta": 2}).keys().isdisjoint({"mine.n_iter"})


def test_a_loss_of_the_algorithms_own_is_kept_beside_ours(V, register):
    def penalized(V, W, H):
        for i in itertools.count():
            yield W, H, 100 - i

    register(penalized)
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": 3}, V)
    assert result["objective"].tolist() == [100, 99, 98]
    assert result["loss"][-1] != 98


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN or infinity in H"), (-1e-3, "a negative entry in H")]
)
def test_a_bad_entry_is_refused_by_name(V, register, value, message):
    def broken(V, W, H):
        for i in itertools.count(1):
            if i == 4:
                H[1, 2] = value
            yield W, H

    register(broken)
    with pytest.raises(ComputationError, match=f"mine: {message} at iteration 4"):
        frame.factorize({"algorithm": "mine", "beta": 2}, V)


def test_whatever_an_algorithm_raises_names_it(V, register):
    def broken(V, W, H):
        yield W, H
        raise ValueError("no luck")

    register(broken)
    with pytest.raises(
        ComputationError, match=r"mine failed at iteration 2: ValueError\('no luck'\)"
    ):
        frame.factorize({"algorithm": "mine", "beta": 2}, V)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda V: np.where(V > 1, np.nan, V), "NaN or infinite"),
        (lambda V: np.where(V > 1, np.inf, V), "NaN or infinite"),
        (lambda V: V - 1, "negative entries"),
        (lambda V: V[:, :0], "is not factorized"),
        (lambda V: V * 1j, "is not factorized"),
        (lambda V: V[0], "and V is none"),
    ],
)
def test_a_V_that_cannot_be_factorized(V, spoil, message):
    with pytest.raises(ComputationError, match=message):
        frame.factorize({}, spoil(V))


@pytest.mark.parametrize("beta", [-1, 0, 1, 2])
def test_a_silent_V_has_a_silent_model(beta):
    result = frame.factorize({"beta": beta, "rank": 3}, np.zeros((4, 5)))
    np.testing.assert_array_equal(result["W"], np.ones((4, 3)))
    np.testing.assert_array_equal(result["H"], np.zeros((3, 5)))
    assert (result["stopped"], result["loss"][-1], result["kkt"][-1]) == ("silent", 0, 0)
    fixed = frame.factorize({"beta": beta}, np.zeros((4, 5)), templates=np.full((4, 2), 3.0))
    np.testing.assert_array_equal(fixed["W"], np.full((4, 2), 3.0))


def test_V_is_left_alone_and_whole_numbers_are_taken(V):
    before = V.copy()
    frame.factorize({}, V)
    np.testing.assert_array_equal(V, before)
    whole = np.arange(1, 21).reshape(4, 5)
    assert frame.factorize({"rank": 2}, whole)["loss"][-1] < 1


def test_float64_far_from_1_fits_into_float32(V):
    result = frame.factorize({"beta": 2, "stop": 20}, V * 1e30)
    assert np.isfinite(result["loss"]).all()
    assert np.isfinite(result["W"]).all()


def test_fixed_templates_of_the_wrong_height(V):
    with pytest.raises(ComputationError, match="do not fit V of 20 rows"):
        frame.factorize({}, V, templates=np.ones((19, 3)))


def test_more_components_than_V_allows_are_said_in_the_result(V):
    assert frame.factorize({"rank": 23, "stop": 5}, V)["filled"] == 3


def stepping(V, W, H):
    while True:
        Wt = np.swapaxes(W, -1, -2)
        H = H * (Wt @ V) / (Wt @ W @ H)
        W = W * (V @ np.swapaxes(H, -1, -2)) / (W @ (H @ np.swapaxes(H, -1, -2)))
        yield W, H


def seeds(count, **more):
    p = {"algorithm": "mine", "beta": 2, "init": "random", "rank": 4, "dtype": "float64"}
    return [p | {"seed": seed} | more for seed in range(count)]


def test_each_problem_of_a_batch_keeps_the_factors_of_its_own_last_iteration(V, register):
    register(stepping, batch=("seed",))
    settings = seeds(4, stop="kkt<3e-3")
    together = frame.factorize_batch(settings, V)
    assert len({result["iteration"][-1] for result in together}) > 1
    for setting, result in zip(settings, together, strict=True):
        alone = frame.factorize(setting, V)
        np.testing.assert_allclose(result["W"], alone["W"], rtol=1e-9)
        assert result["iteration"][-1] == alone["iteration"][-1]


def test_one_that_fails_spares_the_others(V, register):
    calls = []

    def one_bad(V, W, H):
        calls.append(W.shape)
        for pair in stepping(V, W, H):
            pair[1][1] = np.nan
            yield pair

    register(one_bad, batch=("seed",))
    settings = seeds(3, stop=5)
    results = frame.factorize_batch(settings, V)
    assert isinstance(results[1], ComputationError)
    assert "NaN or infinity in H at iteration 1" in str(results[1])
    assert calls == [(3, 20, 4)]
    for i in (0, 2):
        assert results[i]["iteration"][-1] == 5


def test_a_batch_that_dies_is_computed_one_by_one(V, register, caplog):
    def clumsy(V, W, H):
        if W.ndim == 3:
            raise MemoryError
        yield from stepping(V, W, H)

    register(clumsy, batch=("seed",))
    results = frame.factorize_batch(seeds(3, stop=5), V)
    assert [result["iteration"][-1] for result in results] == [5, 5, 5]
    assert "a batch of 3 failed" in caplog.text


def test_settings_share_a_call_only_where_they_differ_in_what_is_declared(V, register):
    calls = []

    def noting(V, W, H, *, own=1, other=1):
        calls.append((W.shape[:-2], np.ndim(own), np.ndim(other)))
        yield from stepping(V, W, H)

    register(noting, batch=("seed", "own"))
    settings = [
        s | {"mine.own": own, "mine.other": other, "stop": 2}
        for s in seeds(2)
        for own in (1, 2)
        for other in (1, 2)
    ]
    frame.factorize_batch(settings, V)
    assert calls == [((4,), 1, 0), ((4,), 1, 0)]
    assert frame.batch_names(settings[0]) == ("seed", "mine.own")
    assert frame.can_batch(settings[0])
    assert not frame.can_batch(settings[0] | {"stop": "1s"})


def test_a_batch_is_the_same_in_any_order(V):
    settings = [{"beta": beta, "init": "random", "seed": s} for beta in (0, 1, 2) for s in (0, 1)]
    forth = frame.factorize_batch(settings, V)
    back = frame.factorize_batch(settings[::-1], V)[::-1]
    for first, second in zip(forth, back, strict=True):
        np.testing.assert_array_equal(first["W"], second["W"])


def test_a_wrong_setting_spares_the_others(V):
    results = frame.factorize_batch([{"beta": 1}, {"algorithm": "torch_hals", "beta": 1}, {}], V)
    assert [isinstance(result, ComputationError) for result in results] == [False, True, False]


@dataclass
class Sum(Factorization):
    """A term for each of two arrays that share their activations."""

    left: np.ndarray
    right: np.ndarray
    shared: np.ndarray

    def reconstruction(self):
        return {"left": self.left @ self.shared, "right": self.right @ self.shared}

    def activations(self):
        return self.shared


def coupled_start(problem, rank, rng):
    m, p, n = len(problem.V["left"]), len(problem.V["right"]), problem.V["left"].shape[1]
    return rng.random((m, rank)), rng.random((p, rank)), rng.random((rank, n))


def coupled(V, left, right, H):
    """Couple two factorizations by stacking their arrays."""
    stacked, W = np.vstack([V["left"], V["right"]]), np.vstack([left, right])
    for both, shared in stepping(stacked, W, H):
        yield Sum(both[: len(left)], both[len(left) :], shared)


def test_a_model_of_another_kind_is_stored_as_its_arrays(V, register):
    register(coupled, start=coupled_start, kind=Sum)
    arrays = {"left": 50 * V[:12], "right": 50 * V[12:]}
    p = {"algorithm": "mine", "beta": 2, "rank": 4, "seed": 1, "stop": 300, "init": "nndsvd"}
    assert "init" not in frame.parameters(p)
    assert "nmf.init" not in frame.versions(p)
    result = frame.factorize(p | {"dtype": "float64"}, arrays)
    assert result["left"].shape == (12, 4)
    np.testing.assert_array_equal(result["H"], result["shared"])
    assert "W" not in result
    found = result["scale"] * result["left"] @ result["shared"]
    assert abs(found - arrays["left"]).max() < 0.2 * arrays["left"].max()
    assert (np.diff(result["loss"]) < 0).all()
    assert np.isnan(result["kkt"]).all()


def test_what_a_task_needs_of_another_kind_is_asked_beforehand(register):
    register(coupled, start=coupled_start, kind=Sum)
    p = {"algorithm": "mine", "beta": 2}
    assert frame.skip(p) == "the factorization that mine yields has no templates"
    assert frame.skip(p, needs=("activations",)) is None


def test_a_kind_must_be_declared(V, register):
    def surprising(V, W, H):
        while True:
            yield Sum(W, W, H)

    register(surprising)
    with pytest.raises(ComputationError, match="yields Sum: declare it as kind="):
        frame.factorize({"algorithm": "mine", "beta": 2}, V)


def test_the_node_reads_V_of_its_source(V):
    node = nmf_node({"beta": 2, "stop": 5}, source="features.barwise")
    assert (node.stage, node.short_name, node.inputs) == ("nmf", "factorize", ("features.barwise",))
    result = node.compute(node.params, barwise={"V": V, "other": 1})
    np.testing.assert_array_equal(result["W"], frame.factorize({"beta": 2, "stop": 5}, V)["W"])
    assert node.batch == ("seed", "init", "beta")
    both = node.compute_batch([node.params, {**node.params, "beta": 1}], barwise={"V": V})
    np.testing.assert_allclose(both[0]["W"], result["W"], rtol=1e-4, atol=1e-6)


def test_the_node_takes_templates_and_frequencies():
    frequencies = np.arange(200) * 20.0
    V = np.random.default_rng(0).random((200, 6))
    p = {"init": "harmonic", "rank": 88, "stop": 3}
    assert "frequency" in nmf_skip(p)
    assert nmf_skip(p, frequencies="frequencies") is None
    node = nmf_node(p, source="features.stft", frequencies="frequencies")
    source = {"V": V, "frequencies": frequencies}
    assert node.compute(node.params, stft=source)["W"].shape == (200, 88)
    fixed = nmf_node({"stop": 3}, source="features.stft", templates="nmf.dictionary")
    templates = np.random.default_rng(1).random((200, 7))
    result = fixed.compute(fixed.params, stft=source, dictionary={"W": templates})
    np.testing.assert_array_equal(result["W"], templates.astype("float32"))
    assert fixed.inputs == ("features.stft", "nmf.dictionary")


def test_another_array_than_V_is_another_artifact():
    names = [nmf_node({}, source="features.x", V=name).params for name in ("V", "left")]
    assert names[0] != names[1]


def test_defaults_of_the_task_are_those_of_the_frame():
    assert frame.parameters(
        {name: p.default for name, p in NMF_PARAMS.items()}
    ) == frame.parameters({})
