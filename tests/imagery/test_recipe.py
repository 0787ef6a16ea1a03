"""What a recipe refuses, how it is written down, and when two are the same."""

from __future__ import annotations

import hashlib
import json
import tomllib
from fractions import Fraction

import pytest

from water_gee.errors import RecipeError, RecipeMismatchError, UnknownSensorError
from water_gee.imagery.recipe import FEATURES, MAY_DIFFER, Recipe, check_same


def test_the_default_is_the_published_summer_recipe():
    recipe = Recipe()
    assert recipe.sensors == ("landsat8",)
    assert recipe.months == (6, 7, 8)
    assert recipe.dem == "COPERNICUS/DEM/GLO30"
    assert recipe.features == (
        *("Blue", "Green", "Red", "NIR", "SWIR1"),
        *("mNDWI", "line", "elevation"),
    )
    assert recipe.side == 507
    assert recipe.pixel_degrees == Fraction(135, 501000)


def test_order_of_sensors_and_years_and_any_repetition_mean_nothing():
    shuffled = Recipe(
        sensors=("landsat9", "landsat8"), years=(2021, 2019, 2021), months=(6, 7, 7, 8)
    )
    assert shuffled == Recipe(sensors=("landsat8", "landsat9"), years=(2019, 2021))
    assert (
        shuffled.digest() == Recipe(sensors=("landsat8", "landsat9"), years=[2019, 2021]).digest()
    )


def test_one_year_may_be_a_number():
    assert Recipe(years=2023).years == (2023,)


def test_it_survives_the_way_through_a_dictionary():
    recipe = Recipe(sensors=("landsat5",), years=(1992,), months=(1, 2), dem=None)
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_its_dictionary_fits_into_toml():
    text = 'sensors = ["landsat7"]\nyears = [2003]\ndem = "none"\n'
    recipe = Recipe.from_dict(tomllib.loads(text))
    assert (recipe.sensors, recipe.years, recipe.dem) == (("landsat7",), (2003,), None)
    assert all(isinstance(v, (str, int, float, list)) for v in recipe.to_dict().values())


def test_the_digest_is_of_the_content_and_stays_between_versions():
    # Written into models: a change here makes every older model's recipe a stranger.
    assert Recipe().digest() == "380553af4c952d6aeaf3bbe8e1320fcc63b5001fa6e374783e7252d60fe16f9f"
    assert Recipe(years=2021).digest() != Recipe().digest()


OLD = {
    # As stores and models before `composite` and `harmonize` have it.
    "sensors": ["landsat5", "landsat7"],
    "years": [2003],
    "months": [6, 7, 8],
    "dem": "none",
    "features": ["Blue", "Green", "Red", "NIR", "SWIR1", "mNDWI", "line", "elevation"],
    "crs": "EPSG:4326",
    "cell": 0.135,
    "pixels": 501,
    "margin": 3,
}


def test_a_recipe_of_before_there_were_other_composites_is_still_the_same():
    old = Recipe.from_dict(OLD)
    assert (old.composite, old.harmonize) == ("median", False)
    assert old.to_dict() == OLD
    now = Recipe(sensors=("landsat5", "landsat7"), years=2003, dem=None, composite="median")
    assert old == now
    text = json.dumps(OLD, sort_keys=True, separators=(",", ":"))
    assert now.digest() == hashlib.sha256(text.encode()).hexdigest()
    check_same(old, now, ("the old", "the new"))
    assert now.replace(min_clear=1, max_cloud=None).digest() == now.digest()
    for change in (
        *({"composite": "mean"}, {"composite": "scene"}, {"harmonize": "ols"}),
        *({"min_clear": 2}, {"max_cloud": 100}, {"months": [12, 1]}),
    ):
        assert now.replace(**change).digest() != now.digest()
        with pytest.raises(RecipeMismatchError, match=next(iter(change))):
            check_same(old, now.replace(**change), ("the old", "the new"))


def test_what_is_not_usual_is_written_down_and_read_back():
    recipe = Recipe(sensors=("landsat7", "landsat8"), composite="scene", harmonize=True)
    plain = recipe.to_dict()
    assert (plain["composite"], plain["harmonize"]) == ("scene", "ols")
    assert Recipe.from_dict(plain) == recipe
    assert all(isinstance(v, (str, int, float, list)) for v in plain.values())
    assert recipe.replace(composite="median", harmonize="none") == Recipe(
        sensors=("landsat7", "landsat8")
    )


def test_a_model_may_map_other_years_and_another_composite():
    scenes, season = Recipe(composite="scene", years=2019), Recipe()
    check_same(scenes, season, ("the model", "the store"), ignore=MAY_DIFFER)
    other = season.replace(harmonize="rma")
    with pytest.raises(RecipeMismatchError, match="harmonize: 'rma' / False"):
        check_same(other, season, ("the model", "the store"), ignore=MAY_DIFFER)


def test_a_season_over_new_year_keeps_its_order_and_is_another_than_that_of_the_calendar():
    winter, months = Recipe(months=(12, 1, 2)), Recipe(months=(1, 2, 12))
    assert winter.to_dict()["months"] == [12, 1, 2]
    assert Recipe.from_dict(winter.to_dict()) == winter
    assert winter.digest() != months.digest()
    assert winter.season_text == "months 12 (of the year before), 1, 2 of 2020"
    with pytest.raises(RecipeMismatchError, match=r"months: \[12, 1, 2\] / \[1, 2, 12\]"):
        check_same(winter, months, ("the model", "the store"), ignore=MAY_DIFFER)


