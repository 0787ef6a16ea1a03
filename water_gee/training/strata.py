"""What kind of ground a pixel is, roughly: the strata by which land is sampled and scores are told.

Indices, brightness and slope decide, in this order: snow, shadow, water, wetland, bare, urban,
vegetation. A stratum says what a pixel looks like, not what it is: land that looks like water is
in the stratum "water", and that is what it is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from water_gee import indices
from water_gee.imagery.composite import ELEVATION_UNIT
from water_gee.metrics import NOT_OBSERVED

if TYPE_CHECKING:
    from collections.abc import Mapping

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

STRATA = ("water", "shadow", "wetland", "urban", "bare", "snow", "vegetation")
"""Their names; a code is an index into these."""

PIXEL_METERS = 30.0

SNOW_NDSI = 0.4
SNOW_NIR = 0.11
SNOW_GREEN = 0.1
"""SNOMAP's tests (D. Hall, G. Riggs, V. Salomonson 1995, Remote Sensing of Environment 54); NDSI
and MNDWI are one index."""
SNOW_WHITE = 0.8
"""Blue to red and NIR to green, at least: turbid water is neither as blue nor as white (own)."""

STEEP = 0.15
"""Rise over run above which a dark pixel is shaded ground and no water: lakes are level (own)."""
UNLIT = 0.35
"""Cosine of the angle between sun and slope below which dark ground is shaded (own)."""
DIM_NIR, DIM_SWIR1 = 0.15, 0.10
"""Below both a pixel is dark enough to lie in terrain shadow (own)."""
DARK_NIR, DARK_SWIR1 = 0.08, 0.05
"""Below both a level pixel that is no water is taken for cloud shadow or burnt ground (own)."""

WET_TESTS = 3
"""Tests of DSWE that open water passes."""
PARTIAL_MNDWI, PARTIAL_SWIR1, PARTIAL_NIR, PARTIAL_NDVI = -0.44, 0.09, 0.15, 0.7
"""DSWE's conservative test for partial surface water (USGS LSDS-1331)."""
SOAKED_MNDWI = -0.3
"""Green ground above this is wet: dry vegetation lies near -0.5 (own)."""

BARE_NDVI = 0.2
"""Below this there is hardly a plant (J. Sobrino, N. Raissouni 2000, International Journal of
Remote Sensing 21)."""
BRIGHT = 0.25
"""Mean of the visible bands from which ground is bare whatever its colour: salt, sand (own)."""
URBAN_MNDWI = -0.35
"""Roofs and roads are flatter in the spectrum than soil, which rises to SWIR1 (own; the order of
built-up land and soil is H. Xu's 2006)."""
URBAN_NDVI = 0.3


def strata(features: FloatArray, evidence: Mapping[str, FloatArray] | None = None) -> ByteArray:
    """Say which stratum each pixel is in.

    Args:
        features: float32 `(8, row, col)`, the eight features in order, NaN where not observed.
        evidence: Bands of `composite.EVIDENCE` by name, `(row, col)`; SWIR2 sharpens the tests for
            water (SWIR1 stands in for it elsewhere), the sun's position those for shadow.

    Returns:
        uint8 `(row, col)`: an index into `STRATA`; 255 where a feature was not observed.
    """
    evidence = evidence or {}
    seen = np.isfinite(features).all(axis=0)
    blue, green, red, nir, swir1, mndwi, _, _ = np.where(seen, features, 0)
    ndvi = indices.ndvi(nir, red)
    swir2 = np.asarray(evidence.get("SWIR2", swir1))
    passed = indices.dswe_passed(
        blue, green, red, nir, swir1, np.where(np.isfinite(swir2), swir2, swir1)
    )
    # A hole is no cliff: beside one the slope is unknown, and nothing is steep.
    steep, unlit = _relief(np.where(seen, features[7], np.nan), evidence)
    snow = (mndwi > SNOW_NDSI) & (nir > SNOW_NIR) & (green > SNOW_GREEN)
    snow &= (blue > SNOW_WHITE * red) & (nir > SNOW_WHITE * green)
    shaded = (nir < DIM_NIR) & (swir1 < DIM_SWIR1) & (steep | unlit)
    water = passed >= WET_TESTS
    dark = (nir < DARK_NIR) & (swir1 < DARK_SWIR1)
    partial = (mndwi > PARTIAL_MNDWI) & (swir1 < PARTIAL_SWIR1) & (nir < PARTIAL_NIR)
    soaked = (mndwi > SOAKED_MNDWI) & (ndvi >= BARE_NDVI)
    wetland = ~steep & ((partial & (ndvi < PARTIAL_NDVI)) | soaked)
    bright = ((blue + green + red) / 3 > BRIGHT) & (ndvi < BARE_NDVI)
    urban = (mndwi > URBAN_MNDWI) & (ndvi < URBAN_NDVI)
    chosen = (snow, shaded, water & ~bright, dark, wetland & ~bright, bright, urban)
    names = ("snow", "shadow", "water", "shadow", "wetland", "bare", "urban")
    rest = np.where(ndvi < BARE_NDVI, STRATA.index("bare"), STRATA.index("vegetation"))
    codes = np.select(chosen, [STRATA.index(name) for name in names], rest)
    return np.where(seen, codes, NOT_OBSERVED).astype(np.uint8)


def _relief(
    elevation: FloatArray, evidence: Mapping[str, FloatArray]
) -> tuple[BoolArray, BoolArray]:
    """Where ground is steep, and where the sun hardly reaches it (nowhere without its position)."""
    south, east = (
        np.gradient(elevation * ELEVATION_UNIT, PIXEL_METERS, axis=axis)
        if elevation.shape[axis] > 1
        else np.zeros_like(elevation)
        for axis in (0, 1)
    )
    steep = np.hypot(south, east) > STEEP
    if not {"sun_azimuth", "sun_elevation"} <= evidence.keys():
        return steep, np.zeros_like(steep)
    azimuth, height = (np.radians(evidence[f"sun_{name}"]) for name in ("azimuth", "elevation"))
    with np.errstate(invalid="ignore"):
        toward = south * np.cos(azimuth) - east * np.sin(azimuth)
        lit = toward * np.cos(height) + np.sin(height)
        # Level ground is no terrain shadow, however low the sun.
        unlit = (lit / np.sqrt(1 + south**2 + east**2) < UNLIT) & (np.hypot(south, east) > 0.05)
    return steep, unlit
