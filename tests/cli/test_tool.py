"""The tool ``nmfab``: what it says and which status it ends with."""

import subprocess
import sys

import pytest

from nmfab.cli import checks, tool
from nmfab.cli.checks import Verdict
from nmfab.report import runs


@pytest.fixture
def call(capsys, monkeypatch):
    def run(*arguments, verdicts=None):
        if verdicts is not None:
            monkeypatch.setattr(checks, "check_file", lambda path, data: iter(verdicts))
        status = tool.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


YES, NO = Verdict("mine", "shapes", True, "V of 3 × 4"), Verdict("mine", "loss", False, "rises")
IDLE, YOURS = Verdict("mine", "kind", None, ""), Verdict("yours", "loss", False, "")


@pytest.mark.parametrize(
    ("verdicts", "status", "last"),
    [
        ([YES], 0, "all checks passed (1)"),
        ([YES, IDLE], 0, "all checks passed (1), 1 not applicable"),
        ([IDLE], 0, "no check passed, 1 not applicable"),
        ([NO], 1, "1 of 1 check failed: mine loss"),
        (
            [YES, NO, IDLE, YOURS],
            1,
            "2 of 3 checks failed, 1 not applicable: mine loss, yours loss",
        ),
    ],
)
def test_checks_are_counted_and_failures_named(call, verdicts, status, last):
    got, out, err = call("check", "mine.py", verdicts=verdicts)
    assert (got, out[-1], err) == (status, last, [])
    assert len(out) == len(verdicts) + 1


def test_a_check_without_an_assertion_is_neither_ok_nor_failed():
    why = IDLE._replace(detail="it yields once")
    again = IDLE._replace(detail="not applicable")  # said once
    lines = [runs.check_line(*verdict) for verdict in (YES, NO, IDLE, why, again)]
    assert lines == [
        "ok              mine  shapes: V of 3 × 4",
        "FAILED          mine  loss: rises",
        "not applicable  mine  kind",
        "not applicable  mine  kind: it yields once",
        "not applicable  mine  kind",
    ]


def test_a_failing_algorithm_is_named(call, tmp_path, monkeypatch):
    from nmfab.algorithms import ALGORITHMS

    known = {name: ALGORITHMS[name] for name in ALGORITHMS.names()}
    monkeypatch.setattr(ALGORITHMS, "_components", known)
    (tmp_path / "wrong.py").write_text(
        "from nmfab import algorithm\n\n\n@algorithm('wrong')\ndef wrong(V, W, H, *, beta):\n"
        "    while True:\n        yield W, H[:1]\n"
    )
    status, out, _ = call("check", tmp_path / "wrong.py")
    assert status == 1
    failed = [line.split()[2].rstrip(":") for line in out if line.startswith("FAILED")]
    assert failed
    assert "checks failed" in out[-1]
    for name in failed:
        assert f"wrong {name}" in out[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "does not exist"),
        ("import nothing_of_that_name", "cannot be imported"),
        ("x = (", "cannot be imported"),
        ("x = 1", "registers nothing to check"),
    ],
)
def test_a_file_without_components_is_wrong_usage(call, tmp_path, text, words):
    if text is not None:
        (tmp_path / "file.py").write_text(text)
    status, out, err = call("check", tmp_path / "file.py")
    assert (status, out, len(err)) == (2, [], 1)
    assert words in err[0]
    assert "file.py" in err[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["datasets", "get"], "one dataset is needed"),
        (["datasets", "get", "demo", "maps"], "one dataset is needed"),
        (["datasets", "mini", "maps"], "a dataset and a folder are needed"),
        (["datasets", "mini", "mapps", "x"], "mapps"),
        (["datasets", "maps", "--data", "/nonexistent"], "--data /nonexistent"),
        (["check", "x.py", "--data", "/nonexistent"], "--data /nonexistent"),
        (["verify", "separation", "musdb18", "--data", "/nonexistent"], "--data /nonexistent"),
        (["verify", "separation", "demo"], "no implementation check of separation on demo"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(call, arguments, words):
    status, out, err = call(*arguments)
    assert (status, out, len(err)) == (2, [], 1)
    assert words in err[0]


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["check"], ["verify", "a", "b", "--jobs", "0"], ["new", "step"]]
)
def test_argparse_refuses_with_status_2(call, arguments):
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    assert caught.value.code == 2


def test_verify_of_files_that_are_not_there_is_wrong_usage(call, tmp_path, monkeypatch):
    monkeypatch.delenv("NMFAB_DATA", raising=False)
    status, _, err = call("datasets", "rwcpop", "--verify", "--data", tmp_path)
    assert status == 2
    assert "nmfab datasets rwcpop" in err[0]


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        ("UsageError('a wrong word')", 2, "a wrong word"),
        ("DataError('a lost file')", 1, "a lost file"),
        ("StoreError('a full disk')", 1, "a full disk"),
        ("KeyboardInterrupt()", 130, "interrupted"),
    ],
)
def test_every_error_has_its_status(call, monkeypatch, raised, status, words):
    from nmfab.base import errors

    error = eval(raised, {**vars(errors)})  # noqa: S307 - our own texts

    def fail(path, data):
        raise error

    monkeypatch.setattr(checks, "check_file", fail)
    got, out, err = call("check", "x.py")
    assert (got, out) == (status, [])
    assert " ".join(err).startswith(words)


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "nmfab", "datasets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Downloads that are there at once: the first is new, the second was there."""
    from nmfab.datasets import download

    files = [download.Remote("u", "a.zip", "md5:1"), download.Remote("u", "b.zip")]
    monkeypatch.setattr(download, "remotes", lambda names: files)
    monkeypatch.setattr(download, "get", lambda remote, folder, tell: remote.name == "a.zip")
    return tmp_path


def test_get_says_what_is_new_and_what_has_no_checksum(call, fetched):
    status, out, err = call("datasets", "get", "beatles", "--data", fetched)
    assert err == []
    assert out[0] == f"into {fetched / 'beatles'}"
    assert out[1] == "a.zip: done"
    assert out[2] == "b.zip: exists already (no checksum is published for it)"
    assert out[3].startswith("beatles: absent, ")
    assert status == 0


def test_what_cannot_be_downloaded_says_how_to_get_it_and_gives_status_1(call, fetched):
    from nmfab.datasets import DATASETS

    names = [name for name in DATASETS.names() if not DATASETS[name].downloads]
    assert names
    for name in names:
        status, out, _ = call("datasets", "get", name, "--data", fetched)
        assert status == 1
        assert out[0].startswith(f"{name}: ")
        assert "a.zip" not in " ".join(out)


def test_files_that_differ_from_the_index_are_named_and_give_status_1(call, monkeypatch, tmp_path):
    from nmfab.datasets import download

    (tmp_path / "rwcpop").mkdir()
    for wrong, status in (["one.wav"], 1), ([], 0):
        monkeypatch.setattr(download, "differing", lambda folder, wrong=wrong: (3, wrong))
        got, out, _ = call("datasets", "rwcpop", "--verify", "--data", tmp_path)
        assert got == status
        assert out[:-1] == [f"differs: {name}" for name in wrong]
        assert out[-1].startswith(f"rwcpop: {3 - len(wrong)} of 3 files have the md5")
