"""Arithmetic on images against NumPy and the reference's own examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from studio import same

A = np.array([[1.0, -2.0, 3.5, 0.0], [7.0, 0.5, -1.25, 2.0]])
B = np.array([[2.0, 2.0, 0.5, 4.0], [-3.0, 0.25, 2.5, 8.0]])
HOLES = np.array([[1, 1, 0, 1], [1, 1, 1, 0]], bool)
SHAPE = (2, 4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("add", A + B),
        ("subtract", A - B),
        ("multiply", A * B),
        ("divide", A / B),
        ("max", np.maximum(A, B)),
        ("min", np.minimum(A, B)),
        ("mod", np.fmod(A, B)),
        ("hypot", np.sqrt(A**2 + B**2)),
        ("first", A),
        ("firstNonZero", np.where(A == 0, B, A)),
    ],
)
def test_two_images_combine_where_both_are_observed(studio, name, expected):
    one, two = studio.raster(A, mask=HOLES), studio.raster(B)
    found = studio.pixels(getattr(one, name)(two), SHAPE)
    same(found, expected, HOLES, 1e-15)


def test_pow_and_atan2_follow_the_reference(studio):
    # ee.Number's page: atan2's left input is x, its right one y; (0, 1) is pi/2, (-1, 0) is pi.
    x = studio.raster(np.array([[0.0, 1, 0, -1, 0]]))
    y = studio.raster(np.array([[0.0, 0, 1, 0, -1]]))
    same(
        studio.pixels(x.toDouble().atan2(y), (1, 5)),
        [[0, 0, math.pi / 2, math.pi, -math.pi / 2]],
        tolerance=1e-15,
    )
    same(studio.pixels(studio.raster(A).pow(3), SHAPE), A**3, tolerance=1e-15)


def test_division_by_zero_gives_zero(studio):
    one, zero = studio.raster(A), studio.raster(np.zeros(SHAPE))
    same(studio.pixels(one.divide(zero), SHAPE), np.zeros(SHAPE))
    same(studio.pixels(one.mod(zero), SHAPE), np.zeros(SHAPE))


def test_the_remainder_has_the_sign_of_the_dividend(studio):
    # ee.Number.mod's page: 12/5 2, 1/-2 1, 5.5/2 1.5, -12/5 -2, -1/2 -1, -4/2 0.
    left = studio.raster(np.array([[12, 1, 5.5, -12, -1, -4]]))
    right = studio.raster(np.array([[5.0, -2, 2, 5, 2, 2]]))
    same(studio.pixels(left.mod(right), (1, 6)), [[2, 1, 1.5, -2, -1, 0]])


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("abs", np.abs),
        ("exp", np.exp),
        ("sin", np.sin),
        ("cos", np.cos),
        ("tan", np.tan),
        ("atan", np.arctan),
        ("sinh", np.sinh),
        ("cosh", np.cosh),
        ("tanh", np.tanh),
        ("cbrt", np.cbrt),
        ("floor", np.floor),
        ("ceil", np.ceil),
        ("signum", np.sign),
        ("erf", np.vectorize(math.erf)),
        ("erfc", np.vectorize(math.erfc)),
    ],
)
def test_one_image_goes_through_a_function(studio, name, function):
    image = getattr(studio.raster(A, mask=HOLES), name)()
    same(studio.pixels(image, SHAPE), function(A), HOLES, 1e-15)


@pytest.mark.parametrize(
    ("name", "function"),
    [("sqrt", np.sqrt), ("log", np.log), ("log10", np.log10), ("asin", None), ("acos", None)],
)
def test_functions_with_a_smaller_domain(studio, name, function):
    inside = np.abs(A) / 10 + 0.05
    function = function or {"asin": np.arcsin, "acos": np.arccos}[name]
    found = studio.pixels(getattr(studio.raster(inside), name)(), SHAPE)
    same(found, function(inside), tolerance=1e-15)


def test_halves_are_rounded_up(studio):
    # ee.Number.round's page: 10.4 -> 10, 10.5 -> 11, 10.9 -> 11.
    image = studio.raster(np.array([[10.4, 10.5, 10.9, -10.4, 0.49999999999999994]]))
    same(studio.pixels(image.round(), (1, 5)), [[10, 11, 11, -10, 0]])


def test_bits_of_whole_numbers(studio):
    one = np.array([[21952, 5504, 255, -1]], np.int32)
    two = np.array([[128, 64, 3, 6]], np.int32)
    image, other = studio.raster(one), studio.raster(two)
    same(studio.pixels(image.bitwiseAnd(other), (1, 4)), one & two)
    same(studio.pixels(image.bitwiseOr(other), (1, 4)), one | two)
    same(studio.pixels(image.bitwiseXor(other), (1, 4)), one ^ two)
    same(studio.pixels(image.bitwiseNot(), (1, 4)), ~one)
    same(studio.pixels(image.bitCount(), (1, 4)), [[6, 4, 8, 64]])


def test_shifts(studio):
    image = studio.raster(np.array([[1, 3, -8, 40000]], np.int32))
    by = studio.raster(np.array([[4, 1, 1, 20]], np.int32))
    same(studio.pixels(image.leftShift(by), (1, 4)), [[16, 6, -16, 40000 * 2**20]])
    same(studio.pixels(image.rightShift(by), (1, 4)), [[0, 1, -4, 0]])
    same(studio.pixels(image.rightShift(70), (1, 4)), [[0, 0, -1, 0]])
    same(studio.pixels(image.leftShift(70), (1, 4)), np.zeros((1, 4)))


def test_whole_numbers_do_not_overflow(studio):
    byte = studio.raster(np.full(SHAPE, 200, np.uint8))
    large = studio.raster(np.full(SHAPE, 2**31 - 1, np.int32))
    same(studio.pixels(byte.add(byte), SHAPE), np.full(SHAPE, 400))
    same(studio.pixels(byte.subtract(byte.add(byte)), SHAPE), np.full(SHAPE, -200))
    same(studio.pixels(large.multiply(large), SHAPE), np.full(SHAPE, (2**31 - 1) ** 2))
    huge = large.multiply(large).multiply(large)
    same(studio.pixels(huge, SHAPE), np.full(SHAPE, float(2**31 - 1) ** 3), tolerance=1e-15)


def test_types_of_results(studio):
    def kind(image):
        return studio.info(image.bandTypes())["b1"]

    reflectance = studio.raster(np.full(SHAPE, 100, np.uint16))
    # Sentinel-2 divided by 10000 is known to be float in [0, float32(6.5535)].
    assert kind(reflectance.divide(10000)) == {
        "type": "PixelType",
        "precision": "float",
        "min": 0,
        "max": 6.553500175476074,
    }
    scaled = kind(reflectance.multiply(0.0000275).add(-0.2))
    assert scaled["precision"] == "double"
    assert (scaled["min"], scaled["max"]) == pytest.approx((-0.2, 1.6022125))
    assert kind(reflectance.add(reflectance))["max"] == 131070
    assert kind(reflectance.toFloat().add(1))["precision"] == "float"
    assert kind(reflectance.sqrt())["precision"] == "double"
    assert kind(reflectance.toFloat().exp())["precision"] == "float"
    assert kind(reflectance.bitwiseAnd(128)) == {
        "type": "PixelType",
        "precision": "int",
        "min": 0,
        "max": 255,
    }


def test_one_band_meets_all_and_the_longer_names_win(studio):
    many = studio.raster(A, B, names=["x", "y"])
    one = studio.raster(A, names=["z"])
    for image, expected in ((many.subtract(one), (A - A, B - A)), (one.subtract(many), None)):
        found = studio.blocks(image, SHAPE)
        assert list(found) == ["x", "y"]
        if expected:
            np.testing.assert_array_equal(found["x"][0], expected[0])
            np.testing.assert_array_equal(found["y"][0], expected[1])


def test_equal_names_meet_whatever_their_order_else_bands_meet_in_order(studio):
    xy = studio.raster(A, B, names=["x", "y"])
    yx = studio.raster(B, A, names=["y", "x"])
    uv = studio.raster(B, A, names=["u", "v"])
    by_name = studio.blocks(xy.subtract(yx), SHAPE)
    np.testing.assert_array_equal(by_name["x"][0], np.zeros(SHAPE))
    in_order = studio.blocks(xy.subtract(uv), SHAPE)
    assert list(in_order) == ["x", "y"]
    np.testing.assert_array_equal(in_order["x"][0], A - B)


def test_numbers_of_bands_that_do_not_fit_are_refused(studio):
    two, three = studio.raster(A, B), studio.raster(A, A, A)
    assert studio.refused(two.add(three)).startswith("Image.add: ")
    empty = two.select([])
    assert studio.refused(two.add(empty)) == (
        "Image.add: If one image has no bands, the other must also have no bands. Got 2 and 0."
    )


def test_constants_are_folded(studio):
    image = studio.client.Image(3).multiply(4).add(0.5)
    same(studio.pixels(image), np.full((4, 5), 12.5))
    from water_gee.emulator.nodes import Constant

    assert isinstance(studio.compute(image).bands[0].node, Constant)


def test_clamp_and_unit_scale(studio):
    image = studio.raster(A)
    same(studio.pixels(image.clamp(-1, 2), SHAPE), np.clip(A, -1, 2))
    same(studio.pixels(image.unitScale(-2, 7), SHAPE), (A + 2) / 9, tolerance=1e-15)
    whole = studio.raster(np.array([[1, 5, 9]], np.int16))
    same(studio.pixels(whole.clamp(2, 6), (1, 3)), [[2, 5, 6]])
    same(studio.pixels(whole.clamp(2.5, 6), (1, 3)), [[2.5, 5, 6]])
    assert "'low'" in studio.refused(image.clamp(2, 1))
    assert "must differ" in studio.refused(image.unitScale(1, 1))


def test_polynomial(studio):
    found = studio.pixels(studio.raster(A).polynomial([1, -2, 0.5]), SHAPE)
    same(found, 1 - 2 * A + 0.5 * A**2, tolerance=1e-15)
    assert "empty" in studio.refused(studio.raster(A).polynomial([]))


def test_normalized_difference_masks_what_is_negative(studio):
    # (0.3 - 0.1) / 0.4; 0/0 is 0; a negative input masks.
    one = np.array([[0.3, 0.0, -0.01, 0.2]])
    two = np.array([[0.1, 0.0, 0.2, -0.02]])
    image = studio.raster(one, two, names=["G", "S"])
    found = studio.pixels(image.normalizedDifference(["G", "S"]), (1, 4))
    same(found, [[0.5, 0, 9, 9]], [[1, 1, 0, 0]], 1e-7)
    assert list(studio.blocks(image.normalizedDifference(), (1, 4))) == ["nd"]
    assert studio.compute(image.normalizedDifference()).bands[0].type.precision == "float"
    assert "No band named 'X'" in studio.refused(image.normalizedDifference(["G", "X"]))


def test_results_keep_footprint_and_grid_but_no_properties(studio):
    image = studio.raster(A, properties={"system:time_start": 5})
    for result in (image.add(1), studio.client.Image(1).add(image), image.abs()):
        found = studio.compute(result)
        assert dict(found.properties) == {}
        assert found.id is None
        assert found.footprint == studio.compute(image).footprint
        assert found.bands[0].projection.crs == "EPSG:32648"
        assert found.bands[0].dimensions == (4, 2)
