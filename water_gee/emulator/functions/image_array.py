"""Array images: made of neighbourhoods and bands, cut, joined, and taken apart again.

The arithmetic of `image_math` and `image_logic` works on them number by number.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import arraymath
from water_gee.emulator.arrays import (
    ArrayConstant,
    ArrayNode,
    Concatenated,
    Flattened,
    NeighborhoodArray,
    array_node,
    cat,
)
from water_gee.emulator.bands import check_names, inherited, one_for_all, paired, placed_like
from water_gee.emulator.functions.kernel import unscaled
from water_gee.emulator.nodes import Constant
from water_gee.emulator.pixeltypes import union
from water_gee.emulator.registry import REGISTRY, bad_request, check_numbers
from water_gee.emulator.values import INT32, Band, Image, Kernel, PixelType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from water_gee.emulator.pixels import Item, Node, Values


def each_band(
    image: Image,
    function: Callable[[Values], Values],
    where: str,
    dimensions: Callable[[int], int] = lambda before: before,
    kind: Callable[[PixelType], PixelType] = lambda before: before,
    item: Item | str = "found",
) -> Image:
    """Return an image with a function applied to the arrays of each band.

    Args:
        image: Bands of arrays.
        function: `(n, *array) -> (n, *array)`.
        where: The function on the wire, for messages.
        dimensions: From the arrays' dimensions to the result's.
        kind: From the numbers' type to the result's.
        item: As `array_node` takes it.

    Raises:
        ServiceError: 400: a band holds numbers, or the function refuses the arrays.
    """
    bands = []
    for band in image.bands:
        check_arrays(band, where)
        made = replace(kind(band.type), dimensions=dimensions(band.type.dimensions))
        node = array_node([band.node], function, made.dtype, item)
        bands.append(replace(band, type=made, node=node))
    return image.with_bands(bands)


def check_arrays(band: Band, where: str) -> None:
    """Refuse a band of numbers.

    Raises:
        ServiceError: 400.
    """
    if not band.type.dimensions:
        raise bad_request(
            f"{where}: The band '{band.name}' holds numbers; a band of arrays is needed "
            "(Image.toArray makes one)."
        )


def known(node: Node) -> Values | None:
    """Return what a constant band holds everywhere, None for any other band."""
    if isinstance(node, ArrayConstant):
        return node.array
    return np.asarray(node.value, node.dtype) if isinstance(node, Constant) else None


# ------------------------------------------------------------------------------------ made of bands


@REGISTRY.function("Image.neighborhoodToArray")
def neighborhood_to_array(image: Image, kernel: Kernel, defaultValue: float = 0.0) -> Image:
    """Return the pixels under a kernel around each pixel as a 2-D array: axis 0 is y, 1 is x."""
    drawn = unscaled(kernel, "Image.neighborhoodToArray")
    rows, cols = drawn.weights.shape
    bands = []
    for band in image.bands:
        fill = _within(defaultValue, band.type)
        node = NeighborhoodArray(band.node, (rows, cols), drawn.center, fill)
        bands.append(replace(band, type=replace(band.type, dimensions=2), node=node))
    return image.with_bands(bands)


def _within(value: float, kind: PixelType) -> float:
    """Return a value as a type holds it: cut off where that is whole, clamped to its range."""
    held = math.trunc(value) if kind.precision == "int" else value
    low = -math.inf if kind.minimum is None else kind.minimum
    high = math.inf if kind.maximum is None else kind.maximum
    return min(max(held, low), high)


@REGISTRY.function("Image.toArray", arrays=True)
def to_array(image: Image, axis: int = 0) -> Image:
    """Return one band, `array`, of the bands' numbers or arrays behind each other."""
    where = "Image.toArray"
    if not image.bands:
        raise bad_request(f"{where}: The image has no bands.")
    band = concatenated(image.bands, axis, where)
    return inherited(image, [placed_like(replace(band, name="array"), *image.bands)])


def concatenated(bands: Sequence[Band], axis: int, where: str) -> Band:
    """Return a band with the arrays of several, one behind the other.

    Raises:
        ServiceError: 400: they do not fit each other, or the axis.
    """
    dimensions = {band.type.dimensions for band in bands}
    if len(dimensions) > 1:
        raise bad_request(
            f"{where}: Bands must have equal dimensionality. Got {sorted(dimensions)}."
        )
    (before,) = dimensions
    if not 0 <= axis <= before:
        raise bad_request(f"{where}: 'axis' must be from 0 to {before}. Got {axis}.")
    kind = replace(union(band.type for band in bands), dimensions=max(before, axis + 1))
    nodes = [band.node for band in bands]

    def joined(*values: Values) -> Values:
        return cat(values, axis, where)

    # Tried on one pixel: this refuses what does not fit, and folds constants.
    node = array_node(nodes, joined, kind.dtype)
    if isinstance(node, ArrayNode):
        node = Concatenated(nodes, axis, kind.dtype, node.item)
    return replace(bands[0], type=kind, node=node)


