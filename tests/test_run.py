"""The whole job as a process of its own: end to end, killed at any instant, and gone on with."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hurried import HURRY

from water_gee import metrics, raster, session

MODULE = [sys.executable, "-c", HURRY + "from water_gee.cli import main; main()"]
"""The command, its labels corrected in fewer steps."""


def command(season, out):
    """The job on the one cell of the tiny season."""
    scenes = [str(path) for path in season.scenes]
    area = ",".join(map(str, season.bounds))
    return [
        *[*MODULE, "run", "--scenes", *scenes, "--dem", str(season.dem), "--aoi", area],
        *["--out", str(out), "--epochs", "3"],
    ]


def finish(season, out):
    """Run to the end; returns what it printed, and how long it took."""
    start = time.monotonic()
    done = subprocess.run(command(season, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done, time.monotonic() - start


def classes(out):
    """The class band, and the bytes of its file's pixels."""
    return raster.read(out / "map.tif").values.tobytes()


@pytest.fixture(scope="module")
def finished(tiny_season, tmp_path_factory):
    """A run that nobody disturbed: `(folder, process, seconds)`."""
    out = tmp_path_factory.mktemp("finished") / "run"
    done, seconds = finish(tiny_season, out)
    return out, done, seconds


def test_a_run_names_its_results_and_they_are_there(finished):
    out, done, _ = finished
    named = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert named["map"] == str(out / "map.tif")
    assert named["asset"] == "projects/local/assets/run"
    for name in (
        "map.tif",
        "map_probability.tif",
        "water.gpkg",
        "map.json",
        "map.qml",
        "report.html",
        "model.keras",
    ):
        assert (out / name).stat().st_size > 0


def test_the_map_is_closer_to_the_truth_than_the_qa_labels(finished, tiny_season):
    """Against the truth that the season was made from, carried to the map's pixels by rasterio."""
    out, _, _ = finished
    mapped = raster.read(out / "map.tif")
    truth = _on(mapped.grid, tiny_season.truth)
    (mask,) = (out / "tiles" / "masks").glob("*.tif")
    qa = raster.read(mask).values[0][3:-3, 3:-3]
    assert qa.shape == mapped.values[0].shape
    seen = mapped.values[0] != 255
    scores = [
        metrics.Confusion.of(np.where(seen, truth, 255), values).iou
        for values in (mapped.values[0], qa)
    ]
    assert scores[0] > scores[1]


def test_the_deployed_asset_is_the_local_map(finished):
    import ee

    out, _, _ = finished
    mapped = raster.read(out / "map.tif")
    rows, cols = mapped.grid.shape
    step = mapped.grid.transform
    with session.connect(catalog=out / "catalog"):
        pixels = ee.data.computePixels(
            {
                "expression": ee.Image("projects/local/assets/run").unmask(255, False),
                "fileFormat": "NPY",
                "grid": {
                    "dimensions": {"width": cols, "height": rows},
                    "affineTransform": {
                        "scaleX": step.a,
                        "shearX": 0,
                        "translateX": step.c,
                        "shearY": 0,
                        "scaleY": step.e,
                        "translateY": step.f,
                    },
                    "crsCode": "EPSG:4326",
                },
            }
        )
    deployed = np.load(io.BytesIO(pixels))
    probability = raster.read(out / "map_probability.tif").values[0]
    tie = np.abs(probability - 0.5) < 1e-5
    assert np.array_equal(deployed["water"][~tie], mapped.values[0][~tie])
    seen = mapped.values[0] != 255
    assert np.abs(deployed["probability"][seen] - probability[seen]).max() <= 1e-5


def test_a_second_run_changes_nothing_and_is_quick(finished, tiny_season):
    out, _, seconds = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.tif")}
    done, again = finish(tiny_season, out)
    assert "train: done before" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.tif")} == before
    assert again < seconds


def kill_and_go_on(season, finished, out, times, seed):
    """Kill a run again and again at random instants, let it end, and hold it against `finished`."""
    whole, _, seconds = finished
    instants = random.Random(seed)
    for _ in range(times):
        run = subprocess.Popen(
            command(season, out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            run.wait(instants.uniform(0.3, seconds))
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        else:
            assert run.returncode == 0
    finish(season, out)
    assert classes(out) == classes(whole)
    assert (out / "map_probability.tif").read_bytes() == (
        whole / "map_probability.tif"
    ).read_bytes()
    leftovers = [path for path in out.rglob("*") if ".tmp" in path.name]
    assert leftovers == []
    stages = json.loads((out / "run.json").read_text())["stages"]
    assert all(stage["done"] for stage in stages.values())


def test_a_run_killed_at_random_instants_ends_with_the_same_maps(finished, tiny_season, tmp_path):
    kill_and_go_on(tiny_season, finished, tmp_path / "run", times=2, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_run_killed_at_ten_random_instants(finished, tiny_season, tmp_path, seed):
    kill_and_go_on(tiny_season, finished, tmp_path / "run", times=1, seed=seed)


REAL = {
    "canberra": ("landsat8_c1_canberra", 0.02),
    "manaus": ("landsat_c2l2/LC09_L2SP_231062_20230723_20230802_02_T1-cropped.tar.gz", 0.35),
    "before": ("landsat_c2l2/LC08_L2SP_218074_20190114_20200829_02_T1-cropped.tar.gz", 0.001),
    "after": ("landsat_c2l2/LC08_L2SP_218074_20190130_20200829_02_T1-cropped.tar.gz", 0.001),
}
"""Real scenes, and the least share of water that a look at their pictures promises."""


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_real_scene_runs_to_the_end(name, shared_data, tmp_path):
    scene, least = REAL[name]
    done = subprocess.run(
        [*MODULE, "run", "--scenes", shared_data / scene, "--out", tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "no elevation model given: elevation is 0 everywhere" in done.stderr
    assert ("came without a QA band" in done.stderr) == (name != "canberra")
    mapped = raster.read(tmp_path / name / "map.tif").values[0]
    seen = mapped != 255
    assert least < (mapped[seen] == 1).mean() < 0.6


THREE_CALLS = """
import water_gee

aoi = {aoi}
asset_id = "projects/local/assets/water"
water_gee.download_tiles(aoi)
model = water_gee.train()
water_gee.deploy_to_gee(model, asset_id)
"""


def test_the_three_calls_everybody_will_type(tiny_season, tiny_catalog, tmp_path):
    """In a new folder, with ./catalog and nothing else; train() corrects the labels first."""
    shutil.copytree(tiny_catalog, tmp_path / "catalog")
    done = subprocess.run(
        [sys.executable, "-c", HURRY + THREE_CALLS.format(aoi=tiny_season.bounds)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    store = tmp_path / "water_gee_tiles"
    assert (store / "model.keras").exists()
    assert len(list((store / "labels").glob("*.tif"))) == 1
    with session.connect(catalog=tmp_path / "catalog"):
        import ee

        about = ee.data.getAsset("projects/local/assets/water")
    assert [band["id"] for band in about["bands"]] == ["water", "probability"]


def _on(grid, path):
    """A raster carried to a grid, nearest neighbour; 255 where it has nothing."""
    import rasterio
    from rasterio.warp import reproject

    values = np.full(grid.shape, 255, np.uint8)
    with rasterio.open(path) as source:
        reproject(
            rasterio.band(source, 1),
            values,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            dst_nodata=255,
            init_dest_nodata=True,
        )
    return values
