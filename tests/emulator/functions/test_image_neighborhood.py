"""Neighbourhoods against scipy.ndimage, whose edges are cut off."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from studio import UTM, same

from water_gee.emulator.pixels import Grid

RNG = np.random.default_rng(5)
VALUES = RNG.normal(size=(9, 11))
HOLES = RNG.random((9, 11)) > 0.15
SHAPE = (9, 11)
WEIGHTS = RNG.normal(size=(3, 5))


def far(radius_rows, radius_cols, shape=SHAPE):
    """Return the pixels whose neighbourhood lies inside."""
    inside = np.zeros(shape, bool)
    inside[radius_rows : shape[0] - radius_rows, radius_cols : shape[1] - radius_cols] = True
    return inside


def test_convolution_is_a_cross_correlation(studio):
    kernel = studio.client.Kernel.fixed(5, 3, WEIGHTS.tolist())
    image = studio.raster(VALUES).convolve(kernel)
    same(studio.pixels(image, SHAPE), ndimage.correlate(VALUES, WEIGHTS), far(1, 2), 1e-13)
    assert studio.info(image.bandTypes())["b1"] == {"type": "PixelType", "precision": "double"}


def test_a_one_hot_kernel_shows_its_orientation(studio):
    # The upper left weight takes the pixel to the upper left.
    kernel = studio.client.Kernel.fixed(3, 3, [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    found = studio.pixels(studio.raster(VALUES).convolve(kernel), SHAPE)
    assert found[4, 4] == VALUES[3, 3]


def test_convolution_sees_a_pixel_where_all_under_the_kernel_are_seen(studio):
    kernel = studio.client.Kernel.fixed(5, 3, WEIGHTS.tolist())
    found = studio.pixels(studio.raster(VALUES, mask=HOLES).convolve(kernel), SHAPE)
    eroded = ndimage.minimum_filter(HOLES.astype(int), size=(3, 5), mode="constant", cval=0) > 0
    same(found, ndimage.correlate(VALUES, WEIGHTS), eroded, 1e-13)


def test_an_off_centre_focus(studio):
    kernel = studio.client.Kernel.fixed(2, 1, [[1, -1]], 1, 0)
    found = studio.pixels(studio.raster(VALUES).convolve(kernel), SHAPE)
    inside = np.ones(SHAPE, bool)
    inside[:, 0] = False
    expected = np.zeros(SHAPE)
    expected[:, 1:] = VALUES[:, :-1] - VALUES[:, 1:]
    same(found, expected, inside)


def test_convolution_of_whole_numbers_and_boolean_pixels(studio):
    image = studio.raster((VALUES * 100).astype(np.int16)).gt(0)
    kernel = studio.client.Kernel.fixed(3, 3, [[1] * 3] * 3)
    expected = ndimage.correlate((VALUES * 100).astype(int) > 0, np.ones((3, 3)), float)
    same(studio.pixels(image.convolve(kernel), SHAPE), expected, far(1, 1))


NEIGHBORS = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "max": np.nanmax,
    "min": np.nanmin,
    "stdDev": np.nanstd,
}


@pytest.mark.parametrize("name", NEIGHBORS)
def test_reducers_leave_masked_neighbours_out(studio, name):
    kernel = studio.client.Kernel.plus(1, "pixels", False)
    image = studio.raster(VALUES, mask=HOLES)
    reduced = image.reduceNeighborhood(getattr(studio.client.Reducer, name)(), kernel)
    assert studio.info(reduced.bandNames()) == [f"b1_{name}"]
    plus = ndimage.generate_binary_structure(2, 1)
    expected = ndimage.generic_filter(
        np.where(HOLES, VALUES, np.nan),
        lambda values: np.nan if np.isnan(values).all() else NEIGHBORS[name](values),
        footprint=plus,
        mode="constant",
        cval=np.nan,
    )
    same(studio.pixels(reduced, SHAPE), expected, HOLES, 1e-12)


def test_masked_pixels_are_filled_where_asked(studio):
    image = studio.raster(VALUES, mask=HOLES)
    kernel = studio.client.Kernel.square(1)
    count = image.reduceNeighborhood(studio.client.Reducer.count(), kernel, "kernel", False)
    expected = ndimage.correlate(HOLES.astype(int), np.ones((3, 3), int), mode="constant")
    same(studio.pixels(count, SHAPE), expected)


def test_kernel_weights_weigh(studio):
    weights = [[0.0, 1, 0], [2, 3, 0], [0, 0, 0.5]]
    kernel = studio.client.Kernel.fixed(3, 3, weights)
    image = studio.raster(VALUES)
    total = image.reduceNeighborhood(studio.client.Reducer.sum(), kernel)
    expected = ndimage.correlate(VALUES, np.array(weights), mode="constant")
    same(studio.pixels(total, SHAPE), expected, tolerance=1e-13)
    plain = image.reduceNeighborhood(studio.client.Reducer.sum(), kernel, "mask")
    ones = (np.array(weights) > 0).astype(float)
    expected = ndimage.correlate(VALUES, ones, mode="constant")
    same(studio.pixels(plain, SHAPE), expected, tolerance=1e-13)


def test_several_outputs_become_several_bands(studio):
    image = studio.raster(VALUES).reduceNeighborhood(
        studio.client.Reducer.minMax(), studio.client.Kernel.square(1)
    )
    found = studio.blocks(image, SHAPE)
    assert list(found) == ["b1_min", "b1_max"]
    np.testing.assert_array_equal(found["b1_max"][0], ndimage.maximum_filter(VALUES, 3))


def test_focal_operations_keep_names_and_fill_gaps(studio):
    image = studio.raster(VALUES, mask=HOLES)
    low, high = np.where(HOLES, VALUES, np.inf), np.where(HOLES, VALUES, -np.inf)
    square = studio.pixels(image.focalMax(1, "square"), SHAPE)
    same(square, ndimage.maximum_filter(high, 3))
    plus = ndimage.generate_binary_structure(2, 1)
    expected = ndimage.minimum_filter(low, footprint=plus)
    found = studio.pixels(image.focalMin(1, "plus"), SHAPE)
    same(found, np.where(np.isinf(expected), 0, expected), ~np.isinf(expected))
    assert studio.info(image.focal_max(1).bandNames()) == ["b1"]


def test_focal_operations_repeat(studio):
    image = studio.raster(VALUES).focalMax(1, "square", "pixels", 2)
    same(studio.pixels(image, SHAPE), ndimage.maximum_filter(VALUES, 5))


def test_focal_median_mode_and_mean(studio):
    classes = RNG.integers(0, 3, SHAPE).astype(np.uint8)
    image = studio.raster(classes)
    center = far(1, 1)
    found = studio.pixels(image.focalMode(1, "square"), SHAPE)
    expected = ndimage.generic_filter(
        classes, lambda v: np.bincount(v.astype(int)).argmax(), size=3
    )
    np.testing.assert_array_equal(found[center], expected[center])
    mean = studio.pixels(studio.raster(VALUES).focalMean(1, "square"), SHAPE)
    np.testing.assert_allclose(mean[center], ndimage.uniform_filter(VALUES, 3)[center])
    median = studio.pixels(studio.raster(VALUES).focalMedian(1, "square"), SHAPE)
    np.testing.assert_allclose(median[center], ndimage.median_filter(VALUES, 3)[center])


def test_large_neighbourhoods_are_reduced_in_strips(studio, monkeypatch):
    from water_gee.emulator.functions import image_neighborhood

    monkeypatch.setattr(image_neighborhood, "STACK_BYTES", 3 * 9 * 8 * 11)
    image = studio.raster(VALUES, mask=HOLES)
    kernel = studio.client.Kernel.square(1, "pixels", False)
    reduced = image.reduceNeighborhood(studio.client.Reducer.max(), kernel, "mask", False)
    expected = ndimage.maximum_filter(np.where(HOLES, VALUES, -np.inf), 3)
    same(studio.pixels(reduced, SHAPE), expected)


def test_neighbours_become_bands(studio):
    kernel = studio.client.Kernel.fixed(3, 3, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    found = studio.blocks(studio.raster(VALUES).neighborhoodToBands(kernel), SHAPE)
    assert list(found) == ["b1_0_-1", "b1_1_0", "b1_-1_1"]
    assert found["b1_0_-1"][0][4, 4] == VALUES[3, 4]
    assert found["b1_1_0"][0][4, 4] == VALUES[4, 5]
    assert found["b1_-1_1"][0][4, 4] == VALUES[5, 3]
    assert not found["b1_0_-1"][1][0].any()


def test_metres_reach_fewer_pixels_the_larger_they_are(studio):
    image = studio.raster(VALUES)
    found = studio.pixels(image.focalMax(60, "square", "meters"), SHAPE)
    same(found, ndimage.maximum_filter(VALUES, 5))
    a, b, c, d, e, f = UTM.transform
    double = Grid(UTM.crs, (2 * a, b, c, d, 2 * e, f))
    coordinates = studio.client.Image.pixelCoordinates("EPSG:32648").select("x")
    kernel = studio.client.Kernel.square(60, "meters", False)
    count = coordinates.convolve(kernel).divide(coordinates)
    # 5 x 5 pixels of 30 m, 3 x 3 of 60 m; the mean of a plane is its middle.
    same(studio.pixels(count, (2, 2)), np.full((2, 2), 25), tolerance=1e-12)
    same(studio.pixels(count, (2, 2), grid=double), np.full((2, 2), 9), tolerance=1e-12)
    assert "Kernels in meters" in studio.refused(image.neighborhoodToBands(kernel))


def test_what_cannot_be_reduced_is_refused(studio):
    image, square = studio.raster(VALUES), studio.client.Kernel.square(1)
    mean = studio.client.Reducer.mean()
    assert "'inputWeight'" in studio.refused(image.reduceNeighborhood(mean, square, "sum"))
    assert "'optimization'" in studio.refused(
        image.reduceNeighborhood(mean, square, "mask", True, "fast")
    )
    two = studio.client.Reducer.linearFit()
    assert "several inputs" in studio.refused(image.reduceNeighborhood(two, square))
    assert "'iterations'" in studio.refused(image.focalMax(1, "square", "pixels", 0))
    assert "Unknown kernel type 'star'" in studio.refused(image.focalMax(1, "star"))
