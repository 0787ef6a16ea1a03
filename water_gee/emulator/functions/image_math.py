"""Arithmetic on images: two at a time, one at a time, and with constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from water_gee.emulator import pixeltypes
from water_gee.emulator.bands import Function, inherited, paired, placed_like, pointwise
from water_gee.emulator.nodes import Blockwise
from water_gee.emulator.pixels import Block, Values, mask_and
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import DOUBLE, FLOAT, INT64, Band, Image, PixelType

Maker = Callable[[np.dtype[Any]], Function]
"""From the NumPy type of the result to the function that computes it."""


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator of two images.

    Attributes:
        make: How values become values.
        rule: How types become a type.
        summary: What it does, one sentence.
        kind: The node's kind, where the planner knows it.
    """

    make: Maker
    rule: pixeltypes.Rule
    summary: str
    kind: str = ""


def apply_binary(operator: Binary, one: Image, two: Image, where: str) -> Image:
    """Return an operator applied to the matched bands of two images."""
    bands = []
    for name, first, second in paired(one, two, where):
        kind = operator.rule(first.type, second.type)
        kind = replace(kind, dimensions=max(first.type.dimensions, second.type.dimensions))
        function = operator.make(kind.dtype)
        node = pointwise([first.node, second.node], function, kind, operator.kind, where)
        bands.append(placed_like(Band(name, kind, node), first, second))
    return inherited(one, bands, two)


def binary_function(name: str, operator: Binary) -> Callable[[Image, Image], Image]:
    """Return the function to register for an operator."""

    def function(image1: Image, image2: Image) -> Image:
        return apply_binary(operator, image1, image2, name)

    function.__doc__ = operator.summary
    return function


def _ufunc(ufunc: np.ufunc) -> Maker:
    return lambda dtype: lambda a, b: ufunc(a, b, dtype=dtype, casting="unsafe")


def _plain(function: Function) -> Maker:
    return lambda _: function


def _safe_divide(a: Values, b: Values) -> Values:
    """Return a / b, 0 where b is 0; whole numbers are divided in double."""
    quotient: Values = np.true_divide(a, b)
    zero = b == 0
    return np.where(zero, 0, quotient) if zero.any() else quotient


def _remainder(a: Values, b: Values) -> Values:
    """Return the remainder with the sign of the dividend, 0 where the divisor is 0."""
    zero = b == 0
    if zero.any():
        return np.where(zero, 0, np.fmod(a, np.where(zero, 1, b)))
    remainder: Values = np.fmod(a, b)
    return remainder


def _first_non_zero(a: Values, b: Values) -> Values:
    return np.where(a != 0, a, b)


def _floating(ufunc: np.ufunc) -> Function:
    """Compute in double; the node's type cuts it down where that is float."""
    return lambda a, b: ufunc(a, b, dtype=np.float64, casting="unsafe")


BINARY: dict[str, Binary] = {
    "add": Binary(_ufunc(np.add), pixeltypes.add, "Add two images."),
    "subtract": Binary(
        _ufunc(np.subtract), pixeltypes.subtract, "Subtract the second image from the first."
    ),
    "multiply": Binary(
        _ufunc(np.multiply), pixeltypes.multiply, "Multiply two images.", "multiply"
    ),
    "divide": Binary(
        _plain(_safe_divide),
        pixeltypes.divide,
        "Divide the first image by the second, 0 where that is 0.",
    ),
    "max": Binary(_ufunc(np.maximum), pixeltypes.maximum, "Return the larger of two values."),
    "min": Binary(_ufunc(np.minimum), pixeltypes.minimum, "Return the smaller of two values."),
    "mod": Binary(
        _plain(_remainder),
        pixeltypes.remainder,
        "Return what dividing the first image by the second leaves.",
    ),
    "first": Binary(_plain(lambda a, _: a), pixeltypes.joined, "Return the first of two values."),
    "firstNonZero": Binary(
        _plain(_first_non_zero),
        pixeltypes.joined,
        "Return the first value, the second where that is 0.",
    ),
    "pow": Binary(
        _plain(_floating(np.power)), pixeltypes.real, "Raise the first image to the second."
    ),
    # x before y, unlike everywhere else: the reference's example says ee.Number(0).atan2(1) is π/2.
    "atan2": Binary(
        _plain(lambda a, b: np.arctan2(b, a, dtype=np.float64, casting="unsafe")),
        pixeltypes.real,
        "Return the angle of the vector whose x is the first value and whose y is the second.",
    ),
    "hypot": Binary(
        _plain(_floating(np.hypot)), pixeltypes.real, "Return the length of the vector (a, b)."
    ),
}


def _of_bits(ufunc: np.ufunc) -> Maker:
    return _plain(lambda a, b: ufunc(whole(a), whole(b)))


def whole(values: Values) -> Values:
    """Return values as int64, cut off towards zero; the bits of a number are those of a long."""
    return values.astype(np.int64, copy=False)


