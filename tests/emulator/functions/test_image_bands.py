"""Bands: selecting, naming, adding, casting, in the service's own words where it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from studio import same

ONES = np.ones((2, 3), np.uint16)
SHAPE = (2, 3)


@pytest.fixture
def scene(studio):
    return studio.raster(
        *(ONES * n for n in (1, 2, 3, 4)),
        names=["SR_B2", "SR_B3", "QA_PIXEL", "ST"],
        properties={"WRS_PATH": 231, "name": "x"},
    )


def names(studio, image):
    return studio.info(image.bandNames())


def test_bands_are_selected_by_name_index_and_whole_pattern(studio, scene):
    assert names(studio, scene.select("SR_B3")) == ["SR_B3"]
    assert names(studio, scene.select(["ST", 0, "QA_PIXEL"])) == ["ST", "SR_B2", "QA_PIXEL"]
    assert names(studio, scene.select("SR_.*")) == ["SR_B2", "SR_B3"]
    assert names(studio, scene.select("S.")) == ["ST"]
    assert names(studio, scene.select(["SR_B2", "SR_B2"])) == ["SR_B2", "SR_B2_1"]
    assert names(studio, scene.select([])) == []


def test_selected_bands_get_new_names(studio, scene):
    image = scene.select(["SR_B3", 2], ["Green", "QA"])
    found = studio.blocks(image, SHAPE)
    assert list(found) == ["Green", "QA"]
    assert found["Green"][0][0, 0] == 2
    assert studio.compute(image).properties["WRS_PATH"] == 231


def test_selection_is_refused_in_the_services_words(studio, scene):
    assert studio.refused(scene.select("B5")) == (
        "Image.select: Band pattern 'B5' did not match any bands. "
        "Available bands: [SR_B2, SR_B3, QA_PIXEL, ST]"
    )
    assert studio.refused(scene.select([]).select("water")) == (
        "Image.select: Band pattern 'water' did not match any bands. Available bands: []"
    )
    assert "out of range" in studio.refused(scene.select(4))
    assert "Invalid pattern" in studio.refused(scene.select("SR_("))
    assert studio.refused(scene.select(["ST"], ["a", "b"])).startswith("Image.select: ")


def test_renaming(studio, scene):
    assert names(studio, scene.rename(["a", "b", "c", "d"])) == ["a", "b", "c", "d"]
    assert "(2) must match the number of bands (4)" in studio.refused(scene.rename(["a", "b"]))
    assert "Duplicate band name 'a'" in studio.refused(scene.rename(["a", "b", "a", "d"]))
    renamed = scene.regexpRename("^SR_B(.)$", "band$1")
    assert names(studio, renamed) == ["band2", "band3", "QA_PIXEL", "ST"]
    first = scene.select("QA_PIXEL").regexpRename("[AP]", "-", False)
    assert names(studio, first) == ["Q-_PIXEL"]


def test_runs_of_bands(studio, scene):
    assert names(studio, scene.slice(1, 3)) == ["SR_B3", "QA_PIXEL"]
    assert names(studio, scene.slice(-2)) == ["QA_PIXEL", "ST"]


def test_added_bands_are_renamed_or_replace(studio, scene):
    other = studio.raster(ONES * 9, ONES * 8, names=["ST", "new"])
    assert names(studio, scene.addBands(other)) == [
        *("SR_B2", "SR_B3", "QA_PIXEL", "ST"),
        *("ST_1", "new"),
    ]
    assert names(studio, scene.addBands(other).addBands(other.select("ST")))[-1] == "ST_2"
    replaced = scene.addBands(other, None, True)
    found = studio.blocks(replaced, SHAPE)
    assert list(found) == ["SR_B2", "SR_B3", "QA_PIXEL", "ST", "new"]
    assert found["ST"][0][0, 0] == 9
    assert names(studio, scene.addBands(other, ["new"]))[4:] == ["new"]
    assert studio.compute(scene.addBands(other)).properties["WRS_PATH"] == 231


def test_a_list_of_images_becomes_one_image(studio, scene):
    both = studio.client.Image([scene.select(0), scene.select(0), 7])
    assert names(studio, both) == ["SR_B2", "SR_B2_1", "constant"]
    joined = studio.client.ApiFunction.apply_("Image.cat", {"images": [scene, 5, scene]})
    assert names(studio, joined)[4:7] == ["constant", "SR_B2_1", "SR_B3_1"]
    assert studio.compute(joined).properties["name"] == "x"


def test_constants_have_their_own_value_as_range(studio):
    image = studio.client.Image([1, 2.5])
    assert studio.info(image.bandTypes()) == {
        "constant": {"type": "PixelType", "precision": "int", "min": 1, "max": 1},
        "constant_1": {"type": "PixelType", "precision": "double", "min": 2.5, "max": 2.5},
    }
    found = studio.compute(image)
    assert found.footprint is None
    assert found.bands[0].projection.crs == "EPSG:4326"
    assert studio.info(studio.client.Image.constant([1, 2]).bandNames()) == [
        "constant",
        "constant_1",
    ]


def test_properties_become_constant_images(studio, scene):
    same(studio.pixels(scene.metadata("WRS_PATH"), SHAPE), np.full(SHAPE, 231.0))
    assert names(studio, scene.metadata("WRS_PATH")) == ["WRS_PATH"]
    assert names(studio, scene.metadata("WRS_PATH", "path")) == ["path"]
    assert "Property 'name' is not a number" in studio.refused(scene.metadata("name"))


VALUES = np.array([[300.0, -5, 1.7], [-1.7, np.nan, 1e20]])


@pytest.mark.parametrize(
    ("cast", "expected"),
    [
        # ee.Number's pages: fractions are lost, what is out of range becomes the nearest bound.
        ("toByte", [[255, 0, 1], [0, 0, 255]]),
        ("uint8", [[255, 0, 1], [0, 0, 255]]),
        ("toInt8", [[127, -5, 1], [-1, 0, 127]]),
        ("toUint16", [[300, 0, 1], [0, 0, 65535]]),
        ("toShort", [[300, -5, 1], [-1, 0, 32767]]),
        ("toInt", [[300, -5, 1], [-1, 0, 2**31 - 1]]),
        ("toUint32", [[300, 0, 1], [0, 0, 2**32 - 1]]),
        ("toLong", [[300, -5, 1], [-1, 0, 2**63 - 1]]),
    ],
)
def test_casts_cut_off_and_clamp(studio, cast, expected):
    found = studio.blocks(getattr(studio.raster(VALUES), cast)(), SHAPE)["b1"][0]
    assert found.tolist() == expected


def test_casts_between_whole_numbers_keep_what_fits(studio):
    image = studio.raster(np.array([[-7, 250, 300]], np.int32))
    assert studio.blocks(image.toByte(), (1, 3))["b1"][0].tolist() == [[0, 250, 255]]
    byte = studio.raster(np.array([[7]], np.uint8))
    assert studio.compute(byte.toInt16()).bands[0].node is studio.compute(byte).bands[0].node or (
        studio.blocks(byte.toInt16(), (1, 1))["b1"][0].tolist() == [[7]]
    )


def test_floats_are_32_bits_wide(studio):
    image = studio.raster(np.array([[0.1, 1 / 3, 1e-3]]))
    single = studio.blocks(image.toFloat(), (1, 3))["b1"][0]
    assert single.dtype == np.float32
    back = studio.blocks(image.toFloat().toDouble(), (1, 3))["b1"][0]
    assert back.dtype == np.float64
    assert back.tolist() == np.float32([[0.1, 1 / 3, 1e-3]]).astype(float).tolist()


def test_bands_are_cast_by_name_and_made_where_missing(studio, scene):
    image = scene.select(["SR_B2", "ST"]).cast({"ST": "float", "new": "byte", "also": "double"})
    kinds = studio.info(image.bandTypes())
    assert list(studio.compute(image).names) == ["SR_B2", "ST", "also", "new"]
    assert kinds["ST"]["precision"] == "float"
    assert kinds["new"] == {"type": "PixelType", "precision": "int", "min": 0, "max": 255}
    assert not studio.blocks(image, SHAPE)["new"][1].any()
    ordered = scene.select(["SR_B2", "ST"]).cast({"ST": "int8"}, ["ST", "SR_B2"])
    assert studio.info(ordered.bandNames()) == ["ST", "SR_B2"]
    assert "'bandOrder'" in studio.refused(scene.cast({"ST": "int8"}, ["ST"]))
    assert "Image.cast" in studio.refused(scene.cast({"ST": "int7"}))


def test_an_unknown_image_is_refused(studio):
    assert studio.refused(studio.client.Image("no/such/image").bandNames()) == (
        "Image.load: Image asset 'no/such/image' not found "
        "(does not exist or caller does not have access)."
    )
