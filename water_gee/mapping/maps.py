"""Water maps as everything made of them reads them: window by window, with codes that are checked.

A map has 0 land, 1 water and 255 not observed. A file's own nodata value is read as 255; any other
value is refused, since a class that is taken for land or water by mistake is an area that is wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
from pyproj.exceptions import CRSError
from rasterio.enums import MaskFlags

from water_gee import geotiff, metrics, raster
from water_gee.errors import RasterError
from water_gee.imagery.store import LAND, NOT_OBSERVED, WATER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from water_gee.windows import Grid, Padded, Window

    Codes = npt.NDArray[np.uint8]
    Progress = Callable[[Iterator[Padded], int], Iterator[Padded]]

WINDOW = 1024
"""Side of the windows that maps are read in, in pixels."""

BAND = "water"
"""The band that is read where a file has several; else its first."""

_SAME_PLACE = 1e-3
"""Of a pixel: grids whose corners lie no further apart are the same."""


@dataclass(frozen=True, slots=True)
class WaterMap:
    """A class raster of water on the disk.

    Attributes:
        path: The file.
        grid: Where its pixels lie; it has a CRS with an ellipsoid.
        band: The band with the classes, from 1.
        nodata: The file's own value for pixels not observed, or None.
        tags: The file's metadata.
        classes: The codes that may be in it, 255 not among them.
        masked: Whether, without `nodata`, a mask or an alpha band hides what was not observed.
    """

    path: Path
    grid: Grid
    band: int
    nodata: float | None
    tags: dict[str, str]
    classes: tuple[int, ...] = (LAND, WATER)
    masked: bool = False

    def read(self, window: Window) -> Codes:
        """The codes of a window.

        What the file masks, by its nodata value or, where it names none, by a mask or an alpha
        band, was not observed.

        Returns:
            `uint8 (row, col)`.

        Raises:
            RasterError: It cannot be read, or holds another value.
        """
        values = raster.read(self.path, bands=[self.band], window=window).values[0]
        unseen = values == NOT_OBSERVED
        if self.nodata is not None:
            unseen |= values == self.nodata
        if self.masked:
            with geotiff.opened(self.path) as source, geotiff.reading(self.path):
                unseen |= source.read_masks(self.band, window=window.rasterio) == 0
        strange = ~(np.isin(values, self.classes) | unseen)
        if strange.any():
            known = ", ".join(str(code) for code in self.classes)
            raise RasterError(
                f"{self.path} holds the value {int(values[strange][0])}, so it is no water map: "
                f"one has {known} and {NOT_OBSERVED} for not observed; recode it first"
            )
        return np.where(unseen, NOT_OBSERVED, values).astype(np.uint8)

    def areas_m2(self, window: Window) -> npt.NDArray[np.float64]:
        """Area on the ellipsoid of a window's pixels, `(row, 1)` or `(row, col)`, m²."""
        grid = self.grid
        return metrics.pixel_areas_m2(
            grid.transform, grid.shape, crs=grid.crs, part=(window.slices[0], window.slices[1])
        )

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe that a map of ours carries, as plain values; empty where it has none."""
        return recipe_of(self.tags)

    def windows(self, progress: Progress | None = None, *, size: int = WINDOW) -> Iterator[Padded]:
        """The map in windows, row by row, without halo."""
        return counted(self.grid.shape, size, 0, progress)


def recipe_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The recipe that a file's metadata carries, as plain values; empty where it has none."""
    try:
        plain = json.loads(tags.get("water_gee_recipe", "{}"))
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}


def open_map(path: Path | str, *, classes: tuple[int, ...] = (LAND, WATER)) -> WaterMap:
    """Look at a water map without reading its pixels.

    Raises:
        RasterError: No such file, no raster, one of floating point, or without a CRS.
    """
    source = Path(path)
    header = raster.describe(source)
    if not np.issubdtype(np.dtype(header.dtype), np.integer):
        raise RasterError(
            f"{source} holds {header.dtype}, not classes; give the map, not probabilities"
        )
    return _chart(source, header, classes)


def open_grid(path: Path | str) -> WaterMap:
    """Look at where a raster lies, whatever it holds.

    Raises:
        RasterError: No such file, no raster, or one without a CRS.
    """
    source = Path(path)
    return _chart(source, raster.describe(source), (LAND, WATER))


def _chart(source: Path, header: raster.Header, classes: tuple[int, ...]) -> WaterMap:
    if not header.grid.crs:
        raise RasterError(f"{source} has no CRS, so its water has no area; give it one")
    try:
        measurable = pyproj.CRS.from_user_input(header.grid.crs).geodetic_crs is not None
    except CRSError:
        measurable = False
    if not measurable:
        raise RasterError(
            f"{source}: its CRS names no ellipsoid to measure areas on; warp it first"
        )
    band = header.names.index(BAND) + 1 if BAND in header.names else 1
    masked = False
    if header.nodata is None:
        with geotiff.opened(source) as file:
            masked = MaskFlags.all_valid not in file.mask_flag_enums[band - 1]
    return WaterMap(source, header.grid, band, header.nodata, header.tags, classes, masked)