def _shift(ufunc: np.ufunc) -> Maker:
    """Shift by 0 to 63 bits; what is shifted further is gone."""

    def shifted(a: Values, b: Values) -> Values:
        by = whole(b)
        result: Values = ufunc(whole(a), np.clip(by, 0, 63))
        if ufunc is np.left_shift and (by > 63).any():
            result = np.where(by > 63, 0, result)
        return result

    return _plain(shifted)


BITWISE: dict[str, Binary] = {
    "bitwiseAnd": Binary(
        _of_bits(np.bitwise_and), pixeltypes.bitwise_and, "Return the bits that both have."
    ),
    "bitwiseOr": Binary(
        _of_bits(np.bitwise_or), pixeltypes.bitwise, "Return the bits that either has."
    ),
    "bitwiseXor": Binary(
        _of_bits(np.bitwise_xor), pixeltypes.bitwise, "Return the bits that one of both has."
    ),
    "leftShift": Binary(
        _shift(np.left_shift), pixeltypes.left_shift, "Shift the first to the left by the second."
    ),
    "rightShift": Binary(
        _shift(np.right_shift),
        pixeltypes.right_shift,
        "Shift the first to the right by the second, keeping its sign.",
    ),
}

OLD_NAMES = {
    "firstNonZero": "first_nonzero",
    "bitwiseAnd": "bitwise_and",
    "bitwiseOr": "bitwise_or",
    "bitwiseXor": "bitwise_xor",
    "leftShift": "left_shift",
    "rightShift": "right_shift",
    "bitwiseNot": "bitwise_not",
}
"""Hidden old names."""

for _name, _operator in {**BINARY, **BITWISE}.items():
    _wire = [f"Image.{name}" for name in (_name, OLD_NAMES.get(_name)) if name is not None]
    REGISTRY.function(*_wire, arrays=True)(binary_function(_wire[0], _operator))


@dataclass(frozen=True, slots=True)
class Unary:
    """An operation on one image.

    Attributes:
        function: How values become values.
        rule: How a type becomes a type.
        summary: What it does, one sentence.
    """

    function: Function
    rule: Callable[[PixelType], PixelType]
    summary: str


def apply_unary(operation: Unary, image: Image) -> Image:
    """Return an operation applied to each band."""
    bands = []
    for band in image.bands:
        kind = replace(operation.rule(band.type), dimensions=band.type.dimensions)
        node = pointwise([band.node], operation.function, kind)
        bands.append(replace(band, type=kind, node=node))
    return inherited(image, bands)


def _unary_function(operation: Unary) -> Callable[[Image], Image]:
    def function(value: Image) -> Image:
        return apply_unary(operation, value)

    function.__doc__ = operation.summary
    return function


def _double(ufunc: np.ufunc) -> Function:
    return lambda values: ufunc(values, dtype=np.float64, casting="unsafe")


def nearest_whole(values: Values) -> Values:
    """Return the nearest whole numbers, halves up."""
    if values.dtype.kind != "f":
        return values
    low = np.floor(values)
    nearest: Values = low + (values - low >= 0.5)
    return nearest


def _mapped(function: Callable[[float], float]) -> Callable[[PixelType], PixelType]:
    """Return the rule of a function that never decreases."""

    def rule(kind: PixelType) -> PixelType:
        if kind.minimum is None or kind.maximum is None:
            return kind
        return pixeltypes.ranged(kind, (function(kind.minimum), function(kind.maximum)))

    return rule


def _absolute(kind: PixelType) -> PixelType:
    if kind.minimum is None or kind.maximum is None:
        return kind
    low, high = sorted((abs(kind.minimum), abs(kind.maximum)))
    return pixeltypes.ranged(kind, (0 if kind.minimum < 0 < kind.maximum else low, high))


def _inverted(kind: PixelType) -> PixelType:
    if kind.minimum is None or kind.maximum is None:
        return INT64
    return pixeltypes.ranged(PixelType("int", 0, 0), (~int(kind.maximum), ~int(kind.minimum)))


_TRANSCENDENTAL: dict[str, tuple[np.ufunc, str]] = {
    "sin": (np.sin, "Return the sine of an angle in radians."),
    "cos": (np.cos, "Return the cosine of an angle in radians."),
    "tan": (np.tan, "Return the tangent of an angle in radians."),
    "asin": (np.arcsin, "Return the arcsine in radians."),
    "acos": (np.arccos, "Return the arccosine in radians."),
    "atan": (np.arctan, "Return the arctangent in radians."),
    "sinh": (np.sinh, "Return the hyperbolic sine."),
    "cosh": (np.cosh, "Return the hyperbolic cosine."),
    "tanh": (np.tanh, "Return the hyperbolic tangent."),
    "sqrt": (np.sqrt, "Return the square root."),
    "cbrt": (np.cbrt, "Return the cubic root."),
    "log": (np.log, "Return the natural logarithm."),
    "log10": (np.log10, "Return the logarithm to base 10."),
    "exp": (np.exp, "Return e raised to the value."),
    "erf": (special.erf, "Return the error function."),
    "erfc": (special.erfc, "Return 1 minus the error function."),
}

