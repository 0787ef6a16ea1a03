"""A thousand random models of trees: every string is parsed, every class is the model's own.

The thresholds are tiny and huge, zeros of both signs and neighbours in 32 bits, and the pixels lie
on them and beside them. The parser and the evaluation are the emulator's.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from random_forests import boosting_case, lightgbm_case, sklearn_case, xgboost_case
from studio import Studio
from threadpoolctl import threadpool_limits

from water_gee.deploy.trees import trees_to_ee

EVEN = 1e-6
"""Classes nearer than this are as good as equal: libraries add in 32 bits, in their own order."""


@pytest.fixture(scope="module")
def studio(ee):
    with threadpool_limits(1):  # models this small only wait for each other's threads
        yield Studio(ee)


def check(studio, case):
    rows = case.places.reshape(6, 8, -1)
    image = studio.raster(*np.moveaxis(rows, -1, 0))
    studio.assets.images = dict(list(studio.assets.images.items())[-1:])
    made = trees_to_ee(case.model, image, water_class=case.water)
    found = {name: values.ravel() for name, (values, _) in studio.blocks(made, (6, 8)).items()}
    if not hasattr(case.model, "predict_proba"):
        expected = case.model.predict(case.places)
        # The band has 32 bits.
        np.testing.assert_allclose(found["prediction"], expected, rtol=1e-5, atol=1e-6)
        return
    likely, said = case.model.predict_proba(case.places), case.model.predict(case.places)
    names = list(case.model.classes_)
    water = next(one for one in names if one in (case.water, 1, "water"))
    np.testing.assert_allclose(found["probability"], likely[:, names.index(water)], atol=1e-6)
    ordered = np.sort(likely, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > EVEN if len(names) > 1 else np.ones(48, bool)
    np.testing.assert_array_equal(found["water"][clear], (said == water)[clear])
    if len(names) > 2:
        labels = (
            said if isinstance(names[0], np.integer) else np.array([names.index(s) for s in said])
        )
        np.testing.assert_array_equal(found["class"][clear], labels[clear])


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_trees_and_forests(studio, first):
    for seed in range(first, first + 100):
        check(studio, sklearn_case(seed))


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_gradient_boosting(studio, first):
    for seed in range(first, first + 40):
        check(studio, boosting_case(seed))


@pytest.mark.parametrize("first", range(0, 140, 70))
def test_xgboost(studio, first):
    for seed in range(first, first + 70):
        check(studio, xgboost_case(seed))


@pytest.mark.parametrize("first", range(0, 140, 70))
def test_lightgbm(studio, first):
    for seed in range(first, first + 70):
        check(studio, lightgbm_case(seed))


@pytest.mark.slow
def test_the_benchmark_holds_on_fewer_forests(capsys):
    path = Path(__file__).parents[2] / "benchmarks" / "trees.py"
    spec = importlib.util.spec_from_file_location("trees_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(["--forests", "40", "--pixels", "200", "--geemap", "0"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["figure"], line["parse_failures"], line["holds"]) == (1.0, 0, True)
