from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from water_gee.demo import noise, oversight
from water_gee.demo.oversight import Habits
from water_gee.demo.sky import Sky, make_sky
from water_gee.demo.world import FAIR, Weather

SHAPE = (150, 160)
SHADOWS = Weather(over="hills", missed_shadow=0.5)
FRINGES = Weather(over="shores", soft=3.0, missed_fringe=True)


def flat(**fields):
    """A sky with some fields constant, the others empty."""
    zero, no = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, bool)
    names = {name: no for name in Sky.__slots__ if name.startswith("is_")}
    names |= dict.fromkeys(("cloud", "shadow", "cirrus"), zero)
    return Sky(**names | {name: np.full_like(names[name], v) for name, v in fields.items()})


def lake():
    """Ground with one round lake on a slope that rises to the east."""
    row, col = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    water = (np.hypot(row - 75, col - 80) < 30).astype(np.float32)
    return SimpleNamespace(water=water, elevation=10 * col.astype(np.float32))


def cloudy(common, day, weather):
    return make_sky(
        SHAPE,
        noise.generator(1, f"day {day}"),
        clouds=0.2,
        cirrus=0.0,
        sun=(150.0, 55.0),
        gather=common.gather,
        soft=weather.soft,
    )


def test_fair_weather_gathers_nowhere_and_overlooks_nothing():
    common = oversight.habits(FAIR, lake(), 1)
    assert common.gather is None
    sky = cloudy(common, 1, FAIR)
    assert oversight.overlook(sky, FAIR, common, noise.generator(1, "x")) is sky
    assert not oversight.left_over(sky, FAIR, lake().water > 0.5).any()


def test_clouds_that_gather_come_back_to_the_same_places():
    def together(weather):
        common = oversight.habits(weather, lake(), 1)
        first, second = (cloudy(common, day, FAIR).is_cloud for day in (1, 2))
        return (first & second).sum() / (first | second).sum()

    assert together(SHADOWS) > 2 * together(FAIR)


def test_clouds_stand_over_shores_and_hills():
    ground = lake()
    shores = oversight.habits(FRINGES, ground, 1).gather
    row, col = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    away = np.hypot(row - 75, col - 80)
    shore = np.abs(away - 30) < 5
    assert shores[shore].mean() > shores[away > 50].mean() + 1
    hills = oversight.habits(SHADOWS, ground, 1).gather
    assert hills[:, 110:].mean() > hills[:, :50].mean() + 0.3
    for gather in (shores, hills):
        assert (gather.mean(), gather.std()) == pytest.approx((0, 1), abs=1e-3)


def test_a_shadow_is_missed_where_the_season_misses_it():
    half = np.zeros(SHAPE, np.float32)
    half[:, 80:] = 1
    sky = flat(shadow=0.8, is_shadow=True)
    found = oversight.overlook(sky, SHADOWS, Habits(None, half), noise.generator(1, "x"))
    assert not found.is_shadow[:, :80].any()
    assert found.is_shadow[:, 80:].all()
    left = oversight.left_over(found, SHADOWS, half[::-1] > 2)
    assert np.array_equal(left, half == 0)


def test_only_the_thick_of_a_cloud_is_marked():
    common = oversight.habits(FRINGES, lake(), 1)
    sky = cloudy(common, 1, FRINGES)
    found = oversight.overlook(sky, FRINGES, common, noise.generator(1, "x"))
    assert found.is_cloud.any()
    assert (found.cloud[found.is_cloud] > 0.6).all()
    assert not (found.is_dilated & found.is_cloud).any()
    everywhere = np.ones(SHAPE, bool)
    over_water = oversight.left_over(found, FRINGES, everywhere)
    assert over_water.any()
    assert (found.cloud[over_water] > 0.1).all()
    over_land = oversight.left_over(found, FRINGES, ~everywhere)
    assert (found.shadow[over_land] > 0.2).all()
    for left in (over_water, over_land):
        assert not (left & (found.is_cloud | found.is_dilated | found.is_shadow)).any()
