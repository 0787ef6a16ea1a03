"""Strings as Java writes and matches them: printf patterns, expressions, numbers as text."""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Mapping
from typing import Any

from water_gee.emulator import values as v
from water_gee.emulator.registry import bad_request

_PRINTF = re.compile(
    r"(?P<before>[^%]*)%(?P<flags>[#\-+ 0,(]*)(?P<width>[1-9]\d*)?(?:\.(?P<precision>\d+))?"
    r"(?P<kind>[sdoxXeEfgGaA])(?P<after>[^%]*)",
    re.DOTALL,
)


def java_format(pattern: str, number: float) -> str:
    """Write a number by a printf pattern with exactly one conversion; halves are rounded up.

    Raises:
        ServiceError: 400: the pattern is none.
    """
    match = _PRINTF.fullmatch(pattern)
    if match is None:
        raise bad_request(f"Number.format: Invalid format string '{pattern}'.")
    precision = None if match["precision"] is None else int(match["precision"])
    body = _converted(match["kind"], number, precision, match["flags"])
    return (
        match["before"] + _laid_out(body, match["flags"], int(match["width"] or 0)) + match["after"]
    )


def _converted(kind: str, number: float, precision: int | None, flags: str) -> str:
    """Return the digits with their sign, without padding."""
    if kind == "s":
        return java_string(number)[:precision]
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "-Infinity" if number < 0 else "Infinity"
    if kind in "dox" or kind == "X":
        whole = int(number)
        if kind == "d":
            return f"{whole:,d}" if "," in flags else str(whole)
        digits = format(whole % 2**64 if whole < 0 else whole, kind)
        prefix = {"o": "0", "x": "0x", "X": "0X"}[kind] if "#" in flags else ""
        return prefix + digits
    if kind in "aA":
        return float(number).hex() if kind == "a" else float(number).hex().upper()
    exact = decimal.Decimal(repr(float(number)))
    places = 6 if precision is None else precision
    if kind == "f":
        step = decimal.Decimal(1).scaleb(-places)
        with decimal.localcontext(decimal.Context(prec=400)):
            rounded = exact.quantize(step, rounding=decimal.ROUND_HALF_UP)
        return f"{rounded:,f}" if "," in flags else f"{rounded:f}"
    return (
        f"{float(number):#.{places}{kind}}" if kind in "gG" else f"{float(number):.{places}{kind}}"
    )


def _laid_out(body: str, flags: str, width: int) -> str:
    """Give a number its sign and width."""
    negative = body.startswith("-")
    digits = body.removeprefix("-")
    if negative:
        sign, end = ("(", ")") if "(" in flags else ("-", "")
    else:
        sign, end = ("+" if "+" in flags else " " if " " in flags else ""), ""
    missing = width - len(sign) - len(digits) - len(end)
    if missing <= 0:
        return sign + digits + end
    if "-" in flags:
        return sign + digits + end + " " * missing
    return (
        sign + "0" * missing + digits + end if "0" in flags else " " * missing + sign + digits + end
    )


def java_string(value: Any) -> str:
    """Return what `String.valueOf` writes: doubles always with a fraction."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        if value == 0 or 1e-3 <= abs(value) < 1e7:
            return repr(value)
        digits, _, exponent = f"{decimal.Decimal(repr(value)):E}".partition("E")
        mantissa = decimal.Decimal(digits).normalize()
        return f"{mantissa if '.' in str(mantissa) else f'{mantissa}.0'}E{int(exponent)}"
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(java_string, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={java_string(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, v.Date):
        from water_gee.emulator.joda import write

        return write(value.value, "YYYY-MM-dd'T'HH:mm:ss")
    return str(value)


_POSIX = {
    "[:space:]": r"\s", "[:digit:]": r"\d", "[:word:]": r"\w", "[:alpha:]": "a-zA-Z",
    "[:lower:]": "a-z", "[:upper:]": "A-Z", "[:alnum:]": "a-zA-Z0-9", "[:punct:]": r"!-/:-@\[-`{-~",
    "[:xdigit:]": "0-9a-fA-F", "[:blank:]": r" \t",
}  # fmt: skip
"""Character classes that Python writes otherwise, for use inside brackets."""


def expression(regex: str, flags: str, where: str) -> re.Pattern[str]:
    """Return a regular expression of the kind Earth Engine takes (RE2), compiled.

    Args:
        regex: The expression.
        flags: `i` for ignoring case; others mean something to the caller.
        where: The function, for messages.

    Raises:
        ServiceError: 400: it is none.
    """
    unknown = set(flags) - {"g", "i"}
    if unknown:
        raise bad_request(f"{where}: Unknown regular expression flag '{sorted(unknown)[0]}'.")
    for posix, python in _POSIX.items():
        regex = regex.replace(posix, python)
    try:
        return re.compile(regex, re.IGNORECASE if "i" in flags else 0)
    except re.error as error:
        raise bad_request(f"{where}: Invalid regular expression '{regex}': {error}.") from error
