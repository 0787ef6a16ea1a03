"""The kinds of node a pixel graph is made of.

`Pointwise` combines values where every input is observed; `Blockwise` sees masks as well;
`Neighborhood` sees a halo; `Placed` sees where it is; `Source` reads a raster; `Warp` changes the
grid.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee.emulator.pixels import (
    Block,
    Context,
    Edge,
    Grid,
    Item,
    Mask,
    Node,
    Values,
    Window,
    mask_and,
    meters_per_unit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from water_gee.emulator.values import Kernel


class Constant(Node):
    """One value everywhere, never masked; takes no memory."""

    __slots__ = ("value",)

    def __init__(self, value: float | int | bool, dtype: npt.DTypeLike) -> None:
        super().__init__((), dtype)
        self.value = value

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Return a view of a single value."""
        return Block(np.broadcast_to(np.asarray(self.value, self.dtype), window.shape))


def typed(values: Values, dtype: np.dtype[Any]) -> Values:
    """Return values in a type; arrays of several shapes are objects and stay what they are."""
    return values if values.dtype == object else values.astype(dtype, copy=False)


class Pointwise(Node):
    """A function of its inputs' values, pixel by pixel, observed where all of them are.

    Args:
        inputs: The bands combined.
        function: `(*values) -> values`, NumPy arrays `(row, col)`; the result is cast to `dtype`.
        dtype: The result's type.
        kind: The operation's name where the planner may know it (`multiply`, `cast`).
    """

    __slots__ = ("function", "kind")

    def __init__(
        self,
        inputs: Sequence[Node],
        function: Callable[..., Values],
        dtype: npt.DTypeLike,
        kind: str = "",
    ) -> None:
        super().__init__(inputs, dtype)
        self.function = function
        self.kind = kind

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Apply the function; what it makes of masked pixels is never seen."""
        present = [block for block in blocks if block is not None]
        with np.errstate(all="ignore"):
            values = self.function(*(block.values for block in present))
        return Block(
            np.asarray(values).astype(self.dtype, copy=False),
            mask_and(*(block.mask for block in present)),
        )


class Blockwise(Node):
    """A function of its inputs' blocks, masks included: `(*blocks) -> block`, pixel by pixel."""

    __slots__ = ("function", "kind")

    def __init__(
        self,
        inputs: Sequence[Node],
        function: Callable[..., Block],
        dtype: npt.DTypeLike,
        kind: str = "",
        item: Item = (),
    ) -> None:
        super().__init__(inputs, dtype, item)
        self.function = function
        self.kind = kind

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Apply the function."""
        with np.errstate(all="ignore"):
            block = self.function(*blocks)
        return Block(typed(block.values, self.dtype), block.mask)


class Neighborhood(Node):
    """A function of blocks with a halo: `(*grown blocks) -> block over the window`.

    Args:
        inputs: The bands read, all with the same halo.
        halo: `(top, bottom, left, right)` pixels.
        function: Gets the grown blocks, returns the block without the halo.
        dtype: The result's type.
    """

    __slots__ = ("function", "halo")

    def __init__(
        self,
        inputs: Sequence[Node],
        halo: tuple[int, int, int, int],
        function: Callable[..., Block],
        dtype: npt.DTypeLike,
    ) -> None:
        super().__init__(inputs, dtype)
        self.halo = halo
        self.function = function

    def needs(self, index: int, grid: Grid, window: Window, context: Context) -> Window | None:
        """Return the window with its halo."""
        return window.grow(self.halo)

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Apply the function."""
        with np.errstate(all="ignore"):
            block = self.function(*blocks)
        return Block(block.values.astype(self.dtype, copy=False), block.mask)


class Convolve(Node):
    """Cross-correlation of one band with a kernel, in double; nothing is flipped.

    A pixel is observed where every pixel under the kernel is (`docs/decisions`): Earth Engine does
    not say what its own does at masked pixels.
    """

    __slots__ = ("kernel",)

    def __init__(self, source: Node, kernel: Kernel) -> None:
        super().__init__((source,), np.float64)
        self.kernel = kernel

    @property
    def halo(self) -> tuple[int, int, int, int]:
        """`(top, bottom, left, right)` pixels."""
        rows, cols = self.kernel.weights.shape
        row, col = self.kernel.center
        return row, rows - 1 - row, col, cols - 1 - col

    def needs(self, index: int, grid: Grid, window: Window, context: Context) -> Window | None:
        """Return the window with the kernel's halo."""
        return window.grow(self.halo)

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Sum the shifted, weighted input."""
        block = blocks[0]
        assert block is not None
        height, width = window.shape
        total = np.zeros(window.shape, np.float64)
        valid = block.valid()
        source = block.values if valid is None else np.where(valid, block.values, 0)
        for (row, col), weight in np.ndenumerate(self.kernel.weights):
            if weight:
                total += weight * source[row : row + height, col : col + width]
        return Block(total, None if valid is None else _eroded(valid, window.shape))


def _eroded(valid: Values, shape: tuple[int, int]) -> Values:
    """Return where all pixels of a rectangle are valid, rows first and then columns."""
    height, width = shape
    rows = np.ones((height, valid.shape[1]), bool)
    for row in range(valid.shape[0] - height + 1):
        rows &= valid[row : row + height]
    result = np.ones(shape, bool)
    for col in range(valid.shape[1] - width + 1):
        result &= rows[:, col : col + width]
    return result


class PerGrid(Node):
    """A node that is another one on each grid.

    Args:
        source: What all of them read.
        make: From a grid to the node that computes there.
        dtype: The result's type.
    """

    __slots__ = ("_made", "make")

    def __init__(self, source: Node, make: Callable[[Grid], Node], dtype: npt.DTypeLike) -> None:
        super().__init__((source,), dtype, source.item)
        self.make = make
        self._made: dict[Grid, Node] = {}

    def edges(self, grid: Grid) -> Sequence[Edge]:
        """Return the node of a grid, the same each time."""
        return [(self._made.setdefault(grid, self.make(grid)), grid)]

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Pass its pixels on."""
        block = blocks[0]
        assert block is not None
        return Block(block.values.astype(self.dtype, copy=False), block.mask)


