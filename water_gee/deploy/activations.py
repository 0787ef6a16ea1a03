"""Activation functions: what each does to a NumPy array and to an Earth Engine image.

Each is written so that nothing overflows, in float32 either: no exponent is ever positive. A
function has parameters under the names that Keras gives them; what a node leaves out is Keras 3's
default. Definitions: keras.io/api/layers/activations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ee
import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from water_gee.deploy.graph import Node

    Array = npt.NDArray[Any]

Parameters = Mapping[str, Any]
"""Numbers, booleans or None by name."""

SLOPE = "slope"
"""The weight of a `prelu` node: one slope for each channel."""

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_GELU_REACH = 20.0  # beyond it, tanh is 1 in any type


@dataclass(frozen=True, slots=True)
class Activation:
    """One function, twice.

    Attributes:
        numpy: On `(row, col, channel)`; the type stays.
        earth_engine: On an image with one band for each channel.
        defaults: What its parameters are where a node does not say.
        each_alone: Whether a channel's value depends on that channel only.
    """

    numpy: Callable[[Array, Parameters], Array]
    earth_engine: Callable[[ee.Image, Parameters], ee.Image]
    defaults: Parameters = field(default_factory=dict)
    each_alone: bool = True


def parameters_of(node: Node) -> dict[str, Any]:
    """The parameters of the function that a node ends in.

    Returns:
        By Keras' names, and `slope`, float32 `(channel,)`, of a `prelu`.
    """
    known = ACTIVATIONS[node.attributes["activation"]].defaults
    given = {name: node.attributes[name] for name in known if name in node.attributes}
    weights = {SLOPE: node.weights[SLOPE]} if SLOPE in node.weights else {}
    return {**known, **given, **weights}


def _relu(x: Array, p: Parameters) -> Array:
    top, threshold, slope = p["max_value"], p["threshold"], p["negative_slope"]
    if threshold:
        above = np.where(x > threshold, x, np.zeros((), x.dtype))
    else:
        above = np.maximum(x, 0)
    if top is not None:
        above = np.clip(above, 0, top)
    return np.asarray(above + slope * np.minimum(x - threshold, 0)) if slope else above


def _relu_ee(image: ee.Image, p: Parameters) -> ee.Image:
    top, threshold, slope = p["max_value"], p["threshold"], p["negative_slope"]
    above = image.multiply(image.gt(threshold)) if threshold else image.max(0)
    if top is not None:
        above = above.min(top)
    if not slope:
        return above
    below = image.subtract(threshold).min(0) if threshold else image.min(0)
    return above.add(below.multiply(slope))


def _prelu(x: Array, p: Parameters) -> Array:
    return np.asarray(np.maximum(x, 0) + p[SLOPE].astype(x.dtype) * np.minimum(x, 0))


def _prelu_ee(image: ee.Image, p: Parameters) -> ee.Image:
    slopes = ee.Image.constant([float(str(slope)) for slope in p[SLOPE]])
    return image.max(0).add(image.min(0).multiply(slopes))


def _elu(x: Array, p: Parameters) -> Array:
    return np.asarray(np.maximum(x, 0) + p["alpha"] * np.expm1(np.minimum(x, 0)))


def _elu_ee(image: ee.Image, p: Parameters) -> ee.Image:
    return image.max(0).add(image.min(0).exp().subtract(1).multiply(p["alpha"]))


def _selu(x: Array, _: Parameters) -> Array:
    return np.asarray(_SELU_SCALE * _elu(x, {"alpha": _SELU_ALPHA}))


def _selu_ee(image: ee.Image, _: Parameters) -> ee.Image:
    return _elu_ee(image, {"alpha": _SELU_ALPHA}).multiply(_SELU_SCALE)


def _gelu(x: Array, p: Parameters) -> Array:
    if not p["approximate"]:
        return np.asarray(0.5 * x * (1 + special.erf(x * math.sqrt(0.5))))
    near = np.clip(x, -_GELU_REACH, _GELU_REACH)
    inner = math.sqrt(2 / math.pi) * (near + 0.044715 * near**3)
    return np.asarray(0.5 * x * (1 + np.tanh(inner)))


def _gelu_ee(image: ee.Image, p: Parameters) -> ee.Image:
    if not p["approximate"]:
        return image.multiply(math.sqrt(0.5)).erf().add(1).multiply(image).multiply(0.5)
    near = image.max(-_GELU_REACH).min(_GELU_REACH)
    cubed = near.multiply(near).multiply(near)
    inner = cubed.multiply(0.044715).add(near).multiply(math.sqrt(2 / math.pi))
    return inner.tanh().add(1).multiply(image).multiply(0.5)


def _sigmoid(x: Array, _: Parameters) -> Array:
    return np.asarray(np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))))


def _sigmoid_ee(image: ee.Image, _: Parameters) -> ee.Image:
    # exp(min(x, 0)) / (1 + exp(-|x|)): no exponent is ever positive, so nothing overflows.
    below = image.min(0)
    return below.exp().divide(below.subtract(image.max(0)).exp().add(1))


def _silu(x: Array, p: Parameters) -> Array:
    return np.asarray(x * _sigmoid(x, p))


def _silu_ee(image: ee.Image, p: Parameters) -> ee.Image:
    return _sigmoid_ee(image, p).multiply(image)


def _hard_sigmoid(x: Array, p: Parameters) -> Array:
    return np.asarray(np.clip(x * p["slope"] + 0.5, 0, 1))


def _hard_sigmoid_ee(image: ee.Image, p: Parameters) -> ee.Image:
    return image.multiply(p["slope"]).add(0.5).max(0).min(1)


def _tanh(x: Array, _: Parameters) -> Array:
    return np.tanh(x)


def _tanh_ee(image: ee.Image, _: Parameters) -> ee.Image:
    return image.tanh()


def _softplus(x: Array, _: Parameters) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _softplus_ee(image: ee.Image, _: Parameters) -> ee.Image:
    above = image.max(0)
    return image.min(0).subtract(above).exp().add(1).log().add(above)


def _softmax(x: Array, _: Parameters) -> Array:
    exp = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))


def _softmax_ee(image: ee.Image, _: Parameters) -> ee.Image:
    # The largest is taken away first: no exponent is positive, and the sum is at least 1.
    exp = image.subtract(image.reduce(ee.Reducer.max())).exp()
    return exp.divide(exp.reduce(ee.Reducer.sum()))


def _same(x: Any, _: Parameters) -> Any:
    return x


_RELU = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}

ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(_same, _same),
    "relu": Activation(_relu, _relu_ee, _RELU),
    "relu6": Activation(_relu, _relu_ee, {**_RELU, "max_value": 6.0}),
    "leaky_relu": Activation(_relu, _relu_ee, {**_RELU, "negative_slope": 0.2}),
    "prelu": Activation(_prelu, _prelu_ee),
    "elu": Activation(_elu, _elu_ee, {"alpha": 1.0}),
    "selu": Activation(_selu, _selu_ee),
    "gelu": Activation(_gelu, _gelu_ee, {"approximate": False}),
    "silu": Activation(_silu, _silu_ee),
    "sigmoid": Activation(_sigmoid, _sigmoid_ee),
    # Keras 2 had 0.2.
    "hard_sigmoid": Activation(_hard_sigmoid, _hard_sigmoid_ee, {"slope": 1 / 6}),
    "tanh": Activation(_tanh, _tanh_ee),
    "softplus": Activation(_softplus, _softplus_ee),
    "softmax": Activation(_softmax, _softmax_ee, each_alone=False),
}
"""By Keras' own names. Softmax runs over the channels."""
