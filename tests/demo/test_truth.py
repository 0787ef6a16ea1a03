from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from season_files import band, clear

from water_gee.demo import truth
from water_gee.imagery.grid import Cell
from water_gee.windows import Grid

CELL = Cell(771, 383)


def test_truth_is_taken_at_the_nearest_pixel_of_every_centre(season):
    codes = truth.truth_on(season, CELL.grid)
    with rasterio.open(season.truth) as file:
        values, crs, transform = file.read(1), file.crs, file.transform
    forward = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    rng = np.random.default_rng(0)
    step = 135 / 501000
    for row, col in rng.integers(0, 507, size=(300, 2)):
        # Pixel centres counted from 0 E, 0 N; the tile begins three pixels outside its cell.
        longitude = (771 * 501 - 3 + col + 0.5) * step
        latitude = (384 * 501 + 3 - row - 0.5) * step
        x, y = forward.transform(longitude, latitude)
        at = int((transform.f - y) // 30), int((x - transform.c) // 30)
        assert codes[row, col] == values[at]
    assert codes.shape == (507, 507)
    assert set(np.unique(codes)) == {0, 1}


def test_outside_the_season_nothing_is_known(season):
    far = Grid("EPSG:4326", Affine(0.001, 0, 10, 0, -0.001, 50), (4, 5))
    assert (truth.truth_on(season, far) == 255).all()


def test_scores_leave_out_what_was_not_observed_and_count_it():
    known = np.array([1, 1, 1, 0, 0, 0, 255, 1], dtype=np.uint8)
    codes = np.array([1, 1, 0, 0, 1, 255, 1, 255], dtype=np.uint8)
    found = truth.score(known, codes).to_dict()
    assert found["iou"] == pytest.approx(2 / 4)
    assert found["f1"] == pytest.approx(4 / 6)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert (found["observed"], found["missing"]) == (5, 2)


def test_swir2_is_the_median_of_the_clear_observations(season):
    stack = np.stack(
        [
            np.where(
                clear(band(scene, "QA_PIXEL")) & (band(scene, "SR_B7") < 43637),
                band(scene, "SR_B7").astype(float) * 2.75e-5 - 0.2,
                np.nan,
            )
            for scene in season.scenes
        ]
    )
    with rasterio.open(season.truth) as file:
        grid = Grid(file.crs.to_wkt(), file.transform, file.shape)
    found = truth.swir2_on(season, grid)
    seen = np.isfinite(stack).any(axis=0)
    assert np.array_equal(np.isnan(found), ~seen)
    expected = np.nanmedian(stack[:, seen], axis=0)
    assert found[seen] == pytest.approx(expected, abs=1e-6)
