"""Milliseconds per iteration of nmfab, nn_fac, scikit-learn and torchnmf, and of bare products.

python scripts/bench_nmf.py                  all sizes, 7 alternating runs each
python scripts/bench_nmf.py --quick          one small size, 3 runs
python scripts/bench_nmf.py --time-to-loss   besides: seconds until 0.1% above the best loss
python scripts/bench_nmf.py --device cuda    on a GPU, what runs there
python scripts/bench_nmf.py --json FILE      the rows; --figure FILE a picture; --write docs

All run in one process, on the same V, W0 and H0 and with the same number of threads, alternately;
medians are printed. That multiplicative updates reach the same loss everywhere is checked first.
Libraries that are not installed are named and left out (`pip install torchnmf`). On a busy machine
threads that wait for each other measure the others' work: --cpu counts the processor time of one.
What was measured while the host of a virtual machine let others run is measured again.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path

import host
import nmf_libraries as libraries
import nmf_memory as memory
import nmf_report as report
import numpy as np
import performance
import torch
from nmf_problems import spectrograms, started, synthetic
from threadpoolctl import threadpool_limits

from nmfab.algorithms.measuring import measure
from nmfab.base.divergence import divergence

SIZES = [(1025, 1292, 20), (1025, 1292, 88), (2049, 5168, 88), (7680, 100, 32)]
QUICK = [(513, 400, 20)]
BETAS = (2, 1, 0)
SAME = {("nmfab", "torch_mu"), ("torch", "plain mu"), ("sklearn", "mu"), ("nn_fac", "mu"),
        ("nn_fac", "mu without its loss"), ("torchnmf", "mu")}  # fmt: skip
FORMS = "torch_mu "  # begins the names of forms, see nmf_libraries.methods
COMPARED = 10  # iterations after which losses are compared
PAUSE = 0.1  # seconds before each turn
TURN = 0.3  # seconds of a turn
MOST = {"cpu": 60, "cuda": 1000}  # iterations of a turn
SLOW = 1.0  # seconds; what takes longer for one iteration has one of them in three turns
CPU = False  # processor time in the place of wall time


def clock():
    """Return seconds of what is measured."""
    return time.process_time() if CPU else time.perf_counter()


def loss_of(V, factors, beta):
    """Return the loss in float64, for it is to tell libraries apart."""
    W, H = (np.asarray(factor, dtype=np.float64) for factor in factors)
    return divergence(V.astype(np.float64), W @ H, beta)


def row_of(size, beta, library, method, device):
    """Return what every row says."""
    problem = dict(zip(("m", "n", "rank"), size, strict=True))
    return problem | {
        "beta": beta, "library": library, "method": method, "dtype": "float32", "device": device,
        "batch": 1, "loss": None, "peak_bytes": None,
    }  # fmt: skip


def compare(size, beta, given):
    """Return one row per method on one problem."""
    V, W, H = synthetic(*size)
    rows, runners = [], {}
    for (library, method), (make, dtype) in chosen(beta, given).items():
        begin = partial(make, V, W, H, beta, given.device)
        try:
            advance, factors = begin()
            advance(COMPARED if (library, method) in SAME or method.startswith(FORMS) else 1)
        except Exception as error:
            if not method.startswith(FORMS):
                raise
            print(f"left out: {method} (beta {beta}): {str(error).splitlines()[0]}")
            continue
        loss = loss_of(V, factors(), beta) if factors else None
        peak = None
        if library == "nmfab" and given.device != "cpu":
            peak = memory.on_gpu(begin, V.nbytes + W.nbytes + H.nbytes)
        elif library == "nmfab":
            peak = memory.on_cpu(method, size, beta)
        rows.append(
            row_of(size, beta, library, method, given.device)
            | {"dtype": dtype, "loss": loss, "peak_bytes": peak}
        )
        runners[library, method] = begin
    refuse_other_losses(rows)
    for row, ms in zip(rows, alternately(runners, given), strict=True):
        row["ms_per_iteration"] = ms
    return rows


def chosen(beta, given):
    """Return the methods of the wanted libraries; ours and the products are always among them."""
    found = libraries.methods(beta, given.device)
    keep = {"nmfab", "products", *(given.library or (library for library, _ in found))}
    return {key: value for key, value in found.items() if key[0] in keep}


def refuse_other_losses(rows):
    """Raise where the multiplicative updates of two libraries do not agree."""
    losses = {
        (row["library"], row["method"]): row["loss"]
        for row in rows
        if (row["library"], row["method"]) in SAME
        or (row["method"].startswith(FORMS) and row["method"] != report.TF32)
    }
    least, most = min(losses.values()), max(losses.values())
    if not most <= least * 1.001:
        raise SystemExit(f"beta {rows[0]['beta']}: losses differ, so nothing is compared: {losses}")


def alternately(runners, given):
    """Return the median milliseconds per iteration of each, run in turns from the same start.

    Threads of the library before wait for more work by turning in circles: they are given time to
    fall asleep.
    """
    times = {name: [] for name in runners}
    for turn in range(given.runs):
        for name, begin in runners.items():
            if turn > 2 and times[name][0] > 1e3 * SLOW:
                continue
            advance, _ = begin()
            time.sleep(PAUSE)
            per_iteration = timed(advance, 1)
            if per_iteration > SLOW:
                times[name].append(per_iteration * 1e3)
                continue
            per_iteration = timed(advance, 2)  # the first one copies V
            count = int(np.clip(TURN / per_iteration, 1, MOST[given.device]))
            times[name].append(host.undisturbed(partial(timed, advance, count)) * 1e3)
    return [statistics.median(times[name]) for name in runners]


def prepare(runners, given):
    """Have a GPU compile what it needs and choose its forms, which is no part of an iteration."""
    for begin in runners if given.device == "cuda" else ():
        begin()[0](1)


def timed(advance, count):
    """Return seconds per iteration."""
    begin = clock()
    advance(count)
    return (clock() - begin) / count


def batches(size, beta, given):
    """Return rows of many starts in one call (16, on a GPU 64) and of one start."""
    V, W, H = synthetic(*size)
    count = 16 if given.device == "cpu" else 64
    rng = np.random.default_rng(1)
    many = [(x * rng.uniform(0.5, 1.5, (count, *x.shape))).astype(np.float32) for x in (W, H)]
    runners = {
        number: partial(libraries.ours("torch_mu"), V, *start, beta, given.device)
        for number, start in ((1, (W, H)), (count, many))
    }
    prepare(runners.values(), given)
    return [
        row_of(size, beta, "nmfab", "torch_mu", given.device)
        | {"batch": number, "start": "random", "ms_per_iteration": ms}
        for number, ms in zip(runners, alternately(runners, given), strict=True)
    ]


def measuring(size, beta, given):
    """Return the time of one loss and residual relative to an iteration of torch_mu."""
    V, W, H = synthetic(*size)
    begin = partial(libraries.ours("torch_mu"), V, W, H, beta, given.device)
    tensors = (
        libraries.longer_side_first(V, given.device),
        *(libraries.tensor(x, given.device) for x in (W, H)),
    )

    def look(count):
        for _ in range(count):
            measure(*tensors, beta)

    looking = {"iterate": begin, "look": lambda: (look, None)}
    iteration, look_ms = alternately(looking, given)
    return look_ms / iteration


def race(size, given, iterations=10):
    """Return one row per method of β = 2 on seconds until the loss that all of them reach."""
    V, W, H = synthetic(*size)
    curves = {}
    for key, (make, _) in chosen(2, given).items():
        if key[0] == "products" or "mu" in key[1]:
            continue
        start = partial(make, V, W, H, 2, given.device)
        curves[key] = host.undisturbed(partial(descended, start, V, 2, iterations, 1))
    target = max(curve[-1][1] for curve in curves.values())
    rows = []
    for key, curve in curves.items():
        count, (seconds, loss) = next((i, p) for i, p in enumerate(curve, 1) if p[1] <= target)
        rows.append(
            row_of(size, 2, *key, given.device)
            | {"seconds": seconds, "iterations": count, "loss": loss}
        )
    return rows


def roofline(given):
    """Return bytes/s of copies and operations/s of products in float32 on the GPU."""
    source = torch.rand(1 << 28, device="cuda")
    target, square = torch.empty_like(source), torch.rand(8192, 8192, device="cuda")
    out = torch.empty_like(square)

    def copy(count):
        for _ in range(count):
            target.copy_(source)
        torch.cuda.synchronize()

    def multiply(count):
        for _ in range(count):
            torch.mm(square, square, out=out)
        torch.cuda.synchronize()

    both = {"copy": lambda: (copy, None), "multiply": lambda: (multiply, None)}
    copy_ms, multiply_ms = alternately(both, given)
    return 2 * 4 * 2**28 / copy_ms * 1e3, 2 * 8192**3 / multiply_ms * 1e3


def cores(threads):
    """Return operations/s of a product of square matrices in one thread and in all."""
    square, found = torch.rand(2048, 2048), []
    for count in (1, threads):
        torch.set_num_threads(count)
        found.append(2 * 2048**3 / min(timed(lambda _: square @ square, 1) for _ in range(8)))
    return found


def time_to_loss(name, V, rank, beta, seed, given):
    """Return one row per method: seconds until 0.1% above the best loss of all, or None.

    Those of nmfab also have `to_peers`: for each peer the seconds until 0.1% above the loss where
    that one ends, its own and the method's.
    """
    V, W, H = started(V, rank, seed)
    curves, step = {}, 5
    for key, (make, _) in chosen(beta, given).items():
        if key[0] == "products" or key in (("torch", "plain mu"), ("nn_fac", "mu")):
            continue  # without its loss at every iteration nn_fac does the same in less time
        if key[1].startswith(FORMS):
            continue  # torch_mu is the fastest of them
        start = partial(make, V, W, H, beta, given.device)
        prepare([start], given)
        run = partial(descended, start, V, beta, given.iterations, step)
        curves[key] = host.undisturbed(run)
    ends = {key: 1.001 * min(loss for _, loss in curve) for key, curve in curves.items()}
    rows = []
    for key, curve in curves.items():
        row = {"spectrogram": name, "rank": rank, "beta": beta, "seed": seed, "library": key[0],
               "method": key[1], "seconds_to_target": until(curve, min(ends.values()))}  # fmt: skip
        if key[0] == "nmfab":
            row["to_peers"] = {
                " ".join(peer): (until(curves[peer], end), until(curve, end))
                for peer, end in ends.items()
                if peer[0] != "nmfab"
            }
        rows.append(row)
    return rows


def descended(begin, V, beta, iterations, step):
    """Return a list of (seconds so far, loss), a point every `step` iterations."""
    advance, factors = begin()
    seconds, curve = 0.0, []
    time.sleep(PAUSE)
    for _ in range(0, iterations, step):
        seconds += step * timed(advance, step)
        curve.append((seconds, loss_of(V, factors(), beta)))
    return curve


def until(curve, target):
    """Return the seconds after which a loss is at most the target, or None."""
    return next((seconds for seconds, loss in curve if loss <= target), None)


def arguments(argv):
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small size, 3 runs, 1 seed")
    parser.add_argument("--runs", type=int, default=7, help="alternating runs")
    parser.add_argument("--size", type=int, nargs="*", help="numbers of the sizes, 0 to 3")
    parser.add_argument("--beta", type=int, nargs="*", default=BETAS)
    parser.add_argument("--library", nargs="*", help="compared with these alone")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread")
    parser.add_argument("--time-to-loss", action="store_true")
    parser.add_argument("--iterations", type=int, default=500, help="of --time-to-loss")
    parser.add_argument("--seeds", type=int, default=5, help="of --time-to-loss")
    parser.add_argument(
        "--samples", type=Path, default=performance.ROOT.parent / "shared" / "samples"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument(
        "--write",
        action="store_true",
        help="into docs/performance.md, where each device, and each choice of --beta, has its part",
    )
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
    torch.backends.cuda.matmul.allow_tf32 = False
    sizes = QUICK if given.quick else SIZES
    sizes = sizes if given.size is None else [SIZES[i] for i in given.size]
    for name in ("nn_fac", "torchnmf"):
        if not libraries.installed(name):
            print(f"left out: {name} is not installed")
    rows, losses, races, looks = [], [], [], {}
    speeds = []
    for size in sizes:
        for beta in given.beta:
            first = len(rows)
            speeds += [cores(given.threads)] if given.device == "cpu" else []
            rows += compare(size, beta, given)
            looks[*size, beta] = measuring(size, beta, given)
            print("\n".join(report.table(rows[first:])), flush=True)
        if 2 in given.beta:
            races += race(size, given)
    for beta in given.beta:
        rows += batches(sizes[0], beta, given)
    if given.time_to_loss:
        for name, V in spectrograms(given.samples, 1 if given.quick else 2).items():
            for beta in given.beta:
                for seed in range(given.seeds):
                    losses += time_to_loss(name, V, 20, beta, seed, given)
                    print(name, beta, seed, flush=True)
    rates = roofline(given) if given.device == "cuda" else None
    page = report.page(rows, losses, races, looks, given, rates, speeds, host.told())
    print(page)
    if given.json:
        given.json.write_text(json.dumps(rows + losses, indent=1), encoding="utf-8")
    if given.figure:
        report.draw(rows, given.figure)
    if given.write:
        part = "nmf" if given.device == "cpu" else "nmf_cuda"
        of_beta = "" if tuple(given.beta) == BETAS else "_beta_" + "_".join(map(str, given.beta))
        performance.put(part + of_beta, page)


if __name__ == "__main__":
    main()
