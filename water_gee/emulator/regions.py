"""Shapes on a pixel grid: which pixels lie inside, how much of each, which window holds them.

A pixel lies inside where its centre does (`docs/decisions/regions.md`). A point covers the pixel it
falls in; a line those it crosses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from water_gee.emulator.geodesy import straight
from water_gee.emulator.pixels import Context, Grid, Mask, Values, Window, meters_per_unit
from water_gee.emulator.registry import bad_request
from water_gee.emulator.values import DEFAULT_CRS, Geometry, Projection

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

DEGREE = 1000.0
"""Metres that a unit of a CRS has at least where it is a degree."""

BLOCK = 64
"""Pixels a side of the blocks that are looked at as a whole first."""

EDGE_FRACTION = 0.01
"""How far, in pixels, the cut edges of a shape may leave the true ones."""

LEAST_COVER = 0.005
"""Fraction of a pixel below which a region does not reach it (the guide: «approximately 0.5%»)."""

Inside = Callable[[Grid, Window, Context], Mask]


def pixel_error(grid: Grid) -> float:
    """Return the error in metres allowed for edges on a grid."""
    a, b, _, d, e, _ = grid.transform
    return EDGE_FRACTION * meters_per_unit(grid.crs) * math.sqrt(abs(a * e - b * d))


def inside(geometry: Geometry) -> Inside:
    """Return the test of which pixel centres lie in a geometry: None for all of them."""
    if geometry.shape is None:
        return lambda *_: None
    crs = DEFAULT_CRS if geometry.geodesic else geometry.crs

    def test(grid: Grid, window: Window, context: Context) -> Mask:
        shape = straight(geometry, crs, pixel_error(grid))
        x, y = context.places(crs, grid, window)
        found = contained(shape, x, y)
        for turn in _turns(shape, x) if meters_per_unit(crs) > DEGREE else ():
            found |= contained(shape, x + turn, y)
        return None if found.all() else found

    return test


def _turns(shape: BaseGeometry, x: Values) -> list[float]:
    """Return the turns around the Earth that may bring places into a shape across ±180 degrees."""
    if shape.is_empty or not np.isfinite(x).any():
        return []
    west, _, east, _ = shape.bounds
    low, high = np.nanmin(x), np.nanmax(x)
    return [turn for turn in (-360.0, 360.0) if low + turn <= east and high + turn >= west]


def contained(shape: BaseGeometry, x: Values, y: Values) -> Values:
    """Return which places lie in a shape or on its edge, bool `(row, col)`.

    Blocks that lie wholly in or out are settled by their bounding box.
    """
    result = np.zeros(x.shape, bool)
    if shape.is_empty:
        return result
    west, south, east, north = shape.bounds
    if shapely.get_dimensions(shape) == 2 and shape.equals(shapely.box(*shape.bounds)):
        return np.asarray((x >= west) & (x <= east) & (y >= south) & (y <= north))
    shapely.prepare(shape)
    for top in range(0, x.shape[0], BLOCK):
        for left in range(0, x.shape[1], BLOCK):
            cut = slice(top, top + BLOCK), slice(left, left + BLOCK)
            result[cut] = _contained_block(shape, x[cut], y[cut])
    return result


def _contained_block(shape: BaseGeometry, x: Values, y: Values) -> Values | bool:
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return np.asarray(shapely.intersects_xy(shape, x, y))
    hull = shapely.box(x.min(), y.min(), x.max(), y.max())
    if not shape.intersects(hull):
        return False
    if shape.covers(hull):
        return True
    return np.asarray(shapely.intersects_xy(shape, x, y))


def on_grid(geometry: Geometry, grid: Grid) -> BaseGeometry:
    """Return a bounded geometry's shape in pixel (column, row) coordinates of a grid."""
    shape = straight(geometry, grid.crs, pixel_error(grid))
    return shapely.transform(
        shape, lambda points: np.column_stack(grid.positions(points[:, 0], points[:, 1]))
    )


def window_of(shape: BaseGeometry) -> Window:
    """Return the smallest window that holds a shape given in pixels, at least one pixel.

    Edges within a millionth of a pixel of a pixel's edge lie on it.
    """
    left, top, right, bottom = shape.bounds
    first_col, first_row = math.floor(left + 1e-6), math.floor(top + 1e-6)
    last_col, last_row = math.ceil(right - 1e-6), math.ceil(bottom - 1e-6)
    return Window(first_row, first_col, max(1, last_row - first_row), max(1, last_col - first_col))


