"""Geometry: against pyproj's geodesics, and shapes whose measures are known."""

from __future__ import annotations

import math

import pytest
from pyproj import Geod, Transformer

WGS84 = Geod(ellps="WGS84")


@pytest.fixture
def square(client):
    return client.Geometry.Polygon([[10, 50], [11, 50], [11, 51], [10, 51]])


def test_area_and_perimeter_are_the_ellipsoids(square, info):
    area, perimeter = WGS84.polygon_area_perimeter([10, 11, 11, 10], [50, 50, 51, 51])
    assert info(square.area()) == pytest.approx(area, rel=1e-9)
    assert info(square.perimeter()) == pytest.approx(perimeter, rel=1e-9)
    assert info(square.length()) == 0


def test_area_of_straight_edges_is_that_along_the_parallels(client, info):
    planar = client.Geometry.Rectangle([10, 50, 11, 51], None, False)
    dense = [10 + i / 1000 for i in range(1001)]
    lons = dense + dense[::-1]
    lats = [50.0] * 1001 + [51.0] * 1001
    assert info(planar.area()) == pytest.approx(
        WGS84.polygon_area_perimeter(lons, lats)[0], rel=1e-6
    )


def test_area_and_length_in_a_projection(client, info):
    box = client.Geometry.Rectangle([500000, 0, 500100, 200], "EPSG:32648", False)
    utm = client.Projection("EPSG:32648")
    assert info(box.area(1, utm)) == pytest.approx(20000)
    assert info(box.perimeter(1, utm)) == pytest.approx(600)
    line = client.Geometry.LineString([[500000, 0], [500003, 4]], "EPSG:32648")
    assert info(line.length(1, utm)) == pytest.approx(5)


def test_length(client, info):
    line = client.Geometry.LineString([[0, 0], [1, 0], [1, 1]])
    expected = WGS84.inv(0, 0, 1, 0)[2] + WGS84.inv(1, 0, 1, 1)[2]
    assert info(line.length()) == pytest.approx(expected, rel=1e-9)


def test_geodesic_edges_bulge_towards_the_pole(client, info):
    corners = [[-100, 40], [-60, 40], [-60, 50], [-100, 50]]
    above = client.Geometry.Point([-80, 51])
    assert info(client.Geometry.Polygon(corners).contains(above)) is True
    assert info(client.Geometry.Polygon(corners, None, False).contains(above)) is False


def test_bounds_hold_the_bulge(client, info):
    corners = [[-100, 40], [-60, 40], [-60, 50], [-100, 50]]
    ring = info(client.Geometry.Polygon(corners).bounds())["coordinates"][0]
    middle = WGS84.npts(-100, 50, -60, 50, 1)[0]
    assert ring[0] == pytest.approx([-100, 40])
    assert ring[2] == pytest.approx([-60, middle[1]], abs=1e-3)
    assert len(ring) == 5


def test_bounds_are_planar(client, info):
    assert info(client.Geometry.Point([1, 2]).buffer(10).bounds())["geodesic"] is False


def test_buffer_is_a_circle_in_metres(client, info):
    circle = client.Geometry.Point([30, 60]).buffer(1000)
    assert info(circle.area()) == pytest.approx(math.pi * 1e6, rel=5e-3)
    edge = info(circle.coordinates().get(0))[0]
    assert WGS84.inv(30, 60, *edge)[2] == pytest.approx(1000, abs=0.01)
    utm = client.Geometry.Point([500000, 0], "EPSG:32648")
    assert info(
        utm.buffer(10, 1, client.Projection("EPSG:32648")).area(1, client.Projection("EPSG:32648"))
    ) == pytest.approx(314, rel=5e-3)


def test_negative_buffers_shrink(square, info):
    assert info(square.buffer(-100).area()) < info(square.area())
    assert info(square.buffer(-1e6).area()) == 0


def test_centroids(client, info):
    east = client.Geometry.Rectangle([10, -1, 12, 1])
    assert info(east.centroid())["coordinates"] == pytest.approx([11, 0], abs=1e-6)
    assert info(client.Geometry.Point([5, 6]).centroid())["coordinates"] == [5, 6]
    line = client.Geometry.LineString([[0, 0], [2, 0]])
    assert info(line.centroid())["coordinates"] == pytest.approx([1, 0], abs=1e-9)
    utm = client.Projection("EPSG:32648")
    box = client.Geometry.Rectangle([500000, 0, 500100, 200], utm, False)
    assert info(box.centroid(1, utm))["coordinates"] == pytest.approx([500050, 100])


