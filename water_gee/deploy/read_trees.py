"""Tree models of scikit-learn -> `Ensemble`; what is no such model is refused by name.

scikit-learn is never imported: a model that is here brings it along. Trees and forests compare
`float32(x) <= threshold` with the threshold a double; histogram boosting compares doubles
(`sklearn/tree/_tree.pyx`, `sklearn/ensemble/_hist_gradient_boosting/_predictor.pyx`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy import read_boosted
from water_gee.deploy.ensemble import LEAF, Ensemble, Output, Tree
from water_gee.deploy.model_kinds import (
    categorical,
    classes_of,
    fitted,
    kind_of,
    library_of,
    names_of,
    unpacked,
    unsupported,
)
from water_gee.deploy.scalers import scaler_steps
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable

TRIALS = 512
"""Random observations on which a model and what was read of it are compared."""

AGREEMENT = 1e-5
"""The largest difference between them: libraries that add in 32 bits are that exact."""


def is_tree_model(model: Any) -> bool:
    """Whether a model is of trees, or a pipeline that ends in one."""
    return kind_of(unpacked(model)[1], READERS) is not None


def read(model: Any) -> Ensemble:
    """Read a fitted model of trees.

    Args:
        model: scikit-learn's decision trees, random forests, extra trees, gradient boosting and
            histogram gradient boosting, classifiers and regressors, alone or behind scalers in a
            `Pipeline`; xgboost's and lightgbm's boosters and their scikit-learn classes.

    Raises:
        UnsupportedLayerError: A model of another kind, or one with categorical splits, linear
            leaves, or several targets.
        DeployError: It is not fitted, or what was read does not say what the model says.
    """
    scalers, final = unpacked(model)
    kind = kind_of(final, READERS)
    if kind is None:
        raise unsupported(final, "it is no model of trees; known: " + ", ".join(sorted(READERS)))
    ensemble = READERS[kind](final)
    if scalers:
        steps = tuple(step for scaler in scalers for step in scaler_steps(scaler))
        names = names_of(scalers[0]) or ensemble.names
        ensemble = replace(ensemble, steps=steps, names=names)
    _compare(model, ensemble)
    return ensemble


def _compare(model: Any, ensemble: Ensemble) -> None:
    """Ask the model itself: a library that changed what its files mean is found out here."""
    features = _trials(ensemble)
    expected = _answer(model, features, ensemble)
    if expected is None:
        return
    scale = max(1.0, float(np.abs(expected).max()))
    worst = float(np.abs(ensemble.predict(features) - expected).max()) / scale
    if not worst <= AGREEMENT:
        raise DeployError(
            f"{type(model).__name__} was read wrongly: it differs by {worst:.2g} from what the "
            "model itself says; its library's version is not known here, please report it"
        )


def _answer(model: Any, features: Any, ensemble: Ensemble) -> Any:
    """What the model says, `(n, class)` or `(n, 1)`."""
    classes = ensemble.classes is not None
    if library_of(model) == "xgboost" or type(model).__name__ == "Booster":
        return read_boosted.answer(model, features, classes)
    names = names_of(model)
    if names is not None:  # without names, libraries warn
        import pandas as pd

        features = pd.DataFrame(features, columns=list(names))
    if classes:
        return np.asarray(model.predict_proba(features), np.float64)
    return np.asarray(model.predict(features), np.float64).reshape(-1, 1)


def _trials(ensemble: Ensemble) -> Any:
    """float32 `(TRIALS, channels)` around the thresholds, where the trees say different things."""
    rng = np.random.default_rng(0)
    limits: list[list[float]] = [[] for _ in range(ensemble.channels)]
    for output in ensemble.outputs:
        for tree in output.trees[:20]:
            inner = (tree.feature != LEAF) & (np.abs(tree.threshold) < 1e30)
            for feature, threshold in zip(
                tree.feature[inner][:200], tree.threshold[inner][:200], strict=True
            ):
                limits[int(feature)].append(float(threshold))
    columns = []
    for own in limits:
        # Near ties a scaler's last digit may decide: random points stay off the thresholds.
        low, high = (min(own), max(own)) if own else (0.0, 1.0)
        spread = max(high - low, abs(high), abs(low), 1e-6)
        columns.append(rng.uniform(low - spread / 4, high + spread / 4, TRIALS))
    features = np.stack(columns, axis=1)
    return _before(ensemble, features).astype(np.float32)


_INVERSE: dict[str, Callable[[Any, Any], Any]] = {
    "subtract": np.add,
    "divide": np.multiply,
    "multiply": lambda features, by: features / np.where(by == 0, 1, by),
    "add": np.subtract,
}


def _before(ensemble: Ensemble, features: Any) -> Any:
    """What the scaler makes these features of."""
    for step in reversed(ensemble.steps):
        if step.how in _INVERSE:
            features = _INVERSE[step.how](features, step.by)
    return features


# ----------------------------------------------------------------------------------------- readers


def _cart(tree: Any, value: Any) -> Tree:
    """A `sklearn.tree._tree.Tree` with these values at its nodes."""
    inner = tree.children_left != tree.children_right
    return Tree(
        np.where(inner, tree.feature, LEAF).astype(np.intp),
        np.where(inner, tree.threshold, 0.0).astype(np.float64),
        tree.children_left.astype(np.intp),
        tree.children_right.astype(np.intp),
        np.asarray(value, np.float64),
    )


def _forest(model: Any) -> Ensemble:
    """Trees of which the class probabilities, or the values, are averaged."""
    trees = [one.tree_ for one in fitted(model, "estimators_")]
    return _averaged(model, trees)


def _single(model: Any) -> Ensemble:
    return _averaged(model, [fitted(model, "tree_")])


def _averaged(model: Any, trees: list[Any]) -> Ensemble:
    if trees[0].n_outputs != 1:
        raise unsupported(model, "it has several targets; train one model for each")
    classes = classes_of(model)
    tables = [tree.value[:, 0, :] for tree in trees]
    if classes is not None:
        # Fractions since scikit-learn 1.3, sums of weights before.
        tables = [table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300) for table in tables]
    outputs = tuple(
        Output(
            tuple(_cart(tree, table[:, column]) for tree, table in zip(trees, tables, strict=True)),
            mean=True,
        )
        for column in range(tables[0].shape[1])
    )
    return Ensemble(model.n_features_in_, outputs, classes=classes, names=names_of(model))


def _gradient_boosting(model: Any) -> Ensemble:
    """Stages of regression trees, shrunk, on what a constant start says."""
    stages = fitted(model, "estimators_")
    start = model.init_
    if start != "zero" and type(start).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise unsupported(
            model,
            f"it starts from a model of its own ({type(start).__name__}); train with init="
            "None or 'zero'",
        )
    base = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
    rate, links = model.learning_rate, {"log_loss": "softmax", "exponential": "sigmoid"}
    classes = classes_of(model)
    columns = range(stages.shape[1])
    factor = 2.0 if model.loss == "exponential" else 1.0
    outputs = tuple(
        Output(
            tuple(
                _cart(one.tree_, one.tree_.value[:, 0, 0] * rate * factor)
                for one in stages[:, column]
            ),
            float(base[column]) * factor,
        )
        for column in columns
    )
    link = "identity" if classes is None else links[model.loss]
    if link == "softmax" and len(outputs) == 1:
        link = "sigmoid"
    return Ensemble(model.n_features_in_, outputs, link, classes, names_of(model), tie=1)


def _histogram(model: Any) -> Ensemble:
    """Boosting over histograms: doubles are compared, the start is a constant."""
    stages = fitted(model, "_predictors")
    base = np.ravel(model._baseline_prediction)
    outputs = tuple(
        Output(
            tuple(_histogram_tree(model, stage[column].nodes) for stage in stages),
            float(base[column]),
        )
        for column in range(len(base))
    )
    classes = classes_of(model)
    if classes is not None:
        link = "sigmoid" if len(base) == 1 else "softmax"
    else:
        link = "exp" if model.loss in ("poisson", "gamma") else "identity"
    names = names_of(model)
    return Ensemble(model.n_features_in_, outputs, link, classes, names, double=True)


def _histogram_tree(model: Any, nodes: Any) -> Tree:
    inner = nodes["is_leaf"] == 0
    if (nodes["is_categorical"][inner] != 0).any():
        feature = int(nodes["feature_idx"][inner][nodes["is_categorical"][inner] != 0][0])
        raise categorical(model, feature)
    return Tree(
        np.where(inner, nodes["feature_idx"], LEAF).astype(np.intp),
        np.where(inner, nodes["num_threshold"], 0.0),
        nodes["left"].astype(np.intp),
        nodes["right"].astype(np.intp),
        nodes["value"].astype(np.float64),
    )


READERS: dict[str, Callable[[Any], Ensemble]] = {
    "sklearn.DecisionTreeClassifier": _single,
    "sklearn.DecisionTreeRegressor": _single,
    "sklearn.RandomForestClassifier": _forest,
    "sklearn.RandomForestRegressor": _forest,
    "sklearn.ExtraTreesClassifier": _forest,
    "sklearn.ExtraTreesRegressor": _forest,
    "sklearn.GradientBoostingClassifier": _gradient_boosting,
    "sklearn.GradientBoostingRegressor": _gradient_boosting,
    "sklearn.HistGradientBoostingClassifier": _histogram,
    "sklearn.HistGradientBoostingRegressor": _histogram,
    **read_boosted.READERS,
}
"""By library and class; a class derived from one of these is read like it."""
