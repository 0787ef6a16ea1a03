"""Keras 2 files -> layer graph."""

from __future__ import annotations

import json
import warnings

import h5py
import keras2_files as k2
import numpy as np
import pytest
from networks import decode
from wire_interpreter import Band, evaluate

from water_gee.deploy import read_h5
from water_gee.deploy.layers import extents, receptive_field, run_numpy
from water_gee.deploy.read_keras import read as read_keras
from water_gee.errors import ModelError, UnsupportedLayerError
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import load, save
from water_gee.training.network import LAYERS, pixel_cnn


@pytest.fixture
def pixel_network():
    """The published network with 7 of 8 bands joined again, and its weights."""
    keras.utils.set_random_seed(4)
    return pixel_cnn(8, 7)


def published(path, network):
    """The same network as its own generation wrote it: for patches, and with slices of TensorFlow.

    `(7, 7, 8)` in, `(1, 1, 2)` out; the crops are slices as well.
    """

    def conv(name, read, activation="relu"):
        kernel, bias = network.get_layer(name).get_weights()
        return k2.conv(name, read, kernel, bias, activation=activation)

    inner = {"begin_mask": 0b1001, "end_mask": 0b1001}
    layers = [
        k2.source("input_1", 7, 7, 8),
        conv("conv1", "input_1"),
        conv("conv2", "conv1"),
        k2.strided_slice(
            "strided_slice", "input_1", [0, 0], [0, 7], begin_mask=3, end_mask=1, ellipsis_mask=1
        ),
        k2.strided_slice(
            "strided_slice_1", "tf_op_layer_strided_slice", [0, 2, 2, 0], [0, 5, 5, 0], **inner
        ),
        k2.layer("Concatenate", "skip2", ["conv2", "tf_op_layer_strided_slice_1"], axis=-1),
        conv("conv3", "skip2"),
        k2.strided_slice(
            "strided_slice_2", "tf_op_layer_strided_slice", [0, 3, 3, 0], [0, -3, -3, 0], **inner
        ),
        k2.layer("Concatenate", "skip3", ["conv3", "tf_op_layer_strided_slice_2"], axis=-1),
        conv("hidden", "skip3"),
        conv("classes", "hidden", activation="softmax"),
    ]
    return k2.write(path, layers, k2.functional(layers, ["input_1"], ["classes"], "Model"))


def test_the_published_generation_is_read(tmp_path, rng, pixel_network):
    graph = read_h5.read(published(tmp_path / "model.h5", pixel_network))
    assert graph.parameters == 37_810 == pixel_network.count_params()
    assert receptive_field(graph) == (7, 7)
    assert extents(graph)[graph.output].channels == 2
    assert {node.name for node in graph if node.kind == "conv"} == set(LAYERS)
    values = rng.normal(0.2, 0.3, (12, 15, 8)).astype(np.float32)
    expected = np.asarray(pixel_network(values[None]))[0]
    np.testing.assert_allclose(run_numpy(graph, values), expected, atol=1e-6)


def test_a_keras_2_file_becomes_an_expression_with_water_in_channel_0(
    tmp_path, ee, rng, pixel_network
):
    from water_gee.deploy.build_ee import to_ee

    path = published(tmp_path / "model.h5", pixel_network)
    image = to_ee(str(path), ee.Image("here"))
    values = rng.normal(0.2, 0.5, (8, 9, 10)).astype(np.float32)
    bands = [Band(f"b{index}", band, np.ones((9, 10))) for index, band in enumerate(values)]
    expression = decode(ee.serializer.encode(image))
    _, probability = evaluate(expression, {"here": bands}, (9, 10))
    expected = np.asarray(pixel_network(values.transpose(1, 2, 0)[None]))[0, :, :, 0]
    np.testing.assert_allclose(probability.values[3:-3, 3:-3], expected, atol=1e-6)


def test_a_keras_2_file_with_a_recipe_is_a_model_like_any_other(tmp_path, rng, pixel_network):
    path = published(tmp_path / "model.h5", pixel_network)
    trained = read_h5.load(path, Recipe())
    again = load(save(trained, tmp_path / "model.keras").path)
    assert again.record == {"read_from": "model.h5"}
    values = rng.normal(0.2, 0.3, (1, 9, 9, 8)).astype(np.float32)
    np.testing.assert_allclose(again.network(values), pixel_network(values), atol=1e-6)


