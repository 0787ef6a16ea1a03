"""Outlines with fewer vertices that still are what they were: whole, apart, with their islands.

A tolerance of one pixel takes the steps of a raster away and nothing else: no step of a straight
shore, whatever its slope, stands a whole pixel off the line through its corners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from water_gee.mapping.trace import assembled

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Shapes = npt.NDArray[np.object_]

_AREA_CHANGE = 0.10
"""A ring whose area would change by more than this share takes half the tolerance, and so on."""

_LEAST = 0.2
"""Pixels; below this tolerance an outline on whole pixels stays as it is."""


def simplified(bodies: Shapes, tolerance: Floats) -> Shapes:
    """Leave out vertices of bodies that lie apart.

    Each ring is simplified by Douglas and Peucker's rule without crossing itself. Where the result
    would make a body invalid, let a body touch another (a lake leave its island, say), or change
    the area within a ring by more than a tenth, half the tolerance is tried, down to the outline
    as it was. So small islands keep their shape, holes stay, and bodies stay apart.

    Args:
        bodies: Multipolygons in pixels, none touching another.
        tolerance: How far a shore may move, in pixels, one for each body.

    Returns:
        As many valid multipolygons.
    """
    out, left = bodies.copy(), np.where(tolerance < _LEAST, 0.0, tolerance)
    changed = np.flatnonzero(left > 0)
    while changed.size:
        out[changed] = _simpler(bodies[changed], left[changed])
        wrong = ~shapely.is_valid(out)
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
    left, before = tolerance[body[polygon]].copy(), _area(rings)
    out = rings.copy()
    todo = np.flatnonzero(left > 0)
    while todo.size:
        out[todo] = shapely.simplify(rings[todo], left[todo], preserve_topology=True)
        off = np.abs(_area(out[todo]) - before[todo]) > _AREA_CHANGE * before[todo]
        off |= shapely.get_num_coordinates(out[todo]) < 4
        todo = todo[off]
        left[todo] /= 2
        exact = todo[left[todo] < _LEAST]
        out[exact] = rings[exact]
        todo = todo[left[todo] >= _LEAST]
    points, ring = shapely.get_coordinates(out, return_index=True)
    return assembled(points, ring, polygon, body, len(bodies))


def _area(rings: Shapes) -> Floats:
    return np.asarray(shapely.area(shapely.polygons(rings)), dtype=np.float64)
