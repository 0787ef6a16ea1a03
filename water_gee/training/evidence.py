"""What speaks for water and against it, pixel by pixel, each witness on its own.

Every witness gives log-odds in nats, positive for water, and they add up as independent ones do
(weights of evidence: F. Agterberg, G. Bonham-Carter, D. Wright 1990). The weights of spectrum and
QA bit began as a logistic regression's on hand-labelled chips of Harmonized Landsat and Sentinel-2
(42 chips, 26 places) and were then set by hand, as the others were: so that these chips, two others
and ten synthetic seasons all come out better than their QA label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from water_gee import indices
from water_gee.imagery.composite import ELEVATION_UNIT
from water_gee.training import shadows, terrain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from water_gee.training.methods import Tile

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

WITNESSES = (
    "spectrum",
    "qa",
    "brightness",
    "flatness",
    "snow",
    "terrain",
    "shadow",
    "neighbours",
)
"""Those heard here, in order; `correction` adds the networks."""

# ------------------------------------------------------------------ spectrum

WETNESS, TESTS, OPEN = 1.7, 0.34, 0.3
"""Log-odds of 1 of MNDWI + NDWI, of one DSWE test passed, and of neither."""

WETNESS_RANGE = (-1.5, 1.0)

CLEAR_WATER = np.array([0.02, 0.015, 0.01, 0.004], np.float32)
"""Reflectance (Blue, Green, Red, NIR) of the darkest ground there is, seen through clear air: deep
lakes and deep shade. What the darkest pixels of a tile reflect above it is haze (dark object
subtraction: P. Chavez 1988, Remote Sensing of Environment 24)."""

SCATTERING = np.array([1.0, 0.73, 0.54, 0.31], np.float32)
"""Haze of each band at most, relative to Blue: wavelength to the power -2, that of clear air in
Chavez' table. Turbid water, whose excess grows towards red, is so not taken for haze."""

DARKEST = 0.1
"""Percentile of a tile that stands for its darkest ground."""

DARK_SWIR1 = 0.05
"""Air scatters nothing at 1.6 micrometres: where the darkest ground is brighter than this there,
the tile has no dark object, and its haze is unknown."""

# ------------------------------------------------------------------ QA bit

ONCE_WATER, ONCE_LAND = 1.5, 0.0
"""Log-odds of the bit of one observation: where it says water it is mostly right; what it misses
it misses for a reason that is in the pixel."""

ALWAYS_WATER, ALWAYS_LAND = 2.0, -1.5
"""Log-odds of `MANY` clear observations or more that agree."""
MANY = 3

# ------------------------------------------------------------------ what is no water at all

BRIGHT_NIR, PER_NIR = 0.22, -20.0
"""Water reflects less than this in the near infrared; log-odds of 1 beyond."""
SALT_SWIR1, PER_SALT, SALT_MOST = 0.03, -100.0, -5.0
"""Bright water reflects less than this at 1.6 micrometres; log-odds of 1 beyond and at most, for
ground that is as bright and as yellow as wet salt, and as bright in the near infrared as in green:
"""
SALT_GREEN, SALT_YELLOW, SALT_LEVEL = 0.15, 1.2, (0.85, 1.1)
"""Reflectance in Green, and Red to Blue, at least; NIR to Green from and to. Water absorbs the near
infrared, so that brine over the same salt has two thirds of its green there (synthetic season);
water under thin cloud is bright and white."""

FLAT, PER_FLAT, FLAT_MOST = 0.75, -15.0, -3.75
"""SWIR2 to SWIR1 that water and what grows in it stay below, log-odds of 1 beyond, at most: char,
lava, tar and roofs absorb both alike, water the longer waves more."""
FLAT_SWIR1 = (0.04, 0.06)
"""SWIR1 from which that ratio is believed, and fully: of two dark bands it is noise."""

