"""The type of a result from the types of its inputs.

Earth Engine says «the union of the input types» and gives results a range of their own:
Sentinel-2's uint16 divided by 10000 is `float` in [0, 6.5535]. Here the precision is the union's
and the range is that of the operation, so that no whole number is stored in fewer bits than it
needs (`docs/decisions/pixel-types.md`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import reduce as fold

import numpy as np

from water_gee.emulator.values import BOOLEAN, DOUBLE, FLOAT, INT64, INTEGER_RANGES, PixelType

Bounds = tuple[float | None, float | None]
Rule = Callable[[PixelType, PixelType], PixelType]
"""From the types of two inputs to that of the result."""

UNBOUNDED: Bounds = (None, None)


def union(types: Iterable[PixelType]) -> PixelType:
    """Return the smallest type that holds all of them; at least one."""
    return fold(PixelType.union, types)


def ranged(kind: PixelType, bounds: Bounds) -> PixelType:
    """Return a type of the same precision with another range.

    Whole numbers that leave 64 bits become `double` rather than wrap.
    """
    low, high = bounds
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return replace(kind, minimum=None, maximum=None)
    if kind.precision == "int":
        bottom, top = INTEGER_RANGES["int64"]
        if low < bottom or high > top:
            return replace(DOUBLE, minimum=float(low), maximum=float(high))
        return replace(kind, minimum=int(low), maximum=int(high))
    if not (math.isfinite(low) and math.isfinite(high)):
        return replace(kind, minimum=None, maximum=None)
    if kind.precision == "float":
        with np.errstate(over="ignore"):
            low, high = float(np.float32(low)), float(np.float32(high))
        if not (math.isfinite(low) and math.isfinite(high)):
            return replace(kind, minimum=None, maximum=None)
    return replace(kind, minimum=float(low), maximum=float(high))


def _corners(one: PixelType, two: PixelType, function: Callable[[float, float], float]) -> Bounds:
    """Return the range of a function that is monotonous in each argument."""
    lows, highs = (one.minimum, two.minimum), (one.maximum, two.maximum)
    if lows[0] is None or lows[1] is None or highs[0] is None or highs[1] is None:
        return UNBOUNDED
    found = [function(x, y) for x in (lows[0], highs[0]) for y in (lows[1], highs[1])]
    return min(found), max(found)


def _arithmetic(function: Callable[[float, float], float]) -> Rule:
    def rule(one: PixelType, two: PixelType) -> PixelType:
        return ranged(one.union(two), _corners(one, two, function))

    return rule


add = _arithmetic(lambda x, y: x + y)
subtract = _arithmetic(lambda x, y: x - y)
multiply = _arithmetic(lambda x, y: x * y)
minimum = _arithmetic(min)
maximum = _arithmetic(max)


def floating(kind: PixelType) -> PixelType:
    """Return the type of a function of reals: `float` stays `float`, others are `double`."""
    return FLOAT if kind.precision == "float" else DOUBLE


def divide(one: PixelType, two: PixelType) -> PixelType:
    """Return a quotient's type: whole numbers give `float`, as Sentinel-2 divided by 10000 does."""
    joint = one.union(two)
    kind = FLOAT if joint.precision == "int" else replace(joint, minimum=None, maximum=None)
    low, high = two.minimum, two.maximum
    if low is None or high is None or low <= 0 <= high:
        return kind
    return ranged(kind, _corners(one, two, lambda x, y: x / y))


def floor_divide(one: PixelType, two: PixelType) -> PixelType:
    """Return the type of `/` in an expression: whole numbers give whole numbers."""
    joint = one.union(two)
    if joint.precision != "int":
        return divide(one, two)
    if one.minimum is None or one.maximum is None:
        return INT64
    largest = max(abs(one.minimum), abs(one.maximum))
    return ranged(joint, (-largest - 1, largest))


def remainder(one: PixelType, two: PixelType) -> PixelType:
    """Return a remainder's type; it has the sign of the dividend and is no larger."""
    joint = one.union(two)
    if one.minimum is None or one.maximum is None:
        return ranged(joint, UNBOUNDED)
    return ranged(joint, (min(0, one.minimum), max(0, one.maximum)))


def joined(one: PixelType, two: PixelType) -> PixelType:
    """Return the union: the result is one of the inputs' own pixels."""
    return one.union(two)


def boolean(one: PixelType, two: PixelType) -> PixelType:
    """Return [0, 1], whatever went in."""
    del one, two
    return BOOLEAN


def real(one: PixelType, two: PixelType) -> PixelType:
    """Return the type of `pow`, `atan2`, `hypot`: float as documented, double where an input is."""
    return DOUBLE if "double" in (one.precision, two.precision) else FLOAT


def _bits(kind: PixelType) -> int | None:
    """Return how many bits non-negative whole numbers take, None where some may be negative."""
    if kind.minimum is None or kind.maximum is None or kind.minimum < 0:
        return None
    return int(kind.maximum).bit_length()


def bitwise(one: PixelType, two: PixelType) -> PixelType:
    """Return the type of or and xor: as many bits as the wider input."""
    bits = _bits(one), _bits(two)
    if bits[0] is None or bits[1] is None or max(bits[0], bits[1]) > 62:
        joint = one.union(two)
        return (
            ranged(joint, UNBOUNDED)
            if joint.precision == "int" and _wide(joint)
            else _signed(joint)
        )
    return PixelType("int", 0, 2 ** max(bits[0], bits[1]) - 1)


def bitwise_and(one: PixelType, two: PixelType) -> PixelType:
    """Return the type of and: as many bits as the narrower non-negative input."""
    known = [bits for bits in (_bits(one), _bits(two)) if bits is not None and bits <= 62]
    if not known:
        return bitwise(one, two)
    return PixelType("int", 0, 2 ** min(known) - 1)


def _wide(kind: PixelType) -> bool:
    return kind.minimum is None or kind.maximum is None


def _signed(kind: PixelType) -> PixelType:
    """Return the signed type as wide as the range of `kind`."""
    if kind.minimum is None or kind.maximum is None:
        return INT64
    bits = max(int(kind.minimum).bit_length(), int(kind.maximum).bit_length())
    for name in ("int8", "int16", "int32"):
        if bits <= INTEGER_RANGES[name][1].bit_length():
            return PixelType("int", *INTEGER_RANGES[name])
    return INT64


def left_shift(one: PixelType, two: PixelType) -> PixelType:
    """Return the type of a left shift, 64 bits where the shift is not known to be small."""
    if _bits(one) is None or two.maximum is None or two.minimum is None:
        return INT64
    if two.minimum < 0 or two.maximum + (_bits(one) or 0) > 62 or one.maximum is None:
        return INT64
    return PixelType("int", 0, int(one.maximum) << int(two.maximum))


def right_shift(one: PixelType, two: PixelType) -> PixelType:
    """Return the type of an arithmetic right shift: no larger than what was shifted."""
    if _bits(one) is None or one.maximum is None:
        return _signed(one)
    by = int(two.minimum) if two.minimum is not None and two.minimum > 0 else 0
    return PixelType("int", 0, int(one.maximum) >> by)
