"""The expressions on the wire; what they evaluate to is in test_tile_is_right_to_the_pixel.py."""

from __future__ import annotations

import json

import ee
import fake_service
import numpy as np
import pytest
import shapely

from water_gee.imagery import composite
from water_gee.imagery import sensors as products
from water_gee.imagery.recipe import Recipe


@pytest.fixture(autouse=True)
def _client():
    with fake_service.client_of(fake_service.FakeService()):
        yield


def calls(thing):
    """Every function call of an expression, as (name, arguments)."""
    found = []

    def walk(node):
        if isinstance(node, dict):
            call = node.get("functionInvocationValue")
            if call is not None:
                found.append((call["functionName"], call["arguments"]))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(ee.serializer.encode(thing))
    return found


def names(thing):
    return [name for name, _ in calls(thing)]


def constants(thing):
    return [
        arguments["value"]["constantValue"]
        for name, arguments in calls(thing)
        if name == "Image.constant"
    ]


def selected(thing):
    """The lists of bands that an expression selects, references followed."""
    values = ee.serializer.encode(thing)["values"]

    def plain(node):
        if "valueReference" in node:
            return plain(values[node["valueReference"]])
        if "arrayValue" in node:
            return tuple(plain(value) for value in node["arrayValue"]["values"])
        constant = node["constantValue"]
        return tuple(constant) if isinstance(constant, list) else constant

    return {plain(a["bandSelectors"]) for name, a in calls(thing) if name == "Image.select"}


def dates(thing):
    """The ranges of dates of an expression."""
    return [
        (arguments["start"]["constantValue"], arguments["end"]["constantValue"])
        for name, arguments in calls(thing)
        if name == "DateRange"
    ]


def test_it_needs_no_function_whose_masks_are_undocumented():
    used = set(names(composite.request_image(Recipe())))
    assert "Image.normalizedDifference" not in used
    assert "Image.convolve" in used
    # Every convolution reads something unmasked: unmask, or arithmetic on an unmasked mask.
    text = json.dumps(ee.serializer.encode(composite.request_image(Recipe())))
    assert text.count('"sameFootprint": {"constantValue": false}') >= 4


def test_it_reduces_the_season_once():
    used = names(composite.request_image(Recipe()))
    assert used.count("reduce.median") == 1
    assert used.count("ImageCollection.load") == 2  # the season, and the elevation model


def test_the_negative_counts_and_qa_bits_are_those_of_the_product():
    values = constants(composite.season(Recipe()))
    assert {31, 128, 1, 43636, 7273, 2.75e-05, -0.2} <= set(values)


def test_summers_of_two_years_are_two_ranges():
    assert dates(composite.season(Recipe(years=(2019, 2021)))) == [
        ("2019-06-01", "2019-09-01"),
        ("2021-06-01", "2021-09-01"),
    ]


def test_a_season_may_have_gaps_and_december_ends_with_the_year():
    assert dates(composite.season(Recipe(years=2018, months=(1, 2, 12)))) == [
        ("2018-01-01", "2018-03-01"),
        ("2018-12-01", "2019-01-01"),
    ]


def test_a_season_over_new_year_begins_in_the_year_before():
    winters = Recipe(years=(2019, 2021), months=(12, 1, 2))
    for images in (composite.season(winters), composite.scenes(winters)):
        assert dates(images) == [("2018-12-01", "2019-03-01"), ("2020-12-01", "2021-03-01")]
    assert dates(composite.feature_image(winters, years=[2000])) == [("1999-12-01", "2000-03-01")]


@pytest.mark.parametrize(
    ("sensor", "name"),
    [
        ("landsat5", "CLOUD_COVER"),
        ("landsat8", "CLOUD_COVER"),
        ("sentinel2", "CLOUDY_PIXEL_PERCENTAGE"),
        ("hls_l30", "CLOUD_COVERAGE"),
        ("hls_s30", "CLOUD_COVERAGE"),
    ],
)
def test_cloudy_images_are_left_out_by_their_own_property(sensor, name):
    recipe = Recipe(sensors=(sensor,), max_cloud=20)
    for images in (
        composite.season(recipe),
        composite.scenes(recipe),
        composite.images(products.sensor(sensor), recipe),
    ):
        (found,) = [a for called, a in calls(images) if called == "Filter.greaterThan"]
        assert found["leftField"]["constantValue"] == name
        assert found["rightValue"]["constantValue"] == 20
    everything = json.dumps(ee.serializer.encode(composite.scenes(recipe, any_time=True)))
    assert "CLOUD" not in everything


def test_few_clear_observations_are_counted_only_where_that_is_asked_for():
    two = Recipe(min_clear=2)
    assert names(composite.feature_image(Recipe())).count("reduce.count") == 0
    for image in (composite.feature_image(two), composite.label_image(two)):
        assert names(image).count("reduce.count") == 1
        assert names(image).count("reduce.median") == 1
    scene = composite.request_image(two, scene=("landsat8", "LC08_132023_20200701"))
    assert "reduce.count" not in names(scene)


def test_years_can_be_given_beside_the_recipe():
    assert dates(composite.feature_image(Recipe(), years=[1999])) == [("1999-06-01", "1999-09-01")]


