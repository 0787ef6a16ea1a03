"""Random models of trees over awkward numbers, and places at which to ask them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import xgboost
from sklearn import ensemble, tree
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

SKLEARN = (
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
)
LABELS = (
    (0, 1),
    (1, 2),
    (7, 1),
    (0, 1, 2),
    (1, 3, 5, 9),
    ("land", "water"),
    ("ice", "land", "water"),
)


@dataclass(frozen=True)
class Case:
    """A fitted model and float32 `(n, channel)` places, some of them on its thresholds."""

    model: Any
    places: np.ndarray
    water: Any


def column(rng, rows):
    """One feature: ordinary, tiny, huge, both zeros, neighbours in 32 bits, few steps, constant."""
    kind = rng.integers(8)
    plain = rng.normal(0, 1, rows)
    neighbours = np.float32(rng.choice([1.0, -0.3, 1e-30, 3e30])).view(np.int32)
    columns = [
        plain,
        plain * 1e-30,
        plain * 1e30,
        rng.choice([-0.0, 0.0, 1e-38, -1e-38], rows),
        (neighbours + rng.integers(-3, 4, rows).astype(np.int32)).view(np.float32),
        rng.integers(-3, 4, rows) / 4,
        np.full(rows, rng.normal()),
        rng.integers(0, 10_000, rows) * 0.0000275 - 0.2,
    ]
    return np.asarray(columns[kind], np.float32)


def data(rng, classes):
    """Features, and labels or numbers that depend on them."""
    rows, channels = int(rng.integers(12, 80)), int(rng.integers(1, 6))
    features = np.stack([column(rng, rows) for _ in range(channels)], axis=1)
    ranks = features.argsort(axis=0).argsort(axis=0) / rows
    score = ranks @ rng.normal(size=channels) + rng.normal(0, 0.1, rows)
    if classes is None:
        return features, score * rng.choice([1e-3, 1, 1e3])
    if rng.random() < 0.03:
        labels = np.zeros(rows, int)  # one class only, as in a scene without water
        labels[: len(classes)] = range(len(classes))
    else:
        labels = np.digitize(score, np.quantile(score, np.linspace(0, 1, len(classes) + 1)[1:-1]))
        labels[: len(classes)] = range(len(classes))
    return features, np.array(classes)[labels]


def thresholds(model, rng):
    """Some numbers a model compares with, by feature."""
    from water_gee.deploy import read_trees

    found = [
        (int(feature), float(limit))
        for output in read_trees.read(model).outputs
        for one in output.trees
        for feature, limit in zip(one.feature, one.threshold, strict=True)
        if feature >= 0 and abs(limit) < 1e38
    ]
    rng.shuffle(found)
    return found[:12]


def places(model, features, rng, *, exact):
    """Training samples, and these moved onto thresholds and their neighbours in 32 bits."""
    rows = features[rng.integers(0, len(features), 48)].copy()
    for row, (feature, limit) in zip(rows, (thresholds(model, rng) if exact else ()), strict=False):
        single = np.float32(limit)
        step = rng.integers(3)
        near = [
            single,
            np.nextafter(single, np.float32(np.inf)),
            np.nextafter(single, np.float32(-np.inf)),
        ]
        row[feature] = near[step]
    return rows


def sklearn_case(seed):
    rng = np.random.default_rng(seed)
    name = SKLEARN[seed % len(SKLEARN)]
    classes = None if "Regressor" in name else LABELS[rng.integers(len(LABELS))]
    features, answers = data(rng, classes)
    depth = [None, 1, 2, 5, 12][rng.integers(5)]
    options = {
        "max_depth": depth,
        "random_state": seed,
        "min_samples_leaf": int(rng.integers(1, 4)),
    }
    if "Forest" in name or "Extra" in name:
        options["n_estimators"] = int(rng.integers(1, 6))
    model = getattr(tree if "DecisionTree" in name else ensemble, name)(**options)
    scaled = rng.random() < 0.1 and np.abs(features).max() < 100
    if scaled:
        model = make_pipeline(StandardScaler(), MinMaxScaler(), model)
    model.fit(features, answers)
    return Case(model, places(model, features, rng, exact=not scaled), water(classes))


def boosting_case(seed):
    rng = np.random.default_rng(seed)
    classes = None if seed % 3 == 0 else LABELS[rng.integers(len(LABELS))]
    features, answers = data(rng, classes)
    kind = "Regressor" if classes is None else "Classifier"
    if seed % 4 == 0:
        model = getattr(ensemble, f"HistGradientBoosting{kind}")(
            max_iter=3, max_leaf_nodes=6, min_samples_leaf=2, random_state=seed
        )
    else:
        options = {"n_estimators": 4, "max_depth": int(rng.integers(1, 4)), "random_state": seed}
        if classes is not None and len(classes) == 2 and seed % 4 == 1:
            options["loss"] = "exponential"
        model = getattr(ensemble, f"GradientBoosting{kind}")(**options)
    model.fit(features, answers)
    return Case(model, places(model, features, rng, exact=True), water(classes))


def xgboost_case(seed):
    rng = np.random.default_rng(seed)
    classes = None if seed % 3 == 0 else [(0, 1), (0, 1, 2)][rng.integers(2)]
    features, answers = data(rng, classes)
    options = {
        "n_estimators": int(rng.integers(1, 5)),
        "max_depth": int(rng.integers(1, 8)),
        "min_child_weight": 0,
        "n_jobs": 1,
        "booster": "dart" if seed % 7 == 0 else "gbtree",
    }
    if classes is None:
        options["objective"] = "reg:gamma" if seed % 2 else "reg:squarederror"
        answers = np.abs(answers) + 1e-3
    model = (xgboost.XGBRegressor if classes is None else xgboost.XGBClassifier)(**options)
    model.fit(features, answers)
    return Case(model, places(model, features, rng, exact=True), water(classes))


def lightgbm_case(seed):
    rng = np.random.default_rng(seed)
    classes = None if seed % 3 == 0 else LABELS[rng.integers(len(LABELS))]
    features, answers = data(rng, classes)
    options = {
        "n_estimators": int(rng.integers(1, 5)),
        "num_leaves": int(rng.integers(2, 12)),
        "min_child_samples": 1,
        "min_child_weight": 0,
        "n_jobs": 1,
        "verbose": -1,
    }
    if seed % 5 == 0:
        options |= {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
    model = (lightgbm.LGBMRegressor if classes is None else lightgbm.LGBMClassifier)(**options)
    model.fit(features, answers)
    return Case(model, places(model, features, rng, exact=True), water(classes))


def water(classes):
    """The class called water, where nobody could guess it."""
    return None if classes is None or 1 in classes or "water" in classes else classes[0]