def test_convex_hull(client, info):
    points = client.Geometry.MultiPoint([[0, 0], [4, 0], [0, 4], [1, 1], [4, 4]])
    hull = info(points.convexHull())["coordinates"][0]
    assert sorted(map(tuple, hull[:-1])) == [(0, 0), (0, 4), (4, 0), (4, 4)]
    planar = points.convexHull(1, client.Projection("EPSG:4326"))
    assert info(planar)["geodesic"] is False


def test_simplify(client, info):
    line = client.Geometry.LineString([[0, 0], [0.5, 0.000001], [1, 0]])
    assert info(line.simplify(10))["coordinates"] == [
        pytest.approx([0, 0], abs=1e-9),
        pytest.approx([1, 0], abs=1e-9),
    ]
    flat = line.simplify(0.1, client.Projection("EPSG:4326"))
    assert len(info(flat)["coordinates"]) == 2


def test_dissolve(client, info):
    two = client.Geometry.MultiPolygon(
        [[[[0, 0], [2, 0], [2, 2], [0, 2]]], [[[1, 0], [3, 0], [3, 2], [1, 2]]]], None, False
    )
    assert info(two.dissolve())["type"] == "Polygon"
    assert info(two.dissolve(1, client.Projection("EPSG:4326")).type()) == "Polygon"


def test_transform_goes_where_pyproj_goes(client, info):
    point = client.Geometry.Point([105.3, 21.1])
    x, y = Transformer.from_crs(4326, 32648, always_xy=True).transform(105.3, 21.1)
    moved = info(point.transform("EPSG:32648"))
    assert moved["coordinates"] == pytest.approx([x, y], abs=1e-6)
    assert moved["crs"]["properties"]["name"] == "EPSG:32648"
    assert info(client.Geometry.Point([105.3, 21.1]).transform())["coordinates"] == [105.3, 21.1]


def test_transform_to_straight_edges_follows_the_geodesic(client, info):
    line = client.Geometry.LineString([[-100, 50], [-60, 50]])
    call = client.apifunction.ApiFunction.call_
    planar = info(call("Geometry.transform", line, "EPSG:4326", 100, False))
    assert planar["geodesic"] is False
    highest = max(point[1] for point in planar["coordinates"])
    assert highest == pytest.approx(WGS84.npts(-100, 50, -60, 50, 1)[0][1], abs=1e-3)


def test_transform_where_there_is_no_place_is_refused(client, refused):
    # 90 degrees from its central meridian a transverse Mercator map is infinite.
    far = client.Geometry.Point([15, 0]).transform("EPSG:32648")
    assert "unable to transform" in refused(far)


def test_set_operations_of_planar_boxes(client, info):
    one = client.Geometry.Rectangle([0, 0, 2, 2], None, False)
    two = client.Geometry.Rectangle([1, 1, 3, 3], None, False)
    flat = client.Projection("EPSG:4326")

    def size(geometry):
        return info(geometry.area(1, flat))

    assert size(one.intersection(two)) == pytest.approx(1)
    assert size(one.union(two)) == pytest.approx(7)
    assert size(one.difference(two)) == pytest.approx(3)
    assert size(one.symmetricDifference(two)) == pytest.approx(6)
    assert size(one.intersection(two, 1, client.Projection("EPSG:3857"))) == pytest.approx(1)


def test_set_operations_of_geodesic_shapes_keep_small_ones_as_they_are(client, info):
    one = client.Geometry.Polygon([[0, 0], [0.02, 0], [0.02, 0.02], [0, 0.02]])
    two = client.Geometry.Polygon([[0.01, 0.01], [0.03, 0.01], [0.03, 0.03], [0.01, 0.03]])
    corners = info(one.intersection(two, 1))["coordinates"][0]
    assert len(corners) == 5
    assert sorted(map(tuple, corners[:-1])) == [
        (0.01, 0.01), (0.01, 0.02), (0.02, 0.01), (0.02, 0.02),
    ]  # fmt: skip


