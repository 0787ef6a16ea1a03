"""Boosters of xgboost and lightgbm -> `Ensemble`, from the libraries' own JSON.

xgboost compares `float32(x) < threshold` with a threshold of 32 bits and adds to a base score that
is kept behind the objective's link (doc/tutorials/saving_model). lightgbm compares `x <= threshold`
in doubles and keeps its start in the first tree (docs of `Booster.dump_model`).

The direction of missing values is not written: features are observed wherever a map is, and a
pixel that lacks one is masked. Where lightgbm takes zeros for missing, their direction has to be
the one that the comparison gives anyway.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.ensemble import LEAF, Ensemble, Output, Tree
from water_gee.deploy.model_kinds import categorical, classes_of, unsupported
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

XGBOOST_LINKS = {
    "binary:logistic": "sigmoid",
    "reg:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:absoluteerror": "identity",
    "reg:quantileerror": "identity",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
}
"""Objective -> link (xgboost's parameter reference, «objective»)."""

LIGHTGBM_LINKS = {
    "binary": "sigmoid",
    "cross_entropy": "sigmoid",
    "multiclass": "softmax",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
}
"""Objective -> link (lightgbm's parameter reference, «objective»)."""

ZERO = float(np.float32(1e-35))
"""Up to here, lightgbm takes a number for zero (`kZeroThreshold` in its sources)."""


# ----------------------------------------------------------------------------------------- xgboost


def xgboost_model(model: Any) -> Ensemble:
    """Read `XGBClassifier`, `XGBRegressor` and their like, up to the best iteration."""
    try:
        booster = model.get_booster()
    except Exception as error:
        if type(error).__name__ != "NotFittedError":
            raise
        raise DeployError(f"{type(model).__name__} is not fitted; call its fit() first") from error
    classes = classes_of(model) if hasattr(type(model), "predict_proba") else None
    return _xgboost(booster, model, classes)


def xgboost_booster(booster: Any) -> Ensemble:
    """Read a `Booster`; the objective says whether it has classes, which are 0, 1, ... then."""
    return _xgboost(booster, booster, None)


def _xgboost(booster: Any, model: Any, classes: tuple[Any, ...] | None) -> Ensemble:
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    inner, weights = learner["gradient_booster"], None
    if inner["name"] == "dart":
        inner, weights = inner["gbtree"], inner["weight_drop"]
    if (
        inner.get("name", "gbtree") != "gbtree"
        or "model" not in inner
        or "trees" not in inner["model"]
    ):
        raise unsupported(model, f"its booster is {inner.get('name')!r}; use 'gbtree' or 'dart'")
    facts, objective = learner["learner_model_param"], learner["objective"]["name"]
    link = XGBOOST_LINKS.get(objective)
    if link is None:
        raise unsupported(
            model, f"objective {objective!r} is not known here; known: {', '.join(XGBOOST_LINKS)}"
        )
    if int(facts.get("num_target", 1)) > 1:
        raise unsupported(model, "it has several targets; train one model for each")
    groups = max(int(facts["num_class"]), 1)
    if classes is None and (link == "softmax" or objective == "binary:logistic"):
        classes = tuple(range(max(groups, 2)))
    found = inner["model"]
    last = _last_tree(model, found, groups)
    sums: list[list[Tree]] = [[] for _ in range(groups)]
    for index, tree in enumerate(found["trees"][:last]):
        weight = 1.0 if weights is None else float(np.float32(weights[index]))
        sums[found["tree_info"][index]].append(_xgboost_tree(model, tree, weight))
    bases = _base_margins(facts["base_score"], objective, groups)
    outputs = tuple(Output(tuple(trees), base) for trees, base in zip(sums, bases, strict=True))
    names = tuple(learner["feature_names"]) or None
    return Ensemble(int(facts["num_feature"]), outputs, link, classes, names)


def _last_tree(model: Any, found: Mapping[str, Any], groups: int) -> int:
    """How many trees count: with early stopping, scikit-learn's class stops at the best."""
    count = len(found["trees"])
    best = None if type(model).__name__ == "Booster" else _best_iteration(model)
    if best is None:
        return count
    starts = found.get("iteration_indptr")
    parallel = int(found["gbtree_model_param"]["num_parallel_tree"])
    last = starts[best + 1] if starts else (best + 1) * groups * parallel
    return min(int(last), count)


def _best_iteration(model: Any) -> int | None:
    try:
        return int(model.best_iteration)
    except AttributeError:
        return None


def _xgboost_tree(model: Any, tree: Mapping[str, Any], weight: float) -> Tree:
    if int(tree["tree_param"].get("size_leaf_vector", 1) or 1) > 1:
        raise unsupported(model, "its leaves hold several values; train one output per tree")
    left = np.array(tree["left_children"], np.intp)
    inner = left >= 0
    features = np.array(tree["split_indices"], np.intp)
    kinds = np.array(tree.get("split_type", np.zeros(len(left))), int)
    if (kinds[inner] != 0).any():
        raise categorical(model, int(features[inner][kinds[inner] != 0][0]))
    # One list holds the thresholds and, at leaves, the values; both are of 32 bits.
    numbers = np.array(tree["split_conditions"], np.float32).astype(np.float64)
    return Tree(
        np.where(inner, features, LEAF),
        np.where(inner, numbers, 0.0),
        left,
        np.array(tree["right_children"], np.intp),
        np.where(inner, 0.0, numbers * weight),
        strict=True,
    )


def _base_margins(text: Any, objective: str, groups: int) -> list[float]:
    """What the sums start from, before the link."""
    scores = json.loads(text) if isinstance(text, str) else text
    scores = [float(np.float32(one)) for one in (scores if isinstance(scores, list) else [scores])]
    if objective in ("binary:logistic", "reg:logistic"):
        scores = [math.log(one) - math.log1p(-one) for one in scores]
    elif XGBOOST_LINKS[objective] == "exp":
        scores = [math.log(one) for one in scores]
    return scores * groups if len(scores) == 1 else scores


# ---------------------------------------------------------------------------------------- lightgbm


def lightgbm_model(model: Any) -> Ensemble:
    """Read `LGBMClassifier`, `LGBMRegressor` and their like."""
    if getattr(model, "_Booster", None) is None:
        raise DeployError(f"{type(model).__name__} is not fitted; call its fit() first")
    classes = classes_of(model) if hasattr(type(model), "predict_proba") else None
    return _lightgbm(model.booster_, model, classes)


def lightgbm_booster(booster: Any) -> Ensemble:
    """Read a `Booster`; the objective says whether it has classes, which are 0, 1, ... then."""
    return _lightgbm(booster, booster, None)


def _lightgbm(booster: Any, model: Any, classes: tuple[Any, ...] | None) -> Ensemble:
    found = booster.dump_model()
    words = str(found.get("objective", "none")).split()
    link, factor = LIGHTGBM_LINKS.get(words[0]), 1.0
    for word in words[1:]:
        key, _, value = word.partition(":")
        if key == "sigmoid":
            factor = float(value)
        elif key == "sqrt":
            link = None
    if link is None:
        raise unsupported(
            model,
            f"objective {' '.join(words)!r} is not known here; known: {', '.join(LIGHTGBM_LINKS)}",
        )
    groups = int(found["num_tree_per_iteration"])
    if classes is None and words[0] in ("binary", "multiclass"):
        classes = tuple(range(max(groups, 2)))
    sums: list[list[Tree]] = [[] for _ in range(groups)]
    for index, tree in enumerate(found["tree_info"]):
        sums[index % groups].append(_lightgbm_tree(model, tree["tree_structure"], factor))
    mean = bool(found.get("average_output"))
    outputs = tuple(Output(tuple(trees), mean=mean) for trees in sums)
    given = tuple(found["feature_names"])
    unnamed = given == tuple(f"Column_{index}" for index in range(len(given)))
    channels = int(found["max_feature_idx"]) + 1
    return Ensemble(channels, outputs, link, classes, None if unnamed else given, double=True)


def _lightgbm_tree(model: Any, root: Mapping[str, Any], factor: float) -> Tree:
    """Lay out a nested tree in arrays, without recursion."""
    rows: list[list[float]] = []
    stack: list[tuple[Mapping[str, Any], int, int]] = [(root, -1, 0)]
    while stack:
        node, parent, side = stack.pop()
        if parent >= 0:
            rows[parent][side] = len(rows)
        if "split_feature" not in node:
            if node.get("leaf_coeff"):
                raise unsupported(model, "its leaves are linear; train with linear_tree=False")
            rows.append([LEAF, 0.0, 0, 0, node["leaf_value"] * factor])
            continue
        here = len(rows)
        rows.append([node["split_feature"], _threshold(model, node), 0, 0, 0.0])
        stack += [(node["right_child"], here, 3), (node["left_child"], here, 2)]
    table = np.array(rows, np.float64)
    feature, left, right = (table[:, column].astype(np.intp) for column in (0, 2, 3))
    return Tree(feature, table[:, 1], left, right, table[:, 4])


def _threshold(model: Any, node: Mapping[str, Any]) -> float:
    """What a split compares with; all numbers that count as zero go where zero goes."""
    if node["decision_type"] != "<=":
        raise categorical(model, int(node["split_feature"]))
    threshold = float(node["threshold"])
    if node["missing_type"] == "Zero" and bool(node["default_left"]) != (threshold >= 0):
        raise unsupported(
            model,
            f"it takes zeros of feature {node['split_feature']} for missing and sends them past "
            "the comparison; train with zero_as_missing=False",
        )
    if abs(threshold) > ZERO:
        return threshold
    return ZERO if threshold >= 0 else math.nextafter(-ZERO, -math.inf)


# ------------------------------------------------------------------------------------------ answers


def answer(model: Any, features: Array, classes: bool) -> Array | None:
    """What a booster itself says, `(n, class)` or `(n, 1)`; None where only classes come out."""
    if type(model).__module__.startswith("xgboost"):
        return _xgboost_answer(model, features, classes)
    found = np.asarray(model.predict(features), np.float64)
    return _table(found, classes)


def _xgboost_answer(model: Any, features: Array, classes: bool) -> Array | None:
    import xgboost

    booster = model if type(model).__name__ == "Booster" else model.get_booster()
    best = None if booster is model else _best_iteration(model)
    span = (0, 0) if best is None else (0, best + 1)
    matrix = xgboost.DMatrix(features, feature_names=booster.feature_names)
    found = np.asarray(booster.predict(matrix, iteration_range=span), np.float64)
    if classes and found.ndim == 1 and (found > 1).any():
        return None  # multi:softmax gives classes alone
    return _table(found, classes)


def _table(found: Array, classes: bool) -> Array:
    if found.ndim == 2:
        return found
    column = found[:, None]
    return np.concatenate([1 - column, column], axis=1) if classes else column


READERS: dict[str, Callable[[Any], Ensemble]] = {
    "xgboost.Booster": xgboost_booster,
    "xgboost.XGBModel": xgboost_model,
    "lightgbm.Booster": lightgbm_booster,
    "lightgbm.LGBMModel": lightgbm_model,
}
"""By library and class."""
