"""What a map is compared with, read on the map's own grid: rasters, polygons, Earth Engine's maps.

A reference gives, for a window of the map, 0 land, 1 water and 255 where it says nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import geopandas
import numpy as np
import pyogrio
import pyproj
import rasterio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio import features
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from water_gee import raster
from water_gee.errors import RasterError
from water_gee.files import one_line
from water_gee.imagery.store import LAND, NOT_OBSERVED, WATER
from water_gee.mapping import maps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.windows import Grid, Window

    Codes = npt.NDArray[np.uint8]


_EXACT = 1e-3
"""Pixels that a warped place may be off."""


class Reference(Protocol):
    """What says where there is water, on a map's grid."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def read(self, window: Window) -> Codes:
        """`uint8 (row, col)`: 0 land, 1 water, 255 nothing said."""
        ...


@dataclass(frozen=True, slots=True)
class Classes:
    """Which values of a reference mean what.

    Attributes:
        water: Values that are water.
        land: Values that are land; None: all others.
        ignore: Values that say nothing, besides the file's own nodata.
        above: Of a raster of measures, a share of water for example: from which value on it is
            water, and below land. `water` and `land` then say nothing.
    """

    water: Collection[int] = (WATER,)
    land: Collection[int] | None = None
    ignore: Collection[int] = (NOT_OBSERVED,)
    above: float | None = None

    def __post_init__(self) -> None:
        both = set(self.water) & (set(self.land or ()) | set(self.ignore))
        if both or not self.water:
            why = f"{sorted(both)[0]} is water and something else" if both else "none is water"
            raise RasterError(f"classes of the reference: {why}; give each value one meaning")

    def codes(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> Codes:
        """Recode values."""
        if self.above is not None:
            water = np.asarray(values >= self.above)
            land = ~water
        else:
            water = np.isin(values, list(self.water))
            land = ~water if self.land is None else np.isin(values, list(self.land))
        out = np.full(values.shape, NOT_OBSERVED, dtype=np.uint8)
        out[land], out[water] = LAND, WATER
        out[missing | np.isin(values, list(self.ignore))] = NOT_OBSERVED
        return out


@contextlib.contextmanager
def opened(path: Path | str, chart: WaterMap, classes: Classes) -> Iterator[Reference]:
    """Open a raster or a file of polygons as the reference of a map.

    Raises:
        RasterError: Neither, no such file, or nowhere on the map.
    """
    source = Path(path)
    if not source.exists():
        raise RasterError(f"{source}: no such file")
    if is_vector(source):
        yield Polygons(source, chart)
        return
    with on_grid(source, chart) as values:
        yield Warped(source.name, values, classes)


@contextlib.contextmanager
def on_grid(path: Path, chart: WaterMap) -> Iterator[Values]:
    """Open a raster of any grid and CRS, to be read on a map's grid.

    Its band `water` is read, or its first.

    Raises:
        RasterError: No raster, one without CRS, or nowhere on the map.
    """
    header = raster.describe(path)
    if not header.grid.crs:
        raise RasterError(f"{path} has no CRS, so nobody knows where it lies; give it one")
    _check_overlap(path, header.grid, chart)
    band = header.names.index(maps.BAND) + 1 if maps.BAND in header.names else 1
    alpha = header.nodata is None
    with contextlib.ExitStack() as files:
        with _reading(path):
            file = files.enter_context(rasterio.open(path))
            warped = WarpedVRT(
                file,
                crs=CRS.from_user_input(chart.grid.crs),
                transform=chart.grid.transform,
                height=chart.grid.shape[0],
                width=chart.grid.shape[1],
                resampling=Resampling.nearest,
                tolerance=_EXACT,
                add_alpha=alpha,
                **({} if alpha else {"src_nodata": header.nodata, "nodata": header.nodata}),
            )
            files.enter_context(warped)
        yield Values(path.name, warped, band, header.nodata)


@contextlib.contextmanager
def _reading(path: Path | str) -> Iterator[None]:
    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        raise RasterError(f"cannot read {path}: {one_line(error)}") from error


def is_vector(path: Path) -> bool:
    """Whether a file holds features and no raster."""
    try:
        raster.describe(path)
    except RasterError:
        try:
            return len(pyogrio.list_layers(path)) > 0
        except (DataSourceError, DataLayerError) as error:
            raise RasterError(f"{path} is neither a raster nor a file of polygons") from error
    return False


def _check_overlap(path: Path, grid: Grid, chart: WaterMap) -> None:
    there = transform_bounds(
        CRS.from_user_input(grid.crs), CRS.from_user_input(chart.grid.crs), *grid.bounds
    )
    _refuse_apart(path, there, chart)


def _refuse_apart(
    path: Path | str, there: tuple[float, float, float, float], chart: WaterMap
) -> None:
    here = chart.grid.bounds
    apart = there[0] >= here[2] or there[2] <= here[0] or there[1] >= here[3] or there[3] <= here[1]
    if apart:
        shown = ", ".join(f"{value:.6g}" for value in there)
        own = ", ".join(f"{value:.6g}" for value in here)
        raise RasterError(
            f"{path} lies outside {chart.path}: it covers {shown}, the map {own} "
            "(west, south, east, north in the map's CRS)"
        )


@dataclass(frozen=True, slots=True)
class Values:
    """A raster of any grid, each map pixel taking the pixel of it that its centre lies in."""

    name: str
    source: Any
    band: int
    nodata: float | None

    def read(self, window: Window) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """The values of a window of the map, and where there are none."""
        with _reading(self.name):
            values = self.source.read(self.band, window=window.rasterio)
            alpha = None
            if self.nodata is None:
                alpha = self.source.read(self.source.count, window=window.rasterio)
        if self.nodata is None:
            missing = np.asarray(alpha == 0)
        elif np.isnan(self.nodata):
            missing = np.isnan(values)
        else:
            missing = values == self.nodata
        if np.issubdtype(values.dtype, np.floating):
            missing = missing | np.isnan(values)
        return values, missing


@dataclass(frozen=True, slots=True)
class Warped:
    """A raster of any grid, recoded."""

    name: str
    values: Values
    classes: Classes

    def read(self, window: Window) -> Codes:
        """See `Reference`."""
        values, missing = self.values.read(window)
        measures = np.issubdtype(values.dtype, np.floating) and self.classes.above is None
        if measures and (values[~missing] % 1).any():
            raise RasterError(
                f"{self.name} holds measures, not classes; give a raster of classes, or say from "
                "which value on it is water (`above`, --above)"
            )
        return self.classes.codes(values, missing)


class Polygons:
    """Polygons of water; a pixel is water where its centre lies in one, and land elsewhere."""

    def __init__(self, path: Path, chart: WaterMap) -> None:
        self.name = path.name
        self._grid = chart.grid
        table = read_features(path, chart.grid.crs)
        self._shapes = np.asarray(table.geometry.array, dtype=object)
        dimensions = shapely.get_dimensions(self._shapes)
        if not (dimensions == 2).all():
            raise RasterError(
                f"{path} holds points or lines among its polygons; give polygons only"
            )
        west, south, east, north = (float(value) for value in shapely.total_bounds(self._shapes))
        _refuse_apart(path, (west, south, east, north), chart)
        self._tree = shapely.STRtree(self._shapes)

    def read(self, window: Window) -> Codes:
        """See `Reference`."""
        part = self._grid.window(window.row, window.col, window.height, window.width)
        found = self._shapes[self._tree.query(shapely.box(*part.bounds))]
        if len(found) == 0:
            return np.full(part.shape, LAND, dtype=np.uint8)
        with raster.unwarned():
            burnt = features.rasterize(
                ((shape, WATER) for shape in found),
                out_shape=part.shape,
                transform=part.transform,
                fill=LAND,
                dtype="uint8",
            )
        return np.asarray(burnt, dtype=np.uint8)


def read_features(path: Path, crs: str) -> geopandas.GeoDataFrame:
    """The features of the first layer that has a geometry, in a CRS.

    Raises:
        RasterError: There are none, or they have no CRS.
    """
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        table = geopandas.read_file(path, layer=layers[0]) if layers else None
    except (DataSourceError, DataLayerError, OSError) as error:
        raise RasterError(f"cannot read {path}: {one_line(error)}") from error
    if table is not None:
        table = table[~(table.geometry.isna() | table.geometry.is_empty)]
    if table is None or len(table) == 0:
        raise RasterError(f"{path} holds no feature to compare with")
    if table.crs is None:
        raise RasterError(f"{path} has no CRS, so nobody knows where it lies; give it one")
    return table.to_crs(pyproj.CRS.from_user_input(crs))
