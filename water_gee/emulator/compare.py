"""How values are told apart and put in order."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from water_gee.emulator import values as v


def comparable(value: Any) -> Any:
    """Return dates as milliseconds and booleans as 0 and 1; everything else is itself."""
    if isinstance(value, v.Date):
        return value.value
    return int(value) if isinstance(value, bool) else value


def equal(one: Any, two: Any) -> bool:
    """Say whether two values are the same: numbers by value, lists and dictionaries by content."""
    one, two = comparable(one), comparable(two)
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        return one == two
    if isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)):
        return len(one) == len(two) and all(map(equal, one, two))
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, v.Array) and isinstance(two, v.Array):
        return bool(np.array_equal(one.values, two.values))
    if isinstance(one, v.Geometry) and isinstance(two, v.Geometry):
        return _same_geometry(one, two)
    if isinstance(one, v.Feature) and isinstance(two, v.Feature):
        return equal(one.geometry, two.geometry) and equal(one.properties, two.properties)
    return type(one) is type(two) and bool(one == two)


def _same_geometry(one: v.Geometry, two: v.Geometry) -> bool:
    if one.shape is None or two.shape is None:
        return one.shape is two.shape
    same = one.crs == two.crs and one.geodesic == two.geodesic
    return same and bool(one.shape.equals_exact(two.shape))


def order(one: Any, two: Any) -> int | None:
    """Return -1, 0 or 1 as `one` comes before, with or after `two`, None where neither does."""
    one, two = comparable(one), comparable(two)
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        return int(one > two) - int(one < two)
    if isinstance(one, str) and isinstance(two, str):
        return int(one > two) - int(one < two)
    return None


_RANKS: tuple[type | tuple[type, ...], ...] = ((int, float), str, list)


def _rank(value: Any) -> int:
    for rank, kind in enumerate(_RANKS):
        if isinstance(value, kind):
            return rank
    return len(_RANKS) if value is not None else len(_RANKS) + 1


@functools.cmp_to_key
def sort_key(one: Any, two: Any) -> int:
    """Order any two values: numbers, then strings, lists, others, and null last."""
    one, two = comparable(one), comparable(two)
    ranks = _rank(one), _rank(two)
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if isinstance(one, list):
        for left, right in zip(one, two, strict=False):
            step = sort_key(left) < sort_key(right), sort_key(right) < sort_key(left)
            if any(step):
                return -1 if step[0] else 1
        return (len(one) > len(two)) - (len(one) < len(two))
    return order(one, two) or 0


def hashable(value: Any) -> Any:
    """Return something that is equal and hashes alike for equal values."""
    value = comparable(value)
    if isinstance(value, (list, tuple)):
        return ("list", *map(hashable, value))
    if isinstance(value, Mapping):
        return ("dictionary", frozenset((key, hashable(one)) for key, one in value.items()))
    if isinstance(value, v.Array):
        return ("array", value.values.shape, value.values.tobytes())
    if isinstance(value, v.Geometry):
        return ("geometry", value.shape, value.crs, value.geodesic)
    if isinstance(value, v.Feature):
        return ("feature", hashable(value.geometry), hashable(value.properties))
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
