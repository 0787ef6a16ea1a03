"""Correction of a store: planted errors, its record, and what stands after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from small_water import cells, scene, store_of

from water_gee.errors import LabelError, StoreError, TrainingError
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.training import correction, fit, labels
from water_gee.training.labels import denoise_labels, settings_of, unfinished
from water_gee.training.methods import Correction

HELPERS = Path(__file__).resolve().parents[1] / "helpers"


def iou(truth, found):
    used = (truth != 255) & (found != 255)
    water, called = truth[used] == 1, found[used] == 1
    return (water & called).sum() / (water | called).sum()


def corrected(store, folder="labels"):
    found = [cell for cell in store.cells() if store.has_label(cell, folder)]
    return {cell.id: store.read_label(cell, folder) for cell in found}


def same(one, other):
    return one.keys() == other.keys() and all((one[key] == other[key]).all() for key in one)


def written(store, folder="labels"):
    """When each label was written: which were made again."""
    return {path.stem: path.stat().st_mtime_ns for path in (store.path / folder).glob("*.tif")}


def with_qa(each, qa):
    return type(each)(each.features, each.truth, qa.astype(np.uint8))


def dry(each, water=0):
    """The QA band knows so many pixels of its water."""
    qa = np.zeros_like(each.qa)
    qa.flat[:water] = 1
    return with_qa(each, qa)


# ---------------------------------------------------------------------- the networks' labels


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A store corrected once: two tiles with planted errors, one whose QA label is upside down."""
    recipe = Recipe(pixels=96, years=(2023,))
    scenes = [scene(seed, recipe.side) for seed in range(3)]
    scenes[2] = with_qa(scenes[2], np.where(scenes[2].qa == 255, 255, 1 - scenes[2].truth % 255))
    folder = tmp_path_factory.mktemp("labels") / "store"
    places = [cell.id for cell in cells(recipe, 3)]
    with pytest.MonkeyPatch.context() as patched, store_of(folder, scenes, recipe) as store:
        patched.setattr(correction, "STEPS", (12, 6))
        patched.setattr(correction, "ELSEWHERE_STEPS", (6, 6))
        record = denoise_labels(store, progress=False)
        yield store, record, dict(zip(places, scenes, strict=True))


def test_planted_errors_of_the_qa_band_are_corrected(large):
    store, _, scenes = large
    for name, each in scenes.items():
        assert iou(each.truth, each.qa) < 0.87
        assert iou(each.truth, store.read_label(name)) > 0.97


def test_what_was_not_observed_stays_unknown_and_little_else_becomes_so(large):
    store, _, scenes = large
    for name, each in scenes.items():
        found = store.read_label(name)
        assert (found[each.qa == 255] == 255).all()
        assert (found[each.qa != 255] == 255).mean() < 0.01


def test_the_quality_record_adds_up_to_what_the_labels_show(large):
    store, record, scenes = large
    assert set(record["cells"]) == set(scenes)
    for name, each in scenes.items():
        found, quality = store.read_label(name), record["cells"][name]
        count = (each.qa != 255).sum()
        shares = {
            "to_water": ((each.qa == 0) & (found == 1)).sum() / count,
            "to_land": ((each.qa == 1) & (found == 0)).sum() / count,
            "undecided": ((each.qa != 255) & (found == 255)).sum() / count,
        }
        for key, share in shares.items():
            assert quality[key] == pytest.approx(share, abs=1e-6)
        for change in ("to_water", "to_land"):
            by = sum(quality["by"][change].values())
            assert by == pytest.approx(shares[change], abs=1e-5)


def test_a_tile_whose_qa_water_is_all_wrong_is_named_with_the_reason(large):
    _, record, scenes = large
    *good, wrong = scenes
    assert set(record["untrusted"]) == {wrong}
    assert "QA-water pixels" in record["untrusted"][wrong]
    assert [record["cells"][name]["trusted"] for name in (*good, wrong)] == [True, True, False]


def test_the_record_stands_beside_the_labels(large):
    store, record, _ = large
    assert json.loads((store.path / "labels.json").read_text()) == record
    assert (record["method"], record["seed"], record["skipped"]) == ("evidence", 0, [])
    assert settings_of(store) == ("evidence", 0)
    assert not unfinished(store)
    assert not list(store.path.glob(".*"))


