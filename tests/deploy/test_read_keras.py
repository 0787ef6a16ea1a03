"""Keras 3 -> layer graph."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.deploy.layers import extents, receptive_field, run_numpy
from water_gee.deploy.passes import simplify
from water_gee.deploy.read_keras import read
from water_gee.errors import DeployError, UnsupportedLayerError
from water_gee.training.backend import keras, tf
from water_gee.training.network import pixel_cnn

L = keras.layers


def model_of(*layers, channels=3):
    x = inputs = keras.Input((None, None, channels))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def says(network, values):
    return keras.ops.convert_to_numpy(network(values[None].astype("float32")))[0]


@pytest.mark.parametrize(("skip_bands", "parameters"), [(8, 38_514), (7, 37_810)])
def test_the_pixel_network_is_read_whole(rng, skip_bands, parameters):
    keras.utils.set_random_seed(3)
    network = pixel_cnn(8, skip_bands)
    graph = read(network)
    assert graph.parameters == parameters == network.count_params()
    assert receptive_field(graph) == (7, 7)
    assert extents(graph)[graph.output].channels == 2
    values = rng.normal(0.2, 0.3, (12, 15, 8))
    np.testing.assert_allclose(run_numpy(graph, values), says(network, values), atol=1e-6)


def test_the_convolutions_of_the_pixel_network_have_the_published_sizes():
    graph = read(pixel_cnn())
    counts = [
        sum(array.size for array in node.weights.values()) for node in graph if node.kind == "conv"
    ]
    assert counts == [1168, 4640, 23104, 9344, 258]


def test_a_network_read_from_its_file_is_the_same_graph(tmp_path):
    network = pixel_cnn(8, 7)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert read(loaded).digest() == read(network).digest()


EQUIVALENT = {
    "activation layers": [L.Conv2D(4, 3), L.Activation("relu"), L.Conv2D(2, 1), L.Softmax()],
    "fused activations": [L.Conv2D(4, 3, activation="relu"), L.Conv2D(2, 1, activation="softmax")],
    "relu layer, sigmoid": [L.Conv2D(4, (1, 5)), L.ReLU(), L.Conv2D(1, 1, activation="sigmoid")],
    "no bias": [L.Conv2D(4, 3, use_bias=False), L.Activation("linear")],
    "lopsided crop and back": [L.Cropping2D(((1, 0), (0, 2))), L.Cropping2D(((0, 1), (2, 0)))],
}


@pytest.mark.parametrize("name", EQUIVALENT)
def test_a_network_of_supported_layers_says_the_same_in_numpy(rng, name):
    network = model_of(*EQUIVALENT[name])
    values = rng.normal(size=(9, 10, 3))
    for graph in (read(network), simplify(read(network))):
        np.testing.assert_allclose(run_numpy(graph, values), says(network, values), atol=1e-6)


def test_functions_of_keras_ops_are_read(rng):
    inputs = keras.Input((None, None, 5))
    x = keras.ops.relu(inputs[..., 1:4])
    x = keras.ops.concatenate([x, inputs[:, :, :, ::2]], axis=-1)
    network = keras.Model(inputs, keras.ops.softmax(keras.ops.sigmoid(x)))
    values = rng.normal(size=(3, 4, 5))
    np.testing.assert_allclose(run_numpy(read(network), values), says(network, values), atol=1e-6)


@pytest.mark.parametrize("name", ["relu", "relu6", "elu", "leaky_relu", "gelu", "silu", "softmax"])
def test_functions_of_tensorflow_are_known_as_activations(rng, name):
    network = model_of(L.Conv2D(3, 3, activation=getattr(tf.nn, name)))
    values = rng.normal(size=(5, 5, 3))
    np.testing.assert_allclose(run_numpy(read(network), values), says(network, values), atol=1e-5)


def relu(x):
    return x * 2


def test_a_function_is_known_by_what_it_is_not_by_its_name():
    with pytest.raises(UnsupportedLayerError, match="'relu of its own'"):
        read(model_of(L.Conv2D(2, 1, activation=relu)))


def test_weights_as_lora_changes_them_are_read(rng):
    layer = L.Dense(4)
    network = model_of(layer)
    layer.enable_lora(2)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    values = rng.normal(size=(3, 3, 3))
    np.testing.assert_allclose(run_numpy(read(network), values), says(network, values), atol=1e-5)


def test_models_inside_a_model_are_laid_open(rng):
    inner = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(3, 3, name="c")], name="inner")
    network = model_of(inner, L.ReLU(name="between"), inner)
    graph = read(network)
    names = [node.name for node in graph][1:]
    assert names == ["inner/c", "between", "inner_call1/c"]
    values = rng.normal(size=(7, 7, 3))
    np.testing.assert_allclose(run_numpy(graph, values), says(network, values), atol=1e-5)


def test_a_window_of_a_patch_of_known_size_is_a_crop(rng):
    """A network for patches of 7 x 7, cut by the numbers of rows; it is read for any size."""
    inputs = keras.Input((7, 7, 3))
    x = L.Concatenate()([L.Conv2D(2, 3)(inputs)[:, 1:4, 1:4], inputs[:, 2:5, 2:5, :2]])
    network = keras.Model(inputs, L.Conv2D(2, 3)(x))
    graph = read(network)
    assert receptive_field(graph) == (7, 7)
    values = rng.normal(size=(7, 7, 3))
    np.testing.assert_allclose(run_numpy(graph, values), says(network, values), atol=1e-5)


def test_a_layer_used_twice_is_two_nodes(rng):
    shared = L.Conv2D(3, 3, name="shared")
    network = model_of(shared, shared)
    graph = read(network)
    assert [node.name for node in graph if node.kind == "conv"] == ["shared", "shared_call1"]
    values = rng.normal(size=(7, 7, 3))
    np.testing.assert_allclose(run_numpy(graph, values), says(network, values), atol=1e-5)


def test_a_sequential_model_is_read(rng):
    network = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(2, 3)])
    values = rng.normal(size=(5, 5, 3))
    np.testing.assert_allclose(run_numpy(read(network), values), says(network, values), atol=1e-6)


def model_of_size(layer):
    inputs = keras.Input((9, 9, 3))
    return keras.Model(inputs, layer(inputs))


class Twice(L.Conv2D):
    """A subclass may do anything."""


REFUSED = {
    "same padding": (L.Conv2D(4, 3, padding="same", name="it"), "Conv2D", "same_as_valid=True"),
    "same pool": (L.MaxPooling2D(3, 1, "same", name="it"), "MaxPooling2D", "padding='valid'"),
    "a border": (L.ZeroPadding2D(1, name="it"), "ZeroPadding2D", "border of zeros means nothing"),
    "strides": (L.Conv2D(4, 3, strides=2, name="it"), "Conv2D", "strides=1"),
    "strided pool": (L.AveragePooling2D(3, name="it"), "AveragePooling2D", r"\(3, 3\).*strides=1"),
    "even kernel": (L.Conv2D(4, 2, name="it"), "Conv2D", "use odd"),
    "even pool": (L.MaxPooling2D(2, 1, name="it"), "MaxPooling2D", "use odd"),
    "activation": (L.Conv2D(4, 3, activation="mish", name="it"), "Conv2D", "'mish'; use.*gelu"),
    "own activation": (L.Activation(lambda x: x * 2, name="it"), "Activation", "lambda.*use one"),
    "softmax over rows": (L.Softmax(axis=1, name="it"), "Softmax", "only channels"),
    "norm over rows": (L.LayerNormalization(axis=1, name="it"), "LayerNormalization", "only chan"),
    "norm over all": (L.BatchNormalization(axis=1, name="it"), "BatchNormalization", "only chan"),
    "slopes of pixels": (L.PReLU(name="it"), "PReLU", "shared_axes"),
    "flatten": (L.Flatten(name="it"), "Flatten", "Conv2D whose kernel is as large"),
    "lambda": (L.Lambda(lambda x: x + 1, name="it"), "Lambda", "keras.ops"),
    "upsampling": (L.UpSampling2D(name="it"), "UpSampling2D", "keep the resolution"),
    "global pool": (L.GlobalAveragePooling2D(name="it"), "GlobalAveragePooling2D", "whole image"),
    "unknown": (L.Conv2DTranspose(4, 3, name="it"), "Conv2DTranspose", "dilation to see far"),
    "random": (L.RandomContrast(0.5, name="it"), "RandomContrast", "no form for it; use Conv2D"),
    "subclass": (Twice(4, 3, name="it"), "Twice", "write it with stock layers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_refused_by_layer_kind_and_remedy(name):
    layer, kind, remedy = REFUSED[name]
    with pytest.raises(UnsupportedLayerError, match=remedy) as caught:
        read(model_of_size(layer))
    assert (caught.value.layer, caught.value.kind) == ("it", kind)
    assert "\n" not in str(caught.value)


FUNCTIONS = {
    "tensor by tensor": (lambda x: x / (x + 5), "divided by another; divide by numbers only"),
    "number by tensor": (lambda x: 1 / x, "a number is divided by a tensor"),
    "by zero": (lambda x: x / np.array([1, 0, 1], "f4"), "divides by 0"),
    "a number for each pixel": (lambda x: x + np.ones((9, 9, 3), "f4"), r"shape \(9, 9, 3\)"),
    "a number for each image": (lambda x: x * np.ones((2, 1, 1, 1), "f4"), r"shape \(2, 1, 1, 1\)"),
    "no number": (lambda x: x + np.float32("nan"), "no numbers"),
    "another function": (keras.ops.exp, r"\(Exp\) cannot be converted: there is no form"),
    "a mean": (lambda x: keras.ops.mean(x, axis=-1, keepdims=True), r"\(Mean\) cannot"),
    "softmax over rows": (lambda x: keras.ops.softmax(x, axis=1), "runs over axis 1; only"),
    "joined rows": (lambda x: keras.ops.concatenate([x, x], axis=1), "joins along axis 1; only"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_without_a_form_are_refused(name):
    function, message = FUNCTIONS[name]
    inputs = keras.Input((9, 9, 3))
    with pytest.raises(UnsupportedLayerError, match=message) as caught:
        read(keras.Model(inputs, function(inputs)))
    assert "\n" not in str(caught.value)


def test_channels_first_are_refused():
    inputs = keras.Input((3, 9, 9))
    layer = L.Conv2D(4, 3, data_format="channels_first", name="it")
    with pytest.raises(UnsupportedLayerError, match="use data_format='channels_last'"):
        read(keras.Model(inputs, layer(inputs)))


def test_two_inputs_are_refused():
    inputs = [keras.Input((None, None, 3)), keras.Input((None, None, 3))]
    with pytest.raises(DeployError, match="one input and one output"):
        read(keras.Model(inputs, L.Add()(inputs)))


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = L.Conv2D(2, 1)

    def call(self, x):
        return self.inner(x)


def test_a_model_of_ones_own_class_is_refused_as_a_whole_and_as_a_layer():
    inputs = keras.Input((None, None, 3))
    with pytest.raises(DeployError, match="no built Keras model"):
        read(Own())
    with pytest.raises(UnsupportedLayerError, match=r"\(Own\).*stock layers"):
        read(keras.Model(inputs, Own()(inputs)))


SLICES = {
    "every other row": (lambda x: x[:, ::2], r"\[:, ::2\]; of rows and columns only windows"),
    "one row": (lambda x: x[:, 3], r"\[:, 3\]; only a window"),
    "first rows": (lambda x: x[:, :3], r"\[:, :3\]; .*counted from both ends"),
    "last rows": (lambda x: x[:, -3:], r"\[:, -3:\]; .*counted from both ends"),
    "images": (lambda x: x[1:, :], r"\[1:, :\]; only a window"),
    "a new axis": (lambda x: x[..., None], r"\[\.\.\., None\]"),
}


@pytest.mark.parametrize("name", SLICES)
def test_other_slices_are_refused(name):
    take, message = SLICES[name]
    inputs = keras.Input((None, None, 3))
    with pytest.raises(UnsupportedLayerError, match=message):
        read(keras.Model(inputs, take(inputs)))


def test_joining_rows_is_refused():
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(UnsupportedLayerError, match="axis 1"):
        read(keras.Model(inputs, L.Concatenate(axis=1)([inputs, inputs])))


def test_flat_input_is_refused():
    inputs = keras.Input((8,))
    with pytest.raises(UnsupportedLayerError, match=r"keras\.Input\(\(None, None, channels\)\)"):
        read(keras.Model(inputs, L.Activation("relu")(inputs)))


def test_weights_that_are_no_numbers_are_refused():
    layer = L.Conv2D(1, 1, name="it")
    network = model_of(layer)
    layer.bias.assign([float("nan")])
    with pytest.raises(UnsupportedLayerError, match="no numbers"):
        read(network)


def test_two_outputs_are_refused():
    inputs = keras.Input((None, None, 3))
    with pytest.raises(DeployError, match="one input and one output"):
        read(keras.Model(inputs, [inputs, L.ReLU()(inputs)]))


def test_something_else_is_refused():
    with pytest.raises(DeployError, match="no built Keras model"):
        read(keras.Sequential([L.Conv2D(2, 3)]))
    with pytest.raises(DeployError, match="'a string'"):
        read("a string")
