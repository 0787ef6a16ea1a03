"""Bands side by side: unique names, which band meets which, what the result inherits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from water_gee.emulator.arrays import array_node, elementwise
from water_gee.emulator.nodes import Constant, Pointwise
from water_gee.emulator.pixels import Node, Values
from water_gee.emulator.registry import bad_request
from water_gee.emulator.values import WGS84_ONE_DEGREE, Band, Image, PixelType

Function = Callable[..., Values]
"""NumPy arrays to a NumPy array, pixel by pixel."""


def uniquely_named(bands: Iterable[Band], taken: Iterable[str] = ()) -> list[Band]:
    """Return bands with names that occur once: `foo`, `foo_1`, `foo_2`, ...

    Args:
        bands: In order.
        taken: Names that others have already.
    """
    used = set(taken)
    following: dict[str, int] = {}
    result = []
    for band in bands:
        name = band.name
        number = following.get(name, 1)
        while name in used:
            name = f"{band.name}_{number}"
            number += 1
        following[band.name] = number
        used.add(name)
        result.append(band if name == band.name else replace(band, name=name))
    return result


def check_names(names: Sequence[Any], where: str) -> list[str]:
    """Return names for bands, each a string that occurs once.

    Raises:
        ServiceError: 400: one is no string, is empty, or occurs twice.
    """
    for name in names:
        if not isinstance(name, str) or not name:
            raise bad_request(f"{where}: Band names must be non-empty strings. Got {name!r}.")
        if names.count(name) > 1:
            raise bad_request(f"{where}: Duplicate band name '{name}'.")
    return list(names)


def one_for_all(image: Image, other: Image, where: str, argument: str) -> list[Band]:
    """Return `other`'s bands for those of `image`: one for all of them, or one each.

    Raises:
        ServiceError: 400: it has neither one band nor as many.
    """
    if len(other.bands) == 1:
        return [other.bands[0]] * len(image.bands)
    if len(other.bands) != len(image.bands):
        raise bad_request(
            f"{where}: The '{argument}' image must have 1 band or as many as the input image "
            f"({len(image.bands)}). Got {len(other.bands)}."
        )
    return list(other.bands)


def paired(one: Image, two: Image, where: str) -> Iterator[tuple[str, Band, Band]]:
    """Match the bands of two images as every binary operator does.

    One band meets all of the other's; equal names meet each other; else equal numbers meet in
    order. The result is named for the longer, or in the first's order.

    Raises:
        ServiceError: 400: the numbers do not fit.
    """
    ones, twos = one.bands, two.bands
    if len(ones) == len(twos):
        if len(ones) > 1 and ones != twos and set(one.names) == set(two.names):
            named = {band.name: band for band in twos}
            twos = tuple(named[band.name] for band in ones)
        yield from ((a.name, a, b) for a, b in zip(ones, twos, strict=True))
    elif not ones or not twos:
        raise bad_request(
            f"{where}: If one image has no bands, the other must also have no bands. "
            f"Got {len(ones)} and {len(twos)}."
        )
    elif len(twos) == 1:
        yield from ((a.name, a, twos[0]) for a in ones)
    elif len(ones) == 1:
        yield from ((b.name, ones[0], b) for b in twos)
    else:
        raise bad_request(
            f"{where}: Images must have the same number of bands, or one of them a single band. "
            f"Got {len(ones)} and {len(twos)}."
        )


def placed_like(band: Band, *sources: Band) -> Band:
    """Return a band with the default projection of the first source that has one of its own.

    Constants and composites have WGS 84 at one degree, which is nobody's own.
    """
    for source in sources:
        if source.dimensions is not None or source.projection != WGS84_ONE_DEGREE:
            return replace(band, projection=source.projection, dimensions=source.dimensions)
    return band


def pointwise(
    inputs: Sequence[Node],
    function: Function,
    kind: PixelType,
    operation: str = "",
    where: str = "Image",
) -> Node:
    """Return a node that computes pixel by pixel; of constants alone, a constant.

    Args:
        inputs: Bands of numbers, or of arrays of one shape.
        function: From the inputs' values to the result's, number by number.
        kind: The result's type.
        operation: The node's kind, where the planner knows it.
        where: The function on the wire, for messages.

    Raises:
        ServiceError: 400: the inputs hold arrays of different shapes.
    """
    if any(node.item != () for node in inputs):
        return array_node(inputs, elementwise(function, where), kind.dtype)
    if inputs and all(isinstance(node, Constant) for node in inputs):
        with np.errstate(all="ignore"):
            value = function(
                *(
                    np.asarray(node.value, node.dtype)
                    for node in inputs
                    if isinstance(node, Constant)
                )
            )
            single = np.asarray(value).astype(kind.dtype)
        return Constant(single.item(), kind.dtype)
    return Pointwise(inputs, function, kind.dtype, operation)


def cast(node: Node, kind: PixelType) -> Node:
    """Return pixels computed in a type's NumPy type, the node itself where they are."""
    if node.dtype == kind.dtype:
        return node
    return pointwise([node], lambda values: values, kind, "cast")


def inherited(image: Image, bands: Iterable[Band], *others: Image) -> Image:
    """Return a computed image: the first footprint there is, and no properties."""
    footprints = (one.footprint for one in (image, *others))
    return Image(tuple(bands), footprint=next((one for one in footprints if one is not None), None))
