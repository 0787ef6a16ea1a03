"""Networks that see farther than 7 x 7, ours and users' own, as expressions and scripts."""

from __future__ import annotations

import json
import time

import code_editor
import numpy as np
import pytest
from emulated import ASSET, Emulated
from networks import undecided

import water_gee
from water_gee import emulator, raster, session
from water_gee.deploy import build_ee, export, parity, weights
from water_gee.deploy.costs import estimate
from water_gee.deploy.export import deploy_to_gee
from water_gee.deploy.javascript import to_javascript
from water_gee.deploy.layers import margins
from water_gee.deploy.limits import MAX_NESTING
from water_gee.deploy.plan import plan_deployment
from water_gee.deploy.read_keras import read
from water_gee.deploy.registering import register_network
from water_gee.deploy.service import fetch
from water_gee.emulator.ingest import ingest
from water_gee.errors import DeployError, ModelError, TrainingError, UnsupportedLayerError
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe
from water_gee.mapping.classifier import classify
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel, load, save
from water_gee.training.network import NETWORKS, build, context_cnn, halo, pixel_cnn
from water_gee.training.scaling import CENTER, SCALE, finish

L = keras.layers
TABLE = "projects/local/assets/far_weights"


def own(bands):
    """A user's: separable and normalised layers, joined, 9 x 9."""
    features = keras.Input((None, None, bands))
    x = L.SeparableConv2D(6, 3, dilation_rate=3, activation="relu")(features)
    x = L.LayerNormalization()(L.Conv2D(4, 3)(x))
    x = L.Concatenate()([L.LeakyReLU()(x), features[:, 4:-4, 4:-4, :]])
    return keras.Model(features, L.Dense(2, activation="softmax")(x))


def finished(builder, seed=11):
    """Undecided over features as they are, and as it is saved."""
    return finish(undecided(builder(8), seed))


def small_context(bands=8):
    return context_cnn(bands, width=8, dilations=(2, 5), hidden=12)


BUILDERS = {"context_cnn": small_context, "a user's": own}


@pytest.fixture(scope="module", params=list(BUILDERS))
def network(request):
    return finished(BUILDERS[request.param])


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """Eight bands of 40 x 42 pixels like features, two with a hole."""
    generator = np.random.default_rng(7)
    values = CENTER[:, None, None] + SCALE[:, None, None] * generator.normal(size=(8, 40, 42))
    values = values.astype(np.float32)
    values[3, 18, 24] = values[0, 2, 38] = np.nan
    values[:, 20, 3:5] = np.nan  # too far from most pixels to matter
    with Emulated(tmp_path_factory.mktemp("far"), values) as service:
        yield service


@pytest.fixture
def image(emulated):
    import ee

    return ee.Image(ASSET)


def served(emulated, network, image, form):
    asset = None
    if form == "assets":
        task = weights.store_weights(network, TABLE, overwrite=True)
        while task.active():
            time.sleep(0.05)
        asset = TABLE
    return emulated.fetch(build_ee.to_ee(network, image, form=form, weights_asset=asset))


@pytest.mark.parametrize("form", build_ee.FORMS)
def test_every_form_says_what_keras_says_and_masks_as_maps_do(emulated, image, network, form):
    around = halo(network)
    assert around in {4, 9}
    found = served(emulated, network, image, form)
    inner = np.s_[around:-around, around:-around]
    water, probability = (part[inner] for part in classify(network, emulated.values))
    seen = np.isfinite(probability)
    assert 49 <= (~seen).sum() < 100
    np.testing.assert_array_equal(np.isfinite(found[inner][..., 1]), seen)
    np.testing.assert_allclose(found[inner][seen][:, 1], probability[seen], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found[inner][seen][:, 0], water[seen])
    assert 0.1 < water[seen].mean() < 0.9


def test_the_whole_far_network_is_keras_in_the_form_that_is_chosen(emulated, image):
    network = finished(context_cnn)
    expected = parity.keras_probability(network, emulated.values)
    assert expected.shape == (10, 12)
    found = emulated.fetch(build_ee.to_ee(network, image))[15:-15, 15:-15, 1]
    agreement = parity.agree(expected, found, 1e-5, "both")
    assert agreement.pixels == 10 * 12 - 7 * 6  # the hole's 7 x 7, a column of it outside
    assert agreement.undecided > 10


def test_a_bare_network_is_masked_where_one_pixel_of_its_window_is(emulated, image):
    network = undecided(small_context())
    found = emulated.fetch(build_ee.to_ee(network, image, form="kernels"))[9:-9, 9:-9, 1]
    expected = parity.keras_probability(network, emulated.values)
    assert np.isnan(expected).sum() > 300
    parity.agree(expected, found, 1e-5, "both")


def test_keras_its_graph_and_the_halo_agree(network, rng):
    graph = read(network)
    assert margins(graph) == (halo(network),) * 2
    values = (CENTER + SCALE * rng.normal(size=(40, 41, 8))).astype(np.float32)
    parity.check_numpy(network, graph, values.transpose(2, 0, 1))
    simple = build_ee.prepared(network)
    parity.check_numpy(network, simple, values.transpose(2, 0, 1))


@pytest.mark.usefixtures("ee")
def test_the_far_network_is_a_smaller_expression_than_the_published_one():
    far, published = estimate(finished(context_cnn)), estimate(undecided(pixel_cnn()))
    assert far.chosen == "kernels"
    for form in ("kernels", "matrix"):
        assert far.costs[form].fits
        assert far.costs[form].size.bytes < 0.75 * published.costs[form].size.bytes
        assert far.costs[form].size.nesting < 0.7 * MAX_NESTING
    assert far.multiply_adds < 0.6 * published.multiply_adds
    assert far.parameters <= 150_000


