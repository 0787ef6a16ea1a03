"""`Number`: arithmetic on whole numbers and doubles. Whole ones stay whole where the result is."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import text
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import INTEGER_RANGES

if TYPE_CHECKING:
    from collections.abc import Callable

Number = float


def _divide(left: Number, right: Number) -> Number:
    return 0 if right == 0 else left / right


def _mod(left: Number, right: Number) -> Number:
    """Return the remainder with the sign of the dividend, 0 where there is no divisor."""
    if right == 0:
        return 0
    if isinstance(left, int) and isinstance(right, int):
        return left - right * (abs(left) // abs(right)) * (1 if (left < 0) == (right < 0) else -1)
    return math.fmod(left, right)


def _pow(left: Number, right: Number) -> Number:
    with np.errstate(all="ignore"):
        return float(np.power(np.float64(left), np.float64(right)))


def _whole(value: Number) -> int:
    """Return a number as a long, cut off towards zero."""
    low, high = INTEGER_RANGES["int64"]
    return int(min(max(value, low), high)) if math.isfinite(value) else 0


def _bits(operation: Callable[[int, int], int]) -> Callable[[Number, Number], Number]:
    return lambda left, right: operation(_whole(left), _whole(right))


def _shift(left: int, right: int) -> int:
    """Shift to the left within 64 bits."""
    shifted = (left << right) & (2**64 - 1) if 0 <= right < 64 else 0
    return shifted - 2**64 if shifted >= 2**63 else shifted


def _flag(test: Callable[[Number, Number], Any]) -> Callable[[Number, Number], Number]:
    return lambda left, right: int(bool(test(left, right)))


_BINARY: dict[str, tuple[str, Callable[[Number, Number], Number]]] = {
    "add": ("Return left + right.", lambda a, b: a + b),
    "subtract": ("Return left - right.", lambda a, b: a - b),
    "multiply": ("Return left x right.", lambda a, b: a * b),
    "divide": ("Return left / right, 0 where right is 0.", _divide),
    "max": ("Return the larger number.", max),
    "min": ("Return the smaller number.", min),
    "first": ("Return the left number.", lambda a, _b: a),
    "firstNonZero": ("Return the left number, the right one where that is 0.", lambda a, b: a or b),
    "mod": ("Return the remainder of left / right, with the sign of left.", _mod),
    "and": ("Return 1 where both are other than 0, else 0.", _flag(lambda a, b: a and b)),
    "or": ("Return 1 where either is other than 0, else 0.", _flag(lambda a, b: a or b)),
    "lt": ("Return 1 where left < right, else 0.", _flag(lambda a, b: a < b)),
    "lte": ("Return 1 where left <= right, else 0.", _flag(lambda a, b: a <= b)),
    "gt": ("Return 1 where left > right, else 0.", _flag(lambda a, b: a > b)),
    "gte": ("Return 1 where left >= right, else 0.", _flag(lambda a, b: a >= b)),
    "eq": ("Return 1 where both are the same, else 0.", _flag(lambda a, b: a == b)),
    "neq": ("Return 1 where they differ, else 0.", _flag(lambda a, b: a != b)),
    "pow": ("Return left to the power of right.", _pow),
    "atan2": ("Return the angle of the vector (left, right).", lambda a, b: math.atan2(b, a)),
    "hypot": ("Return the length of the vector (left, right).", math.hypot),
    "bitwiseAnd": ("Return the bits that both have.", _bits(lambda a, b: a & b)),
    "bitwiseOr": ("Return the bits that either has.", _bits(lambda a, b: a | b)),
    "bitwiseXor": ("Return the bits that one of both has.", _bits(lambda a, b: a ^ b)),
    "leftShift": ("Shift the bits of left to the left.", _bits(_shift)),
    "rightShift": (
        "Shift the bits of left to the right, keeping the sign.",
        _bits(lambda a, b: a >> b if b >= 0 else 0),
    ),
}
"""Functions of `left` and `right`."""


def _binary(summary: str, function: Callable[[Number, Number], Number]) -> Callable[..., Number]:
    def call(left: float, right: float) -> float:
        return function(left, right)

    call.__doc__ = summary
    return call


_OLD_NAMES = {
    "firstNonZero": "first_nonzero",
    "bitwiseAnd": "bitwise_and",
    "bitwiseOr": "bitwise_or",
    "bitwiseXor": "bitwise_xor",
    "bitwiseNot": "bitwise_not",
    "leftShift": "left_shift",
    "rightShift": "right_shift",
}


def _names(name: str) -> list[str]:
    """Return what a function is called on the wire, its hidden old name too."""
    return [f"Number.{one}" for one in (name, _OLD_NAMES.get(name)) if one is not None]


for _name, (_summary, _two) in _BINARY.items():
    REGISTRY.function(*_names(_name))(_binary(_summary, _two))


def _real(ufunc: np.ufunc) -> Callable[[Number], Number]:
    """Return a function of doubles: NaN and infinity come out where there is nothing else."""

    def call(value: Number) -> Number:
        with np.errstate(all="ignore"):
            return float(ufunc(np.float64(value)))

    return call


def _round(value: Number) -> Number:
    """Return the nearest whole number, halves up."""
    return value if isinstance(value, int) or not math.isfinite(value) else math.floor(value + 0.5)


def _cut(function: Callable[[float], int]) -> Callable[[Number], Number]:
    return lambda value: function(value) if math.isfinite(value) else value


def _gamma(value: Number) -> Number:
    try:
        return math.gamma(value)
    except (ValueError, OverflowError):
        return math.nan if value <= 0 else math.inf


_UNARY: dict[str, tuple[str, Callable[[Number], Number]]] = {
    "abs": ("Return the number without its sign.", abs),
    "floor": ("Return the largest whole number not above.", _cut(math.floor)),
    "ceil": ("Return the smallest whole number not below.", _cut(math.ceil)),
    "round": ("Return the nearest whole number, halves up.", _round),
    "signum": (
        "Return 1, 0 or -1 by the number's sign.",
        lambda value: (value > 0) - (value < 0),
    ),
    "not": ("Return 1 where the number is 0, else 0.", lambda value: int(value == 0)),
    "bitwiseNot": ("Return the number with its bits flipped.", lambda value: ~_whole(value)),
    "bitCount": (
        "Return how many of the number's 64 bits are set.",
        lambda value: (_whole(value) & (2**64 - 1)).bit_count(),
    ),
    "sin": ("Return the sine of an angle in radians.", _real(np.sin)),
    "cos": ("Return the cosine of an angle in radians.", _real(np.cos)),
    "tan": ("Return the tangent of an angle in radians.", _real(np.tan)),
    "asin": ("Return the arcsine in radians.", _real(np.arcsin)),
    "acos": ("Return the arccosine in radians.", _real(np.arccos)),
    "atan": ("Return the arctangent in radians.", _real(np.arctan)),
    "sinh": ("Return the hyperbolic sine.", _real(np.sinh)),
    "cosh": ("Return the hyperbolic cosine.", _real(np.cosh)),
    "tanh": ("Return the hyperbolic tangent.", _real(np.tanh)),
    "sqrt": ("Return the square root.", _real(np.sqrt)),
    "cbrt": ("Return the cubic root.", _real(np.cbrt)),
    "log": ("Return the natural logarithm.", _real(np.log)),
    "log10": ("Return the logarithm to base 10.", _real(np.log10)),
    "exp": ("Return e to the power of the number.", _real(np.exp)),
    "gamma": ("Return the gamma function.", _gamma),
    "erf": ("Return the error function.", math.erf),
    "erfc": ("Return 1 minus the error function.", math.erfc),
    "float": ("Round to a 32-bit float.", lambda value: float(np.float32(value))),
    "double": ("Return a double.", float),
}
"""Functions of `input`."""


def _to_range(low: int, high: int) -> Callable[[Number], Number]:
    """Cut fractions off and hold the number within a range; NaN is 0."""

    def call(value: Number) -> Number:
        if math.isnan(value):
            return 0
        return int(min(max(value, low), high))

    return call


_ALIASES = {"uint8": ("byte",), "int16": ("short",), "int32": ("int",), "int64": ("long",)}
for _type, (_low, _high) in INTEGER_RANGES.items():
    for _name in (_type, *_ALIASES.get(_type, ())):
        _UNARY[_name] = (f"Return the nearest {_type} towards 0.", _to_range(_low, _high))
for _name in [n for n in _UNARY if n in ("float", "double") or n in INTEGER_RANGES] + [
    alias for aliases in _ALIASES.values() for alias in aliases
]:
    _UNARY[f"to{_name[0].upper()}{_name[1:]}"] = _UNARY[_name]


def _unary(summary: str, function: Callable[[Number], Number]) -> Callable[..., Number]:
    def call(input: float) -> float:
        return function(input)

    call.__doc__ = summary
    return call


for _name, (_summary, _one) in _UNARY.items():
    REGISTRY.function(*_names(_name))(_unary(_summary, _one))


@REGISTRY.function("Number.clamp")
def clamp(number: float, min: float, max: float) -> float:
    """Hold a number within [min, max]."""
    if min > max:
        raise bad_request(f"Number.clamp: min ({min}) is larger than max ({max}).")
    return min if number < min else max if number > max else number


@REGISTRY.function("Number.unitScale")
def unit_scale(number: float, min: float, max: float) -> float:
    """Return 0 for `min`, 1 for `max` and what is in line with them for others."""
    return _divide(number - min, max - min)


@REGISTRY.function("Number.format")
def format_(number: float, pattern: str = "%s") -> str:
    """Write a number by a printf pattern, as Java does."""
    return text.java_format(pattern, number)


@REGISTRY.function("Number.parse")
def parse(input: str, radix: int = 10) -> float:
    """Read a number: any in base 10, whole ones in base 2 to 36."""
    word = input.strip()
    try:
        if radix != 10:
            return int(word, radix)
        return int(word) if re.fullmatch(r"[+-]?\d+", word) else float(word.replace("_", "x"))
    except ValueError as error:
        raise bad_request(f"Number.parse: Cannot parse '{input}' as a number.") from error
