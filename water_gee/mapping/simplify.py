"""Outlines with fewer vertices that still are what they were: whole, apart, with their islands.

A tolerance of 1.5 pixels takes the steps of a raster away and little else: the corners of a
straight shore of pixels, whatever its slope, lie in a strip as wide as a pixel's diagonal, 1.41.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from water_gee.mapping.trace import assembled

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Shapes = npt.NDArray[np.object_]

_RING_CHANGE = (0.35, 0.10)
"""A ring, an outer one or an island, that would change its area by more than this share takes half
the tolerance, and so on. Outer ones are evened out afterwards."""

_BODY_CHANGE = 0.03
"""And a body whose area is still off by more than this share."""

_LEAST = 0.2
"""Pixels; below this tolerance an outline on whole pixels stays as it is."""


def simplified(bodies: Shapes, tolerance: Floats) -> Shapes:
    """Leave out vertices of bodies that lie apart.

    Each ring is simplified by Douglas and Peucker's rule without crossing itself. Where the result
    would make a body invalid, let a body touch another (a lake leave its island, say), or change
    an area too much (an island's by a tenth), half the tolerance is tried, down to the outline as
    it was. So small islands keep their shape, holes stay, and bodies stay apart. At the end
    shores move evenly by a part of a pixel, so that a body has the area it had.

    Args:
        bodies: Multipolygons in pixels, none touching another.
        tolerance: How far a shore may move, in pixels, one for each body.

    Returns:
        As many valid multipolygons.
    """
    out, left = bodies.copy(), np.where(tolerance < _LEAST, 0.0, tolerance)
    area = _area(bodies)
    changed = np.flatnonzero(left > 0)
    while changed.size:
        out[changed] = _simpler(bodies[changed], left[changed])
        wrong = ~shapely.is_valid(out)
        wrong |= (np.abs(_area(out) - area) > _BODY_CHANGE * area) & (left > 0)
        valid = np.flatnonzero(~wrong)
        asked = changed[~wrong[changed]]
        one, other = shapely.STRtree(out[valid]).query(out[asked], predicate="intersects")
        apart = asked[one] != valid[other]
        wrong[asked[one[apart]]] = True
        wrong[valid[other[apart]]] = True
        # Two exact bodies never touch, so that every turn leaves fewer to mend.
        changed = np.flatnonzero(wrong & (left > 0))
        left[changed] /= 2
        left[left < _LEAST] = 0
    return out


def _simpler(bodies: Shapes, tolerance: Floats) -> Shapes:
    """Bodies with every ring simplified on its own; they may come out invalid."""
    parts, body = shapely.get_parts(bodies, return_index=True)
    rings, polygon = shapely.get_rings(parts, return_index=True)
    left, before = tolerance[body[polygon]].copy(), _inside(rings)
    inner = np.append(False, polygon[1:] == polygon[:-1])
    allowed = np.where(inner, _RING_CHANGE[1], _RING_CHANGE[0])
    out = rings.copy()
    todo = np.flatnonzero(left > 0)
    while todo.size:
        out[todo] = shapely.simplify(rings[todo], left[todo], preserve_topology=True)
        off = np.abs(_inside(out[todo]) - before[todo]) > allowed[todo] * before[todo]
        off |= shapely.get_num_coordinates(out[todo]) < 4
        todo = todo[off]
        left[todo] /= 2
        exact = todo[left[todo] < _LEAST]
        out[exact] = rings[exact]
        todo = todo[left[todo] >= _LEAST]
    points, ring = shapely.get_coordinates(out, return_index=True)
    return _evened(assembled(points, ring, polygon, body), _area(bodies))


def _evened(bodies: Shapes, wanted: Floats) -> Shapes:
    """Move shores evenly, by a part of a pixel, so that bodies have the area they had.

    Of the steps of a shore the rule keeps the outermost or the innermost corners, as it happens.
    A body that would lose an island or a part by the move stays where it is.
    """
    valid = shapely.is_valid(bodies)
    have, shore = _area(bodies), np.asarray(shapely.length(bodies), dtype=np.float64)
    offset = np.where(valid, (wanted - have) / np.maximum(shore, 1.0), 0.0)
    moved: Any = shapely.buffer(bodies, offset, join_style="mitre", mitre_limit=2.0)
    better = valid & (np.abs(_area(moved) - wanted) < np.abs(have - wanted))
    better &= _counts(moved) == _counts(bodies)
    single = better & (shapely.get_type_id(moved) == shapely.GeometryType.POLYGON)
    out = bodies.copy()
    out[better] = moved[better]
    if single.any():
        out[single] = shapely.multipolygons(moved[single], indices=np.arange(single.sum()))
    normal: Any = shapely.normalize(out)
    return np.asarray(normal, dtype=object)


def _counts(bodies: Shapes) -> npt.NDArray[np.int64]:
    """Parts and holes of each body, as one number."""
    parts, body = shapely.get_parts(bodies, return_index=True)
    holes = shapely.get_num_interior_rings(parts)
    return np.asarray(np.bincount(body, 1_000_000 + holes, len(bodies)), dtype=np.int64)


def _area(shapes: Shapes) -> Floats:
    return np.asarray(shapely.area(shapes), dtype=np.float64)


def _inside(rings: Shapes) -> Floats:
    filled: Any = shapely.polygons(rings)
    return _area(filled)
