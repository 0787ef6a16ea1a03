"""`water-gee labels`: what it prints, by which method, and how it refuses."""

from __future__ import annotations

import json

import pytest
from small_water import cells, scene, store_of

from water_gee.imagery.recipe import Recipe
from water_gee.training import labels
from water_gee.training.methods import Correction

RECIPE = Recipe(pixels=64, years=(2023,))


class Halves:
    """A method that doubts every second tile."""

    def __init__(self, name):
        self.name, self.seen = name, 0

    def prepare(self, tiles, *, seed, progress):
        assert (seed, progress) == (4, False)

    def correct(self, tile):
        self.seen += 1
        doubt = {"trusted": False, "why": "half of it is foam"} if self.seen % 2 == 0 else {}
        return Correction(tile.qa, {"to_water": 0.0, "to_land": 0.0, **doubt})


@pytest.fixture
def tiles(tmp_path, monkeypatch):
    """The store where it is looked for when none is given; its cells by id."""
    monkeypatch.chdir(tmp_path)
    scenes = [scene(seed, RECIPE.side) for seed in range(3)]
    store_of(tmp_path / "water_gee_tiles", scenes, RECIPE).close()
    return sorted(cell.id for cell in cells(RECIPE, 3))


@pytest.mark.parametrize("method", ["evidence", "seed"])
def test_it_counts_the_labels_and_names_those_not_to_be_trusted(
    call, tiles, tmp_path, monkeypatch, method
):
    asked = []
    monkeypatch.setattr(labels, "_method", lambda name, *_: asked.append(name) or Halves(name))
    chosen = [] if method == "evidence" else ["--method", method]
    wanted = (
        "water_gee_tiles: labels of 3 tile(s) corrected\n"
        f"not to be trusted: {tiles[1]}: half of it is foam\n"
    )
    status, out, err = call("-q", "labels", "--seed", "4", *chosen)
    assert (status, err) == (0, "")
    assert out.removeprefix("./") == wanted
    # A second time says the same and makes nothing.
    assert call("-q", "labels", "--seed", "4", *chosen) == (0, out, "")
    assert asked == [method]
    record = json.loads((tmp_path / "water_gee_tiles" / "labels.json").read_text())
    assert (record["method"], record["seed"]) == (method, 4)
    assert len(list((tmp_path / "water_gee_tiles" / "labels").glob("*.tif"))) == 3


def test_an_unknown_method_is_refused_in_one_line(refused, tiles, tmp_path):
    line = refused("labels", "--method", "guess")
    assert "unknown method 'guess' of label correction; known: evidence, seed" in line
    assert not (tmp_path / "water_gee_tiles" / "labels.json").exists()


def test_a_store_that_is_not_there_is_refused_in_one_line(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no tile store at water_gee_tiles" in refused("labels").replace("./", "")


def test_help_says_which_methods_there_are(call):
    status, out, _ = call("labels", "-h")
    assert status == 0
    assert "--method" in out
    for name in labels.METHODS:
        assert name in out
