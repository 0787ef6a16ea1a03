"""The pixel graph: images over a grid, values and mask, asked for lazily, window by window.

A node makes one band. Evaluation plans backwards, from the windows asked for to the windows every
node has to make (neighbourhoods add their halo, warps change the grid), and then runs forwards;
each node is computed once per grid, over the union of what its readers need, hands out views, and
is let go after its last reader.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Transformer

from water_gee.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

Values = npt.NDArray[Any]
Mask = npt.NDArray[Any] | None
"""None where everything is observed; else bool, or float32 in [0, 1], `(row, col)`."""

Affine6 = tuple[float, float, float, float, float, float]

MEMORY_BUDGET = 1_000_000_000
"""Bytes one evaluation may hold before its window is cut in two."""

SMALLEST_CUT = 32
"""Pixels a side below which a window is not cut further."""

NOWHERE = -1e9
"""A pixel position that no raster has."""

ALIGNMENT = 1e-6
"""Pixels by which two grids may differ and still count as aligned."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels, counted from a grid's origin; `row` and `col` may be negative."""

    row: int
    col: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """`(row, col)`."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Pixels."""
        return self.height * self.width

    def grow(self, halo: tuple[int, int, int, int]) -> Window:
        """Return the window with `(top, bottom, left, right)` pixels more."""
        top, bottom, left, right = halo
        return Window(
            self.row - top, self.col - left, self.height + top + bottom, self.width + left + right
        )

    def shift(self, rows: int, cols: int) -> Window:
        """Return the window moved by whole pixels."""
        return Window(self.row + rows, self.col + cols, self.height, self.width)

    def union(self, other: Window) -> Window:
        """Return the smallest window that holds both."""
        row, col = min(self.row, other.row), min(self.col, other.col)
        bottom = max(self.row + self.height, other.row + other.height)
        right = max(self.col + self.width, other.col + other.width)
        return Window(row, col, bottom - row, right - col)

    def intersect(self, other: Window) -> Window | None:
        """Return what both hold, None where that is nothing."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        bottom = min(self.row + self.height, other.row + other.height)
        right = min(self.col + self.width, other.col + other.width)
        if bottom <= row or right <= col:
            return None
        return Window(row, col, bottom - row, right - col)

    def slices(self, inner: Window) -> tuple[slice, slice]:
        """Return the slices that cut `inner` out of an array over this window."""
        top, left = inner.row - self.row, inner.col - self.col
        return slice(top, top + inner.height), slice(left, left + inner.width)

    def halves(self) -> tuple[Window, Window]:
        """Return the window cut in two along its longer side."""
        if self.height >= self.width:
            top = self.height // 2
            return (
                Window(self.row, self.col, top, self.width),
                Window(self.row + top, self.col, self.height - top, self.width),
            )
        left = self.width // 2
        return (
            Window(self.row, self.col, self.height, left),
            Window(self.row, self.col + left, self.height, self.width - left),
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """A CRS and the affine from pixel (column, row) to coordinates.

    Attributes:
        crs: An authority code or WKT.
        transform: `(scaleX, shearX, translateX, shearY, scaleY, translateY)`.
    """

    crs: str
    transform: Affine6
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Plans look nodes up by grid tens of thousands of times.
        object.__setattr__(self, "_hash", hash((self.crs, self.transform)))

    def __hash__(self) -> int:
        return self._hash

    def coordinates(self, cols: Values, rows: Values) -> tuple[Values, Values]:
        """Return x and y of pixel positions; a pixel's centre is at index + 0.5."""
        a, b, c, d, e, f = self.transform
        return a * cols + b * rows + c, d * cols + e * rows + f

    def positions(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return the (column, row) positions of coordinates, the inverse of `coordinates`."""
        a, b, c, d, e, f = self.transform
        if b == 0 and d == 0:
            return (x - c) / a, (y - f) / e
        det = a * e - b * d
        return (e * (x - c) - b * (y - f)) / det, (a * (y - f) - d * (x - c)) / det

    def centers(self, window: Window) -> tuple[Values, Values]:
        """Return x and y, each float64 `(row, col)`, of the window's pixel centres."""
        cols = np.arange(window.col, window.col + window.width) + 0.5
        rows = np.arange(window.row, window.row + window.height) + 0.5
        return self.coordinates(*np.meshgrid(cols, rows))

    def scaled(self, level: int) -> Grid:
        """Return the grid with pixels 2^level times as large and the same origin."""
        k = float(2**level)
        a, b, c, d, e, f = self.transform
        return Grid(self.crs, (a * k, b * k, c, d * k, e * k, f))

    def offset(self, other: Grid) -> tuple[int, int] | None:
        """Return `(rows, cols)` to add to a pixel of `other` to get the same pixel here.

        None where the two grids do not share their pixels.
        """
        if not same_crs(self.crs, other.crs):
            return None
        a, b, _, d, e, _ = self.transform
        mine, theirs = (a, b, d, e), (*other.transform[:2], *other.transform[3:5])
        size = max(abs(a), abs(b), abs(d), abs(e))
        if any(abs(m - t) > 1e-12 * size for m, t in zip(mine, theirs, strict=True)):
            return None
        col, row = self.positions(other.transform[2], other.transform[5])
        if abs(col - round(col)) > ALIGNMENT or abs(row - round(row)) > ALIGNMENT:
            return None
        return round(row), round(col)


@dataclass(slots=True)
class Block:
    """The pixels of one band over one window.

    Attributes:
        values: `(row, col)`, and the axes of their array behind these where pixels hold arrays of
            one shape (`arrays.py`); what a masked pixel holds means nothing.
        mask: None, or `(row, col)` bool or float32.
    """

    values: Values
    mask: Mask = None

    @property
    def shape(self) -> tuple[int, int]:
        """`(row, col)`."""
        rows, cols = self.values.shape[:2]
        return rows, cols

    def view(self, have: Window, want: Window) -> Block:
        """Return the part over `want` of a block over `have`, without copying."""
        if have == want:
            return self
        cut = have.slices(want)
        return Block(self.values[cut], None if self.mask is None else self.mask[cut])

    def valid(self) -> Mask:
        """Return the mask as bool, None where everything is valid."""
        return as_bool(self.mask)


def as_bool(mask: Mask) -> Mask:
    """Return a mask as bool: a pixel counts where its mask is above 0."""
    if mask is None or mask.dtype == np.bool_:
        return mask
    valid: Values = mask > 0
    return valid


def mask_and(*masks: Mask) -> Mask:
    """Return where all are observed: the smallest of fractional masks."""
    result: Mask = None
    for mask in masks:
        if mask is None or mask is result:
            continue
        if result is None:
            result = mask
        elif mask.dtype == np.bool_ and result.dtype == np.bool_:
            result = result & mask
        else:
            result = np.minimum(result.astype(np.float32), mask.astype(np.float32))
    return result


_LOCAL = threading.local()


def transformer(source: str, target: str) -> Transformer:
    """Return the coordinate operation between two CRSs, x before y; one per thread."""
    cache: dict[tuple[str, str], Transformer] = _LOCAL.__dict__.setdefault("transformers", {})
    if (source, target) not in cache:
        cache[source, target] = Transformer.from_crs(source, target, always_xy=True)
    return cache[source, target]


_SAME: dict[tuple[str, str], bool] = {}


def same_crs(one: str, two: str) -> bool:
    """Say whether two names mean the same CRS."""
    if one == two:
        return True
    if (one, two) not in _SAME:
        _SAME[one, two] = CRS.from_user_input(one) == CRS.from_user_input(two)
    return _SAME[one, two]


@functools.lru_cache(maxsize=256)
def meters_per_unit(crs: str) -> float:
    """Return the nominal length of one unit of a CRS in metres (a degree on the equator)."""
    parsed = CRS.from_user_input(crs)
    if parsed.is_geographic:
        return math.pi * 6378137.0 / 180.0
    return float(parsed.axis_info[0].unit_conversion_factor)


@dataclass(frozen=True, slots=True)
class Positions:
    """Where pixel centres of one grid fall on another, in that grid's fractional pixels.

    Attributes:
        rows: float64 `(row, col)`; far outside where a place has no coordinates in the other CRS.
        cols: The same.
        window: The pixels they fall into, None where none has coordinates.
    """

    rows: Values
    cols: Values
    window: Window | None
    _nearest: dict[Window, tuple[Values, Mask]] = field(default_factory=dict, compare=False)

    def nearest(self, have: Window) -> tuple[Values, Mask]:
        """Return which pixel of a window each place falls into, remembered for its other bands.

        Returns:
            Indices into the pixels, row by row, and where they are inside (None: everywhere).
        """
        if have not in self._nearest:
            row = np.floor(self.rows).astype(np.intp) - have.row
            col = np.floor(self.cols).astype(np.intp) - have.col
            inside: Values = (row >= 0) & (row < have.height) & (col >= 0) & (col < have.width)
            if inside.all():
                self._nearest[have] = (row * have.width + col, None)
            else:
                self._nearest[have] = (np.where(inside, row * have.width + col, 0), inside)
        return self._nearest[have]

    @classmethod
    def of(cls, rows: Values, cols: Values) -> Positions:
        """Find the window, and move what has no coordinates far away."""
        finite = np.isfinite(rows) & np.isfinite(cols)
        if not finite.any():
            return cls(rows, cols, None)
        if not finite.all():
            rows, cols = np.where(finite, rows, NOWHERE), np.where(finite, cols, NOWHERE)
        top, left = math.floor(rows[finite].min()), math.floor(cols[finite].min())
        bottom, right = math.floor(rows[finite].max()) + 1, math.floor(cols[finite].max()) + 1
        return cls(rows, cols, Window(top, left, bottom - top, right - left))


@dataclass(slots=True)
class Context:
    """What one evaluation shares.

    Attributes:
        budget: Bytes it may hold before the window is cut.
        deadline: `time.monotonic()` after which it is given up, None for never.
    """

    budget: int = MEMORY_BUDGET
    deadline: float | None = None
    _places: dict[tuple[str, Grid, Window], tuple[Values, Values]] = field(default_factory=dict)
    _positions: dict[tuple[Grid, Grid, Window], Positions] = field(default_factory=dict)

    def check(self) -> None:
        """Give up where time is over.

        Raises:
            ServiceError: 400, «Computation timed out.».
        """
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise ServiceError(400, "DEADLINE_EXCEEDED", "Computation timed out.")

    def places(self, crs: str, grid: Grid, window: Window) -> tuple[Values, Values]:
        """Return the coordinates in `crs` of the window's pixel centres, remembered."""
        key = (crs, grid, window)
        if key not in self._places:
            if len(self._places) > 8:
                self._places.pop(next(iter(self._places)))
            x, y = grid.centers(window)
            if not same_crs(crs, grid.crs):
                x, y = transformer(grid.crs, crs).transform(x, y)
            self._places[key] = (x, y)
        return self._places[key]

    def positions(self, target: Grid, grid: Grid, window: Window) -> Positions:
        """Return where the window's pixel centres fall on `target`, remembered."""
        key = (target, grid, window)
        if key not in self._positions:
            if len(self._positions) > 8:
                self._positions.pop(next(iter(self._positions)))
            cols, rows = target.positions(*self.places(target.crs, grid, window))
            self._positions[key] = Positions.of(rows, cols)
        return self._positions[key]


Edge = tuple["Node", Grid]


Item = tuple[int, ...] | None
"""The shape of each pixel's array: `()` for a number, None where it is not known beforehand."""

GUESSED_ITEM = 64
"""Numbers a pixel is taken to hold where nobody knows."""


class Node:
    """Where a band's pixels come from. Nodes are compared by identity and never change.

    Args:
        inputs: The nodes read.
        dtype: The numbers' type.
        item: What each pixel holds.
    """

    __slots__ = ("dtype", "inputs", "item")

    def __init__(self, inputs: Sequence[Node], dtype: npt.DTypeLike, item: Item = ()) -> None:
        self.inputs = tuple(inputs)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.item: Item = item

    def bytes(self, area: int) -> int:
        """Estimate what so many pixels take in memory: values and one byte of mask each."""
        numbers = GUESSED_ITEM if self.item is None else math.prod(self.item)
        return area * (numbers * self.dtype.itemsize + 1)

    def edges(self, grid: Grid) -> Sequence[Edge]:
        """Return the nodes needed, each with the grid it is needed on."""
        return [(node, grid) for node in self.inputs]

    def needs(self, index: int, grid: Grid, window: Window, context: Context) -> Window | None:
        """Return the window needed of edge `index`, None for nothing."""
        del index, grid, context
        return window

    def batch(self) -> object | None:
        """Return what siblings computed in one go have in common, None to be computed alone."""
        return None

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Make the pixels from those of the inputs, which come with the windows asked for."""
        raise NotImplementedError(type(self).__name__)

    def compute_batch(
        self,
        nodes: Sequence[Node],
        grid: Grid,
        window: Window,
        blocks: Sequence[Block | None],
        context: Context,
    ) -> list[Block]:
        """Make the pixels of several siblings that share their inputs."""
        return [node.compute(grid, window, blocks, context) for node in nodes]


def evaluate(
    nodes: Sequence[Node], grid: Grid, window: Window, context: Context | None = None
) -> list[Block]:
    """Compute bands over one window of a grid.

    Args:
        nodes: One per band.
        grid: The grid asked for.
        window: The window asked for.
        context: Shared state; a new one where None.

    Returns:
        One block per node, each exactly over `window`.

    Raises:
        ServiceError: Something in the graph cannot be computed, or time is over.
    """
    from water_gee.emulator.plan import Plan

    context = context or Context()
    return Plan.of(nodes, grid).run(window, context)
