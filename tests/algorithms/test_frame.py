"""The frame: when it stops, what it measures, what it refuses."""

import itertools
import logging

import numpy as np
import pytest

from nmfab.algorithms import frame
from nmfab.algorithms import settings as of_settings
from nmfab.base.errors import ComputationError
from nmfab.base.kinds import LowRank
from nmfab.base.resources import Resources, use_resources


def idle(V, W, H):
    while True:
        yield W, H


def test_iterations_are_counted(V, register):
    seen = itertools.count()

    def counting(V, W, H):
        while True:
            next(seen)
            yield W, H

    register(counting)
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": 37}, V)
    assert next(seen) == 37
    assert result.stopped == "iterations"
    assert result.curve["iteration"].tolist() == [0, 1, 10, 37]
    assert len(result.curve["iteration"]) == len(result.curve["loss"]) == len(result.curve["kkt"])
    assert (np.diff(result.curve["iteration"]) > 0).all()
    assert (np.diff(result.curve["seconds"]) >= 0).all()


def test_the_curve_is_that_of_the_same_run_stopped_earlier(V):
    long, short = (frame.factorize({"stop": n}, V) for n in (100, 10))
    np.testing.assert_array_equal(long.curve["iteration"][:3], short.curve["iteration"][:3])
    np.testing.assert_array_equal(long.curve["loss"][:3], short.curve["loss"][:3])


def test_the_residual_stops_it(V):
    result = frame.factorize({"stop": "kkt<1e-2"}, V)
    assert result.stopped == "kkt"
    assert result.curve["kkt"][-1] < 1e-2 <= result.curve["kkt"][-2]


def test_a_residual_that_is_not_reached_ends_at_the_cap_and_says_so(
    V, register, caplog, monkeypatch
):
    monkeypatch.setattr(of_settings, "CAP", 50)
    register(idle)
    with caplog.at_level(logging.WARNING, logger="nmfab"):
        result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": "kkt<1e-9"}, V)
    assert (result.stopped, result.curve["iteration"][-1]) == ("cap", 50)
    assert "not at its stop after" in caplog.text


def test_seconds_stop_it_whatever_the_measuring_takes(V, register, monkeypatch):
    clock = iter(np.arange(0, 1e6) * 0.25)  # each look at the clock finds a quarter second gone
    monkeypatch.setattr("nmfab.algorithms.loop.perf_counter", lambda: next(clock))
    register(idle)
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": "10s"}, V)
    assert result.stopped == "seconds"
    assert 10 <= result.curve["seconds"][-1] < 10.6


def test_an_algorithm_that_ends_by_itself_is_named(V, register, caplog):
    def short(V, W, H):
        for _ in range(5):
            yield W, H

    register(short)
    result = frame.factorize({"algorithm": "mine", "beta": 2}, V)
    assert (result.stopped, result.curve["iteration"][-1]) == ("itself", 5)
    assert "mine ended by itself after 5 iterations" in caplog.text


def test_a_library_that_iterates_by_itself_is_told_how_often(V, register):
    told = []

    def library(V, W, H, *, n_iter):
        told.append(n_iter)
        yield W, H

    register(library, stops="self")
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": 33}, V)
    assert told == [33]
    assert result.curve["iteration"].tolist() == [0, 33]
    reason = frame.skip({"algorithm": "mine", "beta": 2, "stop": "10s"})
    assert reason == "mine iterates by itself: its stop is a number of iterations"
    assert frame.parameters({"algorithm": "mine", "beta": 2}).keys().isdisjoint({"mine.n_iter"})


def test_a_loss_of_the_algorithms_own_is_kept_beside_ours(V, register):
    def penalized(V, W, H):
        for i in itertools.count():
            yield W, H, 100 - i

    register(penalized)
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": 3}, V)
    np.testing.assert_array_equal(result.curve["objective"], [np.nan, 100, 98])
    assert len(result.curve["objective"]) == len(result.curve["iteration"])
    assert result.curve["loss"][-1] != 98


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN or infinity in H"), (-1e-3, "a negative entry in H")]
)
def test_a_bad_entry_is_refused_by_name(V, register, value, message):
    def broken(V, W, H):
        for i in itertools.count(1):
            if i == 10:
                H[1, 2] = value
            yield W, H

    register(broken)
    with pytest.raises(ComputationError, match=f"mine: {message} at iteration 10"):
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


def test_an_algorithm_that_ends_the_program_ends_itself_alone(V, register):
    def leaving(V, W, H):
        yield W, H
        raise SystemExit(3)

    register(leaving)
    with pytest.raises(ComputationError, match=r"mine failed at iteration 2: SystemExit\(3\)"):
        frame.factorize({"algorithm": "mine", "beta": 2}, V)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda V: np.where(V > 1, np.nan, V), "NaN or infinite"),
        (lambda V: np.where(V > 1, np.inf, V), "NaN or infinite"),
        (lambda V: V - 1, "negative entries"),
        (lambda V: V[:, :0], "is not factorized"),
        (lambda V: V * 1j, "is not factorized"),
        (lambda V: V[0], "does not fit the form matrix"),
    ],
)
def test_a_V_that_cannot_be_factorized(V, spoil, message):
    with pytest.raises(ComputationError, match=message):
        frame.factorize({}, spoil(V))


