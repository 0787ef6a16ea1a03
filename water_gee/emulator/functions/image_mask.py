"""Masks: what is observed, how much, and what to put where nothing is.

A mask is None (all observed), bool, or float32 in [0, 1]. See `docs/decisions/masks.md`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator.bands import inherited, one_for_all, paired, placed_like
from water_gee.emulator.coerce import coerce
from water_gee.emulator.geodesy import union
from water_gee.emulator.nodes import Blockwise, Placed
from water_gee.emulator.pixels import Block, Context, Grid, Mask, Node, Values, Window
from water_gee.emulator.regions import inside
from water_gee.emulator.registry import REGISTRY, bad_request, check_numbers
from water_gee.emulator.values import Band, Collection, Geometry, Image, PixelType

if TYPE_CHECKING:
    from collections.abc import Callable

MASK_TYPE = PixelType("float", 0, 1)
"""The type of a mask read as an image."""


def opacity(block: Block) -> Mask:
    """Return a mask out of values: clamped to [0, 1], 0 where the block itself is masked."""
    values = block.values
    if values.dtype.kind != "f":
        mask: Values = values > 0
    elif ((values == 0) | (values == 1)).all():
        mask = values == 1
    else:
        mask = np.nan_to_num(np.clip(values, 0, 1), nan=0.0).astype(np.float32)
    return tidy(times(mask, block.valid()))


def times(one: Mask, two: Mask) -> Mask:
    """Return the product of two masks."""
    if one is None:
        return two
    if two is None:
        return one
    if one.dtype == np.bool_ and two.dtype == np.bool_:
        return one & two
    return one.astype(np.float32) * two.astype(np.float32)


def tidy(mask: Mask) -> Mask:
    """Return None for a mask that is 1 everywhere."""
    if mask is None or (mask.all() if mask.dtype == np.bool_ else (mask == 1).all()):
        return None
    return mask


def _updated(block: Block, mask: Block) -> Block:
    return Block(block.values, times(block.mask, opacity(mask)))


@REGISTRY.function("Image.updateMask", arrays=True)
def update_mask(image: Image, mask: Image) -> Image:
    """Return the image with its mask multiplied by the values of another image."""
    check_numbers(mask, "Image.updateMask, argument 'mask'")
    masks = one_for_all(image, mask, "Image.updateMask", "mask")
    return image.with_bands(
        replace(
            band,
            node=Blockwise((band.node, one.node), _updated, band.node.dtype, item=band.node.item),
        )
        for band, one in zip(image.bands, masks, strict=True)
    )


@REGISTRY.function("Image.selfMask")
def self_mask(image: Image) -> Image:
    """Return the image with its mask multiplied by its own values."""
    return image.with_bands(
        replace(
            band,
            node=Blockwise((band.node,), lambda block: _updated(block, block), band.node.dtype),
        )
        for band in image.bands
    )


@REGISTRY.function("Image.mask", arrays=True)
def mask(image: Image, mask: Image | None = None) -> Image:
    """Return the image's mask as an image, or the image with another mask."""
    if mask is None:
        return image.with_bands(
            replace(
                band, type=MASK_TYPE, node=Blockwise((band.node,), _mask_values, MASK_TYPE.dtype)
            )
            for band in image.bands
        )
    for one in (image, mask):
        check_numbers(one, "Image.mask")
    masks = one_for_all(image, mask, "Image.mask", "mask")
    return image.with_bands(
        replace(band, node=Blockwise((band.node, one.node), _remasked(band.type), band.node.dtype))
        for band, one in zip(image.bands, masks, strict=True)
    )


def _mask_values(block: Block) -> Block:
    if block.mask is None:
        return Block(np.broadcast_to(np.float32(1), block.shape))
    return Block(block.mask.astype(np.float32))


def nearest_to_zero(kind: PixelType) -> float:
    """Return 0, or the value nearest to it in a type's range."""
    low = kind.minimum if kind.minimum is not None else 0
    high = kind.maximum if kind.maximum is not None else 0
    return max(low, min(high, 0)) if low <= high else 0


def _remasked(kind: PixelType) -> Callable[[Block, Block], Block]:
    fill = nearest_to_zero(kind)

    def remask(block: Block, new: Block) -> Block:
        valid = block.valid()
        values = block.values if valid is None else np.where(valid, block.values, fill)
        return Block(values, opacity(new))

    return remask


@REGISTRY.function("Image.unmask")
def unmask(input: Image, value: Image | None = None, sameFootprint: bool = True) -> Image:
    """Return the image with another's values (0 by default) where it is masked."""
    other: Image = coerce(0, Image, "Image.unmask") if value is None else value
    fills = one_for_all(input, other, "Image.unmask", "value")
    bounded = sameFootprint and input.footprint is not None
    within = region_node(input.footprint) if bounded and input.footprint is not None else None
    bands = []
    for band, fill in zip(input.bands, fills, strict=True):
        kind = band.type.union(fill.type)
        bands.append(replace(band, type=kind, node=_filled(band.node, fill.node, kind, within)))
    result = input.with_bands(bands)
    if sameFootprint or input.footprint is None:
        return result
    if other.footprint is None:
        return replace(result, footprint=None)
    return replace(result, footprint=union([input.footprint, other.footprint]))


