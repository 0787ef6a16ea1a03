"""Layer graph -> Keras 3."""

from __future__ import annotations

import numpy as np
import pytest
from networks import conv, graph

from water_gee.deploy import rebuild
from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.graph import Node
from water_gee.deploy.layers import SHAPE, run_numpy
from water_gee.deploy.read_keras import read
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel, load, save
from water_gee.training.network import pixel_cnn

L = keras.layers


def says(network, values):
    return keras.ops.convert_to_numpy(network(values[None].astype("float32")))[0]


@pytest.fixture
def everything(rng):
    """A node of every kind, some under names that Keras does not allow."""

    def numbers(*shape):
        return rng.normal(size=shape).astype(np.float32)

    weights = {"scale": numbers(4), "offset": numbers(4)}
    grouped = {"kernel": numbers(3, 3, 2, 4), "bias": numbers(4)}
    attributes = {"groups": 2, "dilation": (1, 2), "activation": "linear"}
    return graph(
        4,
        Node("a/b", "affine", ("x",), {}, weights),
        Node("a_b", "conv", ("a/b",), attributes, grouped),
        Node("bent", "activation", ("a_b",), {"activation": "prelu"}, {"slope": numbers(4)}),
        Node("sides", "crop", ("x",), {"cropping": (1, 1, 2, 2)}),
        Node("turned", "select", ("sides",), {"channels": (3, 0, 2, 1)}),
        Node("first", "select", ("sides",), {"channels": (1, 2)}),
        Node("sum", "combine", ("bent", "turned"), {"op": "add", "channels": (4, 4)}),
        Node("even", "normalize", ("sum",), {"epsilon": 0.01}, weights),
        Node("mean", "pool", ("even",), {"op": "mean", "size": (3, 1)}),
        Node("high", "pool", ("sum",), {"op": "max", "size": (3, 1)}),
        Node("inner", "crop", ("first",), {"cropping": (1, 1, 0, 0)}),
        Node("all", "concatenate", ("mean", "high", "inner")),
        conv("last", "all", numbers(1, 1, 10, 2), numbers(2)),
        Node("out", "activation", ("last",), {"activation": "softmax"}),
    )


def test_a_node_of_every_kind_is_rebuilt(everything, rng):
    assert {node.kind for node in everything} == set(SHAPE) == set(rebuild.KERAS)
    network = rebuild.network(everything)
    values = rng.normal(size=(9, 11, 4))
    np.testing.assert_allclose(says(network, values), run_numpy(everything, values), atol=1e-5)
    again = read(network)
    np.testing.assert_allclose(run_numpy(again, values), run_numpy(everything, values), atol=1e-5)


PARAMETERS = {
    "relu": {"max_value": 1.5, "negative_slope": 0.25, "threshold": 0.5},
    "leaky_relu": {"negative_slope": 0.3},
    "elu": {"alpha": 0.4},
    "gelu": {"approximate": True},
    "hard_sigmoid": {"slope": 0.2},
}


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"prelu"}))
def test_every_activation_is_rebuilt_with_its_parameters(name, rng):
    values = rng.normal(0, 3, (3, 4, 5))
    for parameters in ({}, PARAMETERS.get(name, {})):
        plain = graph(5, Node("f", "activation", ("x",), {"activation": name, **parameters}))
        found = says(rebuild.network(plain), values)
        np.testing.assert_allclose(found, run_numpy(plain, values), atol=1e-5)


def test_the_pixel_network_comes_back_as_it_was(tmp_path, rng):
    network = pixel_cnn(8, 7)
    rebuilt = rebuild.network(read(network))
    assert rebuilt.count_params() == network.count_params()
    trained = save(TrainedModel(rebuilt, Recipe(), {}), tmp_path / "model.keras")
    values = rng.normal(size=(9, 9, 8))
    np.testing.assert_array_equal(says(load(trained.path).network, values), says(network, values))


def test_a_padded_model_without_its_padding_says_the_same_inside(rng):
    """Two layers of 3 x 3 reach two pixels: so far from the border the two may differ."""
    inputs = keras.Input((None, None, 8))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = L.Concatenate()([inputs, L.Conv2D(4, 3, padding="same")(x)])
    padded = keras.Model(inputs, L.Conv2D(2, 1, activation="softmax")(x))
    trained = rebuild.without_padding(TrainedModel(padded, Recipe(), {"seed": 3}))
    assert trained.record == {"seed": 3}
    assert trained.recipe == Recipe()
    values = rng.normal(size=(11, 12, 8))
    found = says(trained.network, values)
    assert found.shape == (7, 8, 2)
    np.testing.assert_allclose(found, says(padded, values)[2:-2, 2:-2], atol=1e-6)
