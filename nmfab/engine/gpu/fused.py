"""Fused multiplicative updates: one launch per factor reads V once and keeps W·H on the chip.

Programs hold some rows of a factor and walk along V's other side. Where these are too few to fill
the card, that walk is split among several, whose sums a second kernel adds up in a fixed order: the
result is the same at each run. All problems of a batch are in the same launches.
"""

from typing import NamedTuple

from nmfab.base.divergence import WH_FLOOR, exponent
from nmfab.engine.torch_plain import silence_of

LARGEST_RANK = 128
# Programs for each of the card's multiprocessors, and the fewest tiles that are worth one.
PROGRAMS, LEAST_TILES = 3, 4
FINISHED = 2048  # entries of a factor that one program of the second kernel multiplies
# How the kernels multiply: in float32 itself; by three products of TF32 numbers whose sums the
# factors are, which has float32's accuracy on the units for matrices; or by one such product.
PRECISIONS = ("ieee", "tf32x3", "tf32")


class Tiles(NamedTuple):
    """How a kernel is cut: rows of the factor, of V, warps, and loads under way."""

    n: int
    m: int
    warps: int
    stages: int


def tiles(rank, precision, dtype_size=4):
    """Return the padded rank and the `Tiles`, such that registers suffice on cards from sm_80 on.

    Parameters
    ----------
    rank : int
        At most `LARGEST_RANK`.
    precision : str
        One of `PRECISIONS`.
    dtype_size : int
        Bytes of a number.
    """
    padded = max(16, 1 << (rank - 1).bit_length())
    if dtype_size == 8:
        return padded, Tiles(32, 16, 4 if padded < 64 else 8, 1)
    if precision == "ieee":
        return padded, Tiles(64, 32 if padded < 64 else 16, 8, 2)
    if padded < 64:
        return padded, Tiles(64, 32, 4, 3)
    return padded, Tiles(128, 32, 8, 2) if padded == 64 else Tiles(64, 16, 8, 1)


class Half:
    """The update of one factor of all problems of a batch, the other held fixed.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
    D : tensor [shape=(batch, m, rank)]
    F : tensor [shape=(batch, n, rank)]
        Overwritten.
    beta : float
    precision : str
    fixed : int
        The first `fixed` columns of F are held.
    masked : bool
        Whether zeros of V are left out of both sums (β ≤ 0).
    """

    def __init__(self, V, D, F, beta, precision, fixed=0, masked=False):
        import torch

        (m, n), (batch, _, rank) = V.shape, F.shape
        self.V, self.D, self.F, self.beta, self.precision = V, D, F, beta, precision
        self.fixed, self.masked = fixed, masked
        self.padded, self.tiles = tiles(rank, precision, V.element_size())
        self.span, splits = split(m, n, batch, self.tiles, processors(V.device))
        self.N = V.new_empty(splits, batch, n, rank)
        if beta == 1:
            self.P = V.new_empty(splits, batch, 1, rank).expand(-1, -1, n, -1)
        else:
            self.P = torch.empty_like(self.N[:1] if beta == 2 else self.N)
        self.gram = V.new_empty(batch, rank, rank) if beta == 2 else None
        self.limits = torch.finfo(V.dtype)

    def __call__(self):
        """Update F."""
        import torch

        from nmfab.engine.gpu import kernels

        (m, n), (splits, batch, _, rank), cut = self.V.shape, self.N.shape, self.tiles
        kernels.gather[-(-n // cut.n), splits, batch](
            self.V, self.D, self.F, self.N, self.P,
            m, n, rank, self.span,
            *self.V.stride(), *self.D.stride(), *self.F.stride(), *self.N.stride(),
            *self.P.stride(),
            beta=self.beta, floor=WH_FLOOR if self.beta < 2 else 0.0, precision=self.precision,
            masked=self.masked,
            R=self.padded, TILE_N=cut.n, TILE_M=cut.m,
            num_warps=cut.warps, num_stages=cut.stages,
        )  # fmt: skip
        if self.beta == 2:
            torch.matmul(self.D.mT, self.D, out=self.gram)
            torch.matmul(self.F, self.gram, out=self.P[0])
        rows = FINISHED // self.padded
        kernels.finish[-(-n // rows), batch](
            self.F, self.N, self.P,
            n, rank, splits, self.fixed,
            *self.F.stride(), *self.N.stride(), *self.P.stride(),
            beta=self.beta, gamma=float(exponent(self.beta)), tiny=self.limits.tiny,
            largest=self.limits.max, R=self.padded, TILE_N=rows,
        )  # fmt: skip


def split(m, n, batch, cut, count):
    """Return rows of V for each program, and the number of programs along them.

    Parameters
    ----------
    m, n, batch : int
        V's rows, rows of the factor, problems.
    cut : Tiles
        Of the kernel.
    count : int
        Multiprocessors of the card.
    """
    there = -(-n // cut.n) * batch
    wanted = max(1, min(-(-PROGRAMS * count // there), m // (cut.m * LEAST_TILES)))
    span = -(-m // (wanted * cut.m)) * cut.m
    return span, -(-m // span)


def processors(device):
    """Return the number of multiprocessors; a small one for Triton's interpreter on a CPU."""
    if device.type == "cpu":
        return 2
    import torch

    return torch.cuda.get_device_properties(device).multi_processor_count


def halves(V, W, H, beta, precision, fixed=0):
    """Return the updates of H and of W (where it is updated) of a batch at one β.

    Parameters
    ----------
    V : tensor [shape=(m, n)]
        The same for all problems.
    W, H : tensor [shape=(batch, m, rank), (batch, rank, n)]
        Overwritten by calling what is returned.
    beta : float
        Any real.
    precision : str
        One of `PRECISIONS`.
    fixed : int
        The first `fixed` columns of W are held.

    Returns
    -------
    list of Half
    """
    beta = int(beta) if beta == int(beta) else float(beta)
    masked = beta <= 0 and silence_of(V, beta) is not None
    of_H = Half(V, W, H.mT, beta, precision, masked=masked)
    if fixed >= W.shape[-1]:
        return [of_H]
    return [of_H, Half(V.mT, H.mT, W, beta, precision, fixed, masked)]
