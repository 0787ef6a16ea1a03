"""Sun and shade: where the sun stands, and how brightly each slope is lit in each band."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters
from water_gee.demo.terrain import slope_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.floating[Any]]

SKYLIGHT = (0.30, 0.23, 0.17, 0.085, 0.035, 0.022)
"""Share of diffuse light in each band of `spectra.BANDS` under a clear sky: shade is blue."""

ADJACENT = (0.009, 0.0065, 0.0045, 0.004, 0.0012, 0.0008)
"""Light scattered from brighter neighbours into a shaded pixel, as reflectance in each band."""

_REACH = 40
"""Pixels towards the sun in which a ridge may cast its shadow here."""


def sun_position(when: datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """Find the sun, to about half a degree.

    The low-precision formulas of the Astronomical Almanac, as on NOAA's solar calculator pages.

    Args:
        when: Time, with its zone.
        longitude: Degrees east.
        latitude: Degrees north.

    Returns:
        Azimuth (clockwise from north) and elevation in degrees.
    """
    at = when.astimezone(UTC)
    hours = at.hour + at.minute / 60 + at.second / 3600
    year = 2 * math.pi / 365 * (at.timetuple().tm_yday - 1 + (hours - 12) / 24)
    equation = 229.18 * (
        0.000075 + 0.001868 * math.cos(year) - 0.032077 * math.sin(year)
        - 0.014615 * math.cos(2 * year) - 0.040849 * math.sin(2 * year)
    )  # fmt: skip
    declination = (
        0.006918 - 0.399912 * math.cos(year) + 0.070257 * math.sin(year)
        - 0.006758 * math.cos(2 * year) + 0.000907 * math.sin(2 * year)
        - 0.002697 * math.cos(3 * year) + 0.00148 * math.sin(3 * year)
    )  # fmt: skip
    hour_angle = math.radians((hours * 60 + equation + 4 * longitude) / 4 - 180)
    phi = math.radians(latitude)
    rise = math.sin(phi) * math.sin(declination)
    rise += math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    north = math.sin(declination) * math.cos(phi)
    north -= math.cos(declination) * math.sin(phi) * math.cos(hour_angle)
    east = -math.cos(declination) * math.sin(hour_angle)
    azimuth = math.degrees(math.atan2(east, north)) % 360
    return azimuth, math.degrees(math.asin(rise))


def illumination(
    elevation: Field, spacing: float, azimuth: float, height: float
) -> tuple[Field, Field]:
    """Compute direct and diffuse light on each pixel relative to flat open ground.

    Reflectance products are not corrected for relief, so a pixel's reflectance is multiplied by
    `(1 - skylight) * direct + skylight * diffuse`.

    Args:
        elevation: Metres, `(row, col)`.
        spacing: Pixel size in metres.
        azimuth: Of the sun, degrees clockwise from north.
        height: Of the sun, degrees above the horizon.

    Returns:
        Direct light (0 in shadow, 1 on flat ground) and diffuse light (1 under the whole sky),
        `float32`.
    """
    east, south = slope_of(elevation, spacing)
    norm = np.sqrt(1 + east * east + south * south)
    up = math.sin(math.radians(height))
    flat = math.cos(math.radians(height))
    to_east = flat * math.sin(math.radians(azimuth))
    to_south = -flat * math.cos(math.radians(azimuth))
    incidence = (up - east * to_east - south * to_south) / norm
    direct = np.clip(incidence / up, 0, 1.7) * _lit(elevation, spacing, azimuth, height)
    diffuse = 0.5 * (1 + 1 / norm)
    return direct.astype(np.float32), diffuse.astype(np.float32)


def shifted(field: Field, down: int, right: int) -> Field:
    """Move a field by whole pixels; what comes in from outside repeats the edge."""
    before = (max(down, 0), max(right, 0))
    after = (max(-down, 0), max(-right, 0))
    padded = np.pad(field, ((before[0], after[0]), (before[1], after[1])), mode="edge")
    rows, cols = field.shape
    return padded[after[0] : after[0] + rows, after[1] : after[1] + cols]


def _lit(elevation: Field, spacing: float, azimuth: float, height: float) -> Field:
    """1 where the sun is seen, 0 in the cast shadow of higher ground, soft at its edge."""
    rise = spacing * math.tan(math.radians(height))
    towards_east = math.sin(math.radians(azimuth))
    towards_south = -math.cos(math.radians(azimuth))
    horizon = np.full_like(elevation, -np.inf)
    for step in range(1, _REACH):
        ridge = shifted(elevation, round(-step * towards_south), round(-step * towards_east))
        np.maximum(horizon, ridge - np.float32(step * rise), out=horizon)
    return filters.smooth((horizon <= elevation).astype(np.float32), 0.6)
