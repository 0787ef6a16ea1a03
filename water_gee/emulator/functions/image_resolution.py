"""Coarser pixels as means of all the fine ones they hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.functions import reducer as reducers
from water_gee.emulator.nodes import Warp, pixel_meters
from water_gee.emulator.pixels import Block, Context, Edge, Grid, Node, Values, Window, same_crs
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Image, Reducer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@REGISTRY.function("Image.reduceResolution")
def reduce_resolution(
    image: Image, reducer: Reducer, bestEffort: bool = False, maxPixels: int = 64
) -> Image:
    """Return the image with the mean of its own pixels wherever coarser ones are asked for."""
    if reducer is not reducers.MEAN:
        raise bad_request(
            f"Image.reduceResolution: Reducer '{reducer.name}' is not implemented by this "
            "emulator; use Reducer.mean()."
        )
    return image.with_bands(
        replace(
            band,
            type=kind,
            node=Means(band.node, band.projection.grid, kind.dtype, maxPixels, bestEffort),
        )
        for band in image.bands
        for kind in reducer.result_type(band.type)
    )


class Means(Node):
    """Weighted means of the pixels of a grid that coarser pixels hold; on finer ones, the nearest.

    Where both grids have the same CRS and no shear, weights are the fractions covered; else a pixel
    belongs to the one that holds its centre.

    Args:
        source: What is averaged.
        native: The grid whose pixels are averaged.
        dtype: The result's type.
        most: Fine pixels that a coarse one may hold.
        best_effort: Whether to average coarser pixels where it would hold more.
    """

    __slots__ = ("best_effort", "most", "native", "warp")

    def __init__(
        self, source: Node, native: Grid, dtype: npt.DTypeLike, most: int, best_effort: bool
    ) -> None:
        super().__init__((source,), dtype)
        self.native = native
        self.most = max(1, most)
        self.best_effort = best_effort
        self.warp = Warp(source, native)

    def _fine(self, grid: Grid) -> Grid | None:
        """Return the grid to average on, None where the one asked for is not coarser."""
        ratio = pixel_meters(grid) / pixel_meters(self.native)
        if ratio <= 1 + 1e-6:
            return None
        if ratio**2 <= self.most * (1 + 1e-6):
            return self.native
        if not self.best_effort:
            raise bad_request(
                "Image.reduceResolution: Too many input pixels per output pixel: "
                f"{math.ceil(ratio**2)}, but maxPixels allows only {self.most}."
            )
        return self.native.scaled(math.ceil(math.log2(ratio / math.sqrt(self.most)) - 1e-6))

    def edges(self, grid: Grid) -> Sequence[Edge]:
        """Return the input on the grid it is averaged on."""
        fine = self._fine(grid)
        return self.warp.edges(grid) if fine is None else [(self.inputs[0], fine)]

    def needs(self, index: int, grid: Grid, window: Window, context: Context) -> Window | None:
        """Return the window that holds all pixels to be averaged."""
        fine = self._fine(grid)
        if fine is None:
            return self.warp.needs(index, grid, window, context)
        return context.positions(fine, grid, window.grow((1, 1, 1, 1))).window

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Average."""
        fine = self._fine(grid)
        if fine is None:
            block = self.warp.compute(grid, window, blocks, context)
            return Block(block.values.astype(self.dtype, copy=False), block.mask)
        have = self.needs(0, grid, window, context)
        if blocks[0] is None or have is None:
            return Block(np.zeros(window.shape, self.dtype), np.zeros(window.shape, bool))
        values = blocks[0].values.astype(np.float64)
        mask = blocks[0].mask
        weight = np.ones(values.shape) if mask is None else mask.astype(np.float64)
        planes = [np.where(weight > 0, values, 0) * weight, weight]
        sums, weights = (
            _by_area(planes, fine, have, grid, window)
            if _aligned(fine, grid)
            else _by_center(planes, fine, have, grid, window, context)
        )
        seen = weights > 1e-9
        means = sums / np.where(seen, weights, 1)
        return Block(means.astype(self.dtype, copy=False), None if seen.all() else seen)


def _aligned(one: Grid, two: Grid) -> bool:
    straight = all(grid.transform[1] == 0 == grid.transform[3] for grid in (one, two))
    return straight and same_crs(one.crs, two.crs)


def _by_area(
    planes: Sequence[Values], fine: Grid, have: Window, grid: Grid, window: Window
) -> list[Values]:
    """Sum planes over coarse pixels: differences of running sums, linear within fine pixels."""
    cols = np.arange(window.width + 1, dtype=np.float64) + window.col
    rows = np.arange(window.height + 1, dtype=np.float64) + window.row
    x, y = grid.coordinates(cols, 0 * cols)[0], grid.coordinates(0 * rows, rows)[1]
    col_edges = fine.positions(x, 0 * x)[0] - have.col
    row_edges = fine.positions(0 * y, y)[1] - have.row
    return [_summed(_summed(plane, row_edges).T, col_edges).T for plane in planes]


def _summed(plane: Values, edges: Values) -> Values:
    """Sum the rows of a plane between fractional edges."""
    running = np.vstack([np.zeros((1, plane.shape[1])), np.cumsum(plane, axis=0)])
    place = np.clip(edges, 0, len(plane))
    low = np.minimum(np.floor(place).astype(np.intp), len(plane) - 1)
    share = (place - low)[:, None]
    at_edges = running[low] * (1 - share) + running[low + 1] * share
    return np.asarray(np.abs(np.diff(at_edges, axis=0)))


def _by_center(
    planes: Sequence[Values],
    fine: Grid,
    have: Window,
    grid: Grid,
    window: Window,
    context: Context,
) -> list[Values]:
    """Sum planes over the coarse pixels that the fine pixels' centres fall into."""
    index, inside = context.positions(grid, fine, have).nearest(window)
    chosen = np.ones(index.shape, bool) if inside is None else inside
    return [
        np.bincount(index[chosen], plane[chosen], window.area).reshape(window.shape)
        for plane in planes
    ]
