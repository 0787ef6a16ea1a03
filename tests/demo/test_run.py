from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from water_gee import raster, workflow
from water_gee.demo import run, truth
from water_gee.demo.run import DemoResult, run_demo
from water_gee.imagery.grid import Cell
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.workflow import RunResult

CELL = Cell(771, 383)


def flipped(codes, share, seed):
    """Codes with a share of their pixels turned over."""
    wrong = np.random.default_rng(seed).random(codes.shape) < share
    return np.where(wrong, 1 - codes, codes).astype(np.uint8)


def write_map(path, codes):
    core = CELL.core
    grid = CELL.grid.window(core.row, core.col, core.height, core.width)
    raster.write_cog(path, codes[core.slices], grid, nodata=255, names=("water",))


@pytest.fixture(scope="module")
def job(season):
    """Stand-ins for the stages of the job: labels and maps of known quality, and their calls."""
    known = truth.truth_on(season, CELL.grid)
    calls = []

    def whole_job(aoi, *, scenes, dem, out, seed, progress):
        calls.append(("run", tuple(aoi), len(scenes), dem.name, seed))
        if not (out / "map.tif").exists():
            with TileStore.open(out / "tiles", Recipe(), create=True) as store:
                image = np.full((8, *CELL.shape), 0.1, dtype=np.float32)
                image[5] = known - 0.5
                image[:, -50:] = np.nan
                mask = flipped(known, 0.10, 1)
                mask[-50:] = 255
                store.write_tile(CELL, image, mask)
                store.write_label(CELL, flipped(known, 0.04, 2))
            write_map(out / "map.tif", flipped(known, 0.03, 3))
            (out / "model.keras").write_bytes(b"model")
            (out / "report.html").write_text("<html></html>")
        paths = {name: out / f"{name}.tif" for name in ("map", "probability")}
        return RunResult(
            out=out, recipe=Recipe(), tiles=out / "tiles", model=out / "model.keras", **paths,
            polygons=out / "water.gpkg", report=out / "report.html", assets=(),
            seconds={"ingest": 1.0, "train": 2.0}, made=(), notes=(),
        )  # fmt: skip

    def train(store, *, out, labels, seed, progress):
        calls.append(("train", labels, seed))
        assert np.array_equal(store.read_label(CELL, labels), known)
        out.write_bytes(b"ceiling")

    def predict(model, store, out, *, progress):
        calls.append(("predict", model.name))
        write_map(out, flipped(known, 0.01, 4))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow, "run", whole_job)
        patch.setattr("water_gee.training.fit.train", train)
        patch.setattr("water_gee.mapping.predict.predict", predict)
        patch.setattr(
            run,
            "make_season",
            lambda folder, seed, cells, regime: replace(season, regime=regime),
        )
        yield calls


@pytest.fixture(scope="module")
def first(job, tmp_path_factory):
    """The demo's first run, and the calls it made."""
    out = tmp_path_factory.mktemp("demo")
    result = run_demo(out, seed=3, cells=(1, 1), progress=False)
    made = list(job)
    job.clear()
    return result, made


def expected_iou(known, share):
    """IoU when a share of all pixels is turned over at random."""
    water, land = np.count_nonzero(known == 1), np.count_nonzero(known == 0)
    return (1 - share) * water / (water + share * land)


def test_everything_is_scored_against_the_truth(first, season):
    result, _ = first
    known = truth.truth_on(season, CELL.grid)
    for name, share in (("qa", 0.10), ("corrected", 0.04), ("map", 0.03), ("ceiling", 0.01)):
        assert result.scores[name]["iou"] == pytest.approx(expected_iou(known, share), abs=0.02)
    assert result.scores["mndwi"]["iou"] == 1
    assert result.scores["qa"]["missing"] == (50 - 3) * 501
    assert result.scores["mndwi"]["missing"] == (50 - 3) * 501
    assert result.scores["map"]["missing"] == 0
    assert result.scores["map"]["observed"] == 501 * 501
    ious = [result.scores[name]["iou"] for name in ("qa", "map", "ceiling")]
    assert result.gap_closed == pytest.approx((ious[1] - ious[0]) / (ious[2] - ious[0]))


def test_the_job_is_given_the_season_and_the_ceiling_the_truth(first, season):
    assert first[1] == [
        ("run", season.bounds, 6, "synthetic_dem.tif", 3),
        ("train", run.TRUTH_LABELS, 3),
        ("predict", "ceiling.keras"),
    ]


def test_a_second_call_makes_nothing_again_and_says_the_same(first, job):
    result, _ = first
    page = result.report.stat().st_mtime_ns
    job.clear()
    second = run_demo(result.out, seed=3, cells=(1, 1), progress=False)
    assert [name for name, *_ in job] == ["run"]
    assert second.scores == result.scores
    assert result.report.stat().st_mtime_ns == page


def test_the_regime_is_told_everywhere(first, job, tmp_path):
    result = run_demo(tmp_path, seed=3, cells=(1, 1), regime="snow", progress=False)
    assert result.regime == result.to_dict()["regime"] == "snow"
    assert result.table().startswith("synthetic season of the noise regime «snow», seed 3")
    assert "of the noise regime «snow»" in result.report.read_text()
    assert first[0].regime is None
    assert first[0].table().startswith("synthetic season, seed 3")


def test_a_ceiling_that_is_gone_is_made_again(first, job):
    result, _ = first
    (result.out / "ceiling" / "ceiling.tif").unlink()
    job.clear()
    assert run_demo(result.out, seed=3, cells=(1, 1), progress=False).scores == result.scores
    assert [name for name, *_ in job] == ["run", "train", "predict"]


def test_the_report_says_synthetic_and_shows_the_scores(first):
    result, _ = first
    text = result.report.read_text()
    assert "SYNTHETIC" in text
    assert f"{result.scores['map']['iou']:.4f}" in text
    assert "Difference: water map and truth" in text
    with rasterio.open(result.out / run.TRUTH_RASTER) as file:
        assert file.tags()["SYNTHETIC"] == "true"


def test_the_json_has_the_names_others_rely_on(first):
    result, _ = first
    plain = json.loads(json.dumps(result.to_dict()))
    for name in ("qa", "corrected", "map", "ceiling", "mndwi", "dswe"):
        assert {"iou", "f1", "accuracy"} <= set(plain[name])
    assert {"season", "ingest", "train", "ceiling", "scores"} <= set(plain["seconds"])
    assert plain["synthetic"] is True


def test_the_table_has_a_line_for_each_and_no_line_is_wide():
    score = {"iou": 0.5, "f1": 0.6667, "accuracy": 0.9, "observed": 10, "missing": 2}
    result = DemoResult(
        run.Path("out"), 0, (3, 3), dict.fromkeys(run.NAMES, score), {"season": 3.4}, run.Path("r")
    )
    table = result.table()
    assert "synthetic" in table.splitlines()[0]
    for label in run.NAMES.values():
        assert len(re.findall(re.escape(label) + r" +0\.5000", table)) == 1
    assert max(map(len, table.splitlines())) <= 100


@pytest.mark.slow
def test_the_demo_holds_what_it_promises(tmp_path):
    result = run_demo(tmp_path / "demo", seed=0, cells=(1, 1), progress=False)
    iou = {name: values["iou"] for name, values in result.scores.items()}
    assert 0.65 < iou["qa"] < 0.85
    assert iou["corrected"] > iou["qa"]
    assert iou["map"] > max(iou["mndwi"], iou["dswe"])
    assert result.gap_closed > 0.4
    again = run_demo(tmp_path / "demo", seed=0, cells=(1, 1), progress=False)
    assert again.scores == result.scores
