"""Maps of networks that see farther than a tile's margin: no seams, and an honest outer edge."""

from __future__ import annotations

import numpy as np
import pytest
from networks import undecided

from water_gee import raster
from water_gee.errors import ModelError
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.mapping.classifier import BLOCK, Classifier, classify
from water_gee.mapping.predict import predict
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel, load, save
from water_gee.training.network import context_cnn
from water_gee.training.scaling import CENTER, SCALE, finish

L = keras.layers
RECIPE = Recipe(cell=0.01, pixels=40)
HALO = 9


@pytest.fixture(scope="module")
def trained():
    network = undecided(context_cnn(8, width=6, dilations=(2, 5), hidden=8))
    return TrainedModel(finish(network), RECIPE, {})


def features(rows, cols, seed=0):
    """Noise about the features' means, with a hole of one pixel."""
    noise = np.random.default_rng(seed).normal(size=(8, rows, cols))
    values = (CENTER[:, None, None] + SCALE[:, None, None] * noise).astype(np.float32)
    values[2, rows // 2, cols // 2] = np.nan
    return values


def test_every_pixel_says_what_its_own_window_says(trained):
    """7 x 7 pixels must be observed; the mean of a feature stands for unobserved ones beyond."""
    values = features(45, 52)
    values[:, 8:11, 20:24] = np.nan
    water, probability = classify(trained.network, values)
    places = np.random.default_rng(4).integers((0, 0), (27, 34), (200, 2))
    windows = np.stack([values[:, r : r + 19, c : c + 19] for r, c in places])
    filled = np.where(np.isnan(windows), CENTER[:, None, None], windows)
    said = np.asarray(trained.network(filled.transpose(0, 2, 3, 1)))[:, 0, 0, 0]
    seen = np.isfinite(windows[:, :, 6:13, 6:13]).all(axis=(1, 2, 3))
    whole = np.isfinite(windows).all(axis=(1, 2, 3))
    expected = np.where(seen, said, np.nan)
    found = np.array([probability[r + HALO, c + HALO] for r, c in places])
    assert 5 < (~seen).sum() < 60 < (seen & ~whole).sum()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    border = np.ones(water.shape, bool)
    border[HALO:-HALO, HALO:-HALO] = False
    assert (water[border] == 255).all()
    assert (water == 255).sum() == border.sum() + 49 + 10 * 5  # of the hole's 9 x 10, 5 rows
    assert 0.1 < (water[water != 255] == 1).mean() < 0.9


def test_a_network_that_knows_no_such_values_needs_its_whole_window(trained):
    values = features(45, 52)
    bare = undecided(context_cnn(8, width=6, dilations=(2, 5), hidden=8))
    found = [classify(network, values)[0] for network in (bare, trained.network)]
    inner = np.s_[HALO:-HALO, HALO:-HALO]
    assert [(water[inner] == 255).sum() for water in found] == [19 * 19, 7 * 7]


def test_how_a_raster_is_cut_changes_no_bit(trained):
    values = features(BLOCK[0] + 70, BLOCK[1] + 50)
    water, probability = classify(trained.network, values)
    for row, col, height, width in ((1, 2, 150, 140), (41, 20, 283, 270)):
        part = np.s_[row : row + height, col : col + width]
        crop_water, crop = classify(trained.network, values[:, *part])
        inner = np.s_[HALO:-HALO, HALO:-HALO]
        np.testing.assert_array_equal(crop[inner], probability[part][inner])
        np.testing.assert_array_equal(crop_water[inner], water[part][inner])


def store_of(path, recipe):
    """Two cells side by side of one field, whose tiles overlap by their margins."""
    field, lattice = np.nan_to_num(features(200, 200, seed=5)), Lattice.of(recipe)
    store = TileStore.open(path, recipe, create=True)
    for col in (0, 1):
        cell = Cell(col, 0, lattice)
        top, left = 100 - cell.origin[1], 50 + cell.origin[0]
        image = field[:, top : top + cell.shape[0], left : left + cell.shape[1]]
        store.write_tile(cell, image, np.zeros(image.shape[1:], np.uint8))
    return store, field


def test_a_store_is_mapped_through_its_seams_to_its_outer_edge(trained, tmp_path):
    """Its margin of 3 pixels is enough; what lies beyond it is not known to the network."""
    store, field = store_of(tmp_path / "store", RECIPE)
    path = save(trained, tmp_path / "far.keras").path
    found = raster.read(predict(path, store, tmp_path / "map.tif", progress=False)).values[0]
    known = np.full_like(field, np.nan)
    known[:, 57:103, 47:133] = field[:, 57:103, 47:133]
    np.testing.assert_array_equal(found, classify(trained.network, known)[0][60:100, 50:130])
    assert (found != 255).all()
    inner = np.s_[66:94, 56:124]  # what has its whole window in the store
    whole, _ = classify(trained.network, field)
    np.testing.assert_array_equal(found[6:-6, 6:-6], whole[inner])
    assert load(path).digest() == trained.digest()


def test_with_tiles_of_a_wider_margin_the_outer_edge_is_that_of_the_whole(trained, tmp_path):
    recipe = RECIPE.replace(margin=HALO)
    store, field = store_of(tmp_path / "store", recipe)
    model = TrainedModel(trained.network, recipe, {})
    found = raster.read(predict(model, store, tmp_path / "map.tif", progress=False)).values[0]
    np.testing.assert_array_equal(found, classify(trained.network, field)[0][60:100, 50:130])


@pytest.mark.parametrize(
    ("layers_of", "words"),
    [
        (lambda x: L.Conv2D(2, 3, padding="same", activation="softmax")(x), "padding='valid'"),
        (lambda x: L.Conv2D(2, 3, strides=2, activation="softmax")(x), "no strides"),
        (lambda x: L.Conv2D(5, 3, activation="softmax")(x), "gives 5 channels; a map takes"),
    ],
)
def test_what_would_show_how_it_was_cut_is_no_classifier(layers_of, words):
    values = keras.Input((None, None, 8))
    with pytest.raises(ModelError, match=words):
        Classifier(keras.Model(values, layers_of(values)))


def test_one_sigmoid_is_a_classifier():
    values = keras.Input((None, None, 8))
    network = keras.Model(values, L.Conv2D(1, 3, activation="sigmoid")(values))
    assert Classifier(network).halo == 1
