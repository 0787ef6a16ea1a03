"""Geometries from and to GeoJSON, with Earth Engine's `crs`, `geodesic` and `LinearRing`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import (
    GeometryCollection,
    LinearRing,
    LineString,
    MultiLineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
)
from shapely.geometry.base import BaseMultipartGeometry

from water_gee.emulator.pixels import same_crs
from water_gee.emulator.registry import bad_request
from water_gee.emulator.values import DEFAULT_CRS, Geometry

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Coordinates = Sequence[Any]


def shape_of(kind: str, coordinates: Any, where: str = "Geometry") -> BaseGeometry:
    """Return a shape from its GeoJSON type and nested coordinates.

    Points inside may be given as point geometries, and a polygon as one ring of points. Rings need
    not be closed. Interiors follow the even-odd rule.

    Args:
        kind: `Point`, `Polygon`, ...; `Rectangle` takes two corners.
        coordinates: Nested lists of numbers.
        where: The function, for messages.

    Raises:
        ServiceError: 400: the numbers make no such shape.
    """
    plain = _plain(coordinates)
    builder = _BUILDERS.get(kind)
    if builder is None:
        raise bad_request(f"{where}: Unknown geometry type '{kind}'.")
    try:
        return builder(plain)
    except (TypeError, ValueError, IndexError, shapely.errors.GEOSException) as error:
        raise bad_request(f"{where}: Invalid coordinates for a {kind}: {error}.") from error


def _plain(coordinates: Any) -> Any:
    """Replace point geometries by their coordinates, whatever the nesting."""
    if isinstance(coordinates, Geometry) and coordinates.shape is not None:
        return coordinates_of(coordinates.shape)
    if isinstance(coordinates, (list, tuple)):
        return [_plain(one) for one in coordinates]
    return coordinates


def _point(xy: Coordinates) -> list[float]:
    x, y = xy[0], xy[1]
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not isinstance(y, (int, float)):
        raise TypeError(f"a point needs two numbers, not {list(xy)!r}")
    return [float(x), float(y)]


def _points(coordinates: Coordinates) -> list[list[float]]:
    """Accept a list of points, or one flat list of numbers."""
    if coordinates and isinstance(coordinates[0], (int, float)):
        if len(coordinates) % 2:
            raise ValueError("an odd number of coordinates")
        return [_point(coordinates[i : i + 2]) for i in range(0, len(coordinates), 2)]
    return [_point(one) for one in coordinates]


def _depth(coordinates: Any) -> int:
    depth = 0
    while isinstance(coordinates, (list, tuple)):
        depth += 1
        coordinates = coordinates[0] if coordinates else None
    return depth


def _ring(coordinates: Coordinates) -> list[list[float]]:
    ring = _points(coordinates)
    if ring and ring[0] != ring[-1]:
        ring.append(ring[0])
    if 0 < len(ring) < 4:
        raise ValueError("a ring needs at least 3 different points")
    return ring


def _polygon(coordinates: Coordinates) -> BaseGeometry:
    rings = [coordinates] if _depth(coordinates) < 3 else coordinates
    closed = [ring for ring in (_ring(one) for one in rings) if ring]
    if not closed:
        return Polygon()
    polygon = Polygon(closed[0], closed[1:])
    return polygon if polygon.is_valid else _even_odd(closed)


def _even_odd(rings: Sequence[Sequence[Sequence[float]]]) -> BaseGeometry:
    """Return the places that an odd number of rings surrounds."""
    result: BaseGeometry = Polygon()
    for ring in rings:
        result = result.symmetric_difference(shapely.make_valid(Polygon(ring)))
    return areas(result)


def areas(shape: BaseGeometry) -> BaseGeometry:
    """Return only the polygons of a shape, as a Polygon where there is one."""
    parts = [p for p in parts_of(shape) if isinstance(p, Polygon) and not p.is_empty]
    if len(parts) == 1:
        return parts[0]
    return MultiPolygon(parts) if parts else Polygon()


def parts_of(shape: BaseGeometry) -> list[BaseGeometry]:
    """Return the simple shapes that a shape is made of."""
    if isinstance(shape, BaseMultipartGeometry):
        return [part for member in shape.geoms for part in parts_of(member)]
    return [shape]


def _multi_polygon(coordinates: Coordinates) -> BaseGeometry:
    if _depth(coordinates) < 4:
        coordinates = [coordinates]
    parts = [part for one in coordinates for part in parts_of(_polygon(one))]
    polygons = [part for part in parts if isinstance(part, Polygon)]
    multi = MultiPolygon(polygons)
    return multi if multi.is_valid else areas(shapely.union_all(polygons))


def _rectangle(coordinates: Coordinates) -> BaseGeometry:
    corners = _points(coordinates)
    if len(corners) != 2:
        raise ValueError("a rectangle needs two corners")
    (x1, y1), (x2, y2) = corners
    return Polygon([(x1, y2), (x1, y1), (x2, y1), (x2, y2)])


def _lines(coordinates: Coordinates) -> list[list[list[float]]]:
    return [_points(one) for one in ([coordinates] if _depth(coordinates) < 3 else coordinates)]


_BUILDERS = {
    "Point": lambda c: Point(_point(c)) if c else Point(),
    "MultiPoint": lambda c: MultiPoint(_points(c)),
    "LineString": lambda c: LineString(_points(c)),
    "LinearRing": lambda c: LinearRing(_ring(c)),
    "MultiLineString": lambda c: MultiLineString(_lines(c)),
    "Polygon": _polygon,
    "MultiPolygon": _multi_polygon,
    "Rectangle": _rectangle,
}


def geometry_from_json(value: Mapping[str, Any]) -> Geometry:
    """Return the geometry that a GeoJSON object (geometry, feature or collection) describes.

    Raises:
        ServiceError: 400: it describes none.
    """
    kind = value.get("type")
    if kind == "Feature":
        inner = value.get("geometry")
        return geometry_from_json(inner) if inner else Geometry(GeometryCollection())
    crs = crs_name(value.get("crs"))
    geodesic = value.get("geodesic")
    if kind in ("GeometryCollection", "FeatureCollection"):
        members = value.get("geometries" if kind == "GeometryCollection" else "features") or []
        shapes = [one.shape for one in map(geometry_from_json, members) if one.shape is not None]
        shape: BaseGeometry = GeometryCollection(shapes)
    else:
        shape = shape_of(str(kind), value.get("coordinates") or [])
    return Geometry(shape, crs, is_geodesic_by_default(crs) if geodesic is None else bool(geodesic))


def crs_name(crs: Any) -> str:
    """Return the name in GeoJSON's old `crs` member, `EPSG:4326` where there is none."""
    if isinstance(crs, Mapping):
        crs = crs.get("properties", {}).get("name")
    return crs if isinstance(crs, str) else DEFAULT_CRS


