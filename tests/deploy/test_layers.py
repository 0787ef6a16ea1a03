"""One rule for each purpose and kind of layer."""

from __future__ import annotations

import numpy as np
import pytest
from networks import conv, decode, graph
from wire_interpreter import Band, evaluate

from water_gee.deploy import layers
from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.graph import Node
from water_gee.deploy.kernels import KERNELS
from water_gee.deploy.layers import run_numpy


def bands_of(values):
    whole = np.ones(values.shape[:2])
    return [Band(f"b{i}", values[..., i], whole) for i in range(values.shape[2])]


def on_the_wire(ee, network, values):
    """What the serialised expression says, `(row, col, channel)`, for the network alone."""
    from water_gee.deploy.build_ee import network_image

    image = network_image(network, ee.Image("here"))
    expression = decode(ee.serializer.encode(image))
    bands = evaluate(expression, {"here": bands_of(values)}, values.shape[:2])
    assert all((band.mask == 1).all() for band in bands)
    return np.stack([band.values for band in bands], axis=-1)


def inner(values, margin):
    return values[margin : values.shape[0] - margin, margin : values.shape[1] - margin]


def test_the_three_tables_know_the_same_kinds():
    assert set(layers.SHAPE) == set(layers.NUMPY) == set(KERNELS)


def test_a_kernel_is_laid_over_the_image_unflipped(ee):
    """A one-hot kernel at the lower right takes the pixel at the lower right."""
    values = np.arange(35.0).reshape(5, 7, 1)
    weights = np.zeros((3, 3, 1, 1))
    weights[2, 2] = 1
    network = graph(1, conv("a", "x", weights))
    expected = values[2:, 2:]
    np.testing.assert_array_equal(run_numpy(network, values), expected)
    np.testing.assert_array_equal(inner(on_the_wire(ee, network, values), 1), expected)


def test_biases_belong_to_filters_not_to_input_channels(ee):
    """One input channel, three filters of zeros: the output is the three biases."""
    values = np.ones((4, 4, 1))
    network = graph(1, conv("a", "x", np.zeros((3, 3, 1, 3)), bias=(5, -6, 7)))
    expected = np.broadcast_to([5.0, -6.0, 7.0], (2, 2, 3))
    np.testing.assert_array_equal(run_numpy(network, values), expected)
    np.testing.assert_array_equal(inner(on_the_wire(ee, network, values), 1), expected)


def test_every_filter_sees_every_channel(ee):
    """With weights 1, 10, 100 a 1 x 1 layer writes the channels as digits."""
    values = np.stack([np.full((2, 3), digit, float) for digit in (1, 2, 3)], axis=-1)
    weights = np.array([[1, 100], [10, 10], [100, 1]], float)[None, None]
    network = graph(3, conv("a", "x", weights))
    expected = np.broadcast_to([321.0, 123.0], (2, 3, 2))
    np.testing.assert_array_equal(run_numpy(network, values), expected)
    np.testing.assert_array_equal(on_the_wire(ee, network, values), expected)


def test_relu_reaches_the_first_channel_too(ee):
    values = np.full((3, 3, 1), 2.0)
    network = graph(1, conv("a", "x", [[[[-1, 1]]]], activation="relu"))
    expected = np.broadcast_to([0.0, 2.0], (3, 3, 2))
    np.testing.assert_array_equal(run_numpy(network, values), expected)
    np.testing.assert_array_equal(on_the_wire(ee, network, values), expected)


def test_a_cropped_neighbour_lies_on_the_pixel_it_belongs_to(ee):
    values = np.arange(30.0).reshape(5, 6, 1)
    weights = np.zeros((3, 3, 1, 1))
    weights[1, 1] = 2
    network = graph(
        1,
        conv("a", "x", weights),
        Node("c", "crop", ("x",), {"cropping": (1, 1, 1, 1)}),
        Node("j", "concatenate", ("a", "c")),
    )
    centre = values[1:-1, 1:-1]
    expected = np.concatenate([2 * centre, centre], axis=-1)
    np.testing.assert_array_equal(run_numpy(network, values), expected)
    np.testing.assert_array_equal(inner(on_the_wire(ee, network, values), 1), expected)


