"""The published layout, counted by hand, and what it makes of windows."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from water_gee.errors import ModelError, TrainingError
from water_gee.training.backend import keras, make_repeatable
from water_gee.training.network import (
    HALO,
    LAND,
    NETWORKS,
    WATER,
    build,
    check,
    context_cnn,
    halo,
    pixel_cnn,
    register,
)


def weights_by_layer(network):
    return {layer.name: layer.count_params() for layer in network.layers if layer.count_params()}


def test_the_network_has_the_published_number_of_weights_in_each_layer():
    network = pixel_cnn()
    # filters * (rows * cols * channels + 1)
    assert weights_by_layer(network) == {
        "conv1": 16 * (9 * 8 + 1),
        "conv2": 32 * (9 * 16 + 1),
        "conv3": 64 * (9 * 40 + 1),
        "hidden": 128 * (72 + 1),
        "classes": 2 * (128 + 1),
    }
    assert list(weights_by_layer(network).values()) == [1168, 4640, 23104, 9344, 258]
    assert network.count_params() == 38_514


def test_with_seven_skipped_bands_it_is_the_published_deployment_table():
    network = pixel_cnn(skip_bands=7)
    assert network.count_params() == 37_810
    assert network.get_layer("conv3").kernel.shape[2] == 39
    assert network.get_layer("hidden").kernel.shape[2] == 71


def test_it_is_made_of_stock_layers_only():
    text = json.dumps(pixel_cnn(skip_bands=7).get_config(), default=str)
    assert "Lambda" not in text


@pytest.mark.parametrize("skip", [8, 7])
def test_seven_pixels_become_one_and_its_classes_sum_to_one(skip):
    network = pixel_cnn(skip_bands=skip)
    for height, width in ((7, 7), (12, 20)):
        values = np.random.default_rng(0).normal(size=(2, height, width, 8)).astype(np.float32)
        answer = np.asarray(network(values))
        assert answer.shape == (2, height - 2 * HALO, width - 2 * HALO, 2)
        np.testing.assert_allclose(answer[..., WATER] + answer[..., LAND], 1, atol=1e-6)


def test_the_input_joins_again_at_the_pixel_in_the_middle():
    """With the convolutions silenced only the second join is left: the pixel's own features."""
    network = pixel_cnn()
    for layer in network.layers:
        for variable in layer.weights:
            variable.assign(np.zeros(variable.shape, np.float32))
    kernel = np.zeros((1, 1, 72, 128), np.float32)
    kernel[0, 0, 64 + 5, 0] = 1  # feature 5, behind the 64 of conv3
    network.get_layer("hidden").kernel.assign(kernel)
    kernel = np.zeros((1, 1, 128, 2), np.float32)
    kernel[0, 0, 0, WATER] = 1
    network.get_layer("classes").kernel.assign(kernel)
    values = np.random.default_rng(1).random((1, 9, 11, 8)).astype(np.float32)
    expected = 1 / (1 + np.exp(-values[:, 3:-3, 3:-3, 5]))
    np.testing.assert_allclose(np.asarray(network(values))[..., WATER], expected, atol=1e-6)


@pytest.mark.parametrize(("bands", "skip"), [(0, 1), (8, 0), (8, 9), (-1, -1)])
def test_counts_that_make_no_network_are_refused(bands, skip):
    with pytest.raises(TrainingError, match=f"bands={bands}, skip_bands={skip}"):
        pixel_cnn(bands, skip)


# ---------------------------------------------------------------------------------------- registry

L = keras.layers


def built(layers_of):
    """A builder from what it does to the features."""

    def builder(bands):
        features = keras.Input((None, None, bands))
        return keras.Model(features, layers_of(features))

    return builder


def classes(tensor):
    return L.Conv2D(2, 1, activation="softmax")(tensor)


def small_own(bands, filters=4):
    """A builder of a user: 5 x 5, of stock layers."""
    features = keras.Input((None, None, bands))
    return keras.Model(features, classes(L.Conv2D(filters, 5, activation="relu")(features)))


@pytest.fixture(autouse=True)
def names_kept(monkeypatch):
    """What a test registers is gone behind it."""
    monkeypatch.setattr("water_gee.training.network.NETWORKS", dict(NETWORKS))


def test_the_default_is_the_published_network_weight_by_weight():
    make_repeatable(4)
    plain = pixel_cnn(8, 8).get_weights()
    make_repeatable(4)
    found = build().get_weights()
    assert build().count_params() == 38_514
    for old, new in zip(plain, found, strict=True):
        np.testing.assert_array_equal(old, new)


