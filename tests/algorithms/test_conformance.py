"""Everything registered passes the suite, and an algorithm broken in one way fails that check."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nmfab.algorithms import ALGORITHMS, algorithm
from nmfab.algorithms.conformance import CHECKS, check, check_file
from nmfab.base.errors import UsageError
from nmfab.base.kinds import KINDS, LowRank, kind

FLOOR = 1e-12


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_registered_algorithm_conforms(name):
    results = list(check(ALGORITHMS[name]))
    assert [(r.name, r.detail) for r in results if r.passed is False] == []
    assert sum(r.passed is True for r in results) >= 10


def step(V, W, H):
    H = H * (W.T @ V) / np.maximum(W.T @ W @ H, FLOOR)
    W = W * (V @ H.T) / np.maximum(W @ (H @ H.T), FLOOR)
    return W, H


def failures(function, *, limit=60, **declared):
    algorithm("broken", **{"betas": (2,)} | declared)(function)
    try:
        return {r.name: r.detail for r in check(ALGORITHMS["broken"], limit) if r.passed is False}
    finally:
        del ALGORITHMS._components["broken"]


def test_a_sound_algorithm_fails_nothing():
    def sound(V, W, H, *, fixed=0):
        while True:
            new, H = step(V, W, H)
            W = np.hstack([W[:, :fixed], new[:, fixed:]])
            yield W, H

    assert failures(sound) == {}


def test_more_yields_than_declared():
    def broken(V, W, H, *, n_iter):
        for _ in range(n_iter):
            W, H = step(V, W, H)
            yield W, H

    assert "yields 10 times" in failures(broken, stops="self")["yields what it says"]


def test_fewer_yields_than_declared():
    def broken(V, W, H):
        yield step(V, W, H)

    assert "yields 1 times" in failures(broken)["yields what it says"]


def test_an_end_before_the_stop():
    def broken(V, W, H):
        for _ in range(9):
            W, H = step(V, W, H)
            yield W, H

    assert "yields 9 times" in failures(broken)["yields what it says"]


def test_something_else_is_yielded():
    def broken(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield W @ H

    assert "yields ndarray" in failures(broken)["yields what it says"]


def test_other_arrays_are_yielded_than_declared():
    def broken(V, W, H):
        import torch

        V, W, H = V.numpy(), W.numpy(), H.numpy()
        while True:
            W, H = step(V, W, H)
            yield torch.from_numpy(W), H

    found = failures(broken, arrays="torch")["yields what it says"]
    assert found == "H is of numpy, and arrays='torch' is declared"


def test_V_is_written_to():
    def broken(V, W, H):
        while True:
            V /= 2
            yield step(V, W, H)

    assert "read-only" in failures(broken)["yields what it says"]


def test_a_tensor_V_is_written_to():
    def broken(V, W, H):
        while True:
            V.mul_(0.5)
            yield W, H

    assert "changes V" in failures(broken, arrays="torch")["yields what it says"]


def test_shapes_are_swapped():
    def broken(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield H.T, W.T

    assert "expected W (24, 4), H (4, 30)" in failures(broken)["shapes"]


def test_entries_are_negative():
    def broken(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield W, -H

    assert "a negative entry in H at iteration 1" in failures(broken)["nonnegativity"]


def test_the_loss_rises():
    def broken(V, W, H):
        for i in itertools.count():
            W, H = step(V, W, H)
            yield W * (1 + 0.1 * (i % 2)), H

    assert "the loss rises" in failures(broken)["loss"]


def test_the_loss_is_declared_to_rise():
    def wavering(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield W * 1.02, H

    assert "loss" not in failures(wavering, monotone=False)


def test_nothing_is_learnt():
    def broken(V, W, H):
        while True:
            yield W, H

    assert "ends where it started" in failures(broken, monotone=False)["loss"]


def test_division_by_zero():
    def broken(V, W, H):
        while True:
            with np.errstate(all="ignore"):
                H = H * (W.T @ V) / (W.T @ W @ H) * (H / H)
                W = W * (V @ H.T) / (W @ H @ H.T)
            yield W, H

    found = failures(broken)
    assert "NaN or infinity" in found["NaN"]
    assert "NaN or infinity" in found["silent frame"]


def test_a_tolerance_that_V_decides():
    drawn = np.random.default_rng(0)

    def broken(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield W * (1 + 1e-4 * drawn.random()), H

    found = failures(broken)
    assert {"scale of V", "same start, same end"} <= set(found)


def test_zeros_in_V_are_not_handled():
    def broken(V, W, H):
        while True:
            with np.errstate(all="ignore"):
                W, H = step(V, W, H) if (V > 0).all() else (W, H * np.log(V).mean())
            yield W, H

    assert "in H at iteration 1" in failures(broken)["zeros in V"]


def test_silence_is_filled_with_sound():
    def broken(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield W, H + 0.1

    assert "where V is silent" in failures(broken)["silent frame"]


def test_float32_loses_too_much():
    def broken(V, W, H):
        half = np.float16 if V.dtype == np.float32 else np.float64
        while True:
            W, H = step(V, W, H)
            W = W.astype(half).astype(V.dtype).round(2 if half is np.float16 else 12)
            yield W, H

    assert "float32 and float64 differ" in failures(broken)["float32"]


def test_problems_of_a_batch_disturb_each_other():
    def broken(V, W, H):
        while True:
            Wt = np.swapaxes(W, -1, -2)
            H = H * (Wt @ V) / np.maximum(Wt @ W @ H, FLOOR)
            W = W.mean(axis=0, keepdims=True) + 0 * W if W.ndim == 3 else W
            yield W, H

    assert "differ" in failures(broken, batch=("seed", "init"))["batches"]


def test_a_batch_is_declared_and_not_understood():
    def broken(V, W, H):
        if W.ndim == 3:
            raise ValueError("no batches here")
        while True:
            W, H = step(V, W, H)
            yield W, H

    assert "no batches here" in failures(broken, batch=("seed", "init"))["batches"]


def test_fixed_templates_move():
    def broken(V, W, H, *, fixed=0):
        while True:
            W, H = step(V, W, H)
            yield W, H

    assert failures(broken)["fixed templates"] == "fixed=4, and W changes there"


def test_some_fixed_templates_move():
    def broken(V, W, H, *, fixed=0):
        while True:
            new, H = step(V, W, H)
            W = W if fixed == W.shape[1] else new
            yield W, H

    assert failures(broken)["fixed templates"] == "fixed=2, and W changes there"


def test_an_algorithm_that_ends_the_program():
    def broken(V, W, H):
        yield step(V, W, H)
        raise SystemExit(3)

    found = failures(broken)
    assert "ends the program: SystemExit(3)" in found["yields what it says"]
    assert "failed at iteration 2: SystemExit(3)" in found["shapes"]


def test_an_endless_loop():
    def broken(V, W, H):
        while True:
            while len(W):
                pass
            yield W, H

    found = failures(broken, limit=0.05)
    assert list(found) == ["yields what it says"]  # one time-out says enough
    assert "takes longer than 0.05 s" in found["yields what it says"]


def test_complex_entries():
    def broken(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield W * (1 + 0j), H

    assert "complex entries in W at iteration 1" in failures(broken)["nonnegativity"]


def test_a_parameter_before_the_asterisk_is_refused():
    with pytest.raises(UsageError, match=r"write an asterisk before sparsity: f\(V, W, H, \*"):
        algorithm("broken", betas=(2,))(lambda V, W, H, sparsity=1: None)
    assert "broken" not in ALGORITHMS


def test_a_parameter_without_a_default_is_refused():
    with pytest.raises(UsageError, match="the parameter lam needs a default"):
        algorithm("broken", betas=(2,))(lambda V, W, H, *, lam: None)


def test_a_model_without_beta_takes_none():
    with pytest.raises(UsageError, match="takes no keyword beta"):
        algorithm("broken", shown_beta=0)(lambda V, W, H, *, beta=1: None)


@kind("wrong", version=1)
@dataclass(eq=False)
class Wrong(LowRank):
    """A product whose groups do not add up."""

    def grouped(self, groups, n_groups, frames=slice(None)):
        return 2 * super().grouped(groups, n_groups, frames)


def test_components_that_do_not_add_up():
    def broken(V, model):
        W, H = model.W, model.H
        while True:
            W, H = step(V, W, H)
            yield Wrong(W, H)

    def start(problem):
        return Wrong(*problem.usual_start(problem.V))

    try:
        found = failures(broken, gives=Wrong, start=start)
        assert set(found) == {"kind"}
        assert "do not add up" in found["kind"]
    finally:
        KINDS._components.pop("wrong", None)


def test_a_check_without_anything_to_check_is_not_applicable():
    def sound(V, W, H):
        while True:
            W, H = step(V, W, H)
            yield W, H

    algorithm("broken", betas=(2,))(sound)
    try:
        results = {r.name: r for r in check(ALGORITHMS["broken"])}
    finally:
        del ALGORITHMS._components["broken"]
    for name in ("batches", "fixed templates"):
        assert (results[name].passed, results[name].detail) == (None, "not applicable")


def test_each_check_has_been_failed_above():
    source = Path(__file__).read_text()
    assert [name for name in CHECKS if f'"{name}"' not in source] == []


def test_a_file_that_registers_nothing(tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="registers no algorithm"):
        list(check_file(tmp_path / "empty.py"))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list(check_file(tmp_path / "none.py"))
