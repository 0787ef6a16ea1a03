"""Trees by themselves: evaluated, tidied so that text can hold them, cut where they are deep."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.deploy.ensemble import LEAF, Ensemble, Output, Step, Tree, constant, scaled, tidied
from water_gee.errors import DeployError

INF = np.inf


def made(*rows, strict=False):
    """A tree of rows (feature, threshold, left, right) or a leaf's value."""
    full = [(LEAF, 0.0, 0, 0, row) if np.isscalar(row) else (*row, 0.0) for row in rows]
    feature, threshold, left, right, value = (np.array(one) for one in zip(*full, strict=True))
    return Tree(feature, threshold.astype(float), left, right, value.astype(float), strict)


STUMP = ((0, 0.5, 1, 2), 10.0, 20.0)


def depth(tree):
    deepest, stack = 0, [(0, 0)]
    while stack:
        node, at = stack.pop()
        deepest = max(deepest, at)
        if tree.feature[node] != LEAF:
            stack += [(tree.left[node], at + 1), (tree.right[node], at + 1)]
    return deepest


def chain(steps, features, rng):
    """A tree that is one long way: at each test one side is a leaf."""
    rows, bounds = [], np.tile([-1.0, 1.0], (features, 1))
    for step in range(steps):
        feature = int(rng.integers(features))
        low, high = bounds[feature]
        limit = rng.uniform(low, high)
        left = bool(rng.integers(2))
        here = 2 * step
        rows.append(
            (feature, limit, here + 2, here + 1) if left else (feature, limit, here + 1, here + 2)
        )
        bounds[feature] = (low, limit) if left else (limit, high)
        rows.append(float(step))
    rows.append(-1.0)
    return made(*rows), bounds


def test_a_value_on_the_threshold_goes_left_unless_the_test_is_strict():
    features = np.array([[0.4], [0.5], [0.6]])
    assert made(*STUMP).evaluate(features).tolist() == [10, 10, 20]
    assert made(*STUMP, strict=True).evaluate(features).tolist() == [10, 20, 20]


def test_an_output_is_a_sum_or_a_mean():
    trees = (made(*STUMP), constant(3.0))
    features = np.array([[0.0], [1.0]])
    assert Output(trees, 1.0).evaluate(features).tolist() == [14, 24]
    assert Output(trees, mean=True).evaluate(features).tolist() == [6.5, 11.5]
    assert Output((), 2.0).evaluate(features).tolist() == [2, 2]


def test_features_come_in_32_bits_unless_doubles_are_compared():
    nearly = np.array([[0.5 + 1e-12]])
    outputs = (Output((made(*STUMP),)),)
    assert Ensemble(1, outputs).predict(nearly).tolist() == [[10]]
    assert Ensemble(1, outputs, double=True).predict(nearly).tolist() == [[20]]


def test_scalers_go_first_in_32_bits():
    steps = (Step("subtract", np.array([100.0])), Step("divide", np.array([200.0])))
    ensemble = Ensemble(1, (Output((made(*STUMP),)),), steps=steps)
    assert ensemble.predict(np.array([[200.0], [200.1]])).ravel().tolist() == [10, 20]


def test_two_classes_behind_one_sigmoid_have_two_probabilities():
    ensemble = Ensemble(1, (Output((constant(np.log(3)),)),), "sigmoid", classes=(0, 1))
    np.testing.assert_allclose(ensemble.predict(np.zeros((1, 1))), [[0.25, 0.75]])


@pytest.mark.parametrize("strict", [False, True])
def test_branches_that_nothing_reaches_go(strict):
    tree = made(
        (0, 0.5, 1, 4), (0, 0.7, 2, 3), 1.0, 2.0, (0, INF, 5, 6), (1, -INF, 7, 8), 3.0, 4.0, 5.0,
        strict=strict,
    )  # fmt: skip
    (tidy,) = tidied(tree)
    assert len(tidy.feature) == 3
    features = np.array([[0.4, 0.0], [0.5, 0.0], [0.6, 0.0], [9.0, 0.0]])
    np.testing.assert_array_equal(tidy.evaluate(features), tree.evaluate(features))
    assert np.isfinite(tidy.threshold).all()


def test_a_tree_that_never_splits_is_a_leaf():
    (tidy,) = tidied(made((0, INF, 1, 2), 1.0, 2.0))
    assert tidy.feature.tolist() == [LEAF]
    assert tidy.value.tolist() == [1.0]


@pytest.mark.parametrize(("steps", "features"), [(40, 1), (400, 2), (1500, 3), (100, 8)])
def test_a_deep_tree_becomes_shallow_ones_of_the_same_sum(steps, features):
    rng = np.random.default_rng(steps)
    tree, bounds = chain(steps, features, rng)
    assert depth(tree) == steps
    parts = tidied(tree)
    assert len(parts) > 1
    assert max(depth(part) for part in parts) <= 30
    ways = np.concatenate([tree.threshold[tree.feature == one] for one in range(features)])
    places = rng.uniform(-1.1, 1.1, (3000, features))
    places[:1000] = rng.choice(ways, (1000, features))  # on the thresholds
    inside = np.clip(
        bounds.mean(axis=1) + np.diff(bounds).ravel() * rng.normal(0, 2, (1000, features)), -1, 1
    )
    places[1000:2000] = inside
    np.testing.assert_array_equal(
        sum(part.evaluate(places) for part in parts), tree.evaluate(places)
    )


def test_a_bushy_deep_tree_is_cut_everywhere():
    rng = np.random.default_rng(4)
    rows = []

    # All ways are 9 tests deep in one feature, and cut after 4.
    def grow(low, high, at):
        here = len(rows)
        if at == 9:
            rows.append(float(rng.normal()))
            return here
        rows.append(None)
        middle = rng.uniform(low, high)
        left = grow(low, middle, at + 1)
        rows[here] = (0, middle, left, grow(middle, high, at + 1))
        return here

    grow(-1.0, 1.0, 0)
    tree = made(*rows)
    parts = tidied(tree, depth=4)
    assert max(depth(part) for part in parts) <= 4
    places = rng.uniform(-1, 1, (4000, 1))
    total = np.sum([part.evaluate(places) for part in parts], axis=0)
    np.testing.assert_array_equal(total, tree.evaluate(places))
    covered = [part.evaluate(places) != 0 for part in parts]
    assert np.sum(covered, axis=0).max() == 1


def test_a_tree_too_deep_over_too_many_features_is_refused_in_a_line():
    rows = []
    for feature in range(40):
        rows += [(feature, 0.5, 2 * feature + 2, 2 * feature + 1), float(feature)]
    with pytest.raises(DeployError, match=r"deeper than 30 tests.*max_depth=30") as caught:
        tidied(made(*rows, -1.0))
    assert "\n" not in str(caught.value)


def test_scaling_changes_leaves_alone():
    (same,) = scaled([made(*STUMP)], 1, 0)
    (other,) = scaled([made(*STUMP)], 2, 1)
    features = np.array([[0.0], [1.0]])
    assert same.evaluate(features).tolist() == [10, 20]
    assert other.evaluate(features).tolist() == [21, 41]
