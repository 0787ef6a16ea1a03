"""The lattice: cells partition the Earth, and neighbours share edges bit for bit."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st

from water_gee.errors import GridError, TileOutsideGridError
from water_gee.imagery.grid import (
    DEFAULT_LATTICE,
    Cell,
    Lattice,
    cell_from_id,
    cells_for,
    count_cells,
    place_of,
)
from water_gee.imagery.recipe import Recipe

getcontext().prec = 50

COLS = st.integers(-1334, 1333)
ROWS = st.integers(-667, 666)


def test_a_pixel_edge_is_the_double_nearest_to_the_true_place():
    for pixel in (1, -3, 395_787, 668_000, -334_000):
        assert DEFAULT_LATTICE.degrees(pixel) == float(Decimal(pixel) * 135 / Decimal(501_000))


def test_a_product_of_floats_is_not_and_this_is_why_it_is_not_used():
    wrong = [n for n in range(-1334, 1334) if n * 0.135 != DEFAULT_LATTICE.degrees(n * 501)]
    assert len(wrong) > 100


def test_the_published_example_has_its_name_size_and_place():
    cell = Cell(790, 387)
    assert cell.id == "E106.650_N52.245"
    assert cell.shape == (507, 507)
    assert cell.bounds == (106.65, 52.245, 106.785, 52.38)
    assert cell.affine.a == 0.135 / 501
    assert cell.affine.e == -0.135 / 501
    assert cell.affine.c == pytest.approx(106.65 - 3 * 0.135 / 501, abs=1e-12)
    assert cell.affine.f == pytest.approx(52.38 + 3 * 0.135 / 501, abs=1e-12)
    assert cell.grid.crs == "EPSG:4326"


@pytest.mark.parametrize(
    ("col", "row", "name"),
    [
        (0, 0, "E0.000_N0.000"),
        (-1, -1, "W0.135_S0.135"),
        (-445, -2, "W60.075_S0.270"),
        (1104, -262, "E149.040_S35.370"),
    ],
)
def test_names_say_the_lower_left_corner_and_lead_back(col, row, name):
    assert Cell(col, row).id == name
    assert cell_from_id(name) == Cell(col, row)


@given(COLS, ROWS)
def test_every_cell_is_found_again_by_its_name(col, row):
    cell = Cell(col, row)
    assert cell_from_id(cell.id) == cell


@given(st.integers(-1333, 1331), st.integers(-666, 664))
def test_neighbouring_tiles_share_pixel_edges_bit_for_bit(col, row):
    here, east, north = Cell(col, row), Cell(col + 1, row), Cell(col, row + 1)
    assert here.bounds[2] == east.bounds[0]
    assert here.bounds[3] == north.bounds[1]
    # The 6 columns both tiles have: the last of one are the first of the other.
    degrees = DEFAULT_LATTICE.degrees
    edges = [degrees(here.origin[0] + 501 + i) for i in range(7)]
    assert edges == [degrees(east.origin[0] + i) for i in range(7)]
    assert edges[0] == east.affine.c


@settings(deadline=None)
@given(
    st.floats(-179, 178).map(lambda degrees: round(degrees, 6)),
    st.floats(-89, 88).map(lambda degrees: round(degrees, 6)),
    st.floats(0.01, 0.9),
    st.floats(0.01, 0.9),
)
def test_cells_of_a_box_cover_it_without_overlap_and_none_is_needless(west, south, width, height):
    box = shapely.box(west, south, west + width, south + height)
    cells = list(cells_for(box))
    assert len({cell.id for cell in cells}) == len(cells)
    squares = [cell.polygon for cell in cells]
    assert shapely.union_all(squares).buffer(1e-9).contains(box)
    assert sum(square.area for square in squares) == pytest.approx(
        shapely.union_all(squares).area, rel=1e-9
    )
    assert all(square.intersection(box).area > 0 for square in squares)


@given(COLS, ROWS)
def test_an_area_that_is_one_cell_gives_that_cell(col, row):
    cell = Cell(col, row)
    assert list(cells_for(cell.polygon)) == [cell]


def test_a_box_that_rounding_pushes_over_an_edge_gets_no_further_cell():
    east = Cell(790, 387).bounds[2]
    box = shapely.box(106.65, 52.245, np.nextafter(east, 180), 52.38)
    assert [cell.id for cell in cells_for(box)] == ["E106.650_N52.245"]


def test_cells_come_from_the_north_and_each_row_from_the_west():
    cells = list(cells_for(shapely.box(0.01, 0.01, 0.2, 0.2)))
    assert [cell.id for cell in cells] == [
        *("E0.000_N0.135", "E0.135_N0.135"),
        *("E0.000_N0.000", "E0.135_N0.000"),
    ]


def one_by_one(area, recipe=None):
    """The cells of an area by holding it against every square around it."""
    lattice = Lattice.of(recipe) if recipe is not None else DEFAULT_LATTICE
    west, south, east, north = area.bounds
    shapely.prepare(area)
    for row in range(lattice.index(north), lattice.index(south) - 1, -1):
        for col in range(lattice.index(west), lattice.index(east) + 1):
            try:
                cell = Cell(col, row, lattice)
            except TileOutsideGridError:
                continue
            left, bottom, right, top = cell.bounds
            if area.intersects(shapely.box(left + 1e-9, bottom + 1e-9, right - 1e-9, top - 1e-9)):
                yield cell


def crooked(rng, *, corners, radius, parts=1):
    """A shape with arms, holes and islands, anywhere on the Earth."""
    shapes = []
    for _ in range(parts):
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        reach = radius * rng.uniform(0.02, 1, corners)
        lon, lat = rng.uniform(-180, 180), rng.uniform(-90, 90)
        points = np.column_stack([lon + reach * np.cos(angle), lat + reach * np.sin(angle)])
        shapes.append(shapely.make_valid(shapely.Polygon(points)))
    holes = shapely.union_all([shapely.affinity.scale(shape, 0.4, 0.3) for shape in shapes])
    area = shapely.union_all(shapes).difference(holes)
    return shapely.intersection(area, shapely.box(-180, -90, 180, 90))


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6), st.sampled_from([(7, 2, 1), (400, 2, 2), (30, 1, 3)]))
def test_cells_are_those_that_a_test_of_each_finds_and_in_its_order(seed, kind):
    corners, radius, parts = kind
    rng = np.random.default_rng(seed)
    coarse = Recipe(cell=0.5, pixels=10, margin=0)
    area = crooked(rng, corners=corners, radius=radius, parts=1)
    if not area.is_empty:
        assert list(cells_for(area)) == list(one_by_one(area))
    area = crooked(rng, corners=corners, radius=4 * radius, parts=parts)
    assert list(cells_for(area, coarse)) == list(one_by_one(area, coarse))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-90, 90), st.integers(-45, 45)), min_size=1, max_size=40))
def test_an_area_made_of_cells_has_those_cells(places):
    cells = {Cell(col, row) for col, row in places}
    area = shapely.union_all([cell.polygon for cell in cells])
    assert set(cells_for(area)) == cells
    assert count_cells(area) == len(cells)


@pytest.mark.parametrize("recipe", [None, Recipe(cell=0.5, pixels=64), Recipe(cell=0.7, pixels=9)])
def test_cells_are_counted_without_making_them(recipe):
    rng = np.random.default_rng(5)
    for parts in (1, 12):
        area = crooked(rng, corners=60, radius=6, parts=parts)
        assert count_cells(area, recipe) == sum(1 for _ in cells_for(area, recipe)) > 100
    assert count_cells(shapely.Polygon(), recipe) == 0


def test_the_planets_cells_come_one_by_one():
    planet = shapely.box(-180, -90, 180, 90)
    assert count_cells(planet) == 2668 * 1334
    cells = cells_for(planet)
    first = [next(cells) for _ in range(2669)]
    assert first[0].id == "W180.090_N89.910"
    assert first[2667].id == "E179.955_N89.910"
    assert first[2668].id == "W180.090_N89.775"
    assert first[0].bounds == (-180.0, 89.91, -179.955, 90.0)


def test_a_long_coast_is_not_held_against_every_cell():
    """200,000 corners and 10,000 cells: each with each would take hours."""
    angle = np.linspace(0, 2 * np.pi, 200_000, endpoint=False)
    reach = 7 + 0.5 * np.sin(2000 * angle) + np.sin(40 * angle)
    coast = shapely.Polygon(np.column_stack([reach * np.cos(angle), reach * np.sin(angle)]))
    assert count_cells(coast) > 8000


def test_the_cells_at_the_poles_end_there():
    for south, north in ((89.99, 90), (-90, -89.99)):
        cells = list(cells_for(shapely.box(-180, south, 180, north)))
        assert len(cells) == 2668
        assert {abs(cell.row) for cell in cells} <= {666, 667}
        assert {90.0} == {max(map(abs, cell.bounds[1::2])) for cell in cells}


def test_only_cells_on_the_area_itself_are_taken():
    diagonal = shapely.Polygon(
        [(0, 0), (0.02, 0), (0.54, 0.52), (0.54, 0.54), (0.52, 0.54), (0, 0.02)]
    )
    ids = {cell.id for cell in cells_for(diagonal)}
    assert "E0.000_N0.405" not in ids
    assert {"E0.000_N0.000", "E0.405_N0.405"} <= ids


def test_the_last_columns_end_at_180_degrees():
    east, west = Cell(1333, 0), Cell(-1334, 0)
    assert east.bounds[2] == 180.0
    assert west.bounds[0] == -180.0
    # 180 degrees are 668,000 pixels, and 1333 x 501 = 667,833.
    assert east.core.width == 167
    assert (east.on_earth.col, east.on_earth.width) == (0, 170)
    assert west.core.width == 167
    assert east.shape == west.shape == (507, 507)
    degrees = DEFAULT_LATTICE.degrees
    assert degrees(east.origin[0] + east.on_earth.col + east.on_earth.width) == 180.0
    assert degrees(west.origin[0] + west.on_earth.col) == -180.0


def test_an_area_across_180_degrees_has_cells_on_both_sides():
    area = shapely.MultiPolygon(
        [shapely.box(179.9, 0.01, 180, 0.1), shapely.box(-180, 0.01, -179.9, 0.1)]
    )
    ids = [cell.id for cell in cells_for(area)]
    assert ids == ["W180.090_N0.000", "W179.955_N0.000", "E179.820_N0.000", "E179.955_N0.000"]


def test_cells_beyond_the_earth_do_not_exist():
    for col, row in ((1334, 0), (-1335, 0), (0, 667), (0, -668)):
        with pytest.raises(TileOutsideGridError, match="no such cell"):
            Cell(col, row)


@pytest.mark.parametrize("name", ["106.65_52.245", "E106.650", "N52.245_E106.650", ""])
def test_what_is_no_cell_id_is_refused(name):
    with pytest.raises(GridError, match="no cell id"):
        cell_from_id(name)


def test_a_corner_off_the_lattice_is_refused():
    with pytest.raises(TileOutsideGridError, match=r"106\.660 is no multiple of 0\.135"):
        cell_from_id("E106.660_N52.245")


def test_an_empty_area_has_no_cells():
    assert list(cells_for(shapely.Polygon())) == []


def test_another_recipe_has_another_lattice():
    recipe = Recipe(cell=0.0625, pixels=64, margin=4)
    cell = next(cells_for(shapely.box(1, 1, 1.01, 1.01), recipe))
    assert cell.id == "E1.0000_N1.0000"
    assert cell_from_id(cell.id, recipe) == cell
    assert cell.shape == (72, 72)
    assert cell.lattice == Lattice.of(recipe)
    assert cell.affine.a == 0.0625 / 64


def test_the_core_of_a_tile_is_what_its_bounds_say():
    cell = Cell(790, 387)
    core = cell.grid.window(cell.core.row, cell.core.col, cell.core.height, cell.core.width)
    np.testing.assert_allclose(core.bounds, cell.bounds, rtol=0, atol=1e-11)


def test_a_cell_of_a_scene_has_the_ground_of_its_cell_and_an_id_that_says_both():
    cell = cell_from_id("E106.650_N52.245")
    scene = cell.of("LC08_132023_20200701")
    assert scene.id == "E106.650_N52.245@LC08_132023_20200701"
    assert cell_from_id(scene.id) == scene
    assert scene != cell
    assert (scene.place, place_of(scene.id), place_of(cell.id)) == (cell.id,) * 3
    assert (scene.bounds, scene.affine, scene.shape) == (cell.bounds, cell.affine, cell.shape)
    assert sorted([scene, cell.of("LC08_131023_20200701"), cell])[0] == cell


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a.tif", "é", "a@b"])
def test_a_scene_whose_name_fits_no_id_is_refused(name):
    with pytest.raises(GridError, match="make a name"):
        cell_from_id("E106.650_N52.245").of(name)


@pytest.mark.parametrize("name", ["E106.650_N52.245@", "E106.650_N52.245@a b", "@LC08"])
def test_half_an_id_is_none(name):
    with pytest.raises(GridError, match="is no cell id"):
        cell_from_id(name)
