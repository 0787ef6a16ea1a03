"""Simpler outlines are still valid, apart, with their islands and nearly their area."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from water_shapes import blobs, bodies_of, channel, drawn

from water_gee.mapping.simplify import simplified


def simple(outlines, tolerance=1.5):
    return simplified(outlines, np.full(len(outlines), tolerance))


def islands(outline):
    return sum(len(part.interiors) for part in outline.geoms)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.33, 0.5, 0.9, 1.0])
def test_one_and_a_half_pixels_take_away_the_steps_of_a_straight_shore(tmp_path, slope):
    x = np.array([20.0, 380.0])
    values = drawn(channel(x, 40 + slope * 300 * (x - 20) / 360, 24))
    (rough,) = bodies_of(tmp_path, values).outlines
    (smooth,) = simple(np.array([rough], dtype=object))
    # Two shores and two ends; the ends are round.
    assert shapely.get_num_coordinates(smooth) < 40
    assert smooth.area == pytest.approx(rough.area, rel=0.002)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.3, 6.0), st.floats(0.2, 0.7))
def test_bodies_stay_valid_apart_and_whole(tmp_path_factory, seed, tolerance, share):
    values = blobs(seed, shape=(60, 70), share=share)
    found = bodies_of(tmp_path_factory.mktemp("map"), values)
    smooth = simple(found.outlines, tolerance)
    assert shapely.is_valid(smooth).all()
    one, other = shapely.STRtree(smooth).query(smooth, predicate="intersects")
    assert np.array_equal(one, other)
    for rough, made in zip(found.outlines, smooth, strict=True):
        assert islands(made) == islands(rough)
        # The rule bounds how far each vertex that goes lies off the line that takes its place; the
        # ring's first vertex goes last, and moving the shores evenly adds a part of a pixel.
        points = shapely.points(shapely.get_coordinates(rough))
        assert shapely.distance(points, shapely.boundary(made)).max() <= 1.5 * tolerance + 0.75


def test_a_lake_on_an_island_stays_on_its_island(tmp_path):
    values = np.ones((60, 60), np.uint8)
    values[10:50, 10:50], values[12:48, 12:48] = 0, 1
    found = bodies_of(tmp_path, values)
    outer, inner = simple(found.outlines, 5.0)
    hole = shapely.Polygon(outer.geoms[0].interiors[0])
    assert shapely.contains(hole, inner)
    assert not shapely.intersects(outer, inner)


def test_a_small_island_keeps_its_area(tmp_path):
    values = np.ones((40, 40), np.uint8)
    values[20, 20] = 0
    (smooth,) = simple(bodies_of(tmp_path, values).outlines, 4.0)
    assert shapely.Polygon(smooth.geoms[0].interiors[0]).area == 1.0


def test_without_tolerance_nothing_moves(tmp_path):
    found = bodies_of(tmp_path, blobs(3)).outlines
    assert [o.wkb for o in simple(found, 0.0)] == [o.wkb for o in found]


def test_each_body_has_its_own_tolerance(tmp_path):
    found = bodies_of(tmp_path, blobs(4, share=0.3)).outlines
    wanted = np.zeros(len(found))
    largest = int(np.argmax(shapely.area(found)))
    wanted[largest] = 2.0
    made = simplified(found, wanted)
    same = [a.wkb == b.wkb for a, b in zip(made, found, strict=True)]
    assert same.count(False) == 1
    assert not same[largest]
