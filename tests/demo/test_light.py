from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from water_gee.demo import light


def test_the_sun_stands_where_a_real_scene_says():
    # MTL of LC09_L2SP_231062_20230723: 14:12:31 UTC over the middle of path 231, row 62.
    azimuth, elevation = light.sun_position(
        datetime(2023, 7, 23, 14, 12, 31, tzinfo=UTC), -60.56, -2.89
    )
    assert azimuth == pytest.approx(49.94, abs=0.6)
    assert elevation == pytest.approx(53.39, abs=0.6)


def test_the_sun_culminates_in_the_south_at_midsummer():
    noon = datetime(2020, 6, 20, 5, 4, 30, tzinfo=UTC)  # 104.3 E, equation of time -1.8 minutes
    azimuth, elevation = light.sun_position(noon, 104.3, 52.0)
    assert azimuth == pytest.approx(180, abs=1)
    assert elevation == pytest.approx(90 - 52 + 23.44, abs=0.1)


def test_flat_ground_is_lit_by_one():
    direct, diffuse = light.illumination(np.full((30, 30), 7.0, np.float32), 30.0, 150.0, 50.0)
    assert direct == pytest.approx(np.ones((30, 30)), abs=1e-6)
    assert diffuse == pytest.approx(np.ones((30, 30)), abs=1e-6)


def test_a_slope_is_lit_by_the_cosine_of_its_incidence():
    tilt = math.radians(25)
    # Rising to the north: the slope looks south.
    rise = np.tile(-30 * math.tan(tilt) * np.arange(40, dtype=np.float32)[:, None], (1, 40))
    for azimuth, angle in ((180.0, 40 - 25), (0.0, 40 + 25)):
        direct, _ = light.illumination(rise, 30.0, azimuth, 50.0)
        expected = math.cos(math.radians(angle)) / math.cos(math.radians(40))
        assert direct[20, 20] == pytest.approx(expected, rel=1e-4)


def test_a_wall_casts_a_shadow_as_long_as_its_height_over_the_tangent():
    ground = np.zeros((60, 60), dtype=np.float32)
    ground[:, 40:43] = 300.0
    direct, _ = light.illumination(ground, 30.0, 90.0, 45.0)  # sun in the east
    row = direct[30]
    assert (row[32:38] < 0.05).all()  # 300 m at 45 degrees: ten pixels
    assert (row[:28] > 0.95).all()


def test_shifting_moves_pixels_and_repeats_the_edge():
    field = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(light.shifted(field, 1, 0), field[[0, 0, 1]])
    assert np.array_equal(light.shifted(field, 0, -1), field[:, [1, 2, 3, 3]])
    assert np.array_equal(light.shifted(field, -1, 2), field[[1, 2, 2]][:, [0, 0, 0, 1]])
