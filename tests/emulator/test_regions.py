"""Which pixels a shape holds and how much of each, against shapely pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from water_gee.emulator.pixels import Context, Grid, Window
from water_gee.emulator.regions import (
    at_scale,
    check_transform,
    chosen,
    contained,
    coverage,
    inside,
    on_grid,
    window_of,
)
from water_gee.emulator.values import Geometry, Projection
from water_gee.errors import ServiceError

UTM = Grid("EPSG:32648", (30.0, 0.0, 500_000.0, 0.0, -30.0, 6_000_000.0))

places = st.tuples(st.floats(0, 150), st.floats(0, 150))
shapes = st.lists(places, min_size=3, max_size=8).map(lambda p: shapely.MultiPoint(p).convex_hull)


@given(shapes)
@settings(max_examples=15, deadline=None)
def test_coverage_is_the_area_of_each_intersection(shape):
    window = Window(-3, 5, 140, 130)
    fractions, centers = coverage(shape, window)
    rows, cols = np.mgrid[window.row : window.row + 140, window.col : window.col + 130].astype(
        float
    )
    squares = shapely.box(cols, rows, cols + 1, rows + 1)
    if shapely.get_dimensions(shape) < 2:
        return
    expected = shapely.area(shapely.intersection(shape, squares))
    np.testing.assert_allclose(fractions, np.where(expected >= 0.005, expected, 0), atol=1e-9)
    held = shapely.contains_xy(shape, cols + 0.5, rows + 0.5)
    edge = shapely.distance(shape.boundary, shapely.points(cols + 0.5, rows + 0.5)) < 1e-9
    np.testing.assert_array_equal(centers[~edge], held[~edge])


@given(shapes)
@settings(max_examples=40, deadline=None)
def test_places_in_a_shape(shape):
    x, y = np.meshgrid(np.arange(150) + 0.25, np.arange(150) + 0.75)
    near = shapely.distance(shape.boundary, shapely.points(x, y)) < 1e-9
    found = contained(shape, x, y)
    np.testing.assert_array_equal(found[~near], shapely.contains_xy(shape, x, y)[~near])


def test_points_and_lines_touch_whole_pixels():
    window = Window(0, 0, 4, 4)
    fractions, centers = coverage(shapely.MultiPoint([(1.2, 2.9), (3.0, 0.0)]), window)
    expected = np.zeros((4, 4))
    expected[2, 1] = expected[0, 3] = 1
    np.testing.assert_array_equal(fractions, expected)
    np.testing.assert_array_equal(centers, expected > 0)
    diagonal = coverage(shapely.LineString([(0.5, 0.6), (2.5, 2.6)]), window)[0]
    assert diagonal.sum() == 5


def test_the_window_of_a_shape():
    assert window_of(shapely.box(1, 2, 4, 6)) == Window(2, 1, 4, 3)
    assert window_of(shapely.box(1.5, -2.5, 4.5, 6)) == Window(-3, 1, 9, 4)
    # A rounding error away from a pixel's edge is on the edge.
    assert window_of(shapely.box(1 - 1e-9, 2 + 1e-9, 4 + 1e-9, 6)) == Window(2, 1, 4, 3)
    assert window_of(shapely.Point(2.5, 3.5)) == Window(3, 2, 1, 1)


def test_shapes_in_pixels():
    square = Geometry(shapely.box(500_030, 5_999_910, 500_090, 5_999_970), "EPSG:32648", False)
    assert on_grid(square, UTM).bounds == pytest.approx((1, 1, 3, 3))


def test_geodesic_edges_bulge_towards_the_pole():
    # From 100 to 110 degrees east along 60 north the geodesic passes well north of the parallel.
    middle = Geod(ellps="WGS84").npts(100, 60, 110, 60, 1)[0]
    grid = Grid("EPSG:4326", (0.01, 0.0, 104.995, 0.0, -0.01, middle[1] + 0.1))
    ring = [(100, 50), (110, 50), (110, 60), (100, 60)]
    window = Window(0, 0, 15, 1)
    curved = inside(Geometry(shapely.Polygon(ring)))(grid, window, Context())
    straight = inside(Geometry(shapely.Polygon(ring), geodesic=False))(grid, window, Context())
    latitudes = grid.centers(window)[1][:, 0]
    np.testing.assert_array_equal(curved[:, 0], latitudes < middle[1])
    assert straight is not None
    assert not straight.any()


@pytest.mark.parametrize(("west", "east"), [(179.5, 180.5), (-180.5, -179.5)])
def test_shapes_across_the_antimeridian(west, east):
    shape = Geometry(shapely.box(west, 10, east, 20), geodesic=False)
    for left, expected in ((179.0, [0, 0, 1, 1]), (-180.0, [1, 1, 0, 0])):
        grid = Grid("EPSG:4326", (0.25, 0.0, left, 0.0, -0.25, 15.0))
        found = inside(shape)(grid, Window(0, 0, 1, 4), Context())
        assert found.astype(int).tolist() == [expected]


def test_everything_lies_in_the_unbounded():
    assert inside(Geometry(None))(UTM, Window(0, 0, 3, 3), Context()) is None


def test_projections_are_chosen():
    own, other = Projection("EPSG:32648", UTM.transform), Projection("EPSG:4326")
    assert chosen(own, None, None, None, "F") is own
    assert chosen(own, other, None, None, "F") is other
    assert chosen(own, None, [1, 0, 2, 0, -1, 3], None, "F").transform == (1, 0, 2, 0, -1, 3)
    assert chosen(own, other, None, 30, "F").transform[0] == pytest.approx(0.000269494585, rel=1e-9)
    assert at_scale(own, 60).transform == (60, 0, 500_000, 0, -60, 6_000_000)


@pytest.mark.parametrize(
    "values", [[1, 2, 3], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, "1", 0], [True, 0, 0, 0, 1, 0]]
)
def test_transforms_have_six_numbers_and_an_inverse(values):
    with pytest.raises(ServiceError, match=r"^F: "):
        check_transform(values, "F")
