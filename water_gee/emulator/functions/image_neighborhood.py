"""Pixels and their neighbours: convolution, reducers over a neighbourhood, focal operations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.bands import inherited
from water_gee.emulator.functions import reducer as reducers
from water_gee.emulator.functions.kernel import of_shape, unscaled
from water_gee.emulator.nodes import Convolve, Neighborhood, PerGrid, pixel_meters
from water_gee.emulator.pixels import Block, Node, Values
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import DOUBLE, Band, Image, Kernel, PixelType, Reducer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from water_gee.emulator import statistics

STACK_BYTES = 64_000_000
"""Bytes of the stack of neighbours reduced at once."""

Halo = tuple[int, int, int, int]


@REGISTRY.function("Image.convolve")
def convolve(image: Image, kernel: Kernel) -> Image:
    """Return each band's cross-correlation with a kernel; nothing is flipped."""
    return image.with_bands(
        replace(
            band,
            type=DOUBLE,
            node=on_each_grid(band.node, kernel, Convolve, np.float64),
        )
        for band in image.bands
    )


def on_each_grid(
    node: Node,
    kernel: Kernel,
    make: Callable[[Node, Kernel], Node],
    dtype: npt.DTypeLike,
) -> Node:
    """Return what `make` makes of a node and a kernel, for each grid if that is drawn in metres."""
    draw = kernel.in_meters
    if draw is None:
        return make(node, kernel)
    return PerGrid(node, lambda grid: make(node, draw(pixel_meters(grid))), dtype)


def halo_of(kernel: Kernel) -> Halo:
    """Return how far a kernel reaches: `(top, bottom, left, right)` pixels."""
    rows, cols = kernel.weights.shape
    row, col = kernel.center
    return row, rows - 1 - row, col, cols - 1 - col


def _members(kernel: Kernel) -> list[tuple[int, int, float]]:
    """Return `(row, col, weight)` of what is not 0 in a kernel, from its upper left."""
    return [(row, col, float(w)) for (row, col), w in np.ndenumerate(kernel.weights) if w != 0]


