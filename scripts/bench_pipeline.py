"""Where the seconds of an experiment go: stages of cold runs, complete reruns, ``--help``.

python scripts/bench_pipeline.py              all, on the samples where they are, else on demo
python scripts/bench_pipeline.py --runs 5     medians of five runs in place of three
python scripts/bench_pipeline.py --write      into docs/performance.md

Every run is a process of its own, as from the shell, each cold one with an empty cache. The seconds
of a stage are those that its nodes took in the pipeline; "reading" are the files and their digests;
imports are those that ``python -X importtime`` counts outside the stages; the rest of the path is
what is left: plan, keys, cache, tables.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import performance

ROOT = performance.ROOT
# What is selected: several algorithms, betas and starts, one or two recordings.
COLD = {
    "mss": ('{"dataset":"DATA","seed":[0,1]}', "musdb18hq", ["--set", "subset=train"]),
    "msa": ('{"dataset":"DATA"}', "rwcpop", []),
    "transcription": ('{"dataset":"DATA"}', "maps", []),
}
RERUN = {
    "dataset": "demo",
    "algorithm": "torch_mu",
    "beta": [2, 1, 0],
    "rank": [2, 3],
    "init": "random",
    "seed": list(range(21)),
    "feature": "chroma",
    "similarity": "cosine",
    "penalty": "modulo8",
}  # on 8 songs: 1008 units
STAGES = ("features", "nmf", "postprocessing", "metrics")
BEGIN, END = "counted: begin", "counted: end"
LOOKS = [(1025, 1292, 20), (7680, 100, 32)]
ITERATIONS = 200
PAIRS = 9  # with the frame and without, in turns


def child(request):
    """Compute an experiment in this process and print seconds by stage as JSON."""
    from nmfab.base.types import Part
    from nmfab.cli.experiment import experiment as cli
    from nmfab.experiment import Experiment
    from nmfab.run import runner
    from nmfab.run.unit import Unit
    from nmfab.store.files import fingerprints

    reading, told = _counting(), {}
    fingerprints.file_digest = reading(fingerprints.file_digest)
    kept = Part.__init__

    def part(self, files, read):
        kept(self, files, reading(read))

    Part.__init__ = part
    Unit._run = _counting()(Unit._run)
    run = runner.run

    def counted(*arguments, **options):
        told["report"] = run(*arguments, **options)
        return told["report"]

    runner.run = counted
    if "file" in request:
        import runpy

        made = runpy.run_path(str(ROOT / "experiments" / request["file"]))["experiment"]
    else:
        made = Experiment("units", task="structure", fixed={"stop": 1})
        made.add_plan("nmf", **request["plan"])
    status = cli.main(made, request["arguments"])
    report = told["report"]
    seconds = dict.fromkeys(STAGES, 0.0)
    for node, spent in report.tally.seconds.items():
        seconds[node.partition(".")[0]] += spent
    found = seconds | {"reading": reading.seconds, "units": report.computed + report.reused}
    sys.stdout.write("\n" + json.dumps(found | {"status": status}))


class _counting:
    """Counts the seconds in the functions that it is put around."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self, function):
        def counted(*arguments):
            _mark(BEGIN)
            begin = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - begin
                _mark(END)

        return counted


