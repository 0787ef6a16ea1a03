"""Bands of several images over each other: reduced, mosaicked, chosen by quality."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee.emulator.pixels import Block, Context, Grid, Mask, Node, Values, Window, mask_and
from water_gee.emulator.values import PixelType, Reducer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STRIP_BYTES = 64_000_000
"""Bytes of a stack reduced at once."""


def union_type(types: Sequence[PixelType]) -> PixelType:
    """Return the smallest pixel type that holds all of these."""
    return reduce(PixelType.union, types)


def stacked(blocks: Sequence[Block], dtype: npt.DTypeLike) -> tuple[Values, Mask]:
    """Return values `(n, row, col)` and mask alike, None where all blocks are without one."""
    values = np.stack([block.values.astype(dtype, copy=False) for block in blocks])
    masks = [block.mask for block in blocks]
    if all(mask is None for mask in masks):
        return values, None
    kind = np.result_type(*(bool if mask is None else mask.dtype for mask in masks))
    mask = np.ones(values.shape, kind)
    for place, one in enumerate(masks):
        if one is not None:
            mask[place] = one
    return values, mask


class Reduced(Node):
    """One output of a reducer over the same bands of several images.

    Siblings, the other outputs, are computed with it in one go.

    Args:
        inputs: The band of each image; one such group for each input of the reducer.
        reducer: What reduces them.
        dtype: The type the stack is made in.
        output: Which of the reducer's outputs this is.
        result: The output's type.
    """

    __slots__ = ("output", "reducer", "stack_dtype")

    def __init__(
        self,
        inputs: Sequence[Node],
        reducer: Reducer,
        dtype: npt.DTypeLike,
        output: int,
        result: npt.DTypeLike,
    ) -> None:
        super().__init__(inputs, result)
        self.reducer = reducer
        self.stack_dtype = np.dtype(dtype)
        self.output = output

    def batch(self) -> object | None:
        """Return what the outputs of one reducer share."""
        return (Reduced, self.inputs, id(self.reducer)) if len(self.reducer.outputs) > 1 else None

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Reduce the stack to this output alone."""
        return self.compute_batch([self], grid, window, blocks, context)[0]

    def compute_batch(
        self,
        nodes: Sequence[Node],
        grid: Grid,
        window: Window,
        blocks: Sequence[Block | None],
        context: Context,
    ) -> list[Block]:
        """Reduce the stack once, in strips, for several outputs."""
        del grid
        present = [block for block in blocks if block is not None]
        row_bytes = max(1, len(present) * window.width * self.stack_dtype.itemsize)
        rows = max(1, STRIP_BYTES // row_bytes)
        strips: list[list[Block]] = []
        for top in range(0, window.height, rows):
            context.check()
            cut = slice(top, top + rows)
            parts = [Block(b.values[cut], None if b.mask is None else b.mask[cut]) for b in present]
            strips.append(self._outputs(parts))
        wanted = [node for node in nodes if isinstance(node, Reduced)]
        return [_joined([s[node.output] for s in strips], node.dtype) for node in wanted]

    def _outputs(self, blocks: Sequence[Block]) -> list[Block]:
        count = len(blocks) // self.reducer.inputs
        stacks: list[Values] = []
        weights: Mask = None
        for first in range(0, len(blocks), count):
            values, mask = stacked(blocks[first : first + count], self.stack_dtype)
            stacks.append(values)
            weights = mask_and(weights, mask)
        with np.errstate(all="ignore"):
            results = self.reducer.reduce(*stacks, weights)
        return [Block(np.asarray(value), observed) for value, observed in results]


def _joined(strips: Sequence[Block], dtype: np.dtype[Any]) -> Block:
    if len(strips) == 1:
        return Block(strips[0].values.astype(dtype, copy=False), strips[0].mask)
    values = np.concatenate([strip.values.astype(dtype, copy=False) for strip in strips])
    if all(strip.mask is None for strip in strips):
        return Block(values)
    masks = [
        np.ones(strip.values.shape, bool) if strip.mask is None else strip.mask for strip in strips
    ]
    return Block(values, np.concatenate(masks))


def reduced(
    inputs: Sequence[Node], reducer: Reducer, kind: PixelType, results: Sequence[PixelType]
) -> list[Node]:
    """Return a node for each output of a reducer over some bands of one type.

    Args:
        inputs: As `Reduced` takes them.
        reducer: What reduces them.
        kind: The type that holds all of them.
        results: The outputs' types.
    """
    return [
        Reduced(inputs, reducer, kind.dtype, output, result.dtype)
        for output, result in enumerate(results)
    ]


def _observed(mask: Mask, shape: tuple[int, ...]) -> Values:
    return np.ones(shape, bool) if mask is None else mask > 0


def mosaic(*blocks: Block) -> Block:
    """Return the last observed block of each pixel, with its mask."""
    if blocks[-1].mask is None:
        return blocks[-1]
    return _over(blocks, lambda block, _best: _observed(block.mask, block.values.shape))


def _over(blocks: Sequence[Block], wins: Callable[[Block, Block], Values]) -> Block:
    shape = blocks[0].values.shape
    dtype = np.result_type(*(block.values.dtype for block in blocks))
    fractional = any(b.mask is not None and b.mask.dtype != np.bool_ for b in blocks)
    best = Block(np.zeros(shape, dtype), np.zeros(shape, np.float32 if fractional else bool))
    for block in blocks:
        won = wins(block, best)
        best.values[won] = block.values[won]
        assert best.mask is not None
        best.mask[won] = True if block.mask is None else block.mask[won]
    return best


def best(*blocks: Block) -> Block:
    """Return the value whose quality is largest; the first half of the blocks are the qualities."""
    half = len(blocks) // 2
    shape = blocks[0].values.shape
    leading = np.full(shape, -np.inf)
    place = np.full(shape, -1)
    for index, quality in enumerate(blocks[:half]):
        wins = _observed(quality.mask, shape) & (quality.values > leading)
        leading[wins] = quality.values[wins]
        place[wins] = index
    chosen = iter(range(half))
    return _over(
        blocks[half:], lambda block, _best: (place == next(chosen)) & _observed(block.mask, shape)
    )