@pytest.mark.parametrize("beta", [-1, 0, 1, 2])
def test_a_silent_V_has_a_silent_model(beta):
    result = frame.factorize({"beta": beta, "rank": 3}, np.zeros((4, 5)))
    np.testing.assert_array_equal(result.W, np.ones((4, 3)))
    np.testing.assert_array_equal(result.H, np.zeros((3, 5)))
    assert (result.stopped, result.curve["loss"][-1], result.curve["kkt"][-1]) == ("silent", 0, 0)
    fixed = frame.factorize({"beta": beta}, np.zeros((4, 5)), fixed=np.full((4, 2), 3.0))
    np.testing.assert_array_equal(fixed.W, np.full((4, 2), 3.0))


def test_V_is_left_alone_and_whole_numbers_are_taken(V):
    before = V.copy()
    frame.factorize({}, V)
    np.testing.assert_array_equal(V, before)
    whole = np.arange(1, 21).reshape(4, 5)
    assert frame.factorize({"rank": 2}, whole).curve["loss"][-1] < 1


def test_float64_far_from_1_fits_into_float32(V):
    result = frame.factorize({"beta": 2, "stop": 20}, V * 1e30)
    assert np.isfinite(result.curve["loss"]).all()
    assert np.isfinite(result.W).all()


def test_fixed_templates_of_the_wrong_height(V):
    with pytest.raises(ComputationError, match="do not fit V of 20 rows"):
        frame.factorize({}, V, fixed=np.ones((19, 3)))


def test_more_components_than_V_allows_are_said_in_the_result(V):
    assert frame.factorize({"rank": 23, "stop": 5}, V).filled == 3


def test_dust_that_no_model_reaches_is_silence_at_beta_0(V):
    dusty, silent = V.copy(), V.copy()
    dusty[3:5, 2:9], silent[3:5, 2:9] = 1e-14 * V.mean(), 0
    p = {"beta": 0, "rank": 4, "init": "random", "stop": 30, "dtype": "float64"}
    found, expected = (frame.factorize(p, X) for X in (dusty, silent))
    np.testing.assert_allclose(found.W, expected.W, rtol=1e-9)
    np.testing.assert_allclose(found.curve["loss"], expected.curve["loss"], rtol=1e-9)
    other = frame.factorize(p | {"beta": 1}, dusty)
    assert other.curve["loss"][-1] != frame.factorize(p | {"beta": 1}, silent).curve["loss"][-1]


@pytest.mark.parametrize(("points", "count"), [(20, 20), (1000, 41), (1, 2)])
def test_a_curve_has_as_many_points_as_are_asked_for(V, points, count):
    with use_resources(Resources(curve=points)):
        model = frame.factorize({"stop": 40}, V)
    iterations = model.curve["iteration"]
    assert iterations[0] == 0
    assert iterations[-1] == 40
    assert (np.diff(iterations) > 0).all()
    assert abs(len(iterations) - count) <= 5
    plain = frame.factorize({"stop": 40}, V)
    np.testing.assert_array_equal(model.W, plain.W)


def test_seconds_are_those_of_the_iterations_and_no_more(V, register, monkeypatch):
    clock = iter(range(10**6))  # each look at the clock finds a second gone
    monkeypatch.setattr("nmfab.algorithms.loop.perf_counter", lambda: next(clock))
    register(idle)
    result = frame.factorize({"algorithm": "mine", "beta": 2, "stop": 12}, V)
    assert result.curve["iteration"].tolist() == [0, 1, 10, 12]
    # one for each iteration, and one for each wait before a look
    assert result.curve["seconds"].tolist() == [1, 3, 13, 16]


def test_a_start_that_is_stationary_is_still_iterated_on_once(V):
    rng = np.random.default_rng(0)
    start = LowRank(rng.random((20, 2)) + 0.1, rng.random((2, 25)) + 0.1)
    p = {"beta": 2, "rank": 2, "stop": "kkt<1e-3", "dtype": "float64"}
    result = frame.factorize(p, start.reconstruction(), start=start)
    assert result.curve["iteration"][-1] >= 1
    assert result.stopped == "kkt"
    np.testing.assert_allclose(result.W @ result.H, start.reconstruction(), rtol=1e-6)


def test_a_batch_says_how_many_shared_its_seconds(V):
    settings = [{"init": "random", "seed": seed, "stop": 5} for seed in range(3)]
    assert [one.batch for one in frame.factorize_batch(settings, V)] == [3, 3, 3]
    assert frame.factorize(settings[0], V).batch == 1
