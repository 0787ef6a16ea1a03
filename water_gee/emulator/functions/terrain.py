"""Slope, aspect and shade of an elevation image, from the four nearest neighbours."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.functions.image_neighborhood import shifted
from water_gee.emulator.nodes import Blockwise, Placed
from water_gee.emulator.pixels import Block, Context, Grid, Node, Values, Window, mask_and
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import BYTE, DEFAULT_CRS, Band, Image, PixelType

if TYPE_CHECKING:
    from collections.abc import Callable

SEMI_MAJOR = 6_378_137.0
ECCENTRICITY_SQUARED = 6.694_379_990_141_316e-3
"""The WGS 84 ellipsoid."""

_STEPS = ((0, -1), (0, 1), (-1, 0), (1, 0))
"""(row, col) of the neighbours to the left, right, top and bottom."""


def _elevation(image: Image, where: str) -> Band:
    if len(image.bands) == 1:
        return image.bands[0]
    for band in image.bands:
        if band.name == "elevation":
            return band
    raise bad_request(f"{where}: The image must have one band, or one named 'elevation'.")


def _gradient(node: Node, axis: int) -> Node:
    """Return how much a band rises per metre to the east (axis 0) or north (axis 1)."""

    def rise(grid: Grid, window: Window, context: Context, *blocks: Block) -> Block:
        left, right, top, bottom = (block.values.astype(np.float64) for block in blocks)
        across, along = right - left, bottom - top
        (a, b), (c, d) = _ground_steps(grid, window, context)
        det = a * d - b * c
        east, north = (d * across - b * along) / det, (a * along - c * across) / det
        return Block((east, north)[axis], mask_and(*(block.mask for block in blocks)))

    return Placed([shifted(node, *step) for step in _STEPS], rise, np.float64)


def _ground_steps(
    grid: Grid, window: Window, context: Context
) -> tuple[tuple[Values, Values], tuple[Values, Values]]:
    """Return metres to the east and north from left to right, and from top to bottom neighbour."""
    lon, lat = context.places(DEFAULT_CRS, grid, window.grow((1, 1, 1, 1)))
    phi = np.radians(lat[1:-1, 1:-1])
    root = np.sqrt(1 - ECCENTRICITY_SQUARED * np.sin(phi) ** 2)
    east_per_degree = np.radians(1) * SEMI_MAJOR / root * np.cos(phi)
    north_per_degree = np.radians(1) * SEMI_MAJOR * (1 - ECCENTRICITY_SQUARED) / root**3

    def ground(to: tuple[slice, slice], since: tuple[slice, slice]) -> tuple[Values, Values]:
        degrees = (lon[to] - lon[since] + 180) % 360 - 180
        return degrees * east_per_degree, (lat[to] - lat[since]) * north_per_degree

    inner = slice(1, -1)
    across = ground((inner, slice(2, None)), (inner, slice(None, -2)))
    along = ground((slice(2, None), inner), (slice(None, -2), inner))
    return across, along


def _slope(band: Band) -> Band:
    def steepness(east: Block, north: Block) -> Block:
        angle = np.degrees(np.arctan(np.hypot(east.values, north.values)))
        return Block(angle, mask_and(east.mask, north.mask))

    return _of_gradient(band, "slope", PixelType("float", 0, 90), steepness)


def _aspect(band: Band) -> Band:
    def facing(east: Block, north: Block) -> Block:
        # Downhill, clockwise from north; level ground faces 0.
        azimuth = np.degrees(np.arctan2(-east.values, -north.values)) % 360
        level = (east.values == 0) & (north.values == 0)
        return Block(np.where(level, 0, azimuth), mask_and(east.mask, north.mask))

    return _of_gradient(band, "aspect", PixelType("float", 0, 360), facing)


def _hillshade(band: Band, azimuth: float, elevation: float) -> Band:
    sun_azimuth, zenith = math.radians(azimuth), math.radians(90 - elevation)

    def lit(east: Block, north: Block) -> Block:
        slope = np.arctan(np.hypot(east.values, north.values))
        facing = np.arctan2(-east.values, -north.values)
        shade = math.cos(zenith) * np.cos(slope)
        shade = shade + math.sin(zenith) * np.sin(slope) * np.cos(sun_azimuth - facing)
        return Block(np.floor(np.clip(shade, 0, 1) * 255 + 0.5), mask_and(east.mask, north.mask))

    return _of_gradient(band, "hillshade", BYTE, lit)


def _of_gradient(
    band: Band, name: str, kind: PixelType, function: Callable[[Block, Block], Block]
) -> Band:
    east, north = _gradient(band.node, 0), _gradient(band.node, 1)
    return replace(band, name=name, type=kind, node=Blockwise((east, north), function, kind.dtype))


@REGISTRY.function("Terrain.slope")
def slope(input: Image) -> Image:
    """Return the steepness of each pixel in degrees."""
    return input.with_bands([_slope(_elevation(input, "Terrain.slope"))])


@REGISTRY.function("Terrain.aspect")
def aspect(input: Image) -> Image:
    """Return where each pixel faces, downhill, in degrees clockwise from north."""
    return input.with_bands([_aspect(_elevation(input, "Terrain.aspect"))])


@REGISTRY.function("Terrain.hillshade")
def hillshade(input: Image, azimuth: float = 270.0, elevation: float = 45.0) -> Image:
    """Return how brightly a distant light shines on each pixel, 0 to 255."""
    band = _elevation(input, "Terrain.hillshade")
    return input.with_bands([_hillshade(band, azimuth, elevation)])


@REGISTRY.function("Terrain.products", "Terrain")
def products(input: Image) -> Image:
    """Return the image with bands `slope`, `aspect` and `hillshade` added."""
    band = _elevation(input, "Terrain.products")
    return input.with_bands(
        [*input.bands, _slope(band), _aspect(band), _hillshade(band, 270.0, 45.0)]
    )
