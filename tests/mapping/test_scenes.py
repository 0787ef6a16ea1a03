"""Several scenes at once: a map for each, whatever becomes of the others."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from affine import Affine
from networks import small_cnn, undecided

from water_gee import raster
from water_gee.errors import RasterError, ScenesFailedError
from water_gee.imagery.recipe import Recipe
from water_gee.mapping.classifier import Classifier, classify
from water_gee.mapping.predict import predict
from water_gee.training.model import TrainedModel
from water_gee.windows import Grid

RECIPE = Recipe(cell=0.01, pixels=40)


@pytest.fixture(scope="module")
def trained():
    return TrainedModel(undecided(small_cnn()), RECIPE, {})


def scene(path, seed=0, crs="EPSG:32650", shape=(40, 50)):
    path.parent.mkdir(exist_ok=True)
    values = np.random.default_rng(seed).normal(0.2, 0.5, (8, *shape)).astype(np.float32)
    values[:, 20, 20] = np.nan
    grid = Grid(crs, Affine(30, 0, 600_000, 0, -30, 5_000_000), shape)
    raster.write(path, values, grid, nodata=float("nan"), names=RECIPE.features)
    return path


def rows(folder):
    with (folder / "maps.csv").open(newline="") as handle:
        return {line["map"]: line for line in csv.DictReader(handle)}


@pytest.fixture
def calls(monkeypatch):
    counted, plain = [], Classifier.__call__

    def call(classifier, values):
        counted.append(1)
        return plain(classifier, values)

    monkeypatch.setattr(Classifier, "__call__", call)
    return counted


def test_each_scene_gets_a_map_on_its_own_grid(trained, tmp_path):
    scenes = [
        scene(tmp_path / "in" / "a.tif", 0),
        scene(tmp_path / "in" / "b.tif", 1, "EPSG:32651", (30, 60)),
    ]
    folder = predict(trained, scenes, tmp_path / "maps", probability=True, progress=False)
    assert folder == tmp_path / "maps"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("a_water.json", "a_water.qml", "a_water.tif", "a_water_probability.tif"),
        *("b_water.json", "b_water.qml", "b_water.tif", "b_water_probability.tif"),
        "maps.csv",
    ]
    for path in scenes:
        given, found = raster.read(path), raster.read(folder / f"{path.stem}_water.tif")
        assert found.grid == given.grid
        expected = classify(trained.network, given.values)[0]
        np.testing.assert_array_equal(found.values[0], expected)
    assert {line["state"] for line in rows(folder).values()} == {"mapped"}


def test_a_failed_scene_does_not_lose_the_others(trained, tmp_path):
    scenes = [scene(tmp_path / f"{name}.tif") for name in "abc"]
    scenes[0].write_text("no raster")
    (tmp_path / "maps").mkdir()
    with pytest.raises(
        ScenesFailedError, match=r"1 of 3 scenes have no map, the first .*a\.tif: cannot read"
    ) as caught:
        predict(trained, scenes, tmp_path / "maps", progress=False)
    assert "\n" not in str(caught.value)
    assert list(caught.value.failures) == [str(scenes[0])]
    table = rows(tmp_path / "maps")
    assert [table[f"{name}_water.tif"]["state"] for name in "abc"] == ["failed", "mapped", "mapped"]
    assert "cannot read" in table["a_water.tif"]["error"]
    made = sorted(path.name for path in (tmp_path / "maps").iterdir())
    maps = [f"{name}_water.{ending}" for name in "bc" for ending in ("json", "qml", "tif")]
    assert made == [*maps, "maps.csv"]


def test_the_next_call_maps_only_what_is_missing_or_has_changed(trained, tmp_path, calls):
    scenes = [scene(tmp_path / f"{name}.tif", seed) for seed, name in enumerate("abc")]
    scenes[1].write_text("no raster")
    with pytest.raises(ScenesFailedError):
        predict(trained, scenes, tmp_path / "maps", progress=False)
    scene(scenes[1], 1)
    scene(scenes[2], 7)  # other pixels than before
    calls.clear()
    folder = predict(trained, scenes, tmp_path / "maps", progress=False)
    assert len(calls) == 2
    states = [line["state"] for line in rows(folder).values()]
    assert states == ["kept", "mapped", "mapped"]
    (folder / "a_water.tif").unlink()
    calls.clear()
    predict(trained, scenes, folder, progress=False)
    assert len(calls) == 1
    another = TrainedModel(undecided(small_cnn(), seed=3), RECIPE, {})
    calls.clear()
    predict(another, scenes, folder, progress=False)
    assert len(calls) == 3


def test_stopped_between_scenes_it_goes_on(trained, tmp_path, monkeypatch):
    scenes = [scene(tmp_path / f"{name}.tif", seed) for seed, name in enumerate("abc")]
    plain, calls = Classifier.__call__, []

    def stop(classifier, values):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(classifier, values)

    monkeypatch.setattr(Classifier, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        predict(trained, scenes, tmp_path / "maps", progress=False)
    folder = predict(trained, scenes, tmp_path / "maps", progress=False)
    assert len(calls) == 4  # one and the one that was stopped, then the other two
    assert [line["state"] for line in rows(folder).values()] == ["kept", "mapped", "mapped"]


def test_scenes_of_one_name_are_told_apart_by_their_folders(trained, tmp_path):
    scenes = [scene(tmp_path / name / "features.tif", i) for i, name in enumerate("ab")]
    folder = predict(trained, scenes, tmp_path / "maps", progress=False)
    assert sorted(rows(folder)) == ["a_features_water.tif", "b_features_water.tif"]
    with pytest.raises(RasterError, match="would get maps of one name"):
        predict(trained, [scenes[0], scenes[0]], tmp_path / "maps", progress=False)


def test_no_scenes_and_no_place_are_refused(trained, tmp_path):
    with pytest.raises(RasterError, match="no scenes to map"):
        predict(trained, [], tmp_path / "maps", progress=False)
    assert not (tmp_path / "maps").exists()
    with pytest.raises(RasterError, match=r"the folder .*nowhere.* does not exist"):
        predict(trained, [scene(tmp_path / "a.tif")], tmp_path / "nowhere" / "maps")


def test_several_files_into_a_file_are_still_one_map(trained, tmp_path):
    scenes = [scene(tmp_path / "a.tif", 0), scene(tmp_path / "b.tif", 1)]
    out = predict(trained, scenes, tmp_path / "map.tif", progress=False)
    assert out.is_file()
    assert raster.read(out).grid.shape == (40, 50)
