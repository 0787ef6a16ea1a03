"""The lattice and its cells: positions are whole pixels, counted from 0° E, 0° N.

Only `Lattice.degrees` turns a pixel count into degrees, with one correctly rounded division, so
that an edge shared by two tiles is the same number in both. Products like `n * 0.135` are not.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import shapely
import shapely.prepared
from affine import Affine

from water_gee.errors import GridError, TileOutsideGridError
from water_gee.imagery.recipe import Recipe
from water_gee.windows import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

_TOUCH = 1e-9
"""Degrees, a tenth of a millimetre: what reaches less far into a cell came from rounding."""

_ID = re.compile(r"([EW])(\d+(?:\.\d+)?)_([NS])(\d+(?:\.\d+)?)(?:@([\w-]+))?", re.ASCII)

_SCENE = re.compile(r"[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lattice:
    """The cells of a recipe.

    Attributes:
        cell: Side of a cell in degrees, exactly.
        pixels: Pixels along a cell's side.
        margin: Pixels added on every side of a tile.
        crs: Of the tiles.
    """

    cell: Fraction
    pixels: int
    margin: int
    crs: str

    @classmethod
    def of(cls, recipe: Recipe) -> Lattice:
        """The lattice that a recipe's tiles lie on."""
        return cls(Fraction(str(recipe.cell)), recipe.pixels, recipe.margin, recipe.crs)

    def degrees(self, pixel: int) -> float:
        """Degrees of a pixel edge, counted from 0; the default lattice has 135/501000 a pixel."""
        return (pixel * self.cell.numerator) / (self.cell.denominator * self.pixels)

    def limit(self, degrees: int) -> int:
        """The last pixel edge at or before 90 or 180 degrees."""
        return math.floor(degrees * self.pixels / self.cell)

    def index(self, degrees: float) -> int:
        """The cell that holds a longitude or latitude; exact, its lower edge belongs to it."""
        return math.floor(Fraction(degrees) / self.cell)


DEFAULT_LATTICE = Lattice.of(Recipe())


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A square of the lattice, and the tile that covers it.

    Attributes:
        col: Cells from 0° E, growing eastward.
        row: Cells from 0° N, growing northward.
        lattice: What they are counted on.
        scene: The acquisition that the tile is of, as its collection calls it; empty: the season.
    """

    col: int
    row: int
    lattice: Lattice = field(default=DEFAULT_LATTICE, compare=False)
    scene: str = ""

    def __post_init__(self) -> None:
        if self.core.width < 1 or self.core.height < 1:
            raise TileOutsideGridError(
                f"cell (col {self.col}, row {self.row}) lies beyond 180° or 90°; "
                "the lattice has no such cell"
            )

    @property
    def id(self) -> str:
        """The lower left corner, for example `E106.650_N52.245`; of one scene with `@` and it."""
        return f"{self.place}@{self.scene}" if self.scene else self.place

    @property
    def place(self) -> str:
        """The id without scene: the same of all tiles on this ground."""
        digits = _digits(self.lattice.cell)
        return "_".join(
            f"{letters[position < 0]}{_decimal(abs(position) * self.lattice.cell, digits)}"
            for position, letters in ((self.col, "EW"), (self.row, "NS"))
        )

    def of(self, scene: str) -> Cell:
        """The same cell, of one scene.

        Raises:
            GridError: The scene's name cannot be part of an id.
        """
        if not _SCENE.fullmatch(scene):
            raise GridError(f"scene {scene!r}: letters, digits, `_` and `-` make a name")
        return Cell(self.col, self.row, self.lattice, scene)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """`(west, south, east, north)` in degrees, without margin, clipped at ±180 and ±90."""
        col, row = self.origin
        core, degrees = self.core, self.lattice.degrees
        west, north = col + core.col, row - core.row
        return (
            degrees(west),
            degrees(north - core.height),
            degrees(west + core.width),
            degrees(north),
        )

    @property
    def origin(self) -> tuple[int, int]:
        """Pixels from 0° E and from 0° N to the tile's upper left corner, margin included."""
        pixels, margin = self.lattice.pixels, self.lattice.margin
        return self.col * pixels - margin, (self.row + 1) * pixels + margin

    @property
    def shape(self) -> tuple[int, int]:
        """The tile's `(row, col)`, margin included."""
        side = self.lattice.pixels + 2 * self.lattice.margin
        return side, side

    @property
    def affine(self) -> Affine:
        """From the tile's `(col, row)` to degrees."""
        col, row = self.origin
        step, degrees = self.lattice.degrees(1), self.lattice.degrees
        return Affine(step, 0.0, degrees(col), 0.0, -step, degrees(row))

    @property
    def grid(self) -> Grid:
        """Where the tile's pixels lie."""
        return Grid(self.lattice.crs, self.affine, self.shape)

    @property
    def core(self) -> Window:
        """The cell inside its tile: without margin, and without what lies beyond ±180 or ±90."""
        return self._clipped(self.lattice.margin)

    @property
    def on_earth(self) -> Window:
        """The part of the tile, margin included, within ±180 and ±90: what can be asked for."""
        return self._clipped(0)

    @property
    def polygon(self) -> shapely.Polygon:
        """`bounds` as a polygon."""
        return shapely.box(*self.bounds)

    def _clipped(self, inset: int) -> Window:
        col, row = self.origin
        side = self.shape[0]
        east, north = self.lattice.limit(180), self.lattice.limit(90)
        left, right = max(inset, -east - col), min(side - inset, east - col)
        top, bottom = max(inset, row - north), min(side - inset, row + north)
        return Window(top, left, bottom - top, right - left)


