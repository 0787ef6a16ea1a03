"""Shapes of any coordinate system in degrees, and shapes in degrees on the one Earth there is."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import ProjError

from water_gee.errors import AoiError, AreaRepairedWarning

if TYPE_CHECKING:
    import numpy.typing as npt
    from shapely.geometry.base import BaseGeometry

    Shapes = npt.NDArray[np.object_]
    """`(n,)` shapely geometries."""

Area = shapely.Polygon | shapely.MultiPolygon

_LATITUDE, _LONGITUDE = 90.0, 180.0

_ROUNDING = 1e-9
"""Degrees, a tenth of a millimetre: what lies less far beyond ±90 or ±180 came from rounding."""

_STEPS = 200
"""Pieces of the longer side of a projected polygon, between which its edges are taken as straight:
one of 2000 km in EPSG:3035 comes out some metres from where it is."""

_SHORT = 1000.0
"""Metres. Shorter edges get no corners between: one along the parallel of 60° comes out 4 cm off,
by `length² tan(latitude) / (8 * 6371 km)`."""

_COLLECTION, _POLYGON = 7, 3
"""Of `shapely.GeometryType`."""


def to_degrees(shapes: Any, system: pyproj.CRS, what: str) -> list[BaseGeometry]:
    """Bring shapes of another coordinate system to EPSG:4326, longitude first.

    A straight edge of a projection is none in degrees, so polygons get corners between first: at
    1/200 of their extent, and at least 1 km apart. These also show which way a polygon goes: one
    across ±180° is cut there, one around a pole goes along it.

    Args:
        shapes: shapely geometries.
        system: Theirs.
        what: What to call them in a message.

    Raises:
        AoiError: The system is of no place on the Earth, or a polygon lies partly outside it.
    """
    given = np.array(list(shapes), dtype=np.object_)
    if system.to_epsg() == 4326 or system.to_authority() == ("OGC", "CRS84"):
        return list(given)
    try:
        transformer = pyproj.Transformer.from_crs(system, "EPSG:4326", always_xy=True)
    except ProjError as error:
        raise AoiError(
            f"{what}: its CRS, {system.name!r}, does not say where on the Earth it is; set the one "
            "it was drawn in"
        ) from error
    parts = flat(given)
    drawn = shapely.get_type_id(parts) == _POLYGON
    _check_numbers(parts[drawn])
    if not system.is_geographic:
        parts[drawn] = _with_corners_between(parts[drawn], system)
    found: Shapes = shapely.transform(
        parts,
        lambda points: np.column_stack(transformer.transform(points[:, 0], points[:, 1])),
    )
    corners = shapely.get_coordinates(found[drawn])
    lost = np.flatnonzero(~np.isfinite(corners).all(axis=1))
    if len(lost):
        x, y = shapely.get_coordinates(parts[drawn])[lost[0]]
        raise AoiError(
            f"{what}: its point ({x:.10g}, {y:.10g}) lies outside the projection "
            f"{system.name!r}; cut the area to where that is defined, or give it in degrees"
        )
    if not system.is_geographic:
        rings, owner = shapely.get_rings(found[drawn], return_index=True)
        _, ring = shapely.get_coordinates(rings, return_index=True)
        for index in np.unique(owner[ring[_leaps(found[drawn])]]):
            place = np.flatnonzero(drawn)[index]
            found[place] = _unrolled(found[place])
    return list(found)


def on_earth(shape: BaseGeometry) -> Area:
    """The polygons of a shape, valid, joined, and cut at ±180°.

    Args:
        shape: Degrees; longitudes from -360 to 360 mean what lies there on the round Earth.

    Returns:
        A valid polygon or multipolygon within ±180 and ±90, without lines, points and heights.

    Raises:
        AoiError: No area, a coordinate out of range, or an edge that may go either way around.

    Warns:
        AreaRepairedWarning: A polygon crossed itself, and was made valid.
    """
    parts = flat(shape)
    polygons = parts[shapely.get_type_id(parts) == _POLYGON]
    if not len(parts):
        raise AoiError("the area is empty; give one with a polygon in it")
    if not len(polygons):
        raise AoiError(_no_area(parts))
    _check_numbers(polygons)
    _check_range(shapely.bounds(polygons))
    _check_leaps(polygons)
    wrong = polygons[~shapely.is_valid(polygons)]
    sound = flat(shapely.make_valid(polygons))
    sound = sound[shapely.area(sound) > 0]
    joined = shapely.union_all(_wrapped(sound))
    if joined.is_empty or not isinstance(joined, Area):
        raise AoiError(_no_area(polygons))
    if len(wrong):
        warnings.warn(
            f"the area was repaired: {len(wrong)} of {len(polygons)} polygons cross or touch "
            f"themselves ({shapely.is_valid_reason(wrong[0])}); make sure that it covers what it "
            "should",
            AreaRepairedWarning,
            stacklevel=4,
        )
    if len(_leaps(np.array([joined]))):
        joined = shapely.segmentize(joined, _LONGITUDE)
    return joined


def flat(shape: Any) -> Shapes:
    """The parts of shapes that have no parts and are not empty, in two dimensions."""
    parts = shapely.get_parts(np.atleast_1d(shape))
    while (shapely.get_type_id(parts) == _COLLECTION).any():
        parts = shapely.get_parts(parts)
    parts = shapely.get_parts(parts)
    found: Shapes = shapely.force_2d(parts[~shapely.is_empty(parts)])
    return found


def box(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """A box in degrees; west above east crosses 180°, and goes around to east from there.

    Raises:
        AoiError: It is empty, or out of range.
    """
    _check_range(np.array([[west, south, east, north]]))
    if south >= north or west == east or (west > east and max(west, -east) > _LONGITUDE):
        raise AoiError(
            f"the box ({west:g}, {south:g}, {east:g}, {north:g}) is empty: "
            "it must be (west, south, east, north)"
        )
    if west > east > 0:
        west -= 360
    elif west > east:
        east += 360
    wide: BaseGeometry = shapely.segmentize(shapely.box(west, south, east, north), _LONGITUDE)
    return wide


def _no_area(parts: Shapes) -> str:
    kinds = " and ".join(sorted({part.geom_type.lower() for part in parts}))
    return f"a {kinds} has no area; draw a polygon around it, or buffer it"


def _check_numbers(polygons: Shapes) -> None:
    if not np.isfinite(shapely.get_coordinates(polygons)).all():
        raise AoiError("the area has a coordinate that is no number")


def _check_range(bounds: npt.NDArray[np.float64]) -> None:
    """Check `(n, 4)` bounds: several areas may lie anywhere, each goes at most once around."""
    west, south = (float(number) for number in bounds[:, :2].min(axis=0))
    east, north = (float(number) for number in bounds[:, 2:].max(axis=0))
    for latitude in (south, north):
        if abs(latitude) > _LATITUDE + _ROUNDING:
            swapped = all(abs(n) <= _LATITUDE for n in (west, east)) and abs(latitude) <= _LONGITUDE
            hint = "are longitude and latitude swapped?" if swapped else "coordinates in degrees?"
            raise AoiError(f"latitude {latitude:g} is outside -90..90; {hint}")
    for longitude in (west, east):
        if abs(longitude) > 2 * _LONGITUDE:
            raise AoiError(f"longitude {longitude:g} is outside -360..360; coordinates in degrees?")
    west, _, east, _ = bounds[np.argmax(bounds[:, 2] - bounds[:, 0])]
    if east - west > 2 * _LONGITUDE + _ROUNDING:
        raise AoiError(
            f"from longitude {west:g} to {east:g} the area goes more than once around the Earth"
        )


def _leaps(polygons: Shapes) -> npt.NDArray[np.intp]:
    """The places, among all coordinates of polygons, of edges over more than half of a circle.

    An edge over the whole circle, from -180 to 180, leaves no doubt.
    """
    rings = shapely.get_rings(polygons)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    wide = np.abs(np.diff(points[:, 0]))
    doubtful = (wide > _LONGITUDE + _ROUNDING) & (wide < 2 * _LONGITUDE - _ROUNDING)
    there = (np.diff(ring) == 0) & doubtful
    found: npt.NDArray[np.intp] = np.flatnonzero(there)
    return found


def _check_leaps(polygons: Shapes) -> None:
    found = _leaps(polygons)
    if len(found):
        points = shapely.get_coordinates(shapely.get_rings(polygons))
        (west, lat), (east, _) = points[found[0]], points[found[0] + 1]
        raise AoiError(
            f"an edge from longitude {west:g} to {east:g}, at latitude {lat:g}, may cross 180° or "
            "0°; write longitudes across 180° on beyond it (179 to 181), or cut the area there; "
            "for the way over 0°, put a corner between, or give (west, south, east, north)"
        )


def _wrapped(polygons: Shapes) -> Shapes:
    """Cut polygons at ±180 and bring what lies beyond to where it is."""
    if not len(polygons):
        return polygons
    west, south, east, north = shapely.total_bounds(polygons)
    if max(-west, east) <= _LONGITUDE and max(-south, north) <= _LATITUDE:
        return polygons
    parts: list[Any] = []
    turns = range(math.floor(west / 360 + 0.5), math.ceil(east / 360 - 0.5) + 1)
    for turn in (360 * number for number in turns):
        frame = shapely.box(turn - _LONGITUDE, -_LATITUDE, turn + _LONGITUDE, _LATITUDE)
        inside = flat(shapely.intersection(polygons, frame))
        left, bottom, right, top = shapely.bounds(inside).T
        inside = inside[(right - left > _ROUNDING) & (top - bottom > _ROUNDING)]
        parts.extend(_moved(part, turn) for part in inside if part.geom_type == "Polygon")
    return np.array(parts, dtype=np.object_)


def _moved(shape: Any, degrees: float) -> Any:
    """A shape so much farther to the west."""
    return shapely.transform(shape, lambda points: points - [degrees, 0])


def _with_corners_between(polygons: Shapes, system: pyproj.CRS) -> Shapes:
    """Put corners into the edges of polygons of a projection."""
    west, south, east, north = shapely.bounds(polygons).T
    axes = system.axis_info
    short = _SHORT / (axes[0].unit_conversion_factor if axes else 1.0)
    fine: Shapes = shapely.segmentize(
        polygons, np.maximum(np.maximum(east - west, north - south) / _STEPS, short)
    )
    return fine


def _unrolled(polygon: Any) -> Any:
    """A polygon of short edges on the one Earth, cut at ±180; around a pole it goes along it.

    Followed from corner to corner a ring may run on over several turns, and back. A point is
    inside where it is inside an odd number of times, over all rings and turns.
    """
    inside: Any = shapely.Polygon()
    for ring in shapely.get_rings(polygon):
        run = flat(shapely.make_valid(shapely.Polygon(_without_leaps(ring.coords))))
        for part in _wrapped(run[shapely.area(run) > 0]):
            inside = shapely.symmetric_difference(inside, part)
    return shapely.segmentize(inside, _LONGITUDE)


def _without_leaps(ring: Any) -> npt.NDArray[np.float64]:
    points = np.array(ring)[:, :2]
    points[1:, 0] -= 360 * np.cumsum(np.rint(np.diff(points[:, 0]) / 360))
    if abs(points[-1, 0] - points[0, 0]) < _LONGITUDE:
        return points
    pole = math.copysign(_LATITUDE, points[:, 1].mean())
    along = [[points[-1, 0], pole], [points[0, 0], pole], points[0]]
    return np.vstack([points, along])
