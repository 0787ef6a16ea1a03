"""`train()`: the same weights every time, after a kill too, and one line for what cannot be."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
import rasterio
from small_water import cells, scene, store_of

from water_gee.errors import ModelError, StoreError, TrainingError
from water_gee.imagery.store import TileStore
from water_gee.training import fit
from water_gee.training.dense import Trainer
from water_gee.training.fit import train
from water_gee.training.labels import denoise_labels
from water_gee.training.model import load


def digest(store, out, **settings):
    settings = {"labels": "qa", "epochs": 3, "progress": False} | settings
    return train(store, out=out, **settings).digest()


def checkpoint(out):
    return out.with_name(f".{out.stem}.checkpoint.zip")


def killed_in(monkeypatch, number):
    """Make training end, as by Ctrl-C, in the middle of an epoch."""
    learn = Trainer.learn

    def until(self, places, now, steps):
        if now == number:
            learn(self, places, now, 1)
            raise KeyboardInterrupt
        return learn(self, places, now, steps)

    monkeypatch.setattr(Trainer, "learn", until)


def test_training_leaves_a_model_with_its_record_and_history(small_store, quick):
    trained = train(small_store.path, epochs=2, progress=False)
    found = load(small_store.path / "model.keras")
    assert found.digest() == trained.digest()
    assert found.record == trained.record
    assert found.recipe == small_store.recipe
    record, ids = found.record, [cell.id for cell in small_store.cells()]
    assert record["cells"] == ids
    assert record["validated_by"] == "cells"
    assert len(record["validation_cells"]) == 1
    assert set(record["scores_by_cell"]) <= set(record["validation_cells"]) <= set(ids)
    assert 1 <= record["best_epoch"] <= record["epochs"] == 2
    with (small_store.path / "history.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    scores = [float(row["validation_iou"]) for row in rows]
    assert max(scores) == scores[record["best_epoch"] - 1] == record["validation_iou"]
    assert (small_store.path / "history.png").is_file()
    assert not checkpoint(small_store.path / "model.keras").exists()
    # Labels were corrected first, since there were none.
    assert all(small_store.has_label(cell) for cell in small_store.cells())


def test_a_few_dozen_steps_learn_what_water_is(small_store, monkeypatch, tmp_path):
    monkeypatch.setattr(fit, "STEPS", 12)
    for seed, cell in enumerate(cells(small_store.recipe, 4)):
        small_store.write_label(cell, scene(seed, 70).truth, "truth")
    trained = train(small_store, out=tmp_path / "a.keras", labels="truth", epochs=3, progress=False)
    assert trained.record["validation_iou"] > 0.9
    # What is saved takes features as they are: the scaling of training is inside.
    each = scene(9, 70, hole=False)
    values = np.moveaxis(each.features, 0, -1)[None]
    water = np.asarray(trained.network(values))[0, ..., 0] > 0.5
    truth = each.truth[3:-3, 3:-3] == 1
    assert (water & truth).sum() / (water | truth).sum() > 0.9


def test_a_killed_training_taken_up_again_gives_the_same_weights(
    small_store, quick, tmp_path, monkeypatch
):
    wanted = digest(small_store, tmp_path / "whole.keras")
    out = tmp_path / "killed.keras"
    with monkeypatch.context() as patched:
        killed_in(patched, 3)
        with pytest.raises(KeyboardInterrupt):
            digest(small_store, out)
    assert checkpoint(out).is_file()
    assert not out.exists()
    epochs, learn = [], Trainer.learn

    def noted(self, places, number, steps):
        epochs.append(number)
        return learn(self, places, number, steps)

    monkeypatch.setattr(Trainer, "learn", noted)
    assert digest(small_store, out) == wanted
    assert epochs == [3]
    assert not checkpoint(out).exists()


def without_a_member(data):
    """A whole archive that lacks the best weights."""
    archive = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as members, zipfile.ZipFile(archive, "w") as copy:
        for name in ("about.json", "state.npz"):
            copy.writestr(name, members.read(name))
    return archive.getvalue()


def with_damaged_arrays(data):
    archive = io.BytesIO(without_a_member(data))
    with zipfile.ZipFile(archive, "a") as copy:
        copy.writestr("best.npz", b"PK not any more")
    return archive.getvalue()


def test_a_checkpoint_that_is_broken_or_not_ours_is_not_used(
    small_store, quick, tmp_path, monkeypatch
):
    out = tmp_path / "a.keras"
    wanted = digest(small_store, tmp_path / "whole.keras", epochs=2)
    with monkeypatch.context() as patched:
        killed_in(patched, 2)
        with pytest.raises(KeyboardInterrupt):
            digest(small_store, out, epochs=2)
    whole = checkpoint(out).read_bytes()
    begun = []

    def note(self, places, number, steps):
        begun.append(number)
        raise KeyboardInterrupt

    damaged = [whole[:-3000], b"water", b"", without_a_member(whole), with_damaged_arrays(whole)]
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "learn", note)
        for data, settings in [
            (whole, {}),
            (whole, {"seed": 1}),
            *((each, {}) for each in damaged),
        ]:
            checkpoint(out).write_bytes(data)
            with pytest.raises(KeyboardInterrupt):
                digest(small_store, out, epochs=2, **settings)
    assert begun == [2, 1, 1, 1, 1, 1, 1]
    assert digest(small_store, out, epochs=2) == wanted


def test_a_correction_that_was_killed_is_finished_before_training(small_store, quick, monkeypatch):
    (cell, *_) = small_store.cells()
    small_store.write_label(cell, small_store.read_mask(cell))
    (small_store.path / "labels.json").write_text('{"unfinished": "key"}')
    fit._correct_missing(small_store, 0, progress=False)
    assert all(small_store.has_label(each) for each in small_store.cells())


def test_tiles_that_came_after_the_correction_are_corrected_too(tmp_path, small_recipe, quick):
    scenes = [scene(seed, small_recipe.side) for seed in range(4)]
    with store_of(tmp_path / "store", scenes[:3], small_recipe) as store:
        denoise_labels(store, seed=5, progress=False)
        late = cells(small_recipe, 4)[3]
        store.write_tile(late, scenes[3].features, scenes[3].qa)
        fit._correct_missing(store, 0, progress=False)
        assert store.has_label(late)
        standing = (store.path / "labels.json").read_bytes()
        assert json.loads(standing)["seed"] == 5
        fit._correct_missing(store, 0, progress=False)
        assert (store.path / "labels.json").read_bytes() == standing


def test_labels_that_somebody_gave_are_left_alone(small_store):
    (cell, *_) = small_store.cells()
    given = np.where(small_store.read_mask(cell) == 255, 255, 1).astype(np.uint8)
    small_store.write_label(cell, given)
    fit._correct_missing(small_store, 0, progress=False)
    np.testing.assert_array_equal(small_store.read_label(cell), given)
    assert [small_store.has_label(each) for each in small_store.cells()] == [True, *[False] * 3]


@pytest.mark.filterwarnings("ignore::water_gee.errors.FewCellsWarning")
def test_a_model_says_what_it_was_validated_on(tmp_path, small_recipe, quick):
    """One small cell has no room for blocks apart."""
    with store_of(tmp_path / "store", [scene(0, 70)], small_recipe) as store:
        trained = train(store, labels="qa", epochs=1, progress=False)
    assert trained.record["validated_by"] == "training"
    assert trained.record["validation_cells"] == trained.record["cells"]


# ---------------------------------------------------------------------------------- bad input


def refused(error, words, store, **settings):
    with pytest.raises(error, match=words) as caught:
        train(store, progress=False, **({"labels": "qa"} | settings))
    assert "\n" not in str(caught.value)


def test_no_store_and_an_empty_one_are_refused(tmp_path, small_recipe):
    refused(StoreError, "no tile store at .*nowhere; make one", tmp_path / "nowhere")
    with TileStore.open(tmp_path / "empty", small_recipe, create=True) as store:
        refused(TrainingError, r"holds no tiles .* download_tiles\(\)", store)
        refused(TrainingError, r"holds no tiles", store, labels="corrected")


@pytest.mark.parametrize(("value", "words"), [(0, "no labelled water"), (1, "no labelled land")])
def test_one_class_alone_is_refused(tmp_path, small_recipe, value, words):
    scenes = [scene(seed, 70) for seed in range(4)]
    scenes = [type(s)(s.features, s.truth, np.where(s.qa == 255, 255, value)) for s in scenes]
    with store_of(tmp_path / "store", scenes, small_recipe) as store:
        refused(TrainingError, rf"{words} in 4 tile\(s\)", store)


def test_tiles_that_are_all_nan_are_refused(tmp_path, small_recipe):
    each = scene(0, 70)
    blind = type(each)(np.full_like(each.features, np.nan), each.truth, each.qa)
    with store_of(tmp_path / "store", [blind], small_recipe) as store:
        refused(TrainingError, "no tile has a pixel whose 7 x 7 window was observed", store)


def test_labels_of_another_shape_and_unknown_folders_are_refused(small_store):
    refused(TrainingError, "has no labels in 'truth'", small_store, labels="truth")
    (cell, *_) = small_store.cells()
    path = small_store.write_label(cell, np.zeros((70, 70), np.uint8), "odd")
    with rasterio.open(path) as source:
        profile = source.profile | {"height": 64, "width": 64}
    for name in ("blockxsize", "blockysize", "tiled"):
        profile.pop(name, None)
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.zeros((1, 64, 64), np.uint8))
    words = rf"{cell.id}: labels are \(64, 64\), features \(70, 70\)"
    refused(TrainingError, words, small_store, labels="odd")


def test_settings_out_of_range_are_refused_before_anything_is_made(small_store, tmp_path):
    refused(TrainingError, "epochs must be at least 1, not 0", small_store, epochs=0)
    refused(TrainingError, "a seed is a whole number", small_store, seed=2**32)
    for out, words in (("a.h5", r"ends in \.keras"), ("no/a.keras", "no does not exist")):
        refused(ModelError, words, small_store, out=tmp_path / out, labels="corrected")
    (tmp_path / "file").write_text("")
    for logs in (tmp_path / "file", tmp_path / "file" / "logs"):
        words = "cannot write TensorBoard's files into"
        refused(TrainingError, words, small_store, tensorboard=logs, labels="corrected")
    assert not (small_store.path / "labels.json").exists()
    assert not list(small_store.path.glob("index_*.json"))
