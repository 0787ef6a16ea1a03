"""Networks of users: seen to train, map and deploy before they get a name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from water_gee.deploy.costs import Estimate, estimate
from water_gee.deploy.layers import margins
from water_gee.errors import DeployError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable


def register_network(name: str, builder: Callable[..., Any], **options: Any) -> Estimate:
    """Give a network of one's own a name that `train(network=...)` takes.

    It is built once and looked at: whether it takes the eight features and gives a softmax over
    (water, land), whether every pixel's answer comes from a window around it, whether each of its
    layers has a form on Earth Engine, and whether the service takes it whole.

        def wide_cnn(bands):
            features = keras.Input((None, None, bands))
            x = keras.layers.Conv2D(32, 5, activation="relu")(features)
            return keras.Model(features, keras.layers.Conv2D(2, 1, activation="softmax")(x))

        print(water_gee.register_network("wide_cnn", wide_cnn))
        water_gee.train(network="wide_cnn")

    A name lives as long as the process: another one registers anew, or names the builder as
    `MODULE:FUNCTION`.

    Args:
        name: Letters, digits and underscores.
        builder: Called as `builder(bands, **options)`; gives a Keras model `(n, h, w, bands)` ->
            `(n, h - 2 halo, w - 2 halo, 2)` of stock layers, of any size, without padding.
        options: What the builder takes besides; `train` builds the network with them too.

    Returns:
        What it costs on Earth Engine, form by form; `print` shows a table.

    Raises:
        TrainingError: The name is none or taken, or nothing can be built.
        ModelError: What is built takes other bands, has other outputs, strides or padding, sees
            farther on one side, or sees more than 129 x 129 pixels.
        UnsupportedLayerError: A layer without a form on Earth Engine.
        DeployError: It is larger than the service takes in any form.
    """
    from water_gee.deploy import read_keras
    from water_gee.training import network as networks

    bound = partial(builder, **options) if options and callable(builder) else builder
    networks.check_name(name, bound)
    try:
        made = bound(networks.BANDS)
    except Exception as error:  # a builder of one's own raises whatever Keras raises
        why = networks.first_line(error)
        raise TrainingError(f"network {name!r} cannot be built: {why}") from error
    around = networks.check(made, networks.BANDS, name)
    graph = read_keras.read(made)
    if margins(graph) != (around, around):
        raise DeployError(
            f"network {name!r} loses {around} pixels on every side, and its layers say "
            f"{margins(graph)}; crop what is joined by as much as the layers beside it lose"
        )
    costs = estimate(graph)
    if costs.chosen is None:
        raise DeployError(
            f"network {name!r} has {costs.parameters:,} weights, more than the service takes in "
            "any form; give it fewer filters"
        )
    networks.register(name, bound)
    return costs
