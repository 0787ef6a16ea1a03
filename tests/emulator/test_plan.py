"""Plans: each node once over the union of its windows, let go after its last reader."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from water_gee.emulator.nodes import Constant, Neighborhood, Placed, Pointwise, Warp
from water_gee.emulator.pixels import Block, Context, Grid, Window, evaluate
from water_gee.emulator.plan import Plan
from water_gee.errors import ServiceError

GRID = Grid("EPSG:32648", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0))
WINDOW = Window(0, 0, 6, 8)


class Counted:
    """Makes row + 1000 x column, and remembers the windows it was asked for."""

    def __init__(self):
        self.windows = []

    def __call__(self, grid, window, context):
        self.windows.append((grid, window))
        rows = np.arange(window.row, window.row + window.height)[:, None]
        cols = np.arange(window.col, window.col + window.width)
        return Block(rows + 1000.0 * cols)


def source():
    counted = Counted()
    return counted, Placed((), counted, np.float64)


def mean_around(node, radius):
    def function(block):
        height = block.values.shape[0] - 2 * radius
        width = block.values.shape[1] - 2 * radius
        total = np.zeros((height, width))
        for row in range(2 * radius + 1):
            for col in range(2 * radius + 1):
                total += block.values[row : row + height, col : col + width]
        return Block(total / (2 * radius + 1) ** 2)

    return Neighborhood((node,), (radius,) * 4, function, np.float64)


def plus(one, two):
    return Pointwise((one, two), np.add, np.float64)


def expected(window):
    rows = np.arange(window.row, window.row + window.height)[:, None]
    return rows + 1000.0 * np.arange(window.col, window.col + window.width)


def test_a_node_is_computed_once_over_the_union_of_what_is_read():
    counted, node = source()
    image = plus(plus(node, mean_around(node, 1)), mean_around(node, 2))
    (block,) = evaluate([image], GRID, WINDOW)
    assert counted.windows == [(GRID, Window(-2, -2, 10, 12))]
    # The mean around a pixel of a plane is the pixel.
    np.testing.assert_allclose(block.values, 3 * expected(WINDOW))


def test_several_bands_share_what_they_read():
    counted, node = source()
    bands = [plus(node, Constant(value, np.float64)) for value in (1.0, 2.0)]
    blocks = evaluate([*bands, node, bands[0]], GRID, WINDOW)
    assert len(counted.windows) == 1
    np.testing.assert_array_equal(blocks[1].values, expected(WINDOW) + 2)
    np.testing.assert_array_equal(blocks[3].values, blocks[0].values)


def test_a_node_on_two_grids_is_computed_on_each():
    counted, node = source()
    coarse = GRID.scaled(1)
    image = plus(node, Warp(node, coarse))
    (block,) = evaluate([image], GRID, WINDOW)
    assert {grid for grid, _ in counted.windows} == {GRID, coarse}
    repeated = np.kron(expected(Window(0, 0, 3, 4)), np.ones((2, 2)))
    np.testing.assert_array_equal(block.values, expected(WINDOW) + repeated)


def test_a_value_lives_until_its_last_reader():
    """A chain of 30 holds two blocks at a time, not 30."""
    alive = []
    most = 0

    def step(values):
        nonlocal most
        gc.collect()
        made = values + 1
        alive.append(weakref.ref(made))
        most = max(most, sum(ref() is not None for ref in alive))
        return made

    node = Constant(0.0, np.float64)
    for _ in range(30):
        node = Pointwise((node,), step, np.float64)
    (block,) = evaluate([node], GRID, Window(0, 0, 50, 50))
    assert (block.values == 30).all()
    assert most <= 2


def test_deep_graphs_need_no_deep_stack():
    node = Constant(0.0, np.float64)
    one = Constant(1.0, np.float64)
    for _ in range(20_000):
        node = plus(node, one)
    (block,) = evaluate([node], GRID, Window(0, 0, 2, 2))
    assert (block.values == 20_000).all()


@pytest.mark.parametrize("shape", [(130, 70), (70, 130)])
def test_a_window_too_large_for_memory_is_cut(shape):
    counted, node = source()
    image = plus(node, mean_around(node, 3))
    window = Window(5, -7, *shape)
    (whole,) = evaluate([image], GRID, window)
    one_call = len(counted.windows)
    (cut,) = evaluate([image], GRID, window, Context(budget=100_000))
    assert len(counted.windows) > 2 * one_call
    np.testing.assert_array_equal(cut.values, whole.values)


def test_masks_survive_the_cut():
    def half(grid, window, context):
        inside = np.arange(window.col, window.col + window.width) >= 40
        mask = np.broadcast_to(inside, window.shape)
        return Block(np.ones(window.shape), None if inside.all() else mask)

    node = Placed((), half, np.float64)
    (block,) = evaluate([node], GRID, Window(0, 0, 70, 200), Context(budget=20_000))
    np.testing.assert_array_equal(block.mask[0], np.arange(200) >= 40)


def test_time_is_looked_at_between_nodes():
    _, node = source()
    with pytest.raises(ServiceError, match="timed out"):
        evaluate([node], GRID, WINDOW, Context(deadline=0.0))


def test_inputs_come_before_their_readers():
    _, node = source()
    image = plus(plus(node, node), mean_around(node, 1))
    order = [found for found, _ in Plan.of([image], GRID).order]
    assert order[0] is node
    assert order[-1] is image
    assert len(order) == len(set(order)) == 4
