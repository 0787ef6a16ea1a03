"""The pixel-based CNN: one class for a pixel from its 7 x 7 neighbourhood and eight features.

The network is fully convolutional without padding: 7 x 7 pixels in give one out, `(h, w)` in give
`(h - 6, w - 6)` out, and the arithmetic is the same. There is no normalisation layer; training
standardises its input and folds that into the weights (`scaling.py`), so that what is saved takes
features as they are.
"""

from __future__ import annotations

from typing import Any

from water_gee.errors import TrainingError
from water_gee.training.backend import keras

HALO = 3
"""Pixels lost at each side: the network sees 7 x 7."""

WATER, LAND = 0, 1
"""Output channels."""

# Filters and kernel size by layer name, in order; the published layout.
LAYERS = {
    "conv1": (16, 3),
    "conv2": (32, 3),
    "conv3": (64, 3),
    "hidden": (128, 1),
    "classes": (2, 1),
}


def pixel_cnn(bands: int = 8, skip_bands: int = 8) -> keras.Model:
    """Build the network, untrained.

    The input joins the features twice on the way, cropped to their size and behind them: by 2 after
    `conv2`, by 3 after `conv3`. Only stock Keras parts are used, so that any Keras 3 loads the
    file; where `skip_bands` is smaller than `bands`, the slice is the stock operation `GetItem`,
    which stands in `network.operations` (and in the configuration) but not in `network.layers`.

    Args:
        bands: Features a pixel.
        skip_bands: How many of them, the first ones, join again. The published deployment table
            has 7.

    Returns:
        A Keras model, `(n, h, w, bands)` -> `(n, h - 6, w - 6, 2)`; softmax, channel 0 = water,
        1 = land. 38,514 parameters with eight bands, 37,810 with `skip_bands=7`.

    Raises:
        TrainingError: The counts make no network.
    """
    if bands < 1 or not 1 <= skip_bands <= bands:
        raise TrainingError(
            f"a network needs 1 <= skip_bands <= bands, not bands={bands}, skip_bands={skip_bands}"
        )
    features = keras.Input((None, None, bands), name="features")
    joined: Any = features
    if skip_bands < bands:
        joined = joined[..., :skip_bands]
    x = _conv("conv1")(features)
    x = _conv("conv2")(x)
    x = keras.layers.Concatenate(name="skip2")(
        [x, keras.layers.Cropping2D(2, name="crop2")(joined)]
    )
    x = _conv("conv3")(x)
    x = keras.layers.Concatenate(name="skip3")(
        [x, keras.layers.Cropping2D(3, name="crop3")(joined)]
    )
    x = _conv("hidden")(x)
    x = _conv("classes", activation="softmax")(x)
    return keras.Model(features, x, name="pixel_cnn")


def _conv(name: str, activation: str = "relu") -> keras.layers.Layer:
    filters, size = LAYERS[name]
    return keras.layers.Conv2D(filters, size, activation=activation, name=name)
