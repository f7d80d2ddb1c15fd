"""What bench_nmf has measured, as Markdown: targets, tables, the page's part, a figure."""

import statistics

import performance
import torch

LARGE = (2049, 5168, 88)
TF32 = "torch_mu TF32"
# where a median is not finite: most runs of a method did not arrive
OUT_OF_TIME = {"inf": "most runs of each peer are not in time", "nan": "most runs are not in time"}


def page(rows, losses, races, looks, given, rates, cores, host):
    """Return the page's part.

    Parameters
    ----------
    rows, losses, races : list of dict
        Of bench_nmf's `compare` and `batches`, `time_to_loss`, and `race`.
    looks : dict
        Time of a loss and residual in iterations, by (m, n, rank, beta).
    given : argparse.Namespace
        What was asked for.
    rates : tuple of float or None
        Bytes/s and operations/s of the GPU.
    cores : sequence of (float, float)
        Operations/s of a product in one thread and in all, whenever they were measured.
    host : str
        What it disturbed.
    """
    gpu = given.device == "cuda"
    betas = ", ".join(f"{beta:g}" for beta in given.beta)
    lines = [
        *performance.head(
            f"Factorization on a {'GPU' if gpu else 'CPU'}, β = {betas}",
            ("torch", "numpy", "scikit-learn", "nn_fac", "torchnmf"),
            torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads",
            f"{'processor' if given.cpu else 'wall'} time",
            f"medians of {given.runs} alternating runs",
        ),
        *(rates_told(rates) if rates else cores_told(cores)),
        host,
        "",
        *targets(rows, losses, races, looks, rates),
        "",
        *table(rows),
        *tf32_table(rows),
    ]
    if losses:
        lines += ["", "Seconds until the loss is 0.1% above the best that any reaches, real "
                  f"spectrograms, rank 20, {given.iterations} iterations at most:", "",
                  *loss_table(losses), "",
                  "Seconds until the loss is 0.1% above where each library itself ends (from one "
                  "start methods may come to different minima):", "",
                  *peers_table(losses)]  # fmt: skip
    if races:
        lines += ["", "Seconds until each of HALS, coordinate descent and their like has the loss "
                  "that all of them reach:", "", *race_table(races)]  # fmt: skip
    return "\n".join(lines) + "\n"


def problem(row):
    """Return what tells problems apart."""
    return row["m"], row["n"], row["rank"], row["beta"]


def _told(key):
    m, n, rank, beta = key
    return f"{m}×{n}, rank {rank}, β = {beta}"


def targets(rows, losses, races, looks, rates):
    """Return a table of what is asked for and what was measured."""
    found, single = [], {}
    for row in rows:
        if "loss" in row and row["batch"] == 1 and not row.get("start"):
            single.setdefault(problem(row), {})[row["library"], row["method"]] = row
    for key, methods in single.items():
        found += _single_targets(key, {k: row["ms_per_iteration"] for k, row in methods.items()})
        if key[:3] == LARGE:
            share = (methods["nmfab", "torch_mu"]["peak_bytes"] or 0) / (4 * key[0] * key[1])
            found.append((f"memory beyond one V, W and H, {_told(key)}", 0.25, share, "of V"))
        if rates:
            found.append(_roofline_target(key, methods["nmfab", "torch_mu"], rates))
    found += _batch_targets(rows, single, rates)
    for key, look in looks.items():
        found.append((f"loss and residual, 5 times in 200 iterations, {_told(key)}", 0.05,
                      5 * look / 200, "of the time"))  # fmt: skip
    found += _loss_targets(losses) + _race_targets(races)
    lines = ["| what | asked for | measured | met |", "|---|---|---|---|"]
    for what, wanted, value, unit in found:
        least = unit.startswith("times faster") or unit == "of the roofline"
        met = value >= wanted if least else value <= wanted
        sign = "at least" if least else "at most"
        shown = OUT_OF_TIME.get(str(value), f"{value:.3g}")
        lines.append(
            f"| {what} | {sign} {wanted:.3g} {unit} | {shown} | {'yes' if met else '**no**'} |"
        )
    return lines


def _single_targets(key, ms):
    """Return (what, wanted, measured, unit) of one problem."""
    own, bare, beta = ms["nmfab", "torch_mu"], ms["products", "mm"], key[3]
    factor = {2: 1.25, 0: 1.3}.get(beta, 1.25)
    if beta == 1:
        factor = max(factor, 1.1 * ms["products", "mm and 2 divisions"] / bare)
        if key[:3] == LARGE:
            factor = 0.75
    found = [(f"torch_mu to its bare products, {_told(key)}", factor, own / bare, "times")]
    usual = [ms[k] for k in (("sklearn", "mu"), ("torchnmf", "mu")) if k in ms]
    if usual:
        wanted = 4 if ("sklearn", "mu") not in ms else 1.4 if beta == 2 else 2
        wanted = 3 if beta != 2 and key[:3] == LARGE and wanted == 2 else wanted
        name = "scikit-learn and torchnmf" if len(usual) == 2 else "the library measured"
        found.append((f"torch_mu to the faster of {name}, {_told(key)}", wanted,
                      min(usual) / own, "times faster"))  # fmt: skip
    for method, name in (("mu", "with"), ("mu without its loss", "without")):
        if ("nn_fac", method) in ms:
            found.append((f"torch_mu to nn_fac's float64, {name} its loss, {_told(key)}", 8,
                          ms["nn_fac", method] / own, "times faster"))  # fmt: skip
    return found


