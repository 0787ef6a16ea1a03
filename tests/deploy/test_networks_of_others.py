"""Networks that are not from this repository, in the manners that people write them.

A U-Net without strides, residual and dense blocks, an attention gate, a mobile block, an MLP on
channels, an atrous pyramid: built with Keras alone, converted, and held against Keras.
"""

from __future__ import annotations

import ee
import numpy as np
import pytest
from emulated import ASSET, Emulated

from water_gee.deploy.build_ee import to_ee
from water_gee.deploy.layers import margins
from water_gee.deploy.limits import measure
from water_gee.deploy.passes import simplify
from water_gee.deploy.read_keras import read
from water_gee.training.backend import keras

L = keras.layers
BANDS = 6


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    values = np.random.default_rng(23).normal(0.2, 0.5, (BANDS, 28, 30)).astype(np.float32)
    with Emulated(tmp_path_factory.mktemp("others"), values) as service:
        yield service


def unet(x):
    """Wide windows instead of coarse pixels: the way down is dilated, the way up is cropped."""

    def down(x):
        return L.Conv2D(8, 3, dilation_rate=2, activation="relu")(L.MaxPooling2D(3, strides=1)(x))

    first = L.BatchNormalization()(L.Conv2D(6, 3, activation="relu")(x))
    second = down(first)
    up = L.Concatenate()([down(second), L.Cropping2D(3)(second)])
    up = L.Conv2D(8, 3, activation="relu")(up)
    up = L.Concatenate()([up, L.Cropping2D(7)(first)])
    return L.Conv2D(6, 1, activation="relu")(up)


def residual(x):
    """Pre-activation blocks; the shortcut is a slice, or a projection where channels change."""
    x = L.Rescaling(1 / 0.5, offset=-0.4)(x)
    for filters in (8, 8, 12):
        y = L.ReLU()(L.BatchNormalization()(x))
        shortcut = x[:, 1:-1, 1:-1]
        if x.shape[-1] != filters:
            shortcut = L.Conv2D(filters, 1, use_bias=False)(shortcut)
        y = L.Conv2D(filters, 3, use_bias=False)(y)
        y = L.Conv2D(filters, 1)(L.LeakyReLU(negative_slope=0.1)(L.BatchNormalization()(y)))
        x = L.Add()([shortcut, y])
    return L.SpatialDropout2D(0.2)(L.Activation("silu")(x))


def dense(x):
    """Every layer sees all before it."""
    seen = [x]
    for _ in range(3):
        joined = L.Concatenate()(seen) if len(seen) > 1 else seen[0]
        new = L.Conv2D(4, 3, activation="elu")(L.BatchNormalization()(joined))
        seen = [L.Cropping2D(1)(one) for one in seen] + [new]
    return L.Concatenate()(seen)


def mobile(x):
    """Inverted bottlenecks with a gate: wide, depthwise, narrow."""
    for _ in range(2):
        y = L.Conv2D(18, 1, use_bias=False)(x)
        y = L.ReLU(max_value=6)(L.BatchNormalization()(y))
        y = L.DepthwiseConv2D(3, use_bias=False)(y)
        y = L.Activation("hard_sigmoid")(L.BatchNormalization()(y)) * y
        x = L.Conv2D(BANDS, 1)(y) + x[:, 1:-1, 1:-1]
    return x


def attention(x):
    """A gate of one channel over many, and a normalisation over channels."""
    y = L.SeparableConv2D(8, 3, activation="gelu")(x)
    gate = L.Conv2D(1, 1, activation="sigmoid")(y)
    y = L.Multiply()([L.LayerNormalization()(y), gate])
    return L.PReLU(shared_axes=[1, 2])(L.Conv2D(8, 3)(y))


def mlp(x):
    """A perceptron over the channels of a pixel."""
    for units in (16, 16):
        x = L.Dropout(0.3)(L.Dense(units, activation="gelu")(x))
        x = L.LayerNormalization()(x)
    return x


def pyramid(x):
    """Windows of four sizes beside each other, and their mean."""
    x = L.Conv2D(8, 1, activation="relu")(x)
    branches = [
        L.Cropping2D(4 - rate)(L.Conv2D(4, 3, dilation_rate=rate, activation="relu")(x))
        for rate in (1, 2, 4)
    ]
    branches.append(L.Cropping2D(3)(L.Conv2D(4, 1)(L.AveragePooling2D(3, strides=1)(x))))
    return L.Concatenate()([*branches, L.Average()(branches), L.Maximum()(branches)])


def nested(x):
    """Blocks that are models themselves, one of them used twice."""
    block = keras.Sequential(
        [L.Conv2D(BANDS, 3, activation="tanh"), L.Conv2D(BANDS, 1)], name="block"
    )
    inner = keras.Input((None, None, BANDS))
    two = keras.Model(inner, [L.Conv2D(3, 3)(inner), L.Cropping2D(1)(inner)], name="two")
    first, second = two(block(block(x)))
    return L.Concatenate()([first, second])


NETWORKS = {f.__name__: f for f in (unet, residual, dense, mobile, attention, mlp, pyramid, nested)}


def built(name):
    """The network with a head, random weights, and running statistics as if it had been trained."""
    inputs = keras.Input((None, None, BANDS))
    network = keras.Model(
        inputs, L.Conv2D(2, 1, activation="softmax", name="head")(NETWORKS[name](inputs))
    )
    generator = np.random.default_rng(31)
    for variable in network.weights:
        if "variance" in variable.name or "gamma" in variable.name:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        else:
            size = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 9
            variable.assign(generator.normal(0, np.sqrt(1.5 / size), variable.shape))
    return network


@pytest.mark.parametrize("form", ["kernels", "matrix"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_someone_else_is_converted(emulated, name, form):
    network = built(name)
    graph = read(network)
    rows, cols = margins(graph)
    expected = np.asarray(network(emulated.array(BANDS)[None]))[0, :, :, 0]
    assert 0.05 < np.mean(expected >= 0.5) < 0.95 or np.ptp(expected) > 0.2
    found = emulated.fetch(to_ee(network, ee.Image(ASSET), form=form), (rows, cols))
    np.testing.assert_allclose(found[..., 1], expected, rtol=0, atol=1e-5)
    clear = np.abs(expected - 0.5) > 1e-6
    np.testing.assert_array_equal(found[clear, 0], expected[clear] >= 0.5)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_normalises_is_folded_where_it_can_be(name):
    """A normalisation stays only where it stands before an activation or beside other readers."""
    simple = simplify(read(built(name)))
    for node in simple:
        if node.kind == "affine":
            assert simple[node.inputs[0]].kind != "conv" or simple.readers()[node.inputs[0]] > 1
            assert {other.kind for other in simple if node.name in other.inputs} != {"conv"}


def test_thirty_layers_deep_the_expression_is_as_flat_as_a_short_one(emulated):
    """Nothing nests layer in layer, so that depth costs no limit of the service."""
    x = inputs = keras.Input((None, None, BANDS))
    for _ in range(30):
        x = L.Add()([x, L.Dense(4)(L.Dense(BANDS, activation="gelu")(x))[..., :1]])
    deep = keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid")(x))
    for form in ("kernels", "matrix"):
        image = to_ee(deep, ee.Image(ASSET), form=form)
        assert measure(ee.serializer.encode(image)).nesting <= 70