def _filled(node: Node, fill: Node, kind: PixelType, within: Node | None) -> Node:
    if within is None:
        return Blockwise((node, fill), lambda a, b: _fill(a, b, None), kind.dtype)
    return Blockwise(
        (node, fill, within), lambda a, b, region: _fill(a, b, region.values), kind.dtype
    )


def _fill(block: Block, other: Block, within: Mask) -> Block:
    """Take the other's value and mask where a block's mask is 0 and `within` holds."""
    valid = block.valid()
    if valid is None:
        return block
    replaced = ~valid if within is None else ~valid & within
    values = np.where(replaced, other.values, block.values)
    if other.mask is None and within is None and (block.mask is None or block.mask.dtype == bool):
        return Block(values)
    before = valid if block.mask is None else block.mask
    after: Values = np.ones((), bool) if other.mask is None else other.mask
    return Block(values, tidy(np.where(replaced, after, before)))


@REGISTRY.function("Image.where")
def where(input: Image, test: Image, value: Image) -> Image:
    """Return the image with `value` where `test` is neither 0 nor masked."""
    tests = one_for_all(input, test, "Image.where", "test")
    others = one_for_all(input, value, "Image.where", "value")
    bands = []
    for band, condition, other in zip(input.bands, tests, others, strict=True):
        kind = band.type.union(other.type)
        node = Blockwise((band.node, condition.node, other.node), _replaced, kind.dtype)
        bands.append(replace(band, type=kind, node=node))
    return input.with_bands(bands)


def _replaced(block: Block, test: Block, value: Block) -> Block:
    chosen = test.values != 0
    for mask in (test.valid(), value.valid()):
        if mask is not None:
            chosen = chosen & mask
    return Block(np.where(chosen, value.values, block.values), block.mask)


@REGISTRY.function("Image.blend")
def blend(bottom: Image, top: Image) -> Image:
    """Return one image laid over another, its mask being its opacity."""
    bands = []
    for name, low, high in paired(bottom, top, "Image.blend"):
        kind = low.type.union(high.type)
        node = Blockwise((low.node, high.node), overlay, kind.dtype)
        bands.append(placed_like(Band(name, kind, node), low, high))
    result = replace(inherited(bottom, bands), properties=bottom.properties)
    if bottom.footprint is None or top.footprint is None:
        return replace(result, footprint=None)
    return replace(result, footprint=union([bottom.footprint, top.footprint]))


def overlay(low: Block, high: Block) -> Block:
    """Return one block laid over another, its mask being its opacity."""
    if high.mask is None:
        return high
    if high.mask.dtype == np.bool_ and (low.mask is None or low.mask.dtype == np.bool_):
        values = np.where(high.mask, high.values, low.values)
        return Block(values, None if low.mask is None else tidy(low.mask | high.mask))
    above = high.mask.astype(np.float64)
    below = (1 - above) * (1 if low.mask is None else low.mask.astype(np.float64))
    total = above + below
    values = (above * high.values + below * low.values) / np.where(total > 0, total, 1)
    return Block(values, tidy(total.astype(np.float32)))


@REGISTRY.function("Image.clip", arrays=True)
def clip(input: Image, geometry: Any) -> Image:
    """Return the image masked where pixel centres lie outside a geometry or feature."""
    region: Geometry = coerce(geometry, Geometry, "Image.clip, argument 'geometry'")
    return replace(clipped(input, region), footprint=region)


@REGISTRY.function("Image.clipToCollection", arrays=True)
def clip_to_collection(input: Image, collection: Any) -> Image:
    """Return the image masked where pixel centres lie outside all features of a collection."""
    found: Collection = coerce(
        collection, Collection, "Image.clipToCollection, argument 'collection'"
    )
    shapes = [element.geometry for element in found if element.geometry is not None]
    if not shapes:
        raise bad_request("Image.clipToCollection: The collection has no geometries.")
    region = union(shapes)
    return replace(clipped(input, region), footprint=region)


def clipped(image: Image, region: Geometry) -> Image:
    """Return an image masked where pixel centres lie outside a region."""
    if region.shape is None:
        return image
    within = region_node(region)
    return image.with_bands(
        replace(
            band,
            node=Blockwise(
                (band.node, within),
                lambda block, region: Block(block.values, tidy(times(block.mask, region.values))),
                band.node.dtype,
                item=band.node.item,
            ),
        )
        for band in image.bands
    )


def region_node(region: Geometry) -> Node:
    """Return a node that is True where pixel centres lie in a region; one for all bands."""
    test = inside(region)

    def placed(grid: Grid, window: Window, context: Context) -> Block:
        found = test(grid, window, context)
        return Block(np.broadcast_to(np.True_, window.shape) if found is None else found)

    return Placed((), placed, np.bool_)
