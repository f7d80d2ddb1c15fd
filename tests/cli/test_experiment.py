import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy

from nmfab.cli import experiment as cli
from nmfab.cli import tool
from nmfab.experiment import Experiment
from nmfab.store.provenance import libraries

REPOSITORY = Path(__file__).parents[2]


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


def test_compute_then_nothing_then_table(call):
    status, out, err = call("-c")
    assert (status, err) == (0, "")
    assert out.startswith("computed 18, reused 0")
    status, out, _ = call("-c")
    assert out.startswith("computed 0, reused 18")
    status, out, _ = call("-d")
    assert status == 0
    assert "error" in out
    assert "hit" in out
    assert "3 tracks" in out


def test_actions_join_in_order(call):
    status, out, _ = call("-d", "-c", "-s", "rank=1")
    assert status == 0
    assert out.index("computed") < out.index("3 tracks")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-d", "-s", '{"rnk":1}'], ["rnk", "rank"]),
        (["-d", "-s", '{"rank":5}'], ["rank", "5", "1", "2"]),
        (["-d", "-s", '{"rank":'], ["{"]),
        (["-d", "-s", "sum/rank=1"], ["sum", "sums"]),
        (["-d", "7"], ["7", "error"]),
        (["-c", "--set", "gian=2"], ["gian", "gain"]),
        (["-c", "--set", "gain"], ["gain"]),
        (["-c", "--set", "gain=nan"], ["gain", "number"]),
        (["-c", "--tracks", "four"], ["four"]),
        (["-c", "--tracks", "0"], ["0"]),
        (["-c", "--data", "/nonexistent"], ["/nonexistent"]),
        (["-c", "--plugin", "/nonexistent.py"], ["/nonexistent.py"]),
        (["-R"], ["nothing to remove"]),
        ([], ["usage"]),
    ],
)
def test_a_wrong_argument_is_named(call, arguments, words):
    status, out, err = call(*arguments)
    text = out + err
    for word in words:
        assert word in text
    if arguments != ["-R"]:
        assert status == 2
    assert "Traceback" not in text
    assert len(err.strip().splitlines()) <= 1


@pytest.mark.parametrize("option", [["-c", "0"], ["-c", "x"], ["--device", "tpu"], ["--nonsense"]])
def test_argparse_refuses_with_status_2(call, option):
    with pytest.raises(SystemExit) as caught:
        call(*option)
    assert caught.value.code == 2


def test_failures_are_named_and_give_status_1(call):
    status, out, err = call("-c", "--set", "rank=13+1", "-s", "sums/")
    assert status == 1
    assert "computed 6" in out
    assert "failed 6" in out
    lines = [line for line in err.splitlines() if "bad luck" in line]
    assert len(lines) == 1  # two settings on three tracks
    assert "nmfab.log" in err
    assert "Traceback" not in err
    _, out, _ = call("-d", "--set", "rank=13+1", "-s", "sums/")
    assert "bad luck" in out


def test_export(call, tmp_path):
    call("-c")
    status, _, _ = call("-e", tmp_path / "scores.csv", "-s", "rank=2")
    assert status == 0
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["track"] for row in rows} == {"one", "two", "three"}
    assert all(row["error"] for row in rows)


def test_explain_names_the_parameter_that_differs(call):
    call("-c", "-s", "sums/")
    _, out, _ = call("--explain", "-s", "sums/")
    assert "compute" not in out
    assert "reuse" in out
    _, out, _ = call("--explain", "-s", "sums/", "--set", "gain=3")
    assert "gain: 1 → 3" in out
    _, out, _ = call("--explain", "-s", "sums/", "--set", "tolerance=3")
    computed = [line for line in out.splitlines() if "compute" in line]
    assert len(computed) == 1
    assert "metrics.toy" in computed[0]
    assert "tolerance: 0.5 → 3" in computed[0]


def test_explain_tells_changed_parts_and_versions(call, tmp_path, monkeypatch):
    call("-c", "-s", "sums/")
    (tmp_path / "data" / "toy" / "one.ref").write_text("9\n")
    _, out, _ = call("--explain", "-s", "sums/")
    (line,) = [line for line in out.splitlines() if "compute" in line]
    assert "answer changed" in line
    monkeypatch.setenv("TOY_SCALE_VERSION", "2")
    _, out, _ = call("--explain", "-s", "sums/")
    assert "scale: 1 → 2" in out


def test_explain_tells_of_other_libraries(call, monkeypatch):
    call("-c", "-s", "sums/")
    changed = {**libraries(), "numpy": "9.9"}
    monkeypatch.setattr("nmfab.run.explain.libraries", lambda: changed)
    _, out, _ = call("--explain", "-s", "sums/")
    assert "now 9.9" in out


def test_plan_tells_what_is_left_out_what_exists_and_what_it_costs(call):
    _, out, _ = call("-p")
    assert "rank 0 is empty" in out
    assert "toy 3" in out
    call("-c", "-s", "rank=1")
    _, out, _ = call("-p")
    assert "12 of 18" in out
    _, out, _ = call("-p", "--set", "rank=1", "-s", "sums/")
    assert "6 of 6" in out


