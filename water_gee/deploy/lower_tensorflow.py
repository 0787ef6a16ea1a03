"""Functions and operations of TensorFlow inside Keras 2 models, as those of `lower_functions`.

Before TensorFlow 2.4 a function in a functional model became a `TensorFlowOpLayer`, which holds the
operation's `node_def` and, by their places among its inputs, the constants it reads. Later ones are
`SlicingOpLambda` for `x[...]` and `TFOpLambda` for all else, which hold the function's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.building import Layer, Reference
from water_gee.deploy.lower_functions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OPERATIONS = {
    "StridedSlice": "getitem",
    "ConcatV2": "concatenate",
    "Add": "add",
    "AddV2": "add",
    "BiasAdd": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "RealDiv": "divide",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Neg": "negative",
    "Relu": "relu",
    "Relu6": "relu6",
    "Elu": "elu",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softmax": "softmax",
}
"""Operations of TensorFlow -> keys of `lower_functions.FUNCTIONS`."""

_FUNCTIONS = {
    "__operators__.getitem": "getitem",
    "__operators__.add": "add",
    "math.add": "add",
    "math.subtract": "subtract",
    "math.multiply": "multiply",
    "math.truediv": "divide",
    "math.divide": "divide",
    "math.maximum": "maximum",
    "math.minimum": "minimum",
    "math.negative": "negative",
    "math.sigmoid": "sigmoid",
    "nn.sigmoid": "sigmoid",
    "math.tanh": "tanh",
    "nn.tanh": "tanh",
    "math.softplus": "softplus",
    "nn.softplus": "softplus",
    "nn.relu": "relu",
    "nn.relu6": "relu6",
    "nn.leaky_relu": "leaky_relu",
    "nn.elu": "elu",
    "nn.selu": "selu",
    "nn.gelu": "gelu",
    "nn.silu": "silu",
    "nn.swish": "silu",
    "nn.softmax": "softmax",
    "concat": "concatenate",
}
"""Functions of TensorFlow, as `TFOpLambda` names them."""


def unwrapped(layer: Layer) -> Layer | None:
    """A layer that wraps a function of TensorFlow, in the words of `lower_functions`.

    Args:
        layer: Its arguments are a `Reference` for each input, plain constants, and `(name, value)`
            for named ones.

    Returns:
        None if it wraps none.

    Raises:
        UnsupportedLayerError: A function that has no form here.
    """
    if layer.kind == "TensorFlowOpLayer":
        return _operation(layer)
    if layer.kind not in {"TFOpLambda", "SlicingOpLambda"}:
        return None
    kind = _FUNCTIONS.get(str(layer.config.get("function")))
    if kind is None:
        raise layer.refusal(
            f"it calls tf.{layer.config.get('function')}; of functions only "
            f"{', '.join(sorted(set(FUNCTIONS)))} can be converted"
        )
    named: dict[str, Any] = dict(given for given in layer.arguments if isinstance(given, tuple))
    plain = tuple(given[1] if isinstance(given, tuple) else given for given in layer.arguments)
    if kind == "getitem":
        plain = (Reference(0), _key(named.get("slice_spec")))
    return Layer(layer.name, kind, named, {}, layer.inputs, plain, 2, layer.same_as_valid)


def _key(spec: Any) -> Any:
    """An index as Keras writes it: dictionaries for slices and dots."""
    if isinstance(spec, dict) and spec.get("class_name") == "__tuple__":
        spec = spec["items"]
    parts = spec if isinstance(spec, list) else [spec]
    return tuple(_part(part) for part in parts)


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("class_name") == "__ellipsis__":
        return Ellipsis
    about = part.get("config", part)
    return slice(about.get("start"), about.get("stop"), about.get("step"))


def _operation(layer: Layer) -> Layer:
    """A node of TensorFlow's graph, with the constants among its inputs."""
    node = _node(layer)
    kind = _OPERATIONS.get(str(node.get("op")))
    if kind is None:
        raise layer.refusal(
            f"it is TensorFlow's {node.get('op')}; of operations only "
            f"{', '.join(sorted(_OPERATIONS))} can be converted"
        )
    constants = {int(at): value for at, value in (layer.config.get("constants") or {}).items()}
    tensors = iter(given for given in layer.arguments if isinstance(given, Reference))
    count = len(layer.arguments) + len(constants)
    arguments = [constants[at] if at in constants else next(tensors) for at in range(count)]
    config: dict[str, Any] = {}
    if kind == "getitem":
        arguments = [arguments[0], _strided(layer, node, arguments[1:])]
    elif kind == "concatenate":
        config["axis"] = int(np.asarray(arguments[-1]))
    return Layer(
        layer.name, kind, config, {}, layer.inputs, tuple(arguments), 2, layer.same_as_valid
    )


def _node(layer: Layer) -> Mapping[str, Any]:
    """The operation as JSON; before TensorFlow 2.2 it was written in protobuf's own form."""
    node = layer.config.get("node_def")
    if isinstance(node, dict):
        return node
    from google.protobuf import json_format

    from water_gee.training.backend import tf

    raw = node if isinstance(node, bytes) else str(node).encode()
    try:
        parsed = tf.compat.v1.NodeDef.FromString(raw)
    except Exception as error:  # protobuf's own, by implementation
        raise layer.refusal("its operation cannot be read; save the model again") from error
    found: dict[str, Any] = json_format.MessageToDict(parsed)
    return found


def _strided(layer: Layer, node: Mapping[str, Any], constants: Sequence[Any]) -> tuple[Any, ...]:
    """The index that a strided slice stands for: masks say which of its ends hold.

    Source: the documentation of `tf.strided_slice`.
    """
    if len(constants) != 3 or any(isinstance(part, Reference) for part in constants):
        raise layer.refusal("it takes a window that is computed; only fixed ones can be taken")
    begin, end, strides = (np.atleast_1d(np.asarray(part)).tolist() for part in constants)
    masks = {
        name: int(node.get("attr", {}).get(f"{name}_mask", {}).get("i", 0))
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    parts: list[Any] = []
    for at, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << at
        if masks["ellipsis"] & bit:
            parts.append(Ellipsis)
        elif masks["new_axis"] & bit:
            parts.append(None)
        elif masks["shrink_axis"] & bit:
            parts.append(first)
        else:
            start = None if masks["begin"] & bit else first
            stop = None if masks["end"] & bit else last
            parts.append(slice(start, stop, None if step == 1 else step))
    return tuple(parts)
