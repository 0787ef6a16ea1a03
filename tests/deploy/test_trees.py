"""Models of trees, as a user has them, to Earth Engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn import ensemble, tree
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from studio import Studio

from water_gee.deploy import read_trees, trees
from water_gee.deploy.build_ee import to_ee
from water_gee.deploy.limits import measure
from water_gee.deploy.trees import is_tree_model, tree_strings, trees_to_ee
from water_gee.errors import DeployError, MissingExtraError, UnsupportedLayerError

BANDS = ["Green", "SWIR1", "mNDWI"]
SHAPE = (12, 15)


@pytest.fixture(scope="module")
def studio(ee):
    return Studio(ee)


def samples(rows=300, classes=2):
    rng = np.random.default_rng(7)
    features = rng.normal(0, 1, (rows, 3)).astype(np.float32)
    score = features @ [1.0, -2.0, 3.0] + rng.normal(0, 0.5, rows)
    return features, np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))


X, Y = samples()
_, Y3 = samples(classes=3)
PIXELS = samples(rows=180)[0] * np.float32(0.9)


def image_of(studio, pixels=PIXELS, mask=None, names=BANDS):
    planes = np.moveaxis(pixels.reshape(*SHAPE, -1), -1, 0)
    return studio.raster(*planes, mask=mask, names=names)


def values(studio, image):
    return {name: one[0].ravel() for name, one in studio.blocks(image, SHAPE).items()}


def forest(labels=Y, **options):
    return ensemble.RandomForestClassifier(10, random_state=1, **options).fit(X, labels)


# ----------------------------------------------------------------------------------- what comes out


def test_to_ee_takes_a_forest(studio):
    model = forest()
    found = values(studio, to_ee(model, image_of(studio)))
    assert list(found) == ["water", "probability"]
    np.testing.assert_array_equal(found["water"], model.predict(PIXELS))
    np.testing.assert_allclose(found["probability"], model.predict_proba(PIXELS)[:, 1], atol=1e-6)
    alone = to_ee(model, image_of(studio), probability=False)
    assert list(values(studio, alone)) == ["water"]


def test_types_and_mask_are_those_of_a_deployed_network(studio):
    mask = np.ones(SHAPE, bool)
    mask[2, 3:9] = False
    made = trees_to_ee(forest(), image_of(studio, mask=mask))
    kinds = {band["id"]: band["data_type"] for band in studio.info(made)["bands"]}
    assert kinds["water"] == {"type": "PixelType", "precision": "int", "min": 0, "max": 255}
    assert kinds["probability"]["precision"] == "float"
    for _, observed in studio.blocks(made, SHAPE).values():
        np.testing.assert_array_equal(observed > 0, mask)


def test_more_classes_have_a_band_of_their_own(studio):
    model = forest(np.array([30, 10, 20])[Y3])
    found = values(studio, trees_to_ee(model, image_of(studio), water_class=20))
    said = model.predict(PIXELS)
    np.testing.assert_array_equal(found["class"], said)
    np.testing.assert_array_equal(found["water"], said == 20)
    np.testing.assert_allclose(found["probability"], model.predict_proba(PIXELS)[:, 1], atol=1e-6)


def test_classes_with_names_are_numbered(studio):
    model = forest(np.array(["Land", "Ice", "Water"])[Y3])
    assert list(model.classes_) == ["Ice", "Land", "Water"]
    found = values(studio, trees_to_ee(model, image_of(studio)))
    said = np.array([list(model.classes_).index(one) for one in model.predict(PIXELS)])
    np.testing.assert_array_equal(found["class"], said)
    np.testing.assert_array_equal(found["water"], said == 2)


@pytest.mark.parametrize("water", [0, 1])
@pytest.mark.parametrize(
    "make",
    [
        lambda: forest(),
        lambda: ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0).fit(X, Y),
        lambda: ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(X, Y),
        lambda: xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, Y),
        lambda: lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(X, Y),
    ],
)
def test_either_class_may_be_water(studio, make, water):
    model = make()
    found = values(studio, trees_to_ee(model, image_of(studio), water_class=water))
    np.testing.assert_array_equal(found["water"], model.predict(PIXELS) == water)
    likely = model.predict_proba(PIXELS)[:, water]
    np.testing.assert_allclose(found["probability"], likely, atol=1e-6)


@pytest.mark.parametrize("water", [0, 1])
def test_equally_likely_classes_fall_as_the_model_says(studio, water):
    """Half the trees for, half against, exactly; and a boosted model that knows nothing."""
    rows = np.zeros((4, 1), np.float32)
    labels = np.array([0, 0, 1, 1])
    pixels = np.zeros((180, 1), np.float32)
    image = image_of(studio, pixels, names=["a"])
    for model in (
        tree.DecisionTreeClassifier().fit(rows, labels),
        ensemble.GradientBoostingClassifier(n_estimators=2).fit(rows, labels),
        ensemble.HistGradientBoostingClassifier(max_iter=2).fit(rows, labels),
        lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1).fit(rows, labels),
    ):
        found = values(studio, trees_to_ee(model, image, water_class=water))
        assert found["probability"].tolist() == [0.5] * 180
        np.testing.assert_array_equal(found["water"], model.predict(pixels) == water)


def test_a_regression_is_one_band(studio):
    height = np.abs(X @ [1.0, 2.0, 3.0]) + 0.1
    for model in (
        ensemble.ExtraTreesRegressor(5, random_state=0).fit(X, height),
        xgboost.XGBRegressor(n_estimators=5, objective="count:poisson", n_jobs=1).fit(X, height),
        lightgbm.LGBMRegressor(n_estimators=5, objective="gamma", n_jobs=1, verbose=-1).fit(
            X, height
        ),
    ):
        found = values(studio, trees_to_ee(model, image_of(studio)))
        assert list(found) == ["prediction"]
        np.testing.assert_allclose(found["prediction"], model.predict(PIXELS), rtol=2e-6)


def test_deep_trees_run_too(studio):
    """Alternating labels along one feature: a tree of more than 60 tests one under the other."""
    rows = np.cumsum(1.5 ** np.arange(120))[:, None].astype(np.float32)
    labels = np.arange(120) % 2
    model = tree.DecisionTreeClassifier(splitter="random", random_state=3).fit(rows, labels)
    pixels = np.concatenate([rows, rows[:60] * 1.1]).astype(np.float32)
    strings = tree_strings(model)
    numbers = [int(line.split(")")[0]) for text in strings for line in text.splitlines()]
    assert model.get_depth() > 31
    assert max(numbers) < 2**31
    found = values(studio, trees_to_ee(model, image_of(studio, pixels, names=["a"])))
    np.testing.assert_array_equal(found["water"], model.predict(pixels))


def test_bands_are_found_by_the_names_of_training_whatever_their_order(studio):
    table = pd.DataFrame(X, columns=BANDS)
    model = ensemble.RandomForestClassifier(3, random_state=0).fit(table, Y)
    shuffled = image_of(studio).select(["mNDWI", "Green", "SWIR1"])
    found = values(studio, trees_to_ee(model, shuffled))
    np.testing.assert_array_equal(
        found["water"], model.predict(pd.DataFrame(PIXELS, columns=BANDS))
    )
    renamed = image_of(studio, names=["B3", "B11", "index"])
    other = values(studio, trees_to_ee(model, renamed, bands=["B3", "B11", "index"]))
    np.testing.assert_array_equal(found["water"], other["water"])


def test_scalers_before_the_trees_are_computed_there(studio):
    model = make_pipeline(StandardScaler(), MinMaxScaler(), forest()).fit(X, Y)
    found = values(studio, trees_to_ee(model, image_of(studio)))
    np.testing.assert_array_equal(found["water"], model.predict(PIXELS))


def test_early_stopping_counts_trees_up_to_the_best(studio):
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, n_jobs=1, max_depth=6)
    model.fit(X[:200], Y[:200], eval_set=[(X[200:], Y[200:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    found = values(studio, trees_to_ee(model, image_of(studio)))
    np.testing.assert_allclose(found["probability"], model.predict_proba(PIXELS)[:, 1], atol=1e-6)


def test_boosters_come_bare_and_from_files(studio, tmp_path):
    matrix = xgboost.DMatrix(X, Y)
    bare = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 4)
    bare.save_model(tmp_path / "trees.ubj")
    data = lightgbm.Dataset(X, Y)
    other = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 4)
    other.save_model(tmp_path / "trees.txt")
    image = image_of(studio)
    for model, path, expected in (
        (bare, tmp_path / "trees.ubj", bare.predict(xgboost.DMatrix(PIXELS))),
        (other, tmp_path / "trees.txt", other.predict(PIXELS)),
    ):
        for one in (model, path, str(path)):
            found = values(studio, to_ee(one, image))
            np.testing.assert_allclose(found["probability"], expected, atol=1e-6)


@pytest.mark.parametrize("water", [0, 1])
def test_a_softmax_over_two_classes_is_understood(studio, water):
    options = {"objective": "multi:softprob", "num_class": 2, "nthread": 1}
    model = xgboost.train(options, xgboost.DMatrix(X, Y), 3)
    found = values(studio, trees_to_ee(model, image_of(studio), water_class=water))
    likely = model.predict(xgboost.DMatrix(PIXELS))
    np.testing.assert_allclose(found["probability"], likely[:, water], atol=1e-6)
    np.testing.assert_array_equal(found["water"], likely.argmax(axis=1) == water)


def test_a_scene_of_one_class_is_that_class(studio):
    model = tree.DecisionTreeClassifier().fit(X, np.ones(len(X), int))
    found = values(studio, trees_to_ee(model, image_of(studio)))
    assert found["water"].tolist() == found["probability"].tolist() == [1] * 180


# ----------------------------------------------------------------------------------------- strings


def test_the_mean_of_the_strings_is_what_the_model_says(studio, ee):
    """As in the Code Editor: strings, REGRESSION, classify."""
    model = forest()
    strings = tree_strings(model, BANDS)
    assert len(strings) == 10
    classifier = ee.Classifier.decisionTreeEnsemble(strings).setOutputMode("REGRESSION")
    found = values(studio, image_of(studio).classify(classifier))["classification"]
    np.testing.assert_allclose(found, model.predict_proba(PIXELS)[:, 1], atol=1e-12)
    boosted = lightgbm.LGBMClassifier(n_estimators=7, n_jobs=1, verbose=-1).fit(X, Y3)
    strings = tree_strings(boosted, BANDS, water_class=2)
    classifier = ee.Classifier.decisionTreeEnsemble(strings).setOutputMode("REGRESSION")
    raw = values(studio, image_of(studio).classify(classifier))["classification"]
    expected = boosted.predict(PIXELS, raw_score=True)[:, 2]
    np.testing.assert_allclose(raw, expected, atol=1e-12)


def test_thresholds_are_written_in_full():
    model = tree.DecisionTreeClassifier(max_depth=1).fit(X, Y)
    (text,) = tree_strings(model)
    limit = float(text.splitlines()[1].split()[3])
    assert limit == model.tree_.threshold[0]
    assert len(repr(limit)) > 12


def test_names_of_training_are_the_bands_of_the_strings():
    table = pd.DataFrame(X, columns=BANDS)
    (text,) = tree_strings(tree.DecisionTreeClassifier(max_depth=1).fit(table, Y))
    assert text.splitlines()[1].split()[1] in BANDS
    spaced = pd.DataFrame(X, columns=["Band 1", "Band 2", "Band 3"])
    model = tree.DecisionTreeClassifier(max_depth=1).fit(spaced, Y)
    with pytest.raises(DeployError, match="'Band 1' cannot be named"):
        tree_strings(model)
    assert tree_strings(model, BANDS)


# ----------------------------------------------------------------------------------------- refusals


def categorical_table():
    return pd.DataFrame({"kind": pd.Categorical(np.arange(300) % 4), "x": X[:, 0]})


def refusals():
    odd = (np.arange(300) % 4 % 2).astype(int)
    hist = ensemble.HistGradientBoostingClassifier(max_iter=2, categorical_features=[0])
    light = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1, min_child_samples=1)
    sparse = np.where(np.abs(X) < 0.7, 0, X).astype(np.float32)
    two = np.stack([Y, 1 - Y], axis=1)
    clipping = MinMaxScaler(clip=True)
    starting = tree.DecisionTreeClassifier(max_depth=1)
    return {
        "it splits feature 0 by category": hist.fit(categorical_table(), odd),
        "it splits feature 0 by category ": light.fit(categorical_table(), odd),
        "it splits feature 0 by category, and": xgboost.XGBClassifier(
            n_estimators=2, enable_categorical=True, n_jobs=1
        ).fit(categorical_table(), odd),
        "it takes zeros of feature": lightgbm.LGBMClassifier(
            n_estimators=9, verbose=-1, n_jobs=1, zero_as_missing=True
        ).fit(sparse, (sparse[:, 0] == 0).astype(int)),
        "its leaves are linear": lightgbm.LGBMRegressor(
            n_estimators=2, linear_tree=True, verbose=-1, n_jobs=1
        ).fit(X, X[:, 0]),
        "it has several targets": ensemble.RandomForestClassifier(2).fit(X, two),
        "it has several targets;": ensemble.RandomForestRegressor(2).fit(X, two),
        "it starts from a model of its own": ensemble.GradientBoostingClassifier(
            n_estimators=2, init=starting
        ).fit(X, Y),
        "its booster is 'gblinear'": xgboost.XGBClassifier(
            n_estimators=2, booster="gblinear", n_jobs=1
        ).fit(X, Y),
        "objective 'binary:hinge' is not known": xgboost.XGBClassifier(
            n_estimators=2, objective="binary:hinge", n_jobs=1
        ).fit(X, Y),
        "objective 'regression sqrt' is not known": lightgbm.LGBMRegressor(
            n_estimators=2, reg_sqrt=True, verbose=-1, n_jobs=1
        ).fit(X, np.abs(X[:, 0])),
        "it is no model of trees; known": ensemble.AdaBoostClassifier(n_estimators=2).fit(X, Y),
        "it cannot stand before the model": make_pipeline(PolynomialFeatures(), forest()).fit(X, Y),
        "it clips; make it with clip=False": make_pipeline(clipping, forest()).fit(X, Y),
    }


@pytest.mark.filterwarnings("ignore")
def test_models_that_text_cannot_hold_are_refused_by_name(studio):
    for message, model in refusals().items():
        with pytest.raises(UnsupportedLayerError) as caught:
            trees_to_ee(model, image_of(studio))
        assert message.rstrip(" ;,and") in str(caught.value), message
        assert "\n" not in str(caught.value)


def test_what_is_missing_or_wrong_is_said_in_a_line(studio, tmp_path):
    image = image_of(studio)
    broken = tmp_path / "broken.ubj"
    broken.write_bytes(b"no trees")
    other = tmp_path / "model.txt"
    other.write_text("no trees\neither")
    named = forest(np.array(["dry", "wet"])[Y])
    for call, message in [
        (lambda: trees_to_ee(forest(), None), "give the image of them"),
        (lambda: to_ee(forest()), "give the image of them"),
        (lambda: trees_to_ee(forest(), image, bands=["a", "b"]), "takes 3 features, not 2"),
        (lambda: tree_strings(forest(), ["a"]), "takes 3 features, not 1"),
        (lambda: trees_to_ee(forest(), image, water_class=5), "no class is 5; the model has 0, 1"),
        (lambda: trees_to_ee(named, image), "which class is water? the model has 'dry', 'wet'"),
        (lambda: trees_to_ee(ensemble.RandomForestClassifier(), image), "is not fitted"),
        (lambda: trees_to_ee(ensemble.GradientBoostingRegressor(), image), "is not fitted"),
        (lambda: trees_to_ee(ensemble.HistGradientBoostingRegressor(), image), "is not fitted"),
        (lambda: trees_to_ee(tree.DecisionTreeClassifier(), image), "is not fitted"),
        (lambda: trees_to_ee(xgboost.XGBClassifier(), image), "is not fitted"),
        (lambda: trees_to_ee(lightgbm.LGBMClassifier(), image), "is not fitted"),
        (
            lambda: tree_strings(make_pipeline(StandardScaler(), forest()).fit(X, Y)),
            "trees_to_ee()",
        ),
        (lambda: to_ee(tmp_path / "none.ubj", image), "there is no model file"),
        (lambda: to_ee(broken, image), "cannot be read as a booster"),
        (lambda: to_ee(other, image), "cannot be read as a booster"),
        (lambda: trees_to_ee(tmp_path / "broken.pkl", image), "there is no model file"),
    ]:
        with pytest.raises(DeployError) as caught:
            call()
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_ensemble_beyond_a_request_is_refused_before_anything_is_sent(studio, monkeypatch, ee):
    image = image_of(studio)
    made = trees_to_ee(forest(), image)
    size = measure(ee.serializer.encode(made, for_cloud_api=True))
    assert size.nesting < 60
    monkeypatch.setattr(trees, "MAX_REQUEST_BYTES", trees.ROOM + size.bytes)
    assert trees_to_ee(forest(), image)
    text = sum(len(json.dumps(one)) for one in tree_strings(forest()))
    monkeypatch.setattr(trees, "MAX_REQUEST_BYTES", trees.ROOM + text - 100)
    with pytest.raises(
        DeployError, match=r"the text of 10 trees takes [\d,]+ bytes, and a request"
    ):
        trees_to_ee(forest(), image)


def test_what_is_called_is_on_the_list_and_in_the_emulator(studio, ee):
    listed = trees.EE_FUNCTIONS | {"Image.load"}
    called: set[str] = set()
    for model in (
        make_pipeline(MinMaxScaler(), forest()).fit(X, Y),
        forest(Y3 * 2 + 1),
        ensemble.HistGradientBoostingRegressor(max_iter=2, loss="poisson").fit(X, Y),
        ensemble.GradientBoostingClassifier(n_estimators=2).fit(X, Y3),
        lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1).fit(X, Y),
    ):
        text = json.dumps(ee.serializer.encode(trees_to_ee(model, image_of(studio))))
        called |= set(re.findall(r'"functionName": "([^"]+)"', text))
    assert called <= listed
    assert listed <= set(studio.evaluator.registry.entries)


def test_a_model_read_wrongly_is_found_out(studio, monkeypatch):
    reader = read_trees.READERS["sklearn.RandomForestClassifier"]

    def slipped(model):
        found = reader(model)
        return type(found)(found.channels, found.outputs[::-1], classes=found.classes)

    monkeypatch.setitem(read_trees.READERS, "sklearn.RandomForestClassifier", slipped)
    with pytest.raises(DeployError, match="RandomForestClassifier was read wrongly"):
        trees_to_ee(forest(), image_of(studio))


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    for name, suffix in (("xgboost", ".ubj"), ("lightgbm", ".txt")):
        path = tmp_path / f"model{suffix}"
        path.write_text("trees")
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=r"pip install 'water-gee\[trees\]'"):
            tree_strings(path)


def test_only_models_of_trees_are_taken_for_such():
    assert is_tree_model(ensemble.RandomForestClassifier())
    assert is_tree_model(make_pipeline(StandardScaler(), xgboost.XGBRFClassifier()))
    assert is_tree_model("booster.ubj")
    for other in (None, 3, "model.keras", StandardScaler(), object()):
        assert not is_tree_model(other)


def test_neither_the_package_nor_the_converter_loads_the_libraries():
    code = (
        "import water_gee, water_gee.deploy.trees, water_gee.deploy.read_sklearn, sys;"
        "print(*{'sklearn', 'xgboost', 'lightgbm', 'pandas', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
