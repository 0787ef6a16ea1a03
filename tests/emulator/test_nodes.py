"""The kinds of node: constants, combinations, convolution, rasters and their pyramid, warps."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer
from scipy import ndimage

from water_gee.emulator.nodes import (
    Blockwise,
    Constant,
    Convolve,
    Pointwise,
    Source,
    Warp,
    pixel_meters,
)
from water_gee.emulator.pixels import Block, Grid, Window, evaluate
from water_gee.emulator.values import Kernel

GRID = Grid("EPSG:32648", (30.0, 0.0, 500_000.0, 0.0, -30.0, 6_000_000.0))
VALUES = np.random.default_rng(0).normal(size=(16, 20))
MASK = np.random.default_rng(1).random((16, 20)) > 0.2
WHOLE = Window(0, 0, 16, 20)


class Raster:
    """A raster whose pyramid is made of means, and that notes what is read."""

    def __init__(self, values=VALUES, mask=None):
        self.values, self.mask, self.reads = values, mask, []

    def __call__(self, level, window):
        self.reads.append((level, window))
        k = 2**level
        rows, cols = self.values.shape[0] // k, self.values.shape[1] // k
        small = self.values[: rows * k, : cols * k].reshape(rows, k, cols, k).mean(axis=(1, 3))
        cut = (
            slice(window.row, window.row + window.height),
            slice(window.col, window.col + window.width),
        )
        return Block(small[cut], None if self.mask is None else self.mask[cut])


def warp(raster, method="nearest"):
    return Warp(Source(GRID, raster.values.shape, raster, np.float64), GRID, method)


def test_a_constant_takes_no_memory():
    (block,) = evaluate([Constant(3, np.int32)], GRID, Window(0, 0, 4000, 4000))
    assert block.values.strides == (0, 0)
    assert block.values.dtype == np.int32
    assert block.mask is None


def test_pointwise_sees_values_and_blockwise_masks():
    one, two = warp(Raster(mask=MASK)), warp(Raster())
    (block,) = evaluate([Pointwise((one, two), np.subtract, np.float32)], GRID, WHOLE)
    assert block.values.dtype == np.float32
    np.testing.assert_array_equal(block.mask, MASK)

    def holes(block, other):
        return Block(np.zeros(block.values.shape), ~block.mask)

    (block,) = evaluate([Blockwise((one, two), holes, np.float64)], GRID, WHOLE)
    np.testing.assert_array_equal(block.mask, ~MASK)


@pytest.mark.parametrize("center", [(1, 1), (0, 0), (2, 3)])
def test_convolution_takes_its_halo_from_the_focus(center):
    weights = np.random.default_rng(4).normal(size=(3, 4))
    raster = Raster()
    node = Convolve(warp(raster), Kernel(weights, center))
    inner = Window(4, 5, 6, 7)
    (block,) = evaluate([node], GRID, inner)
    ((_, read),) = raster.reads
    assert read == Window(4 - center[0], 5 - center[1], 8, 10)
    origin = (center[0] - 3 // 2, center[1] - 4 // 2)
    expected = ndimage.correlate(VALUES, weights, origin=origin, mode="constant")
    np.testing.assert_allclose(block.values, expected[4:10, 5:12], atol=1e-13)
    assert block.mask is None


def test_convolution_erodes_the_mask_by_the_whole_kernel():
    weights = np.zeros((3, 5))
    weights[1, 2] = 1
    node = Convolve(warp(Raster(mask=MASK)), Kernel(weights, (1, 2)))
    (block,) = evaluate([node], GRID, WHOLE)
    eroded = ndimage.minimum_filter(MASK.astype(int), (3, 5), mode="constant", cval=0) > 0
    np.testing.assert_array_equal(block.mask, eroded)
    np.testing.assert_array_equal(block.values[eroded], VALUES[eroded])


def test_rasters_are_read_inside_their_bounds_only():
    raster = Raster(mask=MASK)
    (block,) = evaluate([warp(raster)], GRID, Window(-3, 15, 10, 10))
    assert raster.reads == [(0, Window(0, 15, 7, 5))]
    expected = np.zeros((10, 10), bool)
    expected[3:, :5] = MASK[:7, 15:]
    np.testing.assert_array_equal(block.mask, expected)
    (away,) = evaluate([warp(raster)], GRID, Window(100, 100, 3, 3))
    assert len(raster.reads) == 1
    assert not away.mask.any()


@pytest.mark.parametrize(
    ("size", "level"), [(15, 0), (30, 0), (31, 0), (59, 1), (60, 1), (119, 2), (120, 2), (9999, 4)]
)
def test_coarse_requests_read_the_pyramid(size, level):
    grid = Grid("EPSG:32648", (size, 0.0, 500_000.0, 0.0, -size, 6_000_000.0))
    node = warp(Raster())
    assert node.inputs[0].level_for(grid) == level


def test_a_coarse_request_is_the_mean_of_fine_pixels():
    raster = Raster()
    (block,) = evaluate([warp(raster)], GRID.scaled(2), Window(1, 1, 2, 3))
    assert raster.reads == [(2, Window(1, 1, 2, 3))]
    expected = VALUES.reshape(4, 4, 5, 4).mean(axis=(1, 3))
    np.testing.assert_array_equal(block.values, expected[1:3, 1:4])


def test_thirty_metres_are_thirty_metres_in_degrees_too():
    degrees = Grid("EPSG:4326", (0.135 / 501, 0.0, 105.0, 0.0, -0.135 / 501, 54.1))
    assert pixel_meters(degrees) == pytest.approx(29.996, abs=1e-3)
    assert warp(Raster()).inputs[0].level_for(degrees) == 0


def test_nearest_takes_the_pixel_a_centre_falls_into():
    degrees = Grid("EPSG:4326", (0.0003, 0.0, 105.0009, 0.0, -0.0002, 54.146))
    window = Window(0, 0, 9, 11)
    (block,) = evaluate([warp(Raster(mask=MASK))], degrees, window)
    lon, lat = degrees.centers(window)
    change = Transformer.from_crs("EPSG:4326", "EPSG:32648", always_xy=True)
    x, y = change.transform(lon, lat)
    rows = np.floor((6_000_000 - y) / 30).astype(int)
    cols = np.floor((x - 500_000) / 30).astype(int)
    inside = (rows >= 0) & (rows < 16) & (cols >= 0) & (cols < 20)
    seen = inside & MASK[rows % 16, cols % 20]
    assert seen.any()
    assert not seen.all()
    np.testing.assert_array_equal(
        np.ones((9, 11), bool) if block.mask is None else block.mask, seen
    )
    np.testing.assert_array_equal(block.values[seen], VALUES[rows % 16, cols % 20][seen])


@pytest.mark.parametrize(("method", "order"), [("bilinear", 1), ("bicubic", None)])
def test_interpolation_of_a_plane_is_exact(method, order):
    rows, cols = np.mgrid[0:16, 0:20]
    plane = 3.0 * rows - 2.0 * cols + 7
    shifted = Grid("EPSG:32648", (30.0, 0.0, 500_097.0, 0.0, -30.0, 5_999_880.0 + 6))
    (block,) = evaluate([warp(Raster(plane), method)], shifted, Window(0, 0, 6, 8))
    row = np.arange(6)[:, None] + (6_000_000 - 5_999_886) / 30
    col = np.arange(8) + 97 / 30
    np.testing.assert_allclose(block.values, 3 * row - 2 * col + 7, rtol=1e-12)
    assert block.mask is None


def test_bilinear_equals_scipy():
    shifted = Grid("EPSG:32648", (30.0, 0.0, 500_097.0, 0.0, -30.0, 5_999_886.0))
    (block,) = evaluate([warp(Raster(), "bilinear")], shifted, Window(0, 0, 6, 8))
    row, col = np.mgrid[0:6, 0:8].astype(float)
    row, col = row + (6_000_000 - 5_999_886) / 30, col + 97 / 30
    expected = ndimage.map_coordinates(VALUES, [row, col], order=1)
    np.testing.assert_allclose(block.values, expected, rtol=1e-9)


def test_the_mask_of_an_interpolated_pixel_is_the_nearest_pixels():
    mask = np.ones((16, 20), bool)
    mask[5, 6] = False
    shifted = Grid("EPSG:32648", (30.0, 0.0, 500_009.0, 0.0, -30.0, 6_000_000.0))
    (block,) = evaluate([warp(Raster(mask=mask), "bilinear")], shifted, Window(0, 0, 16, 19))
    np.testing.assert_array_equal(block.mask, mask[:, :19])
    # To the left of the hole the hole has no say.
    assert block.values[5, 5] == VALUES[5, 5]
