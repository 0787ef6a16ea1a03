"""Where maps are scored: the cells of a store, or squares of a map, and what is known there.

All of them lie on one grid, whatever lies between them: the store's lattice over everything it
holds, or the map's own. References and other maps are opened on that grid once, and read cell by
cell, so that neither the gaps between cells nor the size of a map cost anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from water_gee import metrics
from water_gee.errors import StoreError
from water_gee.imagery.recipe import FEATURES
from water_gee.imagery.store import LAND, NOT_OBSERVED, WATER
from water_gee.mapping import maps
from water_gee.mapping.maps import WaterMap
from water_gee.training.strata import strata
from water_gee.windows import Grid, Window, windows

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from water_gee.imagery.grid import Cell
    from water_gee.imagery.store import TileStore

    FloatArray = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]

SQUARE = 512
"""Side of the squares that a map is cut into where its recipe names no cells, in pixels."""

_SQUARES = (64, 2048)
"""What such a side is kept between."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cell of a store without margin, or a square of a map.

    Attributes:
        name: The cell's id, or the square's row and column.
        key: What is drawn as one: all scenes of a cell have the same.
        window: On the ground's grid.
        cell: None for squares of a map.
    """

    name: str
    key: Hashable
    window: Window
    cell: Cell | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that is scored.

    Attributes:
        chart: The grid, as references take it: `margin` pixels wider than the places.
        places: What is scored, one by one.
        store: Where tiles are read from; None for squares of a map.
    """

    chart: WaterMap
    places: Sequence[Place]
    store: TileStore | None

    @property
    def keys(self) -> frozenset[Hashable]:
        """The places, all scenes of a cell as one."""
        return frozenset(place.key for place in self.places)

    def pixel_m(self, place: Place) -> tuple[float, float]:
        """Height of a row and width of a column at a place's centre, metres."""
        window, grid = place.window, self.chart.grid
        row = np.array([window.row + window.height / 2])
        col = np.array([window.col + window.width / 2])
        across, down = metrics.pixel_sides_m(grid.transform, row, col, crs=grid.crs)
        return float(down[0]), float(across[0])


def of_store(store: TileStore, margin: int, cells: Sequence[Cell] | None = None) -> Ground:
    """The cells of a store.

    Args:
        store: Tiles.
        margin: Pixels around cells that references are read in.
        cells: Some of them; by default all that have an observed pixel.

    Raises:
        StoreError: It has no tile with an observed pixel.
    """
    cells = store.cells() if cells is None else cells
    if not cells:
        raise StoreError(f"the store {store.path} has no observed tile; download some first")
    lattice = cells[0].lattice
    corners = [(c.origin[0] + c.core.col, c.origin[1] - c.core.row, c) for c in cells]
    left = min(col for col, _, _ in corners) - margin
    top = max(north for _, north, _ in corners) + margin
    right = max(col + c.core.width for col, _, c in corners) + margin
    bottom = min(north - c.core.height for _, north, c in corners) - margin
    step, degrees = lattice.degrees(1), lattice.degrees
    transform = Affine(step, 0.0, degrees(left), 0.0, -step, degrees(top))
    places = [
        Place(c.id, (c.col, c.row), Window(top - north, col - left, c.core.height, c.core.width), c)
        for col, north, c in corners
    ]
    tags = {"water_gee_recipe": json.dumps(store.recipe.to_dict(), sort_keys=True)}
    grid = Grid(lattice.crs, transform, (top - bottom, right - left))
    return Ground(WaterMap(store.path, grid, 1, None, tags), places, store)


def of_map(path: Path, margin: int) -> Ground:
    """Squares of a map: as large as the cells of its recipe, or of `SQUARE` pixels.

    Args:
        path: A raster; only its grid is looked at.
        margin: Pixels around the map that references are read in.

    Raises:
        RasterError: No raster, or one without CRS.
    """
    chart = maps.open_grid(path)
    rows, cols = chart.grid.shape
    given = chart.recipe.get("pixels", SQUARE)
    side = min(max(given, _SQUARES[0]), _SQUARES[1]) if isinstance(given, int) else SQUARE
    grid = chart.grid.window(-margin, -margin, rows + 2 * margin, cols + 2 * margin)
    places = []
    for step in windows((rows, cols), side, 0):
        core = step.core
        name = f"row {core.row} col {core.col}"
        window = Window(core.row + margin, core.col + margin, core.height, core.width)
        places.append(Place(name, (core.row, core.col), window))
    return Ground(WaterMap(chart.path, grid, 1, None, chart.tags), places, None)


class There:
    """What is known of a place, read when it is asked for."""

    def __init__(self, ground: Ground, place: Place) -> None:
        self.ground = ground
        self.place = place
        self._made: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What was made under a name before, or is made now."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @property
    def shape(self) -> tuple[int, int]:
        """`(row, col)`."""
        return self.place.window.height, self.place.window.width

    @cached_property
    def tile(self) -> FloatArray:
        """The features with their margin, `float32 (feature, row, col)`."""
        store, cell = self._tile()
        return store.read_image(cell)

    @cached_property
    def margin_evidence(self) -> Mapping[str, FloatArray]:
        """The evidence layer with its margin, by name; empty where the store has none."""
        store, cell = self._tile()
        return store.read_evidence(cell)

    @cached_property
    def qa(self) -> Codes:
        """The QA label, `uint8 (row, col)`."""
        store, cell = self._tile()
        return self.core(store.read_mask(cell))

    @cached_property
    def stratum(self) -> Codes | None:
        """The land-cover stratum, `uint8 (row, col)`; None where the features are not there."""
        if self.ground.store is None or self.ground.store.recipe.features != FEATURES:
            return None
        return self.core(strata(self.tile, self.margin_evidence))

    def band(self, name: str) -> FloatArray:
        """A feature, or a band of the evidence, `float32 (row, col)`, NaN where not observed."""
        store, _ = self._tile()
        names = store.recipe.features
        if name in names:
            return self.core(self.tile[names.index(name)])
        return self.core(self.margin_evidence[name])

    def label(self, folder: str) -> Codes | None:
        """A label, `uint8 (row, col)`; None where the folder has none of this cell.

        Raises:
            StoreError: It has another size than the tile, or other codes.
        """
        store, cell = self._tile()
        if not store.has_label(cell, folder):
            return None
        found = store.read_label(cell, folder)
        where = f"{store.path / folder / cell.id}.tif"
        if found.shape != cell.shape:
            sizes = [f"{rows} x {cols}" for rows, cols in (found.shape, cell.shape)]
            raise StoreError(f"{where} has {sizes[0]} pixels, a tile {sizes[1]}, margin included")
        if not np.isin(found, (LAND, WATER, NOT_OBSERVED)).all():
            raise StoreError(f"{where} holds codes other than 0 land, 1 water, 255 not observed")
        return self.core(found)

    def core(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A tile's array `(row, col)` without its margin."""
        _, cell = self._tile()
        return values[cell.core.slices]

    def nothing(self) -> Codes:
        """`uint8 (row, col)`, nothing observed."""
        return np.full(self.shape, NOT_OBSERVED, np.uint8)

    def _tile(self) -> tuple[TileStore, Cell]:
        store, cell = self.ground.store, self.place.cell
        if store is None or cell is None:
            raise StoreError(f"{self.ground.chart.path} is a map: it has no tiles")
        return store, cell
