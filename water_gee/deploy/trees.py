"""Models of trees -> Earth Engine: forests and boosted trees as `Classifier.decisionTreeEnsemble`.

Text that the parser takes, always: nodes in order, plain decimals in full precision, no tree deeper
than node numbers of 32 bits allow, no tree of one leaf. The comparison is the library's own, `<=`
or `<`, and the features are in the library's own precision, so that ties fall as they fall there.

The strings are read in `REGRESSION` mode, where the service gives the mean over the trees:
scikit-learn's forests average probabilities and do not vote, and a sum is its mean times its
number. What the mean is turned into, one number or a class, is ordinary arithmetic on bands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ee

from water_gee.deploy import read_trees, tree_tables, tree_text
from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.kernels import cat
from water_gee.deploy.limits import MAX_REQUEST_BYTES
from water_gee.deploy.model_kinds import place_of_water
from water_gee.errors import DeployError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from water_gee.deploy.ensemble import Ensemble

EE_FUNCTIONS = frozenset(
    {
        "Classifier.decisionTreeEnsemble", "Classifier.setOutputMode", "Image.add", "Image.cat",
        "Image.classify", "Image.constant", "Image.divide", "Image.eq", "Image.exp", "Image.gt",
        "Image.gte", "Image.mask", "Image.max", "Image.min", "Image.multiply", "Image.reduce",
        "Image.rename", "Image.select", "Image.subtract", "Image.toDouble", "Image.toFloat",
        "Image.toInt32", "Image.toUint8", "Image.unmask", "Image.updateMask", "Reducer.max",
        "Reducer.min", "Reducer.sum",
    }
)  # fmt: skip
"""Everything that a converted model of trees calls, by the names on the wire; one that is read from
tables calls `tree_tables.FUNCTIONS` besides."""

WATER_BAND = "water"
PROBABILITY_BAND = "probability"
CLASS_BAND = "class"
VALUE_BAND = "prediction"

ROOM = 400_000
"""Bytes of a request left to the features and what is asked of the map."""

MODE = "REGRESSION"

_FILES = (".json", ".ubj", ".txt")
"""How the files of boosters end."""


def is_tree_model(model: Any) -> bool:
    """Whether `trees_to_ee` is for this model, or for the file of this name."""
    if isinstance(model, (str, Path)):
        return Path(model).suffix in _FILES
    return read_trees.is_tree_model(model)


def tree_strings(
    model: Any, bands: Sequence[str] | None = None, *, water_class: Any = None
) -> list[str]:
    """Write a model as strings for `ee.Classifier.decisionTreeEnsemble(...)`.

    In output mode `REGRESSION` their mean is what the model says: a forest's probability of the
    water class or mean value; of a boosted model the raw score, before the sigmoid or softmax.

    Args:
        model: A fitted model of trees of scikit-learn, xgboost or lightgbm, or the file of a
            booster.
        bands: Names of the bands that hold the features, in the order of training. By default the
            names that the model remembers, else `f0`, `f1`, ...
        water_class: The class that is water, see `trees_to_ee`.

    Returns:
        One string for each tree, more where a tree is deeper than 30 tests.

    Raises:
        UnsupportedLayerError: No model of trees, or one with splits that are no comparison.
        DeployError: Not fitted; a name that the text cannot hold; scalers before the trees.
    """
    ensemble = read_trees.read(loaded(model))
    if ensemble.steps:
        raise DeployError(
            "the strings of trees behind a scaler would ask for scaled bands; use trees_to_ee(), "
            "which scales them, or give the trees alone"
        )
    names = tree_text.checked_names(_names(ensemble, bands))
    if ensemble.classes is None or len(ensemble.outputs) == 1:
        return tree_text.texts(ensemble.outputs[0], names)
    return tree_text.texts(ensemble.outputs[place_of_water(ensemble.classes, water_class)], names)


def trees_to_ee(
    model: Any,
    image: ee.Image | None = None,
    *,
    bands: Sequence[str] | None = None,
    water_class: Any = None,
    probability: bool = True,
    trees_asset: str | None = None,
) -> ee.Image:
    """Rewrite a model of trees as an Earth Engine image.

    Args:
        model: A fitted model of trees of scikit-learn (also behind scalers, in a `Pipeline`),
            xgboost or lightgbm, or the file of a booster.
        image: The features. They are compared as 32-bit floats where the model does so.
        bands: Names of the bands that hold the features, in the order of training. By default the
            names that the model remembers; without any, the first bands in order.
        water_class: What the model calls water. By default 1, or a class named «water».
        probability: Whether to add the band `probability`.
        trees_asset: Where `tree_tables.store_trees` stored the model's text, for one that is larger
            than a request.

    Returns:
        Of two classes `water`, uint8, 1 where the model predicts water, and `probability`, float,
        of water. Of more classes also `class`, int32: what the model calls it where all classes
        are whole numbers, else its place in `classes_`. Of a regression only `prediction`, float.
        Masked wherever one feature is masked.

    Raises:
        UnsupportedLayerError: No model of trees, or one with splits that are no comparison.
        DeployError: Not fitted, another number of bands, no such class, a model that no request
            holds, or no such tables.
    """
    ensemble = read_trees.read(loaded(model))
    if image is None:
        raise DeployError("trees do not say how their features are made; give the image of them")
    raw = observed_features(ensemble, image, bands)
    strings = _strings(ensemble, water_class)
    if trees_asset is not None:
        tables = tree_tables.tables_of(strings)
        tables.check(trees_asset)
        sources: list[Any] = [tables.texts(trees_asset, output) for output in strings]
    else:
        _check_size(strings)
        sources = list(strings.values())
    features = _scaled(ensemble, raw)
    scores = [
        features.classify(ee.Classifier.decisionTreeEnsemble(texts).setOutputMode(MODE), "score")
        for texts in sources
    ]
    made = _map(ensemble, scores, water_class, probability)
    return made.updateMask(raw.mask().reduce(ee.Reducer.min()).gt(0))


def strings_of(model: Any, water_class: Any = None) -> dict[int, list[str]]:
    """What a map of a model reads: output -> its strings, over features `f0`, `f1`, ...

    Raises:
        As `trees_to_ee`.
    """
    return _strings(read_trees.read(loaded(model)), water_class)


def _strings(ensemble: Ensemble, water_class: Any) -> dict[int, list[str]]:
    """Of two classes one output is enough: that of water, or the only one."""
    outputs: Sequence[int] = range(len(ensemble.outputs))
    if ensemble.classes is not None:
        water = place_of_water(ensemble.classes, water_class)
        if len(outputs) == 2 and ensemble.link == "identity":
            outputs = [water]
    names = _plain_names(ensemble)
    return {output: tree_text.texts(ensemble.outputs[output], names) for output in outputs}


def _check_size(strings: Mapping[int, Sequence[str]]) -> None:
    """Refuse what no request holds, before anything is sent."""
    every = [text for texts in strings.values() for text in texts]
    size = sum(len(text) + text.count("\n") + 4 for text in every)
    if size > MAX_REQUEST_BYTES - ROOM:
        raise DeployError(
            f"the text of {len(every):,} trees takes {size:,} bytes, and a request "
            f"{MAX_REQUEST_BYTES:,}; train fewer trees (n_estimators) or smaller ones "
            "(max_leaf_nodes, max_depth, min_samples_leaf), or store them with "
            "water_gee.deploy.tree_tables.store_trees and give trees_asset="
        )


def loaded(model: Any) -> Any:
    """A booster out of its file, or the model itself.

    Raises:
        DeployError: No file, or no booster in it.
        MissingExtraError: Its library is not installed.
    """
    if not isinstance(model, (str, Path)):
        return model
    path = Path(model)
    if not path.is_file():
        raise DeployError(f"there is no model file {path}")
    if path.suffix == ".txt":
        try:
            import lightgbm
        except ImportError as error:
            raise MissingExtraError("lightgbm", "trees") from error
        return _opened(
            path, lightgbm.basic.LightGBMError, lambda: lightgbm.Booster(model_file=path)
        )
    if path.suffix in (".json", ".ubj"):
        try:
            import xgboost
        except ImportError as error:
            raise MissingExtraError("xgboost", "trees") from error
        return _opened(path, xgboost.core.XGBoostError, lambda: xgboost.Booster(model_file=path))
    raise DeployError(
        f"{path} is no booster's file; known: .json and .ubj of xgboost, .txt of lightgbm; of "
        "scikit-learn, give the model itself"
    )


def _opened(path: Path, refusal: type[Exception], open_: Any) -> Any:
    try:
        return open_()
    except refusal as error:
        said = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise DeployError(f"{path} cannot be read as a booster: {said}") from error


def _names(ensemble: Ensemble, bands: Sequence[str] | None) -> list[str]:
    if bands is not None:
        return _counted(ensemble, list(bands))
    return list(ensemble.names or _plain_names(ensemble))


def _counted(ensemble: Ensemble, bands: list[str]) -> list[str]:
    if len(bands) != ensemble.channels:
        raise DeployError(
            f"the model takes {ensemble.channels} features, not {len(bands)}; give the names of "
            "its bands in the order of training"
        )
    return bands


def observed_features(ensemble: Ensemble, image: ee.Image, bands: Sequence[str] | None) -> ee.Image:
    """The bands that a model takes, in its precision and masked as they are: `f0`, `f1`, ...

    Raises:
        DeployError: Another number of bands.
    """
    chosen = ensemble.names if bands is None else _counted(ensemble, list(bands))
    selectors: list[Any] = list(chosen or range(ensemble.channels))
    given: ee.Image = ee.Image(image).select(selectors, _plain_names(ensemble))
    return given.toDouble() if ensemble.wide else given.toFloat()


def _plain_names(ensemble: Ensemble) -> list[str]:
    return [f"f{index}" for index in range(ensemble.channels)]


def _scaled(ensemble: Ensemble, raw: ee.Image) -> ee.Image:
    """What the trees compare: unmasked, and behind the scalers, which keep 32 bits."""
    names = _plain_names(ensemble)
    features = raw.unmask(0, False)
    for step in ensemble.steps:
        by = ee.Image.constant([float(one) for one in step.by]).rename(names)
        features = getattr(features, step.how)(by).toFloat()
    return features


def _map(
    ensemble: Ensemble, scores: list[ee.Image], water_class: Any, probability: bool
) -> ee.Image:
    """Bands out of the scores, one for each output that was asked for."""
    if ensemble.classes is None:
        value: ee.Image = LINKS_EE[ensemble.link](scores[0]).toFloat().rename([VALUE_BAND])
        return value
    water = place_of_water(ensemble.classes, water_class)
    if len(ensemble.classes) == 2:
        if ensemble.link == "softmax":  # of two, it is the sigmoid of their difference
            return _binary(ensemble, "sigmoid", scores[1].subtract(scores[0]), water, probability)
        return _binary(ensemble, ensemble.link, scores[0], water, probability)
    return _many(ensemble, scores, water, probability)


def _binary(
    ensemble: Ensemble, link: str, score: ee.Image, water: int, probability: bool
) -> ee.Image:
    """Water and its probability; equals go where the model's own `predict` sends them.

    Args:
        ensemble: Of two classes.
        link: `identity` for a probability of water, `sigmoid` for a score of the second class.
        score: One band.
        water: The place of the water class.
        probability: Whether it is asked for.
    """
    even = 0.5 if link == "identity" else 0.0
    if link == "sigmoid" and water == 0:
        score = score.multiply(-1)
    wet = score.gte(even) if ensemble.tie == water else score.gt(even)
    bands = [wet.toUint8().rename([WATER_BAND])]
    if probability:
        bands.append(LINKS_EE[link](score).toFloat().rename([PROBABILITY_BAND]))
    return cat(bands)


def _many(ensemble: Ensemble, outputs: list[ee.Image], water: int, probability: bool) -> ee.Image:
    """Water, its probability, and the most probable class, the first of equals."""
    assert ensemble.classes is not None
    count = len(ensemble.classes)
    names = [f"s{place}" for place in range(count)]
    scores = cat(outputs).rename(names)
    # Where a class is as good as the best it counts count - place: the largest is the first.
    ranks = ee.Image.constant([count - place for place in range(count)]).rename(names)
    best = scores.eq(scores.reduce(ee.Reducer.max())).multiply(ranks).reduce(ee.Reducer.max())
    place = best.multiply(-1).add(count)
    bands = [place.eq(water).toUint8().rename([WATER_BAND])]
    if probability:
        likely = LINKS_EE[ensemble.link](scores).select([water], [PROBABILITY_BAND])
        bands.append(likely.toFloat())
    bands.append(_labelled(place, ensemble.classes).toInt32().rename([CLASS_BAND]))
    return cat(bands)


def _labelled(place: ee.Image, classes: tuple[Any, ...]) -> ee.Image:
    """What the classes are called, where that is a whole number."""
    whole = all(isinstance(one, (int, float)) and one == int(one) for one in classes)
    if not whole or [int(one) for one in classes] == list(range(len(classes))):
        return place
    names = [f"c{index}" for index in range(len(classes))]
    places = ee.Image.constant(list(range(len(classes)))).rename(names)
    labels = ee.Image.constant([int(one) for one in classes]).rename(names)
    label: ee.Image = places.eq(place).multiply(labels).reduce(ee.Reducer.sum())
    return label


LINKS_EE: dict[str, Any] = {
    "identity": lambda scores: scores,
    "exp": lambda scores: scores.exp(),
    "sigmoid": lambda scores: ACTIVATIONS["sigmoid"].earth_engine(scores, {}),
    "softmax": lambda scores: ACTIVATIONS["softmax"].earth_engine(scores, {}),
}
"""From an image with one band for each output to what the model says."""
