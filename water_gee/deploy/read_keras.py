"""Keras 3 -> layer graph, and a clear refusal for what has no form on Earth Engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.graph import INPUT, LayerGraph, Node
from water_gee.deploy.layers import extents
from water_gee.errors import DeployError, UnsupportedLayerError
from water_gee.training.backend import keras

if TYPE_CHECKING:
    from collections.abc import Callable

    Facts = tuple[str, dict[str, Any], dict[str, Any]]
    """Kind, attributes and weights of a node."""


def read(network: keras.Model) -> LayerGraph:
    """Read a functional or sequential Keras model.

    Args:
        network: One input `(None, row, col, channel)`, one output of the same rank.

    Returns:
        The graph, checked: every node has its shape.

    Raises:
        DeployError: Not a built model of one input and one output.
        UnsupportedLayerError: A layer without a form on Earth Engine; layer, kind and remedy named.
    """
    outputs, inputs = getattr(network, "outputs", None), getattr(network, "inputs", None)
    if not outputs or not inputs or len(outputs) != 1 or len(inputs) != 1:
        raise DeployError(
            f"{getattr(network, 'name', network)!r} cannot be converted: it is no built Keras "
            "model of one input and one output; build it with keras.Model(inputs, outputs)"
        )
    nodes: list[Node] = []
    names: dict[tuple[int, int], str] = {}
    for operation, call in _in_order(outputs[0]):
        key = (id(operation), call)
        names[key] = operation.name if call == 0 else f"{operation.name}_call{call}"
        arguments = operation._inbound_nodes[call]
        read_from = tuple(names[_origin(tensor)] for tensor in arguments.input_tensors)
        kind, attributes, weights = _facts(operation, arguments)
        sources = () if kind == INPUT else read_from
        nodes.append(Node(names[key], kind, sources, attributes, weights))
    graph = LayerGraph(tuple(nodes), names[_origin(outputs[0])])
    extents(graph)
    return graph


def _origin(tensor: Any) -> tuple[int, int]:
    operation, call, _ = tensor._keras_history
    return id(operation), call


def _in_order(output: Any) -> list[tuple[Any, int]]:
    """Every call of a layer that the output needs, each after those it reads."""
    done: dict[tuple[int, int], tuple[Any, int]] = {}
    stack = [(output, False)]
    while stack:
        tensor, ready = stack.pop()
        operation, call, _ = tensor._keras_history
        if (id(operation), call) in done:
            continue
        if ready:
            done[id(operation), call] = (operation, call)
            continue
        stack.append((tensor, True))
        node = operation._inbound_nodes[call]
        if not node.is_input:
            stack.extend((source, False) for source in reversed(node.input_tensors))
    return list(done.values())


def _facts(operation: Any, call: Any) -> Facts:
    reader = READERS.get(type(operation)) or OPERATIONS.get(_operation_name(operation))
    if reader is None:
        known = sorted({kind.__name__ for kind in READERS} | {"x[..., a:b]"})
        raise _refusal(operation, f"only {', '.join(known)} can; use these, or ask for more")
    return reader(operation, call)


def _operation_name(operation: Any) -> str:
    kind = type(operation)
    return kind.__name__ if kind.__module__.startswith("keras.src.ops.") else ""


# ----------------------------------------------------------------------------------- one per layer


def _input(layer: Any, call: Any) -> Facts:
    shape = call.output_tensors[0].shape
    if len(shape) != 4 or shape[-1] is None:
        raise _refusal(layer, f"its shape is {shape}; give keras.Input((None, None, channels))")
    return INPUT, {"channels": int(shape[-1])}, {}


def _conv(layer: Any, _: Any) -> Facts:
    _channels_last(layer)
    if layer.padding != "valid":
        raise _refusal(
            layer,
            f"padding {layer.padding!r} means nothing on an image without an edge; build it with "
            "padding='valid' and crop what is joined with it",
        )
    for name, plain in (("strides", (1, 1)), ("dilation_rate", (1, 1)), ("groups", 1)):
        value = getattr(layer, name)
        if value != plain:
            raise _refusal(layer, f"{name} is {value}; only {plain} can be converted")
    if any(size % 2 == 0 for size in layer.kernel_size):
        raise _refusal(layer, f"a kernel of {layer.kernel_size} has no centre pixel; use odd sizes")
    kernel = _float32(layer, layer.kernel)
    bias = _float32(layer, layer.bias) if layer.use_bias else np.zeros(kernel.shape[3], "f4")
    attributes = {"activation": _activation_name(layer)}
    return "conv", attributes, {"kernel": kernel, "bias": bias}


def _concatenate(layer: Any, call: Any) -> Facts:
    axis = getattr(layer, "axis", -1)
    if axis not in {-1, len(call.input_tensors[0].shape) - 1}:
        raise _refusal(layer, f"it joins along axis {axis}; only channels (axis -1) can be joined")
    return "concatenate", {}, {}


def _cropping(layer: Any, _: Any) -> Facts:
    _channels_last(layer)
    (top, bottom), (left, right) = layer.cropping
    return "crop", {"cropping": (int(top), int(bottom), int(left), int(right))}, {}


def _activation(layer: Any, _: Any) -> Facts:
    return "activation", {"activation": _activation_name(layer)}, {}


def _relu(layer: Any, _: Any) -> Facts:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise _refusal(layer, "it has a largest value, a slope or a threshold; use a plain ReLU")
    return "activation", {"activation": "relu"}, {}


def _softmax(layer: Any, call: Any) -> Facts:
    axis = getattr(layer, "axis", -1)
    if axis not in {-1, len(call.input_tensors[0].shape) - 1}:
        raise _refusal(layer, f"it runs over axis {axis}; only channels (axis -1) can be used")
    return "activation", {"activation": "softmax"}, {}


def _get_item(operation: Any, call: Any) -> Facts:
    """`x[..., a:b]` and its kin: channels alone may be chosen."""
    channels = int(call.input_tensors[0].shape[-1])
    arguments = (*call.arguments.args[1:], *call.arguments.kwargs.values())
    key = arguments[0] if arguments else None
    parts = list(key) if isinstance(key, (tuple, list)) else [key]
    before, last = parts[:-1], parts[-1]
    whole = all(part is Ellipsis or part == slice(None) for part in before)
    reaches_channels = Ellipsis in before or len(before) == 3
    if not whole or not reaches_channels or not isinstance(last, slice):
        raise _refusal(operation, f"it takes [{key}]; only channels, as x[..., a:b], can be chosen")
    return "select", {"channels": tuple(range(*last.indices(channels)))}, {}


def _fixed(function: str) -> Callable[[Any, Any], Facts]:
    def reader(_: Any, __: Any) -> Facts:
        return "activation", {"activation": function}, {}

    return reader


READERS: dict[type, Callable[[Any, Any], Facts]] = {
    keras.layers.InputLayer: _input,
    keras.layers.Conv2D: _conv,
    keras.layers.Concatenate: _concatenate,
    keras.layers.Cropping2D: _cropping,
    keras.layers.Activation: _activation,
    keras.layers.ReLU: _relu,
    keras.layers.Softmax: _softmax,
}
"""By exact class: a subclass may do anything."""

OPERATIONS: dict[str, Callable[[Any, Any], Facts]] = {
    "GetItem": _get_item,
    "Concatenate": _concatenate,
    "Relu": _fixed("relu"),
    "Sigmoid": _fixed("sigmoid"),
    "Softmax": _softmax,
}
"""Functions of `keras.ops` that a functional model holds as they are."""


def _activation_name(layer: Any) -> str:
    for name in ACTIVATIONS:
        if layer.activation is getattr(keras.activations, name, None):
            return name
    shown = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    raise _refusal(layer, f"activation {shown!r}; use one of {', '.join(ACTIVATIONS)}")


def _channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise _refusal(layer, "its data are channels first; use data_format='channels_last'")


def _float32(layer: Any, variable: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(keras.ops.convert_to_numpy(variable), np.float32)
    if not np.isfinite(array).all():
        raise _refusal(layer, "it has weights that are no numbers; train it again")
    return array


def _refusal(operation: Any, reason: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(operation.name, type(operation).__name__, reason)
