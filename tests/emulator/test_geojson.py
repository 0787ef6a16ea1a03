"""GeoJSON to geometries and back."""

from __future__ import annotations

import pytest
import shapely

from water_gee.emulator import values as v
from water_gee.emulator.geojson import (
    coordinates_of,
    geometry_from_json,
    geometry_to_json,
    number,
    shape_of,
)
from water_gee.errors import ServiceError

ROUND_TRIPS = [
    {"type": "Point", "coordinates": [1, 2.5]},
    {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
    {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
    {"geodesic": False, "type": "LineString", "coordinates": [[0, 0], [1, 1]]},
    {"type": "LinearRing", "coordinates": [[0, 0], [1, 0], [0, 1], [0, 0]]},
    {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]},
    {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [0, 4], [0, 0]]]},
    {
        "type": "Polygon",
        "coordinates": [
            [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]],
            [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]],
        ],
    },
    {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [0, 1], [0, 0]]]]},
    {
        "type": "GeometryCollection",
        "geometries": [
            {"type": "Point", "coordinates": [0, 0]},
            {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
        ],
    },
    {
        "crs": {"type": "name", "properties": {"name": "EPSG:32648"}},
        "geodesic": False,
        "type": "Polygon",
        "coordinates": [[[500000, 0], [500030, 0], [500030, 30], [500000, 0]]],
    },
]


@pytest.mark.parametrize("given", ROUND_TRIPS)
def test_round_trip(given):
    assert geometry_to_json(geometry_from_json(given)) == given


def test_edges_are_geodesics_in_degrees_and_straight_elsewhere():
    line = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
    assert geometry_from_json(line).geodesic is True
    utm = {"type": "name", "properties": {"name": "EPSG:32648"}}
    assert geometry_from_json({**line, "crs": utm}).geodesic is False


def test_rings_are_closed_and_flat_lists_are_points():
    assert coordinates_of(shape_of("Polygon", [[0, 0], [1, 0], [0, 1]])) == [
        [[0, 0], [1, 0], [0, 1], [0, 0]]
    ]
    assert coordinates_of(shape_of("LineString", [0, 0, 1, 1])) == [[0, 0], [1, 1]]
    assert coordinates_of(shape_of("Polygon", [0, 0, 1, 0, 0, 1]))[0][0] == [0, 0]


def test_features_stand_for_their_geometries():
    point = {"type": "Point", "coordinates": [1, 2]}
    feature = {"type": "Feature", "geometry": point, "properties": {}}
    assert geometry_to_json(geometry_from_json(feature)) == point
    both = geometry_from_json({"type": "FeatureCollection", "features": [feature, feature]})
    assert len(geometry_to_json(both)["geometries"]) == 2
    nothing = geometry_from_json({"type": "Feature", "geometry": None, "properties": {}})
    assert nothing.shape is not None
    assert nothing.shape.is_empty


def test_an_unbounded_geometry_is_shown_as_the_world():
    assert geometry_to_json(v.Geometry(None)) == {
        "geodesic": False,
        "type": "Polygon",
        "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]],
    }


def test_empty_shapes_have_no_coordinates():
    assert geometry_to_json(v.Geometry(shapely.Polygon()))["coordinates"] == []
    assert shape_of("Polygon", []).is_empty
    assert shape_of("Point", []).is_empty


def test_whole_numbers_come_without_a_fraction():
    assert repr(number(2.0)) == "2"
    assert repr(number(2.5)) == "2.5"
    assert repr(number(1e300)) == "1e+300"


@pytest.mark.parametrize(
    "given",
    [
        {"type": "Blob", "coordinates": []},
        {"type": "Point", "coordinates": [1, None]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "LineString", "coordinates": [[0, 0, 1], [1]]},
        {},
    ],
)
def test_what_is_no_geometry_is_refused(given):
    with pytest.raises(ServiceError) as caught:
        geometry_from_json(given)
    assert caught.value.code == 400
    assert "\n" not in caught.value.message
