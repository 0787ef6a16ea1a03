"""Areas as tables of cells, and their cutting into exports."""

from __future__ import annotations

import time

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from water_gee.deploy.tiles import SMALLEST, Area, Box, Tile, cut
from water_gee.errors import DeployError
from water_gee.imagery.grid import DEFAULT_LATTICE, Lattice, cell_from_id, cells_for
from water_gee.imagery.recipe import Recipe

EACH = 501**2


def area(*names):
    return Area.of([cell_from_id(name) for name in names])


def test_one_cell_is_501_pixels_on_the_lattice():
    one = area("E106.650_N52.245")
    step = 135 / 501_000
    assert one.grid.shape == (501, 501)
    assert one.grid.transform == Affine(step, 0, 106.65, 0, -step, 52.38)
    assert one.is_rectangle
    assert (one.count, one.pixels) == (1, EACH)


def test_cells_in_an_l_leave_a_corner_open():
    bent = area("E0.000_N0.000", "E0.135_N0.000", "E0.000_N0.135")
    assert bent.grid.shape == (1002, 1002)
    assert not bent.is_rectangle
    assert bent.pixels == 3 * EACH
    assert bent.outline["type"] == "Polygon"
    corners = {tuple(round(n, 9) for n in point) for point in bent.outline["coordinates"][0]}
    assert (0.135, 0.135) in corners
    assert (0.27, 0.27) not in corners


def test_cells_apart_are_a_multipolygon():
    assert area("E0.000_N0.000", "E0.405_N0.000").outline["type"] == "MultiPolygon"


@pytest.mark.parametrize(
    "polygon",
    [
        shapely.Point(149, -35).buffer(0.5),
        shapely.box(179.5, 10, 180, 10.5),
        shapely.box(-180, -90, -179.7, -89.8),
        shapely.box(0.01, 0.01, 0.3, 0.2),
        shapely.box(0.135, 0.135, 0.27, 0.27),
        shapely.union_all([shapely.box(5, 5, 5.1, 5.1), shapely.box(6, 6, 6.3, 6.1)]),
    ],
)
def test_an_area_has_the_cells_that_the_lattice_gives_one_by_one(polygon):
    cells = list(cells_for(polygon))
    found = Area.covering(polygon, DEFAULT_LATTICE)
    assert found.digest() == Area.of(cells).digest()
    assert found.count == len(cells)
    assert found.pixels == sum(cell.core.height * cell.core.width for cell in cells)


def test_20_degrees_squared_are_made_and_cut_in_a_second():
    begun = time.perf_counter()
    large = Area.covering(shapely.box(10, 10, 30, 30), DEFAULT_LATTICE)
    tiles = cut(large, 10**8)
    assert time.perf_counter() - begun < 1
    assert large.count == 149 * 149
    assert sum(tile.box.pixels for tile in tiles) == 149 * 149 * EACH
    assert max(tile.box.pixels for tile in tiles) <= 10**8
    assert len(tiles) <= 64


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 40), st.integers(0, 10**6), st.booleans()
)
def test_tiles_hold_every_cell_once_within_the_limit(rows, cols, most, seed, full):
    bits = np.random.default_rng(seed).random((rows, cols)) < (1.0 if full else 0.5)
    bits[0, 0] = bits[-1, -1] = True
    lattice = Lattice.of(Recipe(cell=0.1, pixels=128))
    whole = Area(lattice, -3, 4, bits)
    seen = np.zeros((rows, cols), int)
    tiles = cut(whole, most * 128**2)
    for tile in tiles:
        assert tile.box.pixels <= most * 128**2
        part = tile.area
        top, left = whole.row - part.row, part.col - whole.col
        height, width = part.cells.shape
        seen[top : top + height, left : left + width] += part.cells
    np.testing.assert_array_equal(seen, bits)
    assert len({tile.name for tile in tiles}) == len(tiles)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(0, 10**6))
def test_quarters_of_quarters_hold_every_pixel_once(rows, cols, depth, seed):
    bits = np.random.default_rng(seed).random((rows, cols)) < 0.6
    bits[0, 0] = bits[-1, -1] = True
    lattice = Lattice.of(Recipe(cell=0.1, pixels=100))
    area = Area(lattice, 7, -2, bits)
    parts = [Tile(area, area.box)]
    for _ in range(depth):
        parts = [quarter for part in parts for quarter in part.quarters() or (part,)]
    box = area.box
    seen = np.zeros(box.shape, int)
    for part in parts:
        mine = np.kron(part.area.cells, np.ones((100, 100), int)).astype(int)
        whole = part.area.box
        mine = mine[
            whole.north - part.box.north : whole.north - part.box.south,
            part.box.west - whole.west : part.box.east - whole.west,
        ]
        seen[
            box.north - part.box.north : box.north - part.box.south,
            part.box.west - box.west : part.box.east - box.west,
        ] += mine
    np.testing.assert_array_equal(seen, np.kron(bits, np.ones((100, 100), int)))
    assert len({part.name + part.part for part in parts}) == len(parts)


def test_what_is_too_small_is_not_cut():
    one = area("E0.000_N0.000")
    todo = [Tile(one, one.box)]
    for _ in range(5):
        todo = [quarter for tile in todo for quarter in tile.quarters()]
    assert todo == []
    assert min(SMALLEST, 501 // 4) == SMALLEST


def test_a_limit_below_one_cell_is_refused():
    with pytest.raises(DeployError, match="one cell of the recipe has 251,001 pixels"):
        cut(area("E0.000_N0.000"), 250_000)


def test_a_name_is_that_of_the_lower_left_cell_in_letters_an_id_may_have():
    bent = area("E106.650_N52.245", "E106.785_N52.380")
    (tile,) = cut(bent, 10**8)
    assert tile.name == "E106p650_N52p245"


def test_a_box_is_read_as_it_was_written():
    box = Box(-5, 0, 10, 20)
    assert Box.read(box.text) == box
    assert Box.read("1,2,3") is None
    assert Box.read(None) is None


def test_the_order_of_the_cells_does_not_matter():
    names = ("E0.000_N0.000", "E0.135_N0.000")
    assert area(*names).digest() == area(*names[::-1]).digest()
    assert area(*names).digest() != area("E0.000_N0.000", "E0.270_N0.000").digest()


def test_cells_are_picked_from_everywhere():
    large = Area.covering(shapely.box(10, 10, 12, 12), DEFAULT_LATTICE)
    picked = large.spread(12)
    assert len(set(picked)) == 12
    assert picked[0].row == large.row
    assert picked[-1].row == large.row + 1 - large.cells.shape[0]
    assert len(area("E0.000_N0.000").spread(12)) == 1
