"""Networks small enough to say what they must answer, and expressions as the wire has them."""

from __future__ import annotations

import json

import numpy as np

from water_gee.deploy.graph import LayerGraph, Node


def conv(name, source, kernel, bias=None, activation="linear"):
    """A convolution node; `kernel` is (row, col, channel, filter)."""
    kernel = np.asarray(kernel, np.float32)
    bias = np.zeros(kernel.shape[3], np.float32) if bias is None else np.asarray(bias, np.float32)
    weights = {"kernel": kernel, "bias": bias}
    return Node(name, "conv", (source,), {"activation": activation}, weights)


def graph(channels, *nodes):
    """A graph of an input `x` and these nodes, the last of which is the output."""
    first = Node("x", "input", (), {"channels": channels})
    return LayerGraph((first, *nodes), nodes[-1].name if nodes else "x")


def decode(expression):
    """An expression as it comes off the wire: through JSON text and back."""
    return json.loads(json.dumps(expression))


def undecided(network, seed=11):
    """Weights by seed, and a last layer that is as often on one side of 0.5 as on the other."""
    generator = np.random.default_rng(seed)
    for layer in network.layers:
        for variable in layer.weights:
            size = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 20
            variable.assign(generator.normal(0, np.sqrt(2 / size), variable.shape))
    last = network.layers[-1]
    water, land = last.bias.numpy()
    p = np.asarray(network(generator.normal(0.2, 0.5, (1, 40, 40, network.input_shape[-1]))))
    last.bias.assign([water - np.median(np.log(p[..., 0] / p[..., 1])), land])
    return network


def small_cnn(bands=8):
    """The layout of the pixel network with 4 filters a layer: a hundredth of its work."""
    from water_gee.training.backend import keras

    layers = keras.layers
    x = features = keras.Input((None, None, bands))
    for crop in (0, 2, 3):
        if crop:
            x = layers.Concatenate()([x, layers.Cropping2D(crop)(features)])
        for _ in range(2 if crop == 0 else 1):
            x = layers.Conv2D(4, 3 if crop < 3 else 1, activation="relu")(x)
    return keras.Model(features, layers.Conv2D(2, 1, activation="softmax")(x))
