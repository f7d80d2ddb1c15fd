import os
from pathlib import Path

import pytest
import toy

from nmfab.datasets import DATASETS
from nmfab.experiment import Experiment
from nmfab.tasks import TASKS

for registry in (DATASETS, TASKS):  # the import registered them; other tests know nothing of it
    registry._components.pop("toy")


@pytest.fixture
def toys(monkeypatch):
    """The toy dataset and task, for as long as a test lasts."""
    monkeypatch.setitem(DATASETS._components, "toy", toy.Toy)
    monkeypatch.setitem(TASKS._components, "toy", toy.ToyTask)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of toy tracks."""
    monkeypatch.delenv("NMFAB_DATA", raising=False)
    folder = tmp_path / "data" / "toy"
    folder.mkdir(parents=True)
    for index, name in enumerate(["one", "two", "three"]):
        (folder / f"{name}.txt").write_text(f"{index}\n1\n2\n")
        (folder / f"{name}.ref").write_text("6\n")
    toy.CALLS.clear()
    return folder


@pytest.fixture
def experiment(tmp_path, data, toys):
    """A function that makes an experiment of the toy task, given the factors of its plan."""

    def make(**factors):
        made = Experiment("toy", task="toy", cache=tmp_path / "cache", data=[tmp_path / "data"])
        made.plugins = [Path(toy.__file__)]
        made.add_plan("sums", dataset=["toy"], **factors)
        return made

    return make


@pytest.fixture(scope="session")
def samples():
    """The folder of real recordings: $NMFAB_SAMPLES, else ../shared/samples beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "samples"
    folder = Path(os.environ.get("NMFAB_SAMPLES") or beside)
    if not folder.is_dir():
        pytest.skip(f"real recordings: no folder {folder} (name one by NMFAB_SAMPLES)")
    return folder


@pytest.fixture(scope="session")
def more_samples():
    """More of them: $NMFAB_SAMPLES_MORE, else ../shared/samples_more beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "samples_more"
    folder = Path(os.environ.get("NMFAB_SAMPLES_MORE") or beside)
    if not folder.is_dir():
        pytest.skip(f"real recordings: no folder {folder} (name one by NMFAB_SAMPLES_MORE)")
    return folder
