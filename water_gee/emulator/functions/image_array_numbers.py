"""Array images: their numbers reduced, accumulated, sorted, thinned out, looked up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import arraymath
from water_gee.emulator.arrays import array_node
from water_gee.emulator.bands import inherited, one_for_all, paired, placed_like
from water_gee.emulator.functions import reducer as reducers
from water_gee.emulator.functions.image_array import check_arrays, each_band
from water_gee.emulator.pixeltypes import UNBOUNDED, ranged, union
from water_gee.emulator.registry import REGISTRY
from water_gee.emulator.values import BOOLEAN, INT32, Band, Image, PixelType, Reducer

if TYPE_CHECKING:
    from collections.abc import Callable

    from water_gee.emulator.pixels import Values


def _free(kind: PixelType) -> PixelType:
    return ranged(kind, UNBOUNDED)


@REGISTRY.function("Image.arrayReduce", arrays=True)
def array_reduce(
    input: Image, reducer: Reducer, axes: list[Any], fieldAxis: int | None = None
) -> Image:
    """Return arrays reduced along axes, which keep one position."""
    where = "Image.arrayReduce"
    chosen = [int(axis) for axis in axes]
    return each_band(
        input,
        lambda values: arraymath.reduced(values, reducer, chosen, fieldAxis, where),
        where,
        kind=lambda kind: union(reducer.result_type(replace(kind, dimensions=0))),
    )


@REGISTRY.function("Image.arrayAccum", arrays=True)
def array_accum(input: Image, axis: int, reducer: Reducer | None = None) -> Image:
    """Return, at each position of an axis, what lies up to it reduced: by default the sum."""
    where = "Image.arrayAccum"
    chosen = reducers.SUM if reducer is None else reducer
    return each_band(
        input,
        lambda values: arraymath.accumulated(values, axis, chosen, where),
        where,
        kind=lambda kind: union(chosen.result_type(replace(kind, dimensions=0))),
    )


@REGISTRY.function("Image.arraySort", arrays=True)
def array_sort(image: Image, keys: Image | None = None) -> Image:
    """Return arrays sorted along one axis, by their own numbers or by keys."""
    where = "Image.arraySort"
    if keys is None:
        return each_band(image, lambda values: arraymath.ordered(values, None, where), where)
    return _with_other(
        image, keys, where, "keys", lambda values, key: arraymath.ordered(values, key, where)
    )


@REGISTRY.function("Image.arrayMask", arrays=True)
def array_mask(input: Image, mask: Image) -> Image:
    """Return the positions of arrays where another array is not 0."""
    where = "Image.arrayMask"
    return _with_other(
        input, mask, where, "mask", lambda values, test: arraymath.masked(values, test, where)
    )


def _with_other(
    image: Image,
    other: Image,
    where: str,
    argument: str,
    function: Callable[[Values, Values], Values],
) -> Image:
    bands = []
    for band, one in zip(image.bands, one_for_all(image, other, where, argument), strict=True):
        check_arrays(band, where)
        check_arrays(one, f"{where}, argument '{argument}'")
        node = array_node([band.node, one.node], function, band.type.dtype)
        bands.append(replace(band, node=node))
    return image.with_bands(bands)


@REGISTRY.function("Image.arrayArgmax", arrays=True)
def array_argmax(image: Image) -> Image:
    """Return the position of the largest number of each array, the first of equals."""
    return each_band(image, arraymath.argmax, "Image.arrayArgmax", lambda _: 1, lambda _: INT32)


@REGISTRY.function("Image.arrayDotProduct", arrays=True)
def array_dot_product(image1: Image, image2: Image) -> Image:
    """Return the dot products of one-dimensional arrays."""
    where = "Image.arrayDotProduct"
    bands = []
    for name, one, two in paired(image1, image2, where):
        kind = replace(_free(one.type.union(two.type)), dimensions=0)
        node = array_node([one.node, two.node], lambda a, b: arraymath.dot(a, b, where), kind.dtype)
        bands.append(placed_like(Band(name, kind, node), one, two))
    return inherited(image1, bands, image2)


@REGISTRY.function("Image.bitsToArrayImage")
def bits_to_array_image(input: Image) -> Image:
    """Return the bits of whole numbers as arrays of 0 and 1, the lowest first."""
    kind = replace(BOOLEAN, dimensions=1)
    bands = []
    for band in input.bands:
        count = 64 if band.type.precision == "int" and band.type.storage.itemsize == 8 else 32

        def bits(values: Values, count: int = count) -> Values:
            whole = values.astype(np.int64)[:, None]
            return (whole >> np.arange(count)) & 1

        bands.append(replace(band, type=kind, node=array_node([band.node], bits, kind.dtype)))
    return input.with_bands(bands)
