"""Milliseconds per iteration of nmfab, nn_fac, scikit-learn and torchnmf, and of bare products.

python scripts/bench_nmf.py                  all sizes, 7 alternating runs each
python scripts/bench_nmf.py --quick          one small size, 3 runs
python scripts/bench_nmf.py --time-to-loss   besides: seconds until 0.1% above the best loss
python scripts/bench_nmf.py --json FILE      the rows; --figure FILE a picture; --write docs

All run in one process, on the same V, W0 and H0 and with the same number of threads, alternately;
medians are printed. That multiplicative updates reach the same loss everywhere is checked first.
Libraries that are not installed are named and left out (`pip install torchnmf`). On a busy machine
threads that wait for each other measure the others' work: --cpu counts the processor time of one.
"""

import argparse
import ctypes
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import nmf_libraries as libraries
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from nmfab.algorithms.divergence import divergence, floored, measure

SIZES = [(1025, 1292, 20), (1025, 1292, 88), (2049, 5168, 88), (7680, 100, 32)]
QUICK = [(513, 400, 20)]
BETAS = (2, 1, 0)
SAME = {("nmfab", "torch_mu"), ("torch", "plain mu"), ("sklearn", "mu"), ("nn_fac", "mu"),
        ("nn_fac", "mu without its loss"), ("torchnmf", "mu")}  # fmt: skip
COMPARED = 10  # iterations after which losses are compared
PART = "<!-- nmf: written by scripts/bench_nmf.py -->"
CPU = False  # processor time in the place of wall time
ROOT = Path(__file__).resolve().parents[1]


def clock():
    """Return seconds of what is measured."""
    return time.process_time() if CPU else time.perf_counter()


def synthetic(m, n, rank):
    """Return V of mean 1, like a spectrogram (sparse, of all sizes, noisy), and a start."""
    rng = np.random.default_rng(0)
    V = rng.gamma(0.3, size=(m, rank)) @ rng.gamma(0.3, size=(rank, n))
    return started(V * rng.gamma(2, size=(m, n)) + 1e-4, rank, 0)


def started(V, rank, seed):
    """Return V divided by its mean and a random start of mean 1, in float32."""
    V = floored((V / V.mean()).astype(np.float32), 0)
    rng = np.random.default_rng(seed)
    W, H = rng.random((V.shape[0], rank)) + 0.01, rng.random((rank, V.shape[1])) + 0.01
    scale = (W @ H).mean() ** -0.5
    return V, (W * scale).astype(np.float32), (H * scale).astype(np.float32)


def loss_of(V, factors, beta):
    """Return the loss in float64, for it is to tell libraries apart."""
    W, H = (np.asarray(factor, dtype=np.float64) for factor in factors)
    return divergence(V.astype(np.float64), W @ H, beta)


def row_of(size, beta, library, method):
    """Return what every row says."""
    problem = dict(zip(("m", "n", "rank"), size, strict=True))
    return problem | {
        "beta": beta, "library": library, "method": method, "dtype": "float32", "device": "cpu",
        "batch": 1, "loss": None, "peak_bytes": None,
    }  # fmt: skip


def compare(size, beta, runs):
    """Return one row per method on one problem."""
    V, W, H = synthetic(*size)
    rows, runners = [], {}
    for (library, method), (make, dtype) in libraries.methods(beta).items():
        advance, factors = make(V, W, H, beta)
        advance(COMPARED)
        loss = loss_of(V, factors(), beta) if factors else None
        peak = peak_bytes(make, V, W, H, beta) if library == "nmfab" else None
        rows.append(
            row_of(size, beta, library, method) | {"dtype": dtype, "loss": loss, "peak_bytes": peak}
        )  # fmt: skip
        runners[library, method] = advance
    refuse_other_losses(rows)
    for row, ms in zip(rows, alternately(runners, runs), strict=True):
        row["ms_per_iteration"] = ms
    return rows


