from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from scipy import ndimage

from water_gee.demo import districts
from water_gee.demo.lie import Lie
from water_gee.demo.site import Site
from water_gee.demo.spectra import CODE
from water_gee.demo.world import PLAIN, World

SHAPE = (160, 180)
SITE = Site((1, 1), (0, 0, 1, 1), Affine(30, 0, 0, 0, -30, 0), SHAPE)
GRASS = CODE["grass"]


def plain_in_the_west():
    """Flat low ground that becomes mountains in the east."""
    east = np.tile(np.linspace(0, 1, SHAPE[1], dtype=np.float32), (SHAPE[0], 1))
    upland = (east > 0.6).astype(np.float32)
    slope = 0.01 + 0.4 * upland
    return Lie(400 + 900 * east, east, slope, 0 * east, upland, 1 - east)


def laid(world, seed=1):
    cover = np.full(SITE.fine_shape, GRASS, dtype=np.uint8)
    districts.lay(SITE, plain_in_the_west(), cover, world, seed)
    return cover


def codes(*names):
    return [CODE[name] for name in names]


def test_a_plain_world_is_left_alone():
    assert (laid(PLAIN) == GRASS).all()


def test_each_ground_takes_its_share():
    assert (laid(World(lava=0.1)) == CODE["lava"]).mean() == pytest.approx(0.1, abs=0.02)
    salt = np.isin(laid(World(playa=0.2)), codes("salt crust", "wet salt", "brine"))
    assert salt.mean() == pytest.approx(0.2, abs=0.02)
    town = laid(World(city=0.2)) != GRASS
    assert 0.14 < town.mean() < 0.21


def test_the_same_seed_builds_the_same_and_another_does_not():
    world = World(lava=0.05, playa=0.1, city=0.1)
    assert np.array_equal(laid(world), laid(world))
    assert not np.array_equal(laid(world), laid(world, seed=2))


def test_salt_lies_on_the_plain_with_brine_in_the_middle_of_it():
    cover = laid(World(playa=0.15))
    salt = np.isin(cover, codes("salt crust", "wet salt", "brine"))
    assert salt[:, : cover.shape[1] // 2].sum() > 0.8 * salt.sum()
    inside = ndimage.distance_transform_edt(salt)
    depth = [inside[cover == code].mean() for code in codes("salt crust", "wet salt", "brine")]
    assert depth == sorted(depth)
    assert (cover == CODE["brine"]).sum() / salt.sum() == pytest.approx(0.2, abs=0.02)


def test_a_city_has_streets_roofs_parks_and_shade_on_the_far_side_of_towers():
    cover = laid(World(city=0.3))
    names = ("asphalt", "dark roof", "bright roof", "built", "building shade", "broadleaf")
    shares = {name: (cover == CODE[name]).sum() / (cover != GRASS).sum() for name in names}
    assert all(share > 0.01 for share in shares.values())
    assert shares["asphalt"] > 0.15
    assert shares["dark roof"] > 0.15
    # The sun stands in the south-south-east: shade has a roof or a wall to its south.
    shade = cover == CODE["building shade"]
    roofs = np.isin(cover, codes("dark roof", "bright roof", "built"))
    south = sum(np.roll(roofs, (-down, 0), (0, 1)).astype(int) for down in (1, 2, 3)) > 0
    north = sum(np.roll(roofs, (down, 0), (0, 1)).astype(int) for down in (1, 2, 3)) > 0
    assert south[shade].mean() > north[shade].mean() + 0.1
