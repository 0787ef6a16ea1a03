"""Classifiers made of tree text, over images and features."""

from __future__ import annotations

import numpy as np
import pytest
from studio import same

ONE = "1) root 9 9 9\n2) mndwi < 0 9 9 0 *\n3) mndwi >= 0 9 9 1 *"
TWO = "1) root 9 9 9\n2) swir1 <= 0.1 9 9 1 *\n3) swir1 > 0.1 9 9 0 *"
THREE = "1) root 9 9 9\n2) mndwi < 0.5 9 9 0 *\n3) mndwi >= 0.5 9 9 4 *"

MNDWI = np.array([[-1.0, 0.0, 0.25], [0.5, 0.75, -0.5]])
SWIR1 = np.array([[0.1, 0.2, 0.1], [0.2, 0.05, 0.3]])
HOLES = np.array([[1, 1, 0], [1, 1, 1]], bool)
SHAPE = (2, 3)


@pytest.fixture
def image(studio):
    return studio.raster(MNDWI, SWIR1, names=["mndwi", "swir1"])


def test_one_tree_gives_the_class_of_its_leaf(studio, client, image):
    classes = image.classify(client.Classifier.decisionTree(ONE))
    same(studio.pixels(classes, SHAPE), MNDWI >= 0)
    info = studio.info(classes)["bands"][0]
    assert info["id"] == "classification"
    assert info["data_type"] == {"type": "PixelType", "precision": "int", "min": 0, "max": 1}


def test_many_trees_vote_and_the_smallest_of_equals_wins(studio, client, image):
    trees = client.Classifier.decisionTreeEnsemble([ONE, TWO, THREE])
    first, second, third = MNDWI >= 0, SWIR1 <= 0.1, 4 * (MNDWI >= 0.5)
    votes = np.stack([first, second, third]).astype(int)
    expected = np.apply_along_axis(lambda one: np.bincount(one).argmax(), 0, votes)
    same(studio.pixels(image.classify(trees), SHAPE), expected)
    # 1, 0 and 4 once each.
    assert votes[:, 1, 0].tolist() == [1, 0, 4]
    assert expected[1, 0] == 0


def test_regression_is_the_mean_of_the_trees(studio, client, image):
    trees = client.Classifier.decisionTreeEnsemble([ONE, TWO, THREE]).setOutputMode("REGRESSION")
    mean = ((MNDWI >= 0) + 1.0 * (SWIR1 <= 0.1) + 4 * (MNDWI >= 0.5)) / 3
    found = image.classify(trees, "height")
    same(studio.pixels(found, SHAPE), mean)
    assert studio.info(found.bandNames()) == ["height"]


def test_a_string_of_several_trees_is_as_several_strings(studio, client, image):
    joined = client.Classifier.decisionTreeEnsemble([ONE + "\n" + TWO, THREE])
    apart = client.Classifier.decisionTreeEnsemble([ONE, TWO, THREE])
    for mode in ("CLASSIFICATION", "REGRESSION"):
        found = [
            studio.pixels(image.classify(one.setOutputMode(mode)), SHAPE) for one in (joined, apart)
        ]
        same(found[0], found[1])


def test_what_is_masked_in_a_band_used_is_masked(studio, client):
    holed = studio.raster(MNDWI, mask=HOLES, names=["mndwi"])
    whole = studio.raster(SWIR1, names=["swir1"])
    both = holed.addBands(whole)
    tree = client.Classifier.decisionTree
    same(studio.pixels(both.classify(tree(ONE)), SHAPE), MNDWI >= 0, HOLES)
    same(studio.pixels(both.classify(tree(TWO)), SHAPE), SWIR1 <= 0.1)


def test_a_tree_of_one_leaf_is_that_value_where_the_image_is_observed(studio, client):
    holed = studio.raster(MNDWI, mask=HOLES, names=["mndwi"])
    leaf = client.Classifier.decisionTree("1) root 5 0 0.75 *")
    same(studio.pixels(holed.classify(leaf), SHAPE), np.full(SHAPE, 0.75), HOLES)


def test_bands_are_found_by_name_in_any_order(studio, client):
    image = studio.raster(SWIR1, MNDWI, MNDWI, names=["swir1", "other", "mndwi"])
    trees = client.Classifier.decisionTreeEnsemble([ONE, TWO]).setOutputMode("REGRESSION")
    same(studio.pixels(image.classify(trees), SHAPE), ((MNDWI >= 0) + 1.0 * (SWIR1 <= 0.1)) / 2)


def test_features_are_classified_by_their_properties(studio, client):
    rows = [{"mndwi": -1, "swir1": 0.1}, {"mndwi": 0.6, "swir1": 0.5, "name": "kept"}]
    features = client.FeatureCollection([client.Feature(None, row) for row in rows])
    trees = client.Classifier.decisionTreeEnsemble([ONE, TWO])
    found = studio.info(features.classify(trees.setOutputMode("REGRESSION"), "share"))["features"]
    assert [one["properties"]["share"] for one in found] == [0.5, 0.5]
    assert found[1]["properties"]["name"] == "kept"
    classes = studio.info(features.classify(trees))["features"]
    assert [one["properties"]["classification"] for one in classes] == [0, 0]
    raw = studio.info(features.classify(trees.setOutputMode("RAW"), "votes"))["features"]
    assert [one["properties"]["votes"] for one in raw] == [[0, 1], [1, 0]]
    assert studio.info(client.FeatureCollection([]).classify(trees))["features"] == []


def test_a_classifier_says_what_it_is(studio, client):
    trees = client.Classifier.decisionTreeEnsemble([TWO, ONE])
    assert studio.info(trees.schema()) == ["swir1", "mndwi"]
    assert studio.info(trees.mode()) == "CLASSIFICATION"
    assert studio.info(trees.setOutputMode("RAW").mode()) == "RAW"
    assert studio.info(trees) == {
        "type": "Classifier.decisionTreeEnsemble",
        "treeStrings": [TWO, ONE],
        "mode": "CLASSIFICATION",
    }


def test_what_cannot_be_is_refused_in_a_line(studio, client, image):
    tree, ensemble = client.Classifier.decisionTree, client.Classifier.decisionTreeEnsemble
    mode = tree(ONE).setOutputMode
    band = "Image.classify: Band 'swir1' of the classifier's schema is not in the image. Image ban"
    row = client.FeatureCollection([client.Feature(None, {"mndwi": "wet"})])
    for thing, message in [
        (tree(ONE + "\n" + TWO), "Expected one decision tree, got 2"),
        (ensemble([]), "At least one decision tree"),
        (ensemble([ONE, 5]), "treeStrings must be strings. Got 5"),
        (ensemble([ONE, "no tree"]), "Error parsing line 1: 'no tree' is no node"),
        (mode("VOTES"), "Unknown output mode 'VOTES'"),
        (mode("PROBABILITY"), "PROBABILITY is not implemented for trees by this emulator"),
        (image.select("mndwi").classify(tree(TWO)), band),
        (client.Image().select([]).classify(tree("1) root 1 0 1 *")), "The image has no bands"),
        (row.classify(tree(ONE)), "Property 'mndwi' of the classifier's schema is no number"),
        (row.classify(tree(TWO)), "Property 'swir1' of the classifier's schema is missing"),
    ]:
        said = studio.refused(thing)
        assert message in said
        assert "\n" not in said
