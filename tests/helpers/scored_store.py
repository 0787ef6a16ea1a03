"""A store of small cells with gaps between them, and a reference that is known pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from scipy.ndimage import gaussian_filter
from small_water import DEEP, FOREST, SHADOW, spectrum

from water_gee import raster
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = Recipe(cell=0.02, pixels=74, margin=3, dem=None)
STEP = 0.02 / 74
SIDE = 74
PLACES = ((5300, 2600), (5301, 2600), (5303, 2600), (5300, 2602), (5306, 2605), (5302, 2601))
"""`(col, row)` of the cells; most of the rectangle around them is empty."""


@dataclass(frozen=True)
class Scored:
    path: Path
    cells: tuple[Cell, ...]
    truth: dict[str, np.ndarray]
    """Cell -> its reference without margin."""
    reference: Path

    def whole(self, cell_arrays, fill=255, dtype=np.uint8):
        """Arrays of cells, put into one raster over all of them."""
        left, top = min(c.col for c in self.cells), max(c.row for c in self.cells)
        rows = (top - min(c.row for c in self.cells) + 1) * SIDE
        cols = (max(c.col for c in self.cells) - left + 1) * SIDE
        out = np.full((rows, cols), fill, dtype)
        for cell in self.cells:
            if cell.id in cell_arrays:
                r, c = (top - cell.row) * SIDE, (cell.col - left) * SIDE
                out[r : r + SIDE, c : c + SIDE] = cell_arrays[cell.id]
        return out

    def write(self, path, cell_arrays, **options):
        """The same as a GeoTIFF."""
        values = self.whole(cell_arrays, **options)
        left, top = min(c.col for c in self.cells), max(c.row for c in self.cells)
        place = Affine(STEP, 0, left * 0.02, 0, -STEP, (top + 1) * 0.02)
        nodata = float("nan") if values.dtype.kind == "f" else 255
        grid = raster.Grid("EPSG:4326", place, values.shape)
        raster.write(path, values, grid, nodata=nodata, names=("water",))
        return path


def scene_of(seed, side):
    """Truth, features and a QA bit with errors of its own."""
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.normal(size=(side, side)), 6, mode="wrap")
    truth = (field > np.quantile(field, 0.7)).astype(np.uint8)
    shade = gaussian_filter(random.normal(size=(side, side)), 4, mode="wrap")
    classes = np.where(truth == 1, 1, np.where(shade > np.quantile(shade, 0.93), 2, 0))
    features = spectrum(classes, (FOREST, DEEP, SHADOW), noise=0.004, seed=seed)
    qa = np.where(classes == 2, random.random(truth.shape) < 0.7, truth).astype(np.uint8)
    qa[10:14, 20:40] = 255
    features[:, 10:14, 20:40] = np.nan
    swir2 = np.array([0.06, 0.008, 0.012])[classes] + random.normal(0, 0.002, truth.shape)
    swir2[10:14, 20:40] = np.nan
    return truth, features, qa, swir2.astype(np.float32)


def make(folder, *, cells=6, labels=True, swir2=True):
    """A store, its corrected labels (better than the QA bit, not perfect), and the reference."""
    store = TileStore.open(folder / "tiles", RECIPE, create=True)
    lattice, places, truths = Lattice.of(RECIPE), [], {}
    for seed, (col, row) in enumerate(PLACES[:cells]):
        cell = Cell(col, row, lattice)
        truth, features, qa, light = scene_of(seed, cell.shape[0])
        store.write_tile(cell, features, qa, {"SWIR2": light} if swir2 else None)
        if labels:
            better = np.where(qa == 255, 255, truth).astype(np.uint8)
            better[40:44] = np.where(better[40:44] == 255, 255, 0)
            store.write_label(cell, better)
        places.append(cell)
        truths[cell.id] = truth[cell.core.slices].copy()
        truths[cell.id][:, :5] = 255
    store.close()
    found = Scored(folder / "tiles", tuple(places), truths, folder / "truth.tif")
    found.write(found.reference, truths)
    return found
