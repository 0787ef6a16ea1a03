"""Features centred and scaled for training, and the same put into the network afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from water_gee.training.backend import keras

FloatArray = npt.NDArray[np.float32]

CENTER = np.array([0.06, 0.08, 0.08, 0.18, 0.14, -0.2, 0.0, 0.1], np.float32)
SCALE = np.array([0.1, 0.1, 0.1, 0.15, 0.15, 0.4, 0.4, 0.1], np.float32)
"""What features are centred on and divided by, in their order; about the mean and spread of a
vegetated Landsat scene. Constants, so that every tile of every area is scaled alike."""

JOINS = {"conv1": 0, "conv3": 32, "hidden": 64}
"""The layers of `pixel_cnn` that read features, and the channels they are joined behind."""

LAYER = "scaled"
"""The layer that scales features in every other network."""


def scaled(features: FloatArray) -> FloatArray:
    """Centre and scale features, 0 where not observed.

    Args:
        features: float32 `(band, row, col)`, NaN where not observed.

    Returns:
        float32 `(row, col, band)`.
    """
    shifted = (np.moveaxis(features, 0, -1) - CENTER) / SCALE
    return np.asarray(np.nan_to_num(shifted, nan=0.0, posinf=0.0, neginf=0.0), np.float32)


def finish(
    network: keras.Model, center: FloatArray = CENTER, scale: FloatArray = SCALE
) -> keras.Model:
    """What is saved of a network trained on `(x - center) / scale`: a network that takes x itself.

    `pixel_cnn` is changed in place, see `fold`. Any other network becomes a part of one that begins
    with a `Rescaling` of each band; converted, that goes into the convolutions that read it, or is
    one product and one sum a band.

    Args:
        network: Any network of `network.build`, trained.
        center: float32 `(band,)`.
        scale: float32 `(band,)`.

    Returns:
        The network to save; its weights are those of the one given, not copies.
    """
    if _is_pixel_cnn(network):
        fold(network, center, scale)
        return network
    from water_gee.training.backend import keras

    bands = network.input_shape[-1]
    slope = 1 / scale[:bands].astype(np.float64)
    offset = -center[:bands].astype(np.float64) * slope
    features = keras.Input((None, None, bands), name="features")
    rescaled = keras.layers.Rescaling(slope.tolist(), offset.tolist(), name=LAYER)(features)
    return keras.Model(features, network(rescaled), name=network.name)


def _is_pixel_cnn(network: keras.Model) -> bool:
    """Whether this is the published layout, in which `JOINS` holds."""
    from water_gee.training.network import LAYERS

    bands = network.input_shape[-1]
    found = [layer for layer in network.layers if layer.weights]
    if network.name != "pixel_cnn" or [layer.name for layer in found] != list(LAYERS):
        return False
    joined = found[-2].kernel.shape[2] - JOINS["hidden"]
    read = {"conv1": bands, "conv2": 16, "conv3": 32 + joined, "hidden": 64 + joined}
    return 1 <= joined <= bands and all(
        layer.kernel.shape == (LAYERS[name][1],) * 2 + (read.get(name, 128), LAYERS[name][0])
        for name, layer in zip(LAYERS, found, strict=True)
    )


def fold(network: keras.Model, center: FloatArray = CENTER, scale: FloatArray = SCALE) -> None:
    """Make a network trained on `(x - center) / scale` take x itself, in place.

    A convolution of scaled features is a convolution of the features with other weights: each
    weight on a feature is divided by its scale, and the centres move into the bias.

    Args:
        network: A `pixel_cnn`.
        center: float32 `(band,)`.
        scale: float32 `(band,)`.
    """
    for name, first in JOINS.items():
        layer = network.get_layer(name)
        kernel, bias = (value.astype(np.float64) for value in layer.get_weights())
        bands = kernel.shape[2] - first
        kernel[:, :, first:] /= scale[:bands, None].astype(np.float64)
        bias -= np.einsum("ijbf,b->f", kernel[:, :, first:], center[:bands].astype(np.float64))
        layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