def test_looking_at_a_network_draws_no_random_number():
    """Training with a seed gives the same weights whether its network was looked at or not."""
    make_repeatable(4)
    network = build("context_cnn")
    after = keras.random.normal((3,)).numpy()
    make_repeatable(4)
    context_cnn()
    np.testing.assert_array_equal(keras.random.normal((3,)).numpy(), after)
    check(network)


def test_a_network_of_ones_own_is_built_by_its_name_with_its_options():
    register("small_own", small_own)
    register("small_own", small_own)  # again the same: nothing happens
    network = build("small_own", 3, filters=6)
    assert network.input_shape == (None, None, None, 3)
    assert network.count_params() == 6 * (25 * 3 + 1) + 2 * (6 + 1)
    assert halo(network) == 2


def test_a_name_is_given_again_to_the_same_builder_with_the_same_options_only():
    register("small_own", partial(small_own, filters=6))
    register("small_own", partial(small_own, filters=6))
    assert build("small_own", 3).count_params() == 6 * (25 * 3 + 1) + 2 * (6 + 1)
    for other in (partial(small_own, filters=7), small_own, partial(pixel_cnn, filters=6)):
        with pytest.raises(TrainingError, match="there is a network 'small_own' already"):
            register("small_own", other)


def test_a_builder_is_found_in_a_module_by_name(tmp_path, monkeypatch):
    (tmp_path / "nets_of_mine.py").write_text(
        "from water_gee.training.network import pixel_cnn\n"
        "def mine(bands, skip_bands=5):\n    return pixel_cnn(bands, skip_bands)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert build("nets_of_mine:mine").get_layer("conv3").kernel.shape[2] == 32 + 5
    (tmp_path / "broken_nets.py").write_text("1 / 0\n")
    with pytest.raises(TrainingError, match="cannot be imported: division by zero"):
        build("broken_nets:mine")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unet", "no network 'unet'; there are pixel_cnn, context_cnn"),
        (None, "no network None"),
        ("nowhere_at_all:builder", "cannot be imported: No module named 'nowhere_at_all'"),
        ("math:builder", "cannot be imported: module 'math' has no attribute 'builder'"),
        ("math:pi", "is no function, but float"),
        (":", "cannot be imported"),
    ],
)
def test_names_of_nothing_are_refused(name, words):
    with pytest.raises(TrainingError) as caught:
        build(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "builder", "words"),
    [
        ("two words", small_own, "letters, digits and underscores, not 'two words'"),
        (7, small_own, "not 7"),
        ("mine", "small_own", "must be a function of the number of bands, not str"),
        ("pixel_cnn", small_own, "there is a network 'pixel_cnn' already"),
    ],
)
def test_what_cannot_be_registered_is_refused(name, builder, words):
    with pytest.raises(TrainingError, match=words):
        register(name, builder)


def test_options_that_a_builder_does_not_take_are_one_line():
    with pytest.raises(TrainingError, match=r"'pixel_cnn' cannot be built: .*'depth'"):
        build("pixel_cnn", 8, depth=4)


BAD = {
    "same padding": (
        lambda x: classes(L.Conv2D(4, 3, padding="same")(x)),
        "another answer where the raster is cut otherwise; use padding='valid'",
    ),
    "zeros around": (
        lambda x: classes(L.Conv2D(4, 3)(L.ZeroPadding2D(1)(x))),
        "another answer where the raster is cut otherwise",
    ),
    "a look at the whole": (
        lambda x: classes(x * L.GlobalAveragePooling2D(keepdims=True)(x)),
        "no layer that looks at the whole image",
    ),
    "strides": (
        lambda x: classes(L.Conv2D(4, 3, strides=2)(x)),
        "makes 150 x 150 pixels of 301 x 301.*no strides, odd kernels",
    ),
    "pools and back": (
        lambda x: classes(L.UpSampling2D(2)(L.MaxPooling2D(2)(x))),
        "300 x 300 pixels of 301 x 301, and 302 x 302 pixels of 302 x 302",
    ),
    "even kernels": (lambda x: classes(L.Conv2D(4, 2)(x)), "no strides, odd kernels"),
    "wide windows": (lambda x: classes(L.Conv2D(4, (3, 5))(x)), "lose as many on every side"),
    "too far": (
        lambda x: classes(L.Conv2D(4, 3, dilation_rate=65)(x)),
        "sees 131 x 131 pixels; at most 129 x 129",
    ),
    "no centre": (
        lambda x: classes(L.Cropping2D(((2, 0), (0, 0)))(L.Conv2D(4, (1, 3))(x))),
        r"reaches \[2, 0, 0, 0\] pixels less than the 3 x 3.*no centre; crop both sides alike",
    ),
    "three classes": (lambda x: L.Conv2D(3, 3, activation="softmax")(x), "a softmax of 2 channels"),
    "no softmax": (lambda x: L.Conv2D(2, 3)(x), "must be a softmax over water and land"),
    "code of one's own": (
        lambda x: classes(L.Lambda(lambda values: values * 2)(x)),
        r"\(Lambda\) is code of one's own, which a saved model does not carry",
    ),
    "no output for a pixel": (
        lambda x: L.Dense(2)(L.GlobalMaxPooling2D()(x)),
        r"gives \(None, 2\)",
    ),
}