class Placed(Node):
    """A function of place: `(grid, window, context, *blocks) -> block`."""

    __slots__ = ("function",)

    def __init__(
        self, inputs: Sequence[Node], function: Callable[..., Block], dtype: npt.DTypeLike
    ) -> None:
        super().__init__(inputs, dtype)
        self.function = function

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Apply the function."""
        with np.errstate(all="ignore"):
            block = self.function(grid, window, context, *blocks)
        return Block(block.values.astype(self.dtype, copy=False), block.mask)


class Source(Node):
    """A raster, readable on its own grid and on those of its pyramid.

    Args:
        native: The raster's grid.
        shape: `(row, col)` of the raster.
        read: `(level, window) -> block`; the window counts pixels of the level (pixels 2^level
            times as large) and lies inside the raster.
        dtype: The pixels' type.
    """

    __slots__ = ("native", "read", "shape")

    def __init__(
        self,
        native: Grid,
        shape: tuple[int, int],
        read: Callable[[int, Window], Block],
        dtype: npt.DTypeLike,
    ) -> None:
        super().__init__((), dtype)
        self.native = native
        self.shape = shape
        self.read = read

    def bounds(self, level: int) -> Window:
        """Return the whole raster as a window of a level."""
        return Window(
            0, 0, math.ceil(self.shape[0] / 2**level), math.ceil(self.shape[1] / 2**level)
        )

    def level_for(self, grid: Grid) -> int:
        """Return the pyramid level whose pixels are at most as large as the grid's."""
        deepest = max(0, int(math.log2(max(1, min(self.shape)))))
        return min(deepest, _level(self.native, grid))

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Read a window; `grid` is the native one or one of its pyramid."""
        level = round(math.log2(_stride(grid) / _stride(self.native)))
        block = self.read(level, window)
        return Block(block.values.astype(self.dtype, copy=False), block.mask)


def _level(native: Grid, grid: Grid) -> int:
    """Return how often pixels may be doubled and stay at most as large as the grid's."""
    ratio = pixel_meters(grid) / pixel_meters(native)
    # A little slack: 30 m on one CRS is never exactly 30 m on another.
    return max(0, math.floor(math.log2(max(ratio, 1e-9)) + 0.05))


def _stride(grid: Grid) -> float:
    a, _, _, d, _, _ = grid.transform
    return math.hypot(a, d)


def pixel_meters(grid: Grid) -> float:
    """Return the nominal side of a grid's pixel in metres (degrees as on the equator)."""
    a, b, _, d, e, _ = grid.transform
    return meters_per_unit(grid.crs) * math.sqrt(abs(a * e - b * d))


