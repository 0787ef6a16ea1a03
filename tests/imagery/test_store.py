"""Tiles on disk: what is written is read, what is half written is not there."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio

from water_gee.errors import RasterError, RecipeMismatchError, StoreError
from water_gee.imagery.grid import cells_for
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore

SMALL = Recipe(pixels=32, years=2023)


@pytest.fixture
def cells():
    from shapely import box

    return list(cells_for(box(149.05, -35.35, 149.3, -35.25), SMALL))


@pytest.fixture
def store(tmp_path):
    with TileStore.open(tmp_path / "tiles", SMALL, create=True) as opened:
        yield opened


def tile(seed, observed=True):
    rng = np.random.default_rng(seed)
    image = rng.random((8, 38, 38), dtype=np.float32)
    mask = rng.integers(0, 2, (38, 38)).astype(np.uint8)
    hole = (slice(0, 5), slice(0, 9)) if observed else (slice(None), slice(None))
    mask[hole] = 255
    image[(slice(None), *hole)] = np.nan
    return image, mask


def test_what_is_written_is_read_back_bit_for_bit(store, cells):
    image, mask = tile(1)
    row = store.write_tile(cells[0], image, mask)
    np.testing.assert_array_equal(store.read_image(cells[0]), image)
    np.testing.assert_array_equal(store.read_mask(cells[0].id), mask)
    assert store.read_image(cells[0]).dtype == np.float32
    assert (row.state, row.valid, row.pixels) == ("done", 38 * 38 - 45, 38 * 38)
    assert row.water == (mask == 1).sum()
    assert store.rows() == [row]


def test_another_program_finds_the_tile_in_its_place(store, cells):
    store.write_tile(cells[0], *tile(1))
    with rasterio.open(store.path / "images" / f"{cells[0].id}.tif") as source:
        assert source.descriptions == SMALL.features
        assert source.crs.to_epsg() == 4326
        assert tuple(source.transform)[:6] == tuple(cells[0].affine)[:6]
        assert np.isnan(source.nodata)
        structure = source.tags(ns="IMAGE_STRUCTURE")
        assert (structure["COMPRESSION"], structure["PREDICTOR"]) == ("ZSTD", "3")
    with rasterio.open(store.path / "masks" / f"{cells[0].id}.tif") as source:
        assert source.nodata == 255
        assert source.dtypes == ("uint8",)
        assert source.colormap(1)[1] == (31, 120, 180, 255)


def test_tiles_without_an_observed_pixel_are_kept_apart(store, cells):
    store.write_tile(cells[0], *tile(1))
    store.write_tile(cells[1], *tile(2, observed=False))
    assert [row.state for row in sorted(store.rows(), key=lambda row: row.state)] == [
        *("done", "empty")
    ]
    assert store.cells() == [cells[0]]
    assert set(store.cells(empty=True)) == {cells[0], cells[1]}


def test_labels_are_beside_the_masks_and_may_have_other_folders(store, cells):
    _, mask = tile(1)
    assert not store.has_label(cells[0])
    store.write_label(cells[0], mask)
    store.write_label(cells[0].id, 1 - np.minimum(mask, 1), folder="truth")
    assert store.has_label(cells[0])
    np.testing.assert_array_equal(store.read_label(cells[0]), mask)
    assert store.read_label(cells[0], "truth").max() == 1


def test_a_label_may_say_how_likely_water_is(store, cells):
    _, mask = tile(1)
    percent = np.where(mask == 255, 255, np.where(mask == 1, 80, 3)).astype(np.uint8)
    path = store.write_label(cells[0], mask, percent=percent)
    np.testing.assert_array_equal(store.read_label(cells[0]), mask)
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(2), percent)
        assert source.descriptions == ("water", "percent")
        assert source.nodata == 255
        assert source.colormap(1)[1] == (31, 120, 180, 255)
    store.write_label(cells[0], mask)
    with rasterio.open(path) as source:
        assert source.descriptions == ("water",)


@pytest.mark.parametrize(
    ("label", "percent", "words"),
    [
        (1, 40, "40 percent water where the label is 1"),
        (0, 60, "60 percent water where the label is 0"),
        (0, 255, "255 percent water where the label is 0"),
        (255, 50, "50 percent water where the label is 255"),
        (1, 101, "101 percent"),
    ],
)
def test_percents_that_contradict_their_label_are_refused(store, cells, label, percent, words):
    codes = np.full((38, 38), label, np.uint8)
    percents = np.full((38, 38), percent, np.uint8)
    with pytest.raises(StoreError, match=words):
        store.write_label(cells[0], codes, percent=percents)
    with pytest.raises(StoreError, match=r"percents \(3, 3\), the label has \(38, 38\)"):
        store.write_label(cells[0], codes, percent=percents[:3, :3])
    assert not store.has_label(cells[0])


def some_evidence(seed):
    rng = np.random.default_rng(seed)
    bands = {
        "clear_count": rng.integers(0, 600, (38, 38)).astype(np.float32),
        "SWIR2": rng.random((38, 38), dtype=np.float32),
    }
    for values in bands.values():
        values[:5, :9] = np.nan
    return bands


def test_evidence_is_kept_by_name_beside_the_tile_and_bands_that_are_not_there_are_left_out(
    store, cells
):
    given = some_evidence(3)
    store.write_tile(cells[0], *tile(1), given)
    found = store.read_evidence(cells[0].id)
    assert list(found) == ["SWIR2", "clear_count"]
    for name, values in given.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == np.float32
    with rasterio.open(store.path / "evidence" / f"{cells[0].id}.tif") as source:
        assert source.descriptions == ("SWIR2", "clear_count")
        assert np.isnan(source.nodata)
        assert tuple(source.transform)[:6] == tuple(cells[0].affine)[:6]


def test_a_tile_without_evidence_has_none_and_keeps_none_of_the_tile_before(store, cells):
    store.write_tile(cells[0], *tile(1))
    assert store.read_evidence(cells[0]) == {}
    store.write_tile(cells[0], *tile(1), some_evidence(3))
    store.write_tile(cells[0], *tile(2))
    assert store.read_evidence(cells[0]) == {}


def test_a_store_made_before_there_was_evidence_opens_and_takes_some(store, cells):
    store.write_tile(cells[0], *tile(1))
    shutil.rmtree(store.path / "evidence")
    with TileStore.open(store.path) as again:
        assert again.read_evidence(again.cells()[0]) == {}
        again.write_tile(cells[0], *tile(1), some_evidence(3))
        assert set(again.read_evidence(cells[0])) == {"SWIR2", "clear_count"}


def test_evidence_of_another_shape_or_name_is_refused(store, cells):
    with pytest.raises(StoreError, match="evidence 'haze'; there is SWIR2, water_count"):
        store.write_tile(cells[0], *tile(1), {"haze": np.zeros((38, 38), np.float32)})
    with pytest.raises(StoreError, match=r"SWIR2 \(3, 3\), a tile has \(38, 38\)"):
        store.write_tile(cells[0], *tile(1), {"SWIR2": np.zeros((3, 3), np.float32)})
    assert store.rows() == []


def test_what_is_written_down_with_a_label_is_read_back(store, cells):
    _, mask = tile(1)
    store.write_label(cells[0], mask, tags={"key": "abc", "record": '{"changed": 0.5}'})
    assert store.label_tags(cells[0]) == {"key": "abc", "record": '{"changed": 0.5}'}
    np.testing.assert_array_equal(store.read_label(cells[0]), mask)
    store.write_label(cells[0].id, mask, folder="plain")
    assert store.label_tags(cells[0].id, "plain") == {}
    with pytest.raises(RasterError, match="no such file"):
        store.label_tags(cells[1])


def test_a_store_is_opened_again_with_its_recipe(store, cells):
    store.write_tile(cells[0], *tile(1))
    with TileStore.open(store.path) as again:
        assert again.recipe == SMALL
        assert again.cells() == [cells[0]]
    with TileStore.open(str(store.path), SMALL, create=True) as again:
        assert len(again.rows()) == 1


def test_tiles_of_scenes_lie_beside_each_other(store, cells):
    one, other = cells[0].of("LC08_091084_20200704"), cells[0].of("LC08_090084_20200713")
    for number, cell in enumerate((one, other)):
        store.write_tile(cell, *tile(number), some_evidence(number))
        store.write_label(cell, tile(number)[1], tags={"scene": cell.scene})
    assert store.cells() == sorted([one, other], key=lambda cell: cell.id)
    np.testing.assert_array_equal(store.read_image(one.id), tile(0)[0])
    np.testing.assert_array_equal(store.read_label(other), tile(1)[1])
    assert store.label_tags(one.id) == {"scene": one.scene}
    assert (store.path / "images" / f"{cells[0].id}@{one.scene}.tif").is_file()


def test_a_store_without_a_tile_takes_the_recipe_it_is_opened_with(store):
    other = SMALL.replace(months=[1, 2])
    with TileStore.open(store.path, other, create=True) as again:
        assert again.recipe == other
    with TileStore.open(store.path) as again:
        assert again.recipe == other


def test_a_download_whose_store_took_another_recipe_meanwhile_is_refused(store, cells):
    TileStore.open(store.path, SMALL.replace(dem=None), create=True).close()
    with pytest.raises(RecipeMismatchError):
        store.write_tile(cells[0], *tile(1))


def test_another_recipe_is_refused_with_the_difference(store, cells):
    store.write_tile(cells[0], *tile(1))
    with pytest.raises(RecipeMismatchError, match=r"years: \[2020\] / \[2023\]"):
        TileStore.open(store.path, SMALL.replace(years=[2020]))
    with pytest.raises(RecipeMismatchError):
        TileStore.open(store.path, SMALL.replace(dem=None), create=True)


def test_a_tile_whose_file_was_removed_is_not_there(store, cells):
    for number, cell in enumerate(cells[:2]):
        store.write_tile(cell, *tile(number))
    (store.path / "masks" / f"{cells[0].id}.tif").unlink()
    assert [row.cell for row in store.rows()] == [cells[1].id]


def test_a_tile_whose_row_is_missing_is_not_there(store, cells, monkeypatch):
    """A kill between the files and the row loses the tile, not the store."""
    monkeypatch.setattr(store.manifest, "_connection", sqlite3.connect(":memory:"))
    with pytest.raises(StoreError, match="cannot be used"):
        store.write_tile(cells[0], *tile(1))
    with TileStore.open(store.path) as again:
        assert again.rows() == []


def test_files_of_a_killed_writer_are_cleared(store):
    left = store.path / "images" / ".E149.tif.999999999-abcdef01.tmp"
    left.write_bytes(b"half")
    TileStore.open(store.path, SMALL, create=True).close()
    assert not left.exists()


def test_threads_may_write_at_once(store, cells):
    threads = [
        threading.Thread(target=store.write_tile, args=(cell, *tile(number)))
        for number, cell in enumerate(cells)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.rows()) == len(cells)


def test_many_may_begin_a_new_store_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            folder = tmp_path / str(number)
            opened = [pool.submit(TileStore.open, folder, SMALL, create=True) for _ in range(8)]
            for each in opened:
                each.result().close()


def test_a_manifest_that_does_not_fit_on_the_disk_is_one_line(store, cells):
    store.manifest.ask("PRAGMA max_page_count = 1")
    many = [("INSERT INTO failures VALUES (?, 1, ?, '')", (str(i), "x" * 1000)) for i in range(99)]
    with pytest.raises(StoreError, match="the disk is full; free some space"):
        store.manifest.commit(many)
    assert store.manifest.failures() == []
    store.manifest.ask("PRAGMA max_page_count = 100000")
    store.write_tile(cells[0], *tile(1))
    assert len(store.rows()) == 1


def test_what_one_thread_cannot_write_does_not_keep_the_others_from_it(store, cells):
    """Rows that wait together go into one transaction; a bad one is its own thread's alone."""

    def write(number):
        if number % 5 == 0:
            store.manifest.commit([("INSERT INTO failures VALUES (?, ?, ?, ?)", (None,) * 4)])
        else:
            store.manifest.put_failure(str(number), "why")

    with ThreadPoolExecutor(16) as pool:
        outcomes = [pool.submit(write, number) for number in range(100)]
    bad = [number for number, each in enumerate(outcomes) if each.exception() is not None]
    assert bad == list(range(0, 100, 5))
    assert len(store.manifest.failures()) == 80


