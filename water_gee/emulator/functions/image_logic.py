"""Comparisons and logic: 1 where it holds, 0 where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator import pixeltypes
from water_gee.emulator.bands import Function, inherited, pointwise
from water_gee.emulator.functions.image_math import Binary, binary_function
from water_gee.emulator.registry import REGISTRY
from water_gee.emulator.values import BOOLEAN, Image

if TYPE_CHECKING:
    from collections.abc import Callable


def _test(function: Function, summary: str) -> Binary:
    return Binary(lambda _: function, pixeltypes.boolean, summary)


LOGIC: dict[str, Binary] = {
    "lt": _test(np.less, "Say where the first value is less than the second."),
    "lte": _test(np.less_equal, "Say where the first value is at most the second."),
    "gt": _test(np.greater, "Say where the first value is greater than the second."),
    "gte": _test(np.greater_equal, "Say where the first value is at least the second."),
    "eq": _test(np.equal, "Say where both values are equal."),
    "neq": _test(np.not_equal, "Say where the values differ."),
    "and": _test(np.logical_and, "Say where neither value is 0."),
    "or": _test(np.logical_or, "Say where a value is not 0."),
}

for _name, _operator in LOGIC.items():
    _function: Callable[[Image, Image], Image] = binary_function(f"Image.{_name}", _operator)
    _function.__module__ = __name__  # the family it is listed under
    REGISTRY.function(f"Image.{_name}", arrays=True)(_function)


@REGISTRY.function("Image.not", arrays=True)
def logical_not(value: Image) -> Image:
    """Say where the value is 0."""
    bands = []
    for band in value.bands:
        kind = replace(BOOLEAN, dimensions=band.type.dimensions)
        node = pointwise([band.node], lambda values: values == 0, kind)
        bands.append(replace(band, type=kind, node=node))
    return inherited(value, bands)
