"""BSS Eval v4: our seconds and values beside museval's, on the same stems and estimates.

python scripts/bench_bss_eval.py               a MUSDB18-HQ track of $NMFAB_DATA, else pink noise
python scripts/bench_bss_eval.py --long        a 4-minute track too: seconds and peak memory
python scripts/bench_bss_eval.py --json FILE   the same figures as rows
python scripts/bench_bss_eval.py --write       into docs/performance.md

Both run in one process with the same number of threads, alternately; medians are printed. Seconds
are wall time, and "cpu" is what the process's threads used, which says more on a busy machine.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import performance
from threadpoolctl import threadpool_limits

from nmfab.base.resources import Resources, use_resources
from nmfab.datasets import DATASETS
from nmfab.datasets.contract import data_roots
from nmfab.metrics import bss_eval as v4
from nmfab.metrics.bss_system import prepare
from nmfab.metrics.separation import museval_frames

SETTINGS = 8


def stems_of_sample(folders):
    """Return the first track of MUSDB18-HQ that is here, else pink noise of 7 s; and its name."""
    dataset = DATASETS["musdb18hq"](data_roots(folders))
    for track_id in dataset.track_ids():
        stems = dataset.load(track_id).part("stems").read()
        return stems["samples"], int(stems["sample_rate"]), f"musdb18hq/{track_id}"
    return pink(7), 44100, "pink noise, 7 s"


def pink(seconds):
    """Return four stereo stems of pink noise at 16 bits."""
    length = int(seconds * 44100)
    rng = np.random.default_rng(0)
    weight = 1 / np.sqrt(np.arange(length // 2 + 1) + 1)
    sound = np.empty((4, 2, length), dtype=np.float32)
    for row in sound.reshape(8, length):
        noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * weight, n=length)
        row[:] = np.round(noise / np.abs(noise).max() * 2**14) / 2**15
    return sound


def estimates_of(stems, seed):
    """Return estimates that leak into each other and hold some noise."""
    rng = np.random.default_rng(seed)
    leak = 0.7 * np.eye(len(stems)) + 0.3 * rng.random((len(stems), len(stems)))
    found = np.einsum("ij,jcn->icn", leak, stems, dtype=np.float64)
    return found + 1e-3 * rng.standard_normal(stems.shape)


def timed(function):
    """Return the result, wall seconds and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def ours(stems, sets, rate):
    """Score sets of estimates against one system of the references."""
    system = prepare(stems)
    found = []
    for estimates in sets:
        energies = v4.frame_energies(system, estimates, window=rate)
        keep = v4.frame_mask(stems, estimates, window=rate, rule="museval")
        found.append(v4.ratios(energies, keep))
    return found


def compare(stems, rate, repeats):
    """Return a row of figures for museval, and ours with one set and with several."""
    sets = [estimates_of(stems, seed) for seed in range(SETTINGS)]
    wide = stems.astype(np.float64)
    runs = {"museval, 1 set": [], "nmfab, 1 set": [], f"nmfab, {SETTINGS} sets, per set": []}
    error = 0.0
    for _ in range(repeats):
        theirs, *seconds = timed(lambda: museval_frames(wide, sets[0], window=rate))
        runs["museval, 1 set"].append(seconds)
        found, *seconds = timed(lambda: ours(stems, sets[:1], rate))
        runs["nmfab, 1 set"].append(seconds)
        _, *seconds = timed(lambda: ours(stems, sets, rate))
        runs[f"nmfab, {SETTINGS} sets, per set"].append([s / SETTINGS for s in seconds])
        error = max(error, *(np.nanmax(np.abs(found[0][k] - theirs[k])) for k in v4.RATIOS))
    rows = []
    for name, seconds in runs.items():
        wall, cpu = (statistics.median(column) for column in zip(*seconds, strict=True))
        rows.append({"run": name, "seconds": wall, "cpu_seconds": cpu, "repeats": repeats})
    for row in rows:
        row["faster"] = rows[0]["seconds"] / row["seconds"]
        row["faster_cpu"] = rows[0]["cpu_seconds"] / row["cpu_seconds"]
    return rows, float(error)


def long_track():
    """Score one set of estimates of 4 minutes; called in a process of its own."""
    stems = pink(240)
    estimates = np.empty_like(stems)
    for j in range(len(stems)):
        estimates[j] = 0.8 * stems[j] + 0.2 * stems[j - 1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_of_signals = (stems.nbytes + estimates.nbytes) / 2**20
    _, wall, cpu = timed(lambda: ours(stems, [estimates], 44100))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "run": "nmfab, 1 set, 4 minutes",
        "seconds": wall,
        "cpu_seconds": cpu,
        "peak_mb": peak,
        "peak_before_mb": before / 2**10,
        "signals_mb": peak_of_signals,
    }


def main():
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", default=[], help="folder that holds musdb18hq/")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", action="store_true", help="also a 4-minute track")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--only-long", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with (
        use_resources(Resources(threads=given.threads)),
        threadpool_limits(limits=given.threads),
    ):
        if given.only_long:
            sys.stdout.write(json.dumps(long_track()))
            return
        stems, rate, name = stems_of_sample(given.data)
        rows, error = compare(stems, rate, given.repeats)
    if given.long:
        command = [sys.executable, __file__, "--only-long", "--threads", str(given.threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
    text = report(rows, error, name, stems, rate, given)
    print(text)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if given.write:
        performance.put("bss_eval", text)


def report(rows, error, name, stems, rate, given):
    """Return rows as the page's part."""
    sources, channels, samples = stems.shape
    lines = performance.head(
        "BSS Eval v4",
        ("numpy", "scipy", "museval"),
        f"{given.threads} threads, medians of {given.repeats} alternating runs",
    )
    lines += [
        f"{name}: {sources} stems × {channels} channels × {samples / rate:.1f} s at {rate} Hz. "
        "museval has to be beaten 10 times for one set of estimates, 40 times for each of "
        f"{SETTINGS} that share their references.",
        "",
    ]
    cells = [
        [
            row["run"],
            f"{row['seconds']:.2f}",
            f"{row['faster']:.1f}×" if "faster" in row else "",
            f"{row['cpu_seconds']:.2f}",
            f"{row['faster_cpu']:.1f}×" if "faster_cpu" in row else "",
        ]
        for row in rows
    ]
    lines += performance.table(["run", "s", "faster", "CPU s", "faster"], cells)
    lines += ["", f"Largest deviation from museval over all frames and ratios: {error:.1e} dB."]
    for row in rows:
        if "peak_mb" in row:
            lines += [
                "",
                f"4 minutes: peak memory of the process {row['peak_mb']:.0f} MB, of which the "
                f"signals (float32) {row['signals_mb']:.0f} MB; making them took "
                f"{row['peak_before_mb']:.0f} MB before.",
            ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
