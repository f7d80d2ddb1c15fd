"""Plans as doce's objects: what doce selects by a mask is what nmfab selects by the same mask."""

import itertools
import random
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import doce
import numpy as np
import pytest

from nmfab.base.errors import UsageError
from nmfab.base.values import same
from nmfab.experiment import Experiment
from nmfab.plan.doce import to_doce

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.py"))


@pytest.fixture(scope="module", params=EXPERIMENTS, ids=lambda path: path.stem)
def made(request):
    """One experiment of the repository."""
    return runpy.run_path(str(request.param))["experiment"]


def combinations_of(factor):
    """Return what doce selects: one dict per setting of a `doce.Factor`."""
    return [{name: getattr(row, name) for name in factor.factors()} for row in factor]


def standing_for(grid, plan, combination):
    """Return the setting that a combination stands for: it agrees on all that the setting reads."""
    found = [s for s in grid.settings if plan in s.plans and agree(combination, s.values)]
    assert len(found) <= 1
    return found[0] if found else None


def agree(combination, values):
    return all(same(combination.get(name, value), value) for name, value in values.items())


def halves(size, rng):
    return sorted(rng.sample(range(size), -(-size // 2)))


def masks(factor, rng, number=12):
    """Yield masks of every form that doce documents."""
    sizes = [factor.nbModalities(name) for name in factor.factors()]
    yield []
    for index, size in enumerate(sizes):
        for position in range(size):
            yield [-1] * index + [position]
    for _ in range(number):
        grids = [
            [
                rng.choice(
                    [-1, rng.randrange(size), sorted(rng.sample(range(size), -(-size // 2)))]
                )
                for size in sizes
            ]
            for _ in range(rng.choice((1, 1, 2, 3)))
        ]
        yield [*grids[0], -1] if len(grids) == 1 else grids


def test_each_plan_is_a_factor_of_doce_s(made):
    whole = made.doce()
    assert type(whole) is doce.Factor
    assert whole.factors() == list(made.grid.plans)
    for name, plan in made.grid.plans.items():
        factor = getattr(whole, name)
        assert type(factor) is doce.Factor
        assert {f: getattr(factor, f) for f in factor.factors()} == plan
        # the positions that -p shows
        assert factor.factors() == [f for f in made.grid.factors if f in plan]
        assert len(factor) == len(list(itertools.product(*plan.values())))


def test_doce_selects_what_nmfab_selects(made):
    rng = random.Random(0)
    for plan in made.grid.plans:
        factor = getattr(made.doce(), plan)
        for mask in masks(factor, rng):
            picked = combinations_of(factor.mask(mask))
            wanted = {standing_for(made.grid, plan, values) for values in picked} - {None}
            try:
                found = made.select(f"{plan}/{mask}")
            except UsageError:
                found = []  # everything that the mask picks is left out
            assert set(found) == wanted, (plan, mask)


def test_a_combination_of_doce_s_without_a_setting_is_left_out_with_a_reason(made):
    missing = 0
    for plan in made.grid.plans:
        left_out = [item.values for item in made.grid.left_out if item.plan == plan]
        for values in combinations_of(getattr(made.doce(), plan)):
            if standing_for(made.grid, plan, values) is None:
                missing += 1
                assert any(agree(values, item) for item in left_out)
    assert missing >= len(made.grid.left_out)


def test_plans_survive_the_way_there_and_back(made):
    again = Experiment("again", task=made.grid.task.name, fixed=made.grid.fixed)
    for plan in made.grid.plans:
        again.add_plan(plan, getattr(made.doce(), plan))
    assert again.grid.plans == made.grid.plans
    assert set(again.grid.settings) == set(made.grid.settings)


def structure(factor, **more):
    experiment = Experiment("x", task="structure")
    experiment.add_plan("nmf", factor, **more)
    return experiment


def written():
    factor = doce.Factor()
    factor.dataset = "demo"
    factor.beta = np.array([0, 1, 2])
    factor.rank = [5, 10, 10.0]
    return factor


def test_a_factor_of_doce_s_is_a_plan():
    experiment = structure(written(), algorithm="torch_mu")
    assert experiment.grid.plans == {
        "nmf": {"dataset": ["demo"], "beta": [0, 1, 2], "rank": [5, 10], "algorithm": ["torch_mu"]}
    }
    assert len(experiment.grid.settings) == 6


@pytest.mark.parametrize("mask", [[-1, 1], [0, [1], 0], [[0, 1, 0]], [[0], [2, 1], -1, -1], [-1]])
def test_a_mask_restricts_the_plan(mask):
    wanted = {(row.beta, row.rank) for row in written().mask(mask)}
    found = structure(written().mask(mask)).grid.settings
    assert {(s.parameters["beta"], s.parameters["rank"]) for s in found} == wanted


def test_what_is_no_plan_is_refused_in_one_line():
    both = doce.Factor()
    both.one, both.two = written(), written()
    for wrong, words in (
        (written().mask([[0, 0], [0, 1]]), "plan nmf: .* unites 2 grids"),
        (written().mask([0, 3]), "plan nmf: beta has no modality 3, which the mask names"),
        (written().mask([0, [-2]]), "plan nmf: beta has no modality -2, which the mask names"),
        (both, "plan nmf: .* holds one, two: add each alone"),
        (3, "plan nmf: a mapping or a doce.Factor is needed, not 3"),
        (["beta"], "plan nmf: a mapping or a doce.Factor is needed"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            structure(wrong)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["mask", "default", "merge", "do", "copy", "factors", "id", "_x", "replace", "cleanH5"]
)
def test_names_that_doce_reserves_are_refused_where_doce_is_asked_for(name):
    factor = SimpleNamespace(plans={"nmf": {name: [1]}}, factors={name: [1]})
    with pytest.raises(UsageError, match=f"factor '{name}' of plan nmf: doce reserves"):
        to_doce(factor)
    plan = SimpleNamespace(plans={name: {"beta": [1]}}, factors={"beta": [1]})
    with pytest.raises(UsageError, match=f"plan '{name}': doce reserves"):
        to_doce(plan)


def test_doce_disturbs_neither_warnings_nor_logging():
    code = """
import logging, sys, warnings
import numpy, pandas, tables  # their own filters
from nmfab.experiment import Experiment
experiment = Experiment("x", task="structure")
experiment.add_plan("nmf", dataset="demo", beta=[1, 2])
experiment.grid
before = list(warnings.filters), list(logging.root.handlers), logging.root.level
experiment.doce()
after = list(warnings.filters), list(logging.root.handlers), logging.root.level
assert "doce" in sys.modules
sys.exit(before != after)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