@REGISTRY.function("Image.arrayCat", arrays=True)
def array_cat(image1: Image, image2: Image, axis: int) -> Image:
    """Return the arrays of matched bands, one behind the other along an axis."""
    where = "Image.arrayCat"
    bands = []
    for name, one, two in paired(image1, image2, where):
        check_arrays(one, where)
        check_arrays(two, where)
        made = concatenated([one, two], axis, where)
        bands.append(placed_like(Band(name, made.type, made.node), one, two))
    return inherited(image1, bands, image2)


# ------------------------------------------------------------------------------- taken apart again


@REGISTRY.function("Image.arrayFlatten", arrays=True)
def array_flatten(image: Image, coordinateLabels: list[Any], separator: str = "_") -> Image:
    """Return a band of numbers for each position of the arrays, named by labels along each axis."""
    where = "Image.arrayFlatten"
    if len(image.bands) != 1:
        raise bad_request(f"{where}: A single band is needed. Got {len(image.bands)}.")
    (band,) = image.bands
    check_arrays(band, where)
    if not all(isinstance(labels, list) for labels in coordinateLabels):
        raise bad_request(f"{where}: 'coordinateLabels' must be a list of lists of names.")
    if len(coordinateLabels) != band.type.dimensions:
        raise bad_request(
            f"{where}: {len(coordinateLabels)} list(s) of labels for arrays of "
            f"{band.type.dimensions} dimension(s)."
        )
    shape = tuple(len(labels) for labels in coordinateLabels)
    if band.node.item is not None and band.node.item != shape:
        raise bad_request(
            f"{where}: The labels are for arrays of shape {list(shape)}. "
            f"Got {list(band.node.item)}."
        )
    names = check_names(
        [separator.join(map(str, labels)) for labels in itertools.product(*coordinateLabels)],
        where,
    )
    kind = replace(band.type, dimensions=0)
    constant = known(band.node)
    flat = None if constant is None else constant.reshape(-1)
    bands = []
    for place, name in enumerate(names):
        node: Node = Flattened(band.node, shape, place)
        if flat is not None:
            node = Constant(flat[place].item(), kind.dtype)
        bands.append(replace(band, name=name, type=kind, node=node))
    return image.with_bands(bands)


@REGISTRY.function("Image.arrayGet", arrays=True)
def array_get(image: Image, position: Image) -> Image:
    """Return the number at a position of each band's arrays."""
    where = "Image.arrayGet"
    check_numbers(position, f"{where}, argument 'position'")
    bands = []
    for band in image.bands:
        check_arrays(band, where)
        if len(position.bands) != band.type.dimensions:
            raise bad_request(
                f"{where}: The position needs {band.type.dimensions} band(s), one for each "
                f"dimension. Got {len(position.bands)}."
            )
        kind = replace(band.type, dimensions=0)
        bands.append(
            with_parameters(
                replace(band, type=kind),
                [one.node for one in position.bands],
                lambda values, at: arraymath.picked(values, at.tolist(), where),
                item=(),
            )
        )
    return image.with_bands(bands)


def with_parameters(
    band: Band,
    parameters: Sequence[Node],
    function: Callable[[Values, Values], Values],
    item: Item = None,
) -> Band:
    """Return a band whose arrays a function changes by whole numbers that other bands hold.

    Args:
        band: The result, with the node that is read.
        parameters: Bands of numbers, or of one-dimensional arrays.
        function: `(values (n, *array), parameters (p,)) -> values`.
        item: The result's shape where parameters are no constants.
    """
    constants = [known(node) for node in parameters]
    if all(constant is not None for constant in constants):
        numbers = np.concatenate([np.atleast_1d(one) for one in constants if one is not None])
        fixed = numbers.astype(np.int64)
        node = array_node([band.node], lambda values: function(values, fixed), band.type.dtype)
        return replace(band, node=node)

    def varying(values: Values, *given: Values) -> Values:
        columns = [one.reshape(len(one), -1) for one in given]
        rows = np.concatenate(columns, axis=1).astype(np.int64)
        return arraymath.by_parameters(function, [values], rows)

    node = ArrayNode((band.node, *parameters), varying, band.type.dtype, item)
    return replace(band, node=node)


# -------------------------------------------------------------------------------------------- shape


@REGISTRY.function("Image.arrayReshape", arrays=True)
def array_reshape(image: Image, lengths: Image, dimensions: int) -> Image:
    """Return arrays of other lengths with the same numbers, row by row; -1 is worked out."""
    where = "Image.arrayReshape"
    if len(lengths.bands) != 1 or lengths.bands[0].type.dimensions != 1:
        raise bad_request(f"{where}: 'lengths' must be one band of 1-D arrays.")
    if dimensions < 1:
        raise bad_request(f"{where}: 'dimensions' must be at least 1. Got {dimensions}.")
    (wanted,) = lengths.bands
    if wanted.node.item not in (None, (dimensions,)):
        raise bad_request(
            f"{where}: 'lengths' must hold {dimensions} length(s), one for each dimension."
        )
    bands = []
    for band in image.bands:
        check_arrays(band, where)
        kind = replace(band.type, dimensions=dimensions)
        bands.append(
            with_parameters(
                replace(band, type=kind),
                [wanted.node],
                lambda values, to: arraymath.reshaped(values, to.tolist(), where),
            )
        )
    return image.with_bands(bands)


