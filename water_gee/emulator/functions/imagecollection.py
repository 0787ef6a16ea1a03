"""`ImageCollection` and the `reduce.*` composites: images over each other, bands by name."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import properties as props
from water_gee.emulator import stack
from water_gee.emulator.coerce import coerce
from water_gee.emulator.functions.collection import kind_of, merged_items, of_elements
from water_gee.emulator.nodes import Blockwise, Constant
from water_gee.emulator.pixels import Block
from water_gee.emulator.registry import REGISTRY, bad_request, check_numbers
from water_gee.emulator.services import Services
from water_gee.emulator.values import (
    WGS84_ONE_DEGREE,
    Band,
    Collection,
    Image,
    PixelType,
    Reducer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_BANDS = 5000
"""Bands `toBands` makes at most (its documentation)."""


@REGISTRY.function("ImageCollection.load")
def load(id: str, services: Services, version: int | None = None) -> Collection:
    """Return an image collection of the catalogue."""
    return services.assets.load_collection(id)


@REGISTRY.function("ImageCollection.fromImages")
def from_images(images: list[Any]) -> Collection:
    """Make a collection of a list of images; a collection stands for its images."""
    members: list[Image] = []
    for one in images:
        if isinstance(one, Collection):
            members += images_of(one, "ImageCollection.fromImages")
        else:
            members.append(coerce(one, Image, "ImageCollection.fromImages, argument 'images'"))
    return replace(of_elements(members), kind="ImageCollection")


def images_of(collection: Collection, where: str) -> list[Image]:
    """Return a collection's images.

    Raises:
        ServiceError: 400: some element is none.
    """
    return [coerce(item, Image, f"{where}, argument 'collection'") for item in collection]


@REGISTRY.function("ImageCollection.merge")
def merge(collection1: Collection, collection2: Collection) -> Collection:
    """Put two image collections one after the other; indices get the prefixes `1_` and `2_`."""
    items = merged_items(collection1, collection2)
    return Collection(tuple(items), kind_of(items, "ImageCollection"))


def alike(
    images: Sequence[Image], where: str, *, arrays: bool = False
) -> list[tuple[str, list[Band]]]:
    """Return the bands of the first image, each with its namesakes of all images.

    Args:
        images: In order.
        where: The function, for messages.
        arrays: Whether bands may hold arrays.

    Raises:
        ServiceError: 400: the images do not have the same bands, or hold arrays.
    """
    if not images:
        return []
    for image in () if arrays else images:
        check_numbers(image, where)
    first = images[0]
    for image in images[1:]:
        if set(image.names) != set(first.names):
            raise bad_request(
                f"{where}: Expected a homogeneous image collection, but an image with incompatible "
                f"bands was encountered:\nFirst image type: {_bands_shown(first)}.\n"
                f"Current image type: {_bands_shown(image)}.\n"
                "Some bands might require explicit casts."
            )
    tables = [{band.name: band for band in image.bands} for image in images]
    return [(name, [table[name] for table in tables]) for name in first.names]


def _bands_shown(image: Image) -> str:
    return f"{len(image.bands)} bands ([{', '.join(image.names)}])"


def reduce_bands(
    images: Sequence[Image], reducer: Reducer, where: str, rename: Callable[[str, str], str]
) -> Image:
    """Reduce each band over all images, or all bands together where the reducer has several inputs.

    Args:
        images: With the same bands.
        reducer: With one input, or as many as there are bands.
        where: The function, for messages.
        rename: From a band's name and an output's to the result's, for reducers of one input.

    Returns:
        An image over everything, on the default projection of composites.
    """
    matched = alike(images, where)
    groups: list[tuple[list[list[Band]], Callable[[str], str]]]
    if reducer.inputs == 1:
        groups = [([members], partial(rename, name)) for name, members in matched]
    elif matched and reducer.inputs != len(matched):
        raise bad_request(
            f"{where}: the reducer has {reducer.inputs} inputs but the images have "
            f"{len(matched)} bands."
        )
    else:
        groups = [([members for _, members in matched], lambda output: output)] if matched else []
    bands: list[Band] = []
    for columns, name_of in groups:
        members = [band for column in columns for band in column]
        kind = stack.union_type([band.type for band in members])
        types = reducer.result_type(kind)
        nodes = stack.reduced([band.node for band in members], reducer, kind, types)
        for output, result, node in zip(reducer.outputs, types, nodes, strict=True):
            bands.append(Band(name_of(output), result, node, WGS84_ONE_DEGREE))
    return Image(tuple(bands))


@REGISTRY.function("ImageCollection.reduce")
def reduce(collection: Collection, reducer: Reducer, parallelScale: float = 1.0) -> Image:
    """Reduce each band over all images; a result is named `<band>_<output>`."""
    images = images_of(collection, "ImageCollection.reduce")
    return reduce_bands(
        images, reducer, "ImageCollection.reduce", lambda band, output: f"{band}_{output}"
    )


_COMPOSITES = (
    ("min", "min", "Take the smallest observed value of each band."),
    ("max", "max", "Take the largest observed value of each band."),
    ("mean", "mean", "Average the observed values of each band."),
    ("median", "median", "Take each band's median; of an even count the mean of the middle two."),
    ("sum", "sum", "Add the observed values of each band."),
    ("product", "product", "Multiply the observed values of each band."),
    ("count", "count", "Count the observed values of each band."),
    ("mode", "mode", "Take the commonest observed value of each band."),
    ("and", "allNonZero", "Say whether all observed values of each band are other than 0."),
    ("or", "anyNonZero", "Say whether any observed value of each band is other than 0."),
)
"""Composites by name, with the reducer that each uses."""


def _composite(name: str, reducer: str, summary: str) -> Callable[..., Image]:
    def composite(collection: Collection, services: Services) -> Image:
        where = f"reduce.{name}"
        chosen: Reducer = REGISTRY.get(f"Reducer.{reducer}").call({}, services)
        return reduce_bands(images_of(collection, where), chosen, where, lambda band, _output: band)

    composite.__doc__ = summary
    return composite


for _name, _reducer, _summary in _COMPOSITES:
    REGISTRY.function(f"reduce.{_name}")(_composite(_name, _reducer, _summary))


@REGISTRY.function("ImageCollection.mosaic")
def mosaic(collection: Collection) -> Image:
    """Lay the images over each other, the last on top, where they are observed."""
    images = images_of(collection, "ImageCollection.mosaic")
    bands = []
    for name, members in alike(images, "ImageCollection.mosaic"):
        kind = stack.union_type([band.type for band in members])
        node = Blockwise([band.node for band in members], stack.mosaic, kind.dtype, "mosaic")
        bands.append(Band(name, kind, node, WGS84_ONE_DEGREE))
    return Image(tuple(bands))


@REGISTRY.function("ImageCollection.qualityMosaic")
def quality_mosaic(collection: Collection, qualityBand: str) -> Image:
    """Take each pixel from the image whose quality band is largest there."""
    where = "ImageCollection.qualityMosaic"
    matched = alike(images_of(collection, where), where)
    quality = dict(matched).get(qualityBand)
    if quality is None:
        raise bad_request(f"{where}: Quality band '{qualityBand}' is not in the collection.")
    bands = []
    for name, members in matched:
        kind = stack.union_type([band.type for band in members])
        inputs = [band.node for band in (*quality, *members)]
        node = Blockwise(inputs, stack.best, kind.dtype, "qualityMosaic")
        bands.append(Band(name, kind, node, WGS84_ONE_DEGREE))
    return Image(tuple(bands))


@REGISTRY.function("ImageCollection.toBands")
def to_bands(collection: Collection) -> Image:
    """Put all bands of all images into one image, named `<system:index>_<band>`."""
    images = images_of(collection, "ImageCollection.toBands")
    if sum(len(image.bands) for image in images) > MAX_BANDS:
        raise bad_request(f"ImageCollection.toBands: more than {MAX_BANDS} bands.")
    return Image(
        tuple(
            replace(band, name=f"{props.index_of(image) or place}_{band.name}")
            for place, image in enumerate(images)
            for band in image.bands
        )
    )


@REGISTRY.function("ImageCollection.cast")
def cast(collection: Collection, bandTypes: dict[str, Any], bandOrder: list[str]) -> Collection:
    """Give every image the same bands of the same types; missing ones are added, masked."""
    where = "ImageCollection.cast"
    if set(bandTypes) != set(bandOrder):
        raise bad_request(f"{where}: 'bandOrder' must hold the keys of 'bandTypes'.")
    types = {
        name: coerce(kind, PixelType, f"{where}, argument 'bandTypes'")
        for name, kind in bandTypes.items()
    }
    results = []
    for image in images_of(collection, where):
        extra = set(image.names) - set(types)
        if extra:
            raise bad_request(f"{where}: 'bandTypes' lacks the band '{sorted(extra)[0]}'.")
        table = {band.name: band for band in image.bands}
        bands = [_cast_band(table.get(name), name, types[name]) for name in bandOrder]
        results.append(image.with_bands(bands))
    return collection.with_items(results)


def _cast_band(band: Band | None, name: str, kind: PixelType) -> Band:
    if band is None:
        hidden = Blockwise([Constant(0, kind.dtype)], _hide, kind.dtype)
        return Band(name, kind, hidden)
    node = Blockwise([band.node], lambda block: _to_type(block, kind), kind.dtype, "cast")
    return replace(band, type=kind, node=node)


def _hide(block: Block) -> Block:
    return Block(block.values, np.zeros(block.values.shape, bool))


def _to_type(block: Block, kind: PixelType) -> Block:
    """Cut values off at an integer type's range, fractions too."""
    values = block.values
    if kind.precision == "int" and kind.minimum is not None and kind.maximum is not None:
        values = np.clip(np.trunc(np.nan_to_num(values)), kind.minimum, kind.maximum)
    return Block(values, block.mask)


@REGISTRY.function("ImageCollection.combine")
def combine(primary: Collection, secondary: Collection, overwrite: bool = False) -> Collection:
    """Add to each image the bands of the other collection's image of the same index."""
    where = "ImageCollection.combine"
    others = {props.index_of(image): image for image in images_of(secondary, where)}
    results = []
    for image in images_of(primary, where):
        other = others.get(props.index_of(image))
        if other is not None:
            results.append(image.with_bands(_joined(image, other, overwrite=overwrite)))
    return primary.with_items(results)


def _joined(image: Image, other: Image, *, overwrite: bool) -> list[Band]:
    bands = {band.name: band for band in image.bands}
    for band in other.bands:
        name, number = band.name, 0
        while name in bands and not overwrite:
            number += 1
            name = f"{band.name}_{number}"
        bands[name] = replace(band, name=name)
    return list(bands.values())