class Neighbors:
    """A reducer over the neighbourhood that a kernel draws.

    Args:
        reducer: With one input.
        kernel: What is not 0 in it belongs to the neighbourhood.
        weighting: `mask`, `kernel` or `min` of both.
        skip_masked: Whether pixels that are masked themselves stay so.
    """

    def __init__(
        self, reducer: Reducer, kernel: Kernel, weighting: str, *, skip_masked: bool
    ) -> None:
        self.reducer = reducer
        self.members = _members(kernel)
        self.halo = halo_of(kernel)
        self.weighting = weighting
        self.skip_masked = skip_masked

    def output(self, index: int) -> Callable[[Block], Block]:
        """Return the function that makes one output from a block with its halo."""

        def reduced(block: Block) -> Block:
            return self._reduced(block, index)

        return reduced

    def _reduced(self, block: Block, index: int) -> Block:
        top, bottom, left, right = self.halo
        height = block.values.shape[0] - top - bottom
        width = block.values.shape[1] - left - right
        strip = max(1, STACK_BYTES // (8 * max(1, len(self.members)) * max(1, width)))
        parts = [
            self._strip(block, first, min(strip, height - first), width, index)
            for first in range(0, height, strip)
        ]
        values = np.concatenate([values for values, _ in parts])
        mask = _joined([mask for _, mask in parts], [len(values) for values, _ in parts], width)
        if self.skip_masked and block.mask is not None:
            own = block.mask[top : top + height, left : left + width]
            mask = own if mask is None else np.where(mask, own, np.zeros((), own.dtype))
        return Block(values, mask)

    def _strip(
        self, block: Block, first: int, rows: int, width: int, index: int
    ) -> statistics.Result:
        cuts = [
            (slice(first + row, first + row + rows), slice(col, col + width))
            for row, col, _ in self.members
        ]
        stack = np.stack([block.values[cut] for cut in cuts])
        masks = None if block.mask is None else np.stack([block.mask[cut] for cut in cuts])
        result: statistics.Result = self.reducer.reduce(stack, self._weights(masks, stack))[index]
        return np.broadcast_to(result[0], stack.shape[1:]), result[1]

    def _weights(self, masks: statistics.Weights, stack: Values) -> statistics.Weights:
        if self.weighting == "mask":
            return masks
        kernel = np.array([weight for *_, weight in self.members]).reshape(-1, 1, 1)
        own: Values = np.broadcast_to(kernel, stack.shape)
        if masks is None:
            return own
        if self.weighting == "min":
            return np.asarray(np.minimum(own, masks.astype(np.float64)))
        return np.where(masks > 0, own, 0.0)


def _joined(masks: Sequence[Values | None], heights: Sequence[int], width: int) -> Values | None:
    if all(mask is None for mask in masks):
        return None
    joined: Values = np.concatenate(
        [
            np.ones((height, width), bool) if mask is None else mask
            for mask, height in zip(masks, heights, strict=True)
        ]
    )
    return joined


@REGISTRY.function("Image.reduceNeighborhood")
def reduce_neighborhood(
    image: Image,
    reducer: Reducer,
    kernel: Kernel,
    inputWeight: str = "kernel",
    skipMasked: bool = True,
    optimization: str | None = None,
) -> Image:
    """Return a reducer's outputs over the neighbourhood of each pixel, as `band_output`."""
    where = "Image.reduceNeighborhood"
    if inputWeight not in ("mask", "kernel", "min"):
        raise bad_request(
            f"{where}: 'inputWeight' must be 'mask', 'kernel' or 'min'. Got '{inputWeight}'."
        )
    if optimization not in (None, "boxcar", "window"):
        raise bad_request(
            f"{where}: 'optimization' must be 'boxcar' or 'window'. Got '{optimization}'."
        )
    if reducer.inputs != 1:
        raise bad_request(
            f"{where}: Reducers of several inputs are not implemented by this emulator."
        )
    bands = [
        replace(made, name=f"{band.name}_{output}")
        for band in image.bands
        for output, made in zip(
            reducer.outputs,
            _reduced_bands(band, reducer, kernel, inputWeight, skip_masked=skipMasked),
            strict=True,
        )
    ]
    return image.with_bands(bands)


def _reduced_bands(
    band: Band, reducer: Reducer, kernel: Kernel, weighting: str, *, skip_masked: bool
) -> list[Band]:
    return [
        replace(
            band,
            type=kind,
            node=on_each_grid(
                band.node,
                kernel,
                _maker(reducer, weighting, index, kind, skip_masked=skip_masked),
                kind.dtype,
            ),
        )
        for index, kind in enumerate(reducer.result_type(band.type))
    ]


def _maker(
    reducer: Reducer, weighting: str, index: int, kind: PixelType, *, skip_masked: bool
) -> Callable[[Node, Kernel], Node]:
    def make(node: Node, kernel: Kernel) -> Node:
        neighbors = Neighbors(reducer, kernel, weighting, skip_masked=skip_masked)
        return Neighborhood((node,), neighbors.halo, neighbors.output(index), kind.dtype)

    return make


_FOCAL: dict[str, tuple[Reducer, str]] = {
    "Max": (reducers.MAX, "Return the largest value around each pixel."),
    "Min": (reducers.MIN, "Return the smallest value around each pixel."),
    "Median": (reducers.median(), "Return the median around each pixel."),
    "Mode": (reducers.mode(), "Return the most frequent value around each pixel."),
    "Mean": (reducers.MEAN, "Return the mean around each pixel."),
}


def _register_focal(name: str, reducer: Reducer, summary: str) -> None:
    where = f"Image.focal{name}"

    def focal(
        image: Image,
        radius: float = 1.5,
        kernelType: str = "circle",
        units: str = "pixels",
        iterations: int = 1,
        kernel: Kernel | None = None,
    ) -> Image:
        if iterations < 1:
            raise bad_request(f"{where}: 'iterations' must be at least 1. Got {iterations}.")
        drawn = kernel
        if drawn is None:
            drawn = of_shape(kernelType, radius, units, False, 1.0, where)
        # Masked neighbours are left out, masked pixels filled: focal means are there to fill gaps.
        result = image
        for _ in range(iterations):
            result = result.with_bands(
                _reduced_bands(band, reducer, drawn, "mask", skip_masked=False)[0]
                for band in result.bands
            )
        return result

    focal.__doc__ = summary
    REGISTRY.function(where, f"Image.focal_{name.lower()}")(focal)


for _name, (_reducer, _summary) in _FOCAL.items():
    _register_focal(_name, _reducer, _summary)


@REGISTRY.function("Image.neighborhoodToBands")
def neighborhood_to_bands(image: Image, kernel: Kernel) -> Image:
    """Return a band for each neighbour of each pixel, named `band_x_y` from the kernel's focus."""
    drawn = unscaled(kernel, "Image.neighborhoodToBands")
    row, col = drawn.center
    bands = []
    for band in image.bands:
        for down, right, _ in _members(drawn):
            name = f"{band.name}_{right - col}_{down - row}"
            bands.append(replace(band, name=name, node=shifted(band.node, down - row, right - col)))
    return inherited(image, bands)


def shifted(node: Node, rows: int, cols: int) -> Node:
    """Return a node whose pixel is the one some rows below and columns to the right."""
    halo = (max(0, -rows), max(0, rows), max(0, -cols), max(0, cols))

    def moved(block: Block) -> Block:
        height = block.values.shape[0] - halo[0] - halo[1]
        width = block.values.shape[1] - halo[2] - halo[3]
        top, left = halo[0] + rows, halo[2] + cols
        cut = slice(top, top + height), slice(left, left + width)
        return Block(block.values[cut], None if block.mask is None else block.mask[cut])

    return Neighborhood((node,), halo, moved, node.dtype)
