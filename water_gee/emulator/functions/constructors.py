"""`GeometryConstructors`: geometries of coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import GeometryCollection, MultiLineString, MultiPoint, MultiPolygon

from water_gee.emulator import geodesy
from water_gee.emulator.coerce import coerce
from water_gee.emulator.geojson import is_geodesic_by_default, parts_of, shape_of
from water_gee.emulator.registry import REGISTRY
from water_gee.emulator.values import (
    DEFAULT_CRS,
    WGS84_ONE_DEGREE,
    ErrorMargin,
    Geometry,
    Projection,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _first_point(coordinates: Any) -> Geometry | None:
    """Return the first of the points that coordinates may be given as."""
    while isinstance(coordinates, (list, tuple)):
        coordinates = coordinates[0] if coordinates else None
    return coordinates if isinstance(coordinates, Geometry) else None


def _build(kind: str, coordinates: Any, crs: Projection | None, geodesic: bool | None) -> Geometry:
    """Make a geometry in the CRS given, else that of the points given, else WGS 84."""
    example = _first_point(coordinates)
    shape = shape_of(kind, coordinates, f"GeometryConstructors.{kind}")
    name = crs.crs if crs is not None else example.crs if example is not None else DEFAULT_CRS
    if crs is not None and crs.transform != WGS84_ONE_DEGREE.transform:
        grid = crs.grid

        def placed(points: Any) -> Any:
            x, y = grid.coordinates(points[:, 0], points[:, 1])
            return geodesy.columns(x, y)

        shape = shapely.transform(shape, placed)
    return Geometry(shape, name, is_geodesic_by_default(name) if geodesic is None else geodesic)


@REGISTRY.function("GeometryConstructors.Point")
def point(coordinates: list[Any], crs: Projection | None = None) -> Geometry:
    """Make a point of x and y."""
    return _build("Point", coordinates, crs, None)


@REGISTRY.function("GeometryConstructors.MultiPoint")
def multi_point(coordinates: list[Any], crs: Projection | None = None) -> Geometry:
    """Make a set of points."""
    return _build("MultiPoint", coordinates, crs, None)


@REGISTRY.function("GeometryConstructors.LineString")
def line_string(
    coordinates: list[Any],
    crs: Projection | None = None,
    geodesic: bool | None = None,
    maxError: ErrorMargin | None = None,
) -> Geometry:
    """Make a line of two or more points."""
    return _build("LineString", coordinates, crs, geodesic)


@REGISTRY.function("GeometryConstructors.LinearRing")
def linear_ring(
    coordinates: list[Any],
    crs: Projection | None = None,
    geodesic: bool | None = None,
    maxError: ErrorMargin | None = None,
) -> Geometry:
    """Make a closed line."""
    return _build("LinearRing", coordinates, crs, geodesic)


@REGISTRY.function("GeometryConstructors.MultiLineString")
def multi_line_string(
    coordinates: list[Any],
    crs: Projection | None = None,
    geodesic: bool | None = None,
    maxError: ErrorMargin | None = None,
) -> Geometry:
    """Make a set of lines."""
    return _build("MultiLineString", coordinates, crs, geodesic)


@REGISTRY.function("GeometryConstructors.Polygon")
def polygon(
    coordinates: list[Any],
    crs: Projection | None = None,
    geodesic: bool | None = None,
    maxError: ErrorMargin | None = None,
    evenOdd: bool = True,
) -> Geometry:
    """Make a polygon of rings; the interior is what an odd number of them surrounds."""
    return _build("Polygon", coordinates, crs, geodesic)


@REGISTRY.function("GeometryConstructors.MultiPolygon")
def multi_polygon(
    coordinates: list[Any],
    crs: Projection | None = None,
    geodesic: bool | None = None,
    maxError: ErrorMargin | None = None,
    evenOdd: bool = True,
) -> Geometry:
    """Make a set of polygons."""
    return _build("MultiPolygon", coordinates, crs, geodesic)


@REGISTRY.function("GeometryConstructors.Rectangle")
def rectangle(
    coordinates: list[Any],
    crs: Projection | None = None,
    geodesic: bool | None = None,
    evenOdd: bool = True,
) -> Geometry:
    """Make a rectangle of two opposite corners, or of west, south, east, north."""
    return _build("Rectangle", coordinates, crs, geodesic)


@REGISTRY.function("GeometryConstructors.BBox")
def bbox(west: float, south: float, east: float, north: float) -> Geometry:
    """Make a rectangle along parallels and meridians; 360° or more wide is all around the Earth."""
    south, north = max(south, -90.0), min(north, 90.0)
    if east - west >= 360:
        west, east = -180.0, 180.0
    else:
        west = (west + 180) % 360 - 180
        east = (east + 180) % 360 - 180
        if east <= west:
            east += 360
    corners = [[west, south], [east, south], [east, north], [west, north]]
    return Geometry(shape_of("Polygon", [corners], "GeometryConstructors.BBox"), geodesic=False)


_MULTI: dict[str, Callable[[Any], Any]] = {
    "Point": MultiPoint,
    "LineString": MultiLineString,
    "Polygon": MultiPolygon,
}


@REGISTRY.function("GeometryConstructors.MultiGeometry")
def multi_geometry(
    geometries: list[Geometry],
    crs: Projection | None = None,
    geodesic: bool | None = None,
    maxError: ErrorMargin | None = None,
) -> Geometry:
    """Make a collection of geometries, in the CRS given or the first one's."""
    where = "GeometryConstructors.MultiGeometry, argument 'geometries'"
    members: list[Geometry] = [coerce(one, Geometry, where) for one in geometries]
    if not members:
        return Geometry(GeometryCollection())
    first = members[0]
    name = crs.crs if crs is not None else first.crs
    edges = first.geodesic if geodesic is None else geodesic
    shapes = [
        one.shape
        if one.shape is not None and one.crs == name and one.geodesic == edges
        else geodesy.straight(one, name)
        for one in members
    ]
    return Geometry(collected(shapes), name, edges)


def collected(shapes: list[Any]) -> Any:
    """Return one shape of several: a Multi of simple ones of a kind, else a collection."""
    kinds = {shape.geom_type for shape in shapes}
    if len(kinds) == 1 and (kind := kinds.pop()) in _MULTI:
        return _MULTI[kind](shapes)
    return GeometryCollection([part for shape in shapes for part in parts_of(shape)])
