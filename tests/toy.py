"""A toy dataset and task, for tests of the frame: text files, and sums in place of factorizations.

It is also a plug-in file, which worker processes import.
"""

import os
from pathlib import Path

import numpy as np

from nmfab.base.errors import ComputationError, DataError
from nmfab.base.types import Node, Param, Part, Track
from nmfab.datasets import Dataset, Status, dataset
from nmfab.tasks import Metric, Task, task

CALLS = []  # (node, track or parameter), in this process


def read_numbers(path):
    return {"values": np.loadtxt(path, ndmin=1)}


@dataset("toy", version=1)
class Toy(Dataset):
    def status(self):
        state = "installed" if self.folder else "absent"
        return Status(state, "put text files with numbers into toy/")

    def track_ids(self, needs=(), subset=None):
        return sorted(p.stem for p in self.folder.glob("*.txt")) if self.folder else []

    def load(self, track_id):
        path = self.folder / f"{track_id}.txt" if self.folder else Path("toy.txt")
        if not path.is_file():
            raise DataError(f"{path}: there is no such track")
        answer = path.with_suffix(".ref")
        return Track(
            "toy",
            track_id,
            {
                "audio": Part((path,), lambda: read_numbers(path)),
                "answer": Part((answer,), lambda: read_numbers(answer)),
            },
        )


def scale(params, audio):
    CALLS.append(("scale", params["gain"]))
    return {"V": audio["values"] * params["gain"], "name": np.array(["a", "é"])}


def factorize(params, scale):
    CALLS.append(("factorize", params["rank"], params.get("seed")))
    if params["rank"] == 13:
        raise ComputationError("rank 13 brings bad luck")
    if params["rank"] == 77:
        os._exit(1)  # as a process ends that the system kills
    if params["rank"] == 99:
        raise ZeroDivisionError("a fault of the component")
    return {"W": scale["V"] * params["rank"] + params.get("seed", 0)}


def factorize_batch(all_params, scale):
    CALLS.append(("batch", len(all_params)))
    results = []
    for params in all_params:
        try:
            results.append(factorize(params, scale))
        except ComputationError as error:
            results.append(error)
    return results


def learn(params, scale):
    CALLS.append(("learn", len(scale)))
    return {"mean": np.mean([s["V"].mean() for s in scale])}


def estimate(params, factorize=None, learned=None):
    offset = 0.0 if learned is None else float(learned["mean"])
    total = 0.0 if factorize is None else float(factorize["W"].sum())
    return {"total": total + offset, "labels": np.array(["verse", "chorus"])}


def score(params, estimate, answer):
    CALLS.append(("score", params["tolerance"]))
    error = abs(float(estimate["total"]) - float(answer["values"][0]))
    return {"error": error, "hit": float(error <= params["tolerance"])}


@task("toy", version=1)
class ToyTask(Task):
    needs = ("audio", "answer")
    params = {
        "gain": Param(1, "factor before the sum"),
        "rank": Param(2, "multiplier"),
        "init": Param("svd", "random reads the seed", choices=("svd", "random")),
        "seed": Param(0, "added"),
        "tolerance": Param(0.5, "of a hit"),
        "learn": Param(False, "add the mean over all tracks"),
        "baseline": Param(None, "no factorization", choices=(None, "zero", "oracle")),
    }
    metrics = {
        "error": Metric("distance", higher_is_better=False),
        "hit": Metric("within the tolerance"),
    }

    def nodes(self, p):
        nodes, inputs = [], []
        if p["baseline"] is None:
            seed = {"seed": p["seed"]} if p["init"] == "random" else {}
            nodes += [
                Node(
                    "features.scale",
                    scale,
                    {"gain": p["gain"]},
                    ("audio",),
                    versions={"scale": int(os.environ.get("TOY_SCALE_VERSION", 1))},
                ),
                Node(
                    "nmf.factorize",
                    factorize,
                    {"rank": p["rank"], "init": p["init"], **seed},
                    inputs=("features.scale",),
                    batch=("seed", "rank"),
                    compute_batch=factorize_batch,
                ),
            ]
            inputs = ["nmf.factorize"]
        if p["learn"] and p["baseline"] is None:
            nodes.append(
                Node(
                    "postprocessing.learned",
                    learn,
                    {"learn": True},
                    inputs=("features.scale",),
                    fit=lambda data, track: [(data.name, other) for other in data.track_ids()],
                )
            )
            inputs.append("postprocessing.learned")
        nodes += [
            Node(
                "postprocessing.estimate",
                estimate,
                {"baseline": p["baseline"]},
                inputs=tuple(inputs),
                small=True,
            ),
            Node(
                "metrics.toy",
                score,
                {"tolerance": p["tolerance"]},
                ("answer",),
                ("postprocessing.estimate",),
                small=True,
            ),
        ]
        return nodes

    def kind(self, p):
        return {"zero": "baseline", "oracle": "oracle"}.get(p["baseline"], "")

    def skip(self, p):
        return "rank 0 is empty" if p["rank"] == 0 else None


def calls(name):
    return [call for call in CALLS if call[0] == name]


def run(experiment, selector=None, **options):
    CALLS.clear()
    report = experiment.compute(selector, **options)
    return report.computed, report.reused, len(report.failures)
