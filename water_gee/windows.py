"""Pixel grids, windows on them, and the cutting of a raster into windows with halos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from rasterio.windows import Window as RasterioWindow

from water_gee.errors import CoverageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels, `row` and `col` counted from the upper left corner."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """What to index a `(row, col)` array with."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    @property
    def rasterio(self) -> RasterioWindow:
        """The same for rasterio, which counts columns first."""
        return RasterioWindow.from_slices(*self.slices)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a raster lie.

    Attributes:
        crs: `EPSG:n` where there is such a code, else WKT; empty where the file has no CRS.
        transform: From `(col, row)` of a pixel's upper left corner to the CRS's `(x, y)`.
        shape: `(row, col)`.
    """

    crs: str
    transform: Affine
    shape: tuple[int, int]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """`(west, south, east, north)` of the outer edges, in the CRS's units."""
        rows, cols = self.shape
        corners = [self.point(row, col) for row in (0, rows) for col in (0, cols)]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def point(self, row: float, col: float) -> tuple[float, float]:
        """`(x, y)` of a pixel's upper left corner, or with halves added of its centre."""
        t = self.transform
        return t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f

    def window(self, row: int, col: int, height: int, width: int) -> Grid:
        """The grid of a rectangle of these pixels; it may reach beyond them."""
        t, (x, y) = self.transform, self.point(row, col)
        return Grid(self.crs, Affine(t.a, t.b, x, t.d, t.e, y), (height, width))

    def scaled(self, scale: int) -> Grid:
        """The same area in pixels `scale` times smaller along each side."""
        t, (rows, cols) = self.transform, self.shape
        transform = Affine(t.a / scale, t.b / scale, t.c, t.d / scale, t.e / scale, t.f)
        return Grid(self.crs, transform, (rows * scale, cols * scale))


@dataclass(frozen=True, slots=True)
class Padded:
    """A window and what surrounds it.

    Attributes:
        core: What the window is for; the cores of one raster tile it without overlap.
        outer: The core and its halo, as far as the raster reaches.
        pad: `((top, bottom), (left, right))`: the part of the halo that lies beyond the raster.
    """

    core: Window
    outer: Window
    pad: tuple[tuple[int, int], tuple[int, int]]


def windows(
    shape: tuple[int, int], size: int, halo: int, within: Window | None = None
) -> Iterator[Padded]:
    """Cut a raster into square cores, each with a halo, row by row.

    Args:
        shape: The raster, `(row, col)`.
        size: Side of a core; at the lower and right edge cores are what is left.
        halo: Pixels that a network needs around each of its output pixels.
        within: The part of the raster that cores tile; halos reach out of it. All by default.

    Raises:
        CoverageError: `size` is below 1 or `halo` below 0.
    """
    if size < 1 or halo < 0:
        raise CoverageError(f"windows of size {size} and halo {halo} cover nothing; use 1 and 0 up")
    rows, cols = shape
    part = within or Window(0, 0, rows, cols)
    lower, right_edge = part.row + part.height, part.col + part.width
    for row in range(part.row, lower, size):
        for col in range(part.col, right_edge, size):
            core = Window(row, col, min(size, lower - row), min(size, right_edge - col))
            top, left = max(row - halo, 0), max(col - halo, 0)
            bottom = min(row + core.height + halo, rows)
            right = min(col + core.width + halo, cols)
            pad = (
                (top - (row - halo), row + core.height + halo - bottom),
                (left - (col - halo), col + core.width + halo - right),
            )
            yield Padded(core, Window(top, left, bottom - top, right - left), pad)


def core_of(array: Array, core: Window, edge: int) -> Array:
    """What an array has of a core, which it holds alone or with `edge` pixels around.

    Args:
        array: `(band, row, col)`, or `(row, col)` for one band.
        core: Its size matters, not its place.
        edge: Pixels around the core, where the array has them.

    Returns:
        `(band, row, col)`.

    Raises:
        CoverageError: The array has another size.
    """
    cube = array[np.newaxis] if array.ndim == 2 else array
    rows, cols = core.height, core.width
    if cube.shape[1:] == (rows, cols):
        return cube
    if cube.shape[1:] != (rows + 2 * edge, cols + 2 * edge):
        raise CoverageError(
            f"the function gave {cube.shape[1:]} pixels for a window of {rows} x {cols} with a "
            f"halo of {edge}; it must give one or the other"
        )
    return cube[:, edge : edge + rows, edge : edge + cols]
