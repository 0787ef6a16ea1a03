"""The pixels of a region, gathered tile by tile: values, masks, coverage, centres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from water_gee.emulator.arrays import listed
from water_gee.emulator.pixels import Block, Context, Node, Values, Window, evaluate
from water_gee.emulator.regions import coverage, on_grid, window_of
from water_gee.emulator.registry import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapely.geometry.base import BaseGeometry

    from water_gee.emulator.values import Geometry, Image, Projection, Reducer

TILE = 512
"""Pixels a side of the tiles a region is read in."""


@dataclass(frozen=True, slots=True)
class Region:
    """A region on a pixel grid.

    Attributes:
        projection: The grid.
        shape: The region in pixel coordinates.
        window: The pixels it may reach.
    """

    projection: Projection
    shape: BaseGeometry
    window: Window

    @classmethod
    def of(cls, geometry: Geometry, projection: Projection) -> Region:
        """Lay a bounded geometry on a grid."""
        shape = on_grid(geometry, projection.grid)
        if shape.is_empty:
            return cls(projection, shape, Window(0, 0, 0, 0))
        return cls(projection, shape, window_of(shape))

    @property
    def pixels(self) -> int:
        """About how many pixels it holds."""
        if self.shape.is_empty:
            return 0
        if shapely.get_dimensions(self.shape) < 2:
            return min(self.window.area, max(1, math.ceil(self.shape.length)))
        return max(1, math.ceil(self.shape.area))

    def tiles(self) -> Iterator[Window]:
        """Cut the window into tiles, leaving out wide empty spaces."""
        shapely.prepare(self.shape)
        stack = [self.window] if self.window.area else []
        while stack:
            window = stack.pop()
            right, bottom = window.col + window.width, window.row + window.height
            if not self.shape.intersects(shapely.box(window.col, window.row, right, bottom)):
                continue
            if max(window.shape) <= TILE:
                yield window
            else:
                stack.extend(reversed(_in_two(window)))


def _in_two(window: Window) -> tuple[Window, Window]:
    """Cut a window in two along its longer side, at a whole number of tiles."""
    length = max(window.shape)
    first = TILE * max(1, math.ceil(length / TILE) // 2)
    if window.height >= window.width:
        upper = Window(window.row, window.col, first, window.width)
        return upper, Window(window.row + first, window.col, length - first, window.width)
    left = Window(window.row, window.col, window.height, first)
    return left, Window(window.row, window.col + first, window.height, length - first)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The pixels of a region, row by row within tiles.

    Attributes:
        values: For each band `(n,)`.
        masks: For each band, in [0, 1], float64 `(n,)`.
        cover: How much of the pixel the region covers, float64 `(n,)`.
        centers: Whether the region holds its centre, bool `(n,)`.
        rows: Pixel rows `(n,)`.
        cols: Pixel columns `(n,)`.
    """

    values: tuple[Values, ...]
    masks: tuple[Values, ...]
    cover: Values
    centers: Values
    rows: Values
    cols: Values

    def weights(self, bands: Sequence[int]) -> tuple[Values, Values]:
        """Return the weights of pixels seen by some bands together, and which count as whole.

        The weight is the smaller of mask and coverage; unweighted reducers count a pixel whose
        centre is held.
        """
        mask = np.min([self.masks[band] for band in bands], axis=0)
        return np.minimum(mask, self.cover), self.centers & (mask > 0)


def gather(nodes: Sequence[Node], region: Region, context: Context) -> Gathered:
    """Evaluate bands over a region."""
    parts: list[tuple[list[Values], ...]] = []
    for tile in region.tiles():
        cover, centers = coverage(region.shape, tile)
        reached = (cover > 0) | centers
        if not reached.any():
            continue
        blocks = evaluate(nodes, region.projection.grid, tile, context)
        row, col = np.nonzero(reached)
        parts.append(
            (
                [block.values[reached] for block in blocks],
                [_mask(block, reached) for block in blocks],
                [cover[reached], centers[reached], row + tile.row, col + tile.col],
            )
        )
    values = tuple(_joined(parts, 0, band, node.dtype) for band, node in enumerate(nodes))
    masks = tuple(_joined(parts, 1, band, np.dtype(np.float64)) for band in range(len(nodes)))
    kinds = (np.dtype(np.float64), np.dtype(np.bool_), np.dtype(np.int64), np.dtype(np.int64))
    cover, centers, rows, cols = (
        _joined(parts, 2, index, kind) for index, kind in enumerate(kinds)
    )
    return Gathered(values, masks, cover, centers, rows, cols)


def _mask(block: Block, reached: Values) -> Values:
    if block.mask is None:
        return np.ones(int(reached.sum()))
    return block.mask[reached].astype(np.float64)


def _joined(
    parts: Sequence[tuple[list[Values], ...]], kind: int, index: int, dtype: np.dtype[np.generic]
) -> Values:
    if not parts:
        return np.empty(0, dtype)
    return listed([part[kind][index] for part in parts])


def reduced(gathered: Gathered, reducer: Reducer, bands: Sequence[int]) -> list[object]:
    """Return a reducer's outputs over the pixels, with bands as its inputs."""
    weights, counted = gathered.weights(bands)
    stacks = [gathered.values[band] for band in bands]
    with np.errstate(all="ignore"):
        results = reducer.reduce(*stacks, weights, counted=counted)
    return [plain(values, mask) for values, mask in results]


def plain(values: object, mask: object) -> object:
    """Return one result of a flat stack as a Python value, None where nothing was left."""
    if mask is not None and not bool(mask):
        return None
    return values.item() if isinstance(values, (np.ndarray, np.generic)) else values


def groups_of_bands(image: Image, reducer: Reducer, where: str) -> list[tuple[int, ...]]:
    """Return which bands a reducer takes together: all of them, or each by itself.

    Raises:
        ServiceError: 400: it has neither one input nor as many as the image has bands.
    """
    count = len(image.bands)
    if reducer.inputs == count:
        return [tuple(range(count))]
    if reducer.inputs == 1:
        return [(band,) for band in range(count)]
    raise bad_request(
        f"{where}: Need {reducer.inputs} bands for a reducer of {reducer.inputs} inputs. "
        f"The image has {count}."
    )
