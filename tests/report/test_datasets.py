"""`nmfab datasets`: the table and the pages."""

import pytest

from nmfab.cli import tool
from nmfab.datasets import DATASETS
from nmfab.report import datasets as report

# Other tests register datasets of their own.
BUILT_IN = [name for name in DATASETS.names() if DATASETS[name].__module__.startswith("nmfab.")]


def run(capsys, *words):
    status = tool.main(["datasets", *map(str, words)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_every_dataset_has_a_line_in_the_table(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("NMFAB_DATA", raising=False)
    status, out, _ = run(capsys, "--data", tmp_path)
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == ["name", "tasks", "state", "size", "licence"]
    assert [line.split()[0] for line in lines[2 : 2 + len(DATASETS.names())]] == DATASETS.names()
    assert str(tmp_path) in out


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_dataset_says_what_it_is_and_how_it_comes_there(name, tmp_path):
    dataset = DATASETS[name]([tmp_path])
    for field in ("release", "tasks", "licence", "source", "tree", "steps", "size"):
        assert getattr(dataset, field), f"{name} has no {field}"
    assert dataset.bibtex.strip().startswith("@") or name == "folder"
    assert {*dataset.tasks} <= {"structure", "transcription", "separation", "counting"}
    assert dataset.downloads or dataset.no_download or name in ("demo", "folder")


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_page_shows_all_of_it(name, capsys, tmp_path):
    status, out, _ = run(capsys, name, "--data", tmp_path)
    dataset = DATASETS[name]([tmp_path])
    assert status == 0
    for line in (*dataset.tree.strip().splitlines(), *dataset.bibtex.strip().splitlines()):
        assert line.strip() in out
    words = out.split()
    for text in (dataset.licence, dataset.source, *dataset.steps):
        for word in text.split():
            assert word in words
    assert all(len(line) <= 110 for line in out.splitlines())


def test_what_is_missing_is_named_the_first_few_or_all(capsys, tmp_path):
    (tmp_path / "rwcpop").mkdir()
    _, short, _ = run(capsys, "rwcpop", "--data", tmp_path)
    _, long, _ = run(capsys, "rwcpop", "--data", tmp_path, "--missing")
    assert "missing (200)" in short
    assert "and 188 more" in short
    assert "audio/rwc-p-m07/10.wav" not in short
    assert "audio/rwc-p-m07/10.wav" in long


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_page_does_not_send_its_reader_to_itself(name, capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("NMFAB_DATA", raising=False)
    _, out, _ = run(capsys, name, "--data", tmp_path)
    assert f"nmfab datasets {name} " not in " ".join(out.split())


def test_wrong_names_and_folders_are_told(capsys, tmp_path):
    status, _, err = run(capsys, "rwcpopp")
    assert status == 2
    assert "unknown dataset 'rwcpopp'" in err
    assert "did you mean" in err
    status, _, err = run(capsys, "--data", tmp_path / "no")
    assert (status, err.strip()) == (2, f"--data {tmp_path / 'no'}: there is no such folder")
    status, _, err = run(capsys, "one", "two")
    assert status == 2
    assert len(err.splitlines()) == 1


def test_summary_is_the_first_line_of_the_documentation(tmp_path):
    assert report.summary(DATASETS["rwcpop"]([tmp_path])) == "The RWC Popular Music Database."


def test_the_page_of_the_documentation_says_what_the_headers_say():
    import importlib.util
    from pathlib import Path

    path = Path(__file__).resolve().parents[2] / "scripts" / "dataset_docs.py"
    spec = importlib.util.spec_from_file_location("dataset_docs", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.main(["--check"]) == 0, "python scripts/dataset_docs.py writes it"


@pytest.mark.parametrize("name", ["msa", "mss", "transcription"])
def test_every_dataset_that_serves_a_task_stands_in_its_experiment(name):
    import runpy
    from pathlib import Path

    path = Path(__file__).resolve().parents[2] / "experiments" / f"{name}.py"
    experiment = runpy.run_path(str(path))["experiment"]
    serving = {known for known in DATASETS.names() if experiment.task_name in DATASETS[known].tasks}
    assert set(experiment.grid.factors["dataset"]) == serving
    assert experiment.grid.factors["dataset"][0] == "demo"  # what everybody has
