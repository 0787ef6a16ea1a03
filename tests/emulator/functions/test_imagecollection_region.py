"""ImageCollection.getRegion: a table worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer
from studio import UTM

ONE = np.arange(6, dtype=np.int16).reshape(2, 3)


@pytest.fixture
def season(client, studio):
    hole = np.ones((2, 3), bool)
    hole[0, 1] = False
    images = [
        studio.raster(ONE, ONE * 2, properties={"system:index": "x", "system:time_start": 1000}),
        studio.raster(ONE + 10, ONE, mask=hole, properties={"system:index": "y"}),
    ]
    return client.ImageCollection(images)


def center(row, col):
    x, y = UTM.coordinates(np.float64(col + 0.5), np.float64(row + 0.5))
    return list(Transformer.from_crs(UTM.crs, 4326, always_xy=True).transform(x, y))


def test_rows_are_pixels_times_images(client, studio, season):
    x, y = UTM.coordinates(np.float64(0), np.float64(0))
    box = client.Geometry.Rectangle([x + 1, y - 29, x + 59, y - 1], UTM.crs, False)
    table = studio.info(season.getRegion(box, None, UTM.crs, list(UTM.transform)))
    assert table[0] == ["id", "longitude", "latitude", "time", "b1", "b2"]
    assert [(row[0], row[3:]) for row in table[1:]] == [
        ("x", [1000, 0, 0]),
        ("y", [None, 10, 0]),
        ("x", [1000, 1, 2]),
        ("y", [None, None, None]),
    ]
    assert table[1][1:3] == pytest.approx(center(0, 0))
    assert table[3][1:3] == pytest.approx(center(0, 1))


def test_a_point_is_one_pixel(client, studio, season):
    table = studio.info(season.getRegion(client.Geometry.Point(center(1, 2)), 30, UTM.crs))
    assert [row[4] for row in table[1:]] == [5, 15]


def test_pixels_outside_an_image_have_no_row(client, studio, season):
    far = client.Geometry.Point(center(50, 50))
    assert len(studio.info(season.getRegion(far, 30, UTM.crs))) == 1


def test_too_many_values_are_refused_in_the_services_words(client, studio, season):
    box = client.Geometry.Rectangle([0, 0, 10, 10], None, False)
    assert studio.refused(season.getRegion(box, 30)).startswith(
        "ImageCollection.getRegion: Too many values: "
    )


def test_an_empty_collection_has_only_names(client, studio):
    none = client.ImageCollection([])
    assert studio.info(none.getRegion(client.Geometry.Point([0, 0]), 30)) == [
        ["id", "longitude", "latitude", "time"]
    ]
