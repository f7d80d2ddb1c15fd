"""Kernels of the sweep over V on a CPU at β of 1 and 0, compiled where they run (numba).

A product of matrices leaves W·H in memory, a division reads it and writes the ratio, the next
product reads that. Here 8 rows and 3 vectors of columns of W·H are made in the processor's
registers, divided there, and used while they lie in its first cache. All three products of an
update have one form, the sum over p of a column times a row (`_product`; Goto and van de Geijn,
"Anatomy of high-performance matrix multiplication", ACM TOMS 2008, section 4):

- the model of some rows and columns: sums over components of B's entries times rows of Aᵀ;
- N of those rows: over columns of the ratio's entries times rows of A;
- what they add to A's numerator: over rows of B's entries times rows of the ratio.

Aᵀ, and the sums for it, lie tile by tile, each a few vectors wide (`pack`). Addresses are
integers, steps from one row to the next are entries; the type of `floor` is that of the entries.
"""

import numba
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

# Rows of a block whose ratio is made before it is used: 9 KiB of it beside a tile of A.
GROUP = 48


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


def scratch_size(lanes):
    """Return how many entries the kernels work in, with so many to a vector."""
    return (2 * GROUP + ROWS) * VECTORS * lanes


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

    def spread(self, value):
        """Return a vector of one value."""
        empty = ir.Constant(self.vector, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(_int, self.lanes), [0] * self.lanes)
        return self.b.shuffle_vector(self.b.insert_element(empty, value, _int(0)), empty, zeros)

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

    def prefetch(self, base, index):
        address = self._address(base, index, ir.IntType(8))
        self.call("llvm.prefetch.p0", ir.VoidType(), address, _int(0), _int(2), _int(1))


def _product(t, rows, vectors, count, a, row_step, step, w, w_step, start):
    """Add Σ_p a[f · row_step + p · step] · w[p · w_step + vector j] to vector (f, j) of `start`."""
    b = t.b
    before, loop, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.branch(loop)
    b.position_at_end(loop)
    p = b.phi(_long)
    sums = [b.phi(t.vector) for _ in start]
    row, place = b.mul(p, w_step), b.mul(p, step)
    of_w = [t.load(w, b.add(row, _long(j * t.lanes))) for j in range(vectors)]
    added = []
    for f in range(rows):
        factor = t.spread(t.load(a, b.add(place, b.mul(_long(f), row_step)), t.real))
        added += [t.fma(of_w[j], factor, sums[f * vectors + j]) for j in range(vectors)]
    following = b.add(p, _long(1))
    for phi, first, later in zip([p, *sums], [_long(0), *start], [following, *added], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, loop)
    b.cbranch(b.icmp_signed("<", following, count), loop, after)
    b.position_at_end(after)
    return added


def _tiles(t, rows, vectors, emit):
    """Emit code for every height and width of a tile, ``emit(height, width)``, and the choice."""
    b, done = t.b, t.b.append_basic_block()
    choice = b.switch(b.add(b.mul(rows, _long(VECTORS + 1)), vectors), done)
    for height in HEIGHTS:
        for width in range(1, VECTORS + 1):
            block = b.append_basic_block()
            choice.add_case(_long(height * (VECTORS + 1) + width), block)
            b.position_at_end(block)
            emit(height, width)
            b.branch(done)
    b.position_at_end(done)


def _spots(t, rows, vectors, step):
    """Return the index of each vector of a tile whose rows are `step` apart."""
    starts = [t.b.mul(_long(f), step) for f in range(rows)]
    return [t.b.add(start, _long(j * t.lanes)) for start in starts for j in range(vectors)]


