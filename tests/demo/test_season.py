from __future__ import annotations

import errno
import hashlib
import json
import re

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from season_files import band, clear, raster_of

from water_gee.demo import season as seasons
from water_gee.demo.season import make_season
from water_gee.demo.site import make_site
from water_gee.emulator.ingest import ingest
from water_gee.errors import GridError, RasterError

BANDS = ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7", "QA_PIXEL")
PRODUCT = re.compile(r"LC08_L2SP_\d{6}_2020(06|07|08)\d\d_2020\d{4}_02_T1")


def test_scenes_are_named_and_packed_as_usgs_does(season):
    assert len(season.scenes) == 6
    for scene in season.scenes:
        assert PRODUCT.fullmatch(scene.name)
        names = {f"{scene.name}_{name}.TIF" for name in BANDS} | {f"{scene.name}_MTL.txt"}
        assert {path.name for path in scene.iterdir()} == names
        for name in BANDS:
            with rasterio.open(scene / f"{scene.name}_{name}.TIF") as file:
                assert file.dtypes == ("uint16",)
                assert file.crs.to_epsg() == 32648
                assert (file.transform.a, file.transform.e) == (30, -30)
                # Pixel centres on multiples of 30 m.
                assert file.transform.c % 30 == file.transform.f % 30 == 15


def test_everything_says_that_it_is_synthetic(season):
    assert season.folder.name == "synthetic_season"
    assert "no satellite saw this" in (season.folder / "SYNTHETIC.txt").read_text()
    assert json.loads((season.folder / "synthetic_season.json").read_text())["synthetic"] is True
    for scene in season.scenes:
        assert "SYNTHETIC" in (scene / f"{scene.name}_MTL.txt").read_text()
    for path in season.folder.rglob("*"):
        if path.suffix.lower() == ".tif":
            with rasterio.open(path) as file:
                assert file.tags()["SYNTHETIC"] == "true"


def test_the_mtl_holds_what_readers_need(season):
    for scene in season.scenes:
        text = (scene / f"{scene.name}_MTL.txt").read_text()
        fields = dict(re.findall(r'^\s+(\w+) = "?([^"\n]*)"?$', text, re.MULTILINE))
        assert fields["LANDSAT_PRODUCT_ID"] == scene.name
        assert fields["SPACECRAFT_ID"] == "LANDSAT_8"
        assert fields["DATE_ACQUIRED"].replace("-", "") == scene.name.split("_")[3]
        assert f"{int(fields['WRS_PATH']):03d}{int(fields['WRS_ROW']):03d}" == scene.name[10:16]
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{7}Z", fields["SCENE_CENTER_TIME"])
        assert 40 < float(fields["SUN_ELEVATION"]) < 62
        assert 120 < float(fields["SUN_AZIMUTH"]) < 170
        assert fields["UTM_ZONE"] == "48"
        assert float(fields["REFLECTANCE_MULT_BAND_4"]) == 2.75e-05
        assert float(fields["REFLECTANCE_ADD_BAND_4"]) == -0.2
        qa = band(scene, "QA_PIXEL")
        cover = 100 * np.count_nonzero(qa & 8) / np.count_nonzero(qa != 1)
        assert float(fields["CLOUD_COVER"]) == pytest.approx(cover, abs=0.01)
        opened = text.count("\n  GROUP = ") + text.startswith("GROUP = ")
        assert opened == text.count("END_GROUP = ")


def test_the_ordinary_reader_takes_a_scene(season, tmp_path):
    assets = ingest(tmp_path / "catalog", [season.scenes[0]])
    assert assets == ["LANDSAT/LC08/C02/T1_L2/LC08_133024_20200609"]


def test_fill_is_zero_in_every_band_and_one_in_qa(season):
    shares = []
    for scene in season.scenes:
        qa = band(scene, "QA_PIXEL")
        for name in BANDS[:-1]:
            assert np.array_equal(band(scene, name) == 0, qa == 1)
        assert not (qa[qa != 1] & 1).any()
        shares.append((qa == 1).mean())
    assert min(shares) < 0.05
    assert max(shares) > 0.2


def test_reflectance_is_that_of_water_forest_and_snow(season):
    scene = season.scenes[0]
    ok = clear(band(scene, "QA_PIXEL"))
    values = {name: band(scene, name) * 2.75e-5 - 0.2 for name in BANDS[:-1]}
    with rasterio.open(season.fraction) as file:
        fraction = file.read(1)
    water = ok & (fraction == 1)
    assert np.median(values["SR_B6"][water]) < 0.02
    assert np.median(values["SR_B5"][ok & (fraction == 0)]) > 0.15
    snow = ok & (band(scene, "QA_PIXEL") & 32 > 0)
    assert np.median(values["SR_B3"][snow]) > 0.35
    assert np.median(values["SR_B6"][snow]) < 0.2


def test_some_counts_over_dark_water_are_negative_reflectance(season):
    counts = [band(scene, "SR_B6") for scene in season.scenes]
    assert any(((c > 0) & (c < 7273)).any() for c in counts)


def test_truth_is_water_over_half_of_the_pixel(season):
    truth, fraction = raster_of(season.truth), raster_of(season.fraction)
    assert truth.dtype == np.uint8
    assert np.array_equal(truth == 1, fraction >= 0.5)
    ninths = fraction * 9
    assert np.abs(ninths - np.rint(ninths)).max() < 1e-5
    assert 0.05 < truth.mean() < 0.2
    assert ((fraction > 0) & (fraction < 1)).sum() > 0.2 * truth.sum()


