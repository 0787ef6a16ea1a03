"""Where the synthetic season lies: a block of lattice cells and the UTM grid that covers it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from affine import Affine
from pyproj import Transformer

from water_gee.errors import GridError

CELL_PIXELS = 501
"""Lattice pixels per cell and side."""

FIRST_COL, FIRST_ROW = 771, 383
"""Lattice indices of the lower-left cell: 104.085° E, 51.705° N, dry hills west of Lake Baikal."""

UTM = "EPSG:32648"
PIXEL = 30.0
"""Landsat pixel in metres."""

FINE = 3
"""Truth pixels per Landsat pixel and side: 10 m."""

_SKIRT = 900.0
"""Metres of ground around the cells, so that their 3-px margins and neighbourhoods are covered."""


@dataclass(frozen=True, slots=True)
class Site:
    """The ground of one season.

    Attributes:
        cells: Lattice cells, `(rows, cols)`.
        bounds: The area of interest in degrees: west, south, east, north. A hair (1e-7 degrees)
            inside the cells' edges, so that no neighbouring cell touches it.
        transform: Affine of the 30 m UTM grid.
        shape: `(row, col)` of the 30 m grid; both even.
    """

    cells: tuple[int, int]
    bounds: tuple[float, float, float, float]
    transform: Affine
    shape: tuple[int, int]

    @property
    def fine_transform(self) -> Affine:
        """Affine of the 10 m truth."""
        step = PIXEL / FINE
        return Affine(step, 0, self.transform.c, 0, -step, self.transform.f)

    @property
    def fine_shape(self) -> tuple[int, int]:
        """`(row, col)` of the 10 m truth."""
        return self.shape[0] * FINE, self.shape[1] * FINE

    @property
    def lattice(self) -> tuple[Affine, tuple[int, int]]:
        """The lattice grid of all cells together, without margin: affine in degrees and shape."""
        rows, cols = self.cells
        step = degrees(CELL_PIXELS) / CELL_PIXELS
        west = degrees(FIRST_COL * CELL_PIXELS)
        north = degrees((FIRST_ROW + rows) * CELL_PIXELS)
        return Affine(step, 0, west, 0, -step, north), (rows * CELL_PIXELS, cols * CELL_PIXELS)


def degrees(pixel_index: int) -> float:
    """Turn an integer lattice index, counted from (0, 0), into degrees."""
    return pixel_index * 135 / 501000


def make_site(cells: tuple[int, int]) -> Site:
    """Lay the UTM grid over a block of cells.

    Args:
        cells: `(rows, cols)`, each at least 1.

    Raises:
        GridError: Fewer than one row or column.
    """
    rows, cols = cells
    if rows < 1 or cols < 1:
        raise GridError(f"cells={cells}: rows and columns start at 1, for example (3, 3)")
    west, south = degrees(FIRST_COL * CELL_PIXELS), degrees(FIRST_ROW * CELL_PIXELS)
    east = degrees((FIRST_COL + cols) * CELL_PIXELS)
    north = degrees((FIRST_ROW + rows) * CELL_PIXELS)
    forward = Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
    left, bottom, right, top = forward.transform_bounds(west, south, east, north, densify_pts=21)
    # As in USGS products, pixel centres lie on multiples of 30 m.
    left = math.floor((left - _SKIRT) / PIXEL) * PIXEL - PIXEL / 2
    top = math.ceil((top + _SKIRT) / PIXEL) * PIXEL + PIXEL / 2
    width = 2 * math.ceil((right + _SKIRT - left) / (2 * PIXEL))
    height = 2 * math.ceil((top - bottom + _SKIRT) / (2 * PIXEL))
    hair = 1e-7
    return Site(
        cells,
        (west + hair, south + hair, east - hair, north - hair),
        Affine(PIXEL, 0, left, 0, -PIXEL, top),
        (height, width),
    )
