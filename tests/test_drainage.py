from __future__ import annotations

import heapq

import numpy as np
import pytest

from water_gee import drainage
from water_gee.demo import noise


def priority_flood(surface, outlets):
    """Filled levels by the textbook queue (Barnes et al. 2014), for comparison."""
    level = np.full(surface.shape, np.inf)
    queue = [(surface[at], at) for at in zip(*np.nonzero(outlets), strict=True)]
    for height, at in queue:
        level[at] = height
    heapq.heapify(queue)
    while queue:
        height, (row, col) = heapq.heappop(queue)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                at = (row + down, col + right)
                inside = 0 <= at[0] < surface.shape[0] and 0 <= at[1] < surface.shape[1]
                if inside and level[at] == np.inf:
                    level[at] = max(height, surface[at])
                    heapq.heappush(queue, (level[at], at))
    return level


def left_edge(shape):
    outlets = np.zeros(shape, dtype=bool)
    outlets[:, 0] = True
    return outlets


@pytest.mark.parametrize("seed", range(4))
def test_filled_levels_are_those_of_priority_flood(seed):
    rng = noise.generator(seed, "test")
    surface = 100 * noise.fractal((40, 50), rng, slope=1.5)
    outlets = left_edge(surface.shape)
    tree = drainage.drain(surface, outlets)
    # The tie break moves a spill point by a millimetre at most here.
    assert drainage.fill(surface, tree) == pytest.approx(priority_flood(surface, outlets), abs=0.05)


def test_water_runs_down_a_plane_along_its_rows():
    surface = np.tile(np.arange(12, dtype=np.float32), (7, 1))
    tree = drainage.drain(surface, left_edge(surface.shape))
    area = drainage.accumulate(tree)
    assert np.array_equal(area, np.tile(np.arange(12, 0, -1), (7, 1)))


def test_everything_that_falls_leaves_through_the_outlets():
    rng = noise.generator(5, "test")
    surface = 50 * noise.fractal((60, 45), rng, slope=1.8)
    outlets = left_edge(surface.shape)
    rain = rng.random(surface.shape).astype(np.float32)
    area = drainage.accumulate(drainage.drain(surface, outlets), rain)
    assert area[outlets].sum() == pytest.approx(rain.sum(), rel=1e-5)


def test_every_pixel_drains_to_a_neighbour_nearer_to_an_outlet():
    surface = 50 * noise.fractal((30, 30), noise.generator(6, "test"), slope=1.8)
    tree = drainage.drain(surface, left_edge(surface.shape))
    depth = np.empty(surface.size, dtype=int)
    for number, step in enumerate(tree.steps()):
        depth[step] = number
    row, col = np.divmod(np.arange(surface.size), 30)
    to_row, to_col = np.divmod(tree.receiver, 30)
    inner = depth > 0
    assert np.array_equal(depth[tree.receiver[inner]], depth[inner] - 1)
    assert np.maximum(abs(row - to_row), abs(col - to_col))[inner].max() == 1
    assert np.array_equal(np.sort(tree.order), np.arange(surface.size))


def test_a_pit_fills_to_its_lowest_rim():
    surface = np.full((9, 9), 10.0, dtype=np.float32)
    surface[3:6, 3:6] = 2.0
    surface[4, 1:3] = 6.0
    surface[4, 0] = 5.0
    level = drainage.fill(surface, drainage.drain(surface, left_edge(surface.shape)))
    assert level[4, 4] == pytest.approx(6.0)
    assert level[0, 0] == pytest.approx(10.0)


def test_erosion_lowers_slopes_and_never_cuts_below_what_they_drain_to():
    surface = np.tile(np.linspace(0, 100, 20, dtype=np.float32), (10, 1))
    tree = drainage.drain(surface, left_edge(surface.shape))
    area = drainage.accumulate(tree) * 900
    cut = drainage.erode(surface, tree, area, np.full_like(surface, 0.5), 30.0)
    assert (cut <= surface + 1e-5).all()
    assert (np.diff(cut, axis=1) >= -1e-4).all()
    assert np.array_equal(cut[:, 0], surface[:, 0])


def test_upstream_of_an_outlet_is_its_own_catchment():
    surface = np.tile(np.arange(12, dtype=np.float32), (7, 1))
    tree = drainage.drain(surface, left_edge(surface.shape))
    start = np.zeros(surface.shape, dtype=bool)
    start[3, 4] = True
    marked = drainage.carry_upstream(tree, start)
    expected = np.zeros(surface.shape, dtype=bool)
    expected[3, 4:] = True
    assert np.array_equal(marked, expected)
