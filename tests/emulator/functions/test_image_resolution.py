"""Means of fine pixels: blocks, fractions of pixels, other projections."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.warp import Resampling, reproject
from studio import UTM, same

from water_gee.emulator.pixels import Grid

VALUES = np.random.default_rng(9).normal(size=(40, 60)) + 5
MASK = np.random.default_rng(10).random((40, 60)) > 0.4


def grid(size, left=500_000.0, top=6_000_000.0):
    return Grid("EPSG:32648", (size, 0.0, left, 0.0, -size, top))


def means(studio, image, **how):
    return image.reduceResolution(studio.client.Reducer.mean(), **how)


def test_whole_multiples_are_means_of_blocks(studio):
    found = studio.pixels(means(studio, studio.raster(VALUES)), (10, 15), grid=grid(120.0))
    same(found, VALUES.reshape(10, 4, 15, 4).mean(axis=(1, 3)), tolerance=1e-12)


def test_masked_pixels_are_left_out(studio):
    image = studio.raster(VALUES, mask=MASK)
    found = studio.pixels(means(studio, image), (20, 30), grid=grid(60.0))
    hidden = np.where(MASK, VALUES, np.nan).reshape(20, 2, 30, 2)
    seen = MASK.reshape(20, 2, 30, 2).any(axis=(1, 3))
    expected = np.nansum(hidden, axis=(1, 3)) / np.maximum(
        MASK.reshape(20, 2, 30, 2).sum((1, 3)), 1
    )
    same(found, expected, seen, 1e-12)


@pytest.mark.parametrize("size", [70.0, 45.0, 200.0])
def test_fractions_of_pixels_weigh(studio, size):
    target = grid(size, 500_100.0, 5_999_900.0)
    shape = (4, 5)
    found = studio.pixels(means(studio, studio.raster(VALUES)), shape, grid=target)
    for row in range(shape[0]):
        for col in range(shape[1]):
            edges = [(100 + size * step) / 30 for step in (row, row + 1, col, col + 1)]
            down = overlap(edges[0], edges[1], 40)
            right = overlap(edges[2], edges[3], 60)
            weights = np.outer(down, right)
            assert found[row, col] == pytest.approx((weights * VALUES).sum() / weights.sum())


def overlap(first, last, count):
    """Return how much of each of `count` unit steps lies between two places."""
    steps = np.arange(count)
    return np.clip(np.minimum(last, steps + 1) - np.maximum(first, steps), 0, 1)


def test_finer_requests_take_the_nearest_pixel(studio):
    image = means(studio, studio.raster(VALUES))
    same(studio.pixels(image, (40, 60)), VALUES)
    fine = studio.pixels(image, (80, 120), grid=grid(15.0))
    same(fine, np.kron(VALUES, np.ones((2, 2))))


def test_other_projections_take_pixels_by_their_centres(studio):
    target = Grid("EPSG:4326", (0.002, 0.0, 105.001, 0.0, -0.002, 54.146))
    shape = (4, 8)
    found = studio.pixels(means(studio, studio.raster(VALUES), maxPixels=100), shape, grid=target)
    out = np.zeros(shape)
    reproject(
        VALUES,
        out,
        src_transform=rasterio.Affine(*UTM.transform),
        src_crs=UTM.crs,
        dst_transform=rasterio.Affine(*target.transform),
        dst_crs=target.crs,
        resampling=Resampling.average,
    )
    # About 32 pixels each: leaving out fractions moves a mean by little of the scatter of 1.
    np.testing.assert_allclose(found, out, atol=0.15)


def test_too_many_pixels_are_refused_or_read_coarser(studio):
    image = studio.raster(VALUES)
    message = studio.refused_pixels(means(studio, image), (3, 3), grid=grid(300.0))
    assert message == (
        "Image.reduceResolution: Too many input pixels per output pixel: 100, "
        "but maxPixels allows only 64."
    )
    # 8 x 8 pixels each; 2 x 2 of the pyramid's second level are allowed (the studio's takes every
    # fourth pixel).
    best = means(studio, image, bestEffort=True, maxPixels=4)
    found = studio.pixels(best, (5, 7), grid=grid(240.0))
    expected = VALUES[::4, ::4][:10, :14].reshape(5, 2, 7, 2).mean(axis=(1, 3))
    same(found, expected, tolerance=1e-12)


def test_other_reducers_are_refused_by_name(studio):
    image = studio.raster(VALUES).reduceResolution(studio.client.Reducer.max())
    assert "Reducer 'max' is not implemented" in studio.refused(image)
