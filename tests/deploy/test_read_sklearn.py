"""Networks and linear classifiers of scikit-learn, in NumPy and on Earth Engine."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import LinearSVC
from studio import Studio

from water_gee.deploy.build_ee import network_image, read_graph, to_ee
from water_gee.deploy.layers import run_numpy
from water_gee.deploy.passes import simplify
from water_gee.deploy.read_sklearn import is_network, read
from water_gee.errors import DeployError, UnsupportedLayerError

SHAPE = (12, 15)
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def studio(ee):
    return Studio(ee)


def samples(classes=2, seed=3):
    rng = np.random.default_rng(seed)
    features = rng.normal([0, 40, 0.2], [1, 5, 0.01], (240, 3)).astype(np.float32)
    score = (features - [0, 40, 0.2]) @ [1.0, -0.2, 100] + rng.normal(0, 0.3, 240)
    edges = np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])
    return features, np.digitize(score, edges), score


X, Y, SCORE = samples()
Y3 = samples(3)[1]
PIXELS = samples(seed=4)[0][:180]


def perceptron(**options):
    return MLPClassifier((8, 5), max_iter=30, random_state=0, **options)


def by_numpy(model, **options):
    return run_numpy(simplify(read(model, **options)), PIXELS.reshape(*SHAPE, 3)).reshape(180, -1)


def image_of(studio):
    return studio.raster(*np.moveaxis(PIXELS.reshape(*SHAPE, 3), -1, 0), names=["a", "b", "c"])


MODELS = {
    **{
        f"{name} behind a scaler": make_pipeline(StandardScaler(), perceptron(activation=name))
        for name in ACTIVATIONS
    },
    "a perceptron alone": perceptron(),
    "a logistic regression": make_pipeline(MinMaxScaler(), LogisticRegression(C=100)),
    "a descent": make_pipeline(RobustScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    "scaler upon scaler": make_pipeline(
        make_pipeline(MaxAbsScaler(), StandardScaler()), perceptron()
    ),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("water", [0, 1])
def test_probability_of_water_is_the_models_own(name, water):
    model = MODELS[name].fit(X, Y)
    expected = model.predict_proba(PIXELS)[:, water]
    found = by_numpy(model, water_class=water)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["relu behind a scaler", "a logistic regression"])
@pytest.mark.parametrize("form", ["kernels", "matrix"])
def test_it_runs_on_earth_engine_in_every_form(studio, name, form):
    model = MODELS[name].fit(X, Y)
    found = studio.blocks(to_ee(model, image_of(studio), form=form), SHAPE)
    likely = model.predict_proba(PIXELS)[:, 1]
    np.testing.assert_allclose(found["probability"][0].ravel(), likely, atol=1e-5)
    clear = abs(likely - 0.5) > 1e-5
    said = model.predict(PIXELS)
    np.testing.assert_array_equal(found["water"][0].ravel()[clear], said[clear])


def test_more_classes_are_a_softmax_in_their_order():
    for model in (perceptron(), LogisticRegression()):
        pipeline = make_pipeline(StandardScaler(), model).fit(X, Y3)
        np.testing.assert_allclose(by_numpy(pipeline), pipeline.predict_proba(PIXELS), atol=1e-5)


def test_a_regression_is_its_value(studio):
    model = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(6,), max_iter=30, random_state=0)
    )
    model.fit(X, SCORE)
    np.testing.assert_allclose(by_numpy(model)[:, 0], model.predict(PIXELS), rtol=1e-4, atol=1e-5)
    image = network_image(read_graph(model), image_of(studio))
    ((values, _),) = studio.blocks(image, SHAPE).values()
    np.testing.assert_allclose(values.ravel(), model.predict(PIXELS), rtol=1e-4, atol=1e-5)
    with pytest.raises(DeployError, match="must be a softmax over"):
        to_ee(model, image_of(studio))


def test_a_support_vector_machine_is_even_at_its_border():
    model = make_pipeline(StandardScaler(), LinearSVC(random_state=0)).fit(X, Y)
    found = by_numpy(model)[:, 0]
    decision = model.decision_function(PIXELS)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-decision)), atol=1e-5)
    np.testing.assert_array_equal(found > 0.5, model.predict(PIXELS) == 1)


def test_what_is_no_network_here_is_refused_by_name():
    exponential = MLPRegressor(max_iter=2, random_state=0).fit(X, SCORE)
    exponential.out_activation_ = "exp"  # as newer versions have with loss="poisson"
    ridge = make_pipeline(StandardScaler(), RidgeClassifier())
    for model, message in [
        (ridge.fit(X, Y), "model 'model' (RidgeClassifier)"),
        (make_pipeline(PCA(2), perceptron()).fit(X, Y), "(PCA) cannot be converted"),
        (perceptron().fit(X, np.stack([Y, 1 - Y], axis=1)), "several labels at once"),
        (exponential, "activation 'exp' is not known"),
        (LinearSVC().fit(X, Y3), "one plane for each class"),
        (SGDClassifier(loss="modified_huber").fit(X, Y), "'modified_huber' has no sigmoid"),
    ]:
        with pytest.raises(UnsupportedLayerError) as caught:
            read(model)
        assert message.removeprefix("model 'model' ") in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not is_network(ridge)


def test_what_is_missing_is_said_in_a_line():
    for model, options, message in [
        (perceptron(), {}, "MLPClassifier is not fitted"),
        (LogisticRegression(), {}, "LogisticRegression is not fitted"),
        (perceptron().fit(X, Y), {"water_class": 7}, "no class is 7; the model has 0, 1"),
        (perceptron().fit(X, Y + 5), {}, "which class is water? the model has 5, 6"),
    ]:
        with pytest.raises(DeployError) as caught:
            read(model, **options)
        assert message in str(caught.value)
