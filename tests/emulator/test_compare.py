"""Equality and order of values."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from water_gee.emulator import values as v
from water_gee.emulator.compare import equal, hashable, order, sort_key

ONE = v.Geometry(shapely.Point(0, 0))

EQUAL = [
    (1, 1.0),
    (True, 1),
    ("a", "a"),
    ([1, [2]], [1.0, [2]]),
    ({"a": 1}, {"a": 1.0}),
    (v.Date(5), 5),
    (v.Array(np.array([1, 2])), v.Array(np.array([1, 2]))),
    (ONE, v.Geometry(shapely.Point(0, 0))),
    (v.Feature(ONE, {"a": 1}), v.Feature(ONE, {"a": 1.0})),
    (v.Geometry(None), v.Geometry(None)),
    (None, None),
]
DIFFERENT = [
    (1, 2),
    (1, "1"),
    ([1], [1, 2]),
    ({"a": 1}, {"b": 1}),
    (None, 0),
    (ONE, v.Geometry(None)),
    (ONE, v.Geometry(shapely.Point(0, 0), geodesic=False)),
    (v.Feature(ONE), ONE),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_equal_values_are_equal_and_hash_alike(one, two):
    assert equal(one, two)
    assert hash(hashable(one)) == hash(hashable(two))
    assert hashable(one) == hashable(two)


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_different_values_differ(one, two):
    assert not equal(one, two)
    assert hashable(one) != hashable(two)


def test_order_is_of_numbers_dates_and_strings():
    assert order(1, 2.5) == -1
    assert order("b", "a") == 1
    assert order(v.Date(5), 5) == 0
    assert order("1", 1) is None
    assert order([1], [2]) is None


def test_sorting_puts_null_last():
    mixed = [None, "a", [1, 2], 3, [1], v.Date(1), 2.5]
    assert sorted(mixed, key=sort_key) == [v.Date(1), 2.5, 3, "a", [1], [1, 2], None]
