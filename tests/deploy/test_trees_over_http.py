"""A forest trained on the pixels of a tile and mapped over it, with the stock client over HTTP."""

from __future__ import annotations

import json
import re
import time

import ee
import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier

from water_gee import emulator, raster, session, to_ee
from water_gee.deploy import tree_tables, trees
from water_gee.deploy.limits import measure
from water_gee.deploy.service import fetch
from water_gee.deploy.tree_parity import check_trees
from water_gee.deploy.trees import tree_strings, trees_to_ee
from water_gee.emulator.ingest import ingest
from water_gee.errors import AssetIdError, DeployError, ParityError
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe

RECIPE = Recipe(cell=0.025, pixels=100)
GRID = Cell(0, 0, Lattice.of(RECIPE)).grid.window(3, 3, 100, 100)
FEATURES = "projects/local/assets/features"
BANDS = RECIPE.features


@pytest.fixture(scope="module")
def tile():
    """Eight features and where water is: a lake with a wavy shore, noise in every band."""
    rng = np.random.default_rng(11)
    rows, cols = np.mgrid[:100, :100]
    water = (rows - 50) ** 2 + (cols - 45) ** 2 < (30 + 6 * np.sin(cols / 7)) ** 2
    levels = np.where(water, 0.3, -0.4)[None] + np.linspace(-0.1, 0.1, 8)[:, None, None]
    values = rng.normal(levels, 0.45).astype(np.float32)
    values[:, 10:14, 20:60] = np.nan
    values[3, 70, 80] = np.nan
    return values, water