@intrinsic
def _accumulate(_context, floor, rows, vectors, count, a, row_step, step, w, w_step, c, c_step):
    """Add a product to the tile c; see `_product`."""

    def codegen(context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        _, rows, vectors, *factors, c, c_step = args

        def emit(height, width):
            spots = _spots(t, height, width, c_step)
            start = [t.load(c, spot) for spot in spots]
            for value, spot in zip(_product(t, height, width, *factors, start), spots, strict=True):
                t.store(value, c, spot)

        _tiles(t, rows, vectors, emit)
        return context.get_dummy_value()

    return types.void(floor, *[types.int64] * 10), codegen


@intrinsic
def _weigh(
    _context, floor, rows, vectors, count, a, row_step, w, w_step, x, x_step, c, c_step, inverse
):
    """Put x / (floor + the product) into the tile c, or x times the square of the `inverse`.

    The latter where that is an address, at which 1 / (floor + the product) is left.
    """

    def codegen(context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        floor, rows, vectors, count, a, row_step, w, w_step, x, x_step, c, c_step, inverse = args
        floor = t.spread(floor)
        squared = builder.icmp_signed("!=", inverse, _long(0))

        def emit(height, width):
            of_x = _spots(t, height, width, x_step)
            for spot in of_x:  # of the rows that follow
                t.prefetch(x, builder.add(spot, builder.mul(rows, x_step)))
            factors = count, a, row_step, _long(1), w, w_step
            model = _product(t, height, width, *factors, [floor] * (height * width))
            spots = _spots(t, height, width, c_step)
            turned = [t.reciprocal(value) for value in model]
            read = [t.load(x, spot) for spot in of_x]
            ratio = [builder.fmul(*pair) for pair in zip(read, turned, strict=True)]
            with builder.if_else(squared) as (then, otherwise):
                with then:
                    for spot, value, one in zip(spots, ratio, turned, strict=True):
                        t.store(builder.fmul(value, one), c, spot)
                        t.store(one, inverse, spot)
                with otherwise:
                    for spot, value in zip(spots, ratio, strict=True):
                        t.store(value, c, spot)

        _tiles(t, rows, vectors, emit)
        return context.get_dummy_value()

    return types.void(floor, *[types.int64] * 12), codegen


@intrinsic
def _get(_context, floor, base, index):
    """Return an entry."""

    def codegen(_context, builder, signature, args):
        t = _Types(builder, signature.args[0])
        return t.load(args[1], args[2], t.real)

    return floor(floor, types.int64, types.int64), codegen


@intrinsic
def _put(_context, value, base, index):
    """Store an entry."""

    def codegen(context, builder, signature, args):
        _Types(builder, signature.args[0]).store(*args)
        return context.get_dummy_value()

    return types.void(value, types.int64, types.int64), codegen


def compiled(function):
    """Compile with numba, which looks at this file alone to tell whether what it keeps is right."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # there is no folder that could keep it
        return njit(nogil=True)(function)


@compiled
def _height(left):
    for height in HEIGHTS:
        if left >= height:
            return height
    return 0


@compiled
def _edge(i, columns, lanes):
    """Return where tile i of so many columns begins: of up to VECTORS vectors, all about alike."""
    vectors = (columns + lanes - 1) // lanes
    tiles = (vectors + VECTORS - 1) // VECTORS
    return vectors * i // tiles * lanes


@compiled
def _add(floor, size, rows, vectors, count, a, row_step, step, w, w_step, c, c_step):
    """Add a product of any number of rows to c; see `_product`."""
    f = 0
    while f < rows:
        height = _height(rows - f)
        own, to = a + f * row_step * size, c + f * c_step * size
        _accumulate(floor, height, vectors, count, own, row_step, step, w, w_step, to, c_step)
        f += height


@compiled
def _ratio(floor, lanes, x, x_step, left, b, b_step, rank, t, wide, rows, scratch, p):
    """Fill the scratch, rows × wide, with the ratio; where p is true, the inverse follows it."""
    size = BITS // 8 // lanes
    room = GROUP * VECTORS * lanes * size
    spare, f = scratch + 2 * room, 0
    while f < rows:
        height = _height(rows - f)
        at, step = x + f * x_step * size, x_step
        if wide - left > (rows - f - height) * x_step:
            # a vector that reaches beyond its row takes up the next one's entries, which meet zeros
            # in A; but here it would reach beyond the last, where memory may end
            for i in range(height):
                for j in range(left):
                    _put(_get(floor, at, i * x_step + j), spare, i * wide + j)
            at, step = spare, wide
        own, to = b + f * b_step * size, scratch + f * wide * size
        inverse = to + room if p else 0
        vectors = wide // lanes
        _weigh(floor, height, vectors, rank, own, b_step, t, wide, at, step, to, wide, inverse)
        f += height
    return scratch + room


@compiled
def update(floor, lanes, x, x_step, columns, b, b_step, rank, rows, tiles, a, a_step, n, p, work):
    """Put N, and P where that is an address, of some rows of B (rows × a_step) at n and p.

    Parameters
    ----------
    floor : float32 or float64
        Added to the model.
    lanes : int
        Entries of a vector.
    x, x_step, columns : int
        X's rows × columns.
    b, b_step, rank, rows : int
        B's rows × rank.
    tiles : int
        Aᵀ, see `pack`.
    a, a_step : int
        A, columns × a_step, zeros after its entries: whole vectors of components, and of columns.
    n, p : int
        rows × a_step.
    work : int
        `scratch_size` entries, zeros at first.
    """
    size = BITS // 8 // lanes
    for i in range(rows * a_step):
        _put(floor - floor, n, i)
        if p:
            _put(floor - floor, p, i)
    tile, c = 0, 0
    while c < columns:
        tile += 1
        end = _edge(tile, columns, lanes)
        left, wide, t = columns - c, end - c, tiles + c * rank * size
        for g in range(0, rows, GROUP):
            group = min(GROUP, rows - g)
            at, of_b = x + (g * x_step + c) * size, b + g * b_step * size
            inverse = _ratio(
                floor, lanes, at, x_step, left, of_b, b_step, rank, t, wide, group, work, p
            )
            for k in range(0, a_step, VECTORS * lanes):
                vectors = min(VECTORS, (a_step - k) // lanes)
                w, to = a + (c * a_step + k) * size, (g * a_step + k) * size
                for of_p in range(2 if p else 1):  # written once, that it is compiled once
                    own, out = (inverse, p + to) if of_p else (work, n + to)
                    _add(floor, size, group, vectors, wide, own, wide, 1, w, a_step, out, a_step)
        c = end


@compiled
def gather(floor, lanes, x, x_step, columns, b, b_step, rank, rows, tiles, n, p, work):
    """Add what some rows of B give to the tiles of A's N, and of its P where that is an address."""
    size = BITS // 8 // lanes
    tile, c = 0, 0
    while c < columns:
        tile += 1
        end = _edge(tile, columns, lanes)
        left, wide, of_tile = columns - c, end - c, c * rank * size
        t, vectors = tiles + of_tile, wide // lanes
        for g in range(0, rows, GROUP):
            group = min(GROUP, rows - g)
            at, of_b = x + (g * x_step + c) * size, b + g * b_step * size
            inverse = _ratio(
                floor, lanes, at, x_step, left, of_b, b_step, rank, t, wide, group, work, p
            )
            for of_p in range(2 if p else 1):
                own, to = (inverse, p + of_tile) if of_p else (work, n + of_tile)
                _add(floor, size, rank, vectors, group, of_b, 1, b_step, own, wide, to, wide)
        c = end


@compiled
def pack(floor, lanes, at, at_step, columns, rank, tiles, back):
    """Copy Aᵀ, rank × columns, to tiles: each rank rows of a few vectors, zeros at the end.

    Where `back` is true, copy it from there, and leave zeros.
    """
    size = BITS // 8 // lanes
    tile, c = 0, 0
    while c < columns:
        tile += 1
        end = _edge(tile, columns, lanes)
        base, wide, inside = tiles + c * rank * size, end - c, min(end, columns) - c
        for k in range(rank):
            for j in range(inside):
                if back:
                    _put(_get(floor, base, k * wide + j), at, k * at_step + c + j)
                else:
                    _put(_get(floor, at, k * at_step + c + j), base, k * wide + j)
            for j in range(0 if back else inside, wide):
                _put(floor - floor, base, k * wide + j)
        c = end


def compile_for(dtype):
    """Compile for float32 or float64: seconds the first time, then read from numba's cache."""
    for function in (update, gather, pack):
        count = function.py_func.__code__.co_argcount - 1
        signature = (numba.from_dtype(dtype), *[types.int64] * count)
        if signature not in function.overloads:
            function.compile(signature)
