"""Stores of small tiles with known water."""

from __future__ import annotations

import pytest
from small_water import scene, store_of

from water_gee.imagery.recipe import Recipe


@pytest.fixture
def small_recipe():
    """Tiles of 70 x 70 pixels."""
    return Recipe(pixels=64, years=(2023,))


@pytest.fixture
def small_store(tmp_path, small_recipe):
    """Four tiles of 70 x 70 pixels."""
    scenes = [scene(seed, small_recipe.side) for seed in range(4)]
    with store_of(tmp_path / "store", scenes, small_recipe) as store:
        yield store


@pytest.fixture
def quick(monkeypatch):
    """Two steps where the package takes dozens: enough to see whether runs repeat."""
    monkeypatch.setattr("water_gee.training.fit.STEPS", 2)
    monkeypatch.setattr("water_gee.training.correction.STEPS", (2, 1))
    monkeypatch.setattr("water_gee.training.correction.ELSEWHERE_STEPS", (1, 1))
