"""Spectra of known ground come out in their strata, and only observed pixels do."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.metrics import NOT_OBSERVED
from water_gee.training.strata import STRATA, strata

# Surface reflectance of Landsat's blue, green, red, NIR, SWIR1, as handbooks and scenes show them.
GROUND = {
    "water": [(0.04, 0.05, 0.03, 0.02, 0.01), (0.08, 0.12, 0.13, 0.06, 0.03)],  # deep, turbid
    "shadow": [(0.015, 0.015, 0.012, 0.05, 0.045)],
    "wetland": [(0.03, 0.05, 0.04, 0.12, 0.07), (0.03, 0.07, 0.05, 0.24, 0.10)],  # marsh, reed
    "urban": [(0.10, 0.12, 0.14, 0.19, 0.20)],
    "bare": [(0.10, 0.14, 0.19, 0.26, 0.34), (0.40, 0.45, 0.48, 0.50, 0.35)],  # soil, salt
    "snow": [(0.80, 0.80, 0.78, 0.70, 0.10)],
    "vegetation": [(0.02, 0.05, 0.03, 0.35, 0.15), (0.05, 0.09, 0.10, 0.25, 0.28)],  # forest, grass
}


def picture(bands, shape=(5, 6), rise=0.0):
    """Features of even ground that rises to the east by so much a pixel's width."""
    blue, green, red, nir, swir = bands
    mndwi = (green - swir) / (green + swir)
    values = np.array([blue, green, red, nir, swir, mndwi, 0, 0], np.float32)
    features = np.repeat(values, shape[0] * shape[1]).reshape(8, *shape)
    features[7] = 0.1 + np.arange(shape[1]) * rise * 30 / 4000
    return features


def names(codes):
    return {STRATA[code] for code in np.unique(codes)}


@pytest.mark.parametrize(
    ("name", "bands"), [(name, bands) for name, rows in GROUND.items() for bands in rows]
)
def test_level_ground_comes_out_by_its_spectrum(name, bands):
    assert names(strata(picture(bands))) == {name}


def test_dark_ground_on_a_slope_is_shadow_and_no_lake():
    deep = GROUND["water"][0]
    assert names(strata(picture(deep, rise=0.1))) == {"water"}
    assert names(strata(picture(deep, rise=0.3))) == {"shadow"}
    assert names(strata(picture(GROUND["vegetation"][0], rise=0.3))) == {"vegetation"}


def sun(azimuth, elevation, shape=(5, 6)):
    return {
        "sun_azimuth": np.full(shape, azimuth, np.float32),
        "sun_elevation": np.full(shape, elevation, np.float32),
    }


def test_a_gentle_slope_is_shaded_where_it_faces_away_from_a_low_sun():
    """Ground rising to the east faces west: sun from the west lights it, from the east does not."""
    dim = picture((0.02, 0.03, 0.02, 0.10, 0.05), rise=0.12)
    assert names(strata(dim, sun(90, 20))) == {"shadow"}
    assert names(strata(dim, sun(270, 20))) == {"wetland"}
    assert names(strata(dim, sun(np.nan, np.nan))) == {"wetland"}
    level = picture((0.02, 0.03, 0.02, 0.10, 0.05))
    assert names(strata(level, sun(90, 10))) == {"wetland"}


def test_swir2_decides_between_wet_and_dry_where_it_is_known():
    """Three tests of DSWE hold with a low SWIR2, one with a high one (worked out by hand)."""
    bands = (0.05, 0.10, 0.12, 0.10, 0.095)
    shape = (5, 6)
    dry = strata(picture(bands), {"SWIR2": np.full(shape, 0.30, np.float32)})
    wet = strata(picture(bands), {"SWIR2": np.full(shape, 0.02, np.float32)})
    assert names(wet) == {"water"}
    assert names(dry) == {"urban"}
    unknown = strata(picture(bands), {"SWIR2": np.full(shape, np.nan, np.float32)})
    np.testing.assert_array_equal(unknown, strata(picture(bands)))


def test_every_observed_pixel_has_a_stratum_and_no_other_has():
    rng = np.random.default_rng(0)
    features = rng.random((8, 40, 30)).astype(np.float32)
    features[5] = features[5] * 2 - 1
    features[2, 3, 4] = np.nan
    features[7, 9, 9] = np.inf
    found = strata(features)
    assert found.dtype == np.uint8
    assert found.shape == (40, 30)
    unseen = ~np.isfinite(features).all(axis=0)
    np.testing.assert_array_equal(found == NOT_OBSERVED, unseen)
    assert (found[~unseen] < len(STRATA)).all()


def test_a_hole_is_no_cliff():
    features = picture(GROUND["water"][0], shape=(7, 7))
    features[:, 3, 3] = np.nan
    found = strata(features)
    assert found[3, 3] == NOT_OBSERVED
    assert (np.delete(found.ravel(), 24) == STRATA.index("water")).all()


def test_a_single_row_has_strata_too():
    assert names(strata(picture(GROUND["snow"][0], shape=(1, 1)))) == {"snow"}
