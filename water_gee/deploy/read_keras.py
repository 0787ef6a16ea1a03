"""Keras 3 -> layer graph, and a clear refusal for what has no form on Earth Engine."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy import lower
from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.building import RANK, Builder, Layer, Reference
from water_gee.deploy.lower_functions import FUNCTIONS
from water_gee.errors import DeployError, UnsupportedLayerError
from water_gee.training.backend import keras, tf
from water_gee.training.soundness import neutral

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from water_gee.deploy.graph import LayerGraph

    Key = tuple[int, int, int]
    """An operation, which of its calls, and which of its outputs."""

_NOWHERE = object()

OPERATIONS: dict[str, str] = {
    "GetItem": "getitem",
    "Concatenate": "concatenate",
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "Divide": "divide",
    "TrueDivide": "divide",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Negative": "negative",
    "Relu": "relu",
    "Relu6": "relu6",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "Selu": "selu",
    "Gelu": "gelu",
    "Silu": "silu",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard_sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softmax": "softmax",
}
"""Classes behind functions of `keras.ops` -> keys of `lower_functions.FUNCTIONS`."""


def read(network: keras.Model, *, same_as_valid: bool = False) -> LayerGraph:
    """Read a functional or sequential Keras model; models inside it are laid open.

    Args:
        network: One input `(n, row, col, channel)`, one output of the same rank.
        same_as_valid: Treat `same` padding as `valid`. Away from the border of an image the network
            says the same; at the border it sees what lies beyond, and not zeros.

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
    reading = _Reading(same_as_valid)
    graph = reading.builder.graph(reading.model(network, None, "")[0])
    fill = neutral(network)
    return graph if fill is None else graph.filled(tuple(float(str(value)) for value in fill))


class _Reading:
    """One model being read."""

    def __init__(self, same_as_valid: bool) -> None:
        self.builder = Builder(same_as_valid=same_as_valid)

    def model(self, model: Any, sources: Sequence[str] | None, prefix: str) -> list[str]:
        """Put a model's layers; returns the nodes of its outputs.

        Args:
            model: Functional or sequential.
            sources: The nodes that it reads; None for the network itself.
            prefix: Before the names of its layers.
        """
        names: dict[Key, str] = {}
        if sources is not None:
            names = {_key(tensor): name for tensor, name in zip(model.inputs, sources, strict=True)}
        for operation, call in _in_order(model.outputs, set(names)):
            arguments = operation._inbound_nodes[call]
            read = [names[_key(tensor)] for tensor in arguments.input_tensors]
            name = prefix + (operation.name if call == 0 else f"{operation.name}_call{call}")
            for index, node in enumerate(self._operation(operation, arguments, name, read)):
                names[id(operation), call, index] = node
        return [names[_key(tensor)] for tensor in model.outputs]

    def _operation(self, operation: Any, call: Any, name: str, read: list[str]) -> list[str]:
        if call.is_input:
            return [self._input(operation, name)]
        if _is_stock_model(operation):
            return self.model(operation, read, f"{name}/")
        layer = self._described(operation, call, name, read)
        reader = FUNCTIONS[layer.kind] if _operation_name(operation) else lower.LAYERS[layer.kind]
        return [self.builder.put(name, reader(layer), read)]

    def _input(self, layer: Any, name: str) -> str:
        shape = layer.batch_shape
        if len(shape) != RANK or shape[-1] is None:
            reason = f"its shape is {shape}; give keras.Input((None, None, channels))"
            raise UnsupportedLayerError(name, type(layer).__name__, reason)
        return self.builder.input(name, int(shape[-1]), (shape[1], shape[2]))

    def _described(self, operation: Any, call: Any, name: str, read: list[str]) -> Layer:
        """A layer or function in the words of `lower.py`."""
        inputs = tuple(self.builder.tensors[source] for source in read)
        same = self.builder.same_as_valid
        function = _operation_name(operation)
        if function:
            config = {key: value for key, value in vars(operation).items() if key[0] != "_"}
            arguments = _arguments(call)
            return Layer(name, function, config, {}, inputs, arguments, 3, same)
        kind = type(operation).__name__
        if not _is_stock(operation) or kind not in lower.LAYERS:
            raise lower.refuse(Layer(name, kind, {}), own=not _is_stock(operation))
        return Layer(name, kind, _config(operation), _weights(operation), inputs, (), 3, same)


def _key(tensor: Any) -> Key:
    operation, call, index = tensor._keras_history
    return id(operation), call, index


def _in_order(outputs: Sequence[Any], given: set[Key]) -> list[tuple[Any, int]]:
    """Every call of a layer that the outputs need, each after those it reads.

    Args:
        outputs: Keras tensors.
        given: Tensors that are there already.
    """
    done: dict[tuple[int, int], tuple[Any, int]] = {}
    stack = [(output, False) for output in reversed(outputs)]
    while stack:
        tensor, ready = stack.pop()
        operation, call, _ = tensor._keras_history
        if (id(operation), call) in done or _key(tensor) in given:
            continue
        if ready:
            done[id(operation), call] = (operation, call)
            continue
        stack.append((tensor, True))
        node = operation._inbound_nodes[call]
        if not node.is_input:
            stack.extend((source, False) for source in reversed(node.input_tensors))
    return list(done.values())


def _operation_name(operation: Any) -> str:
    """The key of `FUNCTIONS` for a function of `keras.ops`; empty for anything else."""
    kind = type(operation)
    if not kind.__module__.startswith("keras.src.ops."):
        return ""
    return OPERATIONS.get(kind.__name__, "")


def _is_stock(layer: Any) -> bool:
    """Whether a layer is Keras' own: a subclass may do anything."""
    return type(layer).__module__.startswith("keras.src.")


def _is_stock_model(operation: Any) -> bool:
    kind = type(operation)
    return kind.__module__.startswith("keras.src.models.") and bool(
        getattr(operation, "outputs", None)
    )


def _arguments(call: Any) -> tuple[Any, ...]:
    """The arguments of a function, a `Reference` for each tensor of the graph."""
    place = {id(tensor): index for index, tensor in enumerate(call.input_tensors)}
    given = (*call.arguments.args, *call.arguments.kwargs.values())
    return tuple(
        Reference(place[id(value)])
        if id(value) in place
        else keras.ops.convert_to_numpy(value)
        if keras.ops.is_tensor(value)
        else value
        for value in given
    )


def _weights(layer: Any) -> dict[str, np.ndarray[Any, Any]]:
    variables: Mapping[str, Any] = {variable.name: variable for variable in layer.weights}
    if "kernel" in variables:
        variables = {**variables, "kernel": layer.kernel}  # with what LoRA adds to it
    return {name: np.asarray(value) for name, value in variables.items()}


def _config(layer: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of functions of one's own, which are refused by name
        config = dict(layer.get_config())
    if hasattr(layer, "activation"):
        config["activation"] = _activation(layer.activation)
    return config


def _activation(function: Any) -> Any:
    """A function by the name of what it is, not of how it is called; a layer by its settings."""
    for name in ACTIVATIONS:
        if any(function is getattr(home, name, _NOWHERE) for home in (keras.activations, tf.nn)):
            return name
    if isinstance(function, keras.layers.Layer) and _is_stock(function):
        return {"class_name": type(function).__name__, "config": _config(function)}
    shown = getattr(function, "__name__", type(function).__name__)
    return f"{shown} of its own" if shown in lower.KNOWN else shown
