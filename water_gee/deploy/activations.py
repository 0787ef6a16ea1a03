"""Activation functions: what each does to a NumPy array and to an Earth Engine image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ee
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Activation:
    """One function, twice.

    Attributes:
        numpy: On `(row, col, channel)`; the type stays.
        earth_engine: On an image with one band for each channel.
    """

    numpy: Callable[[Array], Array]
    earth_engine: Callable[[ee.Image], ee.Image]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _relu_ee(image: ee.Image) -> ee.Image:
    return image.max(0)


def _sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))))


def _sigmoid_ee(image: ee.Image) -> ee.Image:
    # exp(min(x, 0)) / (1 + exp(-|x|)): no exponent is ever positive, so nothing overflows.
    below = image.min(0)
    return below.exp().divide(below.subtract(image.max(0)).exp().add(1))


def _softmax(x: Array) -> Array:
    exp = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))


def _softmax_ee(image: ee.Image) -> ee.Image:
    # The largest is taken away first: no exponent is positive, and the sum is at least 1.
    exp = image.subtract(image.reduce(ee.Reducer.max())).exp()
    return exp.divide(exp.reduce(ee.Reducer.sum()))


def _same(x: Any) -> Any:
    return x


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(_same, _same),
    "relu": Activation(_relu, _relu_ee),
    "sigmoid": Activation(_sigmoid, _sigmoid_ee),
    "softmax": Activation(_softmax, _softmax_ee),
}
"""By Keras' own names. Softmax runs over the channels."""
