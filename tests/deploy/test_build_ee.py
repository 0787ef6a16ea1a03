"""Layer graph -> `ee.Image`, checked on its wire form."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import conv, decode, graph, small_cnn, undecided
from wire_interpreter import Band, evaluate

from water_gee.deploy import build_ee
from water_gee.deploy.limits import Size, measure
from water_gee.errors import DeployError, UnsupportedLayerError
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel, save
from water_gee.training.network import pixel_cnn

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module", params=[8, 7], ids=["skip 8", "skip 7"])
def network(request):
    """The pixel network, untrained, with biases and undecided between water and land."""
    return undecided(pixel_cnn(8, request.param))


def scene(rng, rows=18, cols=21):
    """Features, a hole of one pixel in one feature, and an unobserved corner in all."""
    values = rng.normal(0.2, 0.5, (8, rows, cols)).astype(np.float32)
    values[3, 7, 9] = np.nan
    values[:, :2, -3:] = np.nan
    return values


def source(values, names=None):
    names = names or [f"band{i}" for i in range(len(values))]
    return [
        Band(name, np.nan_to_num(band, nan=7e7), np.isfinite(band).astype(float))
        for name, band in zip(names, values, strict=True)
    ]


@pytest.fixture(scope="module")
def expression(ee, network):
    """The network over an image called `here`, as the wire has it."""
    assert sys.getrecursionlimit() == 1000
    return decode(ee.serializer.encode(build_ee.to_ee(network, ee.Image("here"))))


def served(ee, image, values, names=None):
    expression = decode(ee.serializer.encode(image))
    return evaluate(expression, {"here": source(values, names)}, values.shape[1:])


def keras_says(network, values):
    """Probability of water, NaN where a pixel of the 7 x 7 window is not observed."""
    filled = np.nan_to_num(values).transpose(1, 2, 0)[None]
    out = np.full(values.shape[1:], np.nan)
    out[3:-3, 3:-3] = keras.ops.convert_to_numpy(network(filled))[0, :, :, 0]
    observed = np.isfinite(values).all(axis=0)
    for row in range(3, out.shape[0] - 3):
        for col in range(3, out.shape[1] - 3):
            if not observed[row - 3 : row + 4, col - 3 : col + 4].all():
                out[row, col] = np.nan
    return out


def test_keras_and_the_serialised_network_agree(rng, network, expression):
    values = scene(rng)
    water, probability = evaluate(expression, {"here": source(values)}, values.shape[1:])
    expected = keras_says(network, values)
    inner = (slice(3, -3), slice(3, -3))
    np.testing.assert_array_equal(probability.mask[inner] == 1, np.isfinite(expected[inner]))
    np.testing.assert_array_equal(water.mask, probability.mask)
    seen = np.isfinite(expected)
    assert 100 < seen.sum() < 140
    np.testing.assert_allclose(probability.values[seen], expected[seen], atol=1e-6)
    np.testing.assert_array_equal(water.values[seen], expected[seen] >= 0.5)
    assert 0.1 < water.values[seen].mean() < 0.9
    assert [water.name, probability.name] == ["water", "probability"]


def test_the_serialised_network_is_small_and_flat(expression):
    """It was made at Python's default depth of recursion."""
    size = measure(expression)
    assert size.bytes < 2_200_000
    assert size.nesting <= 70
    assert size.calls < 7_200


def skip_of(network):
    return network.get_layer("skip3").output.shape[-1] - 64


def test_one_kernel_for_each_pair_of_channels(network, expression):
    text = json.dumps(expression)
    pairs = 8 * 16 + 16 * 32 + (32 + skip_of(network)) * 64
    assert text.count('"Kernel.fixed"') == pairs + 1  # and one for the mask


def test_only_functions_of_the_list_are_called(expression):
    assert functions(expression) - build_ee.EE_FUNCTIONS == {"Image.load"}


