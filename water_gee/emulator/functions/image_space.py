"""Where an image is: projections, grids, resampling, places as pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from water_gee.emulator.functions.image_mask import clipped
from water_gee.emulator.geodesy import straight
from water_gee.emulator.nodes import Placed, Source, Warp
from water_gee.emulator.pixels import Block, Context, Grid, Node, Values, Window
from water_gee.emulator.regions import at_scale, chosen, on_grid, window_of
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import (
    DEFAULT_CRS,
    DOUBLE,
    WGS84_ONE_DEGREE,
    Band,
    Element,
    ErrorMargin,
    Geometry,
    Image,
    PixelType,
    Projection,
)

if TYPE_CHECKING:
    from collections.abc import Callable

EQUAL_AREA = "EPSG:6933"
"""Cylindrical equal-area on WGS 84: areas there are areas on the ellipsoid."""


@REGISTRY.function("Image.projection", arrays=True)
def projection(image: Image) -> Projection:
    """Return the default projection, the same for all bands."""
    return default_projection(image, "Image.projection")


def default_projection(image: Image, where: str) -> Projection:
    """Return the default projection of an image whose bands agree on it.

    Raises:
        ServiceError: 400: they do not, or there are none.
    """
    found = list(dict.fromkeys(band.projection for band in image.bands))
    if not found:
        raise bad_request(f"{where}: The image has no bands.")
    if len(found) > 1:
        raise bad_request(
            f"{where}: The bands of the specified image contains different projections. "
            "Use Image.select to pick a single band."
        )
    return found[0]


@REGISTRY.function("Image.geometry")
def geometry(
    feature: Element,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
    geodesics: bool | None = None,
) -> Geometry:
    """Return an element's geometry, in a projection if one is named."""
    found = feature.geometry if feature.geometry is not None else Geometry(None)
    if proj is None or found.shape is None:
        return found
    error = 1.0 if maxError is None else maxError.value
    edges = found.geodesic if geodesics is None else geodesics
    return Geometry(straight(found, proj.crs, error), proj.crs, edges)


def on_its_grid(projection: Projection, node: Node) -> Node:
    """Return a node that is computed on a projection's grid and nowhere else."""
    if isinstance(node, Warp) and node.method == "nearest" and node.native == projection.grid:
        return Warp(node, projection.grid) if isinstance(node.inputs[0], Source) else node
    return Warp(node, projection.grid)


@REGISTRY.function("Image.reproject", arrays=True)
def reproject(
    image: Image,
    crs: Projection,
    crsTransform: list[float] | None = None,
    scale: float | None = None,
) -> Image:
    """Return the image computed in a projection, and from there sampled in any other."""
    target = chosen(crs, None, crsTransform, scale, "Image.reproject")
    return image.with_bands(
        replace(band, node=on_its_grid(target, band.node), projection=target, dimensions=None)
        for band in image.bands
    )


@REGISTRY.function("Image.setDefaultProjection", arrays=True)
def set_default_projection(
    image: Image,
    crs: Projection,
    crsTransform: list[float] | None = None,
    scale: float | None = None,
) -> Image:
    """Return the image with another default projection, computed as before."""
    target = chosen(crs, None, crsTransform, scale, "Image.setDefaultProjection")
    return image.with_bands(
        replace(band, projection=target, dimensions=None) for band in image.bands
    )


@REGISTRY.function("Image.resample")
def resample(image: Image, mode: str = "bilinear") -> Image:
    """Return the image interpolated, not sampled, outside its own grid."""
    if mode not in ("bilinear", "bicubic"):
        raise bad_request(f"Image.resample: Unknown mode '{mode}'; it is 'bilinear' or 'bicubic'.")
    return image.with_bands(_resampled(band, mode) for band in image.bands)


def _resampled(band: Band, mode: str) -> Band:
    kind = DOUBLE if band.type.precision == "double" else replace(band.type, precision="float")
    if isinstance(band.node, Warp):
        warp = band.node
        node = Warp(warp.inputs[0], warp.native, mode, pyramid=warp.pyramid)
    elif band.projection == WGS84_ONE_DEGREE and band.dimensions is None:
        # A composite or constant has no pixels of its own to interpolate between.
        return band
    else:
        node = Warp(band.node, band.projection.grid, mode, pyramid=True)
    return replace(band, node=node, type=kind)


