"""Slope, light and height above drainage of ground whose shape is known on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from water_gee.training import terrain

PIXEL = (20.0, 45.0)
"""Rows 20 m high, columns 45 m wide."""

SQUARE = (30.0, 30.0)

INSIDE = np.s_[1:-1, 1:-1]


def plane(east, south, shape=(24, 31), pixel=PIXEL):
    """Metres of a plane that rises so many metres a metre."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (700 + east * pixel[1] * cols + south * pixel[0] * rows).astype(np.float32)


# ---------------------------------------------------------------------- slope and descent


@pytest.mark.parametrize(("east", "south"), [(0.1, 0.0), (0.0, -0.25), (0.3, 0.4), (-0.7, 0.2)])
def test_a_plane_is_as_steep_as_it_was_built(east, south):
    found = terrain.slopes(plane(east, south), PIXEL)
    for each, wanted in zip(found, (east, south), strict=True):
        assert each.shape == (24, 31)
        assert each.dtype == np.float32
        np.testing.assert_allclose(each[INSIDE], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("east", "south", "wanted"),
    [
        (0.3, 0.0, 0.3),  # down to the west
        (0.0, -0.2, 0.2),  # down to the south
        # Down to the north-west: 0.4 * 45 + 0.3 * 20 = 24 m over a diagonal of 49.244 m.
        (0.4, 0.3, 24 / 49.2443),
        # The diagonal would fall 0.05 * 45 + 0.3 * 20 = 8.25 m over 49.244 m; north falls more.
        (0.05, 0.3, 0.3),
    ],
)
def test_the_descent_of_a_plane_is_to_its_lowest_neighbour_a_metre(east, south, wanted):
    found = terrain.descent(plane(east, south), PIXEL)
    np.testing.assert_allclose(found[INSIDE], wanted, atol=1e-5)


def test_nothing_descends_in_a_pit_on_a_lake_or_without_an_elevation_model():
    ground = np.full((9, 9), 400.0, np.float32)
    assert not terrain.descent(ground, PIXEL).any()
    ground[4, 4] = 300
    falls = terrain.descent(ground, PIXEL)
    assert falls[4, 4] == 0
    assert falls[4, 3] == pytest.approx(100 / 45)
    assert falls[3, 4] == pytest.approx(100 / 20)
    assert falls[3, 3] == pytest.approx(100 / 49.2443)
    assert np.count_nonzero(falls) == 8
    assert not terrain.descent(np.zeros((5, 7), np.float32), PIXEL).any()


def test_a_river_one_pixel_wide_lies_level_between_steep_banks():
    """A cliff on its left, a steep bank on its right: 3 x 3 differences call it a slope."""
    rows, cols = np.mgrid[:40, :21]
    bank = np.where(cols < 10, 60.0 * (10 - cols), 12.0 * (cols - 10))
    ground = (500 - 0.002 * 20 * rows + bank).astype(np.float32)
    east, south = terrain.slopes(ground, PIXEL)
    river = np.s_[1:-1, 10]
    assert (np.hypot(east, south)[river] > 0.5).all()
    falls = terrain.descent(ground, PIXEL)
    np.testing.assert_allclose(falls[river], 0.002, atol=1e-4)
    assert (falls[:, :10] > 1).all()
    assert (falls[:, 11:] > 0.2).all()


# ---------------------------------------------------------------------- light


def textbook(east, south, azimuth, height):
    """Cosine of incidence from slope and aspect, angles of a surveyor's handbook."""
    slope = math.atan(math.hypot(east, south))
    aspect = math.atan2(-east, south)  # clockwise from north, downhill; south is up where > 0
    zenith = math.radians(90 - height)
    turn = math.radians(azimuth) - aspect
    return math.cos(zenith) * math.cos(slope) + math.sin(zenith) * math.sin(slope) * math.cos(turn)


GRAZING = 0.05


@pytest.mark.parametrize("azimuth", [0, 45, 90, 137, 180, 270, 359])
@pytest.mark.parametrize(("east", "south"), [(0.0, 0.0), (0.5, 0.0), (-0.3, 0.4), (0.0, -0.9)])
def test_a_plane_is_lit_by_the_cosine_of_the_suns_incidence(east, south, azimuth):
    found = terrain.illumination(plane(east, south), PIXEL, azimuth, 35.0)
    wanted = max(0.0, textbook(east, south, azimuth, 35.0))
    assert found.dtype == np.float32
    if 0 < wanted < GRAZING:
        assert (found[INSIDE] < GRAZING).all()  # rays go from pixel to pixel, a little askew
    else:
        np.testing.assert_allclose(found[INSIDE], wanted, atol=2e-5)


def test_level_ground_has_the_sine_of_the_suns_height_and_a_low_sun_is_taken_for_5_degrees():
    ground = plane(0, 0)
    for height, taken in ((90, 90), (30, 30), (5, 5), (2, 5), (-10, 5)):
        lit = terrain.illumination(ground, PIXEL, 160.0, height)
        np.testing.assert_allclose(lit, math.sin(math.radians(taken)), rtol=1e-6)


SIDE = 101
MIDDLE = 50


