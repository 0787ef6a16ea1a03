"""Every layer and activation alone: Keras = NumPy = its expression in the emulator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from emulated import Emulated, image_of, on_the_wire
from wire_interpreter import Band, evaluate

from water_gee.deploy import lower
from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.kernels import KERNELS
from water_gee.deploy.layers import SHAPE, extents, run_numpy
from water_gee.deploy.matrix import MATRIX
from water_gee.deploy.passes import simplify
from water_gee.deploy.read_keras import read
from water_gee.errors import UnsupportedLayerError
from water_gee.training.backend import keras

L = keras.layers
BAR = 1e-5
CHANNELS = 4


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """An image of 4 bands over 13 x 14 pixels, from -3 to 3 and a few far away."""
    values = np.random.default_rng(5).normal(0, 1.2, (CHANNELS, 13, 14)).astype(np.float32)
    values[:, 6, 7], values[:, 7, 6] = (40, -40, 20, 0), (-30, 1, 0, 35)
    with Emulated(tmp_path_factory.mktemp("layers"), values) as service:
        yield service


def network_of(build, seed=0):
    """A model of `build`, a layer or a function of tensors, with random weights."""
    inputs = keras.Input((None, None, CHANNELS))
    network = keras.Model(inputs, build(inputs))
    generator = np.random.default_rng(seed)
    for variable in network.weights:
        low = 0.3 if "variance" in variable.name else -0.6
        variable.assign(generator.uniform(low, 0.9, variable.shape))
    return network


def check(emulated, network, **options):
    """Keras against the graph, simplified and not, in NumPy and from its wire form."""
    values = emulated.array(CHANNELS)
    graph = read(network, **options)
    expected = keras.ops.convert_to_numpy(network(values[None]))[0]
    top, bottom, left, right = extents(graph)[graph.output].lost
    height, width = values.shape[:2]
    if options:  # what Keras pads is not compared
        expected = expected[top : height - bottom, left : width - right]
    scale = max(1.0, float(np.abs(expected).max()))
    for version in (graph, simplify(graph)):
        np.testing.assert_allclose(run_numpy(version, values) / scale, expected / scale, atol=BAR)
        for rules in (KERNELS, MATRIX):
            found = emulated.says(version, rules)
            np.testing.assert_allclose(found / scale, expected / scale, atol=BAR)
        other = second_opinion(emulated, version)[top : height - bottom, left : width - right]
        np.testing.assert_allclose(other / scale, expected / scale, atol=BAR)
    return graph


def second_opinion(emulated, graph):
    """What the wire interpreter of the tests makes of the same expression."""
    image = image_of(graph, emulated.features(CHANNELS), KERNELS)
    whole = np.ones(emulated.grid.shape)
    bands = [Band(f"b{index}", band, whole) for index, band in enumerate(emulated.values)]
    found = evaluate(on_the_wire(image), {"projects/local/assets/features": bands}, whole.shape)
    return np.stack([band.values for band in found], axis=-1)


def cropped(x, by=1):
    return L.Cropping2D(by)(x)


ALONE = {
    "Conv2D 3 x 3": L.Conv2D(3, 3),
    "Conv2D 1 x 1": L.Conv2D(3, 1),
    "Conv2D 1 x 5": L.Conv2D(3, (1, 5)),
    "Conv2D dilated": L.Conv2D(2, 3, dilation_rate=2),
    "Conv2D dilated across": L.Conv2D(2, (3, 5), dilation_rate=(3, 1)),
    "Conv2D of two groups": L.Conv2D(6, 3, groups=2),
    "Conv2D of four groups, 1 x 1": L.Conv2D(4, 1, groups=4),
    "Conv2D without bias": L.Conv2D(3, 3, use_bias=False),
    "DepthwiseConv2D": L.DepthwiseConv2D(3),
    "DepthwiseConv2D, two each": L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
    "DepthwiseConv2D 1 x 1": L.DepthwiseConv2D(1, depth_multiplier=3),
    "DepthwiseConv2D dilated": L.DepthwiseConv2D((3, 1), dilation_rate=2, use_bias=False),
    "SeparableConv2D": L.SeparableConv2D(5, 3, activation="tanh"),
    "SeparableConv2D, two each": L.SeparableConv2D(3, 3, depth_multiplier=2, use_bias=False),
    "Dense": L.Dense(5, activation="elu"),
    "Dense without bias": L.Dense(1, use_bias=False),
    "BatchNormalization": L.BatchNormalization(),
    "BatchNormalization, bare": L.BatchNormalization(scale=False, center=False, epsilon=0.1),
    "LayerNormalization": L.LayerNormalization(),
    "LayerNormalization, bare": L.LayerNormalization(scale=False, center=False, epsilon=0.01),
    "Normalization": L.Normalization(mean=[1, 2, 3, 4], variance=[1, 4, 9, 0.25]),
    "Normalization, one number": L.Normalization(axis=None, mean=2, variance=4),
    "Normalization, inverted": L.Normalization(
        mean=[1, 0, 2, 1], variance=[1, 4, 9, 2], invert=True
    ),
    "Rescaling": L.Rescaling(0.5, offset=-1),
    "Concatenate": lambda x: L.Concatenate()([x, L.Conv2D(2, 1)(x), x]),
    "Add": lambda x: L.Add()([L.Conv2D(4, 3)(x), cropped(x), cropped(x)]),
    "Add to one channel": lambda x: L.Add()([L.Conv2D(1, 3)(x), cropped(x)]),
    "Subtract": lambda x: L.Subtract()([L.Conv2D(4, 3)(x), cropped(x)]),
    "Multiply": lambda x: L.Multiply()([x, L.Conv2D(1, 1, activation="sigmoid")(x)]),
    "Average": lambda x: L.Average()([L.Conv2D(4, 3)(x), cropped(x), cropped(x[..., ::-1])]),
    "Maximum": lambda x: L.Maximum()([x, x[..., ::-1]]),
    "Minimum": lambda x: L.Minimum()([x[..., ::-1], x, L.Conv2D(4, 1)(x)]),
    "Cropping2D": L.Cropping2D(((1, 2), (3, 0))),
    "a slice of channels": lambda x: x[..., 1:3],
    "channels turned round": lambda x: x[:, :, :, ::-2],
    "a window": lambda x: x[:, 3:-3, 2:-1],
    "a window of channels": lambda x: x[:, :-2, 2:, -1:],
    "AveragePooling2D": L.AveragePooling2D(3, strides=1),
    "AveragePooling2D 5 x 1": L.AveragePooling2D((5, 1), strides=1),
    "MaxPooling2D": L.MaxPooling2D(3, strides=1),
    "MaxPooling2D 1 x 5": L.MaxPooling2D((1, 5), strides=(1, 1)),
    "Dropout": lambda x: L.Conv2D(2, 1)(L.Dropout(0.5)(x)),
    "SpatialDropout2D": lambda x: L.Conv2D(2, 1)(L.SpatialDropout2D(0.5)(x)),
    "GaussianNoise": lambda x: L.Conv2D(2, 1)(L.GaussianNoise(0.5)(x)),
    "GaussianDropout": lambda x: L.GaussianDropout(0.5)(x),
    "AlphaDropout": L.AlphaDropout(0.5),
    "ActivityRegularization": L.ActivityRegularization(0.1),
    "Identity": L.Identity(),
    "Activation": L.Activation("softplus"),
    "ReLU": L.ReLU(),
    "ReLU with a top": L.ReLU(max_value=1.5),
    "ReLU with a slope": L.ReLU(negative_slope=0.25),
    "ReLU with a threshold": L.ReLU(threshold=0.5),
    "ReLU with everything": L.ReLU(max_value=2, negative_slope=0.25, threshold=0.5),
    "LeakyReLU": L.LeakyReLU(),
    "LeakyReLU by a half": L.LeakyReLU(negative_slope=0.5),
    "ELU": L.ELU(alpha=0.7),
    "PReLU": L.PReLU(shared_axes=[1, 2]),
    "PReLU, one slope": L.PReLU(shared_axes=[1, 2, 3]),
    "Softmax": L.Softmax(),
    "a layer as activation": L.Conv2D(3, 3, activation=L.LeakyReLU(negative_slope=0.1)),
    "plus a tensor": lambda x: x + x[..., :1],
    "minus a tensor": lambda x: x[..., 1:] - x[..., :-1],
    "times itself": lambda x: x * x,
    "plus a number": lambda x: 1 + x,
    "minus a number": lambda x: x - 1,
    "from a number": lambda x: 1 - x,
    "by a number": lambda x: x / 4,
    "times numbers": lambda x: x * np.array([1, -2, 0.5, 0], np.float32),
    "the negative": lambda x: -x,
    "at least": lambda x: keras.ops.maximum(x, -0.5),
    "at most": lambda x: keras.ops.minimum(0.5, x),
    "the larger": lambda x: keras.ops.maximum(x[..., :2], x[..., 2:]),
    "function leaky_relu": lambda x: keras.ops.leaky_relu(x, 0.3),
    "function elu": lambda x: keras.ops.elu(x, alpha=0.3),
    "function gelu": lambda x: keras.ops.gelu(x, approximate=True),
    "function gelu, exact": lambda x: keras.ops.gelu(x, approximate=False),
    "function softmax": lambda x: keras.ops.softmax(x),
    "function concatenate": lambda x: keras.ops.concatenate([x, x], axis=-1),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_layer_alone_says_the_same_everywhere(emulated, name):
    check(emulated, network_of(ALONE[name]))


@pytest.mark.parametrize("name", sorted(lower.KNOWN))
def test_an_activation_alone_says_the_same_everywhere(emulated, name):
    check(emulated, network_of(L.Activation(name)))
    check(emulated, network_of(L.Conv2D(3, 3, activation=name), seed=1))


PLAIN = ("relu", "relu6", "selu", "silu", "sigmoid", "hard_sigmoid", "tanh", "softplus")


@pytest.mark.parametrize("name", PLAIN)
def test_a_function_of_keras_ops_says_the_same_everywhere(emulated, name):
    check(emulated, network_of(getattr(keras.ops, name)))


def test_every_layer_that_can_be_read_is_here():
    built = {name.split()[0].rstrip(",") for name in ALONE}
    assert set(lower.LAYERS) - built == {"BatchNormalizationV1", "ZeroPadding2D"}


def test_the_page_of_layers_names_every_layer_and_activation():
    page = (Path(__file__).parents[2] / "docs" / "layers.md").read_text(encoding="utf-8")
    named = set(lower.LAYERS) - {"BatchNormalizationV1"} | lower.KNOWN
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_every_kind_of_node_is_here():
    kinds = {node.kind for build in ALONE.values() for node in read(network_of(build))}
    assert kinds == set(SHAPE) == set(KERNELS) == set(MATRIX)


SAME = {
    "one": lambda x: L.Conv2D(3, 3, padding="same")(x),
    "joined with what it read": lambda x: L.Concatenate()([x, L.Conv2D(3, 5, padding="same")(x)]),
    "a residual block": lambda x: (
        x + L.Conv2D(4, 3, padding="same")(L.DepthwiseConv2D(3, padding="same")(x))
    ),
    "pools of several sizes": lambda x: L.Concatenate()(
        [
            L.MaxPooling2D(3, 1, "same")(x),
            L.AveragePooling2D((1, 5), 1, "same")(x),
            L.Conv2D(2, 3, dilation_rate=2, padding="same")(x),
        ]
    ),
    "a border": lambda x: L.Conv2D(3, 3)(L.ZeroPadding2D(1)(x)) + x[..., :3],
    "then a valid one": lambda x: L.Add()(
        [L.Conv2D(4, 3)(L.Conv2D(4, 3, padding="same")(x)), cropped(x)]
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_same_padding_treated_as_valid_says_the_same_away_from_the_border(emulated, name):
    """A `valid` layer behind a padded one sees what was padded, so one pixel more is left out."""
    network = network_of(SAME[name])
    with pytest.raises(UnsupportedLayerError, match="same_as_valid=True"):
        read(network)
    if name == "then a valid one":
        graph = read(network, same_as_valid=True)
        values = emulated.array(CHANNELS)
        expected = keras.ops.convert_to_numpy(network(values[None]))[0][1:-1, 1:-1]
        np.testing.assert_allclose(run_numpy(graph, values), expected, atol=1e-4)
    else:
        check(emulated, network, same_as_valid=True)


def test_what_lies_askew_is_refused_behind_same_padding_too():
    inputs = keras.Input((None, None, 3))
    padded = L.Conv2D(3, 3, padding="same")(inputs)
    askew = L.Add()([L.Conv2D(3, 3)(padded), L.Cropping2D(((2, 0), (1, 1)))(inputs)])
    with pytest.raises(UnsupportedLayerError, match="lies on"):
        read(keras.Model(inputs, askew), same_as_valid=True)


def test_a_same_network_that_needs_nothing_of_it_is_the_valid_one(emulated):
    network = network_of(L.Conv2D(3, 1, padding="same"))
    check(emulated, network, same_as_valid=True)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"prelu"}))
def test_float32_never_overflows(name):
    """From the smallest to the largest float32, as NumPy computes it in that type."""
    graph = read(network_of(L.Activation(name)))
    reach = np.array([-3e38, -1e20, -200, -1e-30, 0, 1e-30, 200, 1e20], np.float32)
    values = np.stack([reach, reach, np.zeros_like(reach), reach], axis=-1)[None]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = run_numpy(graph, values)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_an_expression_holds_every_weight_as_text_once(emulated):
    """Zeros are left out: a filter of zeros has no kernel, and a dilated one has zeros between."""
    network = network_of(L.Conv2D(2, 3, dilation_rate=2))
    kernel, bias = network.layers[-1].get_weights()
    kernel[..., 0] = 0
    kernel[:, :, 1, 1] = 0
    network.layers[-1].set_weights([kernel, bias])
    graph = read(network)
    text = json.dumps(on_the_wire(image_of(graph, emulated.features(CHANNELS), KERNELS)))
    assert text.count('"Kernel.fixed"') == 3
    assert "[0, 0, 0, 0, 0]" in text
    check(emulated, network)
