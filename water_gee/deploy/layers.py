"""What each kind of layer means: one rule table for shapes and one for NumPy.

What it means on Earth Engine is said by one table for each form, with the same keys: `kernels.py`
and `matrix.py`. Readers bring every layer down to these kinds:

    input        {channels}, and maybe {neutral: what stands for an unobserved pixel far away}
    conv         kernel (row, col, channel / groups, filter), bias (filter,); {dilation, groups}
    affine       scale (channel,), offset (channel,)
    concatenate
    crop         {cropping: (top, bottom, left, right)}
    select       {channels}
    combine      {op: a key of OPERATIONS, channels: of each input}; one channel goes with all
    pool         {op: mean | max, size: (rows, cols)}
    normalize    scale (channel,), offset (channel,); {epsilon}: over the channels of each pixel
    activation   {activation: a key of ACTIVATIONS, and its parameters}

A `conv` may carry an `activation` too, which `passes.separate_activations` takes out. Nothing has
strides and nothing is padded. Earth Engine's images have no edge and no origin: the image of a node
holds, at each pixel, the value that the tensor has where its receptive field is centred on that
pixel. A `valid` convolution is then a centred kernel, and cropping changes nothing. That holds
where every input of a node has lost the same number of pixels at each side, which the shape rules
assert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.activations import ACTIVATIONS, SLOPE, parameters_of
from water_gee.deploy.graph import INPUT, Extent, LayerGraph, Node
from water_gee.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    ShapeRule = Callable[[Node, Sequence[Extent]], Extent]
    NumpyRule = Callable[[Node, Sequence[Array]], Array]

OPERATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "average": np.add,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
"""What `combine` does to two inputs; an average is divided by their number afterwards."""


NEAR = 3
"""Pixels around each pixel that must be observed, whatever is put in place of farther ones."""


def groups(node: Node) -> int:
    """Into how many groups a convolution's channels and filters are cut, in order."""
    return int(node.attributes.get("groups", 1))


def dilation(node: Node) -> tuple[int, int]:
    """How far apart the taps of a convolution are, `(rows, columns)`; 1 is side by side."""
    down, across = node.attributes.get("dilation", (1, 1))
    return int(down), int(across)


def reach(node: Node) -> tuple[int, int]:
    """How many pixels a convolution or pool loses at each side, `(rows, columns)`."""
    if node.kind == "pool":
        rows, cols = node.attributes["size"]
        return rows // 2, cols // 2
    rows, cols = node.weights["kernel"].shape[:2]
    down, across = dilation(node)
    return rows // 2 * down, cols // 2 * across


# ----------------------------------------------------------------------------------------- shapes


def _input_shape(node: Node, _: Sequence[Extent]) -> Extent:
    return Extent(int(node.attributes["channels"]))


def _conv_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    rows, cols, channels, filters = node.weights["kernel"].shape
    parts = groups(node)
    if channels * parts != inputs[0].channels or filters % parts:
        raise _refusal(
            node,
            f"its kernel takes {channels * parts} channels, not {inputs[0].channels}, and its "
            f"{filters} filters are in {parts} groups",
        )
    _check_odd(node, rows, cols)
    up, side = reach(node)
    return inputs[0].shrunk(filters, up, up, side, side)


def _pool_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    rows, cols = node.attributes["size"]
    _check_odd(node, rows, cols)
    if node.attributes["op"] not in {"mean", "max"}:
        raise _refusal(node, f"it takes the {node.attributes['op']}; only mean and max can be")
    up, side = reach(node)
    return inputs[0].shrunk(inputs[0].channels, up, up, side, side)


def _concatenate_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    _check_aligned(node, inputs)
    return Extent(sum(extent.channels for extent in inputs), *inputs[0].lost)


def _combine_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    _check_aligned(node, inputs)
    op = node.attributes["op"]
    if op not in OPERATIONS or (op == "subtract" and len(inputs) != 2):
        raise _refusal(node, f"{op} of {len(inputs)}; known are {', '.join(OPERATIONS)}")
    counts = tuple(extent.channels for extent in inputs)
    channels = max(counts)
    if set(counts) - {1, channels} or counts != tuple(node.attributes["channels"]):
        raise _refusal(node, f"its inputs have {counts} channels; make them as many")
    return Extent(channels, *inputs[0].lost)


def _crop_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    return inputs[0].shrunk(inputs[0].channels, *_cropping(node))


def _select_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    channels = node.attributes["channels"]
    if not channels or max(channels) >= inputs[0].channels or min(channels) < 0:
        raise _refusal(node, f"it takes channels {channels} of {inputs[0].channels}")
    return Extent(len(channels), *inputs[0].lost)


def _per_channel_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    for name in ("scale", "offset"):
        if node.weights[name].shape != (inputs[0].channels,):
            shape = node.weights[name].shape
            raise _refusal(node, f"its {name} has shape {shape}, not ({inputs[0].channels},)")
    return inputs[0]