SNOW = -4.0
SNOW_NIR, SNOW_GREEN, SNOW_WHITE = 0.15, 0.2, 0.65
"""Near infrared and green of snow at least, and their ratio: turbid water is never as white (own;
the other tests are SNOMAP's: D. Hall, G. Riggs, V. Salomonson 1995)."""

LEVEL, PER_SLOPE, SLOPE_MOST = 0.15, -20.0, -4.0
"""Descent to the lowest neighbour, in metres a metre, that water may have, log-odds of 1 beyond,
and at most. Descent, not slope: banks rise above a river, and it lies level between them."""

BANKS = 0.8
"""What of that is taken back where the ground is low and in full sun. A stream lies between banks
closer together than an elevation model's posts, so its pixels seem to descend; and shade, which a
slope is the sign of, is not there."""
BANKS_HEIGHT, BANKS_LIT = (20.0, 100.0), (0.5, 0.9)
"""Metres above drainage up to which ground is low, and from which it is not; sunlight, of what
level ground gets, up to which it is no full sun, and from which it is."""

LOW, PER_METRE, HIGH_MOST = 50.0, -0.1, -1.5
"""Metres above drainage up to which ground may be a lake, log-odds of a metre beyond, at most."""

SHADE, SHADED_FALL = -1.5, 0.03
"""Log-odds where the sun does not reach ground that descends more than this."""
UNLIT = 0.1
"""Cosine between sun and ground's normal below which it does not reach."""

CLOUD_SHADOW = -2.5

NEIGHBOURS, NEIGHBOURS_MOST = 0.4, 1.5
"""What part of the mean log-odds of 3 x 3 pixels counts again, each at most this large."""

LIMIT = 6.0
"""No sum is believed beyond this."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the witnesses say of a tile.

    Attributes:
        parts: Witness -> float32 `(row, col)`: log-odds, 0 where it has nothing to say.
        observed: bool `(row, col)`: pixels with features and a QA label.
        shadows: Where clouds throw shadows, if that could be told.
        haze: float32 `(4,)`: what was taken off Blue, Green, Red and NIR.
    """

    parts: Mapping[str, FloatArray]
    observed: BoolArray
    shadows: shadows.Shadows | None
    haze: FloatArray

    @property
    def log_odds(self) -> FloatArray:
        """Their sum, float32 `(row, col)`, NaN where not observed."""
        total = np.sum(list(self.parts.values()), axis=0)
        kept = np.where(self.observed, np.clip(total, -LIMIT, LIMIT), np.nan)
        return np.asarray(kept, np.float32)


def weigh(tile: Tile) -> Weighed:
    """Hear every witness about a tile.

    Without SWIR2 among the tile's evidence SWIR1 stands in for it and flatness says nothing;
    without counts the QA label counts as one observation; without the sun's position there is no
    shade, and without an elevation model no terrain.

    Args:
        tile: Features, QA label, and what else is known.
    """
    observed = (tile.qa != 255) & np.isfinite(tile.features).all(axis=0)
    known = np.where(observed, tile.features, np.nan).astype(np.float32)
    haze = haze_of(known)
    blue, green, red, nir = np.maximum(known[:4] - haze[:, np.newaxis, np.newaxis], 1e-3)
    swir1 = np.maximum(known[4], 1e-3)
    measured = tile.evidence.get("SWIR2", np.full_like(swir1, np.nan))
    swir2 = np.where(np.isfinite(measured), np.maximum(measured, 1e-3), swir1)
    sun = _sun(tile)
    cast = shadows.find(known[3], known[4], tile.pixel, sun[0] if sun else None)
    parts = {
        "spectrum": _spectrum(blue, green, red, nir, swir1, swir2),
        "qa": _qa(tile),
        "brightness": _brightness(blue, green, red, nir, swir1),
        "flatness": _flatness(swir1, measured),
        "snow": SNOW * is_snow(blue, green, red, nir, swir1),
        "terrain": _terrain(tile, sun),
        "shadow": CLOUD_SHADOW * cast.zone if cast else np.zeros(observed.shape),
    }
    shown = {
        name: np.where(observed, np.nan_to_num(part), 0).astype(np.float32)
        for name, part in parts.items()
    }
    shown["neighbours"] = _neighbours(np.sum(list(shown.values()), axis=0), observed)
    return Weighed(shown, observed, cast, haze)