@REGISTRY.function("Image.arrayProject", arrays=True)
def array_project(input: Image, axes: list[Any]) -> Image:
    """Return arrays with some axes alone; those dropped have one position at most."""
    where = "Image.arrayProject"
    kept = [int(axis) for axis in axes]
    return each_band(
        input,
        lambda values: arraymath.projected(values, kept, where),
        where,
        lambda _: len(kept),
    )


@REGISTRY.function("Image.arrayTranspose", "Image.matrixTranspose", arrays=True)
def array_transpose(input: Image, axis1: int = 0, axis2: int = 1) -> Image:
    """Return arrays with two axes swapped."""
    where = "Image.arrayTranspose"
    return each_band(input, lambda values: arraymath.transposed(values, axis1, axis2, where), where)


@REGISTRY.function("Image.arraySlice", arrays=True)
def array_slice(
    input: Image,
    axis: int = 0,
    start: Image | None = None,
    end: Image | None = None,
    step: int = 1,
) -> Image:
    """Return every `step`-th position of an axis from `start` up to `end`."""
    where = "Image.arraySlice"
    starts, ends = (
        None if one is None else one_for_all(input, one, where, name)
        for one, name in ((start, "start"), (end, "end"))
    )
    bands = []
    for index, band in enumerate(input.bands):
        check_arrays(band, where)
        first = None if starts is None else starts[index].node
        last = None if ends is None else ends[index].node

        def cut(values: Values, at: Values, *, has: tuple[bool, bool] = (
            first is not None, last is not None)) -> Values:  # fmt: skip
            numbers = iter(at.tolist())
            begin = next(numbers) if has[0] else 0
            stop = next(numbers) if has[1] else None
            return arraymath.sliced(values, axis, begin, stop, step, where)

        given = [node for node in (first, last) if node is not None]
        bands.append(with_parameters(band, given, cut) if given else _cut_whole(band, cut))
    return input.with_bands(bands)


def _cut_whole(band: Band, cut: Callable[[Values, Values], Values]) -> Band:
    nothing = np.zeros(0, np.int64)
    node = array_node([band.node], lambda values: cut(values, nothing), band.type.dtype)
    return replace(band, node=node)


@REGISTRY.function("Image.arrayRepeat", arrays=True)
def array_repeat(input: Image, axis: int, copies: Image) -> Image:
    """Return arrays repeated along an axis, which may be a new one."""
    where = "Image.arrayRepeat"
    numbers = one_for_all(input, copies, where, "copies")
    bands = []
    for band, count in zip(input.bands, numbers, strict=True):
        kind = replace(band.type, dimensions=max(band.type.dimensions, axis + 1))
        bands.append(
            with_parameters(
                replace(band, type=kind),
                [count.node],
                lambda values, n: arraymath.repeated(values, axis, int(n[0]), where),
            )
        )
    return input.with_bands(bands)


@REGISTRY.function("Image.arrayPad", arrays=True)
def array_pad(image: Image, lengths: list[Any], pad: float = 0.0) -> Image:
    """Return arrays with a value appended along each axis up to a length."""
    where = "Image.arrayPad"
    return each_band(
        image, lambda values: arraymath.padded(values, [int(n) for n in lengths], pad, where), where
    )


@REGISTRY.function("Image.arrayDimensions", arrays=True)
def array_dimensions(input: Image) -> Image:
    """Return how many dimensions the arrays of each band have, 0 for numbers."""
    kind = PixelType("int", 0, 255)
    return input.with_bands(
        replace(
            band,
            type=kind,
            node=array_node(
                [band.node], lambda values: np.full(len(values), values.ndim - 1), kind.dtype, ()
            ),
        )
        for band in input.bands
    )


@REGISTRY.function("Image.arrayLength", arrays=True)
def array_length(input: Image, axis: int) -> Image:
    """Return how many positions an axis has."""
    where = "Image.arrayLength"

    def length(values: Values) -> Values:
        arraymath.check_axis(axis, values, where)
        return np.full(len(values), values.shape[axis + 1])

    return each_band(input, length, where, lambda _: 0, lambda _: INT32)


@REGISTRY.function("Image.arrayLengths", arrays=True)
def array_lengths(input: Image) -> Image:
    """Return how many positions each axis has, as an array."""
    return each_band(
        input,
        lambda values: np.tile(np.array(values.shape[1:]), (len(values), 1)),
        "Image.arrayLengths",
        lambda _: 1,
        lambda _: INT32,
    )
