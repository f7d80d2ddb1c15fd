"""Tiles of products of matrices in a processor's registers: the code for them, as LLVM's.

All three products of an update have one form, the sum over p of a column times a row (`_product`;
Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 2008, section
4): 8 rows and 3 vectors of columns are summed up at a time. Addresses are integers, steps from one
row to the next are entries; the type of `floor` is that of the entries.
"""

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic


def _shape():
    """Return the bits of this processor's vectors, and the rows and vectors of one tile, or None.

    A tile of rows × vectors sums, its vectors of A's and one more fill the registers: 32 of them,
    or 16 with AVX2.
    """
    if numba.config.DISABLE_JIT:
        return None
    names = " ".join(map(str, cpu_target.target_context.codegen().magic_tuple()))
    if "+avx512f" in names:
        return 512, 8, 3
    if "+avx2" in names and "+fma" in names:
        return 256, 4, 3
    if "aarch64" in names or "arm64" in names:
        return 128, 8, 3
    return None


SHAPE = _shape()
BITS, ROWS, VECTORS = SHAPE or (512, 8, 3)
# Heights of the tiles that are left over where rows are no multiple of ROWS.
HEIGHTS = tuple(height for height in (8, 4, 1) if height <= ROWS)
# What a tile may be wide: so many vectors, or one folded by so many (see `factors.fold_of`).
WIDTHS = (1, 2, 3, -2, -4)

_long = ir.IntType(64)
_int = ir.IntType(32)


class _Types:
    """The entries' type and their vectors, and code for what is done with both."""

    def __init__(self, builder, of_floor):
        self.b = builder
        self.single = of_floor == types.float32
        self.real = ir.FloatType() if self.single else ir.DoubleType()
        self.size = 4 if self.single else 8
        self.lanes = BITS // 8 // self.size
        self.vector = ir.VectorType(self.real, self.lanes)

    def _address(self, base, index, typ):
        b = self.b
        return b.inttoptr(b.add(base, b.mul(index, _long(self.size))), typ.as_pointer())

    def load(self, base, index, typ=None):
        typ = typ or self.vector
        return self.b.load(self._address(base, index, typ), align=self.size)

    def store(self, value, base, index):
        self.b.store(value, self._address(base, index, value.type), align=self.size)

    def spread(self, base, index, count=1):
        """Return a vector of `count` entries that follow each other, again and again."""
        few = self.load(base, index, ir.VectorType(self.real, count))
        return self._repeat(few, count)

    def _repeat(self, few, count):
        places = [i % count for i in range(self.lanes)]
        mask = ir.Constant(ir.VectorType(_int, self.lanes), places)
        return self.b.shuffle_vector(few, ir.Constant(few.type, ir.Undefined), mask)

    def opaque(self, value):
        """Return a value of which LLVM does not know where it comes from.

        It would compute the places of rows one from the other, each waiting for the last.
        """
        identity = ir.FunctionType(value.type, [value.type])
        return self.b.asm(identity, "", "=r,0", [value], side_effect=False)

    def vector_of(self, value):
        """Return a vector of one value."""
        one = ir.Constant(ir.VectorType(self.real, 1), ir.Undefined)
        return self._repeat(self.b.insert_element(one, value, _int(0)), 1)

    def constant(self, value):
        return ir.Constant(self.vector, [value] * self.lanes)

    def call(self, name, result, *values):
        function = ir.FunctionType(result, [value.type for value in values])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, function, name), values)

    def fma(self, x, y, z):
        """Return x · y + z."""
        return self.call(f"llvm.fma.v{self.lanes}f{8 * self.size}", self.vector, x, y, z)

    def reciprocal(self, x):
        """Return 1 / x: by a step of Newton's where there is an estimate of 14 bits to begin at."""
        if not (self.single and BITS == 512):
            return self.b.fdiv(self.constant(1.0), x)
        every = ir.IntType(16)(-1)
        near = self.call("llvm.x86.avx512.rcp14.ps.512", self.vector, x, self.constant(0.0), every)
        return self.b.fmul(near, self.fma(self.b.fneg(x), near, self.constant(2.0)))

    def prefetch(self, base, indices):
        """Ask for what is read later; for not too much at a time, which would wait in line."""
        for index in indices:
            address = self._address(base, index, ir.IntType(8))
            self.call("llvm.prefetch.p0", ir.VoidType(), address, _int(0), _int(3), _int(1))


