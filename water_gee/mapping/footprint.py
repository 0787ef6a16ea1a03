"""The outline on the Earth of what a map observed, as GeoJSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
import shapely.affinity
import shapely.geometry
from affine import Affine
from rasterio import features
from shapely.geometry.polygon import orient

from water_gee import raster
from water_gee.imagery.store import NOT_OBSERVED
from water_gee.mapping import maps

if TYPE_CHECKING:
    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.windows import Grid

CELLS = 500
"""Squares along the map's longer side; one counts as observed where any of its pixels is."""

_MOST_POINTS = 500
"""An outline of more points than this is simplified."""

_SMALL_HOLE = 0.01
"""Holes smaller than this share of the whole are filled."""

_DIGITS = 7
"""Decimals of a degree: a centimetre."""


def footprint(chart: WaterMap) -> dict[str, Any]:
    """Outline what was observed; the whole map where nothing was.

    Returns:
        A GeoJSON Polygon or MultiPolygon in degrees on WGS84, outer rings counter-clockwise, cut at
        180° as RFC 7946 wants it.

    Raises:
        RasterError: The map cannot be read.
    """
    grid = chart.grid
    rows, cols = grid.shape
    side = max(1, -(-max(rows, cols) // CELLS))
    seen = _observed(chart, side)
    if seen.all() or not seen.any():
        outline: Any = shapely.box(0, 0, cols, rows)
    else:
        small = seen.astype(np.uint8)
        with raster.unwarned():
            shapes = list(features.shapes(small, seen, 4, Affine.scale(side)))
        outline = shapely.union_all([shapely.geometry.shape(shape) for shape, _ in shapes])
        outline = _lighter(shapely.intersection(outline, shapely.box(0, 0, cols, rows)), side)
    degrees = _on_earth(outline, grid)
    rounded = shapely.set_precision(degrees, 10.0**-_DIGITS)
    turned = [orient(part) for part in shapely.get_parts(_areal(rounded))]
    whole = turned[0] if len(turned) == 1 else shapely.MultiPolygon(turned)
    plain: dict[str, Any] = shapely.geometry.mapping(whole)
    return _lists(plain)


def bounding_box(geometry: dict[str, Any]) -> list[float]:
    """`[west, south, east, north]`; west is above east where the geometry goes over 180°."""
    shape: Any = shapely.geometry.shape(geometry)
    west, south, east, north = shapely.bounds(shape)
    parts = shapely.bounds(shapely.get_parts(shape))
    touches = np.any(parts[:, 2] >= 180) and np.any(parts[:, 0] <= -180)
    if touches and not np.any((parts[:, 0] <= -180) & (parts[:, 2] >= 180)):
        west = parts[parts[:, 0] >= 0, 0].min()
        east = parts[parts[:, 0] < 0, 2].max()
    return [float(value) for value in (west, south, east, north)]


def _observed(chart: WaterMap, side: int) -> npt.NDArray[np.bool_]:
    """Whether any pixel of each square of `side` pixels was observed."""
    rows, cols = chart.grid.shape
    out = np.zeros((-(-rows // side), -(-cols // side)), dtype=bool)
    size = side * max(1, maps.WINDOW // side)
    for step in chart.windows(size=size):
        seen = chart.read(step.core) != NOT_OBSERVED
        for axis in (0, 1):
            seen = np.logical_or.reduceat(seen, np.arange(0, seen.shape[axis], side), axis=axis)
        row, col = step.core.row // side, step.core.col // side
        out[row : row + seen.shape[0], col : col + seen.shape[1]] = seen
    return out


def _lighter(outline: Any, side: int) -> Any:
    """Few enough points, and no small holes."""
    least = _SMALL_HOLE * shapely.area(outline)
    parts = []
    for polygon in shapely.get_parts(outline):
        holes = [ring for ring in polygon.interiors if shapely.Polygon(ring).area >= least]
        parts.append(shapely.Polygon(polygon.exterior, holes))
    out: Any = shapely.union_all(parts)
    tolerance = float(side)
    # The steps of the squares first: they say nothing.
    out = shapely.simplify(out, tolerance, preserve_topology=True)
    while shapely.get_num_coordinates(out) > _MOST_POINTS and tolerance < 1e9:
        whole = shapely.simplify(out, tolerance, preserve_topology=True)
        kept = [p for p in shapely.get_parts(whole) if p.area >= tolerance**2]
        out = shapely.union_all(kept) if kept else shapely.convex_hull(out)
        tolerance *= 2
    return out


def _on_earth(outline: Any, grid: Grid) -> Any:
    """Pixels to degrees; cut at 180°."""
    system = pyproj.CRS.from_user_input(grid.crs)
    to_degrees = pyproj.Transformer.from_crs(system, "OGC:CRS84", always_xy=True)
    if not system.is_geographic:
        # Straight lines of a projection bend on the Earth.
        outline = shapely.segmentize(outline, max(grid.shape) / 20)
    t = grid.transform

    def place(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        col, row = points[:, 0], points[:, 1]
        x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
        lon, lat = to_degrees.transform(x, y)
        lon, lat = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        if not system.is_geographic and np.ptp(lon) > 180:
            lon = np.where(lon < 0, lon + 360, lon)
        return np.column_stack([lon, np.clip(lat, -90, 90)])

    return _cut(_areal(shapely.make_valid(shapely.transform(outline, place))))


def _cut(shape: Any) -> Any:
    """Bring a shape into -180 to 180 degrees, in parts where it goes beyond."""
    west, _, east, _ = shapely.bounds(shape)
    if west >= -180 and east <= 180:
        return shape
    parts = []
    for turn in range(int((west + 180) // 360), int((east + 180) // 360) + 1):
        window = shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90)
        part = shapely.intersection(shape, window)
        parts.append(shapely.affinity.translate(part, -360 * turn))
    return _areal(shapely.union_all(parts))


def _areal(shape: Any) -> Any:
    """Only the polygons of a shape."""
    parts = [part for part in shapely.get_parts(shape) if part.area > 0]
    flat = [inner for part in parts for inner in shapely.get_parts(part)]
    polygons = [part for part in flat if part.geom_type == "Polygon"]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def _lists(geometry: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        return round(float(value), _DIGITS)

    return {"type": geometry["type"], "coordinates": plain(geometry["coordinates"])}