def test_the_script_for_the_code_editor_makes_the_same_expression():
    trained = TrainedModel(finished(small_context), Recipe(dem=None), {})
    for form in ("kernels", "matrix"):
        (made,) = code_editor.run(to_javascript(trained, form=form))
        with session.building():
            import ee

            wire = ee.serializer.encode(build_ee.to_ee(trained, form=form))
        meaning = code_editor.meaning(json.loads(json.dumps(wire)))
        assert code_editor.meaning(made["values"]["waterMap"]) == meaning


def test_a_deployment_is_planned_as_for_any_network(tmp_path):
    trained = TrainedModel(finished(small_context), Recipe(dem=None), {})
    path = save(trained, tmp_path / "far.keras").path
    plans = [
        plan_deployment(model, "projects/p/assets/water", (106.6, 52.2, 106.9, 52.3))
        for model in (path, TrainedModel(pixel_cnn(), trained.recipe, {}))
    ]
    assert len(plans[0]) == len(plans[1])
    assert plans[0].estimate.chosen == "kernels"
    assert load(path).digest() == trained.digest()


def test_a_deployed_map_of_a_far_network_equals_the_local_one(tmp_path, monkeypatch):
    """Over HTTP, with all checks; what lies beyond the image is not observed, in both."""
    import ee

    recipe = Recipe(cell=0.025, pixels=100)
    cell = Cell(0, 0, Lattice.of(recipe))
    noise = np.random.default_rng(8).normal(size=(8, 106, 106))
    field = (CENTER[:, None, None] + SCALE[:, None, None] * noise).astype(np.float32)
    field[:, 40:44, 30:50] = np.nan
    names = recipe.features
    raster.write(tmp_path / "f.tif", field, cell.grid, nodata=float("nan"), names=names)
    ingest(tmp_path / "catalog", [tmp_path / "f.tif"], asset_id=ASSET)
    trained = TrainedModel(finished(small_context), recipe, {"cells": [cell.id]})
    monkeypatch.setattr(export, "feature_image", lambda recipe: ee.Image(ASSET))
    monkeypatch.setattr(export, "check_season", lambda recipes, area: None)
    target = "projects/local/assets/far_map"
    with emulator.start(tmp_path / "catalog") as server, session.connect(url=server.url):
        done = deploy_to_gee(trained, target, progress=False)
        found = fetch(ee.Image(target), cell.grid.window(3, 3, 100, 100), "the map")
    ee.Reset()
    assert done.checked.pixels > 3000
    known = np.pad(field, ((0, 0), (6, 6), (6, 6)), constant_values=np.nan)
    water, probability = (part[9:-9, 9:-9] for part in classify(trained.network, known))
    assert water.shape == (100, 100)
    np.testing.assert_array_equal(np.isnan(found[0]), water == 255)
    assert (water == 255).sum() == 10 * 26
    np.testing.assert_allclose(found[1], probability, atol=1e-5)
    np.testing.assert_array_equal(found[0][water != 255], water[water != 255])


# ---------------------------------------------------------------------------------------- registry


@pytest.fixture
def names(monkeypatch):
    """The registry as it is in this test only."""
    kept = dict(NETWORKS)
    monkeypatch.setattr("water_gee.training.network.NETWORKS", kept)
    return kept


def test_a_network_of_ones_own_gets_a_name_and_its_price(names):
    costs = water_gee.register_network("own", own)
    assert names["own"] is own
    assert costs.chosen == "kernels"
    assert "kernels" in str(costs)
    assert halo(build("own")) == 4


@pytest.mark.usefixtures("names")
def test_the_network_that_is_trained_is_the_one_whose_price_was_told():
    told = water_gee.register_network("narrow", context_cnn, width=8)
    again = water_gee.register_network("narrow", context_cnn, width=8)
    assert (again.parameters, again.chosen) == (told.parameters, told.chosen)
    assert build("narrow").count_params() == context_cnn(width=8).count_params()
    assert told.parameters < estimate(read(context_cnn())).parameters
    with pytest.raises(TrainingError, match="there is a network 'narrow' already"):
        water_gee.register_network("narrow", context_cnn, width=9)
    with pytest.raises(TrainingError, match=r"'other' cannot be built: .*'depth'"):
        water_gee.register_network("other", context_cnn, depth=3)


@pytest.mark.parametrize(
    ("layers_of", "error", "words"),
    [
        (lambda x: L.Conv2D(4, 3, padding="same")(x), ModelError, "padding='valid'"),
        (lambda x: L.Conv2D(4, 3, strides=2)(x), ModelError, "no strides"),
        (lambda x: L.Conv2D(4, 3, dilation_rate=99)(x), ModelError, "at most 129 x 129"),
        (lambda x: L.UnitNormalization()(x), UnsupportedLayerError, "UnitNormalization"),
        (lambda x: keras.ops.sin(x), UnsupportedLayerError, "Sin"),
        (lambda x: L.Conv2D(4, "three")(x), TrainingError, "'bad' cannot be built"),
        (lambda x: L.Conv2D(1500, 9)(L.Conv2D(99, 1)(x)), DeployError, "give it fewer filters"),
    ],
)
def test_what_cannot_go_the_whole_way_gets_no_name(names, layers_of, error, words):
    def bad(bands):
        features = keras.Input((None, None, bands))
        return keras.Model(features, L.Dense(2, activation="softmax")(layers_of(features)))

    with pytest.raises(error, match=words) as caught:
        register_network("bad", bad)
    assert "\n" not in str(caught.value)
    assert "bad" not in names
    with pytest.raises(TrainingError, match="there is a network 'pixel_cnn' already"):
        register_network("pixel_cnn", bad)
