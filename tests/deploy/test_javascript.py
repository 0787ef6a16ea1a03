"""Models as scripts for the Code Editor: the same map as Python's, and always the same text."""

from __future__ import annotations

import json
import re

import code_editor
import numpy as np
import pytest
from networks import small_cnn, undecided

from water_gee import session
from water_gee.deploy import weights
from water_gee.deploy.build_ee import to_ee
from water_gee.deploy.javascript import to_javascript, write_javascript
from water_gee.errors import (
    AoiError,
    DeployError,
    ModelError,
    RasterError,
    RecipeError,
    UnsupportedLayerError,
)
from water_gee.imagery.grid import cells_for
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel, load, save
from water_gee.training.network import pixel_cnn

AREA = (106.6, 52.2, 106.9, 52.3)


@pytest.fixture(scope="module")
def small():
    """A small network over two sensors and two years, and the elevation."""
    recipe = Recipe(
        sensors=("landsat8", "landsat9"),
        years=(2021, 2022),
        months=(10, 12, 1),
        min_clear=2,
        max_cloud=50,
    )
    return TrainedModel(undecided(small_cnn()), recipe, {})


@pytest.fixture(scope="module")
def whole():
    """The pixel network of 38,514 parameters."""
    return TrainedModel(undecided(pixel_cnn()), Recipe(), {})


@pytest.fixture(params=["stand-in", "Google's client"])
def editor(request):
    """Runs a script; Google's own client only where `WATER_GEE_EARTHENGINE_JS` names its folder."""
    google = request.param != "stand-in"
    if google and not code_editor.GOOGLES:
        pytest.skip("WATER_GEE_EARTHENGINE_JS names no folder of Google's JavaScript client")

    def run(script, *names):
        client = code_editor.GOOGLES if google else None
        (done,) = code_editor.run(script, names=names or ["waterMap"], client=client)
        assert "error" not in done, done
        return done

    return run


def python(model, **options):
    """What Python's client sends for the model."""
    with session.building():
        import ee

        return json.loads(json.dumps(ee.serializer.encode(to_ee(model, **options))))


def same(first, second):
    return code_editor.meaning(first) == code_editor.meaning(second)


@pytest.mark.parametrize("form", ["kernels", "matrix"])
@pytest.mark.parametrize(
    "options", [{}, {"digits": 3, "probability": False}], ids=["exact", "short"]
)
def test_the_script_makes_the_expression_that_python_sends(small, editor, form, options):
    script = to_javascript(small, form=form, **options)
    made = editor(script)["values"]["waterMap"]
    assert same(made, python(small, form=form, **options))
    assert not same(made, python(small, form=form, digits=2))


@pytest.mark.parametrize(("form", "most"), [("kernels", 850_000), ("matrix", 560_000)])
def test_the_whole_network_is_a_script_of_some_hundred_statements(whole, form, most):
    script = to_javascript(whole, form=form)
    (made,) = code_editor.run(script)
    assert same(made["values"]["waterMap"], python(whole, form=form))
    assert len(script) < most
    assert len(re.findall(r"^\s*var ", script, re.MULTILINE)) < 130


def test_the_shortest_form_is_the_default(small):
    assert to_javascript(small) == to_javascript(small, form="matrix")
    assert " * form    matrix\n" in to_javascript(small)


def test_the_same_model_gives_the_same_bytes(small, tmp_path):
    save(small, tmp_path / "model.keras")
    texts = {
        to_javascript(small, aoi=AREA),
        to_javascript(str(tmp_path / "model.keras"), aoi=AREA),
        write_javascript(tmp_path / "model.keras", tmp_path / "out.js", aoi=AREA).read_text(),
    }
    assert len(texts) == 1
    (text,) = texts
    assert text.isascii()
    assert (
        max(map(len, (line for line in text.splitlines() if "water_gee_recipe" not in line))) < 121
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "out.js"]


def test_the_header_names_model_and_recipe(small):
    text = to_javascript(small)
    head = text.partition("*/")[0]
    for part in (small.digest(), small.recipe.digest(), "landsat9", "[2021, 2022]", "water_gee "):
        assert part in head
    assert not re.search(r"\d\d:\d\d", text)


def test_layers_are_shown_in_the_pixels_of_the_recipe(small, editor):
    made = editor(to_javascript(small, aoi=AREA))
    centre, probability, water = made["layers"]
    assert centre["zoom"] == 12
    assert (probability["title"], probability["shown"]) == ("probability of water", False)
    assert (water["title"], water["shown"]) == ("water", True)
    assert water["seen"] == {
        "bands": ["water"], "min": 0, "max": 1, "palette": ["ded6c4", "1f78b4"]
    }  # fmt: skip
    with session.building():
        import ee

        step = 135 / 501000
        shown = to_ee(small, form="matrix").reproject("EPSG:4326", [step, 0, 0, 0, -step, 0])
        assert same(water["expression"], json.loads(json.dumps(ee.serializer.encode(shown))))


def test_the_area_is_where_the_model_was_trained_unless_one_is_given(small, editor):
    cells = [cell.id for cell in cells_for(_box(106.65, 52.245, 106.9, 52.3), small.recipe)]
    trained = TrainedModel(small.network, small.recipe, {"cells": cells})
    text = to_javascript(trained)
    assert "var area = ee.Geometry.Rectangle([106.65, 52.245, 106.92, 52.38], null, false);" in text
    assert "region: area" in text
    nowhere = to_javascript(small)
    assert "area" not in nowhere.partition("*/")[2]
    assert "region: geometry" in nowhere
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 1], [0, 0]]]}
    assert "var area = ee.Geometry(" in to_javascript(small, aoi=triangle)


def _box(*bounds):
    import shapely

    return shapely.box(*bounds)


