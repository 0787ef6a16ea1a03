"""Regions reduced and sampled: hand-worked pixels, weights by coverage, shapely's areas."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from studio import UTM

VALUES = np.arange(30.0).reshape(5, 6)
MASK = np.ones((5, 6), bool)
MASK[0, 0] = MASK[2, 3] = False


def rectangle(studio, left, top, right, bottom):
    """Return a rectangle in pixels of the raster."""
    bounds = [500_000 + 30 * left, 6_000_000 - 30 * bottom, 500_000 + 30 * right]
    corners = [*bounds, 6_000_000 - 30 * top]
    return studio.client.Geometry.Rectangle(corners, proj="EPSG:32648", geodesic=False)


def reduced(studio, image, reducer, region, **how):
    return studio.info(image.reduceRegion(reducer, region, **how))


def test_whole_pixels_are_reduced(studio):
    image, r = studio.raster(VALUES, VALUES * 10), studio.client.Reducer
    region = rectangle(studio, 1, 1, 4, 3)
    inside = VALUES[1:3, 1:4]
    assert reduced(studio, image, r.mean(), region) == {
        "b1": inside.mean(),
        "b2": inside.mean() * 10,
    }
    assert reduced(studio, image.select(0), r.sum(), region) == {"b1": inside.sum()}
    assert reduced(studio, image.select(0), r.count(), region) == {"b1": 6}
    assert reduced(studio, image.select(0), r.minMax(), region) == {"b1_min": 7, "b1_max": 15}


def test_weighted_reducers_weigh_by_coverage_and_others_count_centres(studio):
    image, r = studio.raster(VALUES), studio.client.Reducer
    # A quarter of column 1, all of column 2, three quarters of column 3; row 1 only.
    region = rectangle(studio, 1.75, 1, 3.75, 2)
    weights = np.array([0.25, 1, 0.75])
    row = VALUES[1, 1:4]
    assert reduced(studio, image, r.mean(), region)["b1"] == pytest.approx(
        (row * weights).sum() / weights.sum()
    )
    assert reduced(studio, image, r.sum(), region)["b1"] == pytest.approx((row * weights).sum())
    assert reduced(studio, image, r.count(), region)["b1"] == 2
    assert reduced(studio, image, r.mean().unweighted(), region)["b1"] == row[1:].mean()
    assert reduced(studio, image, r.max(), region)["b1"] == row[2]


def test_less_than_half_a_percent_of_a_pixel_is_nothing(studio):
    image = studio.raster(VALUES)
    region = rectangle(studio, 1, 1, 2.004, 2)
    assert reduced(studio, image, studio.client.Reducer.sum(), region)["b1"] == VALUES[1, 1]


def test_masked_pixels_do_not_count_and_fractional_masks_weigh(studio):
    r = studio.client.Reducer
    image = studio.raster(VALUES, mask=MASK)
    assert reduced(studio, image, r.count(), None)["b1"] == 28
    assert reduced(studio, image, r.sum(), None)["b1"] == VALUES[MASK].sum()
    half = studio.raster(VALUES, mask=np.full((5, 6), 0.5, np.float32))
    assert reduced(studio, half, r.sum(), None)["b1"] == VALUES.sum() / 2
    # The smaller of mask and coverage, not their product.
    region = rectangle(studio, 1.25, 1, 2, 2)
    assert reduced(studio, half, r.sum(), region)["b1"] == VALUES[1, 1] * 0.5


def test_a_region_without_pixels(studio):
    r = studio.client.Reducer
    image = studio.raster(VALUES, mask=np.zeros((5, 6), bool))
    both = r.mean().combine(r.count(), "", True).combine(r.sum(), "", True)
    assert reduced(studio, image, both, None) == {"b1_mean": None, "b1_count": 0, "b1_sum": 0}
    away = rectangle(studio, 100, 100, 101, 101)
    assert reduced(studio, studio.raster(VALUES), r.max(), away) == {"b1": None}


def test_a_point_is_the_pixel_it_falls_in(studio):
    image, first = studio.raster(VALUES), studio.client.Reducer.first()
    point = studio.client.Geometry.Point([500_000 + 30 * 3.2, 6_000_000 - 30 * 2.9], "EPSG:32648")
    assert reduced(studio, image, first, point) == {"b1": VALUES[2, 3]}
    assert reduced(studio, image, studio.client.Reducer.mean(), point) == {"b1": VALUES[2, 3]}


def test_a_line_is_the_pixels_it_crosses(studio):
    ends = [[500_000 + 30 * 0.5, 6_000_000 - 30 * 1.5], [500_000 + 30 * 4.5, 6_000_000 - 30 * 1.5]]
    line = studio.client.Geometry.LineString(ends, "EPSG:32648", False)
    found = studio.raster(VALUES).reduceRegion(studio.client.Reducer.toList(), line)
    assert studio.info(found) == {"b1": VALUES[1, :5].tolist()}


def test_the_sum_of_coverage_is_the_shapes_area(studio):
    shape = (
        shapely.Point(500_090, 5_999_930)
        .buffer(55)
        .difference(shapely.Point(500_080, 5_999_925).buffer(21))
    )
    region = studio.client.Geometry(shapely.geometry.mapping(shape), "EPSG:32648", False)
    image = studio.client.Image(1).setDefaultProjection("EPSG:32648", list(UTM.transform))
    found = reduced(studio, image, studio.client.Reducer.sum(), region)["constant"]
    assert found == pytest.approx(shape.area / 900, rel=1e-3)


def test_a_wide_region_is_gathered_in_tiles(studio, monkeypatch):
    from water_gee.emulator import regional, regions

    monkeypatch.setattr(regional, "TILE", 4)
    monkeypatch.setattr(regions, "BLOCK", 3)
    r = studio.client.Reducer
    region = rectangle(studio, 0.5, 0.25, 5.75, 4.5)
    rows, cols = np.array([0.75, 1, 1, 1, 0.5]), np.array([0.5, 1, 1, 1, 1, 0.75])
    weights = np.outer(rows, cols)
    found = reduced(studio, studio.raster(VALUES), r.mean(), region)["b1"]
    assert found == pytest.approx((VALUES * weights).sum() / weights.sum())
    values = studio.info(studio.raster(VALUES).reduceRegion(r.toList(), None))["b1"]
    assert sorted(values) == VALUES.ravel().tolist()


def test_far_apart_places_are_found_without_looking_between(studio):
    corners = [[500_015, 5_999_985], [500_015 + 30_000_000, 5_999_985 - 3_000_000]]
    points = studio.client.Geometry.MultiPoint(corners, "EPSG:32648")
    image = studio.raster(VALUES)
    assert reduced(studio, image, studio.client.Reducer.count(), points) == {"b1": 1}


def test_the_scale_makes_other_pixels(studio):
    r = studio.client.Reducer
    image = studio.raster(VALUES[:4])
    everywhere = rectangle(studio, 0, 0, 6, 4)
    assert reduced(studio, image, r.count(), everywhere, scale=60)["b1"] == 6
    degrees = {"crs": "EPSG:4326", "scale": 30}
    assert reduced(studio, image, r.count(), everywhere, **degrees)["b1"] > 24
    transform = [15, 0, 500_000, 0, -15, 6_000_000]
    fine = reduced(studio, image, r.count(), everywhere, crsTransform=transform)
    assert fine["b1"] == 96


def test_too_many_pixels_are_refused_or_made_larger(studio):
    image, r = studio.raster(VALUES), studio.client.Reducer
    message = studio.refused(image.reduceRegion(r.sum(), maxPixels=10))
    assert message.startswith(
        "Image.reduceRegion: Too many pixels in the region. Found 30, but maxPixels allows only 10."
    )
    coarse = studio.info(image.reduceRegion(r.count(), maxPixels=10, bestEffort=True))
    assert coarse["b1"] <= 10


def test_an_unbounded_image_needs_a_region(studio):
    message = studio.refused(studio.client.Image(1).reduceRegion(studio.client.Reducer.sum()))
    assert message == (
        "Image.reduceRegion: Provide 'geometry' parameter when aggregating over an unbounded image."
    )


def test_reducers_of_several_inputs_take_all_bands(studio):
    x, y = np.random.default_rng(1).normal(size=(2, 5, 6))
    image = studio.raster(x, y)
    fit = reduced(studio, image, studio.client.Reducer.linearFit(), None)
    slope, offset = np.polyfit(x.ravel(), y.ravel(), 1)
    assert fit == {"scale": pytest.approx(slope), "offset": pytest.approx(offset)}
    three = image.addBands(studio.raster(x, names=["c"]))
    assert "inputs" in studio.refused(three.reduceRegion(studio.client.Reducer.linearFit()))


def test_areas_by_class(studio):
    classes = np.array([[0, 1, 1], [2, 1, 0]], np.uint8)
    image = studio.client.Image(30).addBands(studio.raster(classes))
    region = studio.client.Geometry.Rectangle(
        [500_000, 5_999_940, 500_090, 6_000_000], proj="EPSG:32648", geodesic=False
    )
    grouped = studio.client.Reducer.sum().group(1, "class")
    found = image.reduceRegion(grouped, region, crs="EPSG:32648", crsTransform=list(UTM.transform))
    assert studio.info(found) == {
        "groups": [{"class": 0, "sum": 60}, {"class": 1, "sum": 90}, {"class": 2, "sum": 30}]
    }


def test_many_regions(studio):
    ee = studio.client
    features = ee.FeatureCollection(
        [
            ee.Feature(rectangle(studio, 0, 0, 2, 1), {"name": "a"}),
            ee.Feature(rectangle(studio, 3, 3, 4, 5), {"name": "b"}),
            ee.Feature(None, {"name": "c"}),
        ]
    )
    one = studio.info(studio.raster(VALUES).reduceRegions(features, ee.Reducer.mean()))
    assert [feature["properties"] for feature in one["features"]] == [
        {"name": "a", "mean": 0.5},
        {"name": "b", "mean": 24},
        {"name": "c"},
    ]
    two = studio.raster(VALUES, VALUES).reduceRegions(features.limit(1), ee.Reducer.max())
    assert studio.info(two)["features"][0]["properties"] == {"name": "a", "b1": 1, "b2": 1}


def test_samples_are_the_pixels_of_a_region(studio):
    image = studio.raster(VALUES, VALUES * 2, mask=MASK)
    region = rectangle(studio, 2, 1, 5, 3)
    found = studio.info(image.sample(region, geometries=True))
    assert [one["properties"]["b1"] for one in found["features"]] == [8, 9, 10, 14, 16]
    assert [one["properties"]["b2"] for one in found["features"]] == [16, 18, 20, 28, 32]
    lon, lat = found["features"][0]["geometry"]["coordinates"]
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32648", always_xy=True).transform(lon, lat)
    assert (x, y) == pytest.approx((500_075, 5_999_955), abs=1e-6)
    kept = studio.info(image.sample(region, dropNulls=False))["features"]
    assert len(kept) == 6
    assert "b1" not in kept[4]["properties"]


def test_samples_at_random_are_the_same_for_the_same_seed(studio):
    image = studio.raster(np.arange(2500.0).reshape(50, 50))

    def values(**how):
        found = studio.info(image.sample(**how))["features"]
        return [one["properties"]["b1"] for one in found]

    assert len(values(numPixels=40)) == 40
    assert values(numPixels=40, seed=1) == values(numPixels=40, seed=1)
    assert values(numPixels=40, seed=1) != values(numPixels=40, seed=2)
    assert 800 < len(values(factor=0.4)) < 1200
    assert "Only one of" in studio.refused(image.sample(factor=0.5, numPixels=5))
    assert "'factor'" in studio.refused(image.sample(factor=2))


def test_samples_of_features_carry_their_properties(studio):
    ee = studio.client
    point = ee.Geometry.Point([500_000 + 30 * 4.5, 6_000_000 - 30 * 3.5], "EPSG:32648")
    features = ee.FeatureCollection(
        [
            ee.Feature(point, {"class": 1, "note": "x"}),
            ee.Feature(rectangle(studio, 0, 1, 2, 2), {"class": 2}),
        ]
    )
    found = studio.info(studio.raster(VALUES).sampleRegions(features, ["class"]))
    assert [one["properties"] for one in found["features"]] == [
        {"b1": VALUES[3, 4], "class": 1},
        {"b1": VALUES[1, 0], "class": 2},
        {"b1": VALUES[1, 1], "class": 2},
    ]


def test_rectangles_come_as_matrices(studio):
    image = studio.raster(VALUES, properties={"name": "x", "system:time_start": 5})
    found = studio.info(image.sampleRectangle(rectangle(studio, 1, 1, 3, 4)))
    assert found["properties"] == {"b1": VALUES[1:4, 1:3].tolist(), "name": "x"}
    holes = studio.raster(VALUES, mask=MASK).sampleRectangle(None, None, -1)
    expected = np.where(MASK, VALUES, -1)
    assert studio.info(holes)["properties"]["b1"] == expected.tolist()


def test_rectangles_that_are_too_large_or_have_holes_are_refused(studio):
    image = studio.raster(VALUES, mask=MASK)
    assert "with no default value set" in studio.refused(image.sampleRectangle())
    large = studio.client.Image(1).setDefaultProjection("EPSG:32648", list(UTM.transform))
    region = rectangle(studio, 0, 0, 513, 512)
    assert studio.refused(large.sampleRectangle(region)) == (
        "Image.sampleRectangle: Too many pixels in sample; must be <= 262144. Got 262656."
    )
    assert "'region'" in studio.refused(large.sampleRectangle())
