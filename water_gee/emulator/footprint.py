"""The outline of a raster on the Earth."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyproj import Transformer
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from water_gee.emulator.values import DEFAULT_CRS, Projection

POINTS_PER_EDGE = 8
"""Corners an edge is given, so that it may be drawn straight in degrees."""


def outline(projection: Projection, shape: tuple[int, int]) -> dict[str, Any]:
    """Return the outline of a raster as GeoJSON in degrees.

    Args:
        projection: The raster's grid.
        shape: `(row, col)`.

    Returns:
        A Polygon; a MultiPolygon where it crosses the antimeridian.
    """
    rows, cols = shape
    # Edges along meridians and parallels are straight in degrees already.
    points = 1 if projection.crs == DEFAULT_CRS else POINTS_PER_EDGE
    steps = np.linspace(0, 1, points, endpoint=False)
    zeros, ones = np.zeros_like(steps), np.ones_like(steps)
    col = np.concatenate([zeros, steps, ones, 1 - steps]) * cols
    row = np.concatenate([steps, ones, 1 - steps, zeros]) * rows
    x, y = projection.grid.coordinates(col, row)
    if projection.crs != DEFAULT_CRS:
        x, y = Transformer.from_crs(projection.crs, DEFAULT_CRS, always_xy=True).transform(x, y)
    if np.ptp(x) <= 180:
        return _as_json(Polygon(zip(x, y, strict=True)))
    unwrapped = Polygon(zip(np.where(x < 0, x + 360, x), y, strict=True))
    east = unwrapped.intersection(box(0, -90, 180, 90))
    west = translate(unwrapped.intersection(box(180, -90, 540, 90)), xoff=-360)
    parts = [part for part in (east, west) if isinstance(part, Polygon) and not part.is_empty]
    return _as_json(parts[0] if len(parts) == 1 else MultiPolygon(parts))


def _as_json(shape: Polygon | MultiPolygon) -> dict[str, Any]:
    found = mapping(shape)

    def as_lists(part: Any) -> Any:
        return [as_lists(one) for one in part] if isinstance(part, tuple) else part

    return {"type": found["type"], "coordinates": as_lists(found["coordinates"])}
