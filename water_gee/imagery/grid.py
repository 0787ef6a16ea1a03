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

import numpy as np
import shapely
from affine import Affine

from water_gee.errors import GridError, TileOutsideGridError
from water_gee.imagery.recipe import Recipe
from water_gee.windows import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from shapely.geometry.base import BaseGeometry

    Polygons = npt.NDArray[np.object_]
    """`(n,)` shapely polygons."""

    Marks = npt.NDArray[np.bool_]
    """`(row, col)` of cells."""

    Edges = npt.NDArray[np.float64]
    """Degrees of the edges of cells, one more than there are cells."""

_TOUCH = 1e-9
"""Degrees, a tenth of a millimetre: what reaches less far into a cell came from rounding."""

_BAND = 32
"""Rows of cells looked at together; what is held of an area's cells at any time."""

_FEW = 256
"""Cells of a block that are tested one by one, instead of halving the block again."""

_POLYGON = 3
"""Of `shapely.GeometryType`."""

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
        return degrees * self.pixels * self.cell.denominator // self.cell.numerator

    def index(self, degrees: float) -> int:
        """The cell that holds a longitude or latitude; exact, its lower edge belongs to it."""
        return math.floor(Fraction(degrees) / self.cell)

    def last(self, degrees: int) -> int:
        """The last column (180) or row (90), clipped or whole; the first is `-1 - last`."""
        return -(-self.limit(degrees) // self.pixels) - 1


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
        east, north = self.lattice.last(180), self.lattice.last(90)
        if not (-1 - east <= self.col <= east and -1 - north <= self.row <= north):
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
        cell = self.lattice.cell
        lon, lat = _decimal(abs(self.col), cell), _decimal(abs(self.row), cell)
        return f"{'W' if self.col < 0 else 'E'}{lon}_{'S' if self.row < 0 else 'N'}{lat}"

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

    They come one by one, and no more than some rows of them are looked at at a time: the planet's
    3.6 million need no memory to speak of.

    Args:
        polygon: Valid, EPSG:4326, within ±180 and ±90; `aoi.read_aoi` gives such.
        recipe: Its cell size and pixels make the lattice.

    Yields:
        Cells; one that the area only touches, by less than 1e-9 degrees, is left out.
    """
    lattice = Lattice.of(recipe) if recipe is not None else DEFAULT_LATTICE
    for north, west, marks in _marked(polygon, lattice):
        for row, marked in enumerate(marks):
            for col in np.flatnonzero(marked).tolist():
                yield Cell(west + col, north - row, lattice)


def count_cells(polygon: BaseGeometry, recipe: Recipe | None = None) -> int:
    """How many cells `cells_for` gives, without making them.

    Args:
        polygon: As in `cells_for`.
        recipe: As in `cells_for`.
    """
    lattice = Lattice.of(recipe) if recipe is not None else DEFAULT_LATTICE
    return sum(int(np.count_nonzero(marks)) for _, _, marks in _marked(polygon, lattice))


def _marked(area: BaseGeometry, lattice: Lattice) -> Iterator[tuple[int, int, Marks]]:
    """Bands of rows from the north: northernmost row, westernmost column, and which cells."""
    if area.is_empty:
        return
    west, south, east, north = area.bounds
    last_col, last_row = lattice.last(180), lattice.last(90)
    left, right = max(lattice.index(west), -1 - last_col), min(lattice.index(east), last_col)
    low, high = max(lattice.index(south), -1 - last_row), min(lattice.index(north), last_row)
    x = _edges(lattice, left, right + 1, lattice.limit(180))
    y = _edges(lattice, low, high + 1, lattice.limit(90))

    def bands(parts: Polygons, first: int, end: int) -> Iterator[tuple[int, int, Marks]]:
        """Halve rows first to end, counted from the south, and so the area, until there are few."""
        if not len(parts):
            return
        if end - first <= _BAND:
            marks = np.zeros((end - first, len(x) - 1), bool)
            _mark(parts, x, y[first : end + 1], marks)
            yield low + end - 1, left, marks[::-1]
            return
        middle = (first + end) // 2
        for a, b in ((middle, end), (first, middle)):
            yield from bands(_within(parts, x[0], y[a], x[-1], y[b]), a, b)

    yield from bands(_polygons(area), 0, len(y) - 1)


def _mark(parts: Polygons, x: Edges, y: Edges, marks: Marks) -> None:
    """Mark the cells between some edges that share ground with parts of an area.

    A block of cells that lies inside is marked as one, one without area not looked into; any other
    is halved, and so is the area, so that no cell is held against a whole coast.
    """
    if not len(parts):
        return
    if shapely.covers(parts, shapely.box(x[0], y[0], x[-1], y[-1])).any():
        marks[:] = True
        return
    rows, cols = marks.shape
    if rows * cols <= _FEW:
        area = shapely.multipolygons(parts)
        shapely.prepare(area)
        marks[:] = shapely.intersects(
            area,
            shapely.box(
                x[np.newaxis, :-1] + _TOUCH,
                y[:-1, np.newaxis] + _TOUCH,
                x[np.newaxis, 1:] - _TOUCH,
                y[1:, np.newaxis] - _TOUCH,
            ),
        )
        return
    if rows > cols:
        middle = rows // 2
        halves = ((x, y[: middle + 1], marks[:middle]), (x, y[middle:], marks[middle:]))
    else:
        middle = cols // 2
        halves = ((x[: middle + 1], y, marks[:, :middle]), (x[middle:], y, marks[:, middle:]))
    for own_x, own_y, own in halves:
        _mark(_within(parts, own_x[0], own_y[0], own_x[-1], own_y[-1]), own_x, own_y, own)


def _within(parts: Polygons, west: float, south: float, east: float, north: float) -> Polygons:
    """What of some polygons lies in a box, without those that only touch it."""
    left, bottom, right, top = shapely.bounds(parts).T
    near = (left < east) & (right > west) & (bottom < north) & (top > south)
    inside = near & (left >= west) & (right <= east) & (bottom >= south) & (top <= north)
    cut = shapely.intersection(parts[near & ~inside], shapely.box(west, south, east, north))
    return np.concatenate([parts[inside], _polygons(cut)])


def _polygons(area: BaseGeometry | Polygons) -> Polygons:
    """The polygons of shapes, without their lines and points."""
    parts = shapely.get_parts(area)
    found: Polygons = parts[(shapely.get_type_id(parts) == _POLYGON) & ~shapely.is_empty(parts)]
    return found


def _edges(lattice: Lattice, first: int, end: int, limit: int) -> Edges:
    """The lower edges of cells `first` to `end`, in degrees, none beyond the last pixel edge."""
    pixels = (min(max(cell * lattice.pixels, -limit), limit) for cell in range(first, end + 1))
    return np.array([lattice.degrees(pixel) for pixel in pixels])


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
            size = _decimal(1, lattice.cell)
            raise TileOutsideGridError(f"{cell_id}: {number} is no multiple of {size} degrees")
        indices.append(exact.numerator)
    return Cell(indices[0], indices[1], lattice, parts.group(5) or "")


def place_of(cell_id: str) -> str:
    """An id without its scene: what tiles of the same ground share, for splits by place."""
    return cell_id.partition("@")[0]


def _digits(cell: Fraction) -> int:
    """Decimal places that write every multiple of a cell exactly; three at least."""
    digits = 3
    while cell.numerator * 10**digits % cell.denominator and digits < 12:
        digits += 1
    return digits


def _decimal(count: int, cell: Fraction) -> str:
    """So many cells in degrees."""
    digits = _digits(cell)
    scaled, rest = divmod(count * cell.numerator * 10**digits, cell.denominator)
    if rest:
        scaled = round(count * cell * 10**digits)
    return f"{scaled // 10**digits}.{scaled % 10**digits:0{digits}d}"