def open_probability(path: Path | str, chart: WaterMap) -> Path:
    """See that a raster can be the probability of a map's water.

    Raises:
        RasterError: No such file, one of integers, or on another grid.
    """
    source = Path(path)
    header = raster.describe(source)
    if not np.issubdtype(np.dtype(header.dtype), np.floating):
        raise RasterError(f"{source} holds {header.dtype}, not probabilities from 0 to 1")
    check_same_grid((chart.path, chart.grid), (source, header.grid))
    return source


def read_probability(path: Path, window: Window) -> npt.NDArray[np.float64]:
    """Probabilities of a window, NaN where the nodata value or a mask says there are none.

    Raises:
        RasterError: It cannot be read, or holds a value outside 0 to 1.
    """
    part = raster.read(path, bands=[1], window=window)
    values = part.values[0].astype(np.float64)
    values[part.values[0] == part.nodata] = np.nan  # GDAL heeds either of the two
    with geotiff.opened(path) as source, geotiff.reading(path):
        values[source.read_masks(1, window=window.rasterio) == 0] = np.nan
    seen = values[~np.isnan(values)]
    if seen.size and (seen.min() < -1e-6 or seen.max() > 1 + 1e-6):
        raise RasterError(f"{path} holds values outside 0 to 1, so they are no probabilities")
    clipped: npt.NDArray[np.float64] = np.clip(values, 0.0, 1.0)
    return clipped


def probability_beside(chart: WaterMap) -> Path | None:
    """The probability that was written together with a map, `MAP_probability.tif`, if it is there.

    One that another model made, or on another grid, is not taken.
    """
    beside = chart.path.with_name(f"{chart.path.stem}_probability.tif")
    if not beside.is_file():
        return None
    try:
        header = raster.describe(beside)
        check_same_grid((chart.path, chart.grid), (beside, header.grid))
    except RasterError:
        return None
    same = all(
        header.tags.get(name) == chart.tags.get(name)
        for name in ("water_gee_model", "water_gee_recipe")
    )
    return beside if same and np.issubdtype(np.dtype(header.dtype), np.floating) else None


def check_same_grid(first: tuple[Path, Grid], *others: tuple[Path, Grid]) -> None:
    """Refuse to compare pixels that do not lie on each other.

    Raises:
        RasterError: They differ; the message says in what.
    """
    path, grid = first
    for other_path, other in others:
        why = _difference(grid, other)
        if why:
            raise RasterError(
                f"{path} and {other_path} lie on different grids ({why}); warp one onto the other "
                "(gdalwarp -r near) or map both again with one recipe"
            )


def _difference(a: Grid, b: Grid) -> str:
    if not same_crs(a.crs, b.crs):
        return f"CRS {_short(a.crs)} and {_short(b.crs)}"
    if a.shape != b.shape:
        return f"{a.shape[0]} x {a.shape[1]} and {b.shape[0]} x {b.shape[1]} pixels"
    pixel = max(abs(a.transform.a), abs(a.transform.b), abs(a.transform.d), abs(a.transform.e))
    rows, cols = a.shape
    for corner in ((0, 0), (0, cols), (rows, 0), (rows, cols)):
        (ax, ay), (bx, by) = a.point(*corner), b.point(*corner)
        if max(abs(ax - bx), abs(ay - by)) > _SAME_PLACE * pixel:
            return f"corners at {ax:.9g}, {ay:.9g} and {bx:.9g}, {by:.9g}"
    return ""


def same_crs(a: str, b: str) -> bool:
    """Whether two texts name one coordinate reference system."""
    if a == b:
        return True
    if not a or not b:
        return False
    return bool(pyproj.CRS.from_user_input(a).equals(b, ignore_axis_order=True))


def _short(crs: str) -> str:
    return crs if len(crs) < 30 else (pyproj.CRS.from_user_input(crs).name if crs else "none")


def counted(
    shape: tuple[int, int], size: int, halo: int, progress: Progress | None
) -> Iterator[Padded]:
    """Windows over a raster, shown to whoever draws a bar."""
    steps = raster.windows(shape, size, halo)
    if progress is None:
        return steps
    return progress(steps, -(-shape[0] // size) * -(-shape[1] // size))


def bar(what: str, *, on: bool = True) -> Progress | None:
    """A progress bar over windows, or None."""
    if not on:
        return None

    def wrap(steps: Iterator[Padded], total: int) -> Iterator[Padded]:
        from tqdm.auto import tqdm

        return iter(tqdm(steps, total=total, desc=what, unit="window"))

    return wrap
