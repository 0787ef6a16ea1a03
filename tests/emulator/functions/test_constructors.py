"""GeometryConstructors: what the client writes, and what computed coordinates become."""

from __future__ import annotations

import pytest


def test_points_and_lines(client, info):
    assert info(client.Geometry.Point([1, 2.5])) == {"type": "Point", "coordinates": [1, 2.5]}
    assert info(client.Geometry.MultiPoint([[1, 2], [3, 4]])) == {
        "type": "MultiPoint",
        "coordinates": [[1, 2], [3, 4]],
    }
    line = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
    assert info(client.Geometry.LineString([[0, 0], [1, 1]])) == line
    assert info(client.Geometry.MultiLineString([[[0, 0], [1, 1]], [[2, 2], [3, 3]]])) == {
        "type": "MultiLineString",
        "coordinates": [[[0, 0], [1, 1]], [[2, 2], [3, 3]]],
    }
    assert info(client.Geometry.LinearRing([[0, 0], [1, 0], [0, 1]])) == {
        "type": "LinearRing",
        "coordinates": [[0, 0], [1, 0], [0, 1], [0, 0]],
    }


def test_polygons_are_closed(client, info):
    assert info(client.Geometry.Polygon([[[0, 0], [1, 0], [0, 1]]])) == {
        "type": "Polygon",
        "coordinates": [[[0, 0], [1, 0], [0, 1], [0, 0]]],
    }
    multi = client.Geometry.MultiPolygon([[[[0, 0], [1, 0], [0, 1]]], [[[5, 5], [6, 5], [5, 6]]]])
    assert info(multi)["type"] == "MultiPolygon"
    assert len(info(multi)["coordinates"]) == 2


def test_a_hole_is_a_hole(client, info):
    outer = [[0, 0], [4, 0], [4, 4], [0, 4]]
    inner = [[1, 1], [2, 1], [2, 2], [1, 2]]
    holed = client.Geometry.Polygon([outer, inner])
    assert info(holed.contains(client.Geometry.Point([1.5, 1.5]))) is False
    assert info(holed.contains(client.Geometry.Point([3, 3]))) is True


def test_crossing_rings_follow_the_even_odd_rule(client, info):
    bow = client.Geometry.Polygon([[[0, 0], [2, 2], [2, 0], [0, 2]]], None, False)
    shape = info(bow)
    assert shape["type"] == "MultiPolygon"
    assert len(shape["coordinates"]) == 2


def test_rectangles(client, info):
    ring = [[0, 1], [0, 0], [2, 0], [2, 1], [0, 1]]
    assert info(client.Geometry.Rectangle([0, 0, 2, 1])) == {
        "type": "Polygon",
        "coordinates": [ring],
    }
    corner = client.Number(2)
    computed = client.Geometry.Rectangle([client.Number(0), 0, corner, 1])
    assert info(computed)["coordinates"] == [ring]


def test_bbox_is_planar_and_goes_round_the_back(client, info):
    east = client.Number(-170)
    box = info(client.Geometry.BBox(170, -100, east, 10))
    assert box["geodesic"] is False
    assert box["coordinates"] == [[[170, -90], [190, -90], [190, 10], [170, 10], [170, -90]]]
    world = info(client.Geometry.BBox(client.Number(-200), -10, 200, 10))
    assert world["coordinates"][0][0] == [-180, -10]
    assert world["coordinates"][0][2] == [180, 10]


def test_points_may_be_computed(client, info):
    one, two = client.Geometry.Point([0, 0]), client.Geometry.Point([3, 4])
    line = client.Geometry.LineString(client.List([one, two]))
    assert info(line)["coordinates"] == [[0, 0], [3, 4]]


def test_crs_and_edges(client, info):
    utm = info(client.Geometry.Rectangle([500000, 0, 600000, 1000], "EPSG:32648", False))
    assert utm["crs"] == {"type": "name", "properties": {"name": "EPSG:32648"}}
    assert utm["geodesic"] is False
    assert "geodesic" not in info(client.Geometry.Polygon([[0, 0], [1, 0], [0, 1]]))
    assert info(client.Geometry.Polygon([[0, 0], [1, 0], [0, 1]], None, False))["geodesic"] is False


def test_coordinates_may_be_pixels_of_a_projection(client, info):
    grid = client.Projection("EPSG:32648", [30, 0, 500000, 0, -30, 1000000])
    point = client.Geometry.Point([10, 20], grid)
    assert info(point)["coordinates"] == [500300, 999400]


def test_collections_of_geometries(client, info):
    point, line = client.Geometry.Point([0, 0]), client.Geometry.LineString([[0, 0], [1, 1]])
    call = client.apifunction.ApiFunction.call_
    mixed = info(call("GeometryConstructors.MultiGeometry", [point, line]))
    assert [one["type"] for one in mixed["geometries"]] == ["Point", "LineString"]
    points = info(call("GeometryConstructors.MultiGeometry", [point, point]))
    assert points["type"] == "MultiPoint"


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        ("Point", [1]),
        ("Point", ["a", "b"]),
        ("Polygon", [[0, 0], [1, 1]]),
        ("LineString", [[0, 0]]),
        ("Rectangle", [[0, 0]]),
        ("MultiPoint", [1, 2, 3]),
    ],
)
def test_what_is_no_shape_is_refused(client, refused, kind, coordinates):
    call = client.apifunction.ApiFunction.call_
    message = refused(call(f"GeometryConstructors.{kind}", coordinates))
    assert message.startswith(f"GeometryConstructors.{kind}: Invalid coordinates for a {kind}")