def coverage(shape: BaseGeometry, window: Window) -> tuple[Values, Values]:
    """Return how much of each pixel a shape covers, and which centres it holds.

    Args:
        shape: In pixel coordinates.
        window: The pixels asked about.

    Returns:
        Fractions, float64 `(row, col)` (below `LEAST_COVER`: 0), and centres, bool `(row, col)`.
        Pixels that points or lines touch count in full.
    """
    fractions = np.zeros(window.shape)
    centers = np.zeros(window.shape, bool)
    shapely.prepare(shape)
    for top in range(0, window.height, BLOCK):
        for left in range(0, window.width, BLOCK):
            rows = np.arange(top, min(top + BLOCK, window.height)) + window.row
            cols = np.arange(left, min(left + BLOCK, window.width)) + window.col
            hull = shapely.box(cols[0], rows[0], cols[-1] + 1, rows[-1] + 1)
            cut = slice(top, top + BLOCK), slice(left, left + BLOCK)
            if shape.covers(hull) and shapely.get_dimensions(shape) == 2:
                fractions[cut] = 1
                centers[cut] = True
            elif shape.intersects(hull):
                fractions[cut], centers[cut] = _coverage_block(shape, hull, rows, cols)
    return np.where(fractions >= LEAST_COVER, fractions, 0), centers


def _coverage_block(
    shape: BaseGeometry, hull: BaseGeometry, rows: Values, cols: Values
) -> tuple[Values, Values]:
    col, row = np.meshgrid(cols.astype(float), rows.astype(float))
    part = shape.intersection(hull)
    squares = shapely.box(col, row, col + 1, row + 1)
    shapely.prepare(part)
    fractions: Values = shapely.covers(part, squares).astype(float)
    partly = (fractions == 0) & shapely.intersects(part, squares)
    fractions[partly] = shapely.area(shapely.intersection(part, squares[partly]))
    centers: Values = np.asarray(shapely.intersects_xy(part, col + 0.5, row + 0.5))
    for piece in _thin(shape):
        touched = _touched(piece.intersection(hull), col, row)
        fractions[touched] = 1
        centers |= touched
    return fractions, centers


def _thin(shape: BaseGeometry) -> list[BaseGeometry]:
    """Return the parts of a shape that have no area."""
    return [part for part in shapely.get_parts(shape) if shapely.get_dimensions(part) < 2]


def _touched(part: BaseGeometry, col: Values, row: Values) -> Values:
    """Return the pixels that hold a point (edges are the next pixel's) or that a line crosses."""
    if part.is_empty:
        return np.zeros(col.shape, bool)
    if shapely.get_dimensions(part) == 0:
        points = np.floor(shapely.get_coordinates(part) + 1e-9)
        hits = np.array([(col == x) & (row == y) for x, y in points], bool)
        return np.asarray(np.logical_or.reduce(hits))
    inner = shapely.box(col + 1e-9, row + 1e-9, col + 1 - 1e-9, row + 1 - 1e-9)
    return np.asarray(shapely.intersects(part, inner))


def at_scale(projection: Projection, scale: float) -> Projection:
    """Return a projection with pixels of a nominal size in metres and the same origin.

    Raises:
        ServiceError: 400: the scale is not above 0.
    """
    if not scale > 0:
        raise bad_request(f"Projection: The scale must be positive. Got {scale}.")
    a, b, c, d, e, f = projection.transform
    size = math.hypot(a, d) * meters_per_unit(projection.crs)
    k = scale / size
    return Projection(projection.crs, (a * k, b * k, c, d * k, e * k, f))


def check_transform(values: list[Any], where: str) -> tuple[float, ...]:
    """Return six numbers of a CRS transform, in Earth Engine's order.

    Raises:
        ServiceError: 400: there are not six numbers, or they squash pixels flat.
    """
    numbers = [one for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]
    if len(numbers) != 6 or len(values) != 6:
        raise bad_request(f"{where}: A CRS transform has 6 numbers. Got {values}.")
    a, b, _, d, e, _ = numbers
    if a * e - b * d == 0:
        raise bad_request(f"{where}: The CRS transform {values} is not invertible.")
    return tuple(float(number) for number in numbers)


def chosen(
    projection: Projection,
    crs: Projection | None,
    transform: list[Any] | None,
    scale: float | None,
    where: str,
) -> Projection:
    """Return the projection that `crs`, `crsTransform` and `scale` ask for.

    Args:
        projection: Where none is named.
        crs: The projection named.
        transform: Replaces its transform.
        scale: Nominal size of a pixel in metres; excludes a transform.
        where: The function, for messages.

    Raises:
        ServiceError: 400: both are given, or the transform is none.
    """
    if transform is not None and scale is not None:
        raise bad_request(f"{where}: Only one of 'crsTransform' and 'scale' may be specified.")
    result = projection if crs is None else crs
    if transform is not None:
        a, b, c, d, e, f = check_transform(transform, where)
        return Projection(result.crs, (a, b, c, d, e, f))
    return result if scale is None else at_scale(result, scale)