@pytest.fixture(scope="module")
def served(tile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    stack = folder / "features.tif"
    raster.write(stack, tile[0], GRID, nodata=float("nan"), names=BANDS)
    ingest(folder / "catalog", [stack], asset_id=FEATURES)
    with emulator.start(folder / "catalog") as server, session.connect(url=server.url):
        yield server
    ee.Reset()


@pytest.fixture(scope="module")
def model(tile):
    values, water = tile
    seen = np.isfinite(values).all(axis=0)
    picked = np.random.default_rng(0).choice(np.flatnonzero(seen), 1500, replace=False)
    forest = RandomForestClassifier(50, random_state=0)
    return forest.fit(values.reshape(8, -1).T[picked], water.ravel()[picked].astype(int))


def test_the_map_is_the_forests_own(served, tile, model):
    values, _ = tile
    found = fetch(to_ee(model, ee.Image(FEATURES).select(list(BANDS))), GRID, "the forest")
    seen = np.isfinite(values).all(axis=0)
    np.testing.assert_array_equal(np.isnan(found[0]), ~seen)
    pixels = values[:, seen].T
    np.testing.assert_allclose(found[1][seen], model.predict_proba(pixels)[:, 1], atol=1e-6)
    np.testing.assert_array_equal(found[0][seen], model.predict(pixels))


def test_the_strings_make_the_same_map_in_the_clients_hands(served, tile, model):
    """Each tree in a string of its own, and all of them in one."""
    values, _ = tile
    seen = np.isfinite(values).all(axis=0)
    strings = tree_strings(model, BANDS)
    likely = model.predict_proba(values[:, seen].T)[:, 1]
    for given in (strings, ["".join(strings)]):
        classifier = ee.Classifier.decisionTreeEnsemble(given).setOutputMode("REGRESSION")
        found = fetch(ee.Image(FEATURES).classify(classifier), GRID, "the strings")
        np.testing.assert_allclose(found[0][seen], likely, atol=1e-12)


def test_a_window_is_held_against_the_model_before_quota_is_spent(served, tile, model):
    values, _ = tile
    image = ee.Image(FEATURES).select(list(BANDS))
    agreed = check_trees(model, image, GRID.window(0, 0, 40, 70))
    assert agreed.pixels == np.isfinite(values[:, :40, :70]).all(axis=0).sum()
    assert agreed.largest < 1e-6
    swapped = image.select(list(BANDS)[::-1])
    other = check_trees(model, swapped, GRID.window(0, 0, 40, 70), bands=BANDS)
    assert other == agreed
    heights = ExtraTreesRegressor(3, random_state=0).fit(values[:, 0].T, 1000 * values[0, 0])
    assert check_trees(heights, image, GRID.window(0, 0, 9, 9)).pixels == 81
    with pytest.raises(DeployError, match="no pixel of the window has all features"):
        check_trees(model, image, GRID.window(10, 30, 3, 3))


def test_a_service_that_reads_trees_otherwise_is_found_out(served, model, monkeypatch):
    """As if the mean were a majority: where trees disagree, the probability would be 0 or 1."""
    monkeypatch.setattr(trees, "MODE", "CLASSIFICATION")
    image = ee.Image(FEATURES).select(list(BANDS))
    with pytest.raises(ParityError, match=r"the model and the converted trees differ by 0\.\d+"):
        check_trees(model, image, GRID.window(0, 0, 40, 70))


def test_trees_beyond_a_request_are_read_from_tables(served, tile, model, monkeypatch):
    """With limits so small that every tree is cut into rows, and the model into tables."""
    monkeypatch.setattr(tree_tables, "MAX_TEXT", 700)
    monkeypatch.setattr(tree_tables, "MAX_TABLE_BYTES", 80_000)
    monkeypatch.setattr(trees, "MAX_REQUEST_BYTES", trees.ROOM + 20_000)
    image = ee.Image(FEATURES).select(list(BANDS))
    with pytest.raises(DeployError, match=r"tree_tables\.store_trees"):
        trees_to_ee(model, image)
    asset_id = "projects/local/assets/trees"
    with pytest.raises(DeployError, match="no trees in projects/local/assets/trees"):
        trees_to_ee(model, image, trees_asset=asset_id)
    tasks = tree_tables.store_trees(model, asset_id)
    assert len(tasks) > 1
    finish(tasks)
    made = trees_to_ee(model, image, trees_asset=asset_id)
    assert measure(ee.serializer.encode(made)).bytes < 20_000
    called = set(re.findall(r'"functionName": "([^"]+)"', json.dumps(ee.serializer.encode(made))))
    assert called <= trees.EE_FUNCTIONS | tree_tables.FUNCTIONS | {"Image.load"}
    found = fetch(made, GRID, "the forest")
    seen = np.isfinite(tile[0]).all(axis=0)
    pixels = tile[0][:, seen].T
    np.testing.assert_array_equal(found[0][seen], model.predict(pixels))
    np.testing.assert_allclose(found[1][seen], model.predict_proba(pixels)[:, 1], atol=1e-6)
    labels = np.arange(len(pixels)) % 3
    other = RandomForestClassifier(4, max_depth=3, random_state=0).fit(pixels, labels)
    with pytest.raises(DeployError, match=r"holds 0 of the .* rows of this model"):
        trees_to_ee(other, image, trees_asset=asset_id)
    finish(tree_tables.store_trees(other, asset_id, overwrite=True))
    found = fetch(trees_to_ee(other, image, trees_asset=asset_id), GRID, "the other forest")
    np.testing.assert_array_equal(found[2][seen], other.predict(pixels))
    with pytest.raises(AssetIdError):
        trees_to_ee(other, image, trees_asset="nowhere")
    monkeypatch.setattr(tree_tables, "MAX_TABLE_BYTES", 800)
    with pytest.raises(DeployError, match=r"the text of one tree takes [\d,]+ bytes"):
        tree_tables.store_trees(model, asset_id)


def finish(tasks):
    deadline = time.monotonic() + 60
    while any(task.active() for task in tasks):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {task.status()["state"] for task in tasks} == {"COMPLETED"}


def test_what_the_service_refuses_arrives_as_a_line(served, model):
    image = ee.Image(FEATURES).select(list(BANDS)[:5])
    with pytest.raises(ee.EEException, match=r"Band|band"):
        trees_to_ee(model, image).bandNames().getInfo()
    broken = ee.Classifier.decisionTree("1) root 1 0 0\n2) a <= 1 1 0 0\n3) a > 1 1 0 1 *")
    with pytest.raises(ee.EEException, match=r"Error parsing line 3: expected 4, got 3\."):
        broken.mode().getInfo()
