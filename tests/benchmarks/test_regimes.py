"""The verdict over the noise regimes, against answers worked out by hand."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from water_gee.imagery.grid import cell_from_id
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore

HERE = Path(__file__).parents[2] / "benchmarks"
CELL = cell_from_id("E104.085_N51.705")


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(HERE))
    try:
        yield importlib.import_module("regimes")
    finally:
        sys.path.remove(str(HERE))
        sys.modules.pop("regimes", None)


@pytest.fixture
def store(tmp_path, script):
    """A tile whose first 100 rows are water; the QA calls 50 rows of it land, 25 are not seen."""
    with TileStore.open(tmp_path / "tiles", Recipe(), create=True) as tiles:
        known = np.zeros(CELL.shape, np.uint8)
        known[3:103] = 1
        qa = known.copy()
        qa[3:53] = 0
        qa[78:103] = 255
        image = np.full((8, *CELL.shape), 0.1, np.float32)
        image[:, qa == 255] = np.nan
        tiles.write_tile(CELL, image, qa)
        tiles.write_label(CELL, known, script.TRUTH_LABELS)
        yield tiles


def test_only_observed_pixels_count(script, store):
    found = script.score(store, store.read_mask)
    assert found == {"iou": round(25 / 75, 4), "iou_decided": round(25 / 75, 4), "undecided": 0}


def test_undecided_pixels_count_as_the_qa_label_and_not_at_all(script, store):
    label = store.read_mask(CELL)
    label[3:28] = 1  # half of what the QA missed
    label[28:53] = 255  # the other half stays open
    store.write_label(CELL, label, "labels_a")
    found = script.score(store, script.store_reader(store, "labels_a"))
    assert found["iou"] == round(50 / 75, 4)
    assert found["iou_decided"] == 1
    assert found["undecided"] == round(25 / 476, 4)


def test_a_tile_that_a_method_left_alone_keeps_its_qa_label(script, store):
    found = script.score(store, script.store_reader(store, "labels_none"))
    assert found == script.score(store, store.read_mask)


def ious(**values):
    return {name: {"iou": value} for name, value in values.items()}


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (ious(qa=0.7, mndwi=0.5, dswe=0.9, seed=0.9, evidence=0.8), 0),
        (ious(qa=0.8, mndwi=0.5, dswe=0.7, seed=0.7, evidence=0.8), 1),
    ],
)
def test_it_holds_with_one_regime_lost_to_dswe_and_seed_and_none_to_the_qa(
    script, monkeypatch, capsys, tmp_path, last, status
):
    good = ious(qa=0.7, mndwi=0.5, dswe=0.6, seed=0.75, evidence=0.9)
    monkeypatch.setattr(
        script, "judge", lambda folder, regime, asked: last if regime == "urban" else good
    )
    monkeypatch.setattr(sys, "argv", ["regimes.py", "--keep", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        script.main()
    assert left.value.code == status
    line = json.loads(capsys.readouterr().out)
    assert line["figure"] == 0.8
    assert "urban" in line["unit"]
    assert line["holds"] is (status == 0)
    assert line["of"] == 10
    assert line["bar"] == {"qa": 10, "seed": 9, "dswe": 9}
    assert line["better_in"]["mndwi"] == 10
    assert line["better_in"]["qa"] == (10 if status == 0 else 9)
