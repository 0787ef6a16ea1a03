"""What `water_gee` promises, and nothing else."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import water_gee

SOURCE = Path(water_gee.__file__).read_text()


def test_all_is_sorted_and_is_what_the_module_shows():
    assert water_gee.__all__ == sorted(water_gee.__all__)
    assert dir(water_gee) == water_gee.__all__


def test_the_promised_names_are_there():
    promised = {"connect", "Recipe", "download_tiles", "denoise_labels", "train", "predict"}
    promised |= {"to_ee", "deploy_to_gee", "run", "polygons", "series", "compare", "errors"}
    assert promised <= set(water_gee.__all__)


@pytest.mark.parametrize("name", sorted(water_gee._HOME))
def test_a_public_name_is_loaded_from_its_module(name):
    home = importlib.import_module(water_gee._HOME[name])
    assert getattr(water_gee, name) is getattr(home, name)
    assert getattr(water_gee, name).__doc__


def test_the_type_checker_sees_the_same_homes():
    block = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == water_gee._HOME


def test_every_error_is_one_of_ours_and_drawn_in_the_tree():
    drawn = water_gee.errors.__doc__ or ""
    for name, value in vars(water_gee.errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert (
                issubclass(value, water_gee.WaterGeeError)
                or name == "WaterGeeWarning"
                or (issubclass(value, water_gee.WaterGeeWarning))
            )
            assert name in drawn


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = water_gee.nonsense
