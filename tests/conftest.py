import os
from pathlib import Path

import pytest
import toy

from nmfab.datasets import DATASETS
from nmfab.tasks import TASKS

for registry in (DATASETS, TASKS):  # the import registered them; other tests know nothing of it
    registry._components.pop("toy")


@pytest.fixture
def toys(monkeypatch):
    """The toy dataset and task, for as long as a test lasts."""
    monkeypatch.setitem(DATASETS._components, "toy", toy.Toy)
    monkeypatch.setitem(TASKS._components, "toy", toy.ToyTask)


@pytest.fixture(scope="session")
def samples():
    """The folder of real recordings: $NMFAB_SAMPLES, else ../shared/samples beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "samples"
    folder = Path(os.environ.get("NMFAB_SAMPLES") or beside)
    if not folder.is_dir():
        pytest.skip(f"real recordings: no folder {folder} (name one by NMFAB_SAMPLES)")
    return folder