def test_how_clear_pixels_and_images_must_be_is_written_down_where_it_says_something():
    recipe = Recipe(min_clear=3, max_cloud=20)
    assert (recipe.to_dict()["min_clear"], recipe.to_dict()["max_cloud"]) == (3, 20.0)
    assert Recipe.from_dict(tomllib.loads("min_clear = 3\nmax_cloud = 20.0")) == recipe
    assert recipe.digest() == Recipe(min_clear=3, max_cloud=20.0).digest()
    assert recipe.season_text == "months 6, 7, 8 of 2020, at most 20 % cloud"
    check_same(recipe, Recipe(), ("the model", "the store"), ignore=MAY_DIFFER)


def test_the_season_of_scenes_is_their_median_and_of_others_itself():
    mean = Recipe(composite="mean")
    assert mean.season is mean
    assert Recipe(composite="scene", years=2019).season == Recipe(years=2019)


@pytest.mark.parametrize(
    ("sensors", "both"),
    [
        (("landsat8", "sentinel2"), "landsat8 and sentinel2"),
        (("hls_l30", "landsat9", "landsat5"), "landsat5 and hls_l30"),
        (("sentinel2", "hls_s30"), "sentinel2 and hls_s30"),
    ],
)
def test_sensors_of_different_processors_are_not_merged(sensors, both):
    with pytest.raises(RecipeError, match=f"{both} come from different processors") as caught:
        Recipe(sensors=sensors)
    assert "\n" not in str(caught.value)


def test_what_is_made_to_be_merged_is():
    assert Recipe(sensors=("hls_s30", "hls_l30")).sensors == ("hls_l30", "hls_s30")
    every = ("landsat4", "landsat5", "landsat7", "landsat8", "landsat9")
    assert Recipe(sensors=every, harmonize="rma").sensors == every


@pytest.mark.parametrize("name", ["sentinel2", "hls_l30"])
def test_only_landsats_are_harmonized(name):
    with pytest.raises(RecipeError, match=f"brings TM and ETM.* and {name} is of another family"):
        Recipe(sensors=(name,), harmonize=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"months": (0,)}, "months: whole numbers from 1 to 12, 0 among them"),
        ({"months": (13,)}, "13 among them"),
        ({"months": ()}, "none given"),
        ({"months": ("June",)}, "'June' among them"),
        ({"months": 6.5}, "months: whole numbers, not 6.5"),
        ({"months": (12, 11)}, "months 12, 11: out of order"),
        ({"years": 2020.5}, "years: whole numbers, not 2020.5"),
        ({"min_clear": 0}, "min_clear 0: a whole number from 1 to 1000"),
        ({"min_clear": True}, "min_clear True: a whole number"),
        ({"min_clear": 2.0}, r"min_clear 2\.0: a whole number"),
        ({"max_cloud": 101}, "max_cloud 101: a number from 0 to 100, in percent"),
        ({"max_cloud": -1}, "max_cloud -1"),
        ({"max_cloud": float("nan")}, "max_cloud nan"),
        ({"max_cloud": "20%"}, "max_cloud '20%': a number from 0 to 100"),
        ({"years": (20,)}, "years"),
        ({"years": (True,)}, "years"),
        ({"features": ("Blue", "NDVI")}, "'NDVI' is unknown"),
        ({"features": ("Blue", "Blue")}, "given twice"),
        ({"crs": "EPSG:3857"}, "the lattice is in EPSG:4326"),
        ({"cell": 0}, "cell"),
        ({"pixels": 0}, "pixels"),
        ({"margin": -1}, "margin"),
        ({"composite": "best"}, "composite 'best': one of median, mean, scene"),
        ({"dem": 5}, "dem 5: the name of an elevation model, or 'none'"),
        ({"dem": ["a"]}, r"dem \['a'\]: the name"),
        ({"cell": True}, "cell True: must be a number"),
        ({"cell": "0.1"}, "cell '0.1': must be a number"),
        ({"margin": True}, "margin True: must be a number"),
        ({"harmonize": "roy"}, "harmonize 'roy': false, or one of ols, rma"),
        ({"sensors": ()}, "sensors"),
    ],
)
def test_a_field_out_of_range_is_named(change, words):
    with pytest.raises(RecipeError, match=words) as caught:
        Recipe(**change)
    assert "\n" not in str(caught.value)


def test_an_unknown_sensor_is_named_with_the_known_ones():
    with pytest.raises(UnknownSensorError, match="'modis'; known: landsat4, landsat5"):
        Recipe(sensors=("modis",))


def test_a_misspelt_field_is_recognised():
    with pytest.raises(RecipeError, match="did you mean 'months'"):
        Recipe.from_dict({"month": [6]})


def test_a_field_of_another_type_is_one_line():
    with pytest.raises(RecipeError):
        Recipe.from_dict({"years": 3.5})


def test_a_file_may_say_that_there_is_no_elevation_model():
    assert Recipe(dem=False).dem is None


def test_two_recipes_must_be_the_same_but_for_what_may_differ():
    check_same(Recipe(), Recipe(), ("a", "b"))
    check_same(Recipe(), Recipe(years=2023), ("model.keras", "deployment"), ignore=("years",))
    with pytest.raises(RecipeMismatchError) as caught:
        check_same(Recipe(), Recipe(dem=None, months=(7,)), ("model.keras", "the store"))
    assert set(caught.value.differences) == {"dem", "months"}
    assert "model.keras and the store come from different recipes" in str(caught.value)


def test_features_are_listed_once():
    assert Recipe().features == FEATURES
