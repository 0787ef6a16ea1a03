"""A run's TOML file and options."""

from __future__ import annotations

from pathlib import Path

import pytest

from water_gee import settings
from water_gee.errors import RecipeError
from water_gee.imagery.recipe import Recipe

FILE = """
aoi = [149.05, -35.35, 149.20, -35.25]
out = "canberra"
scenes = ["scene.tar"]
seed = 3
[recipe]
years = [2019]
months = [1, 2]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(FILE)
    return path


def test_paths_in_the_file_are_relative_to_the_file(config):
    asked = settings.order(config, {})
    assert asked.out == config.parent / "canberra"
    assert asked.scenes == (config.parent / "scene.tar",)
    assert asked.aoi == [149.05, -35.35, 149.20, -35.25]
    assert asked.recipe == {"years": [2019], "months": [1, 2]}
    assert (asked.seed, asked.threads, asked.deploy) == (3, 8, True)


def test_an_option_beats_the_file_and_recipes_are_joined(config):
    given = {"seed": 0, "out": "x", "recipe": {"months": [7]}, "deploy": False, "dem": None}
    asked = settings.order(config, given)
    assert (asked.seed, asked.out, asked.deploy) == (0, Path("x"), False)
    assert asked.recipe == {"years": [2019], "months": [7]}


def test_an_area_and_a_dem_that_are_files_are_found_beside_the_file(config):
    (config.parent / "area.geojson").write_text("{}")
    (config.parent / "dem.tif").write_text("")
    config.write_text('aoi = "area.geojson"\nout = "x"\ndem = "dem.tif"')
    asked = settings.order(config, {})
    assert asked.aoi == config.parent / "area.geojson"
    assert asked.dem == config.parent / "dem.tif"


def test_an_area_written_out_in_letters_of_many_bytes_stays_what_it_is(tmp_path):
    text = '{"name": "' + "湖" * 100 + '"}'
    path = tmp_path / "run.toml"
    path.write_text(f"out = 'x'\naoi = '{text}'\n", encoding="utf-8")
    assert settings.order(path, {}).aoi == text


def test_files_of_areas_are_found_beside_the_run_file_also_in_a_list(tmp_path):
    (tmp_path / "a.geojson").write_text("{}")
    path = tmp_path / "run.toml"
    path.write_text('out = "x"\naoi = ["a.geojson", "wrs:132/023", [0, 0, 1, 1]]\n')
    assert settings.order(path, {}).aoi == [
        tmp_path / "a.geojson",
        "wrs:132/023",
        [0, 0, 1, 1],
    ]


def test_a_season_over_new_year_and_how_clear_it_must_be_may_stand_in_the_file(tmp_path):
    path = tmp_path / "winter.toml"
    path.write_text(
        'out = "x"\naoi = [0, 0, 1, 1]\n'
        "[recipe]\nmonths = [12, 1, 2]\nmin_clear = 3\nmax_cloud = 40\n"
    )
    recipe = Recipe.from_dict(dict(settings.order(path, {}).recipe))
    assert recipe == Recipe(months=(12, 1, 2), min_clear=3, max_cloud=40)


def test_a_recipe_may_be_an_object_a_mapping_or_a_file(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("years = [2001]\n")
    table = tmp_path / "table.toml"
    table.write_text("[recipe]\nyears = [2001]\n")
    for recipe in (Recipe(years=(2001,)), {"years": [2001]}, path, str(table)):
        asked = settings.order(None, {"aoi": [0, 0, 1, 1], "out": "x", "recipe": recipe})
        assert Recipe.from_dict(dict(asked.recipe)).years == (2001,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("out = ", "is no TOML"),
        ("oot = 'x'", "unknown key 'oot'; did you mean 'out'"),
        ("out = 3", "out must be str, not int"),
        ("out = 'x'\nseed = true\naoi = [1, 2, 3, 4]", "seed must be int, not bool"),
        ("out = 'x'\nseed = -1\naoi = [1, 2, 3, 4]", "seed: a whole number from 0 up"),
        ("out = 'x'", "needs an area"),
        ("aoi = [1, 2, 3, 4]", "needs `out`"),
        ("out = 'x'\n[recipe]\nyeers = [1]", "did you mean 'years'"),
        ("out = 'x'\n[recipe]\nmonths = [13]", "months"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line(tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as refused:
        settings.order(path, {})
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match=r"cannot read .*: No such file"):
        settings.order(tmp_path / "none.toml", {})


def test_a_recipe_of_another_type_is_refused():
    with pytest.raises(RecipeError, match="a Recipe, a mapping or a TOML file"):
        settings.order(None, {"aoi": [0, 0, 1, 1], "out": "x", "recipe": 3})
