"""Shapes on the ellipsoid, against pyproj."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from water_gee.emulator import geodesy
from water_gee.emulator.values import Geometry

WGS84 = Geod(ellps="WGS84")

places = st.tuples(st.floats(-179, 179), st.floats(-80, 80))


@settings(max_examples=60, deadline=None)
@given(places, places, st.floats(0.5, 1000))
def test_cut_edges_stay_within_their_error_of_the_geodesic(start, end, error):
    one, two = np.array(start), np.array(end)
    length = WGS84.inv(*start, *end)[2]
    if not 1000 < length < 3_000_000:
        return
    points = np.vstack([one, geodesy.geodesic_points(one, two, error), two])
    points[:, 0] = np.unwrap(points[:, 0], period=360)
    if len(points) > geodesy.MAX_CUTS:
        return
    for here, there in itertools.pairwise(points):
        middle = (here + there) / 2
        towards, _, _ = WGS84.inv(*here, *there)
        aside, _, distance = WGS84.inv(*here, *middle)
        across = distance * abs(np.sin(np.radians(aside - towards)))
        assert across <= 1.05 * error + 0.01


def test_points_between_go_on_past_180_degrees():
    points = geodesy.geodesic_points(np.array([170.0, 50.0]), np.array([-170.0, 50.0]))
    assert (points[:, 0] > 170).all()
    assert (np.diff(points[:, 0]) > 0).all()
    assert points[:, 0].max() < 190


boxes = st.builds(
    lambda x, y, width, height, geodesic: Geometry(
        shapely.box(x, y, x + width, min(y + height, 88)), geodesic=geodesic
    ),
    st.floats(-200, 190),
    st.floats(-85, 80),
    st.floats(0.5, 120),
    st.floats(0.5, 60),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(boxes, boxes)
def test_what_is_far_apart_does_not_meet(one, two):
    if geodesy.far_apart(geodesy.extent(one), geodesy.extent(two)):
        left, right = geodesy.together(one, two)
        assert not left.intersects(right)


def test_an_extent_holds_the_bulge_of_geodesic_edges():
    box = Geometry(shapely.box(-100, 40, -60, 50))
    west, south, east, north = geodesy.extent(box)
    assert (west, south, east) == (-100, 40, -60)
    assert geodesy.straight(box).bounds[3] < north < geodesy.straight(box).bounds[3] + 0.2


def test_points_have_no_edges_to_cut():
    shape = shapely.MultiPoint([(0, 0), (50, 50)])
    assert geodesy.straight(Geometry(shape)).equals(shape)


@pytest.mark.parametrize(
    "shape",
    [
        shapely.LineString([(-100, 50), (-60, 50)]),
        shapely.LinearRing([(-100, 50), (-60, 50), (-60, 40)]),
        shapely.MultiLineString([[(-100, 50), (-60, 50)], [(0, 0), (1, 1)]]),
        shapely.Polygon(
            [(-100, 40), (-60, 40), (-60, 50), (-100, 50)], [[(-90, 42), (-80, 42), (-80, 45)]]
        ),
        shapely.GeometryCollection([shapely.Point(0, 0), shapely.box(-100, 40, -60, 50)]),
    ],
)
def test_cutting_keeps_the_kind_and_the_corners(shape):
    cut = geodesy.straight(Geometry(shape))
    assert cut.geom_type == shape.geom_type
    corners = {tuple(np.round(point, 9)) for point in shapely.get_coordinates(shape)}
    assert corners <= {tuple(np.round(point, 9)) for point in shapely.get_coordinates(cut)}
    assert shapely.get_num_coordinates(cut) > shapely.get_num_coordinates(shape)


def test_straight_edges_of_a_projection_are_bent_in_degrees():
    line = shapely.LineString([(200_000, 7_000_000), (800_000, 7_000_000)])
    cut = geodesy.straight(Geometry(line, "EPSG:32648", geodesic=False))
    ends, middle = shapely.get_coordinates(cut)[[0, -1], 1], cut.interpolate(0.5, normalized=True).y
    assert middle - ends.mean() > 0.1


def test_unions():
    boxes = [Geometry(shapely.box(x, 0, x + 2, 1), geodesic=False) for x in (0, 1)]
    assert geodesy.union(boxes) == Geometry(
        shapely.union_all([b.shape for b in boxes]), "EPSG:4326", False
    )
    assert geodesy.union([]).shape.is_empty
    assert geodesy.union([*boxes, Geometry(None)]).shape is None
    mixed = geodesy.union([boxes[0], Geometry(shapely.box(10, 0, 11, 1))])
    assert mixed.shape.geom_type == "MultiPolygon"
