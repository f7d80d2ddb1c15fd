import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def samples():
    """The folder of real recordings: $NMFAB_SAMPLES, else ../shared/samples beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "samples"
    folder = Path(os.environ.get("NMFAB_SAMPLES") or beside)
    if not folder.is_dir():
        pytest.skip(f"real recordings: no folder {folder} (name one by NMFAB_SAMPLES)")
    return folder
