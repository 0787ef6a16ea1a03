"""`If`, `IsEqual`, `ObjectType`, `Describe`: what asks about values of any kind."""

from __future__ import annotations

import math
from typing import Any

from water_gee.emulator.coerce import type_name
from water_gee.emulator.compare import equal
from water_gee.emulator.describe import to_json
from water_gee.emulator.registry import REGISTRY


def truth(value: Any) -> bool:
    """Say whether a value counts as true: not 0, NaN, null, nor empty."""
    if isinstance(value, float) and math.isnan(value):
        return False
    if isinstance(value, (bool, int, float, str, list, dict)):
        return bool(value)
    return value is not None


@REGISTRY.function("If")
def if_(condition: Any = None, trueCase: Any = None, falseCase: Any = None) -> Any:
    """Return one of two values."""
    return trueCase if truth(condition) else falseCase


@REGISTRY.function("IsEqual")
def is_equal(left: Any = None, right: Any = None) -> bool:
    """Say whether two values are the same."""
    return equal(left, right)


@REGISTRY.function("ObjectType")
def object_type(value: Any = None) -> str:
    """Return the name of a value's type."""
    return type_name(value)


@REGISTRY.function("Describe")
def describe(input: Any) -> Any:
    """Return a value as `getInfo` shows it."""
    return to_json(input)
