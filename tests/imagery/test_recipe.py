"""What a recipe refuses, how it is written down, and when two are the same."""

from __future__ import annotations

import tomllib
from fractions import Fraction

import pytest

from water_gee.errors import RecipeError, RecipeMismatchError, UnknownSensorError
from water_gee.imagery.recipe import FEATURES, Recipe, check_same


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


def test_order_and_repetition_of_sensors_years_and_months_mean_nothing():
    shuffled = Recipe(sensors=("landsat9", "landsat8"), years=(2021, 2019, 2021), months=(8, 6, 7))
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"months": (0,)}, "months: whole numbers from 1 to 12, 0 among them"),
        ({"months": (13,)}, "13 among them"),
        ({"months": ()}, "none given"),
        ({"months": ("June",)}, "'June' among them"),
        ({"years": (20,)}, "years"),
        ({"years": (True,)}, "years"),
        ({"features": ("Blue", "NDVI")}, "'NDVI' is unknown"),
        ({"features": ("Blue", "Blue")}, "given twice"),
        ({"crs": "EPSG:3857"}, "the lattice is in EPSG:4326"),
        ({"cell": 0}, "cell"),
        ({"pixels": 0}, "pixels"),
        ({"margin": -1}, "margin"),
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


def test_two_recipes_must_be_the_same_but_for_what_may_differ():
    check_same(Recipe(), Recipe(), ("a", "b"))
    check_same(Recipe(), Recipe(years=2023), ("model.keras", "deployment"), ignore=("years",))
    with pytest.raises(RecipeMismatchError) as caught:
        check_same(Recipe(), Recipe(dem=None, months=(7,)), ("model.keras", "the store"))
    assert set(caught.value.differences) == {"dem", "months"}
    assert "model.keras and the store come from different recipes" in str(caught.value)


def test_features_are_listed_once():
    assert Recipe().features == FEATURES
