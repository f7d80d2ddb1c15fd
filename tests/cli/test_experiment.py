import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy

from nmfab.cli import tool
from nmfab.store.provenance import libraries

REPOSITORY = Path(__file__).parents[2]


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
    _, out, err = call("-c", "-P")
    assert "18/18" in err
    assert "computed 0, reused 18" in err
    assert "failed" not in err
    _, out, err = call("-c", "-P", "--set", "rank=13", "-s", "sums/")
    assert "6/6" in err
    assert "computed 0, reused 0, failed 6" in err


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
