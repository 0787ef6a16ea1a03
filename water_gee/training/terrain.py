"""What the shape of the ground says of water: it lies level, low, and in the light.

All take elevation in metres over a grid with known pixel sides. Nothing is known where elevation
is constant (a recipe without elevation model): slope 0, no shade, height above drainage 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from water_gee import drainage

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

CHANNEL_KM2 = 1.0
"""Upstream area from which a path of flow counts as drainage."""

LEAST_SUN = 5.0
"""Degrees; under a lower sun everything would be shade."""


def slopes(elevation: FloatArray, pixel: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Rise over run towards the east and towards the south, by 3 x 3 differences (Horn 1981).

    Args:
        elevation: Metres, `(row, col)`.
        pixel: Height of a row and width of a column in metres.

    Returns:
        Two float32 arrays of the same shape.
    """
    z = np.pad(elevation.astype(np.float64), 1, mode="edge")
    east = (z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]) - (
        z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    )
    south = (z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]) - (
        z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    )
    return (
        np.asarray(east / (8 * pixel[1]), np.float32),
        np.asarray(south / (8 * pixel[0]), np.float32),
    )


def descent(elevation: FloatArray, pixel: tuple[float, float]) -> FloatArray:
    """Steepest descent to one of the eight neighbours (J. O'Callaghan, D. Mark 1984).

    Args:
        elevation: Metres, `(row, col)`.
        pixel: Height of a row and width of a column in metres.

    Returns:
        float32 `(row, col)`, metres a metre; 0 where no neighbour is lower.
    """
    rows, cols = elevation.shape
    z = np.pad(elevation.astype(np.float64), 1, mode="edge")
    steepest = np.zeros(elevation.shape)
    for down in range(3):
        for right in range(3):
            way = math.hypot((down - 1) * pixel[0], (right - 1) * pixel[1])
            if way:
                drop = elevation - z[down : down + rows, right : right + cols]
                np.maximum(steepest, drop / way, out=steepest)
    return np.asarray(steepest, np.float32)


def illumination(
    elevation: FloatArray, pixel: tuple[float, float], azimuth: float, height: float
) -> FloatArray:
    """Cosine of the angle between the sun and the ground's normal; 0 in shade.

    Shade is where the ground turns away from the sun, or where higher ground stands between (a ray
    followed towards the sun, pixel by pixel).

    Args:
        elevation: Metres, `(row, col)`.
        pixel: Height of a row and width of a column in metres.
        azimuth: Of the sun, degrees clockwise from north.
        height: Of the sun above the horizon, degrees; below 5 it is taken for 5.

    Returns:
        float32 `(row, col)`, 0 to 1; level ground has the sine of the sun's height.
    """
    up = math.radians(max(LEAST_SUN, height))
    towards = math.radians(azimuth)
    sun_east, sun_south, sun_up = (
        math.cos(up) * math.sin(towards),
        -math.cos(up) * math.cos(towards),
        math.sin(up),
    )
    east, south = slopes(elevation, pixel)
    lit = (sun_up - east * sun_east - south * sun_south) / np.sqrt(1 + east**2 + south**2)
    lit[_in_cast_shade(elevation, pixel, (sun_east, sun_south, sun_up))] = 0
    return np.asarray(np.maximum(lit, 0), np.float32)


def height_above_drainage(elevation: FloatArray, pixel: tuple[float, float]) -> FloatArray:
    """Metres above the stream that a pixel drains to.

    HAND of A. Nobre et al. 2011, Journal of Hydrology 404, with depressions filled and streams from
    1 km² upstream. Paths that leave the tile before they meet a stream end at the tile's edge, so
    heights near it come out too low.

    Args:
        elevation: Metres, `(row, col)`.
        pixel: Height of a row and width of a column in metres.

    Returns:
        float32 `(row, col)`.
    """
    edge = np.zeros(elevation.shape, bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    tree = drainage.drain(elevation, edge)
    area = drainage.accumulate(tree) * (pixel[0] * pixel[1] / 1e6)
    level = drainage.fill(elevation, tree).ravel()
    stream = area.ravel() >= CHANNEL_KM2
    base = level.copy()
    for step in tree.steps()[1:]:
        base[step] = np.where(stream[step], level[step], base[tree.receiver[step]])
    return np.asarray((level - base).reshape(elevation.shape), np.float32)


def _in_cast_shade(
    elevation: FloatArray, pixel: tuple[float, float], sun: tuple[float, float, float]
) -> BoolArray:
    """Pixels from which higher ground hides the sun."""
    shade = np.zeros(elevation.shape, bool)
    relief = float(elevation.max() - elevation.min())
    if relief < 1:
        return shade
    level = math.hypot(sun[0], sun[1])
    across, down = sun[0] / level / pixel[1], sun[1] / level / pixel[0]
    stride = 1 / max(abs(across), abs(down))  # metres from one pixel to the next
    rise = sun[2] / level
    rows, cols = elevation.shape
    for step in range(1, int(min(relief / (rise * stride), max(rows, cols))) + 1):
        right, below = round(step * stride * across), round(step * stride * down)
        if abs(right) >= cols or abs(below) >= rows:
            break
        here = (
            slice(max(0, -below), rows - max(0, below)),
            slice(max(0, -right), cols - max(0, right)),
        )
        there = (
            slice(max(0, below), rows - max(0, -below)),
            slice(max(0, right), cols - max(0, -right)),
        )
        # The ray passes above the middle of a pixel by the way walked.
        walked = math.hypot(right * pixel[1], below * pixel[0])
        shade[here] |= elevation[there] > elevation[here] + rise * walked + 1
    return shade