def test_channels_are_selected_by_number(ee):
    values = np.arange(24.0).reshape(2, 3, 4)
    network = graph(4, Node("s", "select", ("x",), {"channels": (2, 0)}))
    expected = values[..., [2, 0]]
    np.testing.assert_array_equal(run_numpy(network, values), expected)
    np.testing.assert_array_equal(on_the_wire(ee, network, values), expected)


FIVE = [-800.0, -1.0, 0.0, 2.0, 800.0]

ANSWERS = {
    "linear": (FIVE, FIVE),
    "relu": (FIVE, [0.0, 0.0, 0.0, 2.0, 800.0]),
    "relu6": (FIVE, [0.0, 0.0, 0.0, 2.0, 6.0]),
    "leaky_relu": (FIVE, [-160.0, -0.2, 0.0, 2.0, 800.0]),
    "prelu": (FIVE, [-400.0, 1.0, 0.0, 2.0, 800.0]),
    "elu": (FIVE, [-1.0, -0.6321205588285577, 0.0, 2.0, 800.0]),
    # Klambauer et al. 2017: -scale x alpha at minus infinity, and selu(-1), selu(2) from there.
    "selu": (
        FIVE,
        [-1.7580993408473766, -1.1113307378125625, 0.0, 2.101401974993126, 840.5607899972504],
    ),
    # x times the normal distribution: 0.15865525393145707 at -1, 0.9772498680518208 at 2.
    "gelu": (FIVE, [0.0, -0.15865525393145707, 0.0, 1.9544997361036416, 800.0]),
    "silu": (FIVE, [0.0, -0.2689414213699951, 0.0, 1.7615941559557649, 800.0]),
    "sigmoid": (FIVE, [0.0, 0.2689414213699951, 0.5, 0.8807970779778824, 1.0]),
    "hard_sigmoid": (FIVE, [0.0, 1 / 3, 0.5, 5 / 6, 1.0]),
    "tanh": (FIVE, [-1.0, -0.7615941559557649, 0.0, 0.9640275800758169, 1.0]),
    "softplus": (FIVE, [0.0, 0.31326168751822286, 0.6931471805599453, 2.1269280110429727, 800.0]),
    # exp(0, 1, 2) / their sum; from a table of exponentials.
    "softmax": (
        [-1000.0, 1000.0, 1001.0, 1002.0],
        [0.0, 0.09003057317038046, 0.24472847105479767, 0.6652409557748219],
    ),
}


def test_every_activation_has_an_answer_here():
    assert set(ANSWERS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_has_its_known_values_and_never_overflows(ee, name):
    given, expected = (np.array(numbers) for numbers in ANSWERS[name])
    slopes = {"slope": np.array([0.5, -1, 1, 1, 1], "f4")} if name == "prelu" else {}
    network = graph(len(given), Node("f", "activation", ("x",), {"activation": name}, slopes))
    values = np.broadcast_to(given, (2, 2, len(given)))
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(run_numpy(network, values)[0, 0], expected, atol=1e-15)
        np.testing.assert_allclose(on_the_wire(ee, network, values)[1, 1], expected, atol=1e-15)


def test_weights_reach_the_wire_as_the_shortest_text_of_their_float32(ee, rng):
    weights = rng.normal(size=(3, 3, 1, 1)).astype(np.float32)
    image = KERNELS["conv"](conv("a", "x", weights), [ee.Image("here")])
    expression = decode(ee.serializer.encode(image))
    found = [
        node["functionInvocationValue"]["arguments"]["weights"]["constantValue"]
        for node in nodes(expression)
        if node.get("functionInvocationValue", {}).get("functionName") == "Kernel.fixed"
    ]
    assert len(found) == 1
    np.testing.assert_array_equal(np.array(found[0], np.float32), weights[:, :, 0, 0])
    assert max(len(repr(number)) for row in found[0] for number in row) <= 15


def nodes(value):
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from nodes(part)
    elif isinstance(value, list):
        for part in value:
            yield from nodes(part)