def test_the_elevation_model_covers_the_cells_with_their_margins(season):
    west, south, east, north = season.bounds
    margin = 4 * 0.135 / 501
    with rasterio.open(season.dem) as file:
        assert file.crs.to_epsg() == 4326
        assert file.transform.a == pytest.approx(1 / 3600)
        left, bottom, right, top = file.bounds
        heights = file.read(1)
    assert left < west - margin
    assert bottom < south - margin
    assert right > east + margin
    assert top > north + margin
    assert heights.dtype == np.float32
    assert 350 < heights.min() < heights.max() < 2000


def test_lakes_are_flat_in_the_elevation_model_and_lie_below_their_shores(season):
    with rasterio.open(season.dem) as file:
        heights, transform = file.read(1), file.transform
    with rasterio.open(season.fraction) as file:
        fraction, grid, crs = file.read(1), file.transform, file.crs
    row, col = np.mgrid[0 : heights.shape[0], 0 : heights.shape[1]]
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(
        transform.c + transform.a * (col + 0.5), transform.f + transform.e * (row + 0.5)
    )
    at_row, at_col = ((y - grid.f) / grid.e).astype(int), ((x - grid.c) / grid.a).astype(int)
    # Deep inside water: nothing but water for four pixels around.
    wet = np.ones_like(fraction, dtype=bool)
    for down in range(-4, 5):
        for right in range(-4, 5):
            wet &= np.roll(fraction == 1, (down, right), axis=(0, 1))
    deep = wet[at_row, at_col]
    east, south = np.gradient(heights)[::-1]
    slope = np.hypot(east, south)
    assert deep.sum() > 500
    assert np.median(slope[deep]) < 0.1
    assert np.median(slope[fraction[at_row, at_col] == 0]) > 0.5


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(season, tmp_path):
    again = make_season(tmp_path / "again", 3, (1, 1))
    other = make_season(tmp_path / "other", 4, (1, 1))
    for name in ("SR_B3", "QA_PIXEL"):
        assert np.array_equal(band(season.scenes[2], name), band(again.scenes[2], name))
        assert not np.array_equal(band(season.scenes[2], name), band(other.scenes[2], name))
    assert season.truth.read_bytes() == again.truth.read_bytes()


def test_the_season_without_a_regime_keeps_its_pixels(season):
    found, total = hashlib.sha256(), 0.0
    for path in sorted(season.folder.rglob("*")):
        if path.suffix.lower() == ".tif":
            with rasterio.open(path) as file:
                values = file.read()
            found.update(path.name.encode() + values.tobytes())
            total += float(values.mean(dtype=np.float64))
    if found.hexdigest() != "8216e82437d5a24d31ba581b9e0f15602c73dd814bc6de2cd538f8e3c050007e":
        # Another processor may round the Fourier transforms' last bits otherwise.
        assert total == pytest.approx(508201.87467263074, rel=1e-9)


def test_a_season_that_stands_is_not_made_again(season, monkeypatch):
    monkeypatch.setattr(seasons, "_fill", lambda *_: pytest.fail("made again"))
    assert make_season(season.folder.parent, 3, (1, 1)) == season


def test_a_season_cut_short_is_made_anew(tmp_path, monkeypatch):
    draft = tmp_path / ".synthetic_season.draft"
    draft.mkdir()
    (draft / "half").write_text("")
    final = tmp_path / "synthetic_season"
    final.mkdir()
    (final / "synthetic_season.json").write_text('{"version": 1, "seed"')
    monkeypatch.setattr(seasons, "_fill", lambda folder, *_: ["a scene"])
    made = make_season(tmp_path, 3, (1, 1))
    assert [scene.name for scene in made.scenes] == ["a scene"]
    assert not draft.exists()
    assert not (final / "half").exists()


def test_the_area_holds_exactly_the_cells_asked_for():
    from shapely import box

    from water_gee.imagery.grid import cells_for

    for cells in ((1, 1), (3, 3), (2, 4)):
        found = list(cells_for(box(*make_site(cells).bounds)))
        assert len({cell.row for cell in found}) == cells[0]
        assert len({cell.col for cell in found}) == cells[1]
        assert len(found) == cells[0] * cells[1]


def test_scenes_cover_every_cell_with_its_margin(season):
    from shapely import box

    from water_gee.imagery.grid import cells_for

    with rasterio.open(season.truth) as file:
        crs, left, bottom, right, top = file.crs, *file.bounds
    forward = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    for cell in cells_for(box(*season.bounds)):
        west, south, east, north = cell.grid.bounds
        for x, y in zip(
            *forward.transform([west, east, west, east], [south, south, north, north]), strict=True
        ):
            assert left + 60 < x < right - 60
            assert bottom + 60 < y < top - 60


def test_no_cells_is_refused_in_words():
    with pytest.raises(GridError, match=r"\(3, 3\)"):
        make_site((0, 3))


def test_a_folder_that_cannot_be_made_is_named_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RasterError, match="cannot write") as caught:
        make_season(tmp_path / "file", 3, (1, 1))
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(folder, *_):
        (folder / "half.tif").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(seasons, "_fill", full)
    with pytest.raises(RasterError, match="disk is full"):
        make_season(tmp_path, 3, (1, 1))
    assert list(tmp_path.iterdir()) == []
