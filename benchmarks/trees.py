"""Random forests as tree text in the emulator: does each parse, are all classes the model's own?

python benchmarks/trees.py [--forests N] [--pixels N]

Prints one line of JSON. Half of the pixels lie on a threshold of a tree, or on its neighbour in 32
bits: there a rounded threshold or another comparison shows. geemap's converter is run on the same
forests, in its mode for classes, as the figure to compare with.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib import metadata
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from water_gee.deploy import read_trees
from water_gee.deploy.tree_text import texts
from water_gee.emulator.classifiers import Classifier
from water_gee.emulator.treetext import parse_trees
from water_gee.errors import ServiceError

TIE = 1e-9
"""Two probabilities this near are equal: which is larger is a matter of the order of addition."""

BANDS = ("Blue", "Green", "Red", "NIR", "SWIR1", "mNDWI", "line", "elevation")
PACKAGES = ("scikit-learn", "numpy", "geemap")

Array = Any


def random_forest(seed: int) -> tuple[Any, Array]:
    """A forest of a random kind, depth and size on features like those of a map."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(30, 400))
    features = rng.normal(0.1, 0.15, (rows, len(BANDS)))
    features[:, 5:7] = rng.normal(0, 0.6, (rows, 2))
    features[:, 7] = rng.integers(0, 3000, rows) / 4000
    if seed % 3 == 0:
        features[:, :5] = np.round(features[:, :5] / 0.0000275) * 0.0000275  # as Landsat has it
    features *= 10.0 ** rng.integers(-6, 7) if seed % 10 == 0 else 1.0
    features = features.astype(np.float32)
    water = features @ rng.normal(0, 1 / np.maximum(features.std(axis=0), 1e-30)) > 0
    water[:2] = [False, True]
    kind = ExtraTreesClassifier if seed % 4 == 0 else RandomForestClassifier
    forest = kind(
        n_estimators=int(rng.integers(1, 12)),
        max_depth=[None, 3, 8][int(rng.integers(3))],
        min_samples_leaf=int(rng.integers(1, 6)),
        random_state=seed,
        n_jobs=1,
    )
    return forest.fit(features, water.astype(int)), features


def places(forest: Any, features: Array, pixels: int, seed: int) -> Array:
    """float32 `(pixel, band)`: half at random, half on thresholds and their neighbours."""
    rng = np.random.default_rng(seed)
    found = features[rng.integers(0, len(features), pixels)]
    found = found + (rng.normal(0, 0.3, found.shape) * features.std(axis=0)).astype(np.float32)
    trees = [one.tree_ for one in forest.estimators_]
    splits = [
        (feature, limit)
        for tree in trees
        for feature, limit in zip(tree.feature, tree.threshold, strict=True)
        if feature >= 0
    ]
    for row in found[::2] if splits else ():
        feature, limit = splits[int(rng.integers(len(splits)))]
        single = np.float32(limit)
        way = np.float32([-np.inf, np.inf][int(rng.integers(2))])
        row[feature] = single if rng.random() < 0.5 else np.nextafter(single, way)
    return found


def evaluate(strings: list[str], pixels: Array, mode: str) -> Array:
    """What the emulator makes of strings, `(pixel,)`."""
    trees = tuple(tree for text in strings for tree in parse_trees(text, "decisionTreeEnsemble"))
    classifier = Classifier("decisionTreeEnsemble", trees, tuple(strings), mode)
    columns = np.array([pixels[:, BANDS.index(name)] for name in classifier.schema], np.float64)
    return classifier.evaluate(columns.reshape(len(classifier.schema), len(pixels)))


def geemap_strings(forest: Any) -> list[str]:
    """The same forest by geemap's converter, without its pool of processes."""
    from geemap import ml

    return [
        ml.tree_to_string(one, list(BANDS), labels=[0, 1], output_mode="CLASSIFICATION")
        for one in forest.estimators_
    ]


def score(strings: Any, forest: Any, pixels: Array, *, mean: bool) -> tuple[bool, int]:
    """Whether strings parse, and how many pixels get another class than the forest gives."""
    likely = forest.predict_proba(pixels)[:, 1]
    clear = abs(likely - 0.5) > TIE
    try:
        found = evaluate(strings(forest), pixels, "REGRESSION" if mean else "CLASSIFICATION")
    except (ServiceError, IndexError, KeyError, TypeError, ValueError):
        return False, len(pixels)  # no text at all, or none that parses
    water = found > 0.5 if mean else found == 1
    return True, int((water != (forest.predict(pixels) == 1))[clear].sum())


def own_strings(forest: Any) -> list[str]:
    """The strings whose mean is the probability of water."""
    return texts(read_trees.read(forest).outputs[1], BANDS)


def main(arguments: list[str] | None = None) -> int:
    """Run it; returns 0 where every forest parses and every class is equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forests", type=int, default=1000)
    parser.add_argument("--pixels", type=int, default=1000, help="of each forest")
    parser.add_argument("--geemap", type=int, default=50, help="forests it converts too; slow")
    given = parser.parse_args(arguments)
    start = time.perf_counter()
    failed, wrong = {"own": 0, "geemap": 0}, {"own": 0, "geemap": 0}
    trees = nodes = 0
    for seed in range(given.forests):
        forest, features = random_forest(seed)
        pixels = places(forest, features, given.pixels, seed)
        trees += len(forest.estimators_)
        nodes += sum(one.tree_.node_count for one in forest.estimators_)
        for name, strings in (("own", own_strings), ("geemap", geemap_strings)):
            if name == "geemap" and seed >= given.geemap:
                continue
            parsed, differing = score(strings, forest, pixels, mean=name == "own")
            failed[name] += not parsed
            wrong[name] += differing if parsed else 0
    total = given.forests * given.pixels
    asked = min(given.forests, given.geemap)
    against_total = max((asked - failed["geemap"]) * given.pixels, 1)
    equal = 1 - wrong["own"] / total
    theirs = 1 - wrong["geemap"] / against_total if asked else None
    line = {
        "name": "trees",
        "figure": equal,
        "unit": "share of pixels with the forest's own class, of forests that parse",
        "against": "geemap.ml.tree_to_string",
        "against_figure": theirs,
        "ratio": equal / theirs if theirs else None,
        "bar": 1.0,
        "holds": failed["own"] == 0 and wrong["own"] == 0,
        "forests": given.forests,
        "trees": trees,
        "nodes": nodes,
        "pixels": total,
        "parse_failures": failed["own"],
        "geemap": {"forests": asked, "failures": failed["geemap"]},
        "seconds": round(time.perf_counter() - start, 1),
        "versions": {name: metadata.version(name) for name in PACKAGES[: 3 if asked else 2]},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if line["holds"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