UNARY: dict[str, Unary] = {
    **{
        name: Unary(_double(ufunc), pixeltypes.floating, summary)
        for name, (ufunc, summary) in _TRANSCENDENTAL.items()
    },
    "abs": Unary(np.abs, _absolute, "Return the value without its sign."),
    "floor": Unary(np.floor, _mapped(math.floor), "Return the largest whole number not above."),
    "ceil": Unary(np.ceil, _mapped(math.ceil), "Return the smallest whole number not below."),
    "round": Unary(
        nearest_whole,
        _mapped(lambda value: math.floor(value + 0.5)),
        "Return the nearest whole number, halves up.",
    ),
    "signum": Unary(
        np.sign,
        lambda kind: pixeltypes.ranged(kind, (-1, 1)),
        "Return 1, 0 or -1 by the value's sign.",
    ),
    "bitwiseNot": Unary(
        lambda values: np.invert(whole(values)),
        _inverted,
        "Return the value with its bits flipped.",
    ),
    "bitCount": Unary(
        lambda values: np.bitwise_count(whole(values).view(np.uint64)),
        lambda _: PixelType("int", 0, 64),
        "Return how many of the 64 bits of the value are set.",
    ),
}

for _name, _operation in UNARY.items():
    _wire = [f"Image.{name}" for name in (_name, OLD_NAMES.get(_name)) if name is not None]
    REGISTRY.function(*_wire, arrays=True)(_unary_function(_operation))


@REGISTRY.function("Image.clamp")
def clamp(input: Image, low: float, high: float) -> Image:
    """Return the image with values below `low` raised to it and above `high` lowered to it."""
    if low > high:
        raise bad_request(f"Image.clamp: 'low' ({low}) is above 'high' ({high}).")
    bands = []
    for band in input.bands:
        ends = PixelType.of_constant(low).union(PixelType.of_constant(high))
        kind = band.type if ends.precision == "int" else band.type.union(ends)
        kind = pixeltypes.ranged(kind, (low, high))
        node = pointwise([band.node], lambda values: np.clip(values, low, high), kind)
        bands.append(replace(band, type=kind, node=node))
    return inherited(input, bands)


@REGISTRY.function("Image.unitScale")
def unit_scale(input: Image, low: float, high: float) -> Image:
    """Return the image scaled so that `low` becomes 0 and `high` 1, without clamping."""
    if low == high:
        raise bad_request("Image.unitScale: 'low' and 'high' must differ.")

    def scaled(values: Values) -> Values:
        return (values.astype(np.float64) - low) / (high - low)

    bands = []
    for band in input.bands:
        kind = DOUBLE if band.type.precision == "double" else FLOAT
        if band.type.minimum is not None and band.type.maximum is not None:
            ends = sorted(
                (end - low) / (high - low) for end in (band.type.minimum, band.type.maximum)
            )
            kind = pixeltypes.ranged(kind, (ends[0], ends[1]))
        bands.append(replace(band, type=kind, node=pointwise([band.node], scaled, kind)))
    return inherited(input, bands)


@REGISTRY.function("Image.polynomial")
def polynomial(image: Image, coefficients: list[float]) -> Image:
    """Return a polynomial of each pixel, its coefficients in increasing order of degree."""
    if not coefficients:
        raise bad_request("Image.polynomial: 'coefficients' is empty.")

    def value(values: Values) -> Values:
        result: Values = np.polynomial.polynomial.polyval(values.astype(np.float64), coefficients)
        return result

    bands = [
        replace(band, type=DOUBLE, node=pointwise([band.node], value, DOUBLE))
        for band in image.bands
    ]
    return inherited(image, bands)


@REGISTRY.function("Image.normalizedDifference")
def normalized_difference(input: Image, bandNames: list[str] | None = None) -> Image:
    """Return (first - second) / (first + second), masked where either is negative; band `nd`."""
    where = "Image.normalizedDifference"
    names = list(input.names[:2]) if bandNames is None else bandNames
    if len(names) != 2:
        raise bad_request(f"{where}: Two bands are needed. Got {len(names)}.")
    missing = [name for name in names if name not in input.names]
    if missing:
        raise bad_request(
            f"{where}: No band named '{missing[0]}'. Available band names: "
            f"[{', '.join(input.names)}]."
        )
    first, second = (input.bands[input.names.index(name)] for name in names)

    def difference(a: Block, b: Block) -> Block:
        x, y = a.values.astype(np.float64), b.values.astype(np.float64)
        valid = (x >= 0) & (y >= 0)
        return Block(_safe_divide(x - y, x + y), mask_and(a.mask, b.mask, valid))

    kind = PixelType("float", -1, 1)
    node = Blockwise((first.node, second.node), difference, kind.dtype)
    band = placed_like(Band("nd", kind, node), first, second)
    return inherited(input, [band])
