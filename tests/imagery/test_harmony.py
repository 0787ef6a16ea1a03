"""TM and ETM+ as OLI: the published lines, and what they make of a pixel, by hand."""

from __future__ import annotations

import ee
import numpy as np
import pytest
import small_catalog

from water_gee.emulator.catalog import Catalog
from water_gee.imagery.harmony import HARMONIES
from water_gee.imagery.observed import reflectances
from water_gee.imagery.sensors import BANDS, sensor

COUNTS = (9000, 9500, 10000, 8000, 7400, 7000)
"""Reflectance 0.0475, 0.06125, 0.075, 0.02, 0.0035, and below 0."""

BY_HAND = {
    # intercept + slope x reflectance, Roy et al. 2016, table 2, surface, OLI from ETM+.
    "ols": (0.0405515, 0.060758375, 0.0739525, 0.058124, 0.02852795, 0.0172068),
    "rma": (0.03697875, 0.05684475, 0.0714875, 0.018046, 0.00055985, 0.00290746),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    Catalog.open(folder, create=True).close()
    with small_catalog.client_in_process(folder) as running:
        yield running


def evaluated(client, name, harmonize):
    counts = ee.Image.constant(list(COUNTS)).rename(list(BANDS))
    image = reflectances(counts, BANDS, sensor(name), harmonize)
    pixels = client.pixels(image, list(BANDS), (1, 1), (30, 0, 500010, 0, -30, 5800020))
    return [float(pixels[band][0, 0]) for band in BANDS]


@pytest.mark.parametrize("name", ["landsat4", "landsat5", "landsat7"])
@pytest.mark.parametrize("harmonize", ["ols", "rma"])
def test_tm_and_etm_become_what_the_published_line_says(client, name, harmonize):
    found = evaluated(client, name, harmonize)
    np.testing.assert_allclose(found, BY_HAND[harmonize], atol=2e-7)


@pytest.mark.parametrize("name", ["landsat8", "landsat9"])
def test_oli_stays_as_it_is(client, name):
    assert evaluated(client, name, "ols") == evaluated(client, name, False)


def test_without_it_counts_are_scaled_only_and_never_negative(client):
    found = evaluated(client, "landsat7", False)
    np.testing.assert_allclose(found[:5], (0.0475, 0.06125, 0.075, 0.02, 0.0035), atol=1e-12)
    assert 0 < found[5] < 1e-5


def test_a_line_that_leads_below_0_ends_just_above_it(client):
    """Blue of deep water: 0.005 becomes -0.0046 by the reduced major axis."""
    counts = ee.Image.constant([7455]).rename(["Blue"])
    image = reflectances(counts, ("Blue",), sensor("landsat7"), "rma")
    pixels = client.pixels(image, ["Blue"], (1, 1), (30, 0, 500010, 0, -30, 5800020))
    assert 0 < float(pixels["Blue"][0, 0]) < 1e-5


def test_the_lines_cover_every_band_and_the_docstring_says_what_they_do_to_dark_water():
    assert all(tuple(lines) == BANDS for lines in HARMONIES.values())
    intercept, slope = HARMONIES["ols"]["NIR"]
    assert intercept + slope * 0.01 == pytest.approx(0.050, abs=5e-4)
    intercept, slope = HARMONIES["ols"]["SWIR1"]
    assert intercept + slope * 0.01 == pytest.approx(0.034, abs=5e-4)
