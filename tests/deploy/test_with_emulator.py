"""The whole way, against the emulator over HTTP with the stock client."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import ee
import numpy as np
import pytest
from networks import small_cnn, undecided

from water_gee import emulator, raster, session
from water_gee.deploy import export, parity, tasks
from water_gee.deploy.build_ee import to_ee
from water_gee.deploy.export import deploy_to_gee
from water_gee.deploy.service import fetch
from water_gee.emulator.ingest import ingest
from water_gee.errors import DeployError, SessionError
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe
from water_gee.mapping.predict import classify
from water_gee.training.model import TrainedModel
from water_gee.training.network import pixel_cnn

RECIPE = Recipe(cell=0.025, pixels=100)
LATTICE = Lattice.of(RECIPE)
CELLS = (Cell(0, 0, LATTICE), Cell(1, 0, LATTICE))
FEATURES = "projects/local/assets/features"
TARGET = "projects/local/assets/water"
OUTER = CELLS[0].grid.window(0, 0, 106, 206)


def field():
    values = np.random.default_rng(8).normal(0.2, 0.5, (8, 106, 206)).astype(np.float32)
    values[:, 40:44, 90:120] = np.nan
    values[:, 80, 30] = np.nan
    return values


@pytest.fixture
def served(tmp_path):
    """An emulator with one image of features over two cells, and a session with it."""
    stack = tmp_path / "features.tif"
    raster.write(stack, field(), OUTER, nodata=float("nan"), names=RECIPE.features)
    ingest(tmp_path / "catalog", [stack], asset_id=FEATURES)
    with emulator.start(tmp_path / "catalog") as server, session.connect(url=server.url):
        yield server
    ee.Reset()


def test_the_emulator_lays_kernels_as_keras_does(served):
    parity.probe_orientation(CELLS[0].grid)


@pytest.mark.parametrize("skip_bands", [8, 7])
def test_the_deployed_pixel_network_equals_keras(served, skip_bands):
    network = undecided(pixel_cnn(8, skip_bands))
    water, probability = classify(network, field())
    window = OUTER.window(30, 60, 40, 60)  # across a hole and the seam of the cells
    found = fetch(to_ee(network, ee.Image(FEATURES)), window, "the network")
    part = np.s_[30:70, 60:120]
    np.testing.assert_array_equal(np.isnan(found[1]), np.isnan(probability[part]))
    assert np.isnan(found[1]).sum() == 10 * 33
    np.testing.assert_allclose(found[1], probability[part], atol=1e-5)
    seen = water[part] != 255
    np.testing.assert_array_equal(found[0][seen], water[part][seen])


def test_a_deployed_map_equals_the_local_one_pixel_by_pixel(served, monkeypatch):
    monkeypatch.setattr(export, "feature_image", lambda recipe: ee.Image(FEATURES))
    monkeypatch.setattr(export, "check_season", lambda recipes, area: None)
    trained = TrainedModel(undecided(small_cnn()), RECIPE, {"cells": [c.id for c in CELLS]})
    done = deploy_to_gee(trained, TARGET, progress=False)
    assert done.checked.pixels > 3000
    about = ee.data.getAsset(TARGET)
    assert [band["id"] for band in about["bands"]] == ["water", "probability"]
    assert about["bands"][0]["grid"]["dimensions"] == {"width": 200, "height": 100}
    assert about["bands"][0]["dataType"]["range"]["max"] == 255
    assert about["startTime"].startswith("2020-06-01")
    assert about["properties"]["water_gee_model"] == trained.digest()
    found = fetch(ee.Image(TARGET), OUTER, "the map")
    water, probability = classify(trained.network, field())
    np.testing.assert_array_equal(np.isnan(found[0]), water == 255)
    np.testing.assert_allclose(found[1], probability, atol=1e-5)
    np.testing.assert_array_equal(found[0][water != 255], water[water != 255])
    again = deploy_to_gee(trained, TARGET, progress=False)
    assert again.standing == (TARGET,)
    other = TrainedModel(undecided(small_cnn(), seed=3), RECIPE, trained.record)
    with pytest.raises(DeployError, match="is there already"):
        deploy_to_gee(other, TARGET, progress=False)
    replaced = deploy_to_gee(other, TARGET, if_exists="overwrite", progress=False)
    assert len(replaced.tasks) == 1
    assert ee.data.getAsset(TARGET)["properties"]["water_gee_model"] == other.digest()


def test_features_in_another_order_give_the_map_of_that_order(served, monkeypatch):
    monkeypatch.setattr(export, "feature_image", lambda recipe: ee.Image(FEATURES))
    monkeypatch.setattr(export, "check_season", lambda recipes, area: None)
    turned = RECIPE.replace(features=list(RECIPE.features[::-1]))
    trained = TrainedModel(undecided(small_cnn()), turned, {"cells": [CELLS[0].id]})
    deploy_to_gee(trained, TARGET, progress=False)
    window = OUTER.window(3, 3, 100, 100)
    found = fetch(ee.Image(TARGET), window, "the map")[1]
    _, probability = classify(trained.network, field()[::-1])
    np.testing.assert_allclose(found, probability[3:103, 3:103], atol=1e-5)


def test_several_years_make_a_collection_that_can_be_filtered(served, monkeypatch):
    monkeypatch.setattr(export, "feature_image", lambda recipe: ee.Image(FEATURES))
    monkeypatch.setattr(export, "check_season", lambda recipes, area: None)
    trained = TrainedModel(undecided(small_cnn()), RECIPE, {"cells": [CELLS[0].id]})
    done = deploy_to_gee(trained, TARGET, years=[2019, 2021], progress=False)
    assert done.assets == (f"{TARGET}/2019", f"{TARGET}/2021")
    of_2021 = ee.ImageCollection(TARGET).filterDate("2021-01-01", "2022-01-01")
    assert of_2021.aggregate_array("year").getInfo() == [2021]


def test_a_service_that_is_gone_is_one_line(served, monkeypatch):
    monkeypatch.setattr(tasks, "FIRST_POLL", 0.01)
    trained = TrainedModel(undecided(small_cnn()), RECIPE, {"cells": [CELLS[0].id]})
    ee.data.setMaxRetries(0)
    served.stop()
    with pytest.raises(SessionError, match="no longer answers"):
        deploy_to_gee(trained, TARGET, progress=False)


@pytest.mark.slow
def test_the_benchmark_holds_on_fewer_pixels(capsys):
    path = Path(__file__).parents[2] / "benchmarks" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(["--pixels", "20000"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["holds"]
    assert line["equal_classes"] == 1.0
    assert line["json_bytes"] < 2_200_000
