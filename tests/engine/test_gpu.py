"""What a GPU runs, as far as it can be held without one: kernels, choice of form, refusals."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nmfab.algorithms import frame
from nmfab.algorithms.torch_amu import torch_amu
from nmfab.base.errors import ComputationError, UsageError
from nmfab.base.resources import allow_tf32
from nmfab.engine.gpu import extrapolated, forms, fused, graphs
from nmfab.engine.gpu.multiplicative import updates

HERE = Path(__file__).resolve().parents[1]


def run(file, folder, **more):
    """Run the tests of a file in a process of its own, whose Triton is told so beforehand."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed (it comes with torch for CUDA, and for Linux by pip)")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRITON_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE / file],
        env=environment | {"TRITON_CACHE_DIR": str(folder), **more},
        capture_output=True, text=True, check=False, cwd=HERE.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_kernels_in_tritons_interpreter(tmp_path):
    run("triton_interpreted.py", tmp_path, TRITON_INTERPRET="1")


def test_kernels_are_compiled_for_cards_that_are_not_here(tmp_path):
    run("triton_compiled.py", tmp_path)


def test_a_run_on_a_cpu_imports_no_triton():
    program = """
import sys
import numpy as np
from nmfab.algorithms import frame
for name in ("torch_mu", "torch_amu", "torch_hals", "torch_ahals"):
    frame.factorize({"algorithm": name, "beta": 2, "rank": 2, "stop": 2}, np.ones((5, 6)))
print("triton" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        cwd=HERE.parent,
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_tiles_fit_every_rank():
    for rank in range(1, fused.LARGEST_RANK + 1):
        for precision, size in (*((p, 4) for p in fused.PRECISIONS), ("ieee", 8)):
            padded, cut = fused.tiles(rank, precision, size)
            assert rank <= padded <= max(16, 2 * rank - 1)
            assert padded & (padded - 1) == 0
            assert min(cut.n, cut.m) >= 16  # of a product on units for matrices


@pytest.mark.parametrize(("m", "n", "batch"), [(1, 1, 1), (1025, 1292, 1), (2049, 5168, 64)])
def test_a_split_covers_every_row_once(m, n, batch):
    cut = fused.Tiles(64, 32, 4, 2)
    span, count = fused.split(m, n, batch, cut, 132)
    assert (count - 1) * span < m <= count * span
    assert span % cut.m == 0
    tiles = -(-n // cut.n) * batch
    # the card is filled, or programs would have too little to do; and not more than filled
    assert count * tiles >= fused.PROGRAMS * 132 or span <= 2 * cut.m * fused.LEAST_TILES
    assert count == 1 or (count - 1) * tiles < fused.PROGRAMS * 132


@pytest.fixture
def timed(monkeypatch):
    """Forms whose times are given, on no GPU; returns what each has been asked."""
    monkeypatch.setattr(forms, "_fastest", {})
    monkeypatch.setattr(forms, "_card", lambda values: "a card")
    monkeypatch.delenv(forms.VARIABLE, raising=False)
    forms._left_out.cache_clear()
    asked = []

    def recorded(step, state):
        def replay():
            step()

        replay.ms = step.ms / 2
        return replay

    def milliseconds(step):
        asked.append(step.ms)
        return step.ms

    monkeypatch.setattr(forms, "recorded", recorded)
    monkeypatch.setattr(forms, "_milliseconds", milliseconds)
    return asked


def form(ms, error=None, add=1.0):
    """Return a build of a form that adds to its state, and takes so long."""

    def build(values):
        def step():
            if error:
                raise error
            values.add_(add)

        step.ms = ms
        return step

    return build


def test_the_fastest_form_is_taken_and_remembered(timed):
    state, builds = [torch.zeros(3)], {"plain": form(8), "fused": form(3), "tensor": form(5)}
    step = forms.iteration(builds, state, "problem")
    assert step.ms == 1.5  # fused, recorded
    assert state[0].sum() == 0  # choosing works on copies
    step()
    assert state[0].tolist() == [1, 1, 1]
    assert len(timed) == 6
    assert forms.iteration(builds, state, "problem").ms == 1.5
    assert len(timed) == 6
    forms.iteration(builds, state, "another")
    assert len(timed) == 12


def test_a_form_that_fails_or_differs_is_left_out_with_a_warning(timed, caplog):
    builds = {
        "plain": form(8),
        "fused": form(1, RuntimeError("no compiler")),
        "tensor": form(2, add=1.001),
    }
    assert forms.iteration(builds, [torch.ones(3)], "problem").ms == 4
    assert forms.iteration(builds, [torch.ones(3)], "another").ms == 4
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(told) == 2  # each once
    assert "the form fused is left out on this GPU: RuntimeError: no compiler" in told
    assert any("tensor" in line and "other numbers" in line for line in told)
    # TF32 may differ by as much
    assert forms.iteration(builds, [torch.ones(3)], "third", tf32=True).ms == 1


def test_where_recording_fails_the_form_goes_on_without(timed, monkeypatch, caplog):
    def fail(step, state):
        raise RuntimeError("not permitted when stream is capturing")

    monkeypatch.setattr(forms, "recorded", fail)
    builds = {"plain": form(8), "fused": form(3)}
    assert forms.iteration(builds, [torch.ones(3)], "problem").ms == 3
    warned = {r.args[0] for r in caplog.records if r.levelname == "WARNING"}
    assert warned == {"plain+graph", "fused+graph"}


def test_what_fails_in_every_form_is_raised(timed):
    with pytest.raises(MemoryError):
        forms.iteration({"plain": form(8, MemoryError())}, [torch.ones(3)], "problem")


def test_a_form_can_be_pinned(timed, monkeypatch):
    builds, state = {"plain": form(8), "fused": form(3)}, [torch.ones(3)]
    monkeypatch.setenv(forms.VARIABLE, "plain+graph")
    assert forms.iteration(builds, state, "problem").ms == 4
    assert not timed
    monkeypatch.setenv(forms.VARIABLE, "tensor")  # it has none: the choice among its own
    assert forms.iteration(builds, state, "problem").ms == 1.5
    monkeypatch.setenv(forms.VARIABLE, "fast")
    with pytest.raises(UsageError, match="NMFAB_GPU_FORM=fast: there are plain, "):
        forms.iteration(builds, state, "problem")


def test_a_pinned_form_that_cannot_be_had_is_refused(timed):
    def build(values):
        raise ImportError("No module named 'triton'")

    with pytest.raises(ComputationError, match=r"the form fused cannot be had here .*triton"):
        forms.iteration({"plain": form(8), "fused": build}, [torch.ones(3)], 0, form="fused")


def test_problems_of_about_the_same_size_share_a_choice():
    def of(m, n, count):
        return forms.about("torch_mu", torch.ones(m, n), (torch.ones(count, m, 3),), 3)

    assert of(1025, 1292, 2) == of(1300, 1100, 2)
    assert of(1025, 1292, 2) != of(1025, 1292, 3)
    assert of(1025, 1292, 2) != of(1025, 2100, 2)


def test_a_form_is_chosen_before_the_first_iteration_is_timed(monkeypatch):
    chosen = []

    def iteration(builds, state, problem, **more):
        chosen.append(sorted(builds))
        return builds["plain"](*state)

    monkeypatch.setattr(forms, "iteration", iteration)
    V, W, H = torch.ones(4, 5), torch.ones(4, 2), torch.ones(2, 5)
    generator = updates(V, W, H, 1)
    assert chosen == [["fused", "plain", "tensor"]]
    next(generator)
    updates(V, W, H, 1, tf32=True)
    updates(V.double(), W.double(), H.double(), 1)
    assert chosen[1:] == [["fused", "plain"]] * 2
    assert len(chosen) == 3


@pytest.mark.parametrize("rank", [5, fused.LARGEST_RANK + 1])
def test_plain_form_on_the_way_of_a_gpu(rank):
    V = torch.rand(20, 30, dtype=torch.float64)
    W, H = torch.rand(20, rank, dtype=torch.float64), torch.rand(rank, 30, dtype=torch.float64)
    before = float(((V - W @ H) ** 2).sum())
    found = next(updates(V, W, H, 2, form="plain"))
    assert float(((V - found[0] @ found[1]) ** 2).sum()) < before


def test_a_recording_leaves_the_state_as_it_was(monkeypatch):
    class Nothing:
        def __init__(self, *args, **kwargs):
            self.replay = "replayed"

        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def wait_stream(self, other):
            pass

    for name in ("Stream", "CUDAGraph", "stream", "graph", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, Nothing)
    values = torch.ones(3)
    assert graphs.recorded(lambda: values.mul_(2), [values]) == "replayed"
    assert values.tolist() == [1, 1, 1]


@pytest.mark.parametrize("beta", [2, 1, 0, 0.5, 1.5, 3])
@pytest.mark.parametrize("shape", [(30, 41), (53, 20)])
@pytest.mark.parametrize("fixed", [0, 2, 4])
def test_extrapolation_without_host_reads_is_the_same(beta, shape, fixed):
    rng = torch.Generator().manual_seed(0)
    V = torch.rand(*shape, generator=rng, dtype=torch.float64) + 0.01
    W = torch.rand(3, shape[0], 4, generator=rng, dtype=torch.float64)
    H = torch.rand(3, 4, shape[1], generator=rng, dtype=torch.float64)
    V[3], V[:, 5], V[7:10, 9] = 0, 0, 0
    betas = [beta, beta, 1]
    state = extrapolated.MuState.of(W, H)
    step = extrapolated.extrapolated_step(V, state, betas, fixed)
    theirs = torch_amu(V, W, H, beta=np.array([beta, beta, 1]), fixed=fixed)
    for _ in range(30):
        expected = next(theirs)
        step()
    found = state.Wt.mT, state.H
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)


def test_tf32_is_a_parameter_that_is_off_by_default():
    assert frame.parameters({})["torch_mu.tf32"] is False


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"torch_mu.tf32": True, "dtype": "float64"}, "a way to multiply float32"),
        ({"torch_mu.tf32": 1}, "is true or false, not 1"),
    ],
)
def test_tf32_where_it_cannot_be_is_told_in_the_plan(more, reason):
    assert reason in frame.skip(more)
    assert frame.skip({"torch_mu.tf32": True}) is None


def test_a_cpu_refuses_tf32():
    with pytest.raises(ComputationError, match="tf32 is a GPU's: use --device cuda"):
        frame.factorize({"torch_mu.tf32": True, "stop": 2, "rank": 2}, np.ones((4, 5)))


def test_tf32_is_allowed_for_a_block_and_no_longer():
    products = torch.backends.cuda.matmul
    before = products.allow_tf32
    for allowed in (True, False):
        with allow_tf32(allowed):
            assert products.allow_tf32 is allowed
        assert products.allow_tf32 is before
