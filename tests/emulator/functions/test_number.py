"""Number: expected answers are the reference's examples, Java's arithmetic, or the math module."""

from __future__ import annotations

import math

import pytest

BINARY = [
    ("add", 7, 2, 9),
    ("subtract", 7, 2.5, 4.5),
    ("multiply", -3, 4, -12),
    ("divide", 7, 2, 3.5),
    ("divide", 6, 3, 2),
    ("divide", 1, 0, 0),
    ("max", 2, 3.5, 3.5),
    ("min", 2, 3.5, 2),
    ("first", 4, 9, 4),
    ("firstNonZero", 0, 9, 9),
    ("firstNonZero", 4, 9, 4),
    ("mod", 7, 3, 1),
    ("mod", -7, 3, -1),
    ("mod", 7, -3, 1),
    ("mod", 7.5, 2, 1.5),
    ("mod", 7, 0, 0),
    ("And", 2, 0, 0),
    ("And", 2, -1, 1),
    ("Or", 0, 3, 1),
    ("Or", 0, 0, 0),
    ("lt", 1, 2, 1),
    ("lt", 2, 2, 0),
    ("lte", 2, 2, 1),
    ("gt", 2, 1, 1),
    ("gte", 1, 2, 0),
    ("eq", 2, 2.0, 1),
    ("neq", 2, 2.0, 0),
    ("pow", 2, 10, 1024),
    ("pow", 4, 0.5, 2),
    ("atan2", 0, 1, math.pi / 2),
    ("atan2", 1, 0, 0),
    ("hypot", 3, 4, 5),
    ("bitwiseAnd", 12, 10, 8),
    ("bitwiseOr", 12, 10, 14),
    ("bitwiseXor", 12, 10, 6),
    ("leftShift", 3, 4, 48),
    ("leftShift", 1, 63, -(2**63)),
    ("rightShift", -16, 2, -4),
]

UNARY = [
    ("abs", -3, 3),
    ("floor", -1.5, -2),
    ("ceil", -1.5, -1),
    ("round", 10.4, 10),
    ("round", 10.5, 11),
    ("round", 10.9, 11),
    ("signum", -0.1, -1),
    ("signum", 0, 0),
    ("Not", 0, 1),
    ("Not", 5, 0),
    ("bitwiseNot", 5, -6),
    ("bitCount", 255, 8),
    ("bitCount", -1, 64),
    ("sin", 0.5, math.sin(0.5)),
    ("cos", 0.5, math.cos(0.5)),
    ("tan", 0.5, math.tan(0.5)),
    ("asin", 0.5, math.asin(0.5)),
    ("acos", 0.5, math.acos(0.5)),
    ("atan", 0.5, math.atan(0.5)),
    ("sinh", 0.5, math.sinh(0.5)),
    ("cosh", 0.5, math.cosh(0.5)),
    ("tanh", 0.5, math.tanh(0.5)),
    ("sqrt", 2, math.sqrt(2)),
    ("cbrt", -27, -3),
    ("log", 2, math.log(2)),
    ("log10", 1000, 3),
    ("exp", 1, math.e),
    ("gamma", 5, 24),
    ("erf", 0.5, 0.5204998778130465),
    ("erfc", 0.5, 0.4795001221869535),
]

CASTS = [
    ("byte", 1.7, 1),
    ("byte", 12600, 255),
    ("byte", -12345, 0),
    ("uint8", 256, 255),
    ("int8", -200, -128),
    ("uint16", 70000, 65535),
    ("int16", -40000, -32768),
    ("short", 40000, 32767),
    ("uint32", -1, 0),
    ("int32", 3e9, 2147483647),
    ("int", -1.9, -1),
    ("int64", 2.5, 2),
    ("long", 3e9, 3000000000),
    ("float", 0.1, 0.10000000149011612),
    ("double", 0.1, 0.1),
]


@pytest.mark.parametrize(("name", "left", "right", "expected"), BINARY)
def test_functions_of_two_numbers(client, info, name, left, right, expected):
    number = client.Number(left)
    assert info(getattr(number, name)(right)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(("name", "given", "expected"), UNARY)
def test_functions_of_one_number(client, info, name, given, expected):
    assert info(getattr(client.Number(given), name)()) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("name", "given", "expected"), CASTS)