def _product(t, rows, vectors, count, a, row_step, step, w, w_step, start, fold=1):
    """Add Σ_p a[f · row_step + p · step] · w[p · w_step + vector j] to vector (f, j) of `start`.

    Of a, `fold` entries from there on are repeated through the vector.
    """
    b = t.b
    rows_at = [t.opaque(b.mul(_long(f), row_step)) for f in range(rows)]
    before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.branch(loop)
    b.position_at_end(loop)
    p = b.phi(_long)
    sums = [b.phi(t.vector) for _ in start]
    row, place = b.mul(p, w_step), b.mul(p, step)
    of_w = [t.load(w, b.add(row, _long(j * t.lanes))) for j in range(vectors)]
    added = []
    for f in range(rows):
        factor = t.spread(a, b.add(place, rows_at[f]), fold)
        added += [t.fma(of_w[j], factor, sums[f * vectors + j]) for j in range(vectors)]
    following = b.add(p, _long(1))
    for phi, first, later in zip([p, *sums], [_long(0), *start], [following, *added], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, loop)
    b.cbranch(b.icmp_signed("<", following, count), loop, after)
    b.position_at_end(after)
    return added


def _tiles(t, rows, width, widths, emit):
    """Emit code for every height and width of a tile, ``emit(height, width)``, and the choice."""
    b, done = t.b, t.b.append_basic_block()
    choice = b.switch(b.add(b.mul(rows, _long(64)), width), done)
    for height in HEIGHTS:
        for width in widths:
            block = b.append_basic_block()
            choice.add_case(_long(height * 64 + width), block)
            b.position_at_end(block)
            emit(height, width)
            b.branch(done)
    b.position_at_end(done)


def _spots(t, rows, vectors, step):
    """Return the index of each vector of a tile whose rows are `step` apart."""
    starts = [t.b.mul(_long(f), step) for f in range(rows)]
    return [t.b.add(start, _long(j * t.lanes)) for start in starts for j in range(vectors)]


