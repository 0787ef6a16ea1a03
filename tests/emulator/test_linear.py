"""Sums of convolutions taken apart and multiplied at once: the same numbers as term by term."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.emulator.functions.image_reduce import sum_observed
from water_gee.emulator.linear import SUM, Fusion, WeightedSum, fused_sum
from water_gee.emulator.nodes import Blockwise, Constant, Convolve, Placed, Pointwise
from water_gee.emulator.pixels import Block, Grid, Window, evaluate
from water_gee.emulator.plan import Plan
from water_gee.emulator.values import Kernel

GRID = Grid("EPSG:32648", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0))
WINDOW = Window(3, -2, 9, 14)
RNG = np.random.default_rng(8)


def band(seed, masked=False):
    """A band of smooth numbers by place; with holes on a lattice where asked."""

    def function(grid, window, context):
        row = np.arange(window.row, window.row + window.height)[:, None]
        col = np.arange(window.col, window.col + window.width)
        values = np.sin(row * 1.7 + seed) * np.cos(col * 0.9 - seed) + seed
        mask = ((row * 7 + col * 3 + seed) % 11 != 0) if masked else None
        return Block(values, mask)

    return Placed((), function, np.float64)


def convolved(node, rows=3, cols=3):
    return Convolve(node, Kernel(RNG.normal(size=(rows, cols)), (rows // 2, cols // 2)))


def times(node, value, *, first=False):
    inputs = (Constant(value, np.float64), node) if first else (node, Constant(value, np.float64))
    return Pointwise(inputs, np.multiply, np.float64, "multiply")


def summed(members):
    return Blockwise(tuple(members), sum_observed, np.float64, SUM)


def plain(members):
    """The same sum, of a kind the planner does not know."""
    return Blockwise(tuple(members), sum_observed, np.float64, "")


def check(members, tolerance=1e-12):
    fused = fused_sum(summed(members))
    assert isinstance(fused, WeightedSum)
    one, two = (evaluate([make(members)], GRID, WINDOW)[0] for make in (summed, plain))
    if two.mask is None:
        assert one.mask is None
        seen = np.ones(two.values.shape, bool)
    else:
        np.testing.assert_array_equal(one.mask, two.mask)
        seen = two.mask
    scale = np.abs(two.values[seen]).max()
    assert np.abs(one.values - two.values)[seen].max() <= tolerance * scale


def test_convolutions_of_one_size():
    check([convolved(band(number)) for number in range(5)])


def test_convolutions_of_several_sizes_and_multiples():
    source = band(1)
    check(
        [
            convolved(source, 3, 5),
            convolved(band(2), 1, 1),
            times(source, -2.5),
            times(band(3), 4.0, first=True),
            convolved(source, 7, 3),
        ]
    )


@pytest.mark.parametrize("masked", [(True, True), (True, False)])
def test_where_pixels_are_masked_the_terms_are_left_out_one_by_one(masked):
    check([convolved(band(n, hidden)) for n, hidden in enumerate(masked)])
    check([times(band(n, hidden), n + 0.5) for n, hidden in enumerate(masked)])


def test_sums_over_the_same_bands_are_computed_together():
    sources = [band(number) for number in range(4)]
    sums = [summed([convolved(node) for node in sources]) for _ in range(6)]
    plan = Plan.of(sums, GRID)
    keys = {node.batch() for node, _ in plan.roots}
    assert len(keys) == 1
    together = evaluate(sums, GRID, WINDOW)
    alone = [evaluate([node], GRID, WINDOW)[0] for node in sums]
    for one, two in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.values, two.values, rtol=1e-12, atol=1e-13)


def test_layers_upon_layers():
    layer = [band(number) for number in range(3)]
    expected = layer
    for _ in range(3):
        kernels = RNG.normal(size=(4, len(layer), 3, 3))

        def over(bands, make, kernels=kernels):
            return [
                make(
                    [Convolve(node, Kernel(k, (1, 1))) for node, k in zip(bands, row, strict=True)]
                )
                for row in kernels
            ]

        layer, expected = over(layer, summed), over(expected, plain)
    found, wanted = evaluate(layer, GRID, WINDOW), evaluate(expected, GRID, WINDOW)
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.values, two.values, rtol=1e-11, atol=1e-9)


def test_strips_join_without_seams(monkeypatch):
    from water_gee.emulator import linear

    members = [convolved(band(number)) for number in range(3)]
    (whole,) = evaluate([summed(members)], GRID, WINDOW)
    monkeypatch.setattr(linear, "STRIP_BYTES", 1)
    (strips,) = evaluate([summed(members)], GRID, WINDOW)
    np.testing.assert_allclose(strips.values, whole.values, rtol=1e-13, atol=1e-14)


def test_other_sums_stay_as_they_are():
    single = Pointwise((band(1), Constant(2.0, np.float32)), np.multiply, np.float32, "multiply")
    product = Pointwise((band(1), band(2)), np.multiply, np.float64, "multiply")
    for members in ([band(1), band(2)], [single, single], [product, product], [convolved(band(1))]):
        assert fused_sum(summed(members)) is None
    assert fused_sum(band(1)) is None
    narrow = Blockwise((convolved(band(1)),) * 2, sum_observed, np.float32, SUM)
    assert fused_sum(narrow) is None


def test_a_node_is_rewritten_once():
    node = summed([convolved(band(1)), convolved(band(2))])
    fusion = Fusion()
    assert fusion(node) is fusion(node)
    assert isinstance(fusion(node), WeightedSum)