def _activation_shape(node: Node, inputs: Sequence[Extent]) -> Extent:
    name = node.attributes["activation"]
    if name not in ACTIVATIONS:
        raise _refusal(node, f"activation {name!r}; known are {', '.join(ACTIVATIONS)}")
    if name == "prelu" and node.weights[SLOPE].shape != (inputs[0].channels,):
        shape = node.weights[SLOPE].shape
        raise _refusal(node, f"its slopes have shape {shape}, not ({inputs[0].channels},)")
    return inputs[0]


def _check_odd(node: Node, rows: int, cols: int) -> None:
    if rows % 2 == 0 or cols % 2 == 0:
        raise _refusal(node, f"a {rows} x {cols} window has no centre pixel; use odd sizes")


def _check_aligned(node: Node, inputs: Sequence[Extent]) -> None:
    for name, other in zip(node.inputs, inputs, strict=True):
        if other.lost != inputs[0].lost:
            raise _refusal(
                node,
                f"{node.inputs[0]!r} has lost {inputs[0].lost} pixels (top, bottom, left, right) "
                f"of the input and {name!r} {other.lost}; crop them so that they lie on each other",
            )


SHAPE: dict[str, ShapeRule] = {
    INPUT: _input_shape,
    "conv": _conv_shape,
    "affine": _per_channel_shape,
    "concatenate": _concatenate_shape,
    "crop": _crop_shape,
    "select": _select_shape,
    "combine": _combine_shape,
    "pool": _pool_shape,
    "normalize": _per_channel_shape,
    "activation": _activation_shape,
}


# ------------------------------------------------------------------------------------------ NumPy


def _input_numpy(_: Node, inputs: Sequence[Array]) -> Array:
    return inputs[0]


def _conv_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    kernel = node.weights["kernel"].astype(x.dtype)
    parts, (down, across), (up, side) = groups(node), dilation(node), reach(node)
    height, width, filters = x.shape[0] - 2 * up, x.shape[1] - 2 * side, kernel.shape[3]
    out = np.broadcast_to(node.weights["bias"].astype(x.dtype), (height, width, filters)).copy()
    by_group = x.reshape(x.shape[0] * x.shape[1], parts, -1).swapaxes(0, 1)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            # All pixels times one tap in one product of two matrices, then shifted into place.
            tap = kernel[i, j].reshape(kernel.shape[2], parts, -1).swapaxes(0, 1)
            products = (by_group @ tap).swapaxes(0, 1).reshape(*x.shape[:2], filters)
            row, col = i * down, j * across
            out += products[row : row + height, col : col + width]
    return _activation_numpy(node, [out]) if "activation" in node.attributes else out


def _affine_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    scale, offset = (node.weights[name].astype(x.dtype) for name in ("scale", "offset"))
    return np.asarray(x * scale + offset)


def _concatenate_numpy(_: Node, inputs: Sequence[Array]) -> Array:
    return np.concatenate(list(inputs), axis=-1)


def _combine_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    operation = OPERATIONS[node.attributes["op"]]
    total = inputs[0]
    for other in inputs[1:]:
        total = operation(total, other)
    return np.asarray(total / len(inputs)) if node.attributes["op"] == "average" else total


def _crop_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    top, bottom, left, right = _cropping(node)
    return x[top : x.shape[0] - bottom, left : x.shape[1] - right]


def _select_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    return inputs[0][..., list(node.attributes["channels"])]


def _pool_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    rows, cols = node.attributes["size"]
    height, width = x.shape[0] - rows + 1, x.shape[1] - cols + 1
    shifted = [x[i : i + height, j : j + width] for i in range(rows) for j in range(cols)]
    mean = node.attributes["op"] == "mean"
    total = shifted[0]
    for part in shifted[1:]:
        total = total + part if mean else np.maximum(total, part)
    return np.asarray(total / len(shifted)) if mean else total


def _normalize_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return _affine_numpy(node, [centred / np.sqrt(variance + node.attributes["epsilon"])])


def _activation_numpy(node: Node, inputs: Sequence[Array]) -> Array:
    return ACTIVATIONS[node.attributes["activation"]].numpy(inputs[0], parameters_of(node))


NUMPY: dict[str, NumpyRule] = {
    INPUT: _input_numpy,
    "conv": _conv_numpy,
    "affine": _affine_numpy,
    "concatenate": _concatenate_numpy,
    "crop": _crop_numpy,
    "select": _select_numpy,
    "combine": _combine_numpy,
    "pool": _pool_numpy,
    "normalize": _normalize_numpy,
    "activation": _activation_numpy,
}


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


def needed(graph: LayerGraph) -> tuple[int, int]:
    """How far around a pixel all must be observed for it to be classified, `(rows, columns)`.

    The whole window; or 7 x 7 of it, where the network sees farther and has neutral values for the
    rest, see `training.soundness.needed`.

    Raises:
        UnsupportedLayerError: As `margins`.
    """
    rows, cols = margins(graph)
    if neutral(graph) is None:
        return rows, cols
    return min(rows, NEAR), min(cols, NEAR)


def neutral(graph: LayerGraph) -> tuple[float, ...] | None:
    """What stands for an unobserved pixel far away, a number for each feature; or None."""
    values = graph.input.attributes.get("neutral")
    return None if values is None else tuple(float(value) for value in values)


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