def test_one_year_is_the_map_of_that_year(small, editor):
    made = editor(to_javascript(small, years=2019))
    other = TrainedModel(small.network, small.recipe.replace(years=(2019,)), {})
    assert same(made["values"]["waterMap"], python(other, form="matrix"))
    assert [layer["title"] for layer in made["layers"]] == ["probability of water", "water"]


def test_several_years_are_one_function_of_their_dates(small, editor):
    script = to_javascript(small, years=[2021, 2019, 2020])
    assert script.count(".neighborhoodToArray(") <= to_javascript(small).count(
        ".neighborhoodToArray("
    )
    code = script + "".join(
        f"\nvar water{year} = waterMaps['water {year}'];" for year in (2019, 2020, 2021)
    )
    made = editor(code, "waterMap", "water2019", "water2020", "water2021")
    for year in (2019, 2020, 2021):
        other = TrainedModel(small.network, small.recipe.replace(years=(year,)), {})
        assert same(made["values"][f"water{year}"], python(other, form="matrix"))
    assert same(made["values"]["waterMap"], made["values"]["water2021"])
    shown = [layer["title"] for layer in made["layers"] if layer.get("shown")]
    assert shown == ["water 2021"]
    assert len(made["layers"]) == 6


def test_the_export_is_a_comment_that_runs_when_taken_out(small, editor):
    script = to_javascript(small, aoi=AREA)
    assert editor(script)["exports"] == []
    head, mark, tail = script.partition("// Export.")
    live = head + "\n".join(line.removeprefix("// ") for line in (mark + tail).splitlines())
    made = editor(live)
    (export,) = made["exports"]
    assert export["assetId"] == "projects/YOUR-PROJECT/assets/water"
    assert export["crs"] == "EPSG:4326"
    assert export["pyramidingPolicy"] == {".default": "mean", "water": "mode"}
    text = json.dumps(export["image"])
    assert small.digest() in text
    assert "water_gee_recipe" in text


def test_an_image_that_the_caller_made(small, editor):
    with session.building():
        import ee

        image = to_ee(small.network, ee.Image("users/me/features"), form="kernels")
        wanted = json.loads(json.dumps(ee.serializer.encode(image)))
        made = editor(to_javascript(image, aoi=AREA))
    assert same(made["values"]["waterMap"], wanted)
    assert [layer.get("title") for layer in made["layers"]] == [None, "water"]
    assert "ee.Image('users/me/features')" in to_javascript_of(image)


def to_javascript_of(image):
    with session.building():
        return to_javascript(image)


def test_a_bare_network_with_the_recipe_of_its_features(small):
    script = to_javascript(small.network, recipe=small.recipe)
    assert script == to_javascript(small)


def test_weights_in_an_asset_make_a_short_script(small, editor, monkeypatch):
    """The connected service is asked whether the table holds this network's weights."""
    asked = []
    monkeypatch.setattr(session, "ensure", lambda: asked.append("session"))
    monkeypatch.setattr(weights, "check", lambda *given: asked.append(given[0]))
    asset = "projects/local/assets/weights"
    script = to_javascript(small, form="assets", weights_asset=asset)
    assert script == to_javascript(small, weights_asset=asset)
    assert same(
        editor(script)["values"]["waterMap"], python(small, form="assets", weights_asset=asset)
    )
    assert len(script) < 20_000
    assert asked[:2] == ["session", asset]


def test_no_service_is_needed_and_none_is_left_behind(small):
    from ee import data

    assert session._current is None
    to_javascript(small)
    assert not data.is_initialized()


def test_bad_input_is_refused_in_a_line_and_writes_nothing(small, tmp_path):
    inputs = keras.Input((None, None, 8))
    odd = keras.layers.Conv2D(2, 3, padding="same", activation="softmax", name="odd")
    unsupported = TrainedModel(keras.Model(inputs, odd(inputs)), Recipe(), {})
    out = tmp_path / "out.js"
    refusals = [
        (ModelError, "there is no model at", tmp_path / "none.keras", out, {}),
        (ModelError, "expected a trained model", small.network, out, {}),
        (DeployError, "a recipe of its own", small, out, {"recipe": Recipe()}),
        (AoiError, "nowhere at all", small, out, {"aoi": "nowhere at all"}),
        (RecipeError, "years", small, out, {"years": 3000}),
        (DeployError, "no years given", small, out, {"years": []}),
        (DeployError, "no form 'odd'", small, out, {"form": "odd"}),
        (DeployError, "store_weights", small, out, {"form": "assets"}),
        (UnsupportedLayerError, "'odd'", unsupported, out, {}),
        (RasterError, "does not exist", small, tmp_path / "no" / "out.js", {}),
        (DeployError, "is a folder", small, tmp_path, {}),
    ]
    for error, words, model, path, options in refusals:
        with pytest.raises(error, match=words) as refused:
            write_javascript(model, path, **options)
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_not_replaced(small, tmp_path):
    path = save(small, tmp_path / "model.keras").path
    before = path.read_bytes()
    for model in (path, load(path)):
        with pytest.raises(RasterError, match=r"model\.keras is what is read"):
            write_javascript(model, path)
    assert path.read_bytes() == before


def test_weights_that_are_no_numbers_are_refused(small):
    network = keras.models.clone_model(small.network)
    network.set_weights([np.full_like(weights, np.nan) for weights in small.network.get_weights()])
    with pytest.raises(DeployError, match="no numbers"):
        to_javascript(TrainedModel(network, small.recipe, {}), form="kernels")


def test_an_image_has_its_years_already(small):
    with session.building():
        import ee

        with pytest.raises(DeployError, match="has its years already"):
            to_javascript(ee.Image(1), years=2020)