@pytest.mark.parametrize(
    ("azimuth", "axis", "away"),
    [(0, 0, 1), (180, 0, -1), (90, 1, -1), (270, 1, 1)],
    ids=["north", "south", "east", "west"],
)
@pytest.mark.parametrize("height", [20.0, 43.0])
def test_a_wall_throws_its_height_over_the_tangent_of_the_sun_away_from_it(
    azimuth, axis, away, height
):
    """300 m of wall across level ground; the shade ends within a pixel of where it should."""
    ground = np.full((SIDE, SIDE), 100.0, np.float32)
    wall = (MIDDLE, slice(None)) if axis == 0 else (slice(None), MIDDLE)
    ground[wall] = 400
    dark = terrain.illumination(ground, PIXEL, azimuth, height) == 0
    across = dark[:, MIDDLE] if axis == 0 else dark[MIDDLE]
    assert (dark == (across[:, None] if axis == 0 else across)).all()
    length = 300 / math.tan(math.radians(height)) / PIXEL[axis]
    shaded = np.flatnonzero(across)
    distance = (shaded - MIDDLE) * away
    assert distance.min() == 1
    assert distance.max() == len(shaded) == pytest.approx(length, abs=1)


def test_a_tower_throws_its_shade_along_the_diagonal():
    """Sun in the south-west, pixels square: shade to the north-east, 200 m over tan(30) long."""
    ground = np.zeros((41, 41), np.float32)
    ground[30, 10] = 200
    dark = terrain.illumination(ground, (30.0, 30.0), 225.0, 30.0) == 0
    on = np.argwhere(dark)
    up, right = 30 - on[:, 0], on[:, 1] - 10
    far = np.hypot(up, right) * 30
    beyond = far > 60  # the tower's own flanks turn away from the sun too
    assert (up[beyond] == right[beyond]).all()
    assert far.max() == pytest.approx(200 / math.tan(math.radians(30)), abs=45)


def test_a_map_turned_with_its_sun_is_lit_the_same():
    """By 90 degrees clockwise: rows become columns, north east."""
    rng = np.random.default_rng(5)
    ground = rng.normal(0, 40, (12, 15)).cumsum(0).cumsum(1).astype(np.float32)
    for azimuth in (20.0, 110.0, 250.0):
        lit = terrain.illumination(ground, PIXEL, azimuth, 25.0)
        turned = terrain.illumination(np.rot90(ground, -1).copy(), PIXEL[::-1], azimuth + 90, 25.0)
        np.testing.assert_allclose(turned, np.rot90(lit, -1), atol=1e-5)


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 140.0, 180.0, 300.0])
@pytest.mark.parametrize("shape", [(6, 60), (60, 6)])
def test_a_tile_longer_than_wide_is_lit_as_the_same_ground_in_a_square_one(shape, azimuth):
    """The tower's shade is 5.5 km long, and leaves the tile by its short side."""
    whole = np.zeros((60, 60), np.float32)
    whole[2, 2] = 2000
    part = np.s_[: shape[0], : shape[1]]
    wanted = terrain.illumination(whole, SQUARE, azimuth, 20.0)[part]
    found = terrain.illumination(whole[part].copy(), SQUARE, azimuth, 20.0)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


# ---------------------------------------------------------------------- height above drainage


def test_the_sides_of_a_valley_are_as_high_above_drainage_as_they_rise_from_its_river():
    """A V, 0.1 m a metre on both sides; 101 columns of 900 m² are 1 km² after a dozen rows."""
    rows, cols = np.mgrid[:80, :101]
    ground = (200 - 0.001 * 30 * rows + 0.1 * 30 * abs(cols - 50)).astype(np.float32)
    found = terrain.height_above_drainage(ground, SQUARE)
    below = np.s_[16:-2, 1:-1]
    np.testing.assert_allclose(found[below], 3.0 * abs(cols[below] - 50), atol=0.1)
    # The first rows drain too little to be a river: their heights count from further down.
    assert found[4, 50] > 0
    assert found.dtype == np.float32


def test_unequal_pixels_make_rivers_by_their_area():
    """The same valley of pixels a ninth as large has no square kilometre, and no river inside."""
    rows, cols = np.mgrid[:80, :101]
    ground = (200 - 0.01 * 30 * rows + 0.1 * 30 * abs(cols - 50)).astype(np.float32)
    wide = terrain.height_above_drainage(ground, (10.0, 90.0))
    small = terrain.height_above_drainage(ground, (10.0, 10.0))
    assert wide[40, 50] == 0
    assert small[40, 50] == pytest.approx(0.3 * 39, abs=0.1)  # down to the tile's edge


def test_a_perched_lake_is_low_and_its_hill_is_not():
    """A lake of 1.8 km² 200 m above the valley that its brook falls to."""
    rows, cols = np.mgrid[:121, :121]
    far = np.hypot(rows - 60, cols - 50)
    ground = np.where(far <= 25, 300.0, 300 + 3.0 * (far - 25))
    brook = (rows == 60) & (cols > 75)
    ground = np.where(brook, 300 - 200 * (cols - 75) / 45, ground).astype(np.float32)
    found = terrain.height_above_drainage(ground, SQUARE)
    lake = far <= 25
    assert ground[lake].min() - ground.min() == pytest.approx(200)
    assert found[lake].max() < 1
    np.testing.assert_allclose(found[60, 5], ground[60, 5] - 300, atol=1)
    # Above its gorge, ground is high over the brook at its foot, not over the lake.
    assert found[59, 110] == pytest.approx(ground[59, 110] - ground[60, 110], abs=1)
    assert found[59, 110] > 200


def test_flat_ground_and_a_tile_without_an_elevation_model_are_no_height_above_anything():
    for level in (0.0, 1234.0):
        found = terrain.height_above_drainage(np.full((50, 60), level, np.float32), PIXEL)
        assert not found.any()
        assert found.shape == (50, 60)
