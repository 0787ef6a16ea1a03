"""Features centred and scaled for training, and the same folded into the weights afterwards."""

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


def scaled(features: FloatArray) -> FloatArray:
    """Centre and scale features, 0 where not observed.

    Args:
        features: float32 `(band, row, col)`, NaN where not observed.

    Returns:
        float32 `(row, col, band)`.
    """
    shifted = (np.moveaxis(features, 0, -1) - CENTER) / SCALE
    return np.asarray(np.nan_to_num(shifted, nan=0.0, posinf=0.0, neginf=0.0), np.float32)


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