def least_seconds(key, batch, rates):
    """Return the time of an iteration by the roofline.

    Parameters
    ----------
    key : tuple
        m, n, rank and beta.
    batch : int
        Problems, which share V.
    rates : tuple of float
        Bytes/s and operations/s.

    Returns
    -------
    float
        The larger of V read once, in float32, and of the products of V's size: two at β = 2, four
        at β = 1, six at any other.
    """
    m, n, rank, beta = key
    operations = 2 * m * n * rank * {2: 2, 1: 4}.get(beta, 6) * batch
    return max(4 * m * n / rates[0], operations / rates[1])


def _roofline_target(key, row, rates):
    """Return the share of what copies and products of this GPU allow."""
    share = least_seconds(key, row["batch"], rates) / (row["ms_per_iteration"] / 1e3)
    many = f", {row['batch']} starts in one call" if row["batch"] > 1 else ""
    return f"torch_mu on the GPU, {_told(key)}{many}", 0.5, share, "of the roofline"


def rates_told(rates):
    """Return a line on what the roofline is made of."""
    return [f"Copies: {rates[0] / 1e12:.2f} TB/s, read and written; products of float32 matrices, "
            f"TF32 off: {rates[1] / 1e12:.1f} TFLOP/s.", ""]  # fmt: skip


def cores_told(cores):
    """Return a line on what the processor gave: its cores may be shared with other machines."""
    one, every = ([rate / 1e9 for rate in rates] for rates in zip(*cores, strict=True))
    told = [
        f"{min(rates):.0f} to {max(rates):.0f} GFLOP/s in {threads} (median "
        f"{statistics.median(rates):.0f})"
        for rates, threads in ((one, "one thread"), (every, "all"))
    ]
    return [f"A product of square matrices in float32, before each problem: {', '.join(told)}.", ""]


