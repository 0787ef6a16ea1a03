"""The networks that can be trained, by name, and what all of them have in common.

A network is fully convolutional without padding: `(n, h, w, band)` in, `(n, h - 2 halo, w - 2 halo,
2)` out, a softmax of which channel 0 is water. So one pixel's answer depends on the window around
it and on nothing else, however a raster is cut. `build` holds every network against that, those of
users too.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

from water_gee.errors import ModelError, TrainingError
from water_gee.training.backend import keras
from water_gee.training.context import context_cnn
from water_gee.training.soundness import (
    BANDS,
    HALO,
    LAND,
    MAX_HALO,
    WATER,
    check,
    first_line,
    halo,
    needed,
    neutral,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Builder = Callable[..., keras.Model]

__all__ = [
    "BANDS", "DEFAULT", "HALO", "LAND", "LAYERS", "MAX_HALO", "NETWORKS", "WATER", "build",
    "builder_of", "check", "check_name", "context_cnn", "first_line", "halo", "needed",
    "neutral", "pixel_cnn", "register",
]  # fmt: skip

DEFAULT = "pixel_cnn"
"""The network that is trained where nothing else is said."""

# Filters and kernel size by layer name, in order; the published layout.
LAYERS = {
    "conv1": (16, 3),
    "conv2": (32, 3),
    "conv3": (64, 3),
    "hidden": (128, 1),
    "classes": (2, 1),
}


def pixel_cnn(bands: int = BANDS, skip_bands: int | None = None) -> keras.Model:
    """Build the pixel-based CNN, untrained: one class for a pixel from its 7 x 7 neighbourhood.

    The input joins the features twice on the way, cropped to their size and behind them: by 2 after
    `conv2`, by 3 after `conv3`. Only stock Keras parts are used, so that any Keras 3 loads the
    file; where `skip_bands` is smaller than `bands`, the slice is the stock operation `GetItem`,
    which stands in `network.operations` (and in the configuration) but not in `network.layers`.

    Args:
        bands: Features a pixel.
        skip_bands: How many of them, the first ones, join again; by default all. The published
            deployment table has 7.

    Returns:
        A Keras model, `(n, h, w, bands)` -> `(n, h - 6, w - 6, 2)`; softmax, channel 0 = water,
        1 = land. 38,514 parameters with eight bands, 37,810 with `skip_bands=7`.

    Raises:
        TrainingError: The counts make no network.
    """
    skip_bands = bands if skip_bands is None else skip_bands
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


# ---------------------------------------------------------------------------------------- registry

NETWORKS: dict[str, Builder] = {"pixel_cnn": pixel_cnn, "context_cnn": context_cnn}
"""Name -> builder: called with the number of bands and options, it gives an untrained network."""


def register(name: str, builder: Builder) -> None:
    """Give a builder of one's own a name that `train(network=...)` takes.

    Args:
        name: Letters, digits and underscores. A name can be given again to the same builder only,
            bound to the same options by `functools.partial` if to any.
        builder: Called as `builder(bands, **options)`; see the module for what it must give.

    Raises:
        TrainingError: The name is none or taken, or the builder cannot be called.
    """
    check_name(name, builder)
    NETWORKS[name] = builder


def check_name(name: str, builder: Any) -> None:
    """Refuse what `register` would not take.

    Raises:
        TrainingError: The name is none or taken, or the builder cannot be called.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise TrainingError(f"a network's name is letters, digits and underscores, not {name!r}")
    if not callable(builder):
        raise TrainingError(
            f"network {name!r}: the builder must be a function of the number of bands, "
            f"not {type(builder).__name__}"
        )
    if not _same(NETWORKS.get(name, builder), builder):
        raise TrainingError(f"there is a network {name!r} already; give yours another name")


def _same(one: Any, other: Any) -> bool:
    """Whether two builders are one function, bound to the same options if to any."""
    if isinstance(one, partial) and isinstance(other, partial):
        bound = (one.args, one.keywords) == (other.args, other.keywords)
        return one.func is other.func and bound
    return one is other


def builder_of(name: str) -> Builder:
    """The builder of a name, or of `MODULE:FUNCTION`.

    Raises:
        TrainingError: There is none.
    """
    if isinstance(name, str) and ":" in name:
        return _imported(name)
    if not isinstance(name, str) or name not in NETWORKS:
        raise TrainingError(
            f"no network {name!r}; there are {', '.join(NETWORKS)}, and MODULE:FUNCTION names a "
            "builder of one's own"
        )
    return NETWORKS[name]


def _imported(name: str) -> Builder:
    module, _, function = name.partition(":")
    try:
        builder = getattr(importlib.import_module(module), function)
    except Exception as error:  # a module of one's own raises whatever it raises
        raise TrainingError(
            f"network {name!r} cannot be imported: {first_line(error)}; a builder of one's own is "
            "named MODULE:FUNCTION, and its module lies on PYTHONPATH"
        ) from error
    if not callable(builder):
        raise TrainingError(f"network {name!r} is no function, but {type(builder).__name__}")
    return builder  # type: ignore[no-any-return]


def build(name: str = DEFAULT, bands: int = BANDS, **options: Any) -> keras.Model:
    """Build a network by name, untrained, and see that it is one.

    Weights are drawn from Keras' own generator: after `backend.make_repeatable(seed)` they are the
    same, bit for bit.

    Args:
        name: A key of `NETWORKS`, or `MODULE:FUNCTION`.
        bands: Features a pixel.
        options: What the builder takes besides.

    Returns:
        A Keras model, `(n, h, w, bands)` -> `(n, h - 2 halo, w - 2 halo, 2)`.

    Raises:
        TrainingError: No such network, or the builder does not take these options.
        ModelError: What it builds cannot be used, see `check`.
    """
    builder = builder_of(name)
    try:
        network = builder(bands, **options)
    except (TrainingError, ModelError):
        raise
    except Exception as error:  # a builder of one's own raises whatever Keras raises
        raise TrainingError(f"network {name!r} cannot be built: {first_line(error)}") from error
    check(network, bands, name)
    return network
