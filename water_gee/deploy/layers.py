"""What each kind of layer means: one rule table for shapes, one for NumPy, one for Earth Engine.

Every table has the same keys. A new kind is a function in each, and a reader in `read_keras.py`.

Earth Engine's images have no edge and no origin: the image of a node holds, at each pixel, the
value that the tensor has where its receptive field is centred on that pixel. A `valid` convolution
is then a centred kernel, and cropping changes nothing. That holds where every input of a node
has lost the same number of pixels at each side, which the shape rules assert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ee
import numpy as np

from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.graph import INPUT, Extent, LayerGraph, Node
from water_gee.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    ShapeRule = Callable[[Node, Sequence[Extent]], Extent]
    NumpyRule = Callable[[Node, Sequence[Array]], Array]
    EarthEngineRule = Callable[[Node, Sequence[ee.Image]], ee.Image]


# ----------------------------------------------------------------------------------------- shapes


def _input_shape(node: Node, _: Sequence[Extent]) -> Extent:
    return Extent(int(node.attributes["channels"]))


def _conv_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    rows, cols, channels, filters = node.weights["kernel"].shape
    if channels != inputs[0].channels:
        raise _refusal(node, f"its kernel takes {channels} channels, not {inputs[0].channels}")
    if rows % 2 == 0 or cols % 2 == 0:
        raise _refusal(node, f"a {rows} x {cols} kernel has no centre pixel; use odd sizes")
    up, side = rows // 2, cols // 2
    return inputs[0].shrunk(filters, up, up, side, side)


def _concatenate_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    first = inputs[0]
    for name, other in zip(node.inputs, inputs, strict=True):
        if other.lost != first.lost:
            raise _refusal(
                node,
                f"{node.inputs[0]!r} has lost {first.lost} pixels (top, bottom, left, right) of "
                f"the input and {name!r} {other.lost}; crop them so that they lie on each other",
            )
    return Extent(sum(extent.channels for extent in inputs), *first.lost)


def _crop_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    return inputs[0].shrunk(inputs[0].channels, *_cropping(node))


def _select_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    channels = node.attributes["channels"]
    if not channels or max(channels) >= inputs[0].channels or min(channels) < 0:
        raise _refusal(node, f"it takes channels {channels} of {inputs[0].channels}")
    return Extent(len(channels), *inputs[0].lost)


def _activation_shape(_: Node, inputs: Sequence[Extent]) -> Extent:
    return inputs[0]


SHAPE: dict[str, ShapeRule] = {
    INPUT: _input_shape,
    "conv": _conv_shape,
    "concatenate": _concatenate_shape,
    "crop": _crop_shape,
    "select": _select_shape,
    "activation": _activation_shape,
}


# ------------------------------------------------------------------------------------------ NumPy


def _input_numpy(_: Node, inputs: Sequence[Array]) -> Array:
    return inputs[0]


def _conv_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    kernel = node.weights["kernel"].astype(x.dtype)
    rows, cols = x.shape[0] - kernel.shape[0] + 1, x.shape[1] - kernel.shape[1] + 1
    out = np.broadcast_to(
        node.weights["bias"].astype(x.dtype), (rows, cols, kernel.shape[3])
    ).copy()
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            # All pixels times one tap in one product of two matrices, then shifted into place.
            products = (x.reshape(-1, x.shape[2]) @ kernel[i, j]).reshape(*x.shape[:2], -1)
            out += products[i : i + rows, j : j + cols]
    return _activation_numpy(node, [out])


def _concatenate_numpy(_: Node, inputs: Sequence[Array]) -> Array:
    return np.concatenate(list(inputs), axis=-1)


def _crop_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    top, bottom, left, right = _cropping(node)
    return x[top : x.shape[0] - bottom, left : x.shape[1] - right]


def _select_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    return inputs[0][..., list(node.attributes["channels"])]


def _activation_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    return ACTIVATIONS[node.attributes["activation"]].numpy(inputs[0])


NUMPY: dict[str, NumpyRule] = {
    INPUT: _input_numpy,
    "conv": _conv_numpy,
    "concatenate": _concatenate_numpy,
    "crop": _crop_numpy,
    "select": _select_numpy,
    "activation": _activation_numpy,
}


# ----------------------------------------------------------------------------------- Earth Engine


def _input_ee(_: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    return inputs[0]


def _conv_ee(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    kernel = node.weights["kernel"]
    weighted = _pointwise if kernel.shape[:2] == (1, 1) else _neighbourhoods
    total = ee.Reducer.sum()
    sums = cat([products.reduce(total) for products in weighted(inputs[0], kernel)])
    biased: ee.Image = sums.add(ee.Image.constant(_numbers(node.weights["bias"]))).toFloat()
    return _activation_ee(node, [biased])


def _pointwise(image: ee.Image, kernel: Array) -> list[ee.Image]:
    """For each filter of a 1 x 1 layer: every band times its weight."""
    return [image.multiply(ee.Image.constant(_numbers(weights))) for weights in kernel[0, 0].T]


def _neighbourhoods(image: ee.Image, kernel: Array) -> list[ee.Image]:
    """For each filter: every band convolved with its own kernel.

    `convolve` does not flip its kernel and neither does Keras, so weights go in as they are.
    """
    bands = [image.select([channel]) for channel in range(kernel.shape[2])]
    return [
        cat(
            [
                band.convolve(ee.Kernel.fixed(weights=_numbers(kernel[:, :, channel, out])))
                for channel, band in enumerate(bands)
            ]
        )
        for out in range(kernel.shape[3])
    ]


def _concatenate_ee(_: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    return cat(list(inputs))


def _crop_ee(_: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    return inputs[0]


def _select_ee(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    chosen: ee.Image = inputs[0].select(list(node.attributes["channels"]))
    return chosen


def _activation_ee(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
    return ACTIVATIONS[node.attributes["activation"]].earth_engine(inputs[0])


EARTH_ENGINE: dict[str, EarthEngineRule] = {
    INPUT: _input_ee,
    "conv": _conv_ee,
    "concatenate": _concatenate_ee,
    "crop": _crop_ee,
    "select": _select_ee,
    "activation": _activation_ee,
}


def cat(images: list[ee.Image]) -> ee.Image:
    """All bands of all images in one, by one call.

    The client's own `ee.Image.cat` makes a chain of `addBands` as deep as the list is long; the
    service's function of the same name takes the list.
    """
    if len(images) == 1:
        return images[0]
    joined: ee.Image = ee.ApiFunction.call_("Image.cat", images)
    return joined


def _numbers(weights: Array) -> Any:
    """Nested lists of the shortest decimals that give the same float32 again."""
    if weights.ndim == 0:
        return float(str(np.float32(weights)))
    return [_numbers(part) for part in weights]


# -------------------------------------------------------------------------------------- the graph


def extents(graph: LayerGraph) -> dict[str, Extent]:
    """The shape of every node's output.

    Raises:
        UnsupportedLayerError: Inputs of a node do not fit each other, or there is no such kind.
    """
    found: dict[str, Extent] = {}
    for node in graph:
        rule = SHAPE.get(node.kind)
        if rule is None:
            raise _refusal(node, f"there is no rule for it; there are {', '.join(SHAPE)}")
        found[node.name] = rule(node, [found[name] for name in node.inputs])
    return found


def margins(graph: LayerGraph) -> tuple[int, int]:
    """How far the window of an output pixel reaches from it, `(rows, columns)`.

    Raises:
        UnsupportedLayerError: The window has no centre pixel, or nodes do not fit each other.
    """
    last = extents(graph)[graph.output]
    if last.top != last.bottom or last.left != last.right:
        raise _refusal(
            graph[graph.output],
            f"the output has lost {last.lost} pixels (top, bottom, left, right) of the input, so "
            "that its windows have no centre; crop both sides alike",
        )
    return last.top, last.left


def receptive_field(graph: LayerGraph) -> tuple[int, int]:
    """The window of the input that one output pixel stands for, `(rows, columns)`."""
    rows, cols = margins(graph)
    return 2 * rows + 1, 2 * cols + 1


def run_numpy(graph: LayerGraph, values: Array) -> Array:
    """Run the network over one array; the type given is the type computed in.

    Args:
        graph: The network.
        values: `(row, col, channel)` without NaN.

    Returns:
        `(row - 2 margin, col - 2 margin, channel)`.
    """
    extents(graph)
    left = graph.readers()
    made: dict[str, Array] = {}
    for node in graph:
        inputs = [values] if node.kind == INPUT else [made[name] for name in node.inputs]
        made[node.name] = NUMPY[node.kind](node, inputs)
        for name in node.inputs:
            left[name] -= 1
            if not left[name]:
                del made[name]
    return made[graph.output]


def _cropping(node: Node) -> tuple[int, int, int, int]:
    top, bottom, left, right = (int(n) for n in node.attributes["cropping"])
    return top, bottom, left, right


def _refusal(node: Node, reason: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(node.name, node.kind, reason)
