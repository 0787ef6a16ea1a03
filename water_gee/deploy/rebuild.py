"""Layer graph -> Keras 3: what was read from elsewhere, as a network that can be used and saved."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy import read_keras
from water_gee.deploy.activations import SLOPE, parameters_of
from water_gee.deploy.graph import INPUT
from water_gee.deploy.layers import dilation, extents, groups
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from water_gee.deploy.graph import LayerGraph, Node

    Rule = Callable[[Node, Sequence[Any]], Any]
    """From Keras tensors to a Keras tensor."""

L = keras.layers

_WEIGHTS = ("kernel", "bias", "scale", "offset", SLOPE)
"""In the order in which Keras' layers have theirs."""


def network(graph: LayerGraph) -> keras.Model:
    """A Keras 3 network that says what a graph says.

    Args:
        graph: Any network.

    Returns:
        Functional, of stock layers, `(n, row, col, channel)` of any size; its layers have the names
        of the graph's nodes, with `_` for `/`.

    Raises:
        UnsupportedLayerError: Nodes that do not fit each other.
    """
    extents(graph)
    made: dict[str, Any] = {}
    taken: set[str] = set()
    for node in graph:
        inputs = [made[name] for name in node.inputs]
        name = node.name.replace("/", "_")
        while name in taken:
            name += "_"
        taken.add(name)
        made[node.name] = KERAS[node.kind](dataclasses.replace(node, name=name), inputs)
        layer = made[node.name]._keras_history.operation
        if isinstance(layer, L.Layer) and layer.weights:
            arrays = [node.weights[weight] for weight in _WEIGHTS if weight in node.weights]
            shapes = [variable.shape for variable in layer.weights]
            layer.set_weights([array.reshape(s) for array, s in zip(arrays, shapes, strict=True)])
    return keras.Model(made[graph.input.name], made[graph.output])


def without_padding(model: TrainedModel | Path | str) -> TrainedModel:
    """A model whose `same` padding is treated as `valid`, so that it can be mapped and deployed.

    Away from the border of an image the new network says what the old one says; nearer to it than
    the padding reaches it says nothing.

    Args:
        model: A trained model or its file.

    Returns:
        The rebuilt network with the same recipe and record, in memory only.

    Raises:
        UnsupportedLayerError: A layer without a form on Earth Engine.
        ModelError: No model there.
    """
    trained = resolve(model)
    graph = read_keras.read(trained.network, same_as_valid=True)
    return TrainedModel(network(graph), trained.recipe, dict(trained.record))


def _input(node: Node, _: Sequence[Any]) -> Any:
    return keras.Input((None, None, node.attributes["channels"]), name=node.name)


def _conv(node: Node, inputs: Sequence[Any]) -> Any:
    rows, cols, _, filters = node.weights["kernel"].shape
    return L.Conv2D(
        filters, (rows, cols), dilation_rate=dilation(node), groups=groups(node), name=node.name
    )(inputs[0])


def _affine(node: Node, inputs: Sequence[Any]) -> Any:
    scale, offset = (node.weights[name].tolist() for name in ("scale", "offset"))
    return L.Rescaling(scale, offset=offset, name=node.name)(inputs[0])


def _concatenate(node: Node, inputs: Sequence[Any]) -> Any:
    return L.Concatenate(name=node.name)(list(inputs)) if len(inputs) > 1 else inputs[0]


def _crop(node: Node, inputs: Sequence[Any]) -> Any:
    top, bottom, left, right = node.attributes["cropping"]
    return L.Cropping2D(((top, bottom), (left, right)), name=node.name)(inputs[0])


def _select(node: Node, inputs: Sequence[Any]) -> Any:
    channels = tuple(node.attributes["channels"])
    if channels == tuple(range(channels[0], channels[-1] + 1)):
        return inputs[0][..., channels[0] : channels[-1] + 1]
    parts = [inputs[0][..., channel : channel + 1] for channel in channels]
    return L.Concatenate(name=node.name)(parts)


_COMBINE = {
    "add": L.Add,
    "subtract": L.Subtract,
    "multiply": L.Multiply,
    "average": L.Average,
    "maximum": L.Maximum,
    "minimum": L.Minimum,
}


def _combine(node: Node, inputs: Sequence[Any]) -> Any:
    return _COMBINE[node.attributes["op"]](name=node.name)(list(inputs))


def _pool(node: Node, inputs: Sequence[Any]) -> Any:
    kind = L.AveragePooling2D if node.attributes["op"] == "mean" else L.MaxPooling2D
    return kind(node.attributes["size"], strides=1, name=node.name)(inputs[0])


def _normalize(node: Node, inputs: Sequence[Any]) -> Any:
    return L.LayerNormalization(epsilon=node.attributes["epsilon"], name=node.name)(inputs[0])


def _activation(node: Node, inputs: Sequence[Any]) -> Any:
    name, p = node.attributes["activation"], parameters_of(node)
    if name in {"relu", "relu6", "leaky_relu"}:
        layer = L.ReLU(p["max_value"], p["negative_slope"], p["threshold"], name=node.name)
        return layer(inputs[0])
    if name == "prelu":
        return L.PReLU(shared_axes=[1, 2], name=node.name)(inputs[0])
    if name == "elu":
        return L.ELU(p["alpha"], name=node.name)(inputs[0])
    if name == "gelu":
        return keras.ops.gelu(inputs[0], approximate=p["approximate"])
    if name == "hard_sigmoid" and not np.isclose(p["slope"], 1 / 6):
        line = L.Rescaling(p["slope"], offset=0.5, name=f"{node.name}_line")(inputs[0])
        return L.ReLU(max_value=1.0, name=node.name)(line)
    return L.Activation(name, name=node.name)(inputs[0])


KERAS: dict[str, Rule] = {
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
