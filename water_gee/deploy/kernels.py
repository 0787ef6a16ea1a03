"""The published form: every kind of layer as kernels and sums of bands, kept shallow.

One `ee.Kernel.fixed` for each pair of channels that has a weight at all. The products of a filter
stand side by side in one image and are summed by one `reduce`, instead of by a chain of `add` that
overruns the client's recursion and the service's nesting limit. A 1 x 1 layer is a sum of bands
times constants.

A rule takes one image for each input, one unmasked float band for each channel, and returns such an
image. The names of bands mean nothing, and where two images of several bands meet, they are given
the same names first: Earth Engine matches bands by name where it can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ee
import numpy as np

from water_gee.deploy.activations import ACTIVATIONS, parameters_of
from water_gee.deploy.graph import INPUT, Node
from water_gee.deploy.layers import dilation, groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Rule = Callable[[Node, Sequence[ee.Image]], ee.Image]


def cat(images: Sequence[ee.Image]) -> ee.Image:
    """All bands of all images in one, by one call.

    The client's own `ee.Image.cat` makes a chain of `addBands` as deep as the list is long; the
    service's function of the same name takes the list.
    """
    if len(images) == 1:
        return images[0]
    joined: ee.Image = ee.ApiFunction.call_("Image.cat", list(images))
    return joined


def numbers(weights: Array) -> Any:
    """Nested lists of the shortest decimals that give the same float32 again."""
    if weights.ndim == 0:
        return float(str(np.float32(weights)))
    return [numbers(part) for part in weights]


def spread(taps: Array, apart: tuple[int, int]) -> Any:
    """The weights of a dilated kernel as nested lists: zeros between its taps.

    Args:
        taps: `(row, col)`.
        apart: How far apart they are, `(rows, columns)`.
    """
    if apart == (1, 1):
        return numbers(taps)
    (rows, cols), (down, across) = taps.shape, apart
    weights: list[list[float]] = [
        [0] * ((cols - 1) * across + 1) for _ in range((rows - 1) * down + 1)
    ]
    for (row, col), weight in np.ndenumerate(taps):
        weights[row * down][col * across] = numbers(weight)
    return weights


def _input(_: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    return inputs[0]


def _conv(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    kernel = node.weights["kernel"]
    weighted = _pointwise if kernel.shape[:2] == (1, 1) else _neighbourhoods
    sums = cat(weighted(node, inputs[0]))
    biased: ee.Image = sums.add(ee.Image.constant(numbers(node.weights["bias"]))).toFloat()
    return _activation(node, [biased]) if "activation" in node.attributes else biased


def _taps(node: Node, filter_: int) -> list[tuple[int, Array]]:
    """The channels that a filter reads, by number, and its weights `(row, col)` for each.

    A channel of which every weight is 0 is left out.
    """
    kernel = node.weights["kernel"]
    first = filter_ // (kernel.shape[3] // groups(node)) * kernel.shape[2]
    of_filter = kernel[..., filter_]
    return [
        (first + channel, of_filter[..., channel])
        for channel in range(kernel.shape[2])
        if of_filter[..., channel].any()
    ]


def _nothing() -> ee.Image:
    """One band of 0, as the sum of nothing; named as sums are, not as constants are."""
    nothing: ee.Image = ee.Image.constant(0).rename(["sum"])
    return nothing


def _pointwise(node: Node, image: ee.Image) -> list[ee.Image]:
    """For each filter of a 1 x 1 layer: the sum of every band times its weight."""
    channels = node.weights["kernel"].shape[2] * groups(node)
    sums = []
    for filter_ in range(node.weights["kernel"].shape[3]):
        taps = _taps(node, filter_)
        if not taps:
            sums.append(_nothing())
            continue
        read = [channel for channel, _ in taps]
        bands = image if len(read) == channels else image.select(read)
        products = bands.multiply(ee.Image.constant([numbers(tap[0, 0]) for _, tap in taps]))
        sums.append(products if len(taps) == 1 else products.reduce(ee.Reducer.sum()))
    return sums


def _neighbourhoods(node: Node, image: ee.Image) -> list[ee.Image]:
    """For each filter: the sum of every band convolved with its own kernel.

    `convolve` does not flip its kernel and neither does Keras, so weights go in as they are.
    """
    apart = dilation(node)
    bands = [
        image.select([channel]) for channel in range(node.weights["kernel"].shape[2] * groups(node))
    ]
    sums = []
    for filter_ in range(node.weights["kernel"].shape[3]):
        products = [
            bands[channel].convolve(ee.Kernel.fixed(weights=spread(tap, apart)))
            for channel, tap in _taps(node, filter_)
        ]
        if len(products) > 1:
            sums.append(cat(products).reduce(ee.Reducer.sum()))
        else:
            sums.append(products[0] if products else _nothing())
    return sums


def _affine(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    scale, offset = node.weights["scale"], node.weights["offset"]
    (image,) = inputs
    if (scale != 1).any():
        image = image.multiply(ee.Image.constant(numbers(scale)))
    if offset.any():
        image = image.add(ee.Image.constant(numbers(offset)))
    return image.toFloat()


def _concatenate(_: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    return cat(inputs)


def _crop(_: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    return inputs[0]


def _select(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    chosen: ee.Image = inputs[0].select(list(node.attributes["channels"]))
    return chosen


_PAIRWISE: dict[str, str] = {
    "add": "add",
    "average": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "maximum": "max",
    "minimum": "min",
}
"""Operation of `combine` -> method of two images."""


def _combine(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    # Earth Engine matches bands by name if it can: every image gets the same names in order.
    named = [
        image.rename([f"c{index}" for index in range(count)]) if count > 1 else image
        for image, count in zip(inputs, node.attributes["channels"], strict=True)
    ]
    method = _PAIRWISE[node.attributes["op"]]
    while len(named) > 1:  # in a tree: a chain would be as deep as there are inputs
        pairs = [getattr(a, method)(b) for a, b in zip(named[::2], named[1::2], strict=False)]
        named = pairs + named[2 * len(pairs) :]
    whole = named[0].divide(len(inputs)) if node.attributes["op"] == "average" else named[0]
    combined: ee.Image = whole.toFloat()
    return combined


def _pool(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    rows, cols = node.attributes["size"]
    window = ee.Kernel.fixed(weights=[[1] * cols] * rows)
    if node.attributes["op"] == "max":
        largest: ee.Image = inputs[0].reduceNeighborhood(ee.Reducer.max(), window)
        return largest.toFloat()
    mean: ee.Image = inputs[0].convolve(window).divide(rows * cols).toFloat()
    return mean


def _normalize(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    mean = ee.Reducer.mean()
    centred = inputs[0].subtract(inputs[0].reduce(mean))
    variance = centred.multiply(centred).reduce(mean)
    return _affine(node, [centred.divide(variance.add(node.attributes["epsilon"]).sqrt())])


def _activation(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    function = ACTIVATIONS[node.attributes["activation"]]
    return function.earth_engine(inputs[0], parameters_of(node))


KERNELS: dict[str, Rule] = {
    INPUT: _input,
    "conv": _conv,
    "affine": _affine,
    "concatenate": _concatenate,
    "crop": _crop,
    "select": _select,
    "combine": _combine,
    "pool": _pool,
    "normalize": _normalize,
    "activation": _activation,
}
"""Kind -> rule, as `layers.SHAPE` has them."""
