"""`Geometry`: measures, predicates, set operations; on the ellipsoid unless a projection is given.

Every function here takes geometries; `feature.py` registers the same for features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from water_gee.emulator import geodesy
from water_gee.emulator.geojson import coordinates_of, parts_of
from water_gee.emulator.pixels import Grid, same_crs
from water_gee.emulator.regions import at_scale, on_grid, window_of
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import (
    DEFAULT_CRS,
    Collection,
    ErrorMargin,
    Feature,
    Geometry,
    Projection,
)

MAX_CELLS = 100_000
"""Cells a covering grid may have."""

RINGS = ("Polygon",)
LINES = ("LineString", "LinearRing")


def bounded(geometry: Geometry, where: str) -> BaseGeometry:
    """Return a geometry's shape.

    Raises:
        ServiceError: 400: it is unbounded.
    """
    if geometry.shape is None:
        raise bad_request(
            f"{where}: Unable to perform this geometry operation. The geometry is unbounded."
        )
    return geometry.shape


def error_of(margin: ErrorMargin | None) -> float:
    """Return an error margin in metres, the default where there is none."""
    if margin is None or margin.unit != "meters" or margin.value <= 0:
        return geodesy.EDGE_ERROR
    return margin.value


def _planar(geometry: Geometry, proj: Projection, margin: ErrorMargin | None) -> BaseGeometry:
    return geodesy.straight(geometry, proj.crs, error_of(margin))


@REGISTRY.function("Geometry.area")
def area(
    geometry: Geometry, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> float:
    """Return the area in square metres, or in a projection's square units; 0 without polygons."""
    bounded(geometry, "Geometry.area")
    if proj is not None:
        return float(_planar(geometry, proj, maxError).area)
    return geodesy.area(geometry)