def test_a_recipe_of_other_features_is_refused(tmp_path, pixel_network):
    path = published(tmp_path / "model.h5", pixel_network)
    recipe = Recipe(features=("Blue", "Green", "Red", "NIR", "SWIR1", "mNDWI"), dem=None)
    with pytest.raises(ModelError, match="takes 8 features, its recipe has 6"):
        read_h5.load(path, recipe)


def test_a_keras_2_file_alone_is_no_model_and_says_what_makes_it_one(tmp_path, pixel_network):
    path = published(tmp_path / "model.h5", pixel_network)
    with pytest.raises(ModelError, match=r"Keras 2 file.*read_h5\.load\(path, recipe\)"):
        load(path)


def test_a_file_of_this_kind_that_keras_3_wrote_is_read_too(tmp_path):
    """One without slices, which Keras 3 itself cannot load from such a file."""
    network = pixel_cnn(8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that the format is legacy
        network.save(tmp_path / "new.h5")
    graph = read_h5.read(tmp_path / "new.h5")
    assert graph.digest() == read_keras(network).digest()


def test_a_file_that_keras_3_wrote_and_cannot_load_is_one_line(tmp_path, pixel_network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixel_network.save(tmp_path / "new.h5")
    with pytest.raises(ModelError, match=r"no network that Keras can load.*GetItem") as caught:
        read_h5.read(tmp_path / "new.h5")
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- settings of the other generation


def one_layer(tmp_path, made, channels=4):
    layers = [k2.source("x", None, None, channels), made]
    return k2.write(tmp_path / "one.h5", layers, k2.functional(layers, ["x"], [layers[-1]["name"]]))


def says(tmp_path, made, values):
    return run_numpy(read_h5.read(one_layer(tmp_path, made, values.shape[-1])), values)


SIX = np.array([-4.0, -2.0, -0.5, 0.5, 2.0, 4.0])[None, None]

MEANINGS = {
    # Keras 2: clip(0.2 x + 0.5, 0, 1), where Keras 3 has x / 6.
    "hard_sigmoid": (
        k2.layer("Activation", "a", ["x"], activation="hard_sigmoid"),
        [0, 0.1, 0.4, 0.6, 0.9, 1],
    ),
    "LeakyReLU": (k2.layer("LeakyReLU", "a", ["x"], alpha=0.5), [-2, -1, -0.25, 0.5, 2, 4]),
    "LeakyReLU, as it was": (k2.layer("LeakyReLU", "a", ["x"]), [-1.2, -0.6, -0.15, 0.5, 2, 4]),
    "leaky_relu": (
        k2.layer("TFOpLambda", "a", ["x"], function="nn.leaky_relu"),
        [-0.8, -0.4, -0.1, 0.5, 2, 4],
    ),
    "ReLU": (
        k2.layer("ReLU", "a", ["x"], max_value=3.0, negative_slope=[0.5], threshold=0.0),
        [-2, -1, -0.25, 0.5, 2, 3],
    ),
    "swish": (
        k2.layer("Activation", "a", ["x"], activation="swish"),
        SIX[0, 0] / (1 + np.exp(-SIX[0, 0])),
    ),
    "1 - x": (
        k2.layer(
            "TFOpLambda",
            "a",
            calls=[["_CONSTANT_VALUE", -1, 1.0, {"y": ["x", 0, 0], "name": None}]],
            function="math.subtract",
        ),
        1 - SIX[0, 0],
    ),
    "x - 1": (
        k2.layer("TFOpLambda", "a", calls=[["x", 0, 0, {"y": 1.0}]], function="math.subtract"),
        SIX[0, 0] - 1,
    ),
    "x * x": (
        k2.layer(
            "TFOpLambda",
            "a",
            calls=[["x", 0, 0, {"y": ["x", 0, 0]}]],
            function="math.multiply",
        ),
        SIX[0, 0] ** 2,
    ),
    "x[..., ::-1]": (
        k2.layer(
            "SlicingOpLambda",
            "a",
            calls=[
                [
                    "x",
                    0,
                    0,
                    {
                        "slice_spec": {
                            "class_name": "__tuple__",
                            "items": [
                                {"class_name": "__ellipsis__"},
                                {"start": None, "stop": None, "step": -1},
                            ],
                        }
                    },
                ]
            ],
            function="__operators__.getitem",
        ),
        SIX[0, 0, ::-1],
    ),
    "every other channel": (
        k2.strided_slice(
            "s", "x", [0, 1], [0, 6], strides=[1, 2], ellipsis_mask=1, begin_mask=1, end_mask=1
        ),
        SIX[0, 0, 1::2],
    ),
    "x - 3, by operation": (k2.operation("s", "x", "Sub", {1: 3.0}), SIX[0, 0] - 3),
    "3 - x, by operation": (k2.operation("s", "x", "Sub", {0: 3.0}), 3 - SIX[0, 0]),
    "x / 2, by operation": (k2.operation("s", "x", "RealDiv", {1: [2.0] * 6}), SIX[0, 0] / 2),
    "relu, by operation": (k2.operation("s", "x", "Relu", {}), np.maximum(SIX[0, 0], 0)),
    "joined, by operation": (
        k2.operation("s", "x", "ConcatV2", {2: -1}, reads=["x", "x"]),
        np.concatenate([SIX[0, 0], SIX[0, 0]]),
    ),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_settings_mean_what_they_meant(tmp_path, name):
    made, expected = MEANINGS[name]
    np.testing.assert_allclose(says(tmp_path, made, SIX)[0, 0], expected, atol=1e-6)


def test_a_depthwise_layer_has_its_kernel_under_its_old_name(tmp_path, rng):
    kernel = rng.normal(size=(3, 3, 2, 2)).astype(np.float32)
    made = k2.layer(
        "DepthwiseConv2D",
        "a",
        ["x"],
        [("depthwise_kernel", kernel)],
        use_bias=False,
        depth_multiplier=2,
        dilation_rate=[1, 1],
        activation="linear",
    )
    values = rng.normal(size=(3, 3, 2))
    expected = [
        (values[..., channel] * kernel[..., channel, which]).sum()
        for channel in range(2)
        for which in range(2)
    ]
    np.testing.assert_allclose(says(tmp_path, made, values)[0, 0], expected, rtol=1e-6)


def test_normalisation_in_a_nested_sequential_model_is_read(tmp_path, rng):
    """The weights of a nested model stand in one group; its first call has the number 1."""
    numbers = {
        name: rng.uniform(0.5, 2, 3).astype(np.float32)
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    kernel, bias = rng.normal(size=(1, 1, 3, 2)).astype("f4"), np.zeros(2, "f4")
    norm = k2.layer("BatchNormalization", "norm", axis=[3], epsilon=0.001)
    norm["config"]["batch_input_shape"] = [None, None, None, 3]
    parts = [norm, k2.conv("last", "norm", kernel, bias, activation="relu")]
    plain = [{"class_name": one["class_name"], "config": one["config"]} for one in parts]
    inner = k2.layer("Sequential", "inner", ["x"])
    inner["config"] = {"name": "inner", "layers": plain}
    layers = [k2.source("x", None, None, 3), inner]
    config = k2.functional(layers, ["x"], ["inner"])
    config["config"]["output_layers"] = [["inner", 1, 0]]
    path = k2.write(tmp_path / "nested.h5", layers, config)
    with h5py.File(path, "a") as file:
        group = file["model_weights/inner"]
        arrays = {f"norm/{name}:0": array for name, array in numbers.items()}
        arrays |= {"last/kernel:0": kernel, "last/bias:0": bias}
        group.attrs["weight_names"] = [name.encode() for name in arrays]
        for name, array in arrays.items():
            group.create_dataset(name, data=array)
    graph = read_h5.read(path)
    assert [node.name for node in graph] == ["x", "inner/norm", "inner/last", "inner/last_relu"]
    values = rng.normal(size=(4, 4, 3))
    normal = (values - numbers["moving_mean"]) / np.sqrt(numbers["moving_variance"] + 0.001)
    expected = np.maximum((normal * numbers["gamma"] + numbers["beta"]) @ kernel[0, 0], 0)
    np.testing.assert_allclose(run_numpy(graph, values), expected, atol=1e-5)


def test_a_sequential_model_is_read(tmp_path, rng):
    kernel, bias = rng.normal(size=(3, 3, 2, 1)).astype("f4"), np.ones(1, "f4")
    first = k2.conv("a", "", kernel, bias, activation="tanh")
    first["config"]["batch_input_shape"] = [None, 3, 3, 2]
    plain = [
        {"class_name": "Conv2D", "config": first["config"]},
        {"class_name": "Dropout", "config": {"name": "d", "rate": 0.5}},
    ]
    for layers in ({"name": "s", "layers": plain}, plain):  # a bare list until Keras 2.2.3
        path = k2.write(tmp_path / "s.h5", [first], {"class_name": "Sequential", "config": layers})
        values = rng.normal(size=(3, 3, 2))
        expected = np.tanh((values * kernel[..., 0]).sum() + 1)
        np.testing.assert_allclose(run_numpy(read_h5.read(path), values), [[[expected]]], rtol=1e-5)


def test_a_layer_called_twice_is_two_nodes(tmp_path):
    shared = k2.conv("a", "", np.full((1, 1, 1, 1), 3, "f4"), np.ones(1, "f4"))
    shared["inbound_nodes"] = [[["x", 0, 0, {}]], [["b", 0, 0, {}]]]
    layers = [k2.source("x", None, None, 1), shared, k2.layer("ReLU", "b", ["a"])]
    config = k2.functional(layers, ["x"], ["a"])
    config["config"]["output_layers"] = [["a", 1, 0]]
    graph = read_h5.read(k2.write(tmp_path / "twice.h5", layers, config))
    assert [node.name for node in graph] == ["x", "a", "b", "a_call1"]
    assert run_numpy(graph, np.full((1, 1, 1), 2.0))[0, 0, 0] == (2 * 3 + 1) * 3 + 1


def test_what_the_two_generations_share_is_the_same_graph(tmp_path, pixel_network):
    """Node by node: only the slices have other names."""
    old = read_h5.read(published(tmp_path / "model.h5", pixel_network))
    assert old.digest() != read_keras(pixel_cnn(8, 7)).digest()  # other weights
    kinds = sorted(node.kind for node in old)
    assert kinds == sorted(node.kind for node in read_keras(pixel_network))


# ----------------------------------------------------------------------------------------- refusals


def test_a_layer_without_a_form_is_refused_by_name_kind_and_remedy(tmp_path):
    flat = k2.layer("Flatten", "flat", ["x"])
    with pytest.raises(UnsupportedLayerError, match=r"'flat' \(Flatten\).*Conv2D whose kernel"):
        read_h5.read(one_layer(tmp_path, flat))


def test_same_padding_is_refused_unless_asked_for(tmp_path, rng):
    kernel, bias = rng.normal(size=(3, 3, 4, 2)).astype("f4"), np.zeros(2, "f4")
    path = one_layer(tmp_path, k2.conv("a", "x", kernel, bias, padding="same"))
    with pytest.raises(UnsupportedLayerError, match="same_as_valid=True"):
        read_h5.read(path)
    assert receptive_field(read_h5.read(path, same_as_valid=True)) == (3, 3)


OPERATIONS = {
    "operation": (k2.operation("s", "x", "Cumsum", {1: 0}), "TensorFlow's Cumsum; .*StridedSlice"),
    "function": (
        k2.layer("TFOpLambda", "a", ["x"], function="math.cumsum"),
        r"it calls tf\.math\.cumsum; .*getitem",
    ),
    "rows": (
        k2.strided_slice("s", "x", [0, 0], [0, 3], begin_mask=1, end_mask=1),
        r"\[:, 0:3\]; of rows and columns only windows",
    ),
    "one row": (
        k2.strided_slice("s", "x", [0, 2], [0, 3], begin_mask=1, end_mask=1, shrink_axis_mask=2),
        r"\[:, 2\]; only a window",
    ),
    "a new axis": (
        k2.strided_slice("s", "x", [0, 0], [0, 0], begin_mask=1, end_mask=1, new_axis_mask=2),
        r"\[:, None\]",
    ),
    "a computed window": (
        k2.operation("s", "x", "StridedSlice", {1: [0], 2: [1]}, reads=["x", "x"]),
        "window that is computed",
    ),
    "a torn operation": (
        k2.layer("TensorFlowOpLayer", "s", ["x"], node_def="\x01torn", constants={}),
        "operation cannot be read",
    ),
    "no weights": (
        k2.layer("Conv2D", "a", ["x"], activation="linear"),
        "no weights 'kernel'",
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_has_no_form_is_refused(tmp_path, name):
    made, message = OPERATIONS[name]
    with pytest.raises(UnsupportedLayerError, match=message) as caught:
        read_h5.read(one_layer(tmp_path, made))
    assert "\n" not in str(caught.value)


def test_an_operation_in_the_older_binary_writing_is_read(tmp_path):
    from google.protobuf import json_format

    from water_gee.training.backend import tf

    made = k2.strided_slice("s", "x", [0, 1], [0, 3], ellipsis_mask=1, begin_mask=1, end_mask=1)
    node = json_format.ParseDict(made["config"]["node_def"], tf.compat.v1.NodeDef())
    made["config"]["node_def"] = node.SerializeToString().decode()
    np.testing.assert_array_equal(says(tmp_path, made, SIX)[0, 0], SIX[0, 0, 1:3])


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no model at .*none\.h5"):
        read_h5.read(tmp_path / "none.h5")


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("no HDF5")
    with pytest.raises(ModelError, match=r"text\.h5 is no HDF5 file"):
        read_h5.read(path)


def test_weights_without_a_model_are_refused(tmp_path):
    path = k2.write(tmp_path / "weights.h5", [k2.source("x", None, None, 1)], None)
    with pytest.raises(ModelError, match="holds weights and no model; save it whole"):
        read_h5.read(path)


def test_a_model_of_ones_own_class_is_refused(tmp_path):
    path = k2.write(tmp_path / "own.h5", [], {"class_name": "MyModel", "config": {}})
    with pytest.raises(ModelError, match="holds a MyModel; only functional"):
        read_h5.read(path)


@pytest.mark.parametrize("damage", ["torn", "layers gone", "read from nowhere", "weights gone"])
def test_a_damaged_file_is_one_line(tmp_path, damage):
    path = one_layer(tmp_path, k2.layer("ReLU", "a", ["x"]))
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        if damage == "layers gone":
            del config["config"]["layers"]
        if damage == "read from nowhere":
            config["config"]["layers"][1]["inbound_nodes"] = [[["y", 0, 0, {}]]]
        text = json.dumps(config)
        file.attrs["model_config"] = text[:-5] if damage == "torn" else text
        if damage == "weights gone":
            del file["model_weights"]
    with pytest.raises(ModelError, match=r"one\.h5") as caught:
        read_h5.read(path)
    assert "\n" not in str(caught.value)


def test_two_inputs_and_two_outputs_are_refused(tmp_path):
    layers = [k2.source("x", None, None, 1), k2.source("y", None, None, 1)]
    layers.append(k2.layer("Add", "a", ["x", "y"]))
    path = k2.write(tmp_path / "two.h5", layers, k2.functional(layers, ["x", "y"], ["a"]))
    with pytest.raises(ModelError, match="several inputs"):
        read_h5.read(path)
    layers = [layers[0], k2.layer("ReLU", "a", ["x"])]
    path = k2.write(tmp_path / "out.h5", layers, k2.functional(layers, ["x"], ["a", "x"]))
    with pytest.raises(ModelError, match="2 outputs"):
        read_h5.read(path)


def test_a_flat_input_is_refused(tmp_path):
    layers = [k2.source("x", 8), k2.layer("ReLU", "a", ["x"])]
    path = k2.write(tmp_path / "flat.h5", layers, k2.functional(layers, ["x"], ["a"]))
    with pytest.raises(UnsupportedLayerError, match=r"shape is \(None, 8\)"):
        read_h5.read(path)