def haze_of(features: FloatArray) -> FloatArray:
    """Reflectance that the air adds to Blue, Green, Red and NIR.

    Args:
        features: float32 `(band, row, col)`, the first five Blue, Green, Red, NIR, SWIR1; NaN where
            not observed.

    Returns:
        float32 `(4,)`; 0 for tiles without dark ground. Of surface reflectance, a lake that is
        not quite clear loses a little too: one of 0.04 in Blue 0.018.
    """
    bands = features[:5].reshape(5, -1)
    bands = bands[:, np.isfinite(bands).all(axis=0)]
    if not bands.size:
        return np.zeros(4, np.float32)
    darkest = np.percentile(bands, DARKEST, axis=1)
    if darkest[4] > DARK_SWIR1:
        return np.zeros(4, np.float32)
    excess = np.maximum(darkest[:4] - CLEAR_WATER, 0)
    return np.asarray(np.minimum(excess, excess[0] * SCATTERING), np.float32)


def is_snow(
    blue: FloatArray, green: FloatArray, red: FloatArray, nir: FloatArray, swir1: FloatArray
) -> BoolArray:
    """Snow and ice, bool: white from blue to near infrared, dark at 1.6 micrometres."""
    return np.asarray(
        (indices.mndwi(green, swir1) > 0.4)
        & (nir > SNOW_NIR)
        & (green > SNOW_GREEN)
        & (nir > SNOW_WHITE * green)
        & (blue > 0.8 * red)
    )


def _spectrum(
    blue: FloatArray,
    green: FloatArray,
    red: FloatArray,
    nir: FloatArray,
    swir1: FloatArray,
    swir2: FloatArray,
) -> FloatArray:
    wet = indices.mndwi(green, swir1) + indices.ratio(green, nir)
    passed = indices.dswe_passed(blue, green, red, nir, swir1, swir2).astype(np.float32)
    return np.asarray(WETNESS * np.clip(wet, *WETNESS_RANGE) + TESTS * passed + OPEN, np.float32)


def _brightness(
    blue: FloatArray, green: FloatArray, red: FloatArray, nir: FloatArray, swir1: FloatArray
) -> FloatArray:
    level = (nir > SALT_LEVEL[0] * green) & (nir < SALT_LEVEL[1] * green)
    salt = (green > SALT_GREEN) & (red > SALT_YELLOW * blue) & level
    said = PER_NIR * np.clip(nir - BRIGHT_NIR, 0, None)
    said = said + salt * np.clip(PER_SALT * (swir1 - SALT_SWIR1), SALT_MOST, 0)
    return np.asarray(said, np.float32)


def _flatness(swir1: FloatArray, swir2: FloatArray) -> FloatArray:
    """Nothing where SWIR2 was not measured."""
    believed = _ramp(swir1, FLAT_SWIR1)
    said = np.clip(PER_FLAT * (swir2 / swir1 - FLAT), FLAT_MOST, 0)
    return np.asarray(believed * said, np.float32)


def _neighbours(odds: FloatArray, observed: BoolArray) -> FloatArray:
    from scipy.ndimage import uniform_filter

    kept = np.where(observed, np.clip(odds, -NEIGHBOURS_MOST, NEIGHBOURS_MOST), 0)
    total = uniform_filter(kept.astype(np.float64), 3, mode="nearest")
    seen = uniform_filter(observed.astype(np.float64), 3, mode="nearest")
    mean = np.where(observed, total / np.maximum(seen, 1 / 9), 0)
    return np.asarray(NEIGHBOURS * mean, np.float32)