def refuse_other_losses(rows):
    """Raise where the multiplicative updates of two libraries do not agree."""
    losses = {
        (row["library"], row["method"]): row["loss"]
        for row in rows
        if (row["library"], row["method"]) in SAME
    }
    least, most = min(losses.values()), max(losses.values())
    if not most <= least * 1.001:
        raise SystemExit(f"beta {rows[0]['beta']}: losses differ, so nothing is compared: {losses}")


def alternately(runners, runs):
    """Return the median milliseconds per iteration of each, run in turns."""
    counts, times = {}, {name: [] for name in runners}
    for name, advance in runners.items():
        begin = clock()
        advance(1)
        # long enough for calls by chunks to cost nothing, 10 iterations at most
        counts[name] = int(np.clip(0.2 / (clock() - begin), 1, 10))
    for _ in range(runs):
        for name, advance in runners.items():
            begin = clock()
            advance(counts[name])
            times[name].append((clock() - begin) / counts[name] * 1e3)
    return [statistics.median(times[name]) for name in runners]


def peak_bytes(make, V, W, H, beta):
    """Return what two iterations need beyond one V, W and H; None where Linux does not tell."""
    status, refs = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not refs.exists():
        return None

    def kilobytes(name):
        line = next(x for x in status.read_text().splitlines() if x.startswith(name))
        return int(line.split()[1])

    ctypes.CDLL(None).malloc_trim(0)
    before = kilobytes("VmRSS")
    refs.write_text("5")
    advance, factors = make(V, W, H, beta)
    advance(2)
    peak = kilobytes("VmHWM") - before
    del advance, factors
    return max(0, 1024 * peak - V.nbytes - W.nbytes - H.nbytes)


def batches(size, beta, runs, count=16):
    """Return rows of `count` starts in one call and of one start."""
    V, W, H = synthetic(*size)
    rng = np.random.default_rng(1)
    many = [(x * rng.uniform(0.5, 1.5, (count, *x.shape))).astype(np.float32) for x in (W, H)]
    runners = {}
    for number, start in ((1, (W, H)), (count, many)):
        runners[number], _ = libraries.ours("torch_mu")(V, *start, beta)
        runners[number](2)
    return [
        row_of(size, beta, "nmfab", "torch_mu") | {"batch": number, "ms_per_iteration": ms}
        for number, ms in zip(runners, alternately(runners, runs), strict=True)
    ]  # fmt: skip


def measuring(size, beta, runs):
    """Return the time of one loss and residual relative to an iteration of torch_mu."""
    V, W, H = synthetic(*size)
    advance, _ = libraries.ours("torch_mu")(V, W, H, beta)
    tensors = libraries.longer_side_first(V), torch.from_numpy(W), torch.from_numpy(H)

    def look(count):
        for _ in range(count):
            measure(*tensors, beta)

    iteration, look_ms = alternately({"iterate": advance, "look": look}, runs)
    return look_ms / iteration


