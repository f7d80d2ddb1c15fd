"""The parts of bench_nmf that compute without measuring."""

from argparse import Namespace
from pathlib import Path

import pytest

SCRIPTS = str(Path(__file__).resolve().parents[1] / "scripts")


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import nmf_report

    return nmf_report


@pytest.fixture
def host(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import host

    for name in ("_done", "_again", "_worst"):
        monkeypatch.setattr(host, name, 0)
    return host


@pytest.fixture
def bench_nmf(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import bench_nmf

    return bench_nmf


def row(method, beta, ms, loss=None, batch=1, library="nmfab", **more):
    return {
        "m": 1000, "n": 2000, "rank": 10, "beta": beta, "library": library, "method": method,
        "dtype": "float32", "device": "cuda", "batch": batch, "loss": loss, "peak_bytes": 0,
        "ms_per_iteration": ms,
    } | more  # fmt: skip


def test_roofline_by_hand(report):
    # 8 MB at 4 TB/s are 2 µs; 1000 · 2000 · 10 multiplications and additions, 40 MFLOP, twice, four
    # and six times, at 50 TFLOP/s are 1.6, 3.2 and 4.8 µs
    rates = 4e12, 50e12
    key = 1000, 2000, 10
    assert report.least_seconds((*key, 2), 1, rates) == pytest.approx(2e-6)
    assert report.least_seconds((*key, 1), 1, rates) == pytest.approx(3.2e-6)
    assert report.least_seconds((*key, 0), 1, rates) == pytest.approx(4.8e-6)
    assert report.least_seconds((*key, 2), 64, rates) == pytest.approx(64 * 1.6e-6)


def test_targets_of_a_gpu_by_hand(report):
    rows = [
        row("mm", 1, 0.01, library="products"),
        row("mm and 2 divisions", 1, 0.012, library="products"),
        row("torch_mu", 1, 0.008, 5.0),
        row("mu", 1, 0.04, 5.0, library="torchnmf"),
        row("torch_mu", 1, 0.01, start="random"),
        row("torch_mu", 1, 0.1, batch=64, start="random"),
    ]
    lines = report.targets(rows, [], [], {}, (4e12, 50e12))
    told = {line.split(" | ")[0].lstrip("| "): line.split(" | ")[1:] for line in lines[2:]}
    here = "1000×2000, rank 10, β = 1"
    assert told[f"torch_mu to the faster of the library measured, {here}"] == [
        "at least 4 times faster", "5", "yes |"]  # fmt: skip
    assert told[f"torch_mu on the GPU, {here}"] == [
        "at least 0.5 of the roofline",
        "0.4",
        "**no** |",
    ]
    assert told[f"64 starts in one call to torchnmf, {here}"] == [
        "at least 20 times faster", "25.6", "yes |"]  # fmt: skip
    # 64 · 3.2 µs of 100
    assert told[f"torch_mu on the GPU, {here}, 64 starts in one call"][1] == "2.05"


def test_error_of_tf32_in_the_loss_is_told(report):
    rows = [row("torch_mu", 1, 0.008, 5.0), row(report.TF32, 1, 0.006, 5.001)]
    assert report.tf32_table(rows)[-1].split(" | ")[2:] == ["0.008", "0.006", "5", "2.0e-04 |"]
    assert report.tf32_table(rows[:1]) == []


def test_forms_are_rows_of_a_gpu_alone(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import nmf_libraries

    monkeypatch.setattr(nmf_libraries, "installed", lambda name: "1")
    of_cpu, of_gpu = (set(nmf_libraries.methods(1, device)) for device in ("cpu", "cuda"))
    assert ("nmfab", "torch_mu fused+graph") in of_gpu
    assert ("nmfab", "torch_mu TF32") in of_gpu
    assert not {method for _, method in of_cpu if method.startswith("torch_mu ")}
    monkeypatch.setattr(nmf_libraries, "installed", lambda name: None)
    assert ("nmfab", "torch_mu fused") not in nmf_libraries.methods(1, "cuda")


def test_a_loss_is_reached_where_the_curve_first_is_below_it(bench_nmf):
    curve = [(0.1, 5.0), (0.2, 3.0), (0.3, 2.0)]
    assert bench_nmf.until(curve, 3.0) == 0.2
    assert bench_nmf.until(curve, 1.9) is None


def test_seconds_to_where_a_peer_ends_are_medians_of_all_runs(report):
    def run(method, own):
        return {"beta": 2, "library": "nmfab", "method": method, "to_peers": {"a mu": (2.0, own)}}

    rows = [run("x", 0.5), run("x", 1.0), run("x", None), run("y", 0.1), run("y", None)]
    rows += [run("y", None), {"beta": 2, "library": "a", "method": "mu"}]
    assert report.peers_table(rows)[2:] == ["| 2 | a mu | 2.00 | x | 1.00 | 2 of 3 | 2 |"]
    rows = [run("y", None)]
    assert report.peers_table(rows)[2:] == ["| 2 | a mu | 2.00 | y | not in time | 0 of 1 | – |"]


def test_forms_that_give_other_losses_end_the_comparison(bench_nmf):
    good = [row("torch_mu", 1, 1, 5.0), row("torch_mu fused", 1, 1, 5.001)]
    bench_nmf.refuse_other_losses([*good, row("torch_mu TF32", 1, 1, 5.1)])
    with pytest.raises(SystemExit, match="losses differ"):
        bench_nmf.refuse_other_losses([*good, row("torch_mu tensor", 1, 1, 5.01)])


def test_a_form_that_cannot_be_had_is_named_and_left_out(bench_nmf, monkeypatch, capsys):
    def fails(*_):
        raise RuntimeError("out of resources\nmore")

    ours = bench_nmf.libraries.ours("torch_mu")
    methods = {
        ("products", "mm"): (bench_nmf.libraries.products, "float32"),
        ("nmfab", "torch_mu"): (ours, "float32"),
        ("nmfab", "torch_mu fused"): (fails, "float32"),
    }
    monkeypatch.setattr(bench_nmf.libraries, "methods", lambda beta, device: methods)
    monkeypatch.setattr(bench_nmf, "PAUSE", 0)
    monkeypatch.setattr(bench_nmf, "TURN", 0)
    rows = bench_nmf.compare((20, 30, 2), 1, Namespace(device="cpu", runs=1, library=None))
    assert [row["method"] for row in rows] == ["mm", "torch_mu"]
    assert "left out: torch_mu fused (beta 1): out of resources\n" in capsys.readouterr().out
    methods["nmfab", "torch_mu"] = fails, "float32"
    with pytest.raises(RuntimeError):
        bench_nmf.compare((20, 30, 2), 1, Namespace(device="cpu", runs=1, library=None))


def test_what_the_host_disturbs_is_measured_again(host, monkeypatch):
    clock, taken, slept = [0.0], [0.0], []

    def measure():
        clock[0] += 1.0
        taken[0] += 0.0 if len(slept) >= 2 else 0.3 * host.os.cpu_count()
        return len(slept)

    monkeypatch.setattr(host, "stolen", lambda: taken[0])
    monkeypatch.setattr(host.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(host.time, "sleep", slept.append)
    assert host.undisturbed(measure) == 2
    assert slept == [1, 1]
    assert "repeated: 2 times for 1 of them" in host.told()
    assert "at most 0%" in host.told()


def test_a_host_that_never_lets_go_is_told_of(host, monkeypatch):
    taken = [0.0]

    def stolen():
        taken[0] += 1e6
        return taken[0]

    monkeypatch.setattr(host, "stolen", stolen)
    monkeypatch.setattr(host.time, "sleep", lambda _: None)
    assert host.undisturbed(lambda: "found") == "found"
    assert f"repeated: {host.PATIENCE} times for 1 of them" in host.told()
    assert "at most 0%" not in host.told()
