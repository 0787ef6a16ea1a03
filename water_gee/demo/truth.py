"""The known truth on the grid of a map, the season's SWIR2, and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from pyproj import Transformer

from water_gee.demo.quality import OBSCURED
from water_gee.metrics import NOT_OBSERVED, Confusion

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from water_gee.demo.season import Season
    from water_gee.windows import Grid

    Codes = NDArray[np.uint8]
    Field = NDArray[np.floating[Any]]

_HIGHEST_DN = 43636
"""The largest valid count of a Collection 2 reflectance band."""

_ROWS = 256
"""Rows that are transformed at a time."""


@dataclass(frozen=True, slots=True)
class Score:
    """How codes agree with the truth, over the pixels where both were observed.

    Attributes:
        confusion: The counts.
        missing: Pixels of the truth where the codes say «not observed».
    """

    confusion: Confusion
    missing: int

    def to_dict(self) -> dict[str, float | int]:
        """Give `iou`, `f1`, `accuracy`, and the pixels `observed` and `missing`."""
        counts = self.confusion
        return {
            "iou": counts.iou,
            "f1": counts.f1,
            "accuracy": counts.accuracy,
            "observed": counts.total,
            "missing": self.missing,
        }


def score(truth: Codes, codes: Codes) -> Score:
    """Compare codes with the truth.

    Args:
        truth: 0 land, 1 water, 255 unknown.
        codes: The same shape, 0, 1 or 255.
    """
    missing = int(np.count_nonzero((codes == NOT_OBSERVED) & (truth != NOT_OBSERVED)))
    return Score(Confusion.of(truth, codes), missing)


def sample(path: Path, grid: Grid, fill: float) -> NDArray[Any]:
    """Take the values of a raster's first band at the pixel centres of a grid: nearest pixel.

    Args:
        path: The raster, in any CRS.
        grid: Where the values are wanted.
        fill: What lies outside.

    Returns:
        `(row, col)` of the grid, in the raster's type.
    """
    with rasterio.open(path) as file:
        values, crs, transform = file.read(1), file.crs, file.transform
    return sample_array(values, crs.to_wkt(), transform, grid, fill)


def sample_array(
    values: NDArray[Any], crs: str, transform: Affine, grid: Grid, fill: float
) -> NDArray[Any]:
    """Do what `sample` does, of an array with its CRS and affine."""
    to_source = Transformer.from_crs(grid.crs, crs, always_xy=True)
    rows, cols = grid.shape
    out = np.full((rows, cols), fill, dtype=values.dtype)
    for first in range(0, rows, _ROWS):
        row, col = np.mgrid[first : min(first + _ROWS, rows), 0:cols]
        x, y = to_source.transform(*_applied(grid.transform, col + 0.5, row + 0.5))
        at_col, at_row = (np.floor(place).astype(np.int64) for place in _applied(~transform, x, y))
        inside = (at_row >= 0) & (at_row < values.shape[0])
        inside &= (at_col >= 0) & (at_col < values.shape[1])
        out[first : first + _ROWS][inside] = values[at_row[inside], at_col[inside]]
    return out


def truth_on(season: Season, grid: Grid) -> Codes:
    """The truth at the pixel centres of a grid: 0 land, 1 water, 255 outside the season.

    Args:
        season: Its ground.
        grid: A map's grid.
    """
    return np.asarray(sample(season.truth, grid, NOT_OBSERVED), dtype=np.uint8)


def swir2_on(season: Season, grid: Grid) -> Field:
    """The season's median of SR_B7, which the eight features lack and DSWE asks for.

    Args:
        season: Its scenes.
        grid: A map's grid.

    Returns:
        Reflectance, `float32 (row, col)`, NaN where no observation was clear.
    """
    stack = []
    crs, transform = "", Affine.identity()
    for scene in season.scenes:
        with rasterio.open(scene / f"{scene.name}_QA_PIXEL.TIF") as file:
            usable = (file.read(1) & OBSCURED) == 0
            crs, transform = file.crs.to_wkt(), file.transform
        with rasterio.open(scene / f"{scene.name}_SR_B7.TIF") as file:
            counts = file.read(1)
        usable &= (counts > 0) & (counts <= _HIGHEST_DN)
        stack.append(np.where(usable, counts.astype(np.float32), np.float32(np.inf)))
    ordered = np.sort(np.stack(stack), axis=0)
    number = np.isfinite(ordered).sum(axis=0)
    last = len(stack) - 1
    low, high = (
        np.take_along_axis(ordered, np.clip(k, 0, last)[np.newaxis], axis=0)[0]
        for k in ((number - 1) // 2, number // 2)
    )
    median = np.where(number > 0, (low + high) / 2 * np.float32(2.75e-05) - np.float32(0.2), np.nan)
    values = median.astype(np.float32)
    return sample_array(values, crs, transform, grid, float("nan"))


def _applied(affine: Affine, x: Any, y: Any) -> tuple[Any, Any]:
    """An affine applied to arrays."""
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f
