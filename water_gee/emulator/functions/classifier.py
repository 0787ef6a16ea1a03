"""Classifiers made of decision trees in text form, and what they make of images and features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator.bands import inherited, placed_like
from water_gee.emulator.classifiers import ARRAYS, MODES, Classifier
from water_gee.emulator.nodes import Blockwise
from water_gee.emulator.pixels import Block, mask_and
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.treetext import parse_trees
from water_gee.emulator.values import Array, Band, Collection, Feature, Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@REGISTRY.function("Classifier.decisionTree")
def decision_tree(treeString: str) -> Classifier:
    """Make a classifier of one decision tree in text form."""
    where = "Classifier.decisionTree"
    trees = parse_trees(treeString, where)
    if len(trees) != 1:
        raise bad_request(f"{where}: Expected one decision tree, got {len(trees)}.")
    return Classifier("decisionTree", tuple(trees), (treeString,))


@REGISTRY.function("Classifier.decisionTreeEnsemble")
def decision_tree_ensemble(treeStrings: list[str]) -> Classifier:
    """Make a classifier of many decision trees; each string holds one or more of them."""
    where = "Classifier.decisionTreeEnsemble"
    for text in treeStrings:
        if not isinstance(text, str):
            raise bad_request(f"{where}: treeStrings must be strings. Got {text!r}.")
    trees = [tree for text in treeStrings for tree in parse_trees(text, where)]
    if not trees:
        raise bad_request(f"{where}: At least one decision tree is needed.")
    return Classifier("decisionTreeEnsemble", tuple(trees), tuple(treeStrings))


@REGISTRY.function("Classifier.setOutputMode")
def set_output_mode(classifier: Classifier, mode: str) -> Classifier:
    """Return the classifier with another output mode."""
    return replace(classifier, mode=_checked_mode(mode, "Classifier.setOutputMode"))


def _checked_mode(mode: str, where: str) -> str:
    """Return an output mode that trees have.

    Raises:
        ServiceError: 400: there is none of that name, or it is not implemented.
    """
    if mode not in MODES:
        raise bad_request(f"{where}: Unknown output mode '{mode}'; known: {', '.join(MODES)}.")
    if mode in ("PROBABILITY", "MULTIPROBABILITY"):
        raise bad_request(
            f"{where}: Output mode {mode} is not implemented for trees by this emulator; use "
            "REGRESSION, or RAW with one value for each tree."
        )
    return mode


@REGISTRY.function("Classifier.mode")
def mode(classifier: Classifier) -> str:
    """Return the output mode."""
    return classifier.mode


@REGISTRY.function("Classifier.schema")
def schema(classifier: Classifier) -> list[str]:
    """Return the names of the inputs used."""
    return list(classifier.schema)


@REGISTRY.function("Image.classify")
def classify(image: Image, classifier: Classifier, outputName: str = "classification") -> Image:
    """Return one band with what a classifier makes of the bands it names.

    A pixel is observed where all of these are.
    """
    found = {band.name: band for band in image.bands}
    missing = [name for name in classifier.schema if name not in found]
    if missing:
        raise bad_request(
            f"Image.classify: Band '{missing[0]}' of the classifier's schema is not in the image. "
            f"Image bands: [{', '.join(image.names)}]."
        )
    # Trees of one leaf test nothing; they are observed where the image is.
    used = [found[name] for name in classifier.schema] or list(image.bands[:1])
    if not used:
        raise bad_request("Image.classify: The image has no bands.")
    kind = classifier.result_type
    item = (len(classifier.trees),) if classifier.mode in ARRAYS else ()
    node = Blockwise([band.node for band in used], _classified(classifier), kind.dtype, item=item)
    return inherited(image, [placed_like(Band(outputName, kind, node), *used)])


def _classified(classifier: Classifier) -> Callable[..., Block]:
    def function(*blocks: Block) -> Block:
        shape = blocks[0].shape
        columns = np.stack([np.asarray(block.values, np.float64).ravel() for block in blocks])
        values = classifier.evaluate(columns)
        mask = mask_and(*(block.mask for block in blocks))
        return Block(values.reshape(*shape, *values.shape[1:]), mask)

    return function


@REGISTRY.function("FeatureCollection.classify")
def classify_features(
    features: Collection, classifier: Classifier, outputName: str = "classification"
) -> Collection:
    """Return the features, each with what a classifier makes of its properties."""
    rows = [_numbers(feature, classifier.schema) for feature in features]
    if not rows:
        return features
    results = classifier.evaluate(np.array(rows, np.float64).reshape(len(rows), -1).T)
    whole = classifier.result_type.precision == "int"
    return features.with_items(
        feature.with_properties({outputName: _property(result, whole)})
        for feature, result in zip(features, results, strict=True)
    )


def _numbers(feature: Any, names: Sequence[str]) -> list[float]:
    row = []
    for name in names:
        value = feature.properties.get(name) if isinstance(feature, (Feature, Image)) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise bad_request(
                f"FeatureCollection.classify: Property '{name}' of the classifier's schema is "
                f"{'missing' if value is None else 'no number'}."
            )
        row.append(float(value))
    return row


def _property(result: Any, whole: bool) -> Any:
    if np.ndim(result):
        return Array(np.asarray(result, np.float64))
    return int(result) if whole else float(result)
