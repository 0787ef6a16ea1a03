"""Bands reduced to few, and a network's layer written as sums over bands."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage
from studio import UTM, same

from water_gee.emulator.linear import SUM, WeightedSum
from water_gee.emulator.nodes import Blockwise
from water_gee.emulator.pixels import Window, evaluate

RNG = np.random.default_rng(2)
PLANES = RNG.normal(size=(4, 6, 7))
MASK = RNG.random((6, 7)) > 0.3
SHAPE = (6, 7)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "median", "product", "stdDev"])
def test_bands_are_reduced(studio, name):
    reducer = getattr(studio.client.Reducer, name)()
    found = studio.blocks(studio.raster(*PLANES).reduce(reducer), SHAPE)
    assert list(found) == [name]
    function = {"stdDev": np.std, "product": np.prod}.get(name) or getattr(np, name)
    np.testing.assert_allclose(found[name][0], function(PLANES, axis=0), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "median"])
def test_masked_bands_are_left_out(studio, name):
    seen = studio.raster(*PLANES[:2], mask=MASK)
    image = seen.addBands(studio.raster(*PLANES[2:3], names=["c"]))
    reduced = image.reduce(getattr(studio.client.Reducer, name)())
    stack = np.where(np.stack([MASK, MASK, np.ones(SHAPE, bool)]), PLANES[:3], np.nan)
    same(studio.pixels(reduced, SHAPE), getattr(np, f"nan{name}")(stack, axis=0), tolerance=1e-12)
    alone = seen.reduce(getattr(studio.client.Reducer, name)())
    expected = getattr(np, name)(PLANES[:2], axis=0)
    same(studio.pixels(alone, SHAPE), expected, MASK, 1e-12)


def test_sums_weigh_fractional_masks(studio):
    half = studio.raster(PLANES[0], mask=np.full(SHAPE, 0.5, np.float32))
    image = half.addBands(studio.raster(PLANES[1], names=["b"]))
    expected = PLANES[0] * 0.5 + PLANES[1]
    found = studio.pixels(image.reduce(studio.client.Reducer.sum()), SHAPE)
    same(found, expected, tolerance=1e-12)


def test_several_outputs_and_types(studio):
    image = studio.raster(np.array([[1, 200]], np.uint8), np.array([[3, 4]], np.int16))
    found = studio.blocks(image.reduce(studio.client.Reducer.minMax()), (1, 2))
    assert {name: values.tolist() for name, (values, _) in found.items()} == {
        "min": [[1, 4]],
        "max": [[3, 200]],
    }
    kinds = studio.info(image.reduce(studio.client.Reducer.max()).bandTypes())
    assert kinds["max"] == {"type": "PixelType", "precision": "int", "min": -32768, "max": 32767}


def test_no_bands_and_two_inputs(studio):
    empty = studio.raster(PLANES[0]).select([]).reduce(studio.client.Reducer.sum())
    assert studio.compute(empty).bands == ()
    two = studio.raster(*PLANES).reduce(studio.client.Reducer.linearFit())
    assert "single input" in studio.refused(two)


def layer(studio, image, weights):
    """Return a 3x3 layer as the deployed network writes it: sums over concatenated convolutions."""
    ee = studio.client
    filters, channels = weights.shape[:2]
    bands = [image.select([channel]) for channel in range(channels)]
    sums = [
        ee.Image.cat(
            [
                bands[channel].convolve(ee.Kernel.fixed(weights=weights[number, channel].tolist()))
                for channel in range(channels)
            ]
        ).reduce(ee.Reducer.sum())
        for number in range(filters)
    ]
    return ee.Image.cat(sums)


def independent(values, weights):
    return np.stack(
        [
            sum(
                ndimage.correlate(plane, kernel, mode="constant")
                for plane, kernel in zip(values, kernels, strict=True)
            )
            for kernels in weights
        ]
    )


def test_a_layer_of_convolutions_is_computed_as_one_product(studio):
    values = RNG.normal(size=(5, 20, 24))
    weights = RNG.normal(size=(3, 5, 3, 3))
    image = layer(studio, studio.raster(*values).unmask(0, False), weights)
    bands = studio.compute(image).bands
    assert all(isinstance(band.node, Blockwise) and band.node.kind == SUM for band in bands)
    found = studio.blocks(image, (20, 24))
    expected = independent(values, weights)
    for index, (plane, mask) in enumerate(found.values()):
        np.testing.assert_allclose(plane, expected[index], rtol=1e-12, atol=1e-13)
        assert mask.all()


def test_a_layer_over_masked_pixels_is_computed_term_by_term(studio):
    values = RNG.normal(size=(2, 10, 12))
    mask = np.ones((10, 12), bool)
    mask[4, 5] = False
    weights = RNG.normal(size=(2, 2, 3, 3))
    found = studio.blocks(layer(studio, studio.raster(*values, mask=mask), weights), (10, 12))
    seen = ndimage.minimum_filter(mask.astype(int), 3, mode="constant", cval=0) > 0
    expected = independent(values, weights)
    for index, (plane, observed) in enumerate(found.values()):
        np.testing.assert_array_equal(observed, seen)
        np.testing.assert_allclose(plane[seen], expected[index][seen], rtol=1e-12, atol=1e-13)


def test_a_one_by_one_layer_is_a_product_with_constants(studio):
    ee = studio.client
    values, weights = RNG.normal(size=(4, 6, 7)), RNG.normal(size=(3, 4))
    image = studio.raster(*values).unmask(0, False)
    out = ee.Image.cat(
        [
            image.multiply(ee.Image.constant(row.tolist())).reduce(ee.Reducer.sum())
            for row in weights
        ]
    )
    from water_gee.emulator.plan import Plan

    plan = Plan.of([band.node for band in studio.compute(out).bands], UTM)
    assert all(isinstance(node, WeightedSum) for node, _ in plan.roots)
    found = np.stack([values for values, _ in studio.blocks(out, SHAPE).values()])
    np.testing.assert_allclose(found, np.tensordot(weights, values, 1), rtol=1e-12, atol=1e-14)


def test_a_layer_of_the_network_takes_seconds_at_most_and_equals_the_plain_sum(studio):
    """40 channels to 64 over 507 x 507 pixels: 11.8 billion multiplications and additions."""
    values = RNG.normal(size=(40, 507, 507))
    weights = RNG.normal(size=(64, 40, 3, 3)).astype(np.float32).astype(float)
    image = layer(studio, studio.raster(*values).unmask(0, False), weights)
    nodes = [band.node for band in studio.compute(image).bands]
    start = time.process_time()
    blocks = evaluate(nodes, UTM, Window(0, 0, 507, 507))
    seconds = time.process_time() - start
    assert seconds < 20
    cut = (slice(100, 140), slice(200, 260))
    around = (slice(99, 141), slice(199, 261))
    for index in (0, 31, 63):
        plain = independent(values[:, *around], weights[index : index + 1])[0][1:-1, 1:-1]
        scale = np.abs(plain).max()
        assert np.abs(blocks[index].values[cut] - plain).max() <= 1e-12 * scale
