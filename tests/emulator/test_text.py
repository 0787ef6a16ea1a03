"""Strings as Java writes them."""

from __future__ import annotations

import math

import pytest

from water_gee.emulator import values as v
from water_gee.emulator.text import java_format, java_string


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (12345678.0, "1.2345678E7"),
        (1e21, "1.0E21"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (True, "true"),
        (None, "null"),
        ([1, "a"], "[1, a]"),
        ({"b": 1, "a": 2.5}, "{a=2.5, b=1}"),
        (v.Date(0), "1970-01-01T00:00:00"),
    ],
)
def test_string_value_of(value, expected):
    assert java_string(value) == expected


@pytest.mark.parametrize(
    ("pattern", "number", "expected"),
    [
        ("%s", 1.5, "1.5"),
        ("%.1s", 15, "1"),
        ("%f", 1.5, "1.500000"),
        ("%,.2f", 1234.565, "1,234.57"),
        ("%,d", 1234567, "1,234,567"),
        ("%e", 12345.678, "1.234568e+04"),
        ("%E", 12345.678, "1.234568E+04"),
        ("%.3g", 12345.678, "1.23e+04"),
        ("%+.1f", 2.25, "+2.3"),
        ("%010.3f", -3.14159, "-00003.142"),
        ("% d", 5, " 5"),
        ("%#x", 255, "0xff"),
        ("%a", 1.0, "0x1.0000000000000p+0"),
        ("%f", math.inf, "Infinity"),
        ("%d", math.nan, "NaN"),
        ("%x", -1, "ffffffffffffffff"),
    ],
)
def test_format(pattern, number, expected):
    assert java_format(pattern, number) == expected
