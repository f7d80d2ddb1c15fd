"""The command line of an experiment: where options arrive, and the status that errors give."""

import os
import sys

import pytest

from nmfab.experiment import Experiment


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-c", "--cache", "file"], ["--cache file: file is a file"]),
        (["-d", "--cache", "file/below/it"], ["--cache file/below/it: file is a file"]),
        (["-i", "--data", "file"], ["--data file: there is no such folder"]),
        (["-c", "--tracks", ""], ["at least one track is needed"]),
        (["-c", "--tracks", " , "], ["at least one track is needed"]),
        (["-c", "--tracks", "[]"], ["at least one track is needed"]),
        (["-c", "--tracks", "[one"], ["--tracks [one", "not a list of ids"]),
        (["-c", "--tracks", "²"], ["no dataset of the selection has a track ²"]),
        (["-e", "folder"], ["folder cannot be written"]),
        (["-e", "nowhere/x.csv"], ["nowhere/x.csv cannot be written"]),
        (["-d", "rank:"], ["expected a value"]),
        (["-d", "rnk:0"], ["unknown factor 'rnk'"]),
        (["-c", "--plugin", "folder"], ["plug-in", "folder"]),
        (["-c", "--plugin", "file"], ["plug-in", "file"]),
        (["-c", "--plugin", "leaves.py"], ["leaves.py", "SystemExit"]),
    ],
)
def test_wrong_files_and_words_are_one_line_and_status_2(
    call, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    status, _, err = call(*arguments)
    assert (status, len(err.splitlines())) == (2, 1), err
    for word in words:
        assert word in err


def test_a_folder_that_cannot_be_written_is_named_and_gives_status_1(call, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device", "cache/toy/file.h5")

    monkeypatch.setattr(Experiment, "compute", full)
    status, out, err = call("-c")
    assert (status, out, err) == (1, "", "cache/toy/file.h5: No space left on device\n")


def test_an_interruption_gives_status_130(call, monkeypatch):
    def interrupted(self, *arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "compute", interrupted)
    status, _, err = call("-c")
    assert status == 130
    assert err.startswith("interrupted: finished results are kept")


def test_options_arrive_where_they_are_used(call, monkeypatch, tmp_path):
    given = {}

    def compute(self, selector, **options):
        given.update(options, selector=selector, device=self.device, threads=self.threads)
        given.update(timing=self.timing, cache=self.cache, data=self.data[0])
        from nmfab.run.runner import Report

        return Report()

    monkeypatch.setattr(Experiment, "compute", compute)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    call("-c", "3", "-s", "rank=1", "--refresh", "nmf", "--fail-fast", "--data", tmp_path)
    assert (given["jobs"], given["selector"], given["refresh"]) == (3, "rank=1", "nmf")
    assert (given["fail_fast"], given["threads"], given["device"]) == (True, 2, "cpu")
    assert given["data"] == tmp_path
    assert (given["cache"], given["timing"]) == (tmp_path / "cache", False)
    call("-c", "--device", "auto", "--threads", "5", "--timing", "--cache", tmp_path / "other")
    assert (given["jobs"], given["selector"], given["refresh"]) == (1, None, None)
    assert (given["fail_fast"], given["threads"], given["device"]) == (False, 5, "auto")
    assert (given["cache"], given["timing"]) == (tmp_path / "other", True)
    call("-c", "9")
    assert given["threads"] == 1


def test_the_selection_holds_for_every_action(call, tmp_path):
    call("-c")
    _, out, _ = call("-l", "-s", "sums/rank=1")
    assert len(out.splitlines()) == 2
    _, out, _ = call("-d", "-s", "sums/rank=1")
    assert "b: baseline" not in out
    _, out, _ = call("--explain", "-s", "sums/rank=1")
    assert "gain" not in out
    call("-e", tmp_path / "x.csv", "-s", "sums/rank=1")
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 6
    _, out, _ = call("-p", "-s", "sums/rank=1", "--refresh", "metrics")
    assert "exists: 0 of 6 results" in out
    _, out, _ = call("--explain", "-s", "sums/rank=1", "--refresh", "metrics")
    assert any("compute" in line and "metrics.toy" in line for line in out.splitlines())
    call("-R", "--yes", "-s", "sums/rank=1")
    _, out, _ = call("-p")
    assert "exists: 12 of 18 results" in out


@pytest.mark.parametrize(("answer", "kept"), [("y", 0), ("YES ", 0), ("n", 6), ("", 6)])
def test_remove_does_as_it_is_answered(call, monkeypatch, answer, kept):
    call("-c", "-s", "sums/rank=1")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    status, out, _ = call("-R", "-s", "sums/rank=1")
    assert status == 0
    assert ("nothing removed" in out) == (kept == 6)
    _, out, _ = call("-p", "-s", "sums/rank=1")
    assert f"exists: {kept} of 6 results" in out


def test_the_worst_status_of_several_actions_counts(call):
    status, _, _ = call("-c", "-d", "--set", "rank=13+1", "-s", "sums/")
    assert status == 1


def test_colour_is_for_terminals_that_want_it(call, monkeypatch):
    call("-c")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\033[1m" in call("-d")[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033[1m" not in call("-d")[1]


def test_explain_names_datasets_that_are_absent(call, tmp_path):
    (tmp_path / "data" / "toy").rename(tmp_path / "data" / "other")
    status, _, err = call("--explain")
    assert status == 0
    assert "put text files with numbers into toy/" in err
    _, out, _ = call("-p")
    assert "without data: 6 settings, " in out
    _, out, _ = call("-i")
    assert "absent" in out


def test_warnings_of_a_run_go_to_standard_error(call, monkeypatch):
    from nmfab.run import runner

    run = runner.run

    def warned(*arguments, **options):
        report = run(*arguments, **options)
        report.warnings.append("a file was set aside")
        return report

    monkeypatch.setattr(runner, "run", warned)
    status, out, err = call("-c", "-s", "rank=1")
    assert status == 0
    assert err == "warning: a file was set aside\n"
    assert "set aside" not in out


def test_published_figures_are_shown_where_they_are_asked_for(call):
    _, out, _ = call("-d")
    assert "published" not in out
    _, out, _ = call("-d", "--published")
    assert out.splitlines()[-1] == "no figure is published for toy on what is selected"
