from __future__ import annotations

import numpy as np
import pytest

from water_gee import indices


def test_an_index_calls_values_above_its_threshold_water():
    values = np.array([-0.5, 0.0, 0.01, np.nan], dtype=np.float32)
    assert indices.above(values).tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(
    ("name", "spectrum", "water"),
    [
        # blue, green, red, nir, swir1, swir2
        ("clear lake", (0.02, 0.03, 0.02, 0.01, 0.003, 0.002), 1),
        ("silty river", (0.07, 0.11, 0.13, 0.08, 0.02, 0.01), 1),
        ("conifers", (0.02, 0.036, 0.026, 0.21, 0.095, 0.042), 0),
        ("steppe", (0.05, 0.08, 0.09, 0.26, 0.25, 0.15), 0),
        # Three tests of five, the last of them by a hair: green swamp.
        ("flooded reeds", (0.026, 0.050, 0.037, 0.100, 0.024, 0.013), 1),
        # MNDWI and visible light say water, the rest does not: bright snow is both.
        ("snow", (0.7, 0.72, 0.7, 0.62, 0.1, 0.08), 1),
        ("burnt ground", (0.028, 0.038, 0.046, 0.09, 0.13, 0.13), 0),
    ],
)
def test_dswe_counts_its_five_tests(name, spectrum, water):
    arrays = [np.array([value], dtype=np.float32) for value in spectrum]
    assert indices.dswe_water(*arrays).tolist() == [water]


def test_dswe_knows_nothing_where_a_band_is_missing():
    arrays = [np.array([0.02], dtype=np.float32) for _ in range(6)]
    arrays[5][0] = np.nan
    assert indices.dswe_water(*arrays).tolist() == [255]


def test_dswe_gives_the_number_of_tests_passed():
    lake = [np.array([v], np.float32) for v in (0.02, 0.03, 0.02, 0.01, 0.003, 0.002)]
    steppe = [np.array([v], np.float32) for v in (0.05, 0.08, 0.09, 0.26, 0.25, 0.15)]
    assert indices.dswe_passed(*lake).tolist() == [5]
    assert indices.dswe_passed(*steppe).tolist() == [0]


def test_a_ratio_of_nothing_is_nothing():
    zero = np.zeros(1, np.float32)
    assert indices.mndwi(zero, zero).tolist() == [0]


@pytest.mark.parametrize(
    ("red", "nir", "water"), [(0.02, 0.01, 1), (0.1, 0.1, 1), (0.12, 0.115, 0), (0.03, 0.2, 0)]
)
def test_cfmask_calls_dark_infrared_water(red, nir, water):
    found = indices.cfmask_water(np.array([red]), np.array([nir]))
    assert found.tolist() == [water]


def test_otsu_parts_two_heaps_between_them():
    rng = np.random.default_rng(0)
    heaps = np.concatenate([rng.normal(-0.5, 0.05, 900), rng.normal(0.6, 0.05, 100), [np.nan]])
    assert -0.35 < indices.otsu(heaps) < 0.45


def test_otsu_of_nothing_is_no_threshold():
    assert np.isnan(indices.otsu(np.full(3, np.nan)))