def tf32_table(rows):
    """Return what TF32 changes in time and in the loss as a Markdown table, where it was run."""
    lines = ["", "The same number of iterations with products in TF32 (torch_mu.tf32) and without:",
             "", "| V, rank | β | ms without | ms with | loss without | relative difference |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    head = len(lines)
    for row in (row for row in rows if row["method"] == TF32):
        exact = next(r for r in rows if problem(r) == problem(row) and r["method"] == "torch_mu"
                     and not r.get("start"))  # fmt: skip
        lines.append(
            f"| {row['m']}×{row['n']}, {row['rank']} | {row['beta']} | "
            f"{exact['ms_per_iteration']:.3g} | {row['ms_per_iteration']:.3g} | "
            f"{exact['loss']:.6g} | {row['loss'] / exact['loss'] - 1:.1e} |"
        )
    return lines if len(lines) > head else []


def _batch_targets(rows, single, rates):
    found = []
    for row in rows:
        if row["batch"] == 1:
            continue
        one = next(r for r in rows if r.get("start") and r["batch"] == 1
                   and problem(r) == problem(row))  # fmt: skip
        ratio = row["ms_per_iteration"] / one["ms_per_iteration"]
        if row["device"] == "cpu":
            found.append(
                (f"{row['batch']} starts in one call, {_told(problem(row))}", 14, ratio,
                 "times one start"))  # fmt: skip
        peer = single[problem(row)].get(("torchnmf", "mu"))
        if row["device"] != "cpu" and peer:
            faster = row["batch"] * peer["ms_per_iteration"] / row["ms_per_iteration"]
            found.append(
                (f"{row['batch']} starts in one call to torchnmf, {_told(problem(row))}", 20,
                 faster, "times faster"))  # fmt: skip
        if rates:
            found.append(_roofline_target(problem(row), row, rates))
    return found


def _loss_targets(losses):
    found = []
    for beta in sorted({row["beta"] for row in losses}, reverse=True):
        middles = _middles([row for row in losses if row["beta"] == beta])
        own, name = min((m, k[1]) for k, m in middles.items() if k[0] == "nmfab")
        peer = min(m for k, m in middles.items() if k[0] != "nmfab")
        late = own == float("inf")
        what = f"{'nmfab' if late else name} to the fastest peer, median time to loss, β = {beta}"
        found.append((what, 3, float("nan") if late else peer / own, "times faster"))
    return found


def _race_targets(races):
    found = []
    for key in dict.fromkeys(problem(row) for row in races):
        seconds = {(r["library"], r["method"]): r["seconds"] for r in races if problem(r) == key}
        own, name_of_own = min((s, k[1]) for k, s in seconds.items() if k[0] == "nmfab")
        for peer, name in ((("nn_fac", "hals"), "nn_fac's"), (("sklearn", "cd"), "scikit-learn's")):
            if peer in seconds:
                found.append((f"{name_of_own} to {name}, per loss gained, {_told(key)}", 1,
                              seconds[peer] / own, "times faster"))  # fmt: skip
    return found


def _middles(rows):
    """Return {(library, method): median seconds}, infinite where most did not arrive."""
    keys = dict.fromkeys((row["library"], row["method"]) for row in rows)
    return {
        key: statistics.median(
            float("inf") if row["seconds_to_target"] is None else row["seconds_to_target"]
            for row in rows
            if (row["library"], row["method"]) == key
        )
        for key in keys
    }


def table(rows):
    """Return the rows of one problem per call as a Markdown table with ratios."""
    lines = [
        "| V, rank | β | library, method | ms | times its products | against torch_mu |",
        "|---|---|---|---|---|---|",
    ]
    for row in (row for row in rows if row["batch"] == 1 and not row.get("start")):
        same = [r for r in rows if problem(r) == problem(row) and not r.get("start")]
        bare = next(r for r in same if r["method"] == "mm")["ms_per_iteration"]
        reference = next(r for r in same if r["method"] == "torch_mu")["ms_per_iteration"]
        ms = row["ms_per_iteration"]
        lines.append(
            f"| {row['m']}×{row['n']}, {row['rank']} | {row['beta']} | {row['library']} "
            f"{row['method']} ({row['dtype']}) | {_milliseconds(ms)} | {ms / bare:.2f} | "
            f"{ms / reference:.2f} |"
        )
    return lines


def _milliseconds(ms):
    """Return milliseconds with two decimals, small ones with three digits."""
    return f"{ms:.2f}" if ms >= 0.1 else f"{ms:.3g}"


def loss_table(rows):
    """Return medians of seconds to the target over spectrograms and seeds as a Markdown table."""
    lines = ["| β | library, method | median s | reached |", "|---|---|---|---|"]
    for beta in sorted({row["beta"] for row in rows}, reverse=True):
        own = [row for row in rows if row["beta"] == beta]
        for key, middle in _middles(own).items():
            times = [r["seconds_to_target"] for r in own if (r["library"], r["method"]) == key]
            reached = sum(t is not None for t in times)
            shown = "not in time" if middle == float("inf") else f"{middle:.2f}"
            lines.append(f"| {beta} | {' '.join(key)} | {shown} | {reached} of {len(times)} |")
    return lines


def peers_table(rows):
    """Return medians of seconds to where each peer ends, its own and nmfab's, as a table."""
    lines = ["| β | library, method | its s | nmfab's method | its s | reached | times faster |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for beta in sorted({row["beta"] for row in rows}, reverse=True):
        own = [row for row in rows if row["beta"] == beta and "to_peers" in row]
        for peer in own[0]["to_peers"]:
            found = {}
            for row in own:
                found.setdefault(row["method"], []).append(row["to_peers"][peer])
            of_method = {
                method: statistics.median(float("inf") if s is None else s for _, s in pairs)
                for method, pairs in found.items()
            }
            reached = {m: sum(s is not None for _, s in pairs) for m, pairs in found.items()}
            best = min(found, key=lambda method: (of_method[method], -reached[method]))
            theirs = statistics.median(s for s, _ in found[best])
            late = of_method[best] == float("inf")
            lines.append(
                f"| {beta} | {peer} | {theirs:.2f} | {best} | "
                f"{'not in time' if late else f'{of_method[best]:.2f}'} | "
                f"{reached[best]} of {len(found[best])} | "
                f"{'–' if late else f'{theirs / of_method[best]:.3g}'} |"
            )
    return lines


def race_table(races):
    """Return seconds to the common loss as a Markdown table."""
    lines = ["| V, rank | library, method | s | iterations |", "|---|---|---|---|"]
    lines += [
        f"| {r['m']}×{r['n']}, {r['rank']} | {r['library']} {r['method']} | {r['seconds']:.3f} | "
        f"{r['iterations']} |"
        for r in races
    ]
    return lines


def draw(rows, path):
    """Draw bars: milliseconds per iteration of every method, a panel for each problem."""
    import matplotlib.pyplot as plt

    single = [row for row in rows if row["batch"] == 1 and not row.get("start")]
    problems = list(dict.fromkeys(problem(row) for row in single))
    height = max(2.4, 0.28 * len(single) / len(problems) + 0.8)
    figure, axes = plt.subplots(
        len(problems), 1, figsize=(8, height * len(problems)), squeeze=False
    )
    for axis, key in zip(axes[:, 0], problems, strict=True):
        own = [row for row in single if problem(row) == key]
        names = [f"{row['library']} {row['method']}" for row in own]
        colours = ["C0" if row["library"] == "nmfab" else "0.6" for row in own]
        bars = axis.barh(names, [row["ms_per_iteration"] for row in own], color=colours)
        axis.bar_label(bars, fmt="%.3g", padding=2)
        axis.margins(x=0.15)
        axis.invert_yaxis()
        axis.set(xscale="log", xlabel="ms per iteration", title=_told(key))
        axis.xaxis.set_minor_formatter("")  # the bars bear their numbers
    figure.tight_layout()
    figure.savefig(path)