def spectrograms(folder, most):
    """Return {name: magnitude} of recordings below a folder, 10 s of each."""
    import librosa

    kinds = (".wav", ".ogg", ".mp3", ".flac")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in kinds]
    found = {}
    for path in files[:: max(1, len(files) // most)][:most]:
        samples, _ = librosa.load(path, sr=22050, mono=True, duration=10)
        found[path.stem] = np.abs(librosa.stft(samples, n_fft=2048, hop_length=512))
    return found


def time_to_loss(name, V, rank, beta, seed, iterations):
    """Return one row per method: seconds until 0.1% above the best loss of all, or None."""
    V, W, H = started(V, rank, seed)
    curves, step = {}, 5
    for key, (make, _) in libraries.methods(beta).items():
        if key[0] == "products" or key == ("torch", "plain mu"):
            continue
        advance, factors = make(V, W, H, beta)
        seconds, curve = 0.0, []
        for _ in range(0, iterations, step):
            begin = clock()
            advance(step)
            seconds += clock() - begin
            curve.append((seconds, loss_of(V, factors(), beta)))
        curves[key] = curve
    target = 1.001 * min(loss for curve in curves.values() for _, loss in curve)
    return [
        {"spectrogram": name, "rank": rank, "beta": beta, "seed": seed, "library": library,
         "method": method,
         "seconds_to_target": next((s for s, loss in curve if loss <= target), None)}
        for (library, method), curve in curves.items()
    ]  # fmt: skip


def table(rows):
    """Return the rows of one batch size of 1 as a Markdown table with ratios."""
    lines = [
        "| V, rank | β | library, method | ms | times its products | against torch_mu |",
        "|---|---|---|---|---|---|",
    ]
    for row in (row for row in rows if row["batch"] == 1 and row.get("loss") is not None):
        same = [r for r in rows if all(r[k] == row[k] for k in ("m", "n", "rank", "beta"))]
        bare = next(r for r in same if r["method"] == "mm")["ms_per_iteration"]
        reference = next(r for r in same if r["method"] == "torch_mu")["ms_per_iteration"]
        ms = row["ms_per_iteration"]
        lines.append(
            f"| {row['m']}×{row['n']}, {row['rank']} | {row['beta']} | {row['library']} "
            f"{row['method']} ({row['dtype']}) | {ms:.2f} | {ms / bare:.2f} | "
            f"{ms / reference:.2f} |"
        )
    return lines


def loss_table(rows):
    """Return medians of seconds to the target over spectrograms and seeds as a Markdown table."""
    lines = ["| β | library, method | median s | reached |", "|---|---|---|---|"]
    keys = sorted({(-row["beta"], row["library"], row["method"]) for row in rows})
    for beta, library, method in keys:
        times = [
            row["seconds_to_target"]
            for row in rows
            if (-row["beta"], row["library"], row["method"]) == (beta, library, method)
        ]
        middle = statistics.median([float("inf") if t is None else t for t in times])
        reached = sum(t is not None for t in times)
        shown = "not in time" if middle == float("inf") else f"{middle:.2f}"
        lines.append(f"| {-beta} | {library} {method} | {shown} | {reached} of {len(times)} |")
    return lines


def report(rows, losses, looks):
    """Return the page's NMF part."""
    packages = {n: libraries.installed(n) for n in ("torch", "numpy", "scikit-learn", "nn_fac",
                                                    "torchnmf")}  # fmt: skip
    names = ", ".join(f"{name} {number or 'not installed'}" for name, number in packages.items())
    lines = [
        "## Factorization",
        "",
        f"`python scripts/{' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}`",
        "",
        f"{processor()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"{names}. "
        f"{'Processor' if CPU else 'Wall'} time, medians of alternating runs; a figure "
        "beside others of its run is comparable, "
        "one of another run is not. No GPU was measured.",
        "",
        *table(rows),
        "",
    ]
    for row in rows:
        if row["batch"] > 1:
            one = next(r for r in rows if r["batch"] == 1 and r["method"] == "torch_mu"
                       and all(r[k] == row[k] for k in ("m", "n", "rank", "beta"))
                       and r["loss"] is None)  # fmt: skip
            lines.append(
                f"- {row['batch']} starts in one call, {row['m']}×{row['n']}, rank {row['rank']}, "
                f"β = {row['beta']}: {row['ms_per_iteration'] / one['ms_per_iteration']:.1f} times "
                "one start"
            )
    for row in rows:
        if row["peak_bytes"] is not None and row["method"] == "torch_mu":
            share = row["peak_bytes"] / (4 * row["m"] * row["n"])
            lines.append(
                f"- memory of torch_mu beyond one V, W and H, {row['m']}×{row['n']}, rank "
                f"{row['rank']}, β = {row['beta']}: {share:.0%} of V"
            )
    lines += [
        f"- one loss and residual, {m}×{n}, rank {rank}, β = {beta}: {look:.1f} iterations, of "
        "which a run of 200 has 8"
        for (m, n, rank, beta), look in looks.items()
    ]
    if losses:
        lines += ["", "Until the loss is 0.1% above the best that any reaches:", ""]
        lines += loss_table(losses)
    return "\n".join(lines) + "\n"


def processor():
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def draw(rows, path):
    """Draw bars: milliseconds per iteration of every method, a panel for each problem."""
    import matplotlib.pyplot as plt

    problems = sorted({(r["m"], r["n"], r["rank"], r["beta"]) for r in rows})
    figure, axes = plt.subplots(len(problems), 1, figsize=(8, 2.2 * len(problems)), squeeze=False)
    for axis, problem in zip(axes[:, 0], problems, strict=True):
        own = [r for r in rows if (r["m"], r["n"], r["rank"], r["beta"]) == problem
               and (r["loss"] is not None or r["library"] == "products")]  # fmt: skip
        names = [f"{r['library']} {r['method']}" for r in own]
        axis.barh(names, [r["ms_per_iteration"] for r in own])
        axis.set(xscale="log", xlabel="ms per iteration", title="{}×{}, rank {}, β = {}".format(
            *problem))  # fmt: skip
    figure.tight_layout()
    figure.savefig(path)


def write(text, page):
    """Put the part into the page, in the place of an older one."""
    old = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
    before, _, rest = old.partition(PART)
    after = rest.partition(PART)[2] if rest else ""
    page.write_text(f"{before.rstrip()}\n\n{PART}\n\n{text}\n{PART}\n{after}", encoding="utf-8")


def arguments(argv):
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small size, 3 runs, 1 seed")
    parser.add_argument("--runs", type=int, default=7, help="alternating runs")
    parser.add_argument("--size", type=int, nargs="*", help="numbers of the sizes, 0 to 3")
    parser.add_argument("--beta", type=int, nargs="*", default=BETAS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread")
    parser.add_argument("--time-to-loss", action="store_true")
    parser.add_argument("--iterations", type=int, default=500, help="of --time-to-loss")
    parser.add_argument("--seeds", type=int, default=5, help="of --time-to-loss")
    parser.add_argument("--samples", type=Path, default=ROOT.parent / "shared" / "samples")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    given = parser.parse_args(argv)
    if given.quick:
        given.runs, given.seeds, given.iterations = 3, 1, 50
    return given


def main(argv=None):
    """Measure what was asked for."""
    given = arguments(argv)
    global CPU
    CPU, given.threads = given.cpu, 1 if given.cpu else given.threads
    torch.set_num_threads(given.threads)
    with threadpool_limits(given.threads):
        bench(given)


def bench(given):
    """Measure with the threads that are set."""
    sizes = QUICK if given.quick else SIZES
    sizes = sizes if given.size is None else [SIZES[i] for i in given.size]
    for name in ("nn_fac", "torchnmf"):
        if not libraries.installed(name):
            print(f"left out: {name} is not installed")
    rows, losses, looks = [], [], {}
    for size in sizes:
        for beta in given.beta:
            rows += compare(size, beta, given.runs)
            looks[*size, beta] = measuring(size, beta, given.runs)
            print("\n".join(table(rows)[-len(libraries.methods(beta)) :]), flush=True)
    for beta in given.beta:
        rows += batches(sizes[0], beta, given.runs)
    if given.time_to_loss:
        for name, V in spectrograms(given.samples, 1 if given.quick else 3).items():
            for beta in given.beta:
                for seed in range(given.seeds):
                    losses += time_to_loss(name, V, 20, beta, seed, given.iterations)
    print(report(rows, losses, looks))
    if given.json:
        given.json.write_text(json.dumps(rows + losses, indent=1), encoding="utf-8")
    if given.figure:
        draw(rows, given.figure)
    if given.write:
        write(report(rows, losses, looks), ROOT / "docs" / "performance.md")


if __name__ == "__main__":
    main()