def is_geodesic_by_default(crs: str) -> bool:
    """Say whether edges in a CRS are geodesics where nobody says: in WGS 84 they are."""
    return same_crs(crs, DEFAULT_CRS)


def geometry_to_json(geometry: Geometry) -> dict[str, Any]:
    """Return what Earth Engine answers for a geometry.

    `geodesic` is there only where edges are straight in the projection, `crs` only where it is not
    WGS 84.
    """
    if geometry.shape is None:
        world = [[list(corner) for corner in _WORLD]]
        return {"geodesic": False, "type": "Polygon", "coordinates": world}
    result: dict[str, Any] = {}
    if not same_crs(geometry.crs, DEFAULT_CRS):
        result["crs"] = {"type": "name", "properties": {"name": geometry.crs}}
    if not geometry.geodesic and geometry.shape.geom_type not in ("Point", "MultiPoint"):
        result["geodesic"] = False
    return {**result, **_shape_to_json(geometry.shape)}


_WORLD = ((-180, -90), (180, -90), (180, 90), (-180, 90), (-180, -90))


def _shape_to_json(shape: BaseGeometry) -> dict[str, Any]:
    if shape.geom_type == "GeometryCollection":
        members = [_shape_to_json(part) for part in shapely.get_parts(shape)]
        return {"type": "GeometryCollection", "geometries": members}
    return {"type": shape.geom_type, "coordinates": coordinates_of(shape)}


def coordinates_of(shape: BaseGeometry) -> list[Any]:
    """Return a shape's coordinates as GeoJSON nests them, x before y."""
    if shape.is_empty:
        return []
    if isinstance(shape, Polygon):
        return [_pairs(ring) for ring in (shape.exterior, *shape.interiors)]
    if isinstance(shape, BaseMultipartGeometry):
        return [coordinates_of(part) for part in shape.geoms]
    pairs = _pairs(shape)
    return pairs[0] if shape.geom_type == "Point" else pairs


def _pairs(shape: BaseGeometry) -> list[list[float]]:
    return [[number(x), number(y)] for x, y in shapely.get_coordinates(shape).tolist()]


def number(value: float) -> float:
    """Return a number as JSON shows it: whole ones without a fraction."""
    if (
        isinstance(value, float)
        and math.isfinite(value)
        and value == int(value)
        and abs(value) < 1e15
    ):
        return int(value)
    return value
