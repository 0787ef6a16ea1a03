"""Types of results hold every value the operation can give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from water_gee.emulator import pixeltypes
from water_gee.emulator.values import BOOLEAN, BYTE, DOUBLE, FLOAT, INT64, PixelType

bounds = st.integers(-(2**40), 2**40)


@st.composite
def ranged_ints(draw, low=-(2**40)):
    one, two = sorted([draw(st.integers(low, 2**40)), draw(st.integers(low, 2**40))])
    value = draw(st.integers(one, two))
    return PixelType("int", one, two), value


@pytest.mark.parametrize(
    ("rule", "function"),
    [
        (pixeltypes.add, lambda a, b: a + b),
        (pixeltypes.subtract, lambda a, b: a - b),
        (pixeltypes.multiply, lambda a, b: a * b),
        (pixeltypes.minimum, min),
        (pixeltypes.maximum, max),
        (pixeltypes.bitwise, lambda a, b: a | b),
        (pixeltypes.bitwise, lambda a, b: a ^ b),
        (pixeltypes.bitwise_and, lambda a, b: a & b),
    ],
)
@given(one=ranged_ints(), two=ranged_ints())
def test_whole_results_lie_in_the_range(rule, function, one, two):
    kind = rule(one[0], two[0])
    value = function(one[1], two[1])
    if kind.minimum is not None:
        assert kind.minimum <= (value if kind.precision == "int" else float(value)) <= kind.maximum
    if kind.precision == "int":
        assert np.iinfo(kind.dtype).min <= value <= np.iinfo(kind.dtype).max


@given(one=ranged_ints(), two=st.integers(0, 20))
def test_shifts_lie_in_the_range(one, two):
    shift = PixelType("int", 0, 20)
    for rule, value in (
        (pixeltypes.left_shift, one[1] << two),
        (pixeltypes.right_shift, one[1] >> two),
    ):
        kind = rule(one[0], shift)
        assert kind.precision == "int"
        assert kind.minimum <= (value if kind.precision == "int" else float(value)) <= kind.maximum


def test_precision_is_the_unions():
    uint16 = PixelType("int", 0, 65535)
    assert pixeltypes.add(BYTE, FLOAT) == FLOAT
    assert pixeltypes.add(FLOAT, DOUBLE) == DOUBLE
    assert pixeltypes.divide(uint16, PixelType("int", 10000, 10000)) == PixelType(
        "float", 0.0, 6.553500175476074
    )
    assert pixeltypes.divide(uint16, uint16) == FLOAT
    assert pixeltypes.floor_divide(uint16, uint16).precision == "int"
    assert pixeltypes.real(BYTE, BYTE) == FLOAT
    assert pixeltypes.real(BYTE, DOUBLE) == DOUBLE
    assert pixeltypes.floating(BYTE) == DOUBLE
    assert pixeltypes.boolean(FLOAT, DOUBLE) == BOOLEAN
    assert pixeltypes.union([BYTE, PixelType("int", -5, 3)]) == PixelType("int", -5, 255)


def test_what_leaves_64_bits_becomes_double():
    large = PixelType("int", 0, 2**62)
    assert pixeltypes.add(large, PixelType("int", 0, 2**62)).precision == "double"
    assert pixeltypes.add(large, BYTE).precision == "int"
    assert pixeltypes.left_shift(BYTE, BYTE) == INT64


def test_ranges_of_32_bit_floats_are_rounded_or_left_out():
    kind = pixeltypes.ranged(FLOAT, (0.1, 1e300))
    assert kind == FLOAT
    assert pixeltypes.ranged(FLOAT, (0.1, 1.0)).minimum == float(np.float32(0.1))
    assert pixeltypes.ranged(DOUBLE, (0.0, float("nan"))) == DOUBLE
    assert pixeltypes.ranged(DOUBLE, (0.0, float("inf"))) == DOUBLE


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PixelType("int", -7, 20), PixelType("int", -7, 20)),
        (PixelType("int", 3, 20), PixelType("int", 0, 20)),
    ],
)
def test_remainders_are_no_larger_than_the_dividend(kind, expected):
    assert pixeltypes.remainder(kind, BYTE) == expected