def test_the_same_seed_makes_the_same_labels_and_a_second_call_makes_none(
    small_store, small_recipe, tmp_path, quick, monkeypatch
):
    record = denoise_labels(small_store, seed=2, progress=False)
    first, when = corrected(small_store), written(small_store)
    scenes = [scene(seed, small_recipe.side) for seed in range(4)]
    with store_of(tmp_path / "again", scenes, small_recipe) as other:
        again = denoise_labels(other.path, seed=2, progress=False)
        assert same(corrected(other), first)
        assert again["cells"] == record["cells"]

    def never(*_args, **_settings):
        raise AssertionError("labels that stand were made again")

    monkeypatch.setattr(labels, "_method", never)
    assert denoise_labels(small_store, seed=2, progress=False) == record
    assert written(small_store) == when


KILLED = """
import os, signal, sys
sys.path.insert(0, {helpers!r})
from water_gee.imagery.store import TileStore
from water_gee.training import correction, labels
correction.STEPS = (2, 1)
correction.ELSEWHERE_STEPS = (1, 1)
write, count = TileStore.write_label, 0

def until(self, *arguments):
    global count
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    return write(self, *arguments)

TileStore.write_label = until
labels.denoise_labels({store!r}, seed=3, progress=False)
"""


def test_a_process_that_was_killed_leaves_labels_that_the_next_goes_on_from(
    small_store, small_recipe, tmp_path, quick, monkeypatch
):
    """SIGKILL at the third of four labels: two are kept, and no step is trained again."""
    scenes = [scene(seed, small_recipe.side) for seed in range(4)]
    with store_of(tmp_path / "whole", scenes, small_recipe) as whole:
        denoise_labels(whole, seed=3, progress=False)
        wanted = corrected(whole)
    code = KILLED.format(helpers=str(HELPERS), store=str(small_store.path))
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    kept = written(small_store)
    assert len(kept) == 2
    assert unfinished(small_store)
    assert settings_of(small_store) == ("evidence", 3)

    from water_gee.training.dense import Trainer

    steps = []
    monkeypatch.setattr(Trainer, "epoch", lambda *arguments: steps.append(arguments))
    denoise_labels(small_store, seed=3, progress=False)
    assert not steps
    assert same(corrected(small_store), wanted)
    assert {name: when for name, when in written(small_store).items() if name in kept} == kept
    assert not unfinished(small_store)


