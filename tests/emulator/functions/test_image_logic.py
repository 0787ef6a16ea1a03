"""Comparisons and logic: 1 or 0 where both are observed."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from studio import same

A = np.array([[0.0, 1, 2, -1], [3, 0, 5, 2]])
B = np.array([[0.0, 2, 2, 0], [1, 0, 7, 0]])
HOLES = np.array([[1, 1, 1, 0], [1, 0, 1, 1]], bool)
SHAPE = (2, 4)


@pytest.mark.parametrize(
    ("name", "compare"),
    [
        ("lt", operator.lt),
        ("lte", operator.le),
        ("gt", operator.gt),
        ("gte", operator.ge),
        ("eq", operator.eq),
        ("neq", operator.ne),
        ("And", np.logical_and),
        ("Or", np.logical_or),
    ],
)
def test_comparisons_are_one_or_zero(studio, name, compare):
    image = getattr(studio.raster(A), name)(studio.raster(B, mask=HOLES))
    same(studio.pixels(image, SHAPE), compare(A, B), HOLES)
    assert studio.info(image.bandTypes())["b1"] == {
        "type": "PixelType",
        "precision": "int",
        "min": 0,
        "max": 1,
    }


def test_not_is_one_where_the_value_is_zero(studio):
    same(studio.pixels(studio.raster(A, mask=HOLES).Not(), SHAPE), A == 0, HOLES)


def test_a_number_compares_with_every_band(studio):
    found = studio.blocks(studio.raster(A, B).gte(2), SHAPE)
    np.testing.assert_array_equal(found["b1"][0], A >= 2)
    np.testing.assert_array_equal(found["b2"][0], B >= 2)