@REGISTRY.function("Image.clipToBoundsAndScale", arrays=True)
def clip_to_bounds_and_scale(
    input: Image,
    geometry: Geometry | None = None,
    width: int | None = None,
    height: int | None = None,
    maxDimension: int | None = None,
    scale: float | None = None,
) -> Image:
    """Return the image clipped to a geometry's bounds, its default projection scaled to a size."""
    where = "Image.clipToBoundsAndScale"
    if (width is None) != (height is None):
        raise bad_request(f"{where}: 'width' and 'height' must be given together.")
    if sum(one is not None for one in (width, maxDimension, scale)) > 1:
        raise bad_request(
            f"{where}: Only one of 'width' and 'height', 'maxDimension' and 'scale' may be given."
        )
    if any(one is not None and one < 1 for one in (width, height, maxDimension)):
        raise bad_request(f"{where}: Dimensions must be at least 1.")
    region = input.footprint if geometry is None else geometry
    if region is None or region.shape is None:
        raise bad_request(f"{where}: The geometry for image clipping must not be unbounded.")
    if not input.bands:
        return input
    own = input.bands[0].projection
    if width is not None and height is not None:
        target, window = _fitted(region, own, width, height)
    elif maxDimension is not None:
        target, window = _fitted(region, own, maxDimension, maxDimension, keep_square=True)
    else:
        target = own if scale is None else at_scale(own, scale)
        window = window_of(on_grid(region, target.grid))
    bounds = window_geometry(target, window)
    placed = input.with_bands(
        replace(band, projection=target, dimensions=None) for band in input.bands
    )
    return replace(clipped(placed, bounds), footprint=bounds)


def window_geometry(projection: Projection, window: Window) -> Geometry:
    """Return a window of pixels as a geometry, its edges straight in the projection."""
    cols = np.array([0, window.width, window.width, 0]) + window.col
    rows = np.array([0, 0, window.height, window.height]) + window.row
    x, y = projection.grid.coordinates(cols.astype(float), rows.astype(float))
    return Geometry(shapely.Polygon(np.column_stack([x, y])), projection.crs, geodesic=False)


def _fitted(
    region: Geometry, own: Projection, width: int, height: int, *, keep_square: bool = False
) -> tuple[Projection, Window]:
    """Return a north-up projection in which a region's bounds fill a number of pixels."""
    west, south, east, north = straight(region, own.crs).bounds
    x_size, y_size = (east - west) / width, (north - south) / height
    if keep_square:
        x_size = y_size = max(x_size, y_size)
        width = max(1, math.ceil((east - west) / x_size - 1e-6))
        height = max(1, math.ceil((north - south) / y_size - 1e-6))
    if not (x_size > 0 and y_size > 0):
        raise bad_request("Image.clipToBoundsAndScale: The geometry has no extent.")
    target = Projection(own.crs, (x_size, 0.0, west, 0.0, -y_size, north))
    return target, Window(0, 0, height, width)


def _placed(name: str, function: Callable[..., Block], kind: PixelType = DOUBLE) -> Band:
    return Band(name, kind, Placed((), function, kind.dtype))


@REGISTRY.function("Image.pixelLonLat")
def pixel_lon_lat() -> Image:
    """Return an image of the longitude and latitude of each pixel's centre, in degrees."""

    def longitude(grid: Grid, window: Window, context: Context) -> Block:
        return Block(context.places(DEFAULT_CRS, grid, window)[0])

    def latitude(grid: Grid, window: Window, context: Context) -> Block:
        return Block(context.places(DEFAULT_CRS, grid, window)[1])

    return Image(
        (
            _placed("longitude", longitude, PixelType("double", -180.0, 180.0)),
            _placed("latitude", latitude, PixelType("double", -90.0, 90.0)),
        )
    )


@REGISTRY.function("Image.pixelCoordinates")
def pixel_coordinates(projection: Projection) -> Image:
    """Return an image of the x and y of each pixel's centre, in a projection's pixels."""

    def position(axis: int) -> Callable[..., Block]:
        def made(grid: Grid, window: Window, context: Context) -> Block:
            x, y = context.places(projection.crs, grid, window)
            return Block(projection.grid.positions(x, y)[axis])

        return made

    bands = (_placed("x", position(0)), _placed("y", position(1)))
    return Image(tuple(replace(band, projection=projection) for band in bands))


@REGISTRY.function("Image.pixelArea")
def pixel_area() -> Image:
    """Return an image of the area of each pixel on the ellipsoid, in square metres."""

    def area(grid: Grid, window: Window, context: Context) -> Block:
        corner = Window(window.row, window.col, window.height + 1, window.width + 1)
        half = Grid(grid.crs, _shifted(grid))
        x, y = context.places(EQUAL_AREA, half, corner)
        return Block(_quadrilaterals(x, y))

    return Image((_placed("area", area),))


def _shifted(grid: Grid) -> tuple[float, float, float, float, float, float]:
    """Return a transform whose pixel centres are the corners of the grid's pixels."""
    a, b, c, d, e, f = grid.transform
    return a, b, c - (a + b) / 2, d, e, f - (d + e) / 2


def _quadrilaterals(x: Values, y: Values) -> Values:
    """Return the areas between corners `(row + 1, col + 1)`: half the diagonals' cross product."""
    right, down = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    left, up = x[1:, :-1] - x[:-1, 1:], y[1:, :-1] - y[:-1, 1:]
    areas: Values = np.abs(right * up - left * down) / 2
    return areas
