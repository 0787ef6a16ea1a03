"""Image collections as array images: what each pixel was over time, as one array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.arrays import objects, uniform
from water_gee.emulator.bands import placed_like
from water_gee.emulator.functions.image_array import concatenated
from water_gee.emulator.functions.imagecollection import alike, images_of
from water_gee.emulator.nodes import Blockwise
from water_gee.emulator.pixels import Block, Item, Node, mask_and
from water_gee.emulator.pixeltypes import union
from water_gee.emulator.registry import REGISTRY, bad_request, check_numbers
from water_gee.emulator.values import Band, Collection, Image, PixelType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from water_gee.emulator.pixels import Values


@REGISTRY.function("ImageCollection.toArray")
def to_array(collection: Collection) -> Image:
    """Return one band of arrays: images along axis 0, bands along axis 1.

    An image is left out where one of its bands is masked; a pixel is masked where all of them are.
    """
    where = "ImageCollection.toArray"
    images = images_of(collection, where)
    if not images:
        raise bad_request(f"{where}: The collection is empty.")
    for image in images:
        check_numbers(image, where)
    width = len(images[0].bands)
    if any(len(image.bands) != width for image in images) or not width:
        raise bad_request(f"{where}: All images must have the same number of bands.")
    bands = [band for image in images for band in image.bands]
    node = _stacked([band.node for band in bands], width, _kind(bands, 2))
    return Image((placed_like(Band("array", _kind(bands, 2), node), *bands),))


def _kind(bands: Sequence[Band], dimensions: int) -> PixelType:
    joint = union(band.type for band in bands)
    return PixelType(joint.precision, joint.minimum, joint.maximum, dimensions)


def _stacked(nodes: Sequence[Node], width: int, kind: PixelType) -> Node:
    """Return a node of the arrays `(observed images, bands)` of each pixel."""
    count = len(nodes) // width

    def stacked(*blocks: Block) -> Block:
        values = np.stack([block.values.astype(kind.dtype, copy=False) for block in blocks], -1)
        values = values.reshape(*values.shape[:2], count, width)
        seen = [mask_and(*(one.valid() for one in blocks[first : first + width]))
                for first in range(0, len(blocks), width)]  # fmt: skip
        return _observed(values, seen)

    return Blockwise(nodes, stacked, kind.dtype, item=None)


def _observed(values: Values, seen: Sequence[Values | None]) -> Block:
    """Leave out of `(row, col, images, ...)` the images that are masked at a pixel."""
    if all(one is None or one.all() for one in seen):
        return Block(values)
    shape = values.shape[:2]
    every = np.ones(shape, bool)
    keep = np.stack([every if one is None else one for one in seen], axis=-1)
    flat, kept = values.reshape(-1, *values.shape[2:]), keep.reshape(-1, keep.shape[2])
    made = objects([pixel[mask] for pixel, mask in zip(flat, kept, strict=True)])
    return uniform(made, shape, np.asarray(keep.any(axis=-1)), values.dtype)


@REGISTRY.function("ImageCollection.toArrayPerBand")
def to_array_per_band(collection: Collection, axis: int = 0, dropMasked: bool = False) -> Image:
    """Return, for each band, the numbers or arrays of all images behind each other."""
    where = "ImageCollection.toArrayPerBand"
    images = images_of(collection, where)
    if not images:
        raise bad_request(f"{where}: The collection is empty.")
    bands = []
    for name, members in alike(images, where, arrays=True):
        if not dropMasked:
            made = concatenated(members, axis, where)
        elif axis != 0 or any(band.type.dimensions for band in members):
            raise bad_request(
                f"{where}: 'dropMasked' is implemented by this emulator for bands of numbers and "
                "axis 0 only."
            )
        else:
            kind = _kind(members, 1)
            made = Band(name, kind, _per_band([band.node for band in members], kind))
        bands.append(placed_like(Band(name, made.type, made.node), *members))
    return Image(tuple(bands))


def _per_band(nodes: Sequence[Node], kind: PixelType) -> Node:
    def stacked(*blocks: Block) -> Block:
        values = np.stack([block.values.astype(kind.dtype, copy=False) for block in blocks], -1)
        return _observed(values, [block.valid() for block in blocks])

    function: Callable[..., Block] = stacked
    item: Item = None
    return Blockwise(nodes, function, kind.dtype, item=item)
