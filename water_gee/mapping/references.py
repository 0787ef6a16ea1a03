"""What a map is compared with, read on the map's own grid: rasters, polygons, Earth Engine's maps.

A reference gives, for a window of the map, 0 land, 1 water and 255 where it says nothing.
"""

from __future__ import annotations

import contextlib
import math
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
from rasterio.enums import ColorInterp, Resampling
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
    Bounds = tuple[float, float, float, float]


_EXACT = 1e-3
"""Pixels that a warped place may be off."""

_MESH = 33
"""Places along each side of a map, from which its bounds in another CRS are taken."""

_MARGIN = 0.05
"""Of a map's width or height in another CRS: what polygons may reach beyond it before they are cut.

More than such bounds can be too small by, which is half the distance between two of the places.
"""

_EDGES = 256
"""Pieces that an edge as long as the map is wide or high is put into another CRS in, at least."""


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
        if self.above is not None and not math.isfinite(self.above):
            raise RasterError(
                f"classes of the reference: water from {self.above} on (`above`, --above) says "
                "nothing; give a finite number"
            )
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

    Its band `water` is read, or its first. Where it names no nodata value, its alpha band or its
    mask says where there are values.

    Raises:
        RasterError: No raster, one without CRS, nowhere on the map, or with an alpha band only.
    """
    header = raster.describe(path)
    if not header.grid.crs:
        raise RasterError(f"{path} has no CRS, so nobody knows where it lies; give it one")
    _check_overlap(path, header.grid, chart)
    band = header.names.index(maps.BAND) + 1 if maps.BAND in header.names else 1
    with contextlib.ExitStack() as files:
        with _reading(path):
            file = files.enter_context(rasterio.open(path))
            masked = header.nodata is None
            warped = WarpedVRT(
                file,
                crs=CRS.from_user_input(chart.grid.crs),
                transform=chart.grid.transform,
                height=chart.grid.shape[0],
                width=chart.grid.shape[1],
                resampling=Resampling.nearest,
                tolerance=_EXACT,
                add_alpha=masked and ColorInterp.alpha not in file.colorinterp,
                **({} if masked else {"src_nodata": header.nodata, "nodata": header.nodata}),
            )
            files.enter_context(warped)
        alpha = warped.colorinterp.index(ColorInterp.alpha) + 1 if masked else None
        if alpha == band:
            raise RasterError(f"{path}: band {band} is an alpha band, not values; give another")
        yield Values(path.name, warped, band, header.nodata, alpha)


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
    """Refuse a raster that lies apart from the map, seen from either of their CRSs.

    Bounds that hold a pole or half the globe are wrong in most other CRSs: a raster lies elsewhere
    only where both agree on it.
    """
    theirs, own = CRS.from_user_input(grid.crs), CRS.from_user_input(chart.grid.crs)
    with _reading(path):
        there = transform_bounds(theirs, own, *grid.bounds)
        if not _apart(there, chart.grid.bounds):
            return
        here = transform_bounds(own, theirs, *chart.grid.bounds)
    if _apart(here, grid.bounds):
        raise RasterError(_outside(path, there, chart.grid.bounds, chart, "map"))


def _apart(one: Bounds, other: Bounds) -> bool:
    """Whether two `(west, south, east, north)` share no place."""
    return one[0] >= other[2] or one[2] <= other[0] or one[1] >= other[3] or one[3] <= other[1]


def _refuse_apart(path: Path | str, there: Bounds, chart: WaterMap) -> None:
    here = chart.grid.bounds
    if _apart(there, here):
        raise RasterError(_outside(path, there, here, chart, "map"))


def _outside(path: Path | str, there: Bounds, here: Bounds, chart: WaterMap, whose: str) -> str:
    """What to say of a reference `there` and a map `here`, in the CRS of `whose`."""
    shown = ", ".join(f"{value:.6g}" for value in there)
    own = ", ".join(f"{value:.6g}" for value in here)
    return (
        f"{path} lies outside {chart.path}: it covers {shown}, the map {own} "
        f"(west, south, east, north in the {whose}'s CRS)"
    )


@dataclass(frozen=True, slots=True)
class Values:
    """A raster of any grid, each map pixel taking the pixel of it that its centre lies in.

    Attributes:
        name: What people call it.
        source: The raster, warped to the map's grid.
        band: The band with the values, from 1.
        nodata: The value that stands for none, or None.
        alpha: Without `nodata`, the band that is 0 where there are no values, from 1.
    """

    name: str
    source: Any
    band: int
    nodata: float | None
    alpha: int | None

    def read(self, window: Window) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """The values of a window of the map, and where there are none."""
        with _reading(self.name):
            values = self.source.read(self.band, window=window.rasterio)
            alpha = None
            if self.nodata is None:
                alpha = self.source.read(self.alpha, window=window.rasterio)
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
        table = _features(path)
        if not (shapely.get_dimensions(table.geometry.to_numpy()) == 2).all():
            raise RasterError(
                f"{path} holds points or lines among its polygons; give polygons only"
            )
        self._shapes = _around(path, table.geometry, chart)
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


def _around(path: Path, shapes: geopandas.GeoSeries, chart: WaterMap) -> npt.NDArray[Any]:
    """Polygons in a map's CRS; of those in another, what reaches far beyond the map is cut off.

    An ocean, or a layer of the whole globe, has no finite or no valid shape in the CRS of a small
    part of it, and would be no water there.

    Raises:
        RasterError: They lie outside the map, or one has no finite shape in its CRS.
    """
    own = pyproj.CRS.from_user_input(chart.grid.crs)
    theirs: Any = shapes.crs
    alike = theirs.equals(own, ignore_axis_order=True)
    near = None if alike else _bounds_in(chart.grid, theirs)
    _refuse_endless(path, shapes, chart)
    if near is not None:
        cut = _cut(path, shapes, near)
        if len(cut) == 0:
            there = _bounds_of(shapes.array)
            raise RasterError(_outside(path, there, near, chart, "reference"))
        shapes = cut
    placed = shapes.to_crs(own)
    _refuse_endless(path, placed, chart)
    _refuse_apart(path, _bounds_of(placed.array), chart)
    return np.asarray(placed.array, dtype=object)


def _refuse_endless(path: Path, shapes: geopandas.GeoSeries, chart: WaterMap) -> None:
    places, owners = shapely.get_coordinates(shapes.to_numpy(), return_index=True)
    endless = owners[~np.isfinite(places).all(axis=1)]
    if len(endless):
        first: Any = shapes.index[endless[0]]
        raise RasterError(
            f"{path}: its feature {int(first) + 1} has no finite shape in the "
            f"CRS of {chart.path}; leave it out, or cut it to the surroundings of the map"
        )


def _bounds_of(shapes: Any) -> Bounds:
    west, south, east, north = (float(value) for value in shapely.total_bounds(shapes))
    return west, south, east, north


def _bounds_in(grid: Grid, crs: pyproj.CRS) -> Bounds | None:
    """Bounds that hold a grid in another CRS, with a margin; None where it has none there.

    Longitudes lie within half a turn of the grid's centre, so that a grid across 180 degrees has
    its own width; they may lie beyond 180. Around a pole they are all longitudes.
    """
    rows, cols = grid.shape
    over = pyproj.Transformer.from_crs(grid.crs, crs, always_xy=True)
    places = [
        grid.point(float(row), float(col))
        for row in np.linspace(0, rows, _MESH)
        for col in np.linspace(0, cols, _MESH)
    ]
    x, y = over.transform(*np.transpose(places))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    if crs.is_geographic:
        centre = x[len(x) // 2]
        x = centre + (x - centre + 180) % 360 - 180
    west, south, east, north = (float(v) for v in (x.min(), y.min(), x.max(), y.max()))
    wide, high = _MARGIN * (east - west), _MARGIN * (north - south)
    west, south, east, north = west - wide, south - high, east + wide, north + high
    if crs.is_geographic:
        for pole in (-90.0, 90.0):
            if _holds(grid, *over.transform(0.0, pole, direction="INVERSE")):
                west, east = west - 360, east + 360
                south, north = min(south, pole), max(north, pole)
    return west, south, east, north


def _holds(grid: Grid, x: float, y: float) -> bool:
    west, south, east, north = grid.bounds
    return west <= x <= east and south <= y <= north


def _cut(path: Path, shapes: geopandas.GeoSeries, near: Bounds) -> geopandas.GeoSeries:
    """Polygons that meet bounds in their CRS; what reaches beyond is cut off.

    What is left has short edges, which stay where they are in a CRS in which their straight lines
    are bent.
    """
    west, south, east, north = near
    crs: Any = shapes.crs
    turns = (-360, 0, 360) if crs.is_geographic else (0,)
    frame = shapely.union_all([shapely.box(west + t, south, east + t, north) for t in turns])
    shapely.prepare(frame)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.array(shapes.array, dtype=object)
            meeting = shapely.intersects(frame, values)
            values = values[meeting]
            across = ~shapely.contains_properly(frame, values)
            values[across] = shapely.intersection(shapely.make_valid(values[across]), frame)
            values = shapely.segmentize(values, max(east - west, north - south) / _EDGES)
    except shapely.errors.GEOSException as error:
        raise RasterError(f"cannot cut the polygons of {path}: {one_line(error)}") from error
    parts, sources = shapely.get_parts(values, return_index=True)
    areal = (shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)
    index = np.asarray(shapes.index)[meeting][sources[areal]]
    return geopandas.GeoSeries(parts[areal], index=index, crs=shapes.crs)


def read_features(path: Path, crs: str) -> geopandas.GeoDataFrame:
    """The features of the first layer that has a geometry, in a CRS.

    Raises:
        RasterError: There are none, or they have no CRS.
    """
    return _features(path).to_crs(pyproj.CRS.from_user_input(crs))


def _features(path: Path) -> geopandas.GeoDataFrame:
    """The features of the first layer that has a geometry, as they are in the file."""
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
    return table
