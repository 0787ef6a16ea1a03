"""Windows, grids, masks, positions."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from water_gee.emulator.pixels import (
    Block,
    Context,
    Grid,
    Window,
    as_bool,
    mask_and,
    meters_per_unit,
    same_crs,
)
from water_gee.errors import ServiceError

UTM = Grid("EPSG:32648", (30.0, 0.0, 500_000.0, 0.0, -30.0, 6_000_000.0))

numbers = st.integers(-50, 50)
sizes = st.integers(1, 40)
windows = st.builds(Window, numbers, numbers, sizes, sizes)


@given(windows, windows)
def test_unions_hold_both_and_intersections_lie_in_both(one, two):
    union = one.union(two)
    for window in (one, two):
        assert union.intersect(window) == window
    common = one.intersect(two)
    if common is not None:
        assert one.intersect(common) == common
        assert two.intersect(common) == common
    rows = set(range(one.row, one.row + one.height)) & set(range(two.row, two.row + two.height))
    cols = set(range(one.col, one.col + one.width)) & set(range(two.col, two.col + two.width))
    assert (common.area if common else 0) == len(rows) * len(cols)


@given(windows)
def test_halves_fill_a_window(window):
    if max(window.shape) < 2:
        return
    first, second = window.halves()
    assert first.union(second) == window
    assert first.intersect(second) is None
    assert first.area + second.area == window.area


def test_windows_grow_shift_and_cut():
    window = Window(2, 3, 4, 5)
    assert window.grow((1, 2, 3, 4)) == Window(1, 0, 7, 12)
    assert window.shift(-2, 1) == Window(0, 4, 4, 5)
    array = np.arange(20).reshape(4, 5)
    inner = Window(3, 5, 2, 2)
    np.testing.assert_array_equal(array[window.slices(inner)], [[7, 8], [12, 13]])


def test_a_block_hands_out_views():
    block = Block(np.arange(20.0).reshape(4, 5), np.ones((4, 5), bool))
    part = block.view(Window(0, 0, 4, 5), Window(1, 1, 2, 2))
    assert part.values.base is not None
    assert part.values.tolist() == [[6, 7], [11, 12]]
    assert part.mask.shape == (2, 2)
    assert block.view(Window(0, 0, 4, 5), Window(0, 0, 4, 5)) is block


@given(
    st.tuples(*[st.floats(-100, 100)] * 6).filter(lambda t: abs(t[0] * t[4] - t[1] * t[3]) > 1e-3)
)
def test_positions_are_the_inverse_of_coordinates(transform):
    grid = Grid("EPSG:4326", transform)
    cols, rows = np.array([0.0, 3.5, -7]), np.array([1.0, -2.25, 100])
    back = grid.positions(*grid.coordinates(cols, rows))
    np.testing.assert_allclose(back[0], cols, atol=1e-5)
    np.testing.assert_allclose(back[1], rows, atol=1e-5)


def test_centers_lie_half_a_pixel_in():
    x, y = UTM.centers(Window(1, 2, 1, 2))
    assert x.tolist() == [[500_075, 500_105]]
    assert y.tolist() == [[5_999_955, 5_999_955]]


def test_offsets_between_grids_that_share_pixels():
    moved = Grid("EPSG:32648", (30.0, 0.0, 500_090.0, 0.0, -30.0, 5_999_940.0))
    assert UTM.offset(moved) == (2, 3)
    assert moved.offset(UTM) == (-2, -3)
    assert UTM.offset(UTM) == (0, 0)
    half = Grid("EPSG:32648", (30.0, 0.0, 500_015.0, 0.0, -30.0, 6_000_000.0))
    assert UTM.offset(half) is None
    assert UTM.offset(UTM.scaled(1)) is None
    assert UTM.offset(Grid("EPSG:32649", UTM.transform)) is None


def test_a_scaled_grid_keeps_its_origin():
    assert UTM.scaled(3).transform == (240.0, 0.0, 500_000.0, 0.0, -240.0, 6_000_000.0)


def test_crs_names_and_units():
    assert same_crs("EPSG:4326", "epsg:4326")
    assert not same_crs("EPSG:4326", "EPSG:3857")
    # The guide's 30 m are 0.00026949458523585647 degrees.
    assert 30 / meters_per_unit("EPSG:4326") == pytest.approx(0.00026949458523585647, rel=1e-15)
    assert meters_per_unit("EPSG:32648") == 1
    assert meters_per_unit("EPSG:2263") == pytest.approx(0.3048, rel=1e-4)


def test_masks_combine_to_the_smallest():
    one, two = np.array([True, True, False]), np.array([True, False, False])
    half = np.array([0.5, 0.5, 0.5], np.float32)
    assert mask_and(None, None) is None
    assert mask_and(None, one) is one
    assert mask_and(one, None, one) is one
    assert mask_and(one, two).tolist() == [True, False, False]
    assert mask_and(one, half).tolist() == [0.5, 0.5, 0]
    assert as_bool(half).tolist() == [True, True, True]
    assert as_bool(None) is None


def test_places_and_positions_are_remembered():
    context = Context()
    window = Window(0, 0, 3, 4)
    lon, lat = context.places("EPSG:4326", UTM, window)
    expected = Transformer.from_crs("EPSG:32648", "EPSG:4326", always_xy=True).transform(
        *UTM.centers(window)
    )
    np.testing.assert_array_equal([lon, lat], expected)
    assert context.places("EPSG:4326", UTM, window)[0] is lon
    degrees = Grid("EPSG:4326", (0.001, 0.0, 105.0, 0.0, -0.001, 54.15))
    there = context.positions(degrees, UTM, window)
    np.testing.assert_allclose(there.cols, (lon - 105) / 0.001, rtol=1e-9)
    np.testing.assert_allclose(there.rows, (54.15 - lat) / 0.001, rtol=1e-9)
    assert context.positions(degrees, UTM, window) is there


def test_places_without_coordinates_lie_nowhere():
    # Half of the window lies beyond the pole, where UTM has no place for it.
    grid = Grid("EPSG:4326", (60.0, 0.0, 105.0, 0.0, -60.0, 150.0))
    there = Context().positions(UTM, grid, Window(0, 0, 2, 1))
    assert there.window is None or there.window.area < 10**9
    assert np.isfinite(there.rows[1]).all()


def test_time_runs_out():
    Context(deadline=time.monotonic() + 60).check()
    with pytest.raises(ServiceError, match=r"^Computation timed out\.$") as caught:
        Context(deadline=time.monotonic() - 1).check()
    assert caught.value.code == 400
