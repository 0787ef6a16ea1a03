"""What spectra prove, on patches of known cover, and slopes on planes."""

from __future__ import annotations

import numpy as np
import pytest
from small_water import DEEP, FOREST, SHADOW, SNOW, TURBID, spectrum

from water_gee.training.evidence import gather, steepness

SIDE = 30


def plane(east, south, side=SIDE):
    """Metres of a plane that rises so much a metre, pixels 30 m apart."""
    rows, cols = np.mgrid[:side, :side]
    return 30.0 * (east * cols + south * rows) + 500


def of(cover, elevation=None):
    return spectrum(np.zeros((SIDE, SIDE), int), (cover,), elevation=elevation)


def qa(value):
    return np.full((SIDE, SIDE), value, np.uint8)


@pytest.mark.parametrize("cover", [DEEP, TURBID])
@pytest.mark.parametrize("label", [0, 1])
def test_open_water_is_sure_whatever_the_qa_band_says(cover, label):
    found = gather(of(cover), qa(label))
    assert found.water.all()
    assert not found.land.any()


@pytest.mark.parametrize("label", [0, 1])
def test_forest_is_sure_land_also_where_the_qa_band_calls_it_water(label):
    found = gather(of(FOREST), qa(label))
    assert found.land.all()
    assert not found.water.any()


def test_snow_is_land_though_its_mndwi_is_that_of_water():
    features = of(SNOW)
    assert (features[5] > 0.5).all()
    found = gather(features, qa(1))
    assert found.land.all()
    assert not found.water.any()


def test_a_shadow_on_a_steep_slope_is_no_sure_water_and_one_on_a_plain_may_be():
    inside = np.s_[2:-2, 2:-2]
    assert gather(of(SHADOW), qa(0)).water.all()
    assert not gather(of(SHADOW, plane(0.3, 0.2)), qa(1)).water[inside].any()
    assert gather(of(SHADOW, plane(0.05, 0.05)), qa(0)).water[inside].all()


def test_a_shore_is_left_open():
    cover = np.zeros((SIDE, SIDE), int)
    cover[:, 15:] = 1
    label = cover.astype(np.uint8)
    found = gather(spectrum(cover, (FOREST, DEEP)), label)
    np.testing.assert_array_equal(found.water[0], np.arange(SIDE) > 15)
    np.testing.assert_array_equal(found.land[0], np.arange(SIDE) < 14)


def test_nothing_is_sure_where_nothing_was_observed():
    label = qa(1)
    label[:5] = 255
    features = of(DEEP)
    features[:, :5] = np.nan
    features[3, 20, 20] = np.nan  # the label says observed, the features do not
    found = gather(features, label)
    assert not (found.water | found.land)[:5].any()
    assert not (found.water | found.land)[19:22, 19:22].any()
    assert found.water[10].all()


def test_no_pixel_is_both():
    rng = np.random.default_rng(0)
    cover = rng.integers(0, 5, (60, 60)).repeat(5, axis=0).repeat(5, axis=1)
    features = spectrum(cover, (DEEP, TURBID, FOREST, SNOW, SHADOW), noise=0.01)
    found = gather(features, rng.integers(0, 2, cover.shape).astype(np.uint8))
    assert not (found.water & found.land).any()
    assert found.water.any()
    assert found.land.any()


@pytest.mark.parametrize(("east", "south"), [(0.1, 0.0), (0.0, -0.25), (0.3, 0.4)])
def test_a_plane_is_as_steep_as_it_was_built(east, south):
    found = steepness((plane(east, south) / 4000).astype(np.float32))
    assert found.shape == (SIDE, SIDE)
    np.testing.assert_allclose(found[1:-1, 1:-1], np.hypot(east, south), rtol=1e-3)


def test_without_an_elevation_model_nothing_is_steep():
    assert (steepness(np.zeros((9, 11), np.float32)) == 0).all()
