"""The bands of each pixel reduced to few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator import linear, stack
from water_gee.emulator.bands import cast, inherited, placed_like
from water_gee.emulator.functions import reducer as reducers
from water_gee.emulator.nodes import Blockwise
from water_gee.emulator.pixels import Block, Mask, Node
from water_gee.emulator.pixeltypes import union
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Band, Image, PixelType, Reducer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@REGISTRY.function("Image.reduce")
def reduce(image: Image, reducer: Reducer) -> Image:
    """Return one band for each output of a reducer over the bands of a pixel."""
    if reducer.inputs != 1:
        raise bad_request(
            f"Image.reduce: The reducer must have a single input; it has {reducer.inputs}."
        )
    if not image.bands:
        return inherited(image, ())
    joint = union([band.type for band in image.bands])
    kinds = reducer.result_type(joint)
    nodes = reduced_nodes([band.node for band in image.bands], reducer, joint, kinds)
    bands = [
        placed_like(Band(output, kind, node), *image.bands)
        for output, kind, node in zip(reducer.outputs, kinds, nodes, strict=True)
    ]
    return inherited(image, bands)


def reduced_nodes(
    inputs: Sequence[Node], reducer: Reducer, joint: PixelType, kinds: Sequence[PixelType]
) -> list[Node]:
    """Return a node for each output; common reducers go plane by plane, without a stack."""
    if reducer is reducers.SUM:
        return [Blockwise(inputs, sum_observed, kinds[0].dtype, linear.SUM)]
    if reducer is reducers.MAX or reducer is reducers.MIN:
        same = [cast(node, joint) for node in inputs]
        larger = np.maximum if reducer is reducers.MAX else np.minimum
        return [Blockwise(same, _extreme(larger), kinds[0].dtype)]
    return stack.reduced(inputs, reducer, joint, kinds)


def sum_observed(*blocks: Block) -> Block:
    """Return the sum of what is observed, weighted by fractional masks; masked where nothing is."""
    total = np.zeros(blocks[0].values.shape, np.float64)
    for block in blocks:
        mask = block.mask
        if mask is None:
            total += block.values
        elif mask.dtype == np.bool_:
            np.add(total, block.values, out=total, where=mask)
        else:
            total += np.where(mask > 0, block.values, 0) * mask.astype(np.float64)
    return Block(total, _any_observed(blocks))


def _any_observed(blocks: Sequence[Block]) -> Mask:
    result: Mask = np.zeros((), bool)
    for block in blocks:
        valid = block.valid()
        if valid is None:
            return None
        result = valid if result is None or result.ndim == 0 else result | valid
    return result


def _extreme(ufunc: np.ufunc) -> Callable[..., Block]:
    def function(*blocks: Block) -> Block:
        values, valid = blocks[0].values, blocks[0].valid()
        for block in blocks[1:]:
            other, theirs = block.values, block.valid()
            better = ufunc(values, other)
            if valid is not None:
                better = np.where(valid, better, other)
            if theirs is not None:
                better = np.where(theirs, better, values)
            values = better
            valid = None if valid is None or theirs is None else valid | theirs
        return Block(values, valid)

    return function