def cells_for(polygon: BaseGeometry, recipe: Recipe | None = None) -> Iterator[Cell]:
    """The cells that share ground with an area, from the north, each row from the west.

    Args:
        polygon: EPSG:4326, within ±180 and ±90; `aoi.read_aoi` gives such.
        recipe: Its cell size and pixels make the lattice.

    Yields:
        Cells; one that the area only touches, by less than 1e-9 degrees, is left out.
    """
    lattice = Lattice.of(recipe) if recipe is not None else DEFAULT_LATTICE
    if polygon.is_empty:
        return
    west, south, east, north = polygon.bounds
    area = shapely.prepared.prep(polygon)
    for row in range(lattice.index(north), lattice.index(south) - 1, -1):
        for col in range(lattice.index(west), lattice.index(east) + 1):
            if not _exists(col, row, lattice):
                continue
            cell = Cell(col, row, lattice)
            left, bottom, right, top = cell.bounds
            if area.intersects(
                shapely.box(left + _TOUCH, bottom + _TOUCH, right - _TOUCH, top - _TOUCH)
            ):
                yield cell


def count_cells(polygon: BaseGeometry, recipe: Recipe | None = None) -> int:
    """How many cells `cells_for` gives."""
    return sum(1 for _ in cells_for(polygon, recipe))


def cell_from_id(cell_id: str, recipe: Recipe | None = None) -> Cell:
    """The cell with an id such as `E106.650_N52.245`, or that and `@LC08_132023_20200701`.

    Raises:
        GridError: Not an id.
        TileOutsideGridError: The lattice has no cell with that corner.
    """
    lattice = Lattice.of(recipe) if recipe is not None else DEFAULT_LATTICE
    parts = _ID.fullmatch(cell_id)
    if parts is None:
        raise GridError(f"{cell_id!r} is no cell id; one looks like E106.650_N52.245")
    indices = []
    for letter, number in (parts.group(1, 2), parts.group(3, 4)):
        exact = Fraction(number) / lattice.cell * (-1 if letter in "WS" else 1)
        if exact.denominator != 1:
            size = _decimal(lattice.cell, _digits(lattice.cell))
            raise TileOutsideGridError(f"{cell_id}: {number} is no multiple of {size} degrees")
        indices.append(exact.numerator)
    return Cell(indices[0], indices[1], lattice, parts.group(5) or "")


def place_of(cell_id: str) -> str:
    """An id without its scene: what tiles of the same ground share, for splits by place."""
    return cell_id.partition("@")[0]


def _exists(col: int, row: int, lattice: Lattice) -> bool:
    east, north = lattice.limit(180), lattice.limit(90)
    pixels = lattice.pixels
    return (
        -east < (col + 1) * pixels
        and col * pixels < east
        and -north < (row + 1) * pixels
        and row * pixels < north
    )


def _digits(cell: Fraction) -> int:
    """Decimal places that write every multiple of a cell exactly; three at least."""
    digits = 3
    while (cell * 10**digits).denominator != 1 and digits < 12:
        digits += 1
    return digits


def _decimal(value: Fraction, digits: int) -> str:
    scaled = round(value * 10**digits)
    return f"{scaled // 10**digits}.{scaled % 10**digits:0{digits}d}"
