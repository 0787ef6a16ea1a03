"""The published layout, counted by hand, and what it makes of windows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from water_gee.errors import TrainingError
from water_gee.training.network import HALO, LAND, WATER, pixel_cnn


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
