"""The fused kernels compiled for cards that are not here; run by test_gpu.py by itself."""

import os

import pytest
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler import compile as compiled

from nmfab.engine.gpu import fused, kernels

assert os.environ.get("TRITON_INTERPRET") != "1", "run by test_gpu.py"

SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that a program may have there
ORDERS = {
    "H": ("v_i", "d_r", "f_j", "n_r", "p_r"),  # which strides are 1
    "W": ("v_j", "d_i", "f_r", "n_r", "p_r"),
}


def build(kernel, numbers, cut, card, dtype, order):
    """Return the kernel for a card, as a launch there would build it."""
    names = kernel.arg_names
    numbers = numbers | {name: 1 for name in ORDERS[order] if name in names}
    types = dict.fromkeys("VDFNP", f"*{dtype}") | dict.fromkeys(numbers, "constexpr")
    source = ASTSource(
        kernel,
        {name: types.get(name, "i32") for name in names},
        {(names.index(name),): value for name, value in numbers.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in names if name in "VDFNP"},
    )
    return compiled(source, target=GPUTarget("cuda", card, 32), options=cut)


@pytest.mark.parametrize(
    ("card", "beta", "rank", "precision", "dtype", "order"),
    [
        (80, 0, 88, "ieee", "fp32", "W"),
        (90, 1, 20, "ieee", "fp32", "H"),
        (90, 0, 88, "tf32x3", "fp32", "H"),
        (80, 1, 60, "tf32x3", "fp32", "W"),
        (90, 2, 20, "tf32", "fp32", "W"),
        (90, 0.5, 20, "ieee", "fp64", "H"),
    ],
)
def test_kernels_are_compiled_and_fit(card, beta, rank, precision, dtype, order):
    padded, cut = fused.tiles(rank, precision, int(dtype[2:]) // 8)
    shape = {"R": padded, "TILE_N": cut.n, "TILE_M": cut.m}
    gather = build(
        kernels.gather,
        {"beta": beta, "floor": 1e-12, "precision": precision, **shape},
        {"num_warps": cut.warps, "num_stages": cut.stages}, card, dtype, order,
    )  # fmt: skip
    shape = {"R": padded, "TILE_N": fused.FINISHED // padded}
    finish = build(
        kernels.finish,
        {"beta": beta, "gamma": 0.5, "tiny": 1e-38, "largest": 3e38, **shape},
        {},
        card,
        dtype,
        order,
    )
    for kernel in (gather, finish):
        assert f"sm_{card}" in kernel.asm["ptx"]
        assert kernel.metadata.shared <= SHARED[card]
    units = "mma" in gather.asm["ptx"]  # those for matrices
    assert units == (precision != "ieee" or dtype == "fp64")