def test_casts_cut_fractions_off_and_hold_the_range(client, info, name, given, expected):
    number = client.Number(given)
    assert info(getattr(number, name)()) == expected
    assert info(getattr(number, f"to{name[0].upper()}{name[1:]}")()) == expected


def test_old_names_still_mean_the_same(client, info):
    call = client.apifunction.ApiFunction.call_
    assert info(call("Number.bitwise_and", 12, 10)) == 8
    assert info(call("Number.bitwise_or", 12, 10)) == 14
    assert info(call("Number.bitwise_xor", 12, 10)) == 6
    assert info(call("Number.left_shift", 3, 4)) == 48
    assert info(call("Number.right_shift", 48, 4)) == 3
    assert info(call("Number.first_nonzero", 0, 2)) == 2
    assert info(call("Number.bitwise_not", 5)) == -6


@pytest.mark.parametrize(
    ("number", "pattern", "expected"),
    [
        (1, "%03d", "001"),
        (1.23476, "%.1f", "1.2"),
        (1.23476, "%.3f", "1.235"),
        (123476, "%.3e", "1.235e+05"),
        (123476, "%.2f", "123476.00"),
        (3.14159, "%.2f", "3.14"),
        (42, "%05d", "00042"),
        (42, "%s", "42"),
        (0.125, "%.2f", "0.13"),  # Java rounds halves up where C rounds them to even
        (-5, "%+d km", "-5 km"),
        (5, "%+d km", "+5 km"),
        (1234567, "%,d", "1,234,567"),
        (255, "%x", "ff"),
        (255, "%X", "FF"),
        (8, "%o", "10"),
        (-5, "%(d", "(5)"),
        (7, "%-4d|", "7   |"),
        (7, "%4d", "   7"),
        (0.5, "%s", "0.5"),
        (1e10, "%s", "1.0E10"),
        (1.5e-5, "%s", "1.5E-5"),
    ],
)
def test_format_writes_as_java_does(client, info, number, pattern, expected):
    assert info(client.Number(number).format(pattern)) == expected


def test_format_refuses_what_is_no_pattern(client, refused):
    assert refused(client.Number(1).format("%d and %d")).startswith("Number.format: Invalid format")


def test_parse_reads_numbers_in_any_base(client, info, refused):
    assert info(client.Number.parse("10")) == 10
    assert info(client.Number.parse("-1.5e3")) == -1500
    assert info(client.Number.parse("ff", 16)) == 255
    assert refused(client.Number.parse("ten")).startswith("Number.parse: ")


def test_clamp_and_unit_scale(client, info, refused):
    assert info(client.Number(120).clamp(0, 100)) == 100
    assert info(client.Number(-1).clamp(0, 100)) == 0
    assert info(client.Number(7).clamp(0, 100)) == 7
    assert info(client.Number(25).unitScale(0, 100)) == 0.25
    assert info(client.Number(150).unitScale(0, 100)) == 1.5
    assert refused(client.Number(1).clamp(2, 1)).startswith("Number.clamp: ")


def test_whole_numbers_stay_whole(client, value):
    assert isinstance(value(client.Number(2).add(3)), int)
    assert isinstance(value(client.Number(2).multiply(3)), int)
    assert isinstance(value(client.Number(-7).mod(3)), int)
    assert isinstance(value(client.Number(2).divide(2)), float)


def test_what_no_number_stands_for_is_nan_or_infinite(client, value):
    assert math.isnan(value(client.Number(-1).sqrt()))
    assert value(client.Number(0).log()) == -math.inf


def test_null_is_refused_in_the_services_words(client, refused):
    missing = client.Number(client.Feature(None).get("none"))
    assert refused(missing.add(1)) == (
        "Number.add: Parameter 'left' is required and may not be null."
    )


def test_a_string_is_no_number(client, refused):
    assert refused(client.Number(client.String("a").cat("b")).add(1)) == (
        "Number.add, argument 'left': Invalid type. Expected type: Number. Actual type: String."
    )
