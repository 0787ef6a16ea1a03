"""The ground of a deployment: cells as a table of bits, cut into rectangles of pixels.

An area of 20 x 20 degrees has 22,000 cells, so nothing here is made for each of them but a bit.
Pixels are counted as `imagery.grid` counts them, from 0° E eastward and from 0° N northward.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine

from water_gee.errors import DeployError
from water_gee.imagery.grid import Cell, Lattice
from water_gee.windows import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from shapely.geometry.base import BaseGeometry

    Bits = npt.NDArray[np.bool_]

TOUCH = 1e-9
"""Degrees; what reaches less far into a cell came from rounding, as in `imagery.grid`."""

SMALLEST = 64
"""Pixels a side below which nothing is cut any more."""

CORNERS = ("nw", "ne", "sw", "se")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of lattice pixels: `west` to `east` from 0° E, `south` to `north` from 0° N."""

    west: int
    south: int
    east: int
    north: int

    @property
    def shape(self) -> tuple[int, int]:
        """`(row, col)`."""
        return self.north - self.south, self.east - self.west

    @property
    def pixels(self) -> int:
        """How many there are."""
        return (self.north - self.south) * (self.east - self.west)

    @property
    def text(self) -> str:
        """As an asset's property has it."""
        return f"{self.west},{self.south},{self.east},{self.north}"

    @classmethod
    def read(cls, text: Any) -> Box | None:
        """What `text` wrote, None where it is something else."""
        parts = str(text).split(",")
        try:
            west, south, east, north = (int(part) for part in parts)
        except ValueError:
            return None
        return cls(west, south, east, north)

    def meets(self, other: Box) -> bool:
        """Whether they share a pixel."""
        return (
            self.west < other.east
            and other.west < self.east
            and self.south < other.north
            and other.south < self.north
        )

    def common(self, other: Box) -> Box:
        """What they share."""
        return Box(
            max(self.west, other.west),
            max(self.south, other.south),
            min(self.east, other.east),
            min(self.north, other.north),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Cells of a lattice.

    Attributes:
        lattice: Which they are of.
        col: Of the first column of `cells`, counted from 0° E.
        row: Of the first, northernmost row of `cells`, counted from 0° N northward.
        cells: `bool (row, col)`, which ones; every outer row and column has one.
    """

    lattice: Lattice
    col: int
    row: int
    cells: Bits

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Area:
        """The area of one cell or more."""
        rows = np.array([cell.row for cell in cells])
        cols = np.array([cell.col for cell in cells])
        bits = np.zeros((int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1), bool)
        bits[rows.max() - rows, cols - cols.min()] = True
        return cls(cells[0].lattice, int(cols.min()), int(rows.max()), bits)

    @classmethod
    def covering(cls, polygon: BaseGeometry, lattice: Lattice) -> Area | None:
        """The cells that share ground with a polygon in EPSG:4326, None where there are none."""
        if polygon.is_empty:
            return None
        west, south, east, north = polygon.bounds
        cols = np.arange(lattice.index(west), lattice.index(east) + 1)
        rows = np.arange(lattice.index(north), lattice.index(south) - 1, -1)
        lon = _edges(np.append(cols, cols[-1] + 1), lattice, 180)
        lat = _edges(np.append(rows + 1, rows[-1]), lattice, 90)
        boxes = shapely.box(
            lon[None, :-1] + TOUCH,
            lat[1:, None] + TOUCH,
            lon[None, 1:] - TOUCH,
            lat[:-1, None] - TOUCH,
        )
        shapely.prepare(polygon)
        bits = shapely.intersects(polygon, boxes)
        bits &= (np.diff(lon) > 0)[None, :] & (np.diff(lat) < 0)[:, None]
        return cls(lattice, int(cols[0]), int(rows[0]), bits)._trimmed()

    @property
    def count(self) -> int:
        """How many cells."""
        return int(self.cells.sum())

    @property
    def box(self) -> Box:
        """The smallest rectangle of pixels on the Earth that holds them."""
        side, (rows, cols) = self.lattice.pixels, self.cells.shape
        east, north = self.lattice.limit(180), self.lattice.limit(90)
        return Box(
            self.col * side,
            (self.row + 1 - rows) * side,
            (self.col + cols) * side,
            (self.row + 1) * side,
        ).common(Box(-east, -north, east, north))

    @property
    def grid(self) -> Grid:
        """The pixels of `box`."""
        return grid_of(self.box, self.lattice)

    @property
    def is_rectangle(self) -> bool:
        """Whether the cells fill their box."""
        return bool(self.cells.all())

    @property
    def outline(self) -> dict[str, Any]:
        """The union of the cells as GeoJSON, EPSG:4326."""
        rows, cols = self.cells.shape
        lon = _edges(np.arange(self.col, self.col + cols + 1), self.lattice, 180)
        lat = _edges(np.arange(self.row + 1, self.row - rows, -1), self.lattice, 90)
        down, across = np.nonzero(self.cells)
        boxes = shapely.box(lon[across], lat[down + 1], lon[across + 1], lat[down])
        return dict(shapely.geometry.mapping(shapely.union_all(boxes)))

    @property
    def pixels(self) -> int:
        """Pixels of the cells, those beyond the edge of the Earth left out."""
        if self.is_rectangle:
            return self.box.pixels
        side, (rows, cols) = self.lattice.pixels, self.cells.shape
        east, north = self.lattice.limit(180), self.lattice.limit(90)
        across = np.clip(np.arange(self.col, self.col + cols + 1) * side, -east, east)
        down = np.clip(np.arange(self.row + 1, self.row - rows, -1) * side, -north, north)
        return int((self.cells * np.diff(across)[None, :] * -np.diff(down)[:, None]).sum())

    def spread(self, count: int) -> list[Cell]:
        """Up to `count` cells, evenly spread, from the north, each row from the west."""
        down, across = np.nonzero(self.cells)
        chosen = np.unique(np.linspace(0, len(down) - 1, min(count, len(down))).round().astype(int))
        return [
            Cell(self.col + int(across[i]), self.row - int(down[i]), self.lattice) for i in chosen
        ]

    def part(self, rows: slice, cols: slice) -> Area | None:
        """The cells of some rows and columns of the table, None where there are none."""
        part = Area(
            self.lattice, self.col + cols.start, self.row - rows.start, self.cells[rows, cols]
        )
        return part._trimmed()

    def digest(self) -> str:
        """SHA-256 of which cells of which lattice these are, hexadecimal."""
        lattice, corner = self.lattice, f"{self.col} {self.row} {self.cells.shape}"
        head = f"{lattice.cell} {lattice.pixels} {lattice.crs} {corner}"
        return hashlib.sha256(head.encode() + np.packbits(self.cells).tobytes()).hexdigest()

    def _trimmed(self) -> Area | None:
        down = np.flatnonzero(self.cells.any(axis=1))
        across = np.flatnonzero(self.cells.any(axis=0))
        if not len(down):
            return None
        bits = self.cells[down[0] : down[-1] + 1, across[0] : across[-1] + 1].copy()
        return Area(self.lattice, self.col + int(across[0]), self.row - int(down[0]), bits)


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """What one export makes: a rectangle of pixels, or those of its cells.

    Attributes:
        area: The cells it has pixels of.
        box: Its pixels.
        part: Which quarter of a larger tile it is, and which of that one's: `_sw_ne`; mostly empty.
    """

    area: Area
    box: Box
    part: str = ""

    @property
    def name(self) -> str:
        """The cell at its lower left, of letters an asset id may have: `E106p650_N52p245`."""
        area = self.area
        corner = Cell(area.col, area.row + 1 - area.cells.shape[0], area.lattice)
        return corner.id.replace(".", "p")

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""
        return grid_of(self.box, self.area.lattice)

    def quarters(self) -> tuple[Tile, ...]:
        """Up to four smaller tiles of the same cells, along cells while there are two of them.

        Returns:
            Nothing where it is too small to be cut.
        """
        if min(self.box.shape) < 2 * SMALLEST:
            return ()
        area, side = self.area, self.area.lattice.pixels
        rows, cols = area.cells.shape
        middle_x = (
            (area.col + cols // 2) * side if cols > 1 else _middle(self.box.west, self.box.east)
        )
        middle_y = (
            (area.row + 1 - rows // 2) * side
            if rows > 1
            else _middle(self.box.south, self.box.north)
        )
        north = slice(0, rows // 2) if rows > 1 else slice(0, 1)
        south = slice(rows // 2, rows) if rows > 1 else slice(0, 1)
        west = slice(0, cols // 2) if cols > 1 else slice(0, 1)
        east = slice(cols // 2, cols) if cols > 1 else slice(0, 1)
        cuts = {
            "nw": (north, west, self.box.west, middle_y, middle_x, self.box.north),
            "ne": (north, east, middle_x, middle_y, self.box.east, self.box.north),
            "sw": (south, west, self.box.west, self.box.south, middle_x, middle_y),
            "se": (south, east, middle_x, self.box.south, self.box.east, middle_y),
        }
        found = []
        for corner in CORNERS:
            down, across, *edges = cuts[corner]
            part = area.part(down, across)
            if part is not None:
                found.append(Tile(part, Box(*edges).common(part.box), f"{self.part}_{corner}"))
        return tuple(found)


def cut(area: Area, max_pixels: int) -> tuple[Tile, ...]:
    """Cut an area into as few tiles of whole cells as the limit allows, from the north-west.

    Args:
        area: What to cut.
        max_pixels: Most pixels of a tile.

    Raises:
        DeployError: A cell has more.
    """
    each = area.lattice.pixels**2
    if max_pixels < each:
        raise DeployError(
            f"max_pixels {max_pixels:,}: one cell of the recipe has {each:,} pixels; give at "
            "least as many"
        )
    rows, cols = area.cells.shape
    down, across = _division(rows, cols, max_pixels // each)
    tiles = []
    for top, bottom in _parts(rows, down):
        for left, right in _parts(cols, across):
            part = area.part(slice(top, bottom), slice(left, right))
            if part is not None:
                tiles.append(Tile(part, part.box))
    return tuple(tiles)


def grid_of(box: Box, lattice: Lattice) -> Grid:
    """The north-up grid of a rectangle of lattice pixels."""
    step = lattice.degrees(1)
    corner = Affine(step, 0.0, lattice.degrees(box.west), 0.0, -step, lattice.degrees(box.north))
    return Grid(lattice.crs, corner, box.shape)


def _division(rows: int, cols: int, most: int) -> tuple[int, int]:
    """Into how many parts to cut rows and columns of cells: few tiles, and square ones."""

    def cost(down: int) -> tuple[int, float, int, int]:
        height = math.ceil(rows / down)
        across = math.ceil(cols / (most // height))
        return down * across, abs(math.log(height / math.ceil(cols / across))), down, across

    fewest = math.ceil(rows / most)
    best = min(cost(down) for down in range(fewest, rows + 1))
    return best[2], best[3]


def _parts(count: int, into: int) -> list[tuple[int, int]]:
    edges = [count * number // into for number in range(into + 1)]
    return list(itertools.pairwise(edges))


def _middle(low: int, high: int) -> int:
    return (low + high) // 2


def _edges(indices: npt.NDArray[np.int_], lattice: Lattice, limit: int) -> npt.NDArray[np.float64]:
    """Degrees of cell edges, none beyond the last pixel on the Earth."""
    last = lattice.limit(limit)
    counts = np.clip(indices * lattice.pixels, -last, last)
    return np.array([lattice.degrees(int(count)) for count in counts])
