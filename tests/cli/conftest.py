from pathlib import Path

import pytest
import toy

from nmfab.cli import experiment as cli
from nmfab.experiment import Experiment


@pytest.fixture
def call(tmp_path, data, capsys, toys):
    def run(*arguments):
        made = Experiment("toy", task="toy", title="Sums", cache=tmp_path / "cache")
        made.data = [data.parent]
        made.plugins = [Path(toy.__file__)]
        made.add_plan("sums", dataset=["toy"], rank=[0, 1, 2], init=["random"], seed=[0, 1])
        made.add_plan("rows", dataset=["toy"], baseline=["zero", "oracle"])
        status = cli.main(made, [str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run
