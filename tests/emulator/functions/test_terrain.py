"""Terrain against planes whose slope and aspect are known, and against a formula of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pyproj import Geod

from water_gee.emulator.pixels import Grid

DEGREES = Grid("EPSG:4326", (0.001, 0.0, 105.0, 0.0, -0.001, 52.01))


def plane(studio, east, north, grid=None, shape=(7, 9)):
    """Return a plane that rises by some metres per pixel to the right and upwards."""
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    values = 500 + east * cols - north * rows
    return studio.raster(values, names=["DEM"], **({"grid": grid} if grid else {}))


@pytest.mark.parametrize(
    ("east", "north", "azimuth"),
    [(3, 0, 270), (-3, 0, 90), (0, 3, 180), (0, -3, 0), (-3, -3, 45), (3, -3, 315)],
)
def test_planes_in_utm(studio, east, north, azimuth):
    image = plane(studio, east, north)
    # The map's pixels are 30 m, the ground's 30 / 0.9996.
    expected = math.degrees(math.atan(math.hypot(east, north) / (30 / 0.9996)))
    slope = studio.pixels(studio.client.Terrain.slope(image), (7, 9))
    assert slope[3, 4] == pytest.approx(expected, rel=1e-4)
    aspect = studio.pixels(studio.client.Terrain.aspect(image), (7, 9))
    assert abs((aspect[3, 4] - azimuth + 180) % 360 - 180) < 0.1
    # Edges lack a neighbour.
    np.testing.assert_array_equal(~np.ma.getmaskarray(slope), np.pad(np.ones((5, 7), bool), 1))


def test_a_plane_in_degrees(studio):
    image = plane(studio, 2.0, 1.0, DEGREES)
    geod = Geod(ellps="WGS84")
    latitude = 52.01 - 0.0035
    across = geod.inv(105.0, latitude, 105.001, latitude)[2]
    along = geod.inv(105.0, latitude - 0.0005, 105.0, latitude + 0.0005)[2]
    east, north = 2.0 / across, 1.0 / along
    slope = studio.pixels(studio.client.Terrain.slope(image), (7, 9), grid=DEGREES)
    assert slope[3, 4] == pytest.approx(math.degrees(math.atan(math.hypot(east, north))), rel=1e-5)
    aspect = studio.pixels(studio.client.Terrain.aspect(image), (7, 9), grid=DEGREES)
    assert aspect[3, 4] == pytest.approx(math.degrees(math.atan2(-east, -north)) % 360, rel=1e-5)


def test_level_ground(studio):
    image = plane(studio, 0, 0)
    for name, expected in (("slope", 0), ("aspect", 0), ("hillshade", 180)):
        found = studio.pixels(getattr(studio.client.Terrain, name)(image), (7, 9))
        # Level ground under a light 45 degrees high: 255 cos 45 = 180.3.
        assert found[3, 4] == expected


def test_slopes_towards_the_light_are_bright(studio):
    bright = studio.client.Terrain.hillshade(plane(studio, 30 / 0.9996, 0))
    dark = studio.client.Terrain.hillshade(plane(studio, -30 / 0.9996, 0))
    assert studio.pixels(bright, (7, 9))[3, 4] == 255
    assert studio.pixels(dark, (7, 9))[3, 4] == 0
    south = studio.client.Terrain.hillshade(plane(studio, 0, 30 / 0.9996), 180, 45)
    assert studio.pixels(south, (7, 9))[3, 4] == 255


def test_products_are_added(studio):
    image = plane(studio, 3, 0).rename(["elevation"]).addBands(studio.client.Image(7))
    products = studio.client.Terrain.products(image)
    expected = ["elevation", "constant", "slope", "aspect", "hillshade"]
    assert studio.info(products.bandNames()) == expected
    two = image.rename(["a", "b"])
    assert "'elevation'" in studio.refused(studio.client.Terrain.slope(two))