def _mark(text):
    """Write a line among those of ``-X importtime``."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def spawn(request):
    """Run `child` in a new process; return what it printed, with wall time and imports."""
    command = [sys.executable, "-X", "importtime", __file__, "--child", json.dumps(request)]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - begin
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"{command}: {done.stderr[-2000:]}") from None
    if found["status"]:
        raise SystemExit(f"{command}: failed: {done.stdout}")
    return found | {"wall": wall, "imports": imports(done.stderr)}


def imports(lines):
    """Return the seconds that ``-X importtime`` tells of, outside what is counted otherwise."""
    depth, total = 0, 0
    for line in lines.splitlines():
        depth += (line == BEGIN) - (line == END)
        own = line.partition("|")[0].partition(":")[2].strip()
        if depth == 0 and line.startswith("import time:") and own.isdigit():
            total += int(own)
    return total / 1e6


def cold(name, samples, runs):
    """Return medians of the seconds of cold runs of an experiment."""
    selector, dataset, more = COLD[name]
    if not (samples / dataset).is_dir():
        print(f"{name}: no {dataset} in {samples}, demo instead")
        dataset, more = "demo", ["--tracks", "2"]
    arguments = ["-c", "-s", selector.replace("DATA", dataset), "--data", str(samples), *more]
    if not samples.is_dir():
        arguments = [a for a in arguments if a not in ("--data", str(samples))]
    found = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            request = {"file": f"{name}.py", "arguments": [*arguments, "--cache", cache]}
            found.append(spawn(request))
    return _medians(found) | {"name": f"{name}.py, {dataset}"}


def rerun(runs):
    """Return medians of complete reruns, the first run not counted."""
    with tempfile.TemporaryDirectory() as cache:
        request = {"plan": RERUN, "arguments": ["-c", "--cache", cache]}
        spawn(request)
        found = [spawn(request) for _ in range(runs)]
    return _medians(found)


def _medians(found):
    return {name: statistics.median(row[name] for row in found) for name in found[0]}


def help_seconds(runs):
    """Return the median seconds of ``--help`` of each experiment."""
    found = {}
    for name in COLD:
        command = [sys.executable, str(ROOT / "experiments" / f"{name}.py"), "--help"]
        times = []
        for _ in range(runs):
            begin = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times.append(time.perf_counter() - begin)
        found[name] = statistics.median(times)
    return found


def frame_cost(size, beta):
    """Return the seconds of 200 iterations bare, and how many times that the frame takes."""
    from nmfab.algorithms import frame

    m, n, rank = size
    rng = np.random.default_rng(0)
    V = rng.gamma(0.3, size=(m, rank)) @ rng.gamma(0.3, size=(rank, n))
    V = (V * rng.gamma(2, size=V.shape) + 1e-4).astype(np.float32)
    setting = {"algorithm": "torch_mu", "beta": beta, "rank": rank, "init": "random", "seed": 0}
    setting |= {"stop": ITERATIONS, "dtype": "float32"}

    def seconds(bare):
        loop = frame.prepare([setting], V)
        begin = time.perf_counter()
        if bare:
            generator = loop.begin()
            for _ in range(ITERATIONS):
                next(generator)
        else:
            loop.run()
        return time.perf_counter() - begin

    seconds(True), seconds(False)
    pairs = [(seconds(True), seconds(False)) for _ in range(PAIRS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b / a for a, b in pairs)


def report(stages, again, helps, frames, runs):
    """Return the page's part."""
    lines = performance.head(
        "The rest of the path",
        ("numpy", "scipy", "torch", "h5py", "doce"),
        f"one job, medians of {runs} runs",
    )
    lines += [
        "Cold runs, seconds. Outside imports, reading and the stages the path may take 5% of the "
        "wall time.",
        "",
    ]
    names = ("imports", "reading", *STAGES)
    cells = []
    for row in stages:
        parts = [row[name] for name in names]
        rest = row["wall"] - sum(parts)
        cells.append(
            [row["name"], f"{row['units']:.0f}", f"{row['wall']:.1f}"]
            + [f"{part:.2f}" for part in parts]
            + [f"{rest:.2f}", f"{rest / row['wall']:.1%}"]
        )
    lines += performance.table(["run", "units", "wall", *names, "rest", "share"], cells)
    lines += [
        "",
        f"- a rerun of {again['units']:.0f} complete units (at most 2 s, half of it imports): "
        f"{again['wall']:.2f} s, of which imports {again['imports']:.2f} s",
        *(f"- `{name}.py --help` (at most 0.5 s): {spent:.2f} s" for name, spent in helps.items()),
        "",
        f"What the frame (loss, residual, refusals) adds to {ITERATIONS} iterations of torch_mu "
        f"(at most 5%), medians of {PAIRS} pairs:",
        "",
    ]
    cells = [
        [f"{m}×{n}, {rank}", beta, f"{bare / ITERATIONS * 1e3:.2f}", f"{ratio - 1:.1%}"]
        for (m, n, rank, beta), (bare, ratio) in frames.items()
    ]
    lines += performance.table(["V, rank", "β", "ms per iteration, bare", "added"], cells)
    return "\n".join(lines)


def main(argv=None):
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--samples", type=Path, default=ROOT.parent / "shared" / "samples")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.child:
        child(json.loads(given.child))
        return
    helps = help_seconds(given.runs)
    again = rerun(given.runs)
    stages = [cold(name, given.samples, given.runs) for name in COLD]
    frames = {(*size, beta): frame_cost(size, beta) for size in LOOKS for beta in (2, 1, 0)}
    text = report(stages, again, helps, frames, given.runs)
    print(text)
    if given.write:
        performance.put("pipeline", text)


if __name__ == "__main__":
    main()