def test_sensors_are_merged_under_common_names():
    both = composite.season(Recipe(sensors=("landsat5", "landsat8")))
    loaded = [a["id"]["constantValue"] for name, a in calls(both) if name == "ImageCollection.load"]
    assert loaded == ["LANDSAT/LT05/C02/T1_L2", "LANDSAT/LC08/C02/T1_L2"]
    assert names(both).count("ImageCollection.merge") == 1
    assert selected(both) >= {
        ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5"),
        ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6"),
    }


def test_the_elevation_model_is_the_recipes():
    def loaded(dem):
        image = composite.feature_image(Recipe(dem=dem))
        return {
            arguments["id"]["constantValue"]
            for name, arguments in calls(image)
            if name in ("Image.load", "ImageCollection.load")
        } - {"LANDSAT/LC08/C02/T1_L2"}

    assert loaded("COPERNICUS/DEM/GLO30") == {"COPERNICUS/DEM/GLO30"}
    assert loaded("CGIAR/SRTM90_V4") == {"CGIAR/SRTM90_V4"}
    assert loaded("projects/me/assets/dem") == {"projects/me/assets/dem"}
    assert loaded(None) == set()


def test_each_direction_has_its_kernel():
    found = []
    for name, arguments in calls(composite.feature_image(Recipe())):
        if name == "Kernel.fixed":
            found.append(arguments)
    assert len(found) == 4


def test_the_expression_is_small_shallow_and_the_same_every_time():
    expression = ee.serializer.encode(composite.request_image(Recipe()))
    text = json.dumps(expression, sort_keys=True)
    assert len(text) < 20_000

    def depth(node):
        if isinstance(node, dict):
            return 1 + max(map(depth, node.values()), default=0)
        if isinstance(node, list):
            return max(map(depth, node), default=0)
        return 0

    assert max(map(depth, expression["values"].values())) < 100
    again = ee.serializer.encode(composite.request_image(Recipe()))
    assert json.dumps(again, sort_keys=True) == text


def test_the_band_order_is_the_recipes():
    few = Recipe(features=("elevation", "Blue"))
    assert ("elevation", "Blue") in selected(composite.feature_image(few))


def test_without_evidence_nothing_of_it_is_asked_for():
    """What is deployed and predicted with: SWIR2 and the sun would be read for nothing."""
    for image in (composite.feature_image(Recipe()), composite.request_image(Recipe())):
        text = json.dumps(ee.serializer.encode(image))
        assert "SR_B7" not in text
        assert "SUN_AZIMUTH" not in text
        assert "reduce.sum" not in text


def test_evidence_is_of_the_same_observations():
    image = composite.request_image(Recipe(), evidence=True)
    used = names(image)
    assert used.count("reduce.median") == 1
    assert used.count("ImageCollection.load") == 2
    assert len(json.dumps(ee.serializer.encode(image))) < 40_000


def test_of_scenes_the_season_is_mapped_as_a_median_and_a_mean_as_a_mean():
    def text(recipe):
        return json.dumps(ee.serializer.encode(composite.feature_image(recipe)), sort_keys=True)

    assert text(Recipe(composite="scene")) == text(Recipe())
    mean = names(composite.feature_image(Recipe(composite="mean")))
    assert (mean.count("reduce.mean"), mean.count("reduce.median")) == (1, 0)


def test_a_scene_is_asked_for_by_its_index_and_no_other_sensor_is_looked_at():
    recipe = Recipe(sensors=("landsat7", "landsat8"), composite="scene")
    image = composite.request_image(recipe, scene=("landsat7", "LE07_132023_20200701"))
    loaded = [a["id"]["constantValue"] for n, a in calls(image) if n == "ImageCollection.load"]
    assert loaded == ["LANDSAT/LE07/C02/T1_L2", "COPERNICUS/DEM/GLO30"]
    assert "LE07_132023_20200701" in json.dumps(ee.serializer.encode(image))
    assert dates(image) == []


def test_classes_and_bits_of_qa_become_expressions_of_their_own():
    classes = names(composite.season(Recipe(sensors=("sentinel2",))))
    assert "Image.bitwiseAnd" not in classes
    assert classes.count("Image.neq") == 6
    bits = constants(composite.season(Recipe(sensors=("hls_s30",))))
    assert {0b1110, 0b100000} <= set(bits)


@pytest.mark.parametrize("sensor", ["landsat8", "sentinel2", "hls_l30"])
def test_only_harmonized_seasons_carry_the_published_lines(sensor):
    text = json.dumps(ee.serializer.encode(composite.season(Recipe(sensors=(sensor,)))))
    assert "0.8474" not in text
    both = Recipe(sensors=("landsat7", "landsat8"), harmonize="ols")
    assert json.dumps(ee.serializer.encode(composite.season(both))).count("0.8474") == 1


def test_the_boxes_of_an_area_cover_it_and_stay_few():
    corners = np.random.default_rng(0).uniform((-180, -60), (178, 79), (3000, 2))
    for count in (3, 3000):
        islands = shapely.box(*corners[:count].T, *(corners[:count] + 0.1).T)
        area = shapely.union_all(islands)
        whole = ee.serializer.encode(composite.boxes(area), is_compound=False)
        drawn = whole["functionInvocationValue"]["arguments"]["coordinates"]["constantValue"]
        (rings,) = zip(*drawn, strict=True)
        parts = [shapely.Polygon(ring) for ring in rings]
        assert len(parts) <= max(composite.MOST_BOXES, 36 * 15)
        assert shapely.union_all(parts).buffer(1e-9).covers(area)