def functions(value):
    if isinstance(value, dict):
        own = {value["functionName"]} if "functionName" in value else set()
        return own.union(*(functions(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(functions(part) for part in value))
    return set()


def test_probability_is_left_out_when_not_asked_for(ee, rng):
    image = build_ee.to_ee(undecided(small_cnn()), ee.Image("here"), probability=False)
    bands = served(ee, image, scene(rng))
    assert [band.name for band in bands] == ["water"]


def test_a_user_image_with_names_like_our_own_is_matched_by_order(ee, rng):
    """Bands called as Earth Engine calls constants and sums must not be matched by name."""
    network = graph(
        3, conv("a", "x", rng.normal(size=(1, 1, 3, 2)), (0.1, -0.2), activation="softmax")
    )
    values = rng.normal(size=(3, 4, 4)).astype(np.float32)
    plain = served(ee, build_ee.to_ee(network, ee.Image("here")), values)
    names = ["constant_1", "sum", "constant"]
    odd = served(ee, build_ee.to_ee(network, ee.Image("here")), values, names)
    np.testing.assert_array_equal(odd[1].values, plain[1].values)


def test_a_single_sigmoid_is_a_probability_of_water(ee):
    network = graph(1, conv("a", "x", [[[[2.0]]]], (1.0,), activation="sigmoid"))
    values = np.array([[[-1.0, -0.5, 0.0, 1.0]]], np.float32)
    water, probability = served(ee, build_ee.to_ee(network, ee.Image("here")), values)
    expected = [0.2689414213699951, 0.5, 0.7310585786300049, 0.9525741268224334]
    np.testing.assert_allclose(probability.values[0], expected, atol=1e-7)
    np.testing.assert_array_equal(water.values[0], [0, 1, 1, 1])


def test_a_tie_is_water(ee):
    network = graph(1, conv("a", "x", np.zeros((1, 1, 1, 2)), activation="softmax"))
    water, _ = served(ee, build_ee.to_ee(network, ee.Image("here")), np.ones((1, 1, 1)))
    assert water.values[0, 0] == 1


def test_the_wire_form_of_a_tiny_network_is_the_golden_one(ee):
    """Renewed on purpose: delete the file, run this test, and read the difference."""
    network = graph(
        2,
        conv("a", "x", np.arange(36, dtype=float).reshape(3, 3, 2, 2) / 8, (0.5, -0.25), "relu"),
        conv("b", "a", [[[[1, -1], [0.5, 2]]]], (0, 0.125), "softmax"),
    )
    found = decode(ee.serializer.encode(build_ee.to_ee(network, ee.Image("here"))))
    golden = GOLDEN / "tiny_network.json"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(golden.read_text())


def test_an_output_that_is_no_probability_is_refused(ee):
    for activation, filters in (("linear", 2), ("softmax", 3), ("relu", 1)):
        network = graph(1, conv("a", "x", np.ones((1, 1, 1, filters)), activation=activation))
        with pytest.raises(DeployError, match="softmax over \\(water, land\\) or one sigmoid"):
            build_ee.to_ee(network, ee.Image("here"))


def test_a_trained_model_is_laid_over_the_composite_of_its_recipe(ee, tmp_path):
    """From memory or from its file: the recipe's collection and months, its features by name."""
    recipe = Recipe(sensors=("landsat9",), years=(2022,), months=(7,), dem=None)
    trained = save(TrainedModel(undecided(small_cnn()), recipe, {}), tmp_path / "model.keras")
    texts = [
        json.dumps(ee.serializer.encode(build_ee.to_ee(model)))
        for model in (trained, trained.path, str(trained.path))
    ]
    assert texts[0] == texts[1] == texts[2]
    for part in ("LANDSAT/LC09/C02/T1_L2", "2022-07-01", '"Image.convolve"', '"mNDWI"'):
        assert part in texts[0]
    assert "LANDSAT/LC08" not in texts[0]


def test_a_trained_model_takes_its_features_from_an_image_by_name(ee, rng):
    trained = TrainedModel(undecided(small_cnn()), Recipe(), {})
    values = rng.normal(0.2, 0.5, (8, 12, 12)).astype(np.float32)
    order = rng.permutation(8)
    names = [Recipe().features[index] for index in order]
    shuffled = served(ee, build_ee.to_ee(trained, ee.Image("here")), values[order], names)
    straight = served(ee, build_ee.to_ee(trained.network, ee.Image("here")), values)
    np.testing.assert_array_equal(shuffled[1].values, straight[1].values)


def test_a_bare_network_without_an_image_is_refused(ee):
    network = graph(1, conv("a", "x", np.ones((1, 1, 1, 1)), activation="sigmoid"))
    with pytest.raises(DeployError, match="give the image"):
        build_ee.to_ee(network)


def test_a_layer_without_a_form_is_refused_before_anything_is_built(ee):
    inputs = keras.Input((None, None, 8))
    odd = keras.layers.Conv2D(2, 3, padding="same", activation="softmax", name="odd")
    with pytest.raises(UnsupportedLayerError, match="'odd' \\(Conv2D\\)"):
        build_ee.to_ee(keras.Model(inputs, odd(inputs)), ee.Image("here"))


def test_an_expression_is_measured():
    size = measure({"a": [{"functionName": "f", "arguments": {}}], "b": "x"})
    assert size == Size(bytes=57, calls=1, nesting=4)
