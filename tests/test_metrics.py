"""Scores and areas against numbers worked out by hand or by other libraries."""

from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
from affine import Affine

from water_gee.errors import GridError
from water_gee.metrics import Confusion, area_km2, pixel_areas_km2


def test_counts_and_scores_of_a_worked_example():
    truth = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.uint8)
    found = np.array([[1, 1, 0, 1], [0, 0, 0, 0]], np.uint8)
    c = Confusion.of(truth, found)
    assert (c.tp, c.fp, c.fn, c.tn) == (2, 1, 1, 4)
    assert c.iou == pytest.approx(2 / 4)
    assert c.f1 == pytest.approx(2 / 3)
    assert c.precision == pytest.approx(2 / 3)
    assert c.recall == pytest.approx(2 / 3)
    assert c.accuracy == pytest.approx(6 / 8)
    # po = 0.75, pe = (3 * 3 + 5 * 5) / 64 = 0.53125
    assert c.kappa == pytest.approx((0.75 - 0.53125) / (1 - 0.53125))


def test_unobserved_pixels_on_either_side_are_left_out():
    truth = np.array([1, 255, 1, 0], np.uint8)
    found = np.array([1, 1, 255, 0], np.uint8)
    assert Confusion.of(truth, found) == Confusion(1, 0, 0, 1)
    assert Confusion.of(truth, found, ignore=None).total == 4


def test_nan_is_left_out_and_booleans_count_as_classes():
    truth = np.array([1.0, np.nan, 0.0])
    assert Confusion.of(truth, np.array([True, True, True])) == Confusion(1, 1, 0, 0)


def test_another_class_can_be_the_positive_one():
    truth, found = np.array([0, 0, 1]), np.array([0, 1, 1])
    assert Confusion.of(truth, found, positive=0) == Confusion(1, 0, 1, 1)


def test_counts_of_tiles_add_up_to_the_counts_of_the_whole():
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 2, (2, 60, 40))
    parts = Confusion.of(truth[:20], found[:20]) + Confusion.of(truth[20:], found[20:])
    assert parts == Confusion.of(truth, found)


def test_scores_of_nothing_are_nan_not_zero():
    empty = Confusion.of(np.zeros(5), np.zeros(5))
    assert math.isnan(empty.iou)
    assert math.isnan(empty.kappa)
    assert empty.accuracy == 1
    assert math.isnan(Confusion(0, 0, 0, 0).accuracy)
    assert empty.to_dict()["tn"] == 5


def test_shapes_that_differ_are_refused_with_both_named():
    with pytest.raises(GridError, match=r"\(2, 3\).*\(3, 2\)"):
        Confusion.of(np.zeros((2, 3)), np.zeros((3, 2)))


def test_the_whole_earth_has_its_published_area():
    whole = np.ones((180, 360), np.uint8)
    assert area_km2(whole, Affine(1, 0, -180, 0, -1, 90)) == pytest.approx(
        510_065_621.724, rel=1e-9
    )


def test_a_pixel_has_the_area_of_its_geodesic_polygon():
    size = 0.135 / 501
    transform = Affine(size, 0, 106.65, 0, -size, 52.38)
    geod = pyproj.Geod(ellps="WGS84")
    areas = pixel_areas_km2(transform, 501)
    for row in (0, 250, 500):
        top, bottom = 52.38 - size * row, 52.38 - size * (row + 1)
        east = 106.65 + size
        polygon, _ = geod.polygon_area_perimeter(
            [106.65, 106.65, east, east], [top, bottom, bottom, top]
        )
        assert areas[row] == pytest.approx(abs(polygon) / 1e6, rel=1e-6)


def test_a_utm_grid_has_the_area_of_its_outline_on_the_ellipsoid():
    left, top, size, n = 300_000.0, 5_800_000.0, 30.0, 400
    steps = np.linspace(0, size * n, 200)
    x = np.concatenate([left + steps, np.full(200, left + size * n)])
    x = np.concatenate([x, left + steps[::-1], np.full(200, left)])
    y = np.concatenate([np.full(200, top), top - steps])
    y = np.concatenate([y, np.full(200, top - size * n), top - steps[::-1]])
    lon, lat = pyproj.Transformer.from_crs(32648, 4326, always_xy=True).transform(x, y)
    outline, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
    found = area_km2(np.ones((n, n)), Affine(size, 0, left, 0, -size, top), crs="EPSG:32648")
    assert found == pytest.approx(abs(outline) / 1e6, rel=1e-6)
    assert found != pytest.approx((size * n) ** 2 / 1e6, rel=1e-4)  # the nominal area is wrong


@pytest.mark.parametrize(
    ("values", "transform", "crs", "words"),
    [
        (np.ones(4), Affine.identity(), "EPSG:4326", "row, col"),
        (np.ones((2, 2)), Affine(1, 0.1, 0, 0, -1, 0), "EPSG:4326", "north-up"),
    ],
)
def test_areas_refuse_what_they_cannot_measure(values, transform, crs, words):
    with pytest.raises(GridError, match=words):
        area_km2(values, transform, crs=crs)


def test_areas_by_row_need_degrees():
    with pytest.raises(GridError, match="geographic"):
        pixel_areas_km2(Affine(30, 0, 0, 0, -30, 0), 3, crs="EPSG:32648")
