"""Chance, tables, paint and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from studio import UTM, same

from water_gee.emulator.pixels import Grid

VALUES = np.array([[1, 2, 3], [4, 5, 2]], np.int16)
MASK = np.array([[1, 1, 1], [0, 1, 1]], bool)
SHAPE = (2, 3)


def test_names_and_dates(studio):
    image = studio.raster(
        VALUES, properties={"system:index": "LC08_1", "system:time_start": 1594800000000}
    )
    assert studio.info(image.id()) == "LC08_1"
    assert studio.info(image.date().millis()) == 1594800000000
    assert studio.info(studio.client.Image(1).id()) == ""
    assert "system:time_start" in studio.refused(studio.client.Image(1).date())


def test_chance_depends_on_place_and_seed_alone(studio):
    image = studio.client.Image.random(7)
    whole = studio.pixels(image, (40, 50))
    part = studio.pixels(image, (10, 10), offset=(20, 30))
    np.testing.assert_array_equal(whole[20:30, 30:40], part)
    a, b, c, d, e, f = UTM.transform
    moved = Grid(UTM.crs, (a, b, c + 30 * 30, d, e, f - 30 * 20))
    np.testing.assert_array_equal(studio.pixels(image, (10, 10), grid=moved), part)
    assert (studio.pixels(studio.client.Image.random(8), (40, 50)) != whole).mean() > 0.99


def test_chance_is_spread_evenly(studio):
    uniform = studio.pixels(studio.client.Image.random(), (200, 200)).data
    assert (uniform >= 0).all()
    assert (uniform < 1).all()
    counts = np.histogram(uniform, 10, (0, 1))[0]
    assert abs(counts - 4000).max() < 4 * np.sqrt(3600)
    # Neighbours have nothing to do with each other.
    assert abs(np.corrcoef(uniform[:, 1:].ravel(), uniform[:, :-1].ravel())[0, 1]) < 0.02
    normal = studio.pixels(studio.client.Image.random(1, "normal"), (200, 200)).data
    assert normal.mean() == pytest.approx(0, abs=0.02)
    assert normal.std() == pytest.approx(1, abs=0.02)
    assert "'distribution'" in studio.refused(studio.client.Image.random(1, "poisson"))


def test_values_are_replaced_by_a_table(studio):
    image = studio.raster(VALUES, mask=MASK)
    found = studio.pixels(image.remap([2, 5, 1], [20, 50, 10]), SHAPE)
    expected = [[10, 20, 0], [0, 50, 20]]
    same(found, expected, MASK & np.isin(VALUES, [1, 2, 5]))
    kept = image.remap([2, 5], [0.5, 2], -1)
    same(studio.pixels(kept, SHAPE), [[-1, 0.5, -1], [-1, 2, 0.5]], MASK)
    assert studio.info(kept.bandNames()) == ["remapped"]
    two = studio.raster(VALUES, VALUES * 2, names=["a", "b"])
    same(studio.pixels(two.remap([4], [1], 0, "b"), SHAPE), VALUES * 2 == 4)
    assert "one length" in studio.refused(image.remap([1, 2], [3]))
    assert "No band named 'z'" in studio.refused(image.remap([1], [3], 0, "z"))
    assert "Only numbers" in studio.refused(image.remap(["a"], [3]))


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        ("extrapolate", [[-10, 0, 5], [10, 30, 70]]),
        ("clamp", [[0, 0, 5], [10, 30, 30]]),
        ("input", [[0, 0, 5], [10, 30, 6]]),
    ],
)
def test_piecewise_linear_functions(studio, behavior, expected):
    image = studio.raster(np.array([[0, 1, 1.5], [2, 4, 6]]))
    found = image.interpolate([1, 2, 3, 4], [0, 10, 10, 30], behavior)
    expected = np.array(expected, float)
    if behavior == "extrapolate":
        # Slope 10 before 1, 20 after 4.
        expected = np.array([[-10, 0, 5], [10, 30, 70]], float)
    same(studio.pixels(found, SHAPE), expected, tolerance=1e-14)


def test_piecewise_linear_functions_may_mask(studio):
    image = studio.raster(np.array([[0, 1, 5.0]]))
    found = studio.pixels(image.interpolate([1, 4], [0, 3], "mask"), (1, 3))
    same(found, [[0, 0, 0]], [[0, 1, 0]])
    assert "increase strictly" in studio.refused(image.interpolate([1, 1], [0, 3]))
    assert "'behavior'" in studio.refused(image.interpolate([1, 2], [0, 3], "wrap"))


def test_shapes_are_painted(studio):
    ee = studio.client

    def square(left, top, size, **properties):
        corners = [500_000 + 30 * left, 6_000_000 - 30 * (top + size)]
        corners += [500_000 + 30 * (left + size), 6_000_000 - 30 * top]
        region = ee.Geometry.Rectangle(corners, proj="EPSG:32648", geodesic=False)
        return ee.Feature(region, properties)

    features = ee.FeatureCollection([square(0, 0, 2, code=3), square(1, 1, 2, code=9)])
    image = ee.Image(0).toByte()
    filled = [[7, 7, 0, 0], [7, 7, 7, 0], [0, 7, 7, 0], [0, 0, 0, 0]]
    same(studio.pixels(image.paint(features, 7), (4, 4)), filled)
    coded = [[3, 3, 0, 0], [3, 9, 9, 0], [0, 9, 9, 0], [0, 0, 0, 0]]
    same(studio.pixels(image.paint(features, "code"), (4, 4)), coded)
    outline = studio.pixels(
        ee.Image(0).paint(ee.FeatureCollection([square(0.5, 0.5, 3)]), 1, 1), (4, 4)
    )
    ring = np.ones((4, 4))
    ring[1:3, 1:3] = 0
    same(outline, ring)
    assert "'color' must be a number" in studio.refused(image.paint(features, "name"))


def test_pictures_are_stretched(studio):
    values = np.array([[0.0, 0.1, 0.25, 0.5, 0.9]])
    image = studio.raster(values, values / 2, values * 0, names=["r", "g", "b"])
    found = studio.blocks(image.visualize(min=0, max=0.5), (1, 5))
    assert list(found) == ["vis-red", "vis-green", "vis-blue"]
    assert found["vis-red"][0].tolist() == [[0, 51, 128, 255, 255]]
    assert found["vis-green"][0].tolist() == [[0, 26, 64, 128, 230]]
    gray = studio.blocks(image.visualize(bands=["g"], max=0.5), (1, 5))
    assert list(gray) == ["vis-gray"]
    forced = studio.info(image.visualize(bands="g", forceRgbOutput=True).bandNames())
    assert forced == ["vis-red", "vis-green", "vis-blue"]
    gamma = studio.blocks(image.visualize(bands=["r"], min=0, max=1, gamma=2), (1, 5))
    expected = np.floor(255 * np.sqrt(values) + 0.5).tolist()
    assert gamma["vis-gray"][0].tolist() == expected
    gain = studio.blocks(image.visualize(bands=["r"], gain=100, bias=5), (1, 5))["vis-gray"][0]
    assert gain.tolist() == [[5, 15, 30, 55, 95]]
    assert studio.info(image.visualize(max=1).bandTypes())["vis-red"]["max"] == 255


def test_palettes_run_from_colour_to_colour(studio):
    image = studio.raster(np.array([[0.0, 0.25, 0.5, 1.0, 2.0]]))
    shown = image.visualize(min=0, max=1, palette=["000000", "red", "#ffffff"])
    found = studio.blocks(shown, (1, 5))
    assert found["vis-red"][0].tolist() == [[0, 128, 255, 255, 255]]
    assert found["vis-blue"][0].tolist() == [[0, 0, 0, 255, 255]]
    one = studio.blocks(image.visualize(palette="0af"), (1, 5))
    assert [plane[0][0, 0] for plane in one.values()] == [0, 170, 255]


def test_opacity_is_a_mask(studio):
    image = studio.raster(np.ones((1, 2)), mask=np.array([[True, False]]))
    mask = studio.blocks(image.visualize(opacity=0.5), (1, 2))["vis-gray"][1]
    assert mask.tolist() == [[0.5, 0]]


def test_whole_numbers_are_stretched_over_their_type(studio):
    image = studio.raster(np.array([[0, 128, 255]], np.uint8))
    assert studio.blocks(image.visualize(), (1, 3))["vis-gray"][0].tolist() == [[0, 128, 255]]
    wide = studio.raster(np.array([[0, 65535]], np.uint16))
    assert studio.blocks(wide.visualize(), (1, 2))["vis-gray"][0].tolist() == [[0, 255]]


def test_pictures_that_cannot_be_are_refused(studio):
    image = studio.raster(VALUES, VALUES, VALUES)
    assert "1 or 3 bands" in studio.refused(image.visualize(bands=["b1", "b2"]))
    assert "single band" in studio.refused(
        image.visualize(bands=["b1", "b2", "b3"], palette=["red", "blue"])
    )
    assert "Invalid color 'reddish'" in studio.refused(image.visualize(palette=["reddish"]))
    assert "exclude" in studio.refused(image.visualize(min=0, gain=2))
    assert "'gamma'" in studio.refused(image.visualize(gamma=0))
    assert "1 or 3 values" in studio.refused(image.visualize(min=[0, 1]))
    assert "No band named 'q'" in studio.refused(image.visualize(bands=["q"]))
