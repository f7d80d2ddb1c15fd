"""A task with made-up scores, for tests of tables and of what they show."""

import pytest

from nmfab.base.types import Node, Param
from nmfab.datasets import DATASETS, Dataset
from nmfab.plan.grid import Grid
from nmfab.results.table import Results
from nmfab.tasks import Metric, Task


class Toy(Task):
    """Two algorithms, random or not, and a baseline."""

    name = "toy"
    protocol = ("excerpt",)
    params = {
        "algorithm": Param("mu", "update rule"),
        "init": Param("random", "start"),
        "seed": Param(0, "of a random start"),
        "row": Param("nmf", "nmf, regular or oracle"),
        "excerpt": Param("short", "of the measurement"),
    }
    metrics = {
        "F": Metric("F-measure"),
        "error": Metric("distance", higher_is_better=False, unit="s"),
        "count": Metric("how many", higher_is_better=None),
    }

    def nodes(self, p):
        names = ["row"] if p["row"] != "nmf" else ["algorithm", "init"]
        names += ["seed"] if p["row"] == "nmf" and p["init"] == "random" else []
        return [Node("metrics.score", dict, params={n: p[n] for n in [*names, "excerpt"]})]

    def kind(self, p):
        return {"nmf": "", "oracle": "oracle"}.get(p["row"], "baseline")


@pytest.fixture(autouse=True)
def datasets(monkeypatch):
    """Two empty datasets, for as long as a test lasts."""
    DATASETS.names()
    known = dict(DATASETS._components)
    monkeypatch.setattr(DATASETS, "_components", {**known, "one": Dataset, "two": Dataset})


def results(table, plan=None, missing=(), **more):
    """Build results from {setting text: {track: F or metrics}}."""
    plans = {"nmf": {"dataset": ["one"], **(plan or {"algorithm": ["mu", "cd"]})}, **more}
    grid = Grid(Toy(), plans)
    rows = []
    for setting in grid.settings:
        for track, scores in table.get(setting.text, {}).items():
            scores = scores if isinstance(scores, dict) else {"F": scores}
            rows.append((setting, setting.parameters["dataset"], track, scores))
    by_text = {setting.text: setting for setting in grid.settings}
    missing = [(by_text[text], *rest) for text, *rest in missing]
    return Results(Toy(), grid, grid.settings, rows, missing)


MU, CD = "dataset=one,algorithm=mu", "dataset=one,algorithm=cd"