def test_a_manifest_of_an_older_version_is_read_and_brought_up_to_date(store, cells):
    row = store.write_tile(cells[0], *tile(1))
    store.close()
    with sqlite3.connect(store.path / "manifest.sqlite") as manifest:
        for name in ("attempts", "seconds", "bytes", "images", "masks", "evidence"):
            manifest.execute(f"ALTER TABLE tiles DROP COLUMN {name}")
        for name in ("failures", "claims", "orders"):
            manifest.execute(f"DROP TABLE {name}")
    with TileStore.open(store.path) as old:
        (found,) = old.rows()
        assert (found.cell, found.water, found.bytes) == (row.cell, row.water, None)
        assert old.manifest.failures() == []
    with TileStore.open(store.path, SMALL, create=True) as new:
        new.write_tile(cells[1], *tile(2))
        assert {each.cell: each.bytes is not None for each in new.rows()} == {
            cells[0].id: False,
            cells[1].id: True,
        }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_only_be_read_is_read(store, cells):
    store.write_tile(cells[0], *tile(1))
    store.close()
    store.path.chmod(0o500)
    try:
        with TileStore.open(store.path) as looking:
            assert len(looking.rows()) == 1
    finally:
        store.path.chmod(0o700)


def test_a_folder_that_is_no_store_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match=r"no tile store at .*; make one with `water_gee.download"):
        TileStore.open(tmp_path)


