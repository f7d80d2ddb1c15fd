"""``nmfab new``: the files that it writes pass the checks, compute, and hide nothing."""

import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from nmfab.algorithms import ALGORITHMS
from nmfab.cli import experiment as cli
from nmfab.cli import tool
from nmfab.cli.new import WHAT
from nmfab.datasets import DATASETS
from nmfab.experiment import Experiment
from nmfab.postprocessing import STEPS
from nmfab.tasks import TASKS

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the tool in a folder of its own; what its files register is forgotten after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # plug-ins' folders join it
    for registry in (ALGORITHMS, DATASETS, STEPS, TASKS):
        known = {name: registry[name] for name in registry.names()}
        monkeypatch.setattr(registry, "_components", known)

    def run(*arguments):
        status = tool.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.mark.parametrize("what", WHAT)
def test_what_is_written_passes_the_checks_as_it_stands(call, what):
    name = f"new_{what}"
    status, out, err = call("new", what, name)
    assert (status, err) == (0, "")
    assert f"{name}.py written" in out
    status, out, _ = call("check", f"{name}.py")
    assert status == 0
    assert "all checks passed" in out.splitlines()[-1]
    assert f"ok              {name}  " in out
    assert "FAILED" not in out


@pytest.mark.parametrize("what", WHAT)
def test_what_is_written_is_commented_and_in_style(call, what, tmp_path):
    call("new", what, "mine")
    text = (tmp_path / "mine.py").read_text()
    assert "NAME" not in text
    assert text.startswith('"""mine: ')
    assert text.count("#") >= 2
    compile(text, "mine.py", "exec")
    ruff = [sys.executable, "-m", "ruff"]
    if subprocess.run([*ruff, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("ruff is not installed")
    config = ["--config", str(REPOSITORY / "pyproject.toml")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [*ruff, *command, *config, "mine.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_algorithm_to_begin_from_is_ten_lines_with_a_parameter(call, tmp_path):
    call("new", "algorithm", "mine")
    text = (tmp_path / "mine.py").read_text()
    body = re.search(r'Yields.*?"""\n(.*)', text, re.S).group(1)
    code = [line for line in body.splitlines() if line.strip() and "#" not in line]
    assert len(code) <= 10
    call("check", "mine.py")
    assert set(ALGORITHMS["mine"].defaults) == {"sparsity"}


def test_the_algorithm_is_a_row_beside_the_others(call, tmp_path, capsys):
    call("new", "algorithm", "mine")
    made = Experiment("x", task="structure", cache=tmp_path / "cache", data=[REPOSITORY / "data"])
    made.add_plan("nmf", dataset=["demo"], algorithm=["torch_mu"], beta=[1], rank=[4], stop=3)
    argv = ["--plugin", "mine.py", "--set", "mine.sparsity=0+0.5", "--tracks", "1", "-c", "-d"]
    assert cli.main(made, argv) == 0
    out = capsys.readouterr().out
    rows = [line.split()[:2] for line in out.splitlines() if re.match(r"(mine|torch_mu) ", line)]
    assert rows == [["torch_mu", "–"], ["mine", "0"], ["mine", "0.5"]]


def test_the_step_is_a_choice_beside_the_others(call, tmp_path, capsys):
    call("new", "step", "mine")
    made = Experiment("x", task="separation", cache=tmp_path / "cache", data=[REPOSITORY / "data"])
    made.add_plan("nmf", dataset=["demo"], grouping=["mfcc"], rank=[4], stop=3, duration=[2])
    argv = ["--plugin", "mine.py", "--set", "grouping=mine+mfcc", "--set", "mine.exponent=1+2"]
    assert cli.main(made, [*argv, "--tracks", "1", "-c", "-d", "0"]) == 0
    out = capsys.readouterr().out
    rows = [line.split()[:2] for line in out.splitlines() if re.match("(mine|mfcc) ", line)]
    assert rows == [["mine", "1"], ["mine", "2"], ["mfcc", "–"]]


def song(folder, name, labels="0\t0.5\tA\n0.5\t1.0\tB\n"):
    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / f"{name}.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.zeros(8000, dtype="<i2").tobytes())
    if labels:
        (folder / f"{name}.lab").write_text(labels)


def test_the_dataset_reads_a_folder_and_is_checked_on_it(call, tmp_path):
    call("new", "dataset", "mine")
    for name in ("one", "two"):
        song(tmp_path / "music" / "mine", name)
    status, out, _ = call("check", "mine.py", "--data", "music")
    assert status == 0
    assert out.splitlines()[-1] == "all checks passed (4)"
    assert "mine  tracks: 2, installed" in out
    assert "mine  loading: one: audio, sections" in out
    found = DATASETS["mine"]([tmp_path / "music"])
    sections = found.load("two").part("sections").read()
    assert sections["intervals"].tolist() == [[0, 0.5], [0.5, 1.0]]
    song(tmp_path / "music" / "mine", "three", labels="")
    status = DATASETS["mine"]([tmp_path / "music"]).status()
    assert (status.state, list(status.missing)) == ("partial", ["three.lab"])
    _, out, _ = call("datasets", "mine", "--data", "music")
    assert "put a link named mine" in out


def test_a_damaged_file_of_the_dataset_fails_the_checks(call, tmp_path):
    call("new", "dataset", "mine")
    song(tmp_path / "music" / "mine", "one", labels="no numbers\n")
    status, out, _ = call("check", "mine.py", "--data", "music")
    assert status == 1
    assert out.splitlines()[-1] == "1 of 4 checks failed: mine loading"
    assert "one.lab" in out


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("3x", "cannot be a name"),
        ("a-b", "cannot be a name"),
        ("a b", "cannot be a name"),
        ("../x", "cannot be a name"),
        ("", "cannot be a name"),
        ("class", "cannot be a name"),
        ("numpy", "is a Python module"),
        ("nmfab", "is a Python module"),
        ("sys", "is a Python module"),
    ],
)
def test_a_name_that_cannot_be_is_refused(call, tmp_path, what, name, words):
    status, out, err = call("new", what, name)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", WHAT)
def test_a_name_that_is_taken_is_refused(call, tmp_path, what):
    taken = {"algorithm": "torch_mu", "dataset": "demo", "step": "mfcc"}[what]
    status, out, err = call("new", what, taken)
    assert (status, out) == (2, "")
    assert err == f"{what} '{taken}' exists: choose another name\n"
    assert not list(tmp_path.iterdir())


def test_a_file_is_never_overwritten(call, tmp_path):
    (tmp_path / "mine.py").write_text("precious")
    status, _, err = call("new", "algorithm", "mine")
    assert status == 2
    assert err.strip() == "mine.py exists: choose another name, or remove it first"
    assert (tmp_path / "mine.py").read_text() == "precious"


def test_a_folder_of_that_name_is_no_obstacle(call, tmp_path):
    (tmp_path / "mine").mkdir()
    assert call("new", "dataset", "mine")[0] == 0


def test_a_folder_that_cannot_be_written_is_named(call, tmp_path):
    from nmfab.base.errors import UsageError
    from nmfab.cli import new

    with pytest.raises(UsageError, match=r"mine\.py cannot be written"):
        new.write("algorithm", "mine", tmp_path / "nowhere")


def test_an_unknown_kind_is_refused_by_argparse(call):
    with pytest.raises(SystemExit) as caught:
        call("new", "metric", "mine")
    assert caught.value.code == 2
