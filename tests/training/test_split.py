"""Cells set aside whole, or blocks apart inside cells; both parts with both classes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.ndimage import distance_transform_cdt

from water_gee.errors import FewCellsWarning
from water_gee.training import split as places
from water_gee.training.patches import Samples
from water_gee.training.split import GAP, split
from water_gee.training.tiles import Entry


def tile(name, water):
    water = np.asarray(water, np.uint8)
    height, width = water.shape
    features = np.zeros((height + 6, width + 6, 8), np.float32)
    return Samples(name, features, water, np.ones(water.shape, np.float32))


def parted(tiles, seed=0, margin=3):
    by_name = {each.name: each for each in tiles}
    entries = [Entry(each.name, "", "", each.counts[0], 0, each.counts[1], ()) for each in tiles]
    return split(entries, seed, by_name.__getitem__, margin)


def lake(side=40, radius=6):
    rows, cols = np.ogrid[:side, :side]
    return ((rows - side // 2) ** 2 + (cols - side // 2) ** 2 < radius**2).astype(np.uint8)


def wet_and_dry(count):
    """Cells of which every third has no water at all."""
    return [tile(f"E{i}", lake() if i % 3 else np.zeros((40, 40))) for i in range(count)]


@pytest.mark.parametrize("count", [4, 9, 17])
def test_cells_are_set_aside_whole_and_both_parts_have_both_classes(count):
    tiles = wet_and_dry(count)
    water = {each.name for each in tiles if each.counts[0]}
    for seed in range(5):
        found = parted(tiles, seed)
        assert found.by == "cells"
        assert not set(found.training) & set(found.validation)
        assert sorted(found.training + found.validation) == sorted(each.name for each in tiles)
        assert len(found.validation) == count // 4
        assert set(found.training) & water
        assert set(found.validation) & water


def test_in_a_dry_region_validation_gets_its_share_of_the_water():
    """One cell in ten has a lake: most draws of 32 would hold hardly any of them."""
    tiles = [tile(f"E{i}", lake() if i % 10 == 0 else np.zeros((40, 40))) for i in range(200)]
    wet = {each.name for each in tiles if each.counts[0]}
    for seed in range(5):
        found = parted(tiles, seed)
        share = len(wet & set(found.validation)) / len(wet)
        assert share == pytest.approx(32 / 200, abs=0.05)


def test_more_cells_than_can_be_judged_each_epoch_train():
    found = parted(wet_and_dry(200))
    assert len(found.validation) == 32
    assert len(found.training) == 168


def test_all_scenes_of_a_cell_go_with_it():
    tiles = [tile(f"E{cell}@S{scene}", lake()) for cell in range(8) for scene in range(3)]
    found = parted(tiles)
    cells = [
        {name.partition("@")[0] for name in part} for part in (found.training, found.validation)
    ]
    assert [len(each) for each in cells] == [6, 2]
    assert not cells[0] & cells[1]
    assert (len(found.training), len(found.validation)) == (18, 6)


def test_scenes_of_one_cell_alone_are_split_by_the_same_blocks():
    rng = np.random.default_rng(0)
    tiles = [tile(f"E1@S{scene}", rng.integers(0, 2, (260, 260))) for scene in range(5)]
    with pytest.warns(FewCellsWarning, match="blocks inside cells"):
        found = parted(tiles)
    inside = [found.validates(each).weight > 0 for each in tiles]
    for each in inside[1:]:
        np.testing.assert_array_equal(each, inside[0])


def test_the_seed_alone_decides_the_split():
    tiles = wet_and_dry(17)
    names = [parted(tiles, seed).validation for seed in (0, 0, 1, 2, 3)]
    assert names[0] == names[1]
    assert len(set(names)) > 1


@pytest.mark.parametrize(("margin", "gap"), [(3, GAP), (8, 17)])
def test_few_cells_are_split_by_blocks_apart_by_what_a_network_sees(margin, gap):
    rng = np.random.default_rng(0)
    tiles = [tile(name, rng.integers(0, 2, (501, 380))) for name in "ab"]
    with pytest.warns(
        FewCellsWarning, match=rf"^2 cell\(s\): validation takes blocks .* {gap} pixels"
    ):
        found = parted(tiles, margin=margin)
    assert (found.by, found.training, found.validation) == ("blocks", ("a", "b"), ("a", "b"))
    for whole in tiles:
        inside = found.validates(whole).weight > 0
        away = distance_transform_cdt(~inside, "chessboard")  # 1 beside a validation pixel
        np.testing.assert_array_equal(found.trains(whole).weight > 0, away > gap)
        assert 0.15 < inside.mean() < 0.35


def test_a_quarter_of_the_water_is_set_aside_as_nearly_as_blocks_allow():
    water = np.zeros((500, 500), np.uint8)
    water[:250] = 1
    with pytest.warns(FewCellsWarning):
        found = parted([tile("a", water)])
    held = found.validates(tile("a", water)).counts[0] / water.sum()
    assert held == pytest.approx(0.25, abs=0.01)


def test_one_wet_cell_among_many_is_split_by_blocks():
    tiles = [tile("wet", np.random.default_rng(0).integers(0, 2, (260, 260)))]
    tiles += [tile(f"dry{i}", np.zeros((260, 260))) for i in range(4)]
    with pytest.warns(FewCellsWarning, match="blocks inside cells"):
        found = parted(tiles)
    assert len(found.training) == len(found.validation) == 5
    assert found.trains(tiles[0]).counts[0] > 0 < found.validates(tiles[0]).counts[0]


def test_of_many_cells_split_by_blocks_the_wet_ones_validate_and_not_all(monkeypatch):
    monkeypatch.setattr(places, "MOST_VALIDATION", 3)
    tiles = [tile(f"dry{i}", np.zeros((260, 260))) for i in range(4)]
    tiles.append(tile("wet", np.random.default_rng(0).integers(0, 2, (260, 260))))
    with pytest.warns(FewCellsWarning, match="blocks inside cells"):
        found = parted(tiles)
    assert len(found.training) == 5
    assert len(found.validation) == 3
    assert "wet" in found.validation


def test_too_little_water_to_set_aside_is_said():
    water = np.zeros((40, 40), np.uint8)
    water[3, 3] = 1
    with pytest.warns(FewCellsWarning, match="what trains also validates"):
        found = parted([tile("a", water)])
    assert found.by == "training"
    assert found.trains(tile("a", water)).counts == (1, 1599)
    assert found.validates(tile("a", water)).counts == (1, 1599)


def test_tiles_without_samples_are_in_neither_part():
    empty = Samples("empty", *(getattr(tile("a", lake()), n) for n in ("features", "water")),
                    np.zeros((40, 40), np.float32))  # fmt: skip
    found = parted([*wet_and_dry(8), empty])
    assert "empty" not in found.training + found.validation


def test_whole_cells_are_set_aside_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parted(wet_and_dry(8))
