"""Bad input at the command line: one clear line each, no traceback, nothing half-written."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from water_gee import session
from water_gee.imagery.grid import cells_for
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore

MODULE = [sys.executable, "-m", "water_gee"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    if session._current is not None:
        session._current.close()


@pytest.fixture(scope="module")
def served(tiny_catalog):
    """The address of a server over the tiny season."""
    from water_gee.emulator import start

    with start(tiny_catalog) as server:
        yield server.url


@pytest.fixture
def area(tiny_season):
    return ",".join(map(str, tiny_season.bounds))


@pytest.fixture
def scene(tiny_season, tmp_path):
    """A copy of one scene that a test may spoil."""
    return Path(shutil.copytree(tiny_season.scenes[0], tmp_path / tiny_season.scenes[0].name))


@pytest.fixture
def store(tiny_season, tmp_path):
    """A store with one made-up tile, of the default recipe."""
    with TileStore.open(tmp_path / "tiles", Recipe(), create=True) as tiles:
        (cell,) = cells_for(_box(tiny_season.bounds), tiles.recipe)
        image = np.zeros((8, *cell.shape), np.float32)
        tiles.write_tile(cell, image, np.zeros(cell.shape, np.uint8))
    return tmp_path / "tiles"


def _box(bounds):
    import shapely

    return shapely.box(*bounds)


def model_of(recipe, path):
    from water_gee.training.model import TrainedModel, save
    from water_gee.training.network import pixel_cnn

    save(TrainedModel(pixel_cnn(), recipe, {}), path)
    return path


# ------------------------------------------------------------------ where


def test_no_catalogue_names_the_remedies(refused):
    line = refused("download", "0,0,1,1")
    assert "no catalogue at" in line
    for remedy in ("connect(project=", "water-gee demo", "water-gee emulator ingest"):
        assert remedy in line


@pytest.mark.parametrize("text", ["1,2,3", "10,10,0,0", "0,0,1,95", "nowhere.geojson"])
def test_an_area_that_is_none(refused, served, text):
    line = refused("download", text, "--url", served)
    assert any(word in line for word in ("area", "box", "no such file", "latitude"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wrs:132/999", "path 132 row 999: WRS-2 has paths 1 to 233"),
        ("ee:projects/local/assets/nothing", "the table projects/local/assets/nothing cannot be"),
        ("0,0,1,91", "latitude 91 is outside -90..90"),
        ("empty.kml", "empty.kml holds no shapes"),
    ],
)
def test_an_area_that_is_none_says_what_was_wrong_with_it(refused, served, text, words):
    Path("empty.kml").write_text(
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Document></Document></kml>'
    )
    assert words in refused("download", text, "--url", served)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--months", "12,11"), "months 12, 11: out of order"),
        (("--max-cloud", "nan"), "max_cloud nan: a number from 0 to 100"),
    ],
)
def test_a_season_that_is_none(refused, options, words):
    assert words in refused("download", "0,0,1,1", *options)


def test_an_area_outside_all_images(refused, served):
    line = refused("download", "10,10,10.1,10.1", "--url", served)
    assert "no image" in line.lower()
    assert not list(Path("water_gee_tiles/images").glob("*.tif"))


def test_an_empty_season(refused, served, area):
    line = refused("download", area, "--url", served, "--years", "1999")
    assert "1999" in line


def test_an_unknown_asset(refused, served, area):
    line = refused("download", area, "--url", served, "--dem", "projects/local/assets/nothing")
    assert "projects/local/assets/nothing" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sensors", "modis"), "unknown sensor 'modis'; known: landsat4"),
        (("--sensors", "landsat8,sentinel2"), "take one family, or hls_l30 with hls_s30"),
        (("--sensors", "sentinel2", "--harmonize", "ols"), "sentinel2 is of another family"),
    ],
)
def test_sensors_that_are_none_or_do_not_go_together(refused, options, words):
    assert words in refused("download", "0,0,1,1", *options)


def test_a_store_of_medians_is_no_place_for_scenes(refused, served, area, store):
    line = refused("download", area, "--url", served, "--store", str(store), "--composite", "scene")
    assert "composite: 'scene' / 'median'" in line


def test_nobody_at_the_url(refused):
    assert "no server answers at http://127.0.0.1:9" in refused(
        "download", "0,0,1,1", "--url", "http://127.0.0.1:9"
    )


def test_a_server_that_is_gone_halfway(refused, tiny_catalog, area, monkeypatch):
    from water_gee.emulator import start
    from water_gee.imagery import acquisitions, retries

    monkeypatch.setattr(retries, "PATIENCE_SECONDS", 1.0)
    with start(tiny_catalog) as server:
        began = acquisitions.check_season

        def and_then_the_server_dies(*arguments):
            began(*arguments)
            server.stop()

        monkeypatch.setattr(acquisitions, "check_season", and_then_the_server_dies)
        line = refused("download", area, "--url", server.url)
    assert "no longer answers" in line


# ------------------------------------------------------------------ scenes


def test_a_scene_that_is_not_there(refused):
    assert "no scene at nothing.tar" in refused("run", "--scenes", "nothing.tar", "--out", "x")


def test_an_archive_that_is_cut_short(refused, scene, tmp_path):
    whole = Path(shutil.make_archive(str(tmp_path / scene.name), "tar", scene))
    whole.write_bytes(whole.read_bytes()[:100_000])
    assert whole.name in refused("run", "--scenes", whole, "--out", "x")


def test_a_band_that_is_no_raster(refused, scene):
    band = next(scene.glob("*_SR_B4.TIF"))
    band.write_bytes(b"not a GeoTIFF")
    assert "SR_B4" in refused("run", "--scenes", scene, "--out", "x")


def test_a_missing_band(refused, scene):
    next(scene.glob("*_SR_B6.TIF")).unlink()
    assert "SR_B6" in refused("run", "--scenes", scene, "--out", "x")


def test_a_wrong_mtl(refused, scene):
    mtl = next(scene.glob("*_MTL.txt"))
    mtl.write_text("GROUP = SOMETHING_ELSE\nEND\n")
    assert "MTL" in refused("run", "--scenes", scene, "--out", "x")


def test_a_dem_that_is_not_there(refused, scene):
    line = refused("run", "--scenes", scene, "--dem", "no.tif", "--out", "x")
    assert "no DEM at no.tif" in line


def test_scenes_and_a_google_project_exclude_each_other(refused, scene):
    line = refused("run", "--scenes", scene, "--project", "mine", "--out", "x")
    assert "leave `project` and `url` out" in line


# ------------------------------------------------------------------ tiles and models


def test_no_tiles(refused):
    assert "no tile store at" in refused("train", "--store", "none")


def test_tiles_without_water(refused, store):
    line = refused("train", "--store", store)
    assert "water" in line


def test_a_model_that_is_none(refused, store):
    Path("m.keras").write_text("")
    assert "m.keras" in refused("predict", store, "--model", "m.keras", "--out", "map.tif")


def test_a_model_of_another_recipe(refused, store, tmp_path):
    model = model_of(Recipe(sensors=("landsat5",)), tmp_path / "other.keras")
    line = refused("predict", store, "--model", model, "--out", "map.tif")
    assert "different recipes" in line
    assert "landsat5" in line
    assert not Path("map.tif").exists()


@pytest.mark.parametrize("asset", ["water", "projects/local/assets/", "projects/local/assets/a b"])
def test_an_asset_id_that_is_malformed(refused, tmp_path, asset):
    model = model_of(Recipe(), tmp_path / "m.keras")
    line = refused("deploy", model, asset, "--aoi", "0,0,1,1")
    assert asset in line


def test_a_run_file_with_an_unknown_key(refused):
    Path("run.toml").write_text("oot = 'x'\n")
    assert "did you mean 'out'" in refused("run", "--config", "run.toml")


# ------------------------------------------------------------------ the machine


@pytest.fixture
def small_disk(tmp_path):
    """A folder with 1 MB of room; skips where this user may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("no small tmpfs here: mounting one needs more rights")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk(refused, small_disk, served, area):
    line = refused("download", area, "--url", served, "--store", small_disk / "tiles")
    assert "the disk is full" in line
    assert not list((small_disk / "tiles" / "images").iterdir())


def test_a_full_disk_while_ingesting(refused, small_disk, scene):
    line = refused("emulator", "ingest", "--catalog", small_disk / "catalog", scene)
    assert "full" in line


def test_a_file_too_large_for_the_quota(served, area):
    """What a quota does where no tmpfs can be mounted."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = subprocess.run(
        [*MODULE, "-q", "download", area, "--url", served, "--store", "tiles"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("water-gee: ")
    assert "the disk is full" in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_is_one_line_and_ends_the_children(tiny_season, tmp_path):
    """The interrupt goes to the whole foreground group, as a terminal sends it."""
    scenes = [str(path) for path in tiny_season.scenes]
    run = subprocess.Popen(
        [*MODULE, "-q", "run", "--scenes", *scenes, "--out", "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=tmp_path,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "x" / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert out == ""
    assert err.strip() == (
        "water-gee: stopped; what was done is kept, the same command goes on from there"
    )
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
