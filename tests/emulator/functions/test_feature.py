"""Feature: construction, selection, and what it shares with its geometry."""

from __future__ import annotations

import pytest
from pyproj import Geod

WGS84 = Geod(ellps="WGS84")
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]


@pytest.fixture
def square(client):
    return client.Feature(client.Geometry.Polygon(SQUARE), {"a": 1, "b": 2, "c": "x"})


@pytest.fixture
def half(client):
    return client.Feature(client.Geometry.Rectangle([0.5, 0, 2, 1]), {"z": 1})


def test_construction(client, info):
    assert info(client.Feature(None)) == {"type": "Feature", "geometry": None, "properties": {}}
    point = {"type": "Point", "coordinates": [1, 2]}
    given = {"type": "Feature", "id": "7", "geometry": point, "properties": {"a": 1}}
    assert info(client.Feature(given)) == given


def test_id_and_geometry(client, square, info):
    assert info(square.id()) is None
    assert (
        info(client.FeatureCollection([square]).map(lambda f: f.set("i", f.id())).first())[
            "properties"
        ]["i"]
        == "0"
    )
    assert info(square.geometry().type()) == "Polygon"
    moved = square.geometry(1, client.Projection("EPSG:3857"))
    assert info(moved.projection().crs()) == "EPSG:3857"


def test_set_geometry(client, square, info):
    assert info(square.setGeometry(None))["geometry"] is None
    assert info(square.setGeometry(client.Geometry.Point([5, 6])))["geometry"]["type"] == "Point"


def test_select(square, info, refused):
    assert info(square.select(["a", "c"]).toDictionary()) == {"a": 1, "c": "x"}
    assert info(square.select(["[ab]"]).toDictionary()) == {"a": 1, "b": 2}
    assert info(square.select(["a"], ["A"]).toDictionary()) == {"A": 1}
    assert info(square.select(["a"], None, False))["geometry"] is None
    assert refused(square.select(["a"], ["A", "B"])).startswith("Feature.select: ")


def test_to_array(square, info):
    assert info(square.toArray(["b", "a"])) == [2, 1]


def test_measures_are_those_of_the_geometry(client, square, info):
    area, perimeter = WGS84.polygon_area_perimeter(*zip(*SQUARE, strict=True))
    assert info(square.area()) == pytest.approx(area)
    assert info(square.perimeter()) == pytest.approx(perimeter)
    assert info(square.length()) == 0
    line = client.Feature(client.Geometry.LineString([[0, 0], [1, 0]]))
    assert info(line.length()) == pytest.approx(111319.490793, abs=1e-3)


def test_results_keep_their_properties(client, square, half, info):
    for result in (
        square.bounds(),
        square.centroid(),
        square.convexHull(),
        square.dissolve(),
        square.buffer(10),
        square.simplify(1),
        square.transform("EPSG:3857"),
        square.intersection(half),
        square.union(half),
        square.difference(half),
        square.symmetricDifference(half),
    ):
        assert info(client.Feature(result).toDictionary()) == {"a": 1, "b": 2, "c": "x"}


def test_set_operations(square, half, info):
    whole = info(square.area())
    assert info(square.intersection(half).area()) == pytest.approx(whole / 2, rel=1e-3)
    assert info(square.union(half).area()) == pytest.approx(whole * 2, rel=1e-3)
    assert info(square.difference(half).area()) == pytest.approx(whole / 2, rel=1e-3)
    assert info(square.symmetricDifference(half).area()) == pytest.approx(whole * 1.5, rel=1e-3)


def test_predicates(client, square, half, info):
    point = client.Feature(client.Geometry.Point([0.25, 0.5]))
    assert info(square.contains(point)) is True
    assert info(point.containedIn(square)) is True
    assert info(half.contains(point)) is False
    assert info(square.intersects(half)) is True
    assert info(point.disjoint(half)) is True
    assert info(point.withinDistance(half, 30_000)) is True
    assert info(point.withinDistance(half, 20_000)) is False


def test_distance(client, info):
    one = client.Feature(client.Geometry.Point([10, 20]))
    two = client.Feature(client.Geometry.Point([11, 21]))
    assert info(one.distance(two)) == pytest.approx(WGS84.inv(10, 20, 11, 21)[2], abs=1e-3)


def test_a_feature_without_geometry_meets_nothing(client, square, info):
    nowhere = client.Feature(None)
    assert info(nowhere.intersects(square)) is False
    assert info(nowhere.area()) == 0
