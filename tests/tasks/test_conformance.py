"""The checks of steps: every built-in one passes, each wrong one fails the check that looks."""

import numpy as np
import pytest

from nmfab.postprocessing import STEPS, step
from nmfab.tasks.conformance import CHECKS, check

BUILT_IN = [name for name in STEPS.names() if STEPS[name].function.__module__.startswith("nmfab.")]
# Steps that a task always takes: there is no factor to choose others.
CHOSEN = [name for name in BUILT_IN if STEPS[name].family not in ("activity", "columns")]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(STEPS, "_components", {name: STEPS[name] for name in STEPS.names()})


@pytest.mark.parametrize("name", CHOSEN)
def test_every_step_passes(name):
    results = list(check(STEPS[name]))
    assert [result.name for result in results] == list(CHECKS)
    assert [result for result in results if result.passed is False] == []


def test_the_grouping_of_cepstra_is_run_and_the_oracle_is_not():
    (_, run), (_, idle) = check(STEPS["grouping.mfcc"]), check(STEPS["grouping.oracle"])
    assert run.passed is True
    assert idle.passed is None
    assert "stem_powers" in idle.detail


def registered(function, family="grouping"):
    step(family, "wrong")(function)
    return {result.name: result for result in check(STEPS[f"{family}.wrong"])}


def unknown(factorization, *, moon):
    return np.zeros(6, int)


def floats(factorization):
    return np.zeros(6)


def short(factorization):
    return np.zeros(5, int)


def beyond(factorization, *, n_sources):
    return np.full(6, n_sources)


def below(factorization):
    return np.full(6, -2)


def luck(factorization):
    return np.random.default_rng().integers(0, 2, 6)


def greedy(factorization):
    factorization.templates()[:] = 0
    return np.zeros(6, int)


def raising(factorization):
    return factorization.nothing()


def divides(factorization):
    centroids = np.arange(65) @ factorization.templates() / factorization.templates().sum(axis=0)
    return np.array([int(c > 32) for c in centroids])


WRONG = [
    ("offered", unknown, "asks for 'moon'"),
    ("groups", floats, "integers"),
    ("groups", short, "shape (5,)"),
    ("groups", beyond, "groups are −1 to n_sources − 1"),
    ("groups", below, "groups are −1"),
    ("groups", luck, "different groups"),
    ("groups", greedy, "changes the factorization"),
    ("groups", raising, "AttributeError"),
]


@pytest.mark.parametrize(("name", "function", "words"), WRONG)
def test_a_wrong_one_fails_the_check_that_looks_for_it(name, function, words):
    found = registered(function)[name]
    assert found.passed is False
    assert words in found.detail


def test_silence_is_among_the_examples():
    with np.errstate(invalid="ignore"):
        found = registered(divides)["groups"]  # NaN > 32 is false: no error, and right
    assert found.passed is True


def test_a_step_of_a_family_that_no_task_offers_fails():
    assert registered(floats, "activity")["offered"].passed is False


def test_every_check_has_a_wrong_step():
    assert {name for name, _, _ in WRONG} == set(CHECKS)
