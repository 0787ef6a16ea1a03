"""What `getInfo` answers, in the forms Earth Engine's own pages and answers show."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from water_gee.emulator import values as v
from water_gee.emulator.describe import to_json
from water_gee.emulator.nodes import Constant
from water_gee.errors import ServiceError

POINT = v.Geometry(shapely.Point(1, 2))
FOOTPRINT = v.Geometry(shapely.Polygon([(0, 0), (1, 0), (1, 1), (0, 0)]))


def band(name, kind, **more):
    return v.Band(name, kind, Constant(0, kind.dtype), **more)


def test_plain_values():
    assert to_json([1, 2.0, 2.5, "a", True, None]) == [1, 2, 2.5, "a", True, None]
    assert json.dumps(to_json(2.0)) == "2"
    assert json.dumps(to_json(np.float64(2.5))) == "2.5"
    assert json.dumps(to_json(np.int32(2))) == "2"
    assert list(to_json({"b": 1, "a": 2})) == ["a", "b"]


def test_a_constant_image():
    image = v.Image((band("constant", v.PixelType.of_constant(1)),))
    assert to_json(image) == {
        "type": "Image",
        "bands": [
            {
                "id": "constant",
                "data_type": {"type": "PixelType", "precision": "int", "min": 1, "max": 1},
                "crs": "EPSG:4326",
                "crs_transform": [1, 0, 0, 0, 1, 0],
            }
        ],
    }


def test_an_image_of_the_catalogue():
    projection = v.Projection("EPSG:32621", (30.0, 0.0, 178785.0, 0.0, -30.0, -336285.0))
    image = v.Image(
        (
            band(
                "SR_B4",
                v.PixelType.of_dtype(np.uint16),
                projection=projection,
                dimensions=(7601, 7741),
            ),
            band("f", v.FLOAT, projection=projection),
        ),
        {"system:index": "LC08", "system:time_start": 1690121234567, "CLOUD_COVER": 3.5},
        "LANDSAT/LC08/C02/T1_L2/LC08",
        FOOTPRINT,
    )
    shown = to_json(image)
    assert shown["id"] == "LANDSAT/LC08/C02/T1_L2/LC08"
    assert shown["bands"][0] == {
        "id": "SR_B4",
        "data_type": {"type": "PixelType", "precision": "int", "min": 0, "max": 65535},
        "dimensions": [7601, 7741],
        "crs": "EPSG:32621",
        "crs_transform": [30, 0, 178785, 0, -30, -336285],
    }
    assert shown["bands"][1]["data_type"] == {"type": "PixelType", "precision": "float"}
    assert shown["properties"] == {
        "CLOUD_COVER": 3.5,
        "system:footprint": {
            "type": "LinearRing",
            "coordinates": [[0, 0], [1, 0], [1, 1], [0, 0]],
        },
        "system:index": "LC08",
        "system:time_start": 1690121234567,
    }


def test_features_and_collections():
    feature = v.Feature(POINT, {"system:index": "0", "a": 1, "s": "x", "l": [1]})
    shown = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "id": "0",
        "properties": {"a": 1, "l": [1], "s": "x"},
    }
    assert to_json(feature) == shown
    collection = v.Collection((feature,), "FeatureCollection", {"p": 1}, "users/x/y")
    assert to_json(collection) == {
        "type": "FeatureCollection",
        "columns": {"a": "Integer", "l": "List<Object>", "s": "String", "system:index": "String"},
        "id": "users/x/y",
        "properties": {"p": 1},
        "features": [shown],
    }


def test_image_collections_hold_their_images():
    image = v.Image((band("a", v.FLOAT),), {"system:index": "0", "system:version": 7})
    shown = to_json(v.Collection((image,), "ImageCollection", {"system:version": 9}))
    assert shown["type"] == "ImageCollection"
    assert shown["bands"] == []
    assert shown["version"] == 9
    assert "columns" not in shown
    assert shown["features"][0]["version"] == 7
    assert shown["features"][0]["properties"] == {"system:index": "0"}


def test_a_feature_without_geometry():
    assert to_json(v.Feature()) == {"type": "Feature", "geometry": None, "properties": {}}


def test_other_values():
    assert to_json(v.Date(5)) == {"type": "Date", "value": 5}
    assert to_json(v.DateRange(1, 2)) == {"type": "DateRange", "dates": [1, 2]}
    assert to_json(v.ErrorMargin(1.0)) == {"type": "ErrorMargin", "unit": "meters", "value": 1}
    assert to_json(v.Projection()) == {
        "type": "Projection",
        "crs": "EPSG:4326",
        "transform": [1, 0, 0, 0, 1, 0],
    }
    assert to_json(v.Array(np.array([[1, 2.5]]))) == [[1, 2.5]]
    assert to_json(v.PixelType("double", None, None, 2)) == {
        "type": "PixelType",
        "precision": "double",
        "dimensions": 2,
    }
    kernel = v.Kernel(np.ones((1, 3)), (0, 1), True)
    assert to_json(kernel) == {
        "type": "Kernel",
        "center": [1, 0],
        "weights": [[1, 1, 1]],
        "normalize": True,
    }


def test_holes_are_not_lost_from_a_footprint():
    ring = [(0, 0), (4, 0), (4, 4), (0, 4)]
    holed = v.Geometry(shapely.Polygon(ring, [[(1, 1), (2, 1), (2, 2)]]))
    shown = to_json(v.Image((), {}, None, holed))
    assert shown["properties"]["system:footprint"]["type"] == "Polygon"


def test_a_function_has_no_json_form():
    with pytest.raises(ServiceError, match="A value of type Algorithm cannot be returned"):
        to_json(v.Function(("x",), lambda x: x))