def test_remove_asks_first(call, monkeypatch):
    call("-c")
    status, _, err = call("-R", "-s", "rank=2")
    assert status == 2
    assert "--yes" in err
    status, out, _ = call("-R", "--yes", "-s", "rank=2")
    assert status == 0
    assert "removed" in out
    _, out, _ = call("-c")
    assert out.startswith("computed 12, reused 6")  # baselines matched the selector too


def test_refresh(call):
    call("-c", "-s", "rank=2")
    _, out, _ = call("-c", "-s", "rank=2", "--refresh", "metrics")
    assert out.startswith("computed 12, reused 0")
    assert "factorize" not in out


def test_tracks(call):
    _, out, _ = call("-c", "--tracks", "1", "-s", "sums/")
    assert out.startswith("computed 4,")
    _, out, _ = call("-c", "--tracks", "one,two", "-s", "sums/")
    assert out.startswith("computed 4, reused 4")


def test_progress_goes_to_standard_error(call):
    _, out, err = call("-c", "-P")
    assert "18/18" in err
    assert "18/18" not in out


def test_an_absent_dataset_is_said(call, tmp_path):
    (tmp_path / "data" / "toy").rename(tmp_path / "data" / "other")
    status, _, err = call("-c")
    assert status == 1
    assert "put text files with numbers into toy/" in err


def test_an_absent_dataset_that_nobody_named_is_left_out(call, tmp_path, monkeypatch):
    from nmfab.datasets import DATASETS

    class Elsewhere(toy.Toy):
        name, version = "elsewhere", 1

    monkeypatch.setitem(DATASETS._components, "elsewhere", Elsewhere)
    status, out, err = call("-c", "--set", "dataset=toy+elsewhere", "-s", "rank=1")
    assert status == 0
    assert out.startswith("computed 12,")
    assert "left out: dataset elsewhere: " in err
    status, out, _ = call("-d", "--set", "dataset=toy+elsewhere", "-s", "rank=1")
    assert status == 0
    assert next(line for line in out.splitlines() if " track" in line).startswith("toy")
    assert "elsewhere ·" not in out  # it has no table, and a line says why
    assert "left out: dataset elsewhere: " in out
    status, _, err = call("-c", "--set", "dataset=toy+elsewhere", "-s", "dataset=elsewhere")
    assert status == 1
    assert "elsewhere" in err


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['msa.py', '--help']\n"
        "import runpy\n"
        "try:\n    runpy.run_path(sys.argv[0] and 'experiments/msa.py', run_name='__main__')\n"
        "except SystemExit as done:\n    assert not done.code\n"
        "heavy = {'doce', 'pandas', 'h5py', 'torch', 'librosa', 'scipy', 'sklearn'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--select" in done.stdout


def test_check_runs_the_conformance_suite(capsys):
    status = tool.main(["check", str(REPOSITORY / "docs" / "examples" / "my_nmf.py")])
    out = capsys.readouterr().out
    assert status == 0
    assert "all checks passed" in out


def test_an_edited_plugin_alone_runs_again(tmp_path):
    """The command of the documentation, in processes of its own, as a user would type it."""
    plugin = tmp_path / "my_nmf.py"
    text = (REPOSITORY / "docs" / "examples" / "my_nmf.py").read_text()
    plugin.write_text(text)
    command = [sys.executable, str(REPOSITORY / "experiments" / "msa.py"), "--plugin", str(plugin)]
    command += ["--cache", str(tmp_path / "cache"), "--tracks", "1", "-c", "2"]
    command += ["-s", '{"algorithm":["my_nmf","torch_mu"],"dataset":"demo","beta":1,"rank":10}']

    def outcome():
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = outcome()
    assert "reused 0" in first
    assert outcome().startswith("computed 0,")
    plugin.write_text(text + "\n# edited\n")
    again = outcome()
    assert not again.startswith("computed 0,")
    assert "reused 0" not in again


def test_timing_is_told_and_shown_where_it_is_asked_for(call):
    call("-c", "-s", "sums/")
    _, out, _ = call("-c", "--timing", "--threads", "1", "-s", "sums/")
    assert out.startswith("computed 0, reused 12")
    assert "timed 12 nmf.factorize" in out
    _, out, _ = call("--explain", "--timing", "--threads", "1", "-s", "sums/")
    assert "seconds have not been" not in out
    _, out, _ = call("--explain", "--timing", "--threads", "2", "-s", "sums/")
    assert "time" in out
    assert "seconds have not been measured alone here" in out
    _, out, _ = call("-d", "--timing")
    assert "seconds [s]" in out
    assert "measured alone on" in out
    _, out, _ = call("-d")
    assert "seconds" not in out
    status, _, err = call("-c", "2", "--timing")
    assert status == 2
    assert "leave out" in err


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