@pytest.mark.parametrize("what", list(BAD))
def test_what_is_no_map_of_windows_is_refused_before_training(what):
    layers_of, words = BAD[what]
    register("bad", built(layers_of))
    with pytest.raises(ModelError, match=words) as caught:
        build("bad")
    assert str(caught.value).startswith("network 'bad': the network")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        (lambda bands: None, "is no Keras model, but NoneType"),
        (lambda bands: small_own(7), "takes 7 bands, not 8"),
        (
            lambda bands: keras.Sequential([keras.Input((7, 7, bands)), L.Conv2D(2, 7)]),
            r"its input must be keras.Input\(\(None, None, 8\)\)",
        ),
        (
            lambda bands: keras.Model(x := keras.Input((None, None, bands)), [classes(x)] * 2),
            "several inputs or outputs",
        ),
    ],
)
def test_what_is_no_network_of_these_bands_is_refused(builder, words):
    register("bad", builder)
    with pytest.raises(ModelError, match=words):
        build("bad")


def test_cropping_both_sides_alike_and_sequential_models_are_taken():
    register("cropped", built(lambda x: classes(L.Cropping2D(2)(L.Conv2D(4, 3)(x)))))
    assert halo(build("cropped")) == 3
    layers = [L.Conv2D(4, 3, activation="relu"), L.Dense(2, activation="softmax")]
    register("row", lambda bands: keras.Sequential([keras.Input((None, None, bands)), *layers]))
    assert halo(build("row")) == 1


# ---------------------------------------------------------------------------------- the far network


def reach_of(network):
    """How far a pixel's answer changes, by changing one pixel of a raster."""
    around = halo(network)
    side = 4 * around + 5
    values = np.random.default_rng(3).normal(size=(1, side, side, 8)).astype(np.float32)
    before = np.asarray(network(values))[0]
    values[0, side // 2, side // 2] += 30
    changed = (np.asarray(network(values))[0] != before).any(axis=-1)
    rows, cols = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    middle = side // 2 - around
    return middle - rows[0], rows[-1] - middle, middle - cols[0], cols[-1] - middle


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 15), ({"dilations": (1, 3)}, 6), ({"dilations": (8,), "width": 5}, 10)],
)
def test_the_halo_is_as_far_as_a_changed_pixel_is_seen(options, expected):
    network = build("context_cnn", 8, **options)
    assert halo(network) == expected
    assert reach_of(network) == (expected,) * 4


def test_the_halo_of_the_published_network_is_three():
    network = build()
    assert halo(network) == HALO == 3
    assert reach_of(network) == (3,) * 4


def test_the_far_network_has_the_weights_counted_by_hand():
    network = context_cnn()
    assert weights_by_layer(network) == {
        "near1": 16 * (9 * 8 + 1),
        "near2": 32 * (9 * 16 + 1),
        "narrow": 32 * (40 + 1),
        "far1": 9 * 32,
        "mixed1": 32 * (32 + 1),
        "far2": 9 * 32,
        "mixed2": 32 * (32 + 1),
        "far3": 9 * 32,
        "mixed3": 32 * (32 + 1),
        "hidden": 128 * (32 + 40 + 1),
        "classes": 2 * (128 + 1),
    }
    assert network.count_params() == 20_754
    assert "Lambda" not in json.dumps(network.get_config(), default=str)


@pytest.mark.parametrize(
    "options", [{"dilations": ()}, {"dilations": (0,)}, {"width": 0}, {"hidden": 1.5}]
)
def test_numbers_that_make_no_far_network_are_refused(options):
    with pytest.raises(TrainingError, match="whole numbers from 1 and one dilation or more"):
        build("context_cnn", 8, **options)