def test_a_broken_manifest_is_one_line(tmp_path):
    (tmp_path / "manifest.sqlite").write_text("this is no database, however long it may be" * 99)
    with pytest.raises(StoreError, match="cannot be used") as caught:
        TileStore.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        TileStore.open(tmp_path / "file" / "tiles", SMALL, create=True)


def test_a_tile_that_is_not_there_is_named(store, cells):
    with pytest.raises(RasterError, match=f"{cells[0].id}.tif: no such tile"):
        store.read_image(cells[0])


def test_arrays_of_another_shape_or_code_are_refused(store, cells):
    image, mask = tile(1)
    with pytest.raises(StoreError, match="a tile has"):
        store.write_tile(cells[0], image, mask[1:])
    with pytest.raises(StoreError, match="this recipe has"):
        store.write_tile(cells[0], image[:7], mask)
    with pytest.raises(StoreError, match="codes other than"):
        store.write_tile(cells[0], image, np.full_like(mask, 2))
    assert store.rows() == []


def test_a_store_may_be_moved(store, cells, tmp_path):
    store.write_tile(cells[0], *tile(1))
    store.close()
    shutil.move(store.path, tmp_path / "elsewhere")
    with TileStore.open(tmp_path / "elsewhere") as moved:
        assert moved.read_image(moved.cells()[0]).shape == (8, 38, 38)
