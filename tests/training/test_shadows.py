"""Shadows of made-up clouds, on ground whose every shadow is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from water_gee.training import shadows

SIDE = 180
NIR, SWIR1 = 0.30, 0.18


def smooth(seed, width=4.0):
    return gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), width)


def blobs(seed=0, share=0.06, width=4.0):
    """Clouds: the highest of a smooth field."""
    field = smooth(seed, width)
    return field > np.quantile(field, 1 - share)


def moved(mask, down, right):
    """A mask moved so many rows down and columns right; what leaves the tile is gone."""
    out = np.zeros_like(mask)
    rows, cols = np.nonzero(mask)
    rows, cols = rows + down, cols + right
    kept = (rows >= 0) & (rows < SIDE) & (cols >= 0) & (cols < SIDE)
    out[rows[kept], cols[kept]] = True
    return out


def ground(clouds, dark=None, seed=7):
    """Reflectance of fields: near infrared and SWIR1, NaN under clouds."""
    rng = np.random.default_rng(seed)
    fields = 1 + 0.1 * smooth(seed, 12.0) / smooth(seed, 12.0).std()
    shade = np.ones((SIDE, SIDE)) if dark is None else np.where(dark, 0.4, 1.0)
    found = []
    for level in (NIR, SWIR1):
        band = level * fields * shade + rng.normal(0, 0.01, (SIDE, SIDE))
        found.append(np.where(clouds, np.nan, band).astype(np.float32))
    return found


@pytest.mark.parametrize(
    "shift", [(20, 0), (-17, 0), (0, 23), (0, -31), (14, 22), (-25, 12), (-9, -30), (33, -8)]
)
def test_the_way_from_clouds_to_shadows_is_found_to_the_pixel(shift):
    clouds = blobs()
    dark = moved(clouds, *shift) & ~clouds
    found = shadows.find(*ground(clouds, dark))
    assert found is not None
    assert found.shift == shift
    assert found.zone[dark].mean() > 0.98
    # Clouds differ in height: the zone reaches that much beyond a shadow, and no further.
    beyond = shadows.SPREAD * math.hypot(*shift) + shadows.GROW * math.sqrt(2) + 1
    wide = np.pad(clouds, 50)
    away = distance_transform_edt(~np.roll(wide, shift, (0, 1)))[50:-50, 50:-50]
    assert away[found.zone].max() <= beyond
    assert not (found.zone & clouds).any()
    assert found.share > 0.9
    assert found.base == pytest.approx(dark.sum() / (~clouds).sum(), abs=0.02)


@pytest.mark.parametrize("pixel", [(30.0, 18.0), (10.0, 10.0), (60.0, 60.0)])
@pytest.mark.parametrize("seed", [1, 2])
def test_distance_is_measured_in_metres_and_told_in_pixels(pixel, seed):
    """Twenty pixels down and twelve left are 230 to 1,400 m here, within reach."""
    clouds = blobs(seed)
    dark = moved(clouds, 20, -12) & ~clouds
    found = shadows.find(*ground(clouds, dark, seed), pixel)
    assert found is not None
    assert found.shift == (20, -12)


def test_a_shadow_farther_than_any_cloud_throws_it_is_none():
    clouds = blobs()
    dark = moved(clouds, 45, 30) & ~clouds
    bands = ground(clouds, dark)
    length = math.hypot(45, 30)
    assert shadows.find(*bands, (30.0, 30.0)) is not None
    too_far = 1.1 * shadows.FARTHEST / length
    assert shadows.find(*bands, (too_far, too_far)) is None


def test_dark_ground_at_the_foot_of_what_is_unobserved_is_no_shadow():
    """Rims of clouds are dark often enough: nearer than NEAREST nothing is told."""
    clouds = blobs()
    near = int(shadows.NEAREST / 30) - 1
    dark = moved(clouds, near, 0) & ~clouds
    found = shadows.find(*ground(clouds, dark))
    assert found is None or math.hypot(*found.shift) * 30 >= shadows.NEAREST


@pytest.mark.parametrize("azimuth", [30.0, 135.0, 250.0, 315.0])
def test_shadows_lie_away_from_the_sun_and_nowhere_else(azimuth):
    away = math.radians(azimuth + 180)
    shift = (round(-24 * math.cos(away)), round(24 * math.sin(away)))
    clouds = blobs()
    bands = ground(clouds, moved(clouds, *shift) & ~clouds)
    for near in (azimuth, azimuth - 12, azimuth + 12, azimuth + 360):
        found = shadows.find(*bands, sun_azimuth=near)
        assert found is not None
        assert found.shift == shift
    for wrong in (90, 180, 270):
        assert shadows.find(*bands, sun_azimuth=azimuth + wrong) is None
    for unknown in (None, math.nan):
        found = shadows.find(*bands, sun_azimuth=unknown)
        assert found is not None
        assert found.shift == shift


@pytest.mark.parametrize("seed", range(6))
def test_clouds_that_throw_no_shadow_here_have_none(seed):
    assert shadows.find(*ground(blobs(seed), seed=seed + 50)) is None


@pytest.mark.parametrize("seed", range(6))
def test_lakes_under_a_sky_of_clouds_are_no_shadows(seed):
    """As dark and as large as shadows would be, but not the clouds over again."""
    lakes = blobs(seed + 100, share=0.08, width=7.0)
    assert shadows.find(*ground(blobs(seed), lakes, seed)) is None


def test_without_clouds_or_with_hardly_any_ground_between_them_nothing_is_told():
    clear = np.zeros((SIDE, SIDE), bool)
    assert shadows.find(*ground(clear, blobs())) is None
    speck = clear.copy()
    speck[50:54, 50:54] = True
    assert speck.mean() < shadows.FEWEST_CLOUDS
    assert shadows.find(*ground(speck, moved(speck, 20, 20))) is None
    covered = blobs(share=0.8)
    assert covered.mean() > shadows.MOST_CLOUDS
    assert shadows.find(*ground(covered, moved(covered, 20, 20) & ~covered)) is None
    assert shadows.find(*ground(np.ones_like(clear))) is None


def test_a_pixel_lacking_one_band_is_not_observed():
    clouds = blobs()
    dark = moved(clouds, 20, 0) & ~clouds
    nir, swir1 = ground(clouds, dark)
    halved = np.arange(SIDE) % 2 == 0
    level = np.where(np.isnan(nir), np.float32(NIR), nir)
    nir = np.where(halved & clouds, level, nir)  # every other cloudy column is seen in one band
    found = shadows.find(nir, swir1)
    assert found is not None
    assert found.shift == (20, 0)
    assert not (found.zone & clouds).any()


def test_shadows_over_a_tile_that_darkens_towards_one_side_are_found():
    """What is dark is told by the ground around it, not by the tile's mean."""
    clouds = blobs()
    dark = moved(clouds, -16, 19) & ~clouds
    ramp = np.linspace(0.4, 1.6, SIDE, dtype=np.float32)
    nir, swir1 = ground(clouds, dark)
    found = shadows.find(nir * ramp, swir1 * ramp)
    assert found is not None
    assert found.shift == (-16, 19)