def repeated(tile: Tile) -> FloatArray:
    """How far a QA label is a season's, float32 `(row, col)`: 0 for one observation, 1 for many.

    Where it was not counted how many show water, it is taken for one observation's.
    """
    if not {"water_count", "clear_count"} <= set(tile.evidence):
        return np.zeros(tile.qa.shape, np.float32)
    clear, water = tile.evidence["clear_count"], tile.evidence["water_count"]
    share = np.where(np.isfinite(water), (np.nan_to_num(clear) - 1) / (MANY - 1), 0)
    return np.asarray(np.clip(share, 0, 1), np.float32)


def _qa(tile: Tile) -> FloatArray:
    """The QA label, or how often its bit was set in the season."""
    bit = np.where(tile.qa == 1, 1.0, 0.0)
    once = np.where(bit == 1, ONCE_WATER, ONCE_LAND)
    if not {"water_count", "clear_count"} <= set(tile.evidence):
        return np.asarray(once, np.float32)
    clear, water = tile.evidence["clear_count"], tile.evidence["water_count"]
    counted = np.isfinite(clear) & np.isfinite(water) & (clear > 0)
    share = np.where(counted, water / np.where(counted, clear, 1), bit)
    many = repeated(tile)
    said = np.where(
        share > 0.5,
        ONCE_WATER + many * (ALWAYS_WATER - ONCE_WATER),
        ONCE_LAND + many * (ALWAYS_LAND - ONCE_LAND),
    )
    # Half the observations against half is no evidence at all.
    return np.asarray(said * np.abs(2 * share - 1), np.float32)


def _sun(tile: Tile) -> tuple[float, float] | None:
    """Mean azimuth and height of the sun over a tile, degrees."""
    if not {"sun_azimuth", "sun_elevation"} <= set(tile.evidence):
        return None
    found = (tile.evidence["sun_azimuth"], tile.evidence["sun_elevation"])
    azimuth, height = (band[np.isfinite(band)] for band in found)
    if not azimuth.size or not height.size:
        return None
    turn = np.radians(azimuth.astype(np.float64))
    mean = np.degrees(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean())) % 360
    return float(mean), float(height.mean())


def _terrain(tile: Tile, sun: tuple[float, float] | None) -> FloatArray:
    metres = _filled(tile.features[7]) * ELEVATION_UNIT
    if float(metres.max() - metres.min()) < 1:
        return np.zeros(metres.shape, np.float32)
    falls = terrain.descent(metres, tile.pixel)
    steep = np.clip(PER_SLOPE * (falls - LEVEL), SLOPE_MOST, 0)
    above = terrain.height_above_drainage(metres, tile.pixel)
    said = np.clip(PER_METRE * (above - LOW), HIGH_MOST, 0)
    if sun is not None:
        lit = terrain.illumination(metres, tile.pixel, *sun)
        said = said + SHADE * ((lit < UNLIT) & (falls > SHADED_FALL))
        level = math.sin(math.radians(max(terrain.LEAST_SUN, sun[1])))
        banks = (1 - _ramp(above, BANKS_HEIGHT)) * _ramp(lit / level, BANKS_LIT)
        steep = steep * (1 - BANKS * banks)
    return np.asarray(said + steep, np.float32)


def _ramp(values: FloatArray, ends: tuple[float, float]) -> FloatArray:
    """0 up to the first end, 1 from the second, straight between."""
    return np.asarray(np.clip((values - ends[0]) / (ends[1] - ends[0]), 0, 1), np.float32)


def _filled(band: FloatArray) -> FloatArray:
    """A band with the nearest value where it has none; 0 where it has none at all."""
    from scipy.ndimage import distance_transform_edt

    missing = ~np.isfinite(band)
    if missing.all() or not missing.any():
        return np.nan_to_num(band)
    nearest = np.asarray(
        distance_transform_edt(missing, return_distances=False, return_indices=True), np.int64
    )
    return np.asarray(band[nearest[0], nearest[1]], np.float32)
