"""One file with network, recipe and record; every other file is refused in one line."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from networks import undecided

from water_gee.errors import ModelError
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import MEMBER, TrainedModel, load, resolve, save
from water_gee.training.network import pixel_cnn

RECIPE = Recipe(years=(2021, 2022), dem=None)


@pytest.fixture(scope="module")
def network():
    return undecided(pixel_cnn())


def one_line(caught, *words):
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("skip", [8, 7])
def test_a_saved_model_answers_bit_for_bit_as_before(tmp_path, skip):
    network = undecided(pixel_cnn(skip_bands=skip))
    record = {"seed": 3, "validation_iou": 0.9}
    saved = save(TrainedModel(network, RECIPE, record), tmp_path / "a.keras")
    found = load(tmp_path / "a.keras")
    assert (found.recipe, found.record) == (RECIPE, record)
    assert found.path == saved.path == tmp_path / "a.keras"
    values = np.random.default_rng(0).normal(size=(1, 20, 21, 8)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(found.network(values)), np.asarray(network(values)))
    assert found.digest() == saved.digest()


@pytest.mark.parametrize("skip", [8, 7])
def test_any_keras_loads_the_file_without_our_package_or_unsafe_code(tmp_path, skip):
    save(TrainedModel(pixel_cnn(skip_bands=skip), RECIPE, {}), tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as members:
        config = members.read("config.json").decode()
        assert json.loads(members.read(MEMBER))["recipe"] == RECIPE.to_dict()
    assert "Lambda" not in config
    assert "water_gee" not in config
    assert keras.saving.load_model(tmp_path / "a.keras", safe_mode=True).count_params() > 37_000


def test_equal_weights_have_equal_digests_and_others_do_not(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    digest = TrainedModel(network, RECIPE, {}).digest()
    assert TrainedModel(copy, RECIPE, {}).digest() == digest
    copy.get_layer("classes").bias.assign([0.0, 1e-7])
    assert TrainedModel(copy, RECIPE, {}).digest() != digest


def test_a_model_or_its_path_is_taken_and_nothing_else(network, tmp_path):
    trained = save(TrainedModel(network, RECIPE, {}), tmp_path / "a.keras")
    assert resolve(trained) is trained
    assert resolve(str(tmp_path / "a.keras")).digest() == trained.digest()
    with pytest.raises(ModelError, match="a bare Keras network has no recipe") as caught:
        resolve(network)
    one_line(caught)


def test_a_model_is_written_whole_or_not_at_all(network, tmp_path):
    trained = TrainedModel(network, RECIPE, {})
    with pytest.raises(ModelError, match=r"ends in \.keras, not 'a\.h5'"):
        save(trained, tmp_path / "a.h5")
    with pytest.raises(ModelError, match="nowhere does not exist"):
        save(trained, tmp_path / "nowhere" / "a.keras")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------- bad files


@pytest.fixture
def good(network, tmp_path):
    return save(TrainedModel(network, RECIPE, {}), tmp_path / "good.keras").path


def rewritten(source, change):
    """A copy of a model file with its members changed."""
    with zipfile.ZipFile(source) as members:
        parts = {name: members.read(name) for name in members.namelist()}
    change(parts)
    target = source.with_name("bad.keras")
    with zipfile.ZipFile(target, "w") as members:
        for name, data in parts.items():
            members.writestr(name, data)
    return target


def about_changed(source, **changes):
    def change(parts):
        parts[MEMBER] = json.dumps(json.loads(parts[MEMBER]) | changes).encode()

    return rewritten(source, change)


def test_a_missing_file_names_the_call_that_makes_one(tmp_path):
    with pytest.raises(ModelError, match=r"no model at .*a\.keras; water_gee\.train\(\)") as caught:
        load(tmp_path / "a.keras")
    one_line(caught)


def test_a_file_that_is_no_zip_archive_is_refused(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"water")
    with pytest.raises(ModelError, match="is no model file") as caught:
        load(tmp_path / "a.keras")
    one_line(caught, "a.keras")


def test_an_archive_without_a_network_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as members:
        members.writestr("readme.txt", "no network")
    with pytest.raises(ModelError, match="zip archive, but no Keras model") as caught:
        load(tmp_path / "a.keras")
    one_line(caught)


def test_a_keras_model_without_a_recipe_is_refused_with_the_remedy(network, tmp_path):
    network.save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="without a recipe; train it") as caught:
        load(tmp_path / "a.keras")
    one_line(caught)


def test_a_model_of_a_newer_package_is_refused(good):
    with pytest.raises(ModelError, match=r"written by water_gee 9\.1.*update") as caught:
        load(about_changed(good, format=2, version="9.1"))
    one_line(caught)


def test_a_recipe_of_other_bands_is_refused(good):
    recipe = RECIPE.to_dict() | {"features": ["Green", "SWIR1", "mNDWI"]}
    with pytest.raises(ModelError, match="takes 8 features, its recipe has 3") as caught:
        load(about_changed(good, recipe=recipe))
    one_line(caught, "bad.keras")


@pytest.mark.parametrize(
    "recipe", [None, 7, {"years": ["soon"]}, {"colour": 1}, {"features": ["Teal"]}]
)
def test_a_recipe_that_cannot_be_read_is_refused(good, recipe):
    with pytest.raises(ModelError, match="recipe that cannot be read") as caught:
        load(about_changed(good, recipe=recipe))
    one_line(caught, "bad.keras")


@pytest.mark.parametrize("text", [b"{", b"[1]", b'{"format": "new"}', b"\xff"])
def test_a_member_that_is_no_record_is_refused(good, text):
    with pytest.raises(ModelError, match=f"{MEMBER} cannot be read") as caught:
        load(rewritten(good, lambda parts: parts.update({MEMBER: text})))
    one_line(caught)


def test_weights_that_are_none_are_refused(good):
    bad = rewritten(good, lambda parts: parts.update({"model.weights.h5": b"none"}))
    with pytest.raises(ModelError, match="no network that Keras can load") as caught:
        load(bad)
    one_line(caught, "bad.keras")


def test_an_archive_with_damaged_bytes_is_refused(good):
    data = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as members:
        start = members.getinfo(MEMBER).header_offset
    data[start + 60 : start + 160] = bytes(100)
    good.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        load(good)
    one_line(caught, "good.keras")
