"""HALS's compiled passes: against rows minimized one after another, within strange memory."""

from itertools import product

import pytest
import torch

from nmfab.engine.cpu import tiles
from nmfab.engine.torch_rows import Piece, sweep_rows
from nmfab.engine.torch_rows_ahead import ExtrapolatedPiece

pytestmark = pytest.mark.skipif(
    tiles.SHAPE is None, reason="this processor has no vectors that the kernels know"
)
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def strided(values, turned):
    """Return a copy of rows, and the memory around it, NaN: lines of three entries too many."""
    values = values.mT if turned else values
    room = torch.full((values.shape[0], values.shape[1] + 3), torch.nan, dtype=values.dtype)
    inside = room[:, : values.shape[1]]
    inside.copy_(values)
    return inside.mT if turned else inside, room


def given(count, rank, dtype):
    """Return rows, products and gram, one component of the other factor being silent."""
    rng = torch.Generator().manual_seed(100 * count + rank)
    other = torch.rand(30, rank, generator=rng, dtype=dtype)
    other[:, rank // 2] *= rank < 2
    V, rows = (torch.rand(n, count, generator=rng, dtype=dtype) for n in (30, rank))
    return rows, other.mT @ V, other.mT @ other


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("count", "rank"), list(product((1, 7, 16, 50, 131), (1, 5, 16, 20, 35, 88)))
)
def test_passes_are_those_row_after_row(count, rank, turned, dtype):
    rows, products, gram = given(count, rank, dtype)
    expected = sweep_rows(rows.to(torch.float64, copy=True), products.double(), gram.double(), 2)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype] * float(expected.max())}
    (own, room), (P, _) = strided(rows, turned), strided(products, turned)
    columns = None if turned else torch.empty(count, rank, dtype=dtype)
    Piece(own, P, columns).minimize(gram, 2)
    torch.testing.assert_close(own.double(), expected, **close)
    assert room[:, -3:].isnan().all()
    assert turned or torch.equal(columns.mT, own)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_found_is_kept_beside_its_extrapolation(turned, dtype):
    rows, products, gram = given(131, 20, dtype)
    before = rows * 1.5
    found = sweep_rows(rows.to(torch.float64, copy=True), products.double(), gram.double(), 3)
    (own, _), (P, _), (state, _) = (strided(x, turned) for x in (rows, products, before))
    piece = ExtrapolatedPiece(own, P, None if turned else torch.empty(131, 20, dtype=dtype))
    piece.keep_in(state)
    piece.lead(gram, 3, 0.7)
    ahead = (found + 0.7 * (found - before)).clamp(min=0)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(piece.found.double(), found, **close)
    torch.testing.assert_close(own.double(), ahead, **close)
    assert turned or torch.equal(piece.columns.mT, own)
    assert torch.equal(state, before)
    error = float((found * (gram.double() @ found - 2 * products.double())).sum())
    assert piece.error == pytest.approx(error, rel=10 * TOLERANCE[dtype])
    piece.undo()
    assert torch.equal(own, before)


def test_what_is_not_a_number_is_not_hidden():
    rows, products, gram = given(50, 5, torch.float32)
    products[1, 3] = torch.nan
    Piece(rows, products).minimize(gram, 1)
    assert rows[1, 3].isnan()
    assert not rows[:, 4:].isnan().any()