class Warp(Node):
    """Its input, computed on a grid of its own, sampled at exact pixel centres.

    Args:
        source: What is sampled.
        native: The grid it is computed on.
        method: `nearest`, `bilinear` or `bicubic`.
        pyramid: Whether a computed input may be computed on coarser pixels for coarser requests,
            as rasters are read from their pyramids.
    """

    __slots__ = ("method", "native", "pyramid")

    def __init__(
        self, source: Node, native: Grid, method: str = "nearest", *, pyramid: bool = False
    ) -> None:
        dtype = source.dtype if method == "nearest" else np.float64
        super().__init__((source,), dtype, source.item)
        self.native = native
        self.method = method
        self.pyramid = pyramid

    def _target(self, grid: Grid) -> Grid:
        source = self.inputs[0]
        if isinstance(source, Source):
            level = source.level_for(grid)
        elif self.pyramid:
            level = _level(self.native, grid)
        else:
            level = 0
        return self.native.scaled(level) if level else self.native

    def edges(self, grid: Grid) -> Sequence[Edge]:
        """Return the input on its own grid."""
        return [(self.inputs[0], self._target(grid))]

    def needs(self, index: int, grid: Grid, window: Window, context: Context) -> Window | None:
        """Return the window of the input that holds every sample, None outside the raster."""
        target = self._target(grid)
        offset = target.offset(grid)
        if offset is not None:
            need: Window | None = window.shift(*offset)
        else:
            need = self._covering(target, grid, window, context)
        source = self.inputs[0]
        if need is not None and isinstance(source, Source):
            level = round(math.log2(_stride(target) / _stride(source.native)))
            need = need.intersect(source.bounds(level))
        return need

    def _covering(
        self, target: Grid, grid: Grid, window: Window, context: Context
    ) -> Window | None:
        covering = context.positions(target, grid, window).window
        margin = {"nearest": 0, "bilinear": 1, "bicubic": 2}[self.method]
        return None if covering is None else covering.grow((margin, margin, margin, margin))

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Sample the input."""
        block = blocks[0]
        have = self.needs(0, grid, window, context)
        if block is None or have is None:
            nothing = np.zeros((*window.shape, *(self.item or ())), self.dtype)
            return Block(nothing, np.zeros(window.shape, bool))
        target = self._target(grid)
        offset = target.offset(grid)
        if offset is not None:
            return _paste(block, have, window.shift(*offset), self.dtype)
        there = context.positions(target, grid, window)
        if self.method == "nearest":
            return _nearest(block, *there.nearest(have))
        return _interpolated(block, have, there.rows, there.cols, self.method)


def _paste(block: Block, have: Window, want: Window, dtype: np.dtype[Any]) -> Block:
    """Return a block over `want` out of one over `have`, masked where there is nothing."""
    if have == want:
        return Block(typed(block.values, dtype), block.mask)
    held = block.values.dtype if block.values.dtype == object else dtype
    values = np.zeros((*want.shape, *block.values.shape[2:]), held)
    mask: Values = np.zeros(
        want.shape, bool if block.mask is None or block.mask.dtype == bool else np.float32
    )
    cut = want.slices(have)
    values[cut] = block.values
    mask[cut] = True if block.mask is None else block.mask
    return Block(values, mask)


def _take(block: Block, have: Window, rows: Values, cols: Values) -> tuple[Values, Values]:
    """Return values and mask at integer pixel positions, masked outside the block."""
    r, c = rows - have.row, cols - have.col
    inside = (r >= 0) & (r < have.height) & (c >= 0) & (c < have.width)
    r, c = np.clip(r, 0, have.height - 1), np.clip(c, 0, have.width - 1)
    values = block.values[r, c]
    if block.mask is None:
        return values, inside
    mask = block.mask[r, c]
    return values, mask & inside if mask.dtype == np.bool_ else mask * inside


def _nearest(block: Block, index: Values, inside: Mask) -> Block:
    """Return the pixels at indices into a block's pixels, row by row."""
    values = block.values.reshape(-1, *block.values.shape[2:]).take(index, axis=0)
    if block.mask is None:
        return Block(values, inside)
    mask = block.mask.reshape(-1).take(index)
    if inside is not None:
        mask = mask & inside if mask.dtype == np.bool_ else np.where(inside, mask, np.float32(0))
    return Block(values, None if mask.dtype == np.bool_ and mask.all() else mask)


def _weights(fraction: Values, method: str) -> list[Values]:
    """Return the weights of the neighbours around a fraction in [0, 1).

    Bicubic is cubic convolution with a = -0.5 (Keys 1981).
    """
    t = fraction
    if method == "bilinear":
        return [1 - t, t]
    a = -0.5

    def near(s: Values) -> Values:
        return (a + 2) * s**3 - (a + 3) * s**2 + 1

    def far(s: Values) -> Values:
        return a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a

    return [far(1 + t), near(t), near(1 - t), far(2 - t)]


def _interpolated(block: Block, have: Window, rows: Values, cols: Values, method: str) -> Block:
    """Interpolate; masked neighbours count for nothing; the mask is the nearest pixel's."""
    top, left = np.floor(rows - 0.5), np.floor(cols - 0.5)
    row_weights = _weights(rows - 0.5 - top, method)
    col_weights = _weights(cols - 0.5 - left, method)
    first = 0 if method == "bilinear" else -1
    total = np.zeros(rows.shape, np.float64)
    share = np.zeros(rows.shape, np.float64)
    for i, row_weight in enumerate(row_weights):
        for j, col_weight in enumerate(col_weights):
            values, mask = _take(
                block,
                have,
                top.astype(np.int64) + i + first,
                left.astype(np.int64) + j + first,
            )
            weight = row_weight * col_weight * (mask > 0)
            total += np.where(weight != 0, values, 0) * weight
            share += weight
    _, mask = _take(block, have, np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64))
    with np.errstate(all="ignore"):
        values = np.where(share != 0, total / share, 0)
    return Block(values, None if mask.dtype == np.bool_ and mask.all() else mask)
