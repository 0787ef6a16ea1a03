from __future__ import annotations

import math

import numpy as np
import pytest

from water_gee.demo import noise, sky

SHAPE = (300, 240)


def made(clouds=0.2, cirrus=0.1, sun=(150.0, 50.0), seed=0):
    return sky.make_sky(SHAPE, noise.generator(seed, "sky"), clouds=clouds, cirrus=cirrus, sun=sun)


def test_flags_do_not_contradict_each_other():
    above = made()
    assert not (above.is_cloud & above.is_dilated).any()
    assert not (above.is_cloud & above.is_shadow).any()
    assert not (above.is_thin & (above.is_cloud | above.is_dilated)).any()


def test_about_as_much_is_cloudy_as_asked_for():
    shares = [made(clouds=0.2, seed=seed).is_cloud.mean() for seed in range(6)]
    assert np.mean(shares) == pytest.approx(0.2, abs=0.08)


def test_shadows_lie_away_from_the_sun():
    # Of all shifts of the clouds, the one that fits their shadow best points away from the sun.
    azimuth = 150.0
    above = made(clouds=0.12, cirrus=0, sun=(azimuth, 50.0), seed=4)
    cloud, shadow = (field - field.mean() for field in (above.cloud, above.shadow))
    best = max(
        ((down, right) for down in range(-70, 71, 2) for right in range(-70, 71, 2)),
        key=lambda shift: np.mean(
            np.roll(cloud, shift, axis=(0, 1))[70:-70, 70:-70] * shadow[70:-70, 70:-70]
        ),
    )
    away = math.radians(azimuth + 180)
    expected = np.array([-math.cos(away), math.sin(away)])
    assert np.dot(best, expected) / np.hypot(*best) > 0.95


def test_a_clear_sky_has_nothing_in_it():
    above = made(clouds=0, cirrus=0)
    assert not above.is_cloud.any()
    assert not above.is_cirrus.any()
    assert not above.shadow.any()


def test_swath_edges_slant_to_the_east_going_north():
    seen = sky.inside_swath((400, 300), 0.3, None, 15.0)
    first = seen.argmax(axis=1)  # first column seen in each row, from north to south
    assert first[0] > first[-1]
    slope = (first[0] - first[-1]) / (len(first) - 1)
    assert slope == pytest.approx(math.tan(math.radians(15)), abs=0.01)
    assert sky.inside_swath((400, 300), None, None, 15.0).all()
