"""What tiles hold is counted once and known again; tiles that do not fit are refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from scipy.ndimage import distance_transform_cdt
from small_water import cells, scene, store_of

from water_gee import raster
from water_gee.errors import RasterError, StoreError, TrainingError
from water_gee.imagery.store import TileStore
from water_gee.training import tiles as reading
from water_gee.training.strata import STRATA
from water_gee.training.tiles import Tiles, digest, index


@pytest.fixture
def looked_at(monkeypatch):
    """The tiles that were looked at, in whatever order."""
    names, look = [], Tiles.look
    monkeypatch.setattr(Tiles, "look", lambda self, name: names.append(name) or look(self, name))
    return names


def ids(store):
    return [cell.id for cell in store.cells()]


def test_an_index_counts_what_each_tile_holds(small_store, small_recipe):
    entries = index(Tiles(small_store, "masks"))
    assert [entry.name for entry in entries] == ids(small_store)
    for entry in entries:
        qa = small_store.read_mask(entry.name)
        seen = np.isfinite(small_store.read_image(entry.name)).all(axis=0)
        whole = distance_transform_cdt(np.pad(seen, 1)[1:-1, 1:-1], "chessboard") > 3
        whole[:3] = whole[-3:] = whole[:, :3] = whole[:, -3:] = False
        used = whole & (qa != 255)
        water = used & (qa == 1)
        near = distance_transform_cdt(~water, "chessboard") <= 3
        assert entry.counts == (water.sum(), (used & (qa == 0)).sum())
        assert entry.shore == (used & (qa == 0) & near).sum()
        assert sum(entry.strata) == entry.land
        # What the QA band invents as ponds and misses of lakes looks as it is.
        forest, deep = STRATA.index("vegetation"), STRATA.index("water")
        assert entry.strata[forest] > entry.strata[deep] > 0
        assert sum(entry.strata) == entry.strata[forest] + entry.strata[deep]


def test_a_tile_without_a_corrected_label_brings_its_qa_label(small_store):
    first, second, *_ = ids(small_store)
    small_store.write_label(first, np.ones((70, 70), np.uint8))
    tiles = Tiles(small_store, "labels")
    assert (tiles.read(first).water == 1).all()
    qa = small_store.read_mask(second)[3:-3, 3:-3]
    np.testing.assert_array_equal(tiles.read(second).water == 1, qa == 1)


def test_how_likely_a_label_is_water_comes_with_it(small_store):
    first, second, *_ = ids(small_store)
    label = np.zeros((70, 70), np.uint8)
    label[:, 30:] = 1
    label[:9] = 255
    percent = np.where(label == 255, 255, np.where(label == 1, 70, 4)).astype(np.uint8)
    small_store.write_label(first, label, percent=percent)
    small_store.write_label(second, label)
    tiles = Tiles(small_store, "labels")
    np.testing.assert_array_equal(tiles.read(first).percent, percent[3:-3, 3:-3])
    assert tiles.read(second).percent is None
    path = small_store.write_label(second, label, percent=percent)
    rewritten(path, np.stack([label, percent[::-1]]))
    with pytest.raises(StoreError, match=f"{second}: .* percent water where the label is"):
        tiles.read(second)


def test_an_index_is_taken_up_and_only_new_files_are_looked_at(small_store, looked_at):
    first = index(Tiles(small_store, "masks"))
    assert sorted(looked_at) == ids(small_store)
    looked_at.clear()
    assert index(Tiles(small_store, "masks")) == first
    assert looked_at == []
    changed = ids(small_store)[2]
    cell = small_store.cells()[2]
    small_store.write_tile(cell, small_store.read_image(cell), np.ones((70, 70), np.uint8))
    again = index(Tiles(small_store, "masks"))
    assert looked_at == [changed]
    assert again[2].land == 0
    assert digest(again) != digest(first)
    assert [again[place] for place in (0, 1, 3)] == [first[place] for place in (0, 1, 3)]


def test_an_index_that_was_killed_goes_on_with_what_was_kept(small_store, monkeypatch, looked_at):
    monkeypatch.setattr(reading, "KEPT_EVERY", 1)
    monkeypatch.setattr(reading, "READERS", 1)
    look, calls = Tiles.look, []

    def killed(self, name):
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(Tiles, "look", killed)
        with pytest.raises(KeyboardInterrupt):
            index(Tiles(small_store, "masks"))
    looked_at.clear()
    index(Tiles(small_store, "masks"))
    assert looked_at == ids(small_store)[2:]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 0}', '{"format": 1, "margin": 3}', ""])
def test_an_index_that_is_broken_is_made_again(small_store, text, looked_at):
    wanted = index(Tiles(small_store, "masks"))
    (small_store.path / "index_masks.json").write_text(text)
    looked_at.clear()
    assert index(Tiles(small_store, "masks")) == wanted
    assert len(looked_at) == 4


def test_an_index_for_another_window_is_made_again(small_store, looked_at):
    near = index(Tiles(small_store, "masks"))
    far = index(Tiles(small_store, "masks", 8))
    assert len(looked_at) == 8
    assert sum(e.land for e in far) == sum(e.land for e in near)
    assert json.loads((small_store.path / "index_masks.json").read_text())["margin"] == 8


def test_a_store_that_cannot_be_written_is_indexed_all_the_same(small_store, monkeypatch):
    def refuse(*_):
        raise RasterError("the folder cannot be written")

    monkeypatch.setattr(reading, "write_bytes", refuse)
    assert len(index(Tiles(small_store, "masks"))) == 4


def test_equal_stores_have_equal_digests(tmp_path, small_recipe):
    scenes, found = [scene(seed, small_recipe.side) for seed in range(2)], []
    for name in "ab":
        with store_of(tmp_path / name, scenes, small_recipe) as store:
            found.append(digest(index(Tiles(store, "masks"))))
    assert found[0] == found[1]


# ---------------------------------------------------------------------------------- bad input


def refused(error, words, store, folder="masks"):
    with pytest.raises(error, match=words) as caught:
        index(Tiles(store, folder))
    assert "\n" not in str(caught.value)


def rewritten(path, values=None, **changes):
    """The same GeoTIFF with something else about it."""
    with rasterio.open(path) as source:
        profile, names = source.profile | changes, source.descriptions
        values = source.read() if values is None else values
    for name in ("blockxsize", "blockysize", "tiled"):
        profile.pop(name, None)
    profile |= {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
    path.unlink()
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
        if len(names) == len(values):
            target.descriptions = names


def test_an_empty_store_and_unknown_labels_are_refused(tmp_path, small_recipe, small_store):
    with TileStore.open(tmp_path / "empty", small_recipe, create=True) as store:
        refused(TrainingError, r"holds no tiles .* download_tiles\(\)", store)
    refused(TrainingError, "has no labels in 'truth'", small_store, "truth")


def test_tiles_that_are_all_nan_are_refused(tmp_path, small_recipe):
    each = scene(0, 70)
    blind = type(each)(np.full_like(each.features, np.nan), each.truth, each.qa)
    with store_of(tmp_path / "store", [blind], small_recipe) as store:
        refused(TrainingError, "no tile has a pixel whose 7 x 7 window was observed", store)


def test_labels_of_another_shape_grid_or_code_are_refused(small_store):
    cell = small_store.cells()[1]
    path = small_store.write_label(cell, np.zeros((70, 70), np.uint8), "odd")
    rewritten(path, np.zeros((1, 64, 64), np.uint8))
    words = rf"{cell.id}: labels are \(64, 64\), features \(70, 70\)"
    refused(TrainingError, words, small_store, "odd")
    path = small_store.write_label(cell, np.zeros((70, 70), np.uint8), "moved")
    rewritten(path, transform=cells(small_store.recipe, 4)[3].grid.transform)
    refused(TrainingError, rf"lies on another grid than its cell {cell.id}", small_store, "moved")
    path = small_store.write_label(cell, np.zeros((70, 70), np.uint8), "codes")
    rewritten(path, np.full((1, 70, 70), 3, np.uint8))
    refused(TrainingError, rf"{cell.id}: labels hold 3, and not only", small_store, "codes")


@pytest.mark.parametrize(
    ("kind", "code"), [("int16", -9999), ("float32", 0.25), ("float32", np.nan)]
)
def test_nodata_and_fractions_in_labels_are_not_taken_for_land(small_store, kind, code):
    cell = small_store.cells()[1]
    path = small_store.write_label(cell, np.zeros((70, 70), np.uint8), "mine")
    values = np.zeros((1, 70, 70), kind)
    values[0, :35] = code
    rewritten(path, values, dtype=kind, nodata=code)
    refused(TrainingError, rf"{cell.id}: labels hold {code}, and not only", small_store, "mine")


@pytest.mark.parametrize("folder", ["images", "evidence"])
def test_folders_of_the_store_that_hold_no_labels_are_refused_by_name(small_store, folder):
    refused(TrainingError, f"'{folder}' holds no labels", small_store, folder)
    assert not list(small_store.path.glob("index_*.json"))


def test_tiles_of_another_recipe_are_refused(small_store, small_recipe):
    cell = small_store.cells()[1]
    image = small_store.read_image(cell)
    names = ("Blue", "Green", "Red", "NIR", "SWIR1", "SWIR2", "line", "elevation")
    raster.write(small_store.image_path(cell), image, cell.grid, nodata=np.nan, names=names)
    words = r"SWIR2, line, elevation, the store's recipe has .*; it was made with another recipe"
    refused(TrainingError, words, small_store)
    raster.write(small_store.image_path(cell), image[:7], cell.grid, nodata=np.nan, names=names[:7])
    refused(TrainingError, "made with another recipe", small_store)


def test_a_tile_that_is_gone_or_broken_is_named(small_store):
    cell = small_store.cells()[1]
    tiles = Tiles(small_store, "masks")
    path = small_store.image_path(cell)
    path.write_bytes(path.read_bytes()[:2000])
    refused(RasterError, cell.id, small_store)
    path.unlink()
    with pytest.raises(RasterError, match=f"{cell.id}.*no such tile"):
        tiles.read(cell.id)