def test_predicates(client, square, info):
    inside, outside = client.Geometry.Point([10.5, 50.5]), client.Geometry.Point([12, 50.5])
    assert info(square.contains(inside)) is True
    assert info(inside.containedIn(square)) is True
    assert info(square.intersects(outside)) is False
    assert info(square.disjoint(outside)) is True
    utm = client.Projection("EPSG:32632")
    assert info(square.intersects(inside, 1, utm)) is True
    assert info(square.contains(outside, 1, utm)) is False


def test_both_sides_of_the_antimeridian_are_near(client, info):
    across = client.Geometry.Polygon([[179, -1], [-179, -1], [-179, 1], [179, 1]])
    assert info(across.contains(client.Geometry.Point([-179.5, 0]))) is True
    assert info(across.contains(client.Geometry.Point([179.5, 0]))) is True
    assert info(across.contains(client.Geometry.Point([0, 0]))) is False
    assert info(across.area()) == pytest.approx(
        WGS84.polygon_area_perimeter([179, -179, -179, 179], [-1, -1, 1, 1])[0], rel=1e-6
    )


def test_distances(client, info):
    one, two = client.Geometry.Point([10, 20]), client.Geometry.Point([11, 21])
    expected = WGS84.inv(10, 20, 11, 21)[2]
    assert info(one.distance(two)) == pytest.approx(expected, abs=1e-3)
    assert info(one.withinDistance(two, expected + 1)) is True
    assert info(one.withinDistance(two, expected - 1)) is False
    flat = client.Projection("EPSG:4326")
    assert info(one.distance(two, 1, flat)) == pytest.approx(math.sqrt(2))
    assert info(one.withinDistance(two, 1.5, 1, flat)) is True


def test_distances_on_the_sphere_are_refused(client, refused):
    one, two = client.Geometry.Point([10, 20]), client.Geometry.Point([11, 21])
    assert "not implemented" in refused(one.distance(two, None, None, True))


def test_covering_grid(client, info, refused):
    grid = client.Projection("EPSG:32648", [1000, 0, 0, 0, -1000, 0])
    # An L of 3 x 3 km without its upper right 1 km.
    ell = client.Geometry.Polygon(
        [[0, 0], [3000, 0], [3000, -3000], [2000, -3000], [2000, -1000], [0, -1000]],
        grid.crs(),
        False,
    )
    inner = ell.buffer(-1, 1, client.Projection("EPSG:32648"))
    cells = info(inner.coveringGrid(grid))["features"]
    assert [cell["id"] for cell in cells] == ["0,0", "1,0", "2,0", "2,1", "2,2"]
    assert cells[0]["geometry"]["coordinates"] == [
        [[0, -1000], [1000, -1000], [1000, 0], [0, 0], [0, -1000]]
    ]
    assert info(inner.coveringGrid(grid, 3000).size()) == 1
    assert "more than" in refused(inner.coveringGrid(grid, 0.1))


def test_overlapping_shapes_are_no_distance_apart(square, info):
    assert info(square.distance(square.buffer(10))) == 0


def test_parts_and_kinds(client, square, info):
    points = client.Geometry.MultiPoint([[1, 2], [3, 4]])
    assert [one["type"] for one in info(points.geometries())] == ["Point", "Point"]
    assert info(square.coordinates()) == [[[10, 50], [11, 50], [11, 51], [10, 51], [10, 50]]]
    assert info(square.type()) == "Polygon"
    assert info(square.geodesic()) is True
    assert info(square.edgesAreGeodesics()) is True
    assert info(square.bounds().geodesic()) is False
    assert info(square.projection()) == {
        "type": "Projection",
        "crs": "EPSG:4326",
        "transform": [1, 0, 0, 0, 1, 0],
    }
    assert info(square.isUnbounded()) is False


def test_everything_is_in_an_unbounded_geometry(client, square, info, refused):
    everywhere = client.Image(1).geometry()
    assert info(everywhere.isUnbounded()) is True
    assert info(everywhere.contains(square)) is True
    assert info(square.contains(everywhere)) is False
    assert info(everywhere.intersection(square)) == info(square)
    assert info(everywhere.union(square).isUnbounded()) is True
    assert info(square.difference(everywhere).area()) == 0
    assert info(everywhere.type()) == "Polygon"
    assert refused(everywhere.area()).startswith("Geometry.area: ")
