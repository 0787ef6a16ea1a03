"""Correction of planted QA errors, and what a store looks like after it, or after a kill."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_water import cells, scene, store_of

from water_gee.errors import LabelError, StoreError, TrainingError
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.training import labels
from water_gee.training.labels import denoise_labels, unfinished


def iou(truth, found):
    used = (truth != 255) & (found != 255)
    water, called = truth[used] == 1, found[used] == 1
    return (water & called).sum() / (water | called).sum()


def corrected(store):
    return {cell.id: store.read_label(cell) for cell in store.cells() if store.has_label(cell)}


def same(one, other):
    return one.keys() == other.keys() and all((one[key] == other[key]).all() for key in one)


def nearly_dry(seed, side, water):
    each = scene(seed, side, hole=False)
    qa = np.zeros_like(each.qa)
    qa.flat[:water] = 1
    return type(each)(each.features, each.truth, qa)


def test_planted_errors_of_the_qa_band_are_corrected(tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "ROUNDS", (12, 6))
    recipe = Recipe(pixels=128, years=(2023,))
    scenes = [scene(seed, recipe.side) for seed in range(2)]
    with store_of(tmp_path / "store", scenes, recipe) as store:
        record = denoise_labels(store, progress=False)
        for cell, each in zip(store.cells(), sorted_like(store, scenes, recipe), strict=True):
            found = store.read_label(cell)
            np.testing.assert_array_equal(found == 255, each.qa == 255)
            assert iou(each.truth, each.qa) < 0.85
            assert iou(each.truth, found) > 0.9
            observed = (each.qa != 255).sum()
            changed = ((each.qa == 0) & (found == 1)).sum() / observed
            assert record["cells"][cell.id]["to_water"] == pytest.approx(changed, abs=1e-6)
    assert record["skipped"] == []


def sorted_like(store, scenes, recipe):
    """Scenes in the order in which the store lists their cells."""
    by_id = {cell.id: each for cell, each in zip(cells(recipe, len(scenes)), scenes, strict=True)}
    return [by_id[cell.id] for cell in store.cells()]


def test_the_same_seed_makes_the_same_labels_and_a_second_call_makes_none(
    small_store, small_recipe, tmp_path, quick, monkeypatch
):
    record = denoise_labels(small_store, seed=2, progress=False)
    first = corrected(small_store)
    assert json.loads((small_store.path / "labels.json").read_text()) == record
    scenes = [scene(seed, small_recipe.side) for seed in range(4)]
    with store_of(tmp_path / "again", scenes, small_recipe) as other:
        denoise_labels(other.path, seed=2, progress=False)
        assert same(corrected(other), first)

    def never(*_args, **_settings):
        raise AssertionError("labels that stand were made again")

    monkeypatch.setattr(labels, "_train", never)
    assert denoise_labels(small_store, seed=2, progress=False) == record


def test_a_killed_correction_starts_again_and_never_passes_for_a_finished_one(
    small_store, quick, monkeypatch
):
    """Labels of seed 0 stand; a correction with seed 1 is killed at its second tile."""
    finished = denoise_labels(small_store, seed=0, progress=False)
    wanted = corrected(small_store)
    write, written = TileStore.write_label, []

    def killed(store, cell, label, folder="labels"):
        if written:
            raise KeyboardInterrupt
        written.append(cell)
        return write(store, cell, 1 - (label == 1).astype(np.uint8), folder)

    monkeypatch.setattr(TileStore, "write_label", killed)
    with pytest.raises(KeyboardInterrupt):
        denoise_labels(small_store, seed=1, progress=False)
    assert unfinished(small_store)
    assert not same(corrected(small_store), wanted)
    monkeypatch.setattr(TileStore, "write_label", write)
    again = denoise_labels(small_store, seed=0, progress=False)
    assert not unfinished(small_store)
    assert same(corrected(small_store), wanted)
    assert again["cells"] == finished["cells"]


def test_tiles_with_fewer_than_100_water_pixels_are_skipped(tmp_path, small_recipe, quick):
    side = small_recipe.side
    scenes = [scene(0, side), nearly_dry(1, side, 99), nearly_dry(2, side, 100)]
    places = cells(small_recipe, 3)
    with store_of(tmp_path / "store", scenes, small_recipe) as store:
        record = denoise_labels(store, progress=False)
        assert record["skipped"] == [places[1].id]
        assert [store.has_label(cell) for cell in places] == [True, False, True]
        assert set(record["cells"]) == {places[0].id, places[2].id}


def test_a_broken_record_is_no_record(small_store):
    for text in ("{", "[]", ""):
        (small_store.path / "labels.json").write_text(text)
        assert not unfinished(small_store)


# ---------------------------------------------------------------------------------- bad input


def refused(error, words, store, **settings):
    with pytest.raises(error, match=words) as caught:
        denoise_labels(store, progress=False, **settings)
    assert "\n" not in str(caught.value)


def test_no_store_an_empty_one_and_one_without_water_are_refused(tmp_path, small_recipe):
    refused(StoreError, "no tile store at", tmp_path / "nowhere")
    with TileStore.open(tmp_path / "empty", small_recipe, create=True) as store:
        refused(LabelError, r"holds no tiles .* download_tiles\(\)", store)
    scenes = [nearly_dry(0, small_recipe.side, 99)]
    with store_of(tmp_path / "dry", scenes, small_recipe) as store:
        refused(LabelError, r"none of its 1 tile\(s\) has 100 QA-water pixels .* is 99\)", store)


def test_tiles_all_water_or_all_nan_are_refused(tmp_path, small_recipe):
    each = scene(0, small_recipe.side, hole=False)
    lake = np.where(np.arange(8)[:, None, None] == 5, 0.6, 0.05) + 0 * each.features
    wet = type(each)(lake.astype(np.float32), each.truth, np.ones_like(each.qa))
    with store_of(tmp_path / "wet", [wet], small_recipe) as store:
        refused(LabelError, "no labelled land", store)
    blind = type(each)(np.full_like(each.features, np.nan), each.truth, np.ones_like(each.qa))
    with store_of(tmp_path / "blind", [blind], small_recipe) as store:
        refused(LabelError, "no labelled water", store)


def test_a_seed_out_of_range_is_refused(small_store):
    refused(TrainingError, "a seed is a whole number", small_store, seed=-1)