@intrinsic
def accumulate(_context, floor, rows, width, count, a, row_step, step, w, w_step, c, c_step):
    """Add a product to the tile c, whose width is one of WIDTHS; see `_product`."""

    def codegen(context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        _, rows, width, *factors, c, c_step = args

        def emit(height, width):
            vectors, fold = max(width, 1), max(-width, 1)
            spots = _spots(t, height, vectors, c_step)
            start = [t.load(c, spot) for spot in spots]
            sums = _product(t, height, vectors, *factors, start, fold)
            for value, spot in zip(sums, spots, strict=True):
                t.store(value, c, spot)

        _tiles(t, rows, width, [width for width in WIDTHS if -width <= t.lanes], emit)
        return context.get_dummy_value()

    return types.void(floor, *[types.int64] * 10), codegen


@intrinsic
def weigh(
    _context,
    floor,
    rows,
    vectors,
    count,
    a,
    row_step,
    w,
    w_step,
    x,
    x_step,
    ahead,
    c,
    c_step,
    inverse,
):
    """Put x / (floor + the product) into the tile c, or x times the square of the `inverse`.

    The latter where that is an address, at which 1 / (floor + the product) is left. What lies
    `ahead` of x is asked for.
    """

    def codegen(context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        floor, rows, vectors, *factors, x, x_step, ahead, c, c_step, inverse = args
        floor = t.vector_of(floor)
        squared = builder.icmp_signed("!=", inverse, _long(0))

        def emit(height, width):
            of_x = _spots(t, height, width, x_step)
            later = [builder.add(spot, ahead) for spot in of_x]
            t.prefetch(x, later[::3])
            count, a, row_step, *of_w = factors
            start = [floor] * (height * width)
            model = _product(t, height, width, count, a, row_step, _long(1), *of_w, start)
            t.prefetch(x, later[1::3])
            spots = _spots(t, height, width, c_step)
            turned = [t.reciprocal(value) for value in model]
            read = [t.load(x, spot) for spot in of_x]
            ratio = [builder.fmul(*pair) for pair in zip(read, turned, strict=True)]
            t.prefetch(x, later[2::3])
            with builder.if_else(squared) as (then, otherwise):
                with then:
                    for spot, value, one in zip(spots, ratio, turned, strict=True):
                        t.store(builder.fmul(value, one), c, spot)
                        t.store(one, inverse, spot)
                with otherwise:
                    for spot, value in zip(spots, ratio, strict=True):
                        t.store(value, c, spot)

        _tiles(t, rows, vectors, range(1, VECTORS + 1), emit)
        return context.get_dummy_value()

    return types.void(floor, *[types.int64] * 13), codegen


@intrinsic
def silence(_context, floor, rows, vectors, x, x_step, c, c_step):
    """Put 0 into the tile c where x is 0."""

    def codegen(context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        _, rows, vectors, x, x_step, c, c_step = args
        zero = t.constant(0.0)

        def emit(height, width):
            spots = _spots(t, height, width, x_step), _spots(t, height, width, c_step)
            for of_x, spot in zip(*spots, strict=True):
                silent = builder.fcmp_ordered("==", t.load(x, of_x), zero)
                t.store(builder.select(silent, zero, t.load(c, spot)), c, spot)

        _tiles(t, rows, vectors, range(1, VECTORS + 1), emit)
        return context.get_dummy_value()

    return types.void(floor, *[types.int64] * 6), codegen


@intrinsic
def descend(_context, zero, rows, count, a, row_step, h, h_step, p, own, within):
    """Put max(0, p + the product with h) into the tile `own`, which is some rows of h.

    The tile is VECTORS wide. The product takes its rows as they were; what follows of those before
    in the tile is added, by weights which begin at `within` and whose rows are `row_step` apart.
    """

    def codegen(context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        _, rows, count, a, row_step, h, h_step, p, own, within = args
        zero = t.constant(0.0)

        def emit(height, width):
            spots = _spots(t, height, width, h_step)
            start = [t.load(p, spot) for spot in spots]
            sums = _product(t, height, width, count, a, row_step, _long(1), h, h_step, start)
            lines = [sums[f * width : (f + 1) * width] for f in range(height)]
            for f in range(height):
                new = [
                    builder.select(builder.fcmp_ordered("<", value, zero), zero, value)  # NaN stays
                    for value in lines[f]
                ]
                for value, spot in zip(new, spots[f * width :], strict=False):
                    t.store(value, own, spot)
                for later in range(f + 1, height):
                    place = builder.add(builder.mul(_long(later), row_step), _long(f))
                    weight = t.spread(within, place)
                    lines[later] = [
                        t.fma(weight, *pair) for pair in zip(new, lines[later], strict=True)
                    ]

        _tiles(t, rows, _long(VECTORS), [VECTORS], emit)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 9), codegen


@intrinsic
def turn(_context, zero, a, a_step, c, c_step):
    """Put a's rows, as many as a vector has entries and each one vector, into c as columns."""

    def codegen(context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        _, a, a_step, c, c_step = args
        half = t.lanes // 2
        masks = [
            ir.Constant(
                ir.VectorType(_int, t.lanes),
                [i // 2 + first + t.lanes * (i % 2) for i in range(t.lanes)],
            )
            for first in (0, half)
        ]
        lines = [t.load(a, spot) for spot in _spots(t, t.lanes, 1, a_step)]
        for _ in range(half.bit_length()):  # each time the entries of pairs of lines alternate
            lines = [
                builder.shuffle_vector(lines[i], lines[i + half], mask)
                for i in range(half)
                for mask in masks
            ]
        for line, spot in zip(lines, _spots(t, t.lanes, 1, c_step), strict=True):
            t.store(line, c, spot)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 4), codegen


@intrinsic
def get(_context, floor, base, index):
    """Return an entry."""

    def codegen(_context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        return t.load(args[1], args[2], t.real)

    return floor(floor, types.int64, types.int64), codegen


@intrinsic
def put(_context, value, base, index):
    """Store an entry."""

    def codegen(context, builder, signature, args):
        _Types(builder, signature.args[0]).store(*args)
        return context.get_dummy_value()

    return types.void(value, types.int64, types.int64), codegen