@REGISTRY.function("Geometry.length")
def length(
    geometry: Geometry, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> float:
    """Return the length of the lines in metres, or in units of a projection; 0 for polygons."""
    return _length(geometry, maxError, proj, LINES, "Geometry.length")


@REGISTRY.function("Geometry.perimeter")
def perimeter(
    geometry: Geometry, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> float:
    """Return the length of the polygons' rings in metres, or in units of a projection."""
    return _length(geometry, maxError, proj, RINGS, "Geometry.perimeter")


def _length(
    geometry: Geometry,
    margin: ErrorMargin | None,
    proj: Projection | None,
    kinds: tuple[str, ...],
    where: str,
) -> float:
    bounded(geometry, where)
    if proj is None:
        return geodesy.lengths(geometry, kinds)
    parts = parts_of(_planar(geometry, proj, margin))
    return float(sum(part.length for part in parts if part.geom_type in kinds))


@REGISTRY.function("Geometry.bounds")
def bounds(
    geometry: Geometry, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> Geometry:
    """Return the rectangle around a geometry, in EPSG:4326 or the projection given."""
    return geodesy.bounds(geometry, proj)


@REGISTRY.function("Geometry.centroid")
def centroid(
    geometry: Geometry, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> Geometry:
    """Return the centre of the parts of the highest dimension, in an equal-area map around it."""
    shape = bounded(geometry, "Geometry.centroid")
    if proj is not None:
        planar = _planar(geometry, proj, maxError)
        return Geometry(planar.centroid, proj.crs, geometry.geodesic)
    if shape.is_empty or shape.geom_type == "Point":
        return geometry
    return geodesy.locally(geometry, lambda local: local.centroid, "laea")


@REGISTRY.function("Geometry.convexHull")
def convex_hull(
    geometry: Geometry, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> Geometry:
    """Return the convex hull."""
    bounded(geometry, "Geometry.convexHull")
    if proj is not None:
        return Geometry(_planar(geometry, proj, maxError).convex_hull, proj.crs, geodesic=False)
    return geodesy.convex_hull(geometry)


@REGISTRY.function("Geometry.buffer")
def buffer(
    geometry: Geometry,
    distance: float,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> Geometry:
    """Return all within a distance in metres, or a projection's units; a negative one shrinks."""
    bounded(geometry, "Geometry.buffer")
    if proj is not None:
        planar = _planar(geometry, proj, maxError)
        return Geometry(planar.buffer(distance), proj.crs, geodesic=False)
    return geodesy.locally(geometry, lambda local: local.buffer(distance))


@REGISTRY.function("Geometry.simplify")
def simplify(geometry: Geometry, maxError: ErrorMargin, proj: Projection | None = None) -> Geometry:
    """Return a geometry of fewer points, at most an error margin off."""
    bounded(geometry, "Geometry.simplify")
    if proj is not None:
        planar = _planar(geometry, proj, maxError)
        return Geometry(planar.simplify(maxError.value), proj.crs, geodesic=False)
    return geodesy.locally(geometry, lambda local: local.simplify(maxError.value))


@REGISTRY.function("Geometry.dissolve")
def dissolve(
    geometry: Geometry, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> Geometry:
    """Return the union of a geometry's parts."""
    shape = bounded(geometry, "Geometry.dissolve")
    if proj is not None:
        return Geometry(shapely.union_all(_planar(geometry, proj, maxError)), proj.crs, False)
    return Geometry(shapely.unary_union(shape), geometry.crs, geometry.geodesic)


@REGISTRY.function("Geometry.transform")
def transform(
    geometry: Geometry,
    proj: Projection = Projection(),  # noqa: B008 - frozen
    maxError: ErrorMargin | None = None,
    geodesic: bool | None = None,
) -> Geometry:
    """Return a geometry in another CRS, with straight or geodesic edges there.

    Coordinates are in the CRS's units, also where the projection's pixels are not.
    """
    if geometry.shape is None:
        return geometry
    edges = geometry.geodesic if geodesic is None else geodesic
    if edges == geometry.geodesic and same_crs(geometry.crs, proj.crs):
        return geometry
    if edges and geometry.geodesic:
        return Geometry(geodesy.reproject(geometry.shape, geometry.crs, proj.crs), proj.crs, True)
    return Geometry(geodesy.straight(geometry, proj.crs, error_of(maxError)), proj.crs, edges)


@REGISTRY.function("Geometry.intersects")
def intersects(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> bool:
    """Say whether two geometries share a point."""
    return geodesy.intersects(left, right, proj)


@REGISTRY.function("Geometry.disjoint")
def disjoint(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> bool:
    """Say whether two geometries share no point."""
    return not geodesy.intersects(left, right, proj)


@REGISTRY.function("Geometry.contains")
def contains(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> bool:
    """Say whether left contains right."""
    return geodesy.contains(left, right, proj)


@REGISTRY.function("Geometry.containedIn")
def contained_in(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> bool:
    """Say whether right contains left."""
    return geodesy.contains(right, left, proj)


@REGISTRY.function("Geometry.distance")
def distance(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
    spherical: bool = False,
) -> float:
    """Return the shortest distance in metres, or in units of a projection."""
    if spherical and proj is None:
        raise bad_request(
            "Geometry.distance: distances on the sphere are not implemented by this emulator."
        )
    if proj is not None:
        return float(_planar(left, proj, maxError).distance(_planar(right, proj, maxError)))
    return geodesy.distance(left, right)


@REGISTRY.function("Geometry.coveringGrid")
def covering_grid(geometry: Geometry, proj: Projection, scale: float | None = None) -> Collection:
    """Return the cells of a projection's grid that a geometry meets, indexed `column,row`."""
    where = "Geometry.coveringGrid"
    bounded(geometry, where)
    grid = (proj if scale is None else at_scale(proj, scale)).grid
    shape = on_grid(geometry, grid)
    if shape.is_empty:
        return Collection((), "FeatureCollection")
    window = window_of(shape)
    if window.area > MAX_CELLS:
        raise bad_request(f"{where}: more than {MAX_CELLS} cells.")
    shapely.prepare(shape)
    cells = tuple(
        _cell(grid, col, row)
        for row in range(window.row, window.row + window.height)
        for col in range(window.col, window.col + window.width)
        if shape.intersects(shapely.box(col, row, col + 1, row + 1))
    )
    return Collection(cells, "FeatureCollection")


def _cell(grid: Grid, col: int, row: int) -> Feature:
    """Return the square of one pixel."""
    cols = np.array([col, col + 1, col + 1, col], np.float64)
    rows = np.array([row + 1, row + 1, row, row], np.float64)
    ring = geodesy.columns(*grid.coordinates(cols, rows))
    square = Geometry(shapely.Polygon(ring), grid.crs, geodesic=False)
    return Feature(square, {"system:index": f"{col},{row}"})


@REGISTRY.function("Geometry.withinDistance")
def within_distance(
    left: Geometry,
    right: Geometry,
    distance: float,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> bool:
    """Say whether two geometries are at most a distance apart."""
    between: Callable[..., float] = REGISTRY.get("Geometry.distance").implementation
    return between(left, right, maxError, proj) <= distance


Operation = Callable[[BaseGeometry, BaseGeometry], BaseGeometry]


def combined(
    left: Geometry,
    right: Geometry,
    proj: Projection | None,
    margin: ErrorMargin | None,
    operation: Operation,
) -> Geometry:
    """Return a set operation's result: in the projection given, else as the left geometry is."""
    if proj is not None:
        one, two = _planar(left, proj, margin), _planar(right, proj, margin)
        return Geometry(operation(one, two), proj.crs, geodesic=False)
    if not left.geodesic and not right.geodesic and same_crs(left.crs, right.crs):
        one, two = bounded(left, "Geometry"), bounded(right, "Geometry")
        return Geometry(operation(one, two), left.crs, geodesic=False)
    one, two = geodesy.together(left, right, error=error_of(margin))
    result = Geometry(operation(one, two))
    if left.geodesic and same_crs(left.crs, DEFAULT_CRS):
        return result
    return transform(result, Projection(left.crs), margin, left.geodesic)


@REGISTRY.function("Geometry.intersection")
def intersection(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> Geometry:
    """Return what both geometries hold."""
    if left.shape is None or right.shape is None:
        return right if left.shape is None else left
    return combined(left, right, proj, maxError, shapely.intersection)


@REGISTRY.function("Geometry.union")
def union(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> Geometry:
    """Return what either geometry holds."""
    if left.shape is None or right.shape is None:
        return Geometry(None)
    return combined(left, right, proj, maxError, shapely.union)


@REGISTRY.function("Geometry.difference")
def difference(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> Geometry:
    """Return what left holds and right does not."""
    bounded(left, "Geometry.difference")
    if right.shape is None:
        return Geometry(shapely.Polygon(), left.crs, left.geodesic)
    return combined(left, right, proj, maxError, shapely.difference)


@REGISTRY.function("Geometry.symmetricDifference")
def symmetric_difference(
    left: Geometry,
    right: Geometry,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> Geometry:
    """Return what one of two geometries holds and the other does not."""
    bounded(left, "Geometry.symmetricDifference")
    bounded(right, "Geometry.symmetricDifference")
    return combined(left, right, proj, maxError, shapely.symmetric_difference)


@REGISTRY.function("Geometry.coordinates")
def coordinates(geometry: Geometry) -> list[object]:
    """Return the coordinates, nested as in GeoJSON."""
    return coordinates_of(bounded(geometry, "Geometry.coordinates"))


@REGISTRY.function("Geometry.geodesic", "Geometry.edgesAreGeodesics")
def geodesic(geometry: Geometry) -> bool:
    """Say whether edges are geodesics."""
    return geometry.geodesic


@REGISTRY.function("Geometry.geometries")
def geometries(geometry: Geometry) -> list[Geometry]:
    """Return the geometries that a geometry is made of."""
    shape = bounded(geometry, "Geometry.geometries")
    return [Geometry(part, geometry.crs, geometry.geodesic) for part in shapely.get_parts(shape)]


@REGISTRY.function("Geometry.isUnbounded")
def is_unbounded(geometry: Geometry) -> bool:
    """Say whether a geometry has no bounds."""
    return geometry.shape is None


@REGISTRY.function("Geometry.projection")
def projection(geometry: Geometry) -> Projection:
    """Return the projection of the coordinates."""
    return Projection(geometry.crs)


@REGISTRY.function("Geometry.type")
def type_(geometry: Geometry) -> str:
    """Return the GeoJSON type."""
    return "Polygon" if geometry.shape is None else str(geometry.shape.geom_type)
