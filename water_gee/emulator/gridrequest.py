"""Which pixels a request is about: from the wire's grid, or from the image's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from water_gee.emulator.errors import bad_request, unbounded_image
from water_gee.emulator.pixels import Affine6, Grid, Window
from water_gee.emulator.regions import on_grid, window_of
from water_gee.emulator.values import Image, Projection

_AFFINE_FIELDS = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")


@dataclass(frozen=True, slots=True)
class PixelRequest:
    """A window of a grid.

    Attributes:
        grid: The grid.
        window: The pixels of it.
    """

    grid: Grid
    window: Window

    @property
    def projection(self) -> Projection:
        """The grid moved so that the window's upper left pixel is its first."""
        a, b, c, d, e, f = self.grid.transform
        row, col = self.window.row, self.window.col
        moved = (a, b, c + a * col + b * row, d, e, f + d * col + e * row)
        return Projection(self.grid.crs, moved)


def native_request(image: Image) -> PixelRequest:
    """Return all pixels of an image on the grid of its first band.

    Raises:
        ServiceError: 400: the image has no bands, or no end.
    """
    if not image.bands:
        raise bad_request("Image has no bands.")
    return PixelRequest(grid := image.bands[0].projection.grid, _whole(image, grid))


def _whole(image: Image, grid: Grid) -> Window:
    """Return the smallest window of a grid that holds the image's footprint."""
    band = image.bands[0]
    raster = None
    if band.dimensions is not None and grid == band.projection.grid:
        raster = Window(0, 0, band.dimensions[1], band.dimensions[0])
    footprint = image.footprint
    if footprint is None or footprint.shape is None:
        if raster is None:
            raise unbounded_image()
        return raster
    if footprint.shape.is_empty:
        raise bad_request("Unable to export empty image: its footprint holds no pixel.")
    shape = on_grid(footprint, grid)
    if not all(map(math.isfinite, shape.bounds)):
        raise bad_request(f"The image's footprint does not fit the projection {grid.crs[:40]}.")
    window = window_of(shape)
    if raster is None:
        return window
    both = window.intersect(raster)
    if both is None:
        raise bad_request("Unable to export empty image: its footprint holds no pixel.")
    return both


def wire_request(image: Image, wire: Mapping[str, Any] | None) -> PixelRequest:
    """Return the pixels a `PixelGrid` message asks for; what it leaves out comes from the image.

    Args:
        image: The image asked for.
        wire: `{dimensions, affineTransform, crsCode or crsWkt}`, all optional; None for no message.

    Raises:
        ServiceError: 400: a part of it is malformed, or the image has no end and no dimensions are
            given.
    """
    if not wire:
        return native_request(image)
    if not isinstance(wire, Mapping):
        raise bad_request("grid: expected an object.")
    if not image.bands:
        raise bad_request("Image has no bands.")
    own = image.bands[0].projection
    crs = _crs(wire.get("crsCode") or wire.get("crsWkt") or own.crs)
    affine = wire.get("affineTransform")
    grid = Grid(crs, own.transform if affine is None else _affine(affine))
    dimensions = wire.get("dimensions")
    if dimensions is None:
        return PixelRequest(grid, _whole(image, grid))
    height, width = _side(dimensions, "height"), _side(dimensions, "width")
    if affine is not None:
        return PixelRequest(grid, Window(0, 0, height, width))
    corner = _whole(image, grid)
    return PixelRequest(grid, Window(corner.row, corner.col, height, width))


def _crs(name: Any) -> str:
    try:
        CRS.from_user_input(str(name))
    except CRSError as error:
        raise bad_request(f"grid: The CRS '{str(name)[:80]}' is not recognized.") from error
    return str(name)


def _affine(wire: Any) -> Affine6:
    if not isinstance(wire, Mapping):
        raise bad_request("grid.affineTransform: expected an object.")
    values = [wire.get(name, 0) for name in _AFFINE_FIELDS]
    unknown = set(wire) - set(_AFFINE_FIELDS)
    if unknown:
        raise bad_request(f"grid.affineTransform: unknown field '{min(unknown)}'.")
    for name, value in zip(_AFFINE_FIELDS, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise bad_request(f"grid.affineTransform.{name}: expected a number, got {value!r}.")
    a, b, c, d, e, f = (float(value) for value in values)
    determinant = a * e - b * d
    if not all(map(math.isfinite, (a, b, c, d, e, f))) or determinant == 0:
        raise bad_request("grid.affineTransform: the transform is not invertible.")
    return (a, b, c, d, e, f)


def _side(dimensions: Any, name: str) -> int:
    value = dimensions.get(name) if isinstance(dimensions, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise bad_request(f"grid.dimensions.{name}: expected a positive integer, got {value!r}.")
    return value
