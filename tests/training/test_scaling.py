"""Scaled features and folded weights against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from networks import undecided

from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel, load, save
from water_gee.training.network import check, context_cnn, halo, pixel_cnn
from water_gee.training.scaling import CENTER, SCALE, finish, fold, scaled


def test_features_are_centred_scaled_and_turned_to_the_order_of_keras():
    values = np.random.default_rng(0).random((8, 3, 4), np.float32)
    found = scaled(values)
    assert found.shape == (3, 4, 8)
    assert found.dtype == np.float32
    for band in range(8):
        expected = (values[band] - CENTER[band]) / SCALE[band]
        np.testing.assert_allclose(found[..., band], expected, rtol=1e-6)


def test_what_was_not_observed_becomes_zero_and_never_nan():
    values = np.ones((8, 2, 3), np.float32)
    values[2, 0, 0], values[5, 1, 1], values[7, 1, 2] = np.nan, np.inf, -np.inf
    found = scaled(values)
    assert np.isfinite(found).all()
    assert found[0, 0, 2] == found[1, 1, 5] == found[1, 2, 7] == 0
    assert (found != 0).sum() == 8 * 6 - 3


@pytest.mark.parametrize("skip", [8, 7])
def test_folding_changes_no_probability_by_more_than_1e_5(skip):
    network = undecided(pixel_cnn(skip_bands=skip), seed=skip)
    generator = np.random.default_rng(1)
    values = (CENTER + SCALE * generator.normal(size=(1, 60, 60, 8))).astype(np.float32)
    wanted = np.asarray(network((values - CENTER) / SCALE))
    fold(network)
    found = np.asarray(network(values))
    assert 0.1 < (wanted[..., 0] > 0.5).mean() < 0.9
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_folding_an_identity_leaves_the_weights_as_they_are():
    network = undecided(pixel_cnn())
    before = [value.copy() for value in network.get_weights()]
    fold(network, np.zeros(8, np.float32), np.ones(8, np.float32))
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# ---------------------------------------------------------------------------------- what is saved


def some_features(seed=1, side=60):
    generator = np.random.default_rng(seed)
    return (CENTER + SCALE * generator.normal(size=(1, side, side, 8))).astype(np.float32)


def test_the_published_network_is_saved_without_a_normalisation_layer():
    network, other = (undecided(pixel_cnn(), seed=2) for _ in range(2))
    finished = finish(network)
    fold(other)
    assert finished is network
    assert finished.count_params() == 38_514
    for one, two in zip(finished.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def builder_of_ones_own():
    layers = keras.layers
    features = keras.Input((None, None, 8))
    x = layers.Conv2D(4, 5, activation="relu")(features)
    x = layers.Conv2D(2, 1, activation="softmax")(x)
    return keras.Model(features, x, name="pixel_cnn")  # a name alone says nothing


@pytest.mark.parametrize("builder", [context_cnn, builder_of_ones_own])
def test_any_other_network_is_saved_behind_a_layer_that_scales(builder, tmp_path):
    network = undecided(builder())
    values = some_features()
    wanted = np.asarray(network((values - CENTER) / SCALE))
    finished = finish(network)
    assert 0.1 < (wanted[..., 0] > 0.5).mean() < 0.9
    np.testing.assert_allclose(np.asarray(finished(values)), wanted, atol=1e-5)
    assert (finished.name, halo(finished)) == (network.name, halo(network))
    check(finished)
    saved = save(TrainedModel(finished, Recipe(dem=None), {"seed": 1}), tmp_path / "a.keras")
    found = load(tmp_path / "a.keras")
    assert found.digest() == saved.digest()
    other = finish(network, CENTER + 1)
    assert TrainedModel(other, saved.recipe, {}).digest() != saved.digest()
    np.testing.assert_array_equal(np.asarray(found.network(values)), np.asarray(finished(values)))
    assert keras.saving.load_model(tmp_path / "a.keras", safe_mode=True).count_params() > 0


def test_a_network_of_fewer_bands_is_scaled_by_the_first_of_them():
    network = undecided(context_cnn(5, width=4, dilations=(1,)))
    values = some_features(side=20)[..., :5]
    wanted = np.asarray(network((values - CENTER[:5]) / SCALE[:5]))
    np.testing.assert_allclose(np.asarray(finish(network)(values)), wanted, atol=1e-5)
