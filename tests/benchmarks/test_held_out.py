"""Networks of raw and of corrected labels, on cells that neither saw."""

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
CELLS = [cell_from_id(name) for name in ("E104.085_N51.705", "E104.220_N51.705")]


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(HERE))
    try:
        yield importlib.import_module("held_out")
    finally:
        sys.path.remove(str(HERE))
        for name in ("held_out", "regimes"):
            sys.modules.pop(name, None)


@pytest.fixture
def store(tmp_path):
    with TileStore.open(tmp_path / "tiles", Recipe(), create=True) as tiles:
        for number, cell in enumerate(CELLS):
            image = np.full((8, *cell.shape), 0.1 + number, np.float32)
            evidence = {"SWIR2": np.full(cell.shape, 0.2 + number, np.float32)}
            qa = np.full(cell.shape, number, np.uint8)
            qa[:5] = 255
            tiles.write_tile(cell, image, qa, evidence)
            tiles.write_label(cell, np.zeros(cell.shape, np.uint8), "synthetic_truth")
        yield tiles


def test_what_is_trained_on_holds_nothing_of_the_cells_held_out(script, store, tmp_path):
    with script.copied(store, CELLS[1:], tmp_path / "part") as part:
        assert part.cells() == CELLS[1:]
        assert (part.read_image(CELLS[1]) == np.float32(1.1)).all()
        assert (part.read_mask(CELLS[1])[5:] == 1).all()
        assert (part.read_evidence(CELLS[1])["SWIR2"] == np.float32(1.2)).all()
        known = part.read_label(CELLS[1], "synthetic_truth")
        assert (known[:5] == 255).all(), "what was not observed teaches nothing"
        assert (known[5:] == 0).all()


def found(qa, corrected, low):
    difference = corrected - qa
    return {
        "qa": [qa, 0.0, 1.0],
        "corrected": [corrected, 0.0, 1.0],
        "truth": [0.95, 0.0, 1.0],
        "difference": [difference, low, difference + 0.1],
        "cells": ["a"],
        "drawn": "block",
    }


@pytest.mark.parametrize(
    ("last", "low", "status", "better", "sure"), [(0.75, -0.1, 0, 4, 3), (0.65, -0.2, 1, 3, 3)]
)
def test_every_set_has_to_be_better_and_the_worst_is_the_figure(
    script, monkeypatch, capsys, tmp_path, last, low, status, better, sure
):
    def compared(store, train_on, held, seeds):
        assert list(seeds) == [0, 1, 2]
        assert set(train_on).isdisjoint(held)
        assert {*train_on, *held} == set(CELLS)
        poor = store.path.parent.name == "salt_flat" and held == [CELLS[0]]
        return found(0.7, last, low) if poor else found(0.7, 0.9, 0.1)

    def store_of(folder, regime, cells, seed):
        made = TileStore.open(folder / "tiles", Recipe(), create=True)
        for cell in CELLS:
            made.write_tile(
                cell, np.full((8, *cell.shape), 0.1, np.float32), np.zeros(cell.shape, np.uint8)
            )
        return made

    monkeypatch.setattr(script, "compared", compared)
    monkeypatch.setattr(script.regimes, "store_of", store_of)
    monkeypatch.setattr(
        sys, "argv", ["held_out.py", "--keep", str(tmp_path), "--seasons", "salt flat", "all"]
    )
    with pytest.raises(SystemExit) as left:
        script.main()
    assert left.value.code == status
    printed = capsys.readouterr()
    line = json.loads(printed.out)
    assert line["figure"] == pytest.approx(last - 0.7)
    assert line["interval"][0] == low
    assert "salt flat" in line["unit"]
    assert (line["better_on"], line["interval_above_0"], line["of"]) == (better, sure, 4)
    assert len(printed.err.splitlines()) == 4


def test_one_cell_cannot_be_held_out_from_itself(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["held_out.py", "--cells", "1x1"])
    with pytest.raises(SystemExit):
        script.main()
    assert "at least two" in capsys.readouterr().err
