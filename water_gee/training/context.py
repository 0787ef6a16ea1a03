"""A network that sees farther than `pixel_cnn` and costs less on Earth Engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from water_gee.errors import TrainingError
from water_gee.training.backend import keras

if TYPE_CHECKING:
    from collections.abc import Sequence

DILATIONS = (2, 4, 7)
"""How far apart the taps of the far layers are: with the near ones they reach 15 pixels."""

NEAR = (16, 32)
"""Filters of the near layers, 3 x 3 each, as `pixel_cnn` has them."""

_SIZE = 3


def context_cnn(
    bands: int = 8, width: int = 32, dilations: Sequence[int] = DILATIONS, hidden: int = 128
) -> keras.Model:
    """Build the context CNN, untrained: one class for a pixel from its 31 x 31 neighbourhood.

    Two near layers, 3 x 3, as in `pixel_cnn`; then for each dilation a far one: every channel is
    filtered on its own by 3 x 3 taps that lie so far apart (depthwise), channels are mixed pixel by
    pixel, and the sum is added to what came in. What the near layers saw, and the features
    themselves, join again before the last two layers, so that a shore stays where it is.

    A far layer filters `width` bands, where an ordinary one would filter `width * width` pairs of
    bands; this is what makes the expression on Earth Engine small.

    Args:
        bands: Features a pixel.
        width: Channels of the far layers.
        dilations: Of the far layers, in pixels, one after the other; the halo is 2 more than their
            sum.
        hidden: Filters of the last layer but one.

    Returns:
        A Keras model, `(n, h, w, bands)` -> `(n, h - 30, w - 30, 2)`; softmax, channel 0 = water,
        1 = land.

    Raises:
        TrainingError: Numbers that make no network.
    """
    holes = tuple(dilations)
    counts = (bands, width, hidden, *holes)
    if not all(isinstance(count, int) and count >= 1 for count in counts) or not holes:
        raise TrainingError(
            "context_cnn takes whole numbers from 1 and one dilation or more, not "
            f"bands={bands}, width={width}, dilations={holes}, hidden={hidden}"
        )
    layers = keras.layers
    features = keras.Input((None, None, bands), name="features")
    x: Any = features
    for number, filters in enumerate(NEAR, 1):
        x = layers.Conv2D(filters, _SIZE, activation="relu", name=f"near{number}")(x)
    around = len(NEAR)
    near = layers.Concatenate(name="joined")([x, _cropped(features, around, "features_near")])
    x = layers.Conv2D(width, 1, activation="relu", name="narrow")(near)
    for number, hole in enumerate(holes, 1):
        far = layers.DepthwiseConv2D(
            _SIZE, dilation_rate=hole, use_bias=False, name=f"far{number}"
        )(x)
        mixed = layers.Conv2D(width, 1, activation="relu", name=f"mixed{number}")(far)
        x = layers.Add(name=f"sum{number}")([mixed, _cropped(x, hole, f"kept{number}")])
    x = layers.Concatenate(name="context")([x, _cropped(near, sum(holes), "near_here")])
    x = layers.Conv2D(hidden, 1, activation="relu", name="hidden")(x)
    x = layers.Conv2D(2, 1, activation="softmax", name="classes")(x)
    return keras.Model(features, x, name="context_cnn")


def _cropped(tensor: Any, around: int, name: str) -> Any:
    return keras.layers.Cropping2D(around, name=name)(tensor)
