"""Shapes on the ellipsoid: geodesic edges, other projections, lengths, areas, predicates."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Geod

from water_gee.emulator.geojson import parts_of
from water_gee.emulator.pixels import same_crs, transformer
from water_gee.emulator.properties import geometry_of
from water_gee.emulator.registry import bad_request
from water_gee.emulator.values import DEFAULT_CRS, Collection, Geometry, Projection

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapely.geometry.base import BaseGeometry

WGS84 = Geod(ellps="WGS84")

EARTH_RADIUS = 6378137.0

EDGE_ERROR = 1.0
"""Metres by which a chord may leave the edge it stands for, where nobody says."""

MAX_CUTS = 256
"""Pieces that one edge is cut into at most."""

Points = npt.NDArray[np.float64]


def straight(geometry: Geometry, crs: str = DEFAULT_CRS, error: float = EDGE_ERROR) -> BaseGeometry:
    """Return a geometry's shape in a CRS, edges cut into straight pieces that follow the true ones.

    Args:
        geometry: Bounded.
        crs: Where the shape is wanted.
        error: Metres a cut edge may be off.

    Raises:
        ServiceError: 400: the geometry is unbounded, or cannot be projected.
    """
    if geometry.shape is None:
        raise bad_request("Geometry: the geometry is unbounded.")
    return _straight(geometry.shape, geometry.crs, geometry.geodesic, crs, max(error, 1e-3))


@functools.lru_cache(maxsize=4096)
def _straight(
    shape: BaseGeometry, source: str, geodesic: bool, target: str, error: float
) -> BaseGeometry:
    if shape.is_empty:
        return shape
    if geodesic and _has_edges(shape):
        shape = reproject(shape, source, DEFAULT_CRS)
        shape = densify(unwrapped(shape), lambda a, b: geodesic_points(a, b, error))
        return _valid(reproject(shape, DEFAULT_CRS, target))
    if not same_crs(source, target) and _has_edges(shape):
        shape = densify(shape, lambda a, b: _straight_points(a, b, source, error))
    return _valid(reproject(shape, source, target))


def _has_edges(shape: BaseGeometry) -> bool:
    return bool(shapely.get_dimensions(shape) > 0)


def _valid(shape: BaseGeometry) -> BaseGeometry:
    return shape if shape.is_valid else shapely.make_valid(shape)


def unwrapped(shape: BaseGeometry) -> BaseGeometry:
    """Return a shape in degrees whose lines go on past ±180, each edge the short way round."""

    def line(points: Points) -> Points:
        return columns(np.unwrap(points[:, 0], period=360), points[:, 1])

    return rebuilt(shape, line)


def densify(shape: BaseGeometry, between: Callable[[Points, Points], Points]) -> BaseGeometry:
    """Return a shape with points added to its edges.

    Args:
        shape: Any.
        between: From an edge's two ends to the points between them, `(n, 2)`.
    """

    def line(points: Points) -> Points:
        pieces: list[Points] = []
        for start, end in itertools.pairwise(points):
            pieces += [start[None], between(start, end)]
        return np.concatenate([*pieces, points[-1:]])

    return rebuilt(shape, line)


_MULTI: dict[str, Callable[[Any], BaseGeometry]] = {
    "MultiPoint": shapely.MultiPoint,
    "MultiLineString": shapely.MultiLineString,
    "MultiPolygon": shapely.MultiPolygon,
    "GeometryCollection": shapely.GeometryCollection,
}


def rebuilt(shape: BaseGeometry, change: Callable[[Points], Points]) -> BaseGeometry:
    """Return a shape with each of its lines and rings changed, points as they are."""
    if shape.geom_type in _MULTI:
        return _MULTI[shape.geom_type]([rebuilt(part, change) for part in shapely.get_parts(shape)])
    if shape.is_empty or shape.geom_type == "Point":
        return shape
    if isinstance(shape, shapely.Polygon):
        rings = [change(shapely.get_coordinates(r)) for r in (shape.exterior, *shape.interiors)]
        return shapely.Polygon(rings[0], rings[1:])
    line = shapely.LinearRing if shape.geom_type == "LinearRing" else shapely.LineString
    return line(change(shapely.get_coordinates(shape)))


def geodesic_points(start: Points, end: Points, error: float = EDGE_ERROR) -> Points:
    """Return points along the shortest line between two places in degrees, both left out.

    Longitudes go on from the start's, past ±180 where the line does. The chord of a piece of length
    L at latitude φ leaves the geodesic by about L² tan φ / 8R; φ is the highest on the way.
    """
    azimuth, back, length = WGS84.inv(start[0], start[1], end[0], end[1])
    highest = math.radians(max(abs(start[1]), abs(end[1])))
    if _poleward(azimuth, start[1]) and _poleward(back, end[1]):
        # Clairaut's relation on the sphere: cos φ sin α is the same along the way, and α is a
        # right angle at its vertex.
        vertex = math.cos(math.radians(start[1])) * abs(math.sin(math.radians(azimuth)))
        highest = max(highest, math.acos(min(1.0, vertex)))
    slope = math.tan(min(math.radians(89.0), highest)) + 0.01
    pieces = math.ceil(length * math.sqrt(slope / (8 * EARTH_RADIUS * error)))
    if pieces <= 1 or start[0] == end[0]:
        return np.empty((0, 2))
    count = min(pieces, MAX_CUTS) - 1
    between = np.array(WGS84.npts(start[0], start[1], end[0], end[1], count), np.float64)
    between[:, 0] = start[0] + (between[:, 0] - start[0] + 180) % 360 - 180
    return between


def _poleward(azimuth: float, latitude: float) -> bool:
    """Whether a line that leaves a latitude at this azimuth goes away from the equator."""
    return bool(math.cos(math.radians(azimuth)) * latitude > 0)


def _straight_points(start: Points, end: Points, source: str, error: float) -> Points:
    """Return points along an edge that is straight in `source`, to draw it in another CRS."""
    size = max(float(np.hypot(*(end - start))), 1e-12)
    meters = size * (
        EARTH_RADIUS * math.pi / 180 if CRS.from_user_input(source).is_geographic else 1
    )
    pieces = min(MAX_CUTS, math.ceil(meters * math.sqrt(1 / (8 * EARTH_RADIUS * error))))
    fractions = np.arange(1, pieces)[:, None] / max(pieces, 1)
    points: Points = start + (end - start) * fractions
    return points


def reproject(shape: BaseGeometry, source: str, target: str) -> BaseGeometry:
    """Return a shape's vertices in another CRS.

    Raises:
        ServiceError: 400: some vertex has no place there.
    """
    if same_crs(source, target):
        return shape
    change = transformer(source, target)

    def moved(points: Points) -> Points:
        return np.column_stack(change.transform(points[:, 0], points[:, 1]))

    result = shapely.transform(shape, moved)
    if not np.isfinite(shapely.get_coordinates(result)).all():
        raise bad_request(f"Geometry: unable to transform the geometry from {source} to {target}.")
    return result


def traced(geometry: Geometry) -> BaseGeometry:
    """Return a shape in degrees whose edges may be taken for geodesics, straight ones cut."""
    shape = straight(geometry)
    if geometry.geodesic or not _has_edges(shape):
        return shape
    return densify(shape, lambda a, b: _straight_points(a, b, DEFAULT_CRS, EDGE_ERROR / 10))


def area(geometry: Geometry) -> float:
    """Return the area on the ellipsoid in square metres."""
    return sum(
        (
            abs(float(WGS84.geometry_area_perimeter(shapely.geometry.polygon.orient(part))[0]))
            for part in parts_of(traced(geometry))
            if isinstance(part, shapely.Polygon)
        ),
        0.0,
    )


def lengths(geometry: Geometry, kinds: tuple[str, ...]) -> float:
    """Return the length in metres of the parts of some kinds; polygons have that of their rings."""
    total = 0.0
    for part in parts_of(traced(geometry)):
        if part.geom_type in kinds and not part.is_empty:
            rings = (
                [part.exterior, *part.interiors] if isinstance(part, shapely.Polygon) else [part]
            )
            total += sum(WGS84.geometry_length(shapely.LineString(ring.coords)) for ring in rings)
    return total


def around(shape: BaseGeometry, kind: str = "aeqd") -> str:
    """Return a CRS in metres around a shape in degrees, true near it: `aeqd` or `laea`."""
    west, south, east, north = shape.bounds
    return (
        f"+proj={kind} +lat_0={(south + north) / 2!r} +lon_0={(west + east) / 2!r} "
        "+datum=WGS84 +units=m +no_defs"
    )


def locally(
    geometry: Geometry, change: Callable[[BaseGeometry], BaseGeometry], kind: str = "aeqd"
) -> Geometry:
    """Return a geometry changed in metres around it, back in degrees with geodesic edges."""
    shape = straight(geometry)
    if shape.is_empty:
        return Geometry(shape)
    crs = around(shape, kind)
    return Geometry(_valid(reproject(change(reproject(shape, DEFAULT_CRS, crs)), crs, DEFAULT_CRS)))


def together(
    left: Geometry, right: Geometry, proj: Projection | None = None, error: float = EDGE_ERROR
) -> tuple[BaseGeometry, BaseGeometry]:
    """Return two geometries in one CRS, in degrees by default.

    There, of two on different sides of the antimeridian the right one is moved by 360°.
    """
    crs = DEFAULT_CRS if proj is None else proj.crs
    one, two = straight(left, crs, error), straight(right, crs, error)
    if proj is None and not one.is_empty and not two.is_empty:
        gap = (one.bounds[0] + one.bounds[2] - two.bounds[0] - two.bounds[2]) / 2
        outside = (
            min(one.bounds[0], two.bounds[0]) < -180 or max(one.bounds[2], two.bounds[2]) > 180
        )
        if outside and abs(gap) > 180:
            turn = np.array([math.copysign(360, gap), 0.0])
            two = shapely.transform(two, lambda points: points + turn)
    return one, two


Extent = tuple[float, float, float, float]
"""West, south, east and north in degrees."""


def extent(geometry: Geometry) -> Extent | None:
    """Return bounds in degrees that surely hold a geometry, cheaply; None where nobody can say so.

    A geodesic between two places at latitude φ that are Δλ apart comes no nearer to the pole than
    atan(tan φ / cos(Δλ / 2)).
    """
    shape = geometry.shape
    if shape is None or shape.is_empty or not same_crs(geometry.crs, DEFAULT_CRS):
        return None
    west, south, east, north = shape.bounds
    if geometry.geodesic and _has_edges(shape):
        if east - west >= 179:
            return None
        slant = math.cos(math.radians(east - west) / 2)
        if north > 0:
            north = (
                math.degrees(math.atan(math.tan(math.radians(min(north, 89.99))) / slant)) + 0.05
            )
        if south < 0:
            south = (
                math.degrees(math.atan(math.tan(math.radians(max(south, -89.99))) / slant)) - 0.05
            )
    return west, south, east, north


def far_apart(one: Extent | None, two: Extent | None) -> bool:
    """Say whether two extents surely share no place, whichever way round the Earth."""
    if one is None or two is None:
        return False
    if one[1] > two[3] or two[1] > one[3]:
        return True
    return all(one[0] > two[2] + turn or two[0] + turn > one[2] for turn in (-360, 0, 360))


def intersects(left: Geometry, right: Geometry, proj: Projection | None = None) -> bool:
    """Say whether two geometries share a point; an unbounded one meets everything."""
    if left.shape is None or right.shape is None:
        return True
    if proj is None and far_apart(extent(left), extent(right)):
        return False
    one, two = together(left, right, proj)
    return bool(one.intersects(two))


def contains(left: Geometry, right: Geometry, proj: Projection | None = None) -> bool:
    """Say whether no point of the right geometry lies outside the left one."""
    if left.shape is None:
        return True
    if right.shape is None:
        return False
    one, two = together(left, right, proj)
    return bool(one.covers(two))


def distance(left: Geometry, right: Geometry) -> float:
    """Return the shortest distance in metres: 0 where they meet, infinite where one is empty."""
    if left.shape is None or right.shape is None:
        return 0.0
    one, two = together(left, right)
    if one.is_empty or two.is_empty:
        return math.inf
    if one.intersects(two):
        return 0.0
    crs = around(shapely.union_all([one, two]))
    near = shapely.shortest_line(reproject(one, DEFAULT_CRS, crs), reproject(two, DEFAULT_CRS, crs))
    return float(WGS84.geometry_length(reproject(near, crs, DEFAULT_CRS)))


def columns(x: Any, y: Any) -> Points:
    """Return two rows of numbers as points, `(n, 2)`."""
    points: Points = np.column_stack((x, y))
    return points


def convex_hull(geometry: Geometry) -> Geometry:
    """Return the convex hull as seen from the middle; its corners are points of the geometry."""
    shape = straight(geometry)
    if shape.is_empty:
        return Geometry(shape)
    points = shapely.get_coordinates(shape)
    local = shapely.get_coordinates(reproject(shape, DEFAULT_CRS, around(shape)))
    place = {tuple(flat): tuple(point) for flat, point in zip(local.tolist(), points, strict=True)}
    hull = shapely.MultiPoint(local).convex_hull
    return Geometry(
        shapely.transform(hull, lambda flat: np.array([place[tuple(one)] for one in flat.tolist()]))
    )


def union(geometries: list[Geometry]) -> Geometry:
    """Return everything that any of the geometries holds; unbounded where one is."""
    if any(one.shape is None for one in geometries):
        return Geometry(None)
    if len(geometries) == 1:
        return geometries[0]
    if not geometries:
        return Geometry(shapely.MultiPoint())
    first = geometries[0]
    alike = all(
        one.geodesic == first.geodesic and same_crs(one.crs, first.crs) for one in geometries
    )
    if alike:
        shapes: list[Any] = [one.shape for one in geometries]
        return Geometry(shapely.union_all(shapes), first.crs, first.geodesic)
    return Geometry(shapely.union_all([straight(one) for one in geometries]))


def bounds(geometry: Geometry, proj: Projection | None = None) -> Geometry:
    """Return the rectangle around a geometry, straight in EPSG:4326 or the projection given."""
    if geometry.shape is None:
        return Geometry(None)
    crs = DEFAULT_CRS if proj is None else proj.crs
    shape = straight(geometry, crs)
    if shape.is_empty:
        return Geometry(shape, crs, geodesic=False)
    west, south, east, north = shape.bounds
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return Geometry(shapely.Polygon(corners), crs, geodesic=False)


def geometries_of(collection: Collection) -> list[Geometry]:
    """Return the geometries of all elements that have one, those of inner collections too."""
    found: list[Geometry] = []
    for item in collection:
        if isinstance(item, Collection):
            found += geometries_of(item)
        elif (geometry := geometry_of(item)) is not None:
            found.append(geometry)
    return found


def union_of(collection: Collection) -> Geometry:
    """Return everything that the elements of a collection cover."""
    return union(geometries_of(collection))
