"""`water-gee predict`: what it takes, and one line for what it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from networks import small_cnn, undecided

from water_gee import raster, session
from water_gee.imagery.recipe import Recipe
from water_gee.mapping.predict import predict
from water_gee.training.model import TrainedModel, save
from water_gee.windows import Grid

RECIPE = Recipe(years=(2020,))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    if session.current() is not None:
        session.current().close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    return save(TrainedModel(undecided(small_cnn()), RECIPE, {}), path).path


def stack(name, shape=(40, 50), names=RECIPE.features, seed=0):
    values = np.random.default_rng(seed).normal(0.2, 0.5, (len(names), *shape)).astype(np.float32)
    grid = Grid("EPSG:32650", Affine(30, 0, 600_000, 0, -30, 5_000_000), shape)
    raster.write(Path(name), values, grid, nodata=float("nan"), names=names)
    return name


@pytest.fixture
def refused(call):
    """Run a command that must be refused with status 1 and leave nothing; returns its line."""

    def refused(*arguments):
        before = sorted(Path().rglob("*"))
        status, out, err = call("-q", "predict", *arguments)
        assert (status, out) == (1, ""), err
        assert err.startswith("water-gee: ")
        assert err.count("\n") == 1
        assert "please report it" not in err
        assert sorted(Path().rglob("*")) == before
        return err

    return refused


def test_a_stack_is_mapped_and_the_map_named(call, model):
    stack("a.tif")
    status, out, err = call(
        *("-q", "predict", "a.tif", "--model", model, "--out", "map.tif", "--probability")
    )
    assert (status, out, err) == (0, "map.tif\n", "")
    assert sorted(path.name for path in Path().iterdir()) == [
        *("a.tif", "map.json", "map.qml", "map.tif", "map_probability.tif")
    ]


def test_several_scenes_go_into_a_folder(call, model):
    stack("a.tif")
    stack("b.tif", (30, 30))
    status, out, _ = call("-q", "predict", "a.tif", "b.tif", "--model", model, "--out", "maps")
    assert (status, out) == (0, "maps/maps.csv\n")
    assert len(list(Path("maps").glob("*_water.tif"))) == 2


def test_a_catalogue_is_composed_and_mapped(call, model, tiny_catalog, tiny_season, tmp_path):
    west, south, east, north = tiny_season.bounds
    x, y = (west + east) / 2, (south + north) / 2
    area = f"{x},{y},{x + 0.01},{y + 0.01}"
    status, out, err = call(
        *("-q", "predict", "--catalog", tiny_catalog, "--model", model, "--out", "map.tif"),
        *("--aoi", area),
    )
    assert (status, out, err) == (0, "map.tif\n", "")
    predict(model, tiny_catalog, "again.tif", aoi=area, progress=False)
    assert Path("map.tif").read_bytes() == Path("again.tif").read_bytes()


def test_files_and_a_service_at_once_are_wrong_usage(call, model):
    status, _, err = call("predict", "a.tif", "--catalog", "c", "--model", model, "--out", "m.tif")
    assert status == 2
    assert "give SOURCE, or one of --catalog, --url and --project" in err


def test_a_missing_file(refused, model):
    assert "gone.tif: no such file" in refused("gone.tif", "--model", model, "--out", "map.tif")


def test_other_bands_and_another_order(refused, model):
    stack("seven.tif", names=RECIPE.features[:7])
    line = refused("seven.tif", "--model", model, "--out", "map.tif")
    assert "seven.tif has the bands" in line
    stack("swapped.tif", names=(*RECIPE.features[1::-1], *RECIPE.features[2:]))
    line = refused("swapped.tif", "--model", model, "--out", "map.tif")
    assert "swapped.tif has the bands Green, Blue" in line


def test_a_folder_for_one_source(refused, model):
    stack("a.tif")
    Path("maps").mkdir()
    assert "maps is a folder; name the map" in refused("a.tif", "--model", model, "--out", "maps")


def test_a_folder_that_is_not_there_or_closed(refused, model, monkeypatch):
    stack("a.tif")
    assert "nowhere does not exist" in refused(
        "a.tif", "--model", model, "--out", "nowhere/map.tif"
    )

    def closed(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", closed)
    assert "cannot be written" in refused("a.tif", "--model", model, "--out", "map.tif")


def test_a_stack_broken_in_its_middle(refused, model):
    path = Path(stack("a.tif", (300, 300)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(9000) + whole[len(whole) // 2 + 9000 :])
    assert "cannot read a.tif" in refused("a.tif", "--model", model, "--out", "map.tif")


def test_a_cluster_where_nobody_answers(refused, model):
    stack("a.tif")
    line = refused("a.tif", "--model", model, "--out", "map.tif", "--dask", "tcp://127.0.0.1:9")
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in line


def test_an_area_for_files(refused, model):
    stack("a.tif")
    line = refused("a.tif", "--model", model, "--out", "map.tif", "--aoi", "0,0,1,1")
    assert "are for what a service composes" in line


def test_one_of_several_scenes_fails(call, model):
    stack("a.tif")
    Path("b.tif").write_text("no raster")
    status, out, err = call("-q", "predict", "a.tif", "b.tif", "--model", model, "--out", "maps")
    assert (status, out) == (1, "")
    assert err.startswith("water-gee: 1 of 2 scenes have no map, the first b.tif: cannot read")
    assert err.count("\n") == 1
    assert Path("maps/a_water.tif").exists()


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(model):
    stack("a.tif", (3000, 200))
    command = [sys.executable, "-m", "water_gee", "-q", "predict", "a.tif"]
    command += ["--model", str(model), "--out", "map.tif"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    parts, deadline = Path(".map.tif.parts"), time.monotonic() + 120
    while not list(parts.glob("0*.tif")) and time.monotonic() < deadline:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err.strip().startswith("water-gee: stopped")
    assert err.strip().count("\n") == 0
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("0*.tif")}
    assert 1 <= len(kept) < 6
    assert not list(parts.glob(".*.tmp"))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "map.tif\n", "")
    assert not parts.exists()
