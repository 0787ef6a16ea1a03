"""Bodies are the connected parts of the water, however the raster was cut."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from water_shapes import STEP, band_km2, blobs, bodies_of, write_map, write_probability

from water_gee.mapping import maps
from water_gee.mapping.trace import trace

EIGHT = np.ones((3, 3), dtype=int)


def pixels_in(outline, shape):
    """The pixels whose centres an outline holds."""
    col, row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    return shapely.contains_xy(outline, col.ravel(), row.ravel()).reshape(shape)


@pytest.mark.parametrize("seed", range(4))
def test_every_connected_part_is_one_valid_body(tmp_path, seed):
    values = blobs(seed)
    labels, count = ndimage.label(values == 1, EIGHT)
    found = bodies_of(tmp_path, values)
    assert len(found.outlines) == count
    assert shapely.is_valid(found.outlines).all()
    seen = set()
    for outline, pixels in zip(found.outlines, found.pixels, strict=True):
        inside = pixels_in(outline, values.shape)
        (label,) = np.unique(labels[inside])
        assert label > 0
        assert np.array_equal(inside, labels == label)
        assert pixels == inside.sum()
        seen.add(int(label))
    assert len(seen) == count


@pytest.mark.parametrize("window", [7, 16, 50, 91])
def test_outlines_are_the_same_bit_by_bit_in_windows_of_any_size(tmp_path, window):
    values = blobs(5)
    whole = bodies_of(tmp_path, values, window=1000)
    cut = bodies_of(tmp_path, values, window=window)
    assert [o.wkb for o in cut.outlines] == [o.wkb for o in whole.outlines]
    for name in ("pixels", "sides", "unobserved", "edge"):
        assert np.array_equal(getattr(cut, name), getattr(whole, name))
    assert np.allclose(cut.area_m2, whole.area_m2, rtol=1e-12)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    arrays(np.uint8, (12, 13), elements=st.sampled_from([0, 1, 255])),
    st.integers(min_value=2, max_value=9),
)
def test_any_small_raster_is_the_same_in_any_windows(tmp_path_factory, values, window):
    folder = tmp_path_factory.mktemp("map")
    whole = bodies_of(folder, values, window=64)
    cut = bodies_of(folder, values, window=window)
    assert [o.wkb for o in cut.outlines] == [o.wkb for o in whole.outlines]
    assert len(whole.outlines) == ndimage.label(values == 1, EIGHT)[1]
    covered = sum(
        (pixels_in(outline, values.shape) for outline in whole.outlines),
        start=np.zeros(values.shape, int),
    )
    assert np.array_equal(covered, values == 1)


@pytest.mark.parametrize("window", [8, 64])
def test_small_bodies_are_counted_with_their_area_wherever_windows_end(tmp_path, window):
    values = np.zeros((40, 40), np.uint8)
    values[3, 7], values[20, 14:18], values[30:36, 5:30] = 1, 1, 1
    values[7:9, 7:9] = np.eye(2)
    found = bodies_of(tmp_path, values, minimum_m2=30_000, window=window)
    assert (len(found.outlines), found.dropped) == (1, 3)
    pixel = band_km2(52 - 40 * STEP, 52, 40 * STEP) / 1600 * 1e6
    assert found.dropped_m2 == pytest.approx(7 * pixel, rel=1e-3)


def test_a_spiral_through_all_windows_is_one_body(tmp_path):
    values = np.zeros((41, 41), np.uint8)
    row = col = 20
    for step in range(1, 20):
        down, right = [(0, 1), (1, 0), (0, -1), (-1, 0)][step % 4]
        for _ in range(2 * step):
            if 0 <= row < 41 and 0 <= col < 41:
                values[row, col] = 1
            row, col = row + down, col + right
    assert ndimage.label(values, EIGHT)[1] == 1
    found = bodies_of(tmp_path, values, window=6)
    assert len(found.outlines) == 1
    assert found.pixels[0] == values.sum()


def test_islands_of_islands_are_bodies_in_holes(tmp_path):
    values = np.ones((30, 30), np.uint8)
    values[5:25, 5:25], values[9:20, 9:20], values[13:16, 13:16] = 0, 1, 0
    found = bodies_of(tmp_path, values, window=8)
    assert [len(o.geoms[0].interiors) for o in found.outlines] == [1, 1]
    assert found.pixels.tolist() == [500, 112]


def test_sides_tell_what_cuts_a_body(tmp_path):
    values = np.zeros((10, 10), np.uint8)
    values[0:4, 2:5] = 1
    values[2, 5], values[4, 2] = 255, 255
    found = bodies_of(tmp_path, values, window=3)
    assert found.sides.tolist() == [14]
    assert found.edge.tolist() == [3]
    assert found.unobserved.tolist() == [2]


@pytest.mark.parametrize("window", [4, 64])
def test_the_mean_probability_is_weighted_by_area(tmp_path, window):
    values = np.zeros((12, 12), np.uint8)
    values[2:6, 2:10] = 1
    path = write_map(tmp_path / "map.tif", values)
    p = np.where(values == 1, 0.75, 0.1)
    p[2] = np.where(values[2] == 1, 0.95, 0.1)
    likely = write_probability(tmp_path / "p.tif", p, like=path)
    found = trace(maps.open_map(path), probability=likely, window=window)
    assert found.probability[0] == pytest.approx(0.8, rel=1e-5)


def test_an_empty_map_has_no_bodies(tmp_path):
    found = bodies_of(tmp_path, np.zeros((9, 9)))
    assert len(found.outlines) == len(found.pixels) == found.dropped == 0