def test_a_correction_killed_between_rounds_goes_on_after_the_last(
    small_store, small_recipe, tmp_path, quick, monkeypatch
):
    monkeypatch.setattr(correction, "SETTLED", -1.0)  # labels never are
    scenes = [scene(seed, small_recipe.side) for seed in range(4)]
    with store_of(tmp_path / "whole", scenes, small_recipe) as whole:
        denoise_labels(whole, progress=False)
        wanted = corrected(whole)

    from water_gee.training.dense import Trainer

    learn, rounds = Trainer.epoch, []

    def noted(self, tiles, number, steps):
        rounds.append(number // 1000)
        if interrupt and number >= 1000:
            raise KeyboardInterrupt
        return learn(self, tiles, number, steps)

    monkeypatch.setattr(Trainer, "epoch", noted)
    interrupt = True
    with pytest.raises(KeyboardInterrupt):
        denoise_labels(small_store, progress=False)
    assert corrected(small_store) == {}
    interrupt, before = False, len(rounds)
    denoise_labels(small_store, progress=False)
    assert set(rounds[:before]) == {0, 1}
    assert set(rounds[before:]) == {1}
    assert same(corrected(small_store), wanted)


def test_one_tile_alone_is_corrected_and_a_tile_without_evidence_among_others_too(
    tmp_path, small_recipe, quick
):
    """Counts, SWIR2 and sun for one of two tiles, and then one tile of its own."""
    each, other = (scene(seed, small_recipe.side) for seed in range(2))
    shape = each.qa.shape
    known = {
        "SWIR2": np.where(each.truth == 1, 0.005, 0.06).astype(np.float32),
        "clear_count": np.full(shape, 6, np.float32),
        "water_count": np.where(each.truth == 1, 6, 0).astype(np.float32),
        "sun_azimuth": np.full(shape, 150, np.float32),
        "sun_elevation": np.full(shape, 50, np.float32),
    }
    first, second = cells(small_recipe, 2)
    with TileStore.open(tmp_path / "two", small_recipe, create=True) as store:
        store.write_tile(first, each.features, each.qa, known)
        store.write_tile(second, other.features, other.qa)
        denoise_labels(store, progress=False)
        for cell, given in ((first, each), (second, other)):
            assert iou(given.truth, store.read_label(cell)) > 0.95
    with store_of(tmp_path / "one", [each], small_recipe) as store:
        record = denoise_labels(store, progress=False)
        assert list(record["cells"]) == [first.id]
        assert iou(each.truth, store.read_label(first)) > 0.95


# ---------------------------------------------------------------------- what stands, and what not


class Copies:
    """A method that takes the QA label as it is, and notes what it is asked."""

    name = "evidence"

    def __init__(self, skip=(), fail=None):
        self.skip, self.fail = skip, fail
        self.prepared, self.seen = [], []

    def prepare(self, tiles, *, seed, progress):
        self.prepared.append((list(tiles.names), seed, progress))
        if self.fail is not None:
            raise self.fail

    def correct(self, tile):
        self.seen.append(tile)
        if tile.name in self.skip:
            return None
        doubt = {"trusted": False, "why": "odd"} if len(self.seen) == 2 else {"trusted": True}
        return Correction(tile.qa, {"to_water": 0.0, "to_land": 0.0, **doubt})


@pytest.fixture
def by(monkeypatch):
    """Have labels made by a method of one's own."""

    def use(method):
        monkeypatch.setattr(labels, "_method", lambda *_: method)
        return method

    return use


def names(method):
    return [tile.name for tile in method.seen]


def test_a_method_is_shown_every_tile_as_the_store_holds_it(tmp_path, small_recipe, by):
    each = scene(0, small_recipe.side)
    light = np.where(each.qa == 255, np.nan, 0.07).astype(np.float32)
    first, second = cells(small_recipe, 2)
    method = by(Copies())
    with TileStore.open(tmp_path / "store", small_recipe, create=True) as store:
        store.write_tile(first, each.features, each.qa, {"SWIR2": light})
        store.write_tile(second, each.features, each.qa)
        denoise_labels(store, seed=9, progress=False)
    assert method.prepared == [(sorted([first.id, second.id]), 9, False)]
    shown = {tile.name: tile for tile in method.seen}
    np.testing.assert_array_equal(shown[first.id].features, each.features)
    np.testing.assert_array_equal(shown[first.id].qa, each.qa)
    np.testing.assert_array_equal(shown[first.id].evidence["SWIR2"], light)
    assert set(shown[first.id].evidence) == {"SWIR2"}
    assert shown[second.id].evidence == {}
    west, south, east, north = first.bounds
    middle = (south + north) / 2
    wide = pyproj.Geod(ellps="WGS84").inv(west, middle, east, middle)[2] / small_recipe.pixels
    high = pyproj.Geod(ellps="WGS84").inv(west, south, west, north)[2] / small_recipe.pixels
    assert shown[first.id].pixel == pytest.approx((high, wide), rel=1e-3)


def test_the_record_names_what_was_skipped_and_what_is_not_to_be_trusted(small_store, by):
    first, second, third, fourth = (cell.id for cell in small_store.cells())
    by(Copies(skip={third}))
    record = denoise_labels(small_store, progress=False)
    assert list(record["cells"]) == [first, second, fourth]
    assert record["skipped"] == [third]
    assert record["untrusted"] == {second: "odd"}
    assert json.loads((small_store.path / "labels.json").read_text()) == record
    assert set(corrected(small_store)) == {first, second, fourth}


def test_a_label_that_a_method_does_not_make_is_not_left_over_from_another(small_store, by):
    """Labels of all tiles stand; the next correction skips one, which then has none."""
    by(Copies())
    denoise_labels(small_store, progress=False)
    skipped = small_store.cells()[1].id
    by(Copies(skip={skipped}))
    record = denoise_labels(small_store, seed=1, progress=False)
    assert record["skipped"] == [skipped]
    assert set(corrected(small_store)) == set(record["cells"])


def test_another_seed_method_or_tile_makes_labels_again_and_a_lost_label_only_itself(
    small_store, small_recipe, by
):
    ids = [cell.id for cell in small_store.cells()]

    def asked(**settings):
        method = by(Copies())
        denoise_labels(small_store, progress=False, **settings)
        return names(method)

    assert asked() == ids
    assert asked() == []
    assert asked(seed=1) == ids
    assert asked(seed=1, method="seed") == ids
    (small_store.path / "labels" / f"{ids[2]}.tif").unlink()
    assert asked(seed=1, method="seed") == [ids[2]]
    other = scene(77, small_recipe.side)
    small_store.write_tile(small_store.cells()[0], other.features, other.qa)
    assert asked(seed=1, method="seed") == ids


def test_another_folder_leaves_the_labels_and_their_record_alone(small_store, by):
    by(Copies())
    denoise_labels(small_store, progress=False)
    record, when = (small_store.path / "labels.json").read_bytes(), written(small_store)
    other = by(Copies())
    denoise_labels(small_store, seed=5, folder="second", progress=False)
    assert len(other.seen) == 4
    assert (small_store.path / "labels.json").read_bytes() == record
    assert written(small_store) == when
    assert len(written(small_store, "second")) == 4
    assert json.loads((small_store.path / "second.json").read_text())["seed"] == 5
    assert settings_of(small_store) == ("evidence", 0)
    assert denoise_labels(small_store, seed=5, folder="second", progress=False)["seed"] == 5
    assert len(other.seen) == 4


def test_an_interrupt_while_labels_are_written_is_gone_on_from(small_store, by, monkeypatch):
    """Labels of seed 0 stand; a correction with seed 1 is interrupted at its third tile."""
    by(Copies())
    denoise_labels(small_store, seed=0, progress=False)
    write, count = TileStore.write_label, []

    def until(store, *arguments):
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(arguments)
        return write(store, *arguments)

    method = by(Copies())
    with monkeypatch.context() as patched:
        patched.setattr(TileStore, "write_label", until)
        with pytest.raises(KeyboardInterrupt):
            denoise_labels(small_store, seed=1, progress=False)
    assert unfinished(small_store)
    assert settings_of(small_store) == ("evidence", 1)
    half = written(small_store)
    method = by(Copies())
    record = denoise_labels(small_store, seed=1, progress=False)
    ids = [cell.id for cell in small_store.cells()]
    assert names(method) == ids[2:]
    assert [written(small_store)[name] == half[name] for name in ids] == [True, True, False, False]
    assert not unfinished(small_store)
    # The records of the two made before the interrupt were kept with them.
    assert list(record["cells"]) == ids
    assert record["untrusted"] == {ids[1]: "odd", ids[3]: "odd"}


def test_an_interrupt_before_the_first_label_leaves_the_old_ones_standing(small_store, by):
    by(Copies())
    record = denoise_labels(small_store, progress=False)
    by(Copies(fail=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        denoise_labels(small_store, seed=1, progress=False)
    assert not unfinished(small_store)
    assert denoise_labels(small_store, progress=False) == record


def test_a_broken_record_is_no_record_and_labels_stand_by_themselves(small_store, by):
    by(Copies())
    record = denoise_labels(small_store, progress=False)
    for text in ("{", "[]", ""):
        (small_store.path / "labels.json").write_text(text)
        assert not unfinished(small_store)
        assert settings_of(small_store) is None
        method = by(Copies())
        again = denoise_labels(small_store, progress=False)
        assert not method.seen
        assert again["cells"] == record["cells"]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:200])


def with_a_tag_that_cannot_be_read(path):
    with rasterio.open(path, "r+") as label:
        label.update_tags(WATER_GEE_QUALITY='{"to_water": ')


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("broken", [cut_short, with_a_tag_that_cannot_be_read])
def test_a_label_file_that_is_broken_is_made_again_and_no_other(small_store, by, broken):
    by(Copies())
    record = denoise_labels(small_store, progress=False)
    (small_store.path / "labels.json").unlink()
    third = small_store.cells()[2].id
    broken(small_store.path / "labels" / f"{third}.tif")
    method = by(Copies())
    again = denoise_labels(small_store, progress=False)
    assert names(method) == [third]
    assert list(again["cells"]) == list(record["cells"])
    np.testing.assert_array_equal(small_store.read_label(third), small_store.read_mask(third))


def test_records_of_older_versions_are_understood(small_store):
    """They had no method: there was one, and the one there is now stands in for it."""
    path = small_store.path / "labels.json"
    old = {"key": "of an older version", "version": "0.1.0", "seed": 7, "cells": {}, "skipped": []}
    path.write_text(json.dumps(old))
    assert settings_of(small_store) == ("evidence", 7)
    assert not unfinished(small_store)
    path.write_text('{"unfinished": "key"}')
    assert unfinished(small_store)
    assert settings_of(small_store) is None


def test_training_after_a_correction_keeps_its_method_and_seed(small_store, by, monkeypatch):
    """A tile came since: it is corrected as the others were."""
    by(Copies())
    denoise_labels(small_store, method="seed", seed=6, progress=False)
    (small_store.path / "labels" / f"{small_store.cells()[0].id}.tif").unlink()
    asked = []
    monkeypatch.setattr(labels, "_method", lambda name, *_: asked.append(name) or Copies())
    fit._correct_missing(small_store, 0, progress=False)
    assert asked == ["seed"]
    assert settings_of(small_store) == ("seed", 6)
    assert len(corrected(small_store)) == 4


# ---------------------------------------------------------------------- the published method


def test_the_published_method_corrects_and_leaves_tiles_with_little_water_alone(
    tmp_path, small_recipe, monkeypatch
):
    from water_gee.training.seed_method import SeedMethod

    monkeypatch.setattr(labels, "_method", lambda *_: SeedMethod(epochs=(2, 1, 1), rate=2e-3))
    scenes = [scene(0, small_recipe.side), dry(scene(1, small_recipe.side), 100)]
    first, second = cells(small_recipe, 2)
    with store_of(tmp_path / "store", scenes, small_recipe) as store:
        record = denoise_labels(store, method="seed", progress=False)
        assert record["method"] == "seed"
        assert record["skipped"] == [second.id]
        assert list(record["cells"]) == [first.id]
        found = store.read_label(first)
        np.testing.assert_array_equal(found == 255, scenes[0].qa == 255)
        assert not store.has_label(second)
        assert settings_of(store) == ("seed", 0)


def test_each_method_is_made_by_its_name():
    for name in labels.METHODS:
        assert labels._method(name, Path("keep.zip"), "key").name == name


# ---------------------------------------------------------------------- bad input


def refused(error, words, store, **settings):
    with pytest.raises(error, match=words) as caught:
        denoise_labels(store, progress=False, **settings)
    assert "\n" not in str(caught.value)


def test_no_store_an_empty_one_and_one_without_water_are_refused(tmp_path, small_recipe):
    refused(StoreError, "no tile store at", tmp_path / "nowhere")
    with TileStore.open(tmp_path / "empty", small_recipe, create=True) as store:
        refused(LabelError, r"holds no tiles .* download_tiles\(\)", store)
    scenes = [dry(scene(seed, small_recipe.side), 49) for seed in range(2)]
    with store_of(tmp_path / "dry", scenes, small_recipe) as store:
        refused(LabelError, r"its 2 tile\(s\) have 98 QA-water pixels .* larger area", store)
        assert not (store.path / "labels.json").exists()


def test_tiles_all_water_or_all_nan_are_refused(tmp_path, small_recipe):
    each = scene(0, small_recipe.side, hole=False)
    row, col = np.argwhere(each.truth == 1)[0]
    wet = type(each)(
        np.broadcast_to(each.features[:, row, col, None, None], each.features.shape).copy(),
        np.ones_like(each.truth),
        np.ones_like(each.qa),
    )
    with store_of(tmp_path / "wet", [wet], small_recipe) as store:
        refused(LabelError, f"{store.path}: only 0 pixels of 1 .* surely land", store)
        assert not (store.path / "labels.json").exists()
    blind = type(each)(np.full_like(each.features, np.nan), each.truth, np.ones_like(each.qa))
    with store_of(tmp_path / "blind", [blind], small_recipe) as store:
        refused(LabelError, "surely water", store)


def test_unknown_methods_and_seeds_out_of_range_are_refused(small_store):
    refused(LabelError, "unknown method 'guess' .* known: evidence, seed", small_store,
            method="guess")  # fmt: skip
    refused(TrainingError, "a seed is a whole number", small_store, seed=-1)
    refused(TrainingError, "a seed is a whole number", small_store, seed=2**32)


@pytest.mark.parametrize("folder", ["images", "masks", "evidence"])
def test_labels_are_not_written_over_what_they_are_made_of(small_store, by, folder):
    by(Copies())
    before = written(small_store, folder)
    refused(LabelError, f"labels cannot be written to '{folder}'", small_store, folder=folder)
    assert written(small_store, folder) == before
