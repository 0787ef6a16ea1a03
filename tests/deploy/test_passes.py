"""Passes: simpler graphs of the same meaning."""

from __future__ import annotations

import numpy as np
import pytest
from networks import conv, graph

from water_gee.deploy import passes
from water_gee.deploy.graph import Node
from water_gee.deploy.layers import extents, run_numpy
from water_gee.errors import DeployError


@pytest.fixture
def busy(rng):
    """A small network with something for every pass to do."""

    def kernel(*shape):
        return rng.normal(size=shape)

    return graph(
        3,
        Node("all", "select", ("x",), {"channels": (0, 1, 2)}),
        conv("a", "all", kernel(3, 3, 3, 4), kernel(4), "relu"),
        Node("unread", "crop", ("a",), {"cropping": (1, 1, 1, 1)}),
        Node("nothing", "crop", ("a",), {"cropping": (0, 0, 0, 0)}),
        Node("straight", "activation", ("nothing",), {"activation": "linear"}),
        Node("alone", "concatenate", ("straight",)),
        Node("skip", "crop", ("all",), {"cropping": (1, 1, 1, 1)}),
        Node("both", "concatenate", ("alone", "skip")),
        conv("b", "both", kernel(1, 1, 7, 2), kernel(2), "softmax"),
        Node("last", "activation", ("b",), {"activation": "linear"}),
    )


def affine(name, source, scale, offset):
    weights = {"scale": np.array(scale, np.float32), "offset": np.array(offset, np.float32)}
    return Node(name, "affine", (source,), {}, weights)


@pytest.fixture
def wide(rng):
    """Normalisations in every place, channels that do not matter, filters of zeros."""

    def kernel(*shape):
        return rng.normal(size=shape)

    first, second, last = kernel(3, 3, 4, 6), kernel(1, 1, 6, 4), kernel(1, 1, 5, 2)
    first[..., [1, 4]] = 0  # filters that are their biases
    second[:, :, 2] = 0  # a channel that nothing reads
    last[:, :, 1] = 0
    last /= 500
    apart = conv("apart", "both", kernel(3, 3, 2, 8), kernel(8))
    joined = Node("joined", "concatenate", ("half", "pooled", "skipped"))
    return graph(
        4,
        affine("scaled", "x", [1, 2, -1, 0.5], [0, -1, 3, 2]),
        conv("a", "scaled", first, kernel(6)),
        affine("norm", "a", [2, 0.5, 1, 3, 1, 1], [1, 1, 0, -1, 2, 0]),
        Node("bent", "activation", ("norm",), {"activation": "elu", "alpha": 0.5}),
        conv("b", "bent", second, kernel(4), "softplus"),
        Node("sides", "crop", ("scaled",), {"cropping": (1, 0, 1, 1)}),
        Node("skip", "crop", ("sides",), {"cropping": (0, 1, 0, 0)}),
        Node("both", "combine", ("b", "skip"), {"op": "multiply", "channels": (4, 4)}),
        Node(apart.name, "conv", apart.inputs, {"activation": "relu", "groups": 2}, apart.weights),
        affine("moved", "apart", [1, 2, 3, 4, 5, 6, 7, 8], [1] * 8),
        Node("half", "select", ("moved",), {"channels": (1, 3)}),
        Node("inner", "crop", ("skip",), {"cropping": (1, 1, 1, 1)}),
        Node("pooled", "select", ("inner",), {"channels": (3,)}),
        Node("again", "crop", ("skip",), {"cropping": (1, 1, 1, 1)}),
        Node("some", "select", ("again",), {"channels": (3, 2, 1)}),
        Node("skipped", "select", ("some",), {"channels": (0, 2)}),
        joined,
        affine("late", "joined", [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
        conv("c", "late", last, kernel(2), "tanh"),
    )


EVERY = [*dict.fromkeys(passes.PASSES), passes.simplify]


@pytest.mark.parametrize("step", EVERY, ids=lambda f: f.__name__)
def test_no_pass_changes_what_the_network_says(busy, rng, step):
    values = rng.normal(size=(6, 7, 3))
    np.testing.assert_array_equal(run_numpy(step(busy), values), run_numpy(busy, values))


@pytest.mark.parametrize("step", EVERY, ids=lambda f: f.__name__)
def test_no_pass_changes_a_wide_network(wide, rng, step):
    values = rng.normal(size=(9, 8, 4))
    separate = passes.separate_activations(wide)
    expected = run_numpy(wide, values)
    assert np.unique(expected).size > 20
    np.testing.assert_allclose(run_numpy(step(separate), values), expected, rtol=1e-5, atol=1e-5)


def test_a_wide_network_is_made_small(wide):
    simple = passes.simplify(wide)
    kinds = [node.kind for node in simple]
    # `scaled` goes into `a` but is read beside it; `moved` stands behind a relu and joins `late`.
    assert kinds.count("affine") <= 2
    assert simple["a"].weights["kernel"].shape == (3, 3, 4, 3)
    assert simple.parameters < wide.parameters * 0.8
    channels = extents(simple)
    assert channels[simple["c"].inputs[0]].channels == 4


def test_a_normalisation_behind_a_convolution_disappears(rng):
    network = graph(
        2,
        conv("a", "x", rng.normal(size=(3, 3, 2, 2)), (1, 2)),
        affine("n", "a", [2, 4], [10, 20]),
    )
    simple = passes.simplify(network)
    assert [node.name for node in simple] == ["x", "a"]
    np.testing.assert_array_equal(simple["a"].weights["bias"], [12, 28])
    kernel = network["a"].weights["kernel"]
    np.testing.assert_array_equal(simple["a"].weights["kernel"], kernel * np.float32([2, 4]))


def test_a_normalisation_before_convolutions_goes_into_each_of_them():
    kernel = np.ones((3, 3, 2, 1))
    network = graph(
        2,
        affine("n", "x", [2, 4], [10, 20]),
        conv("a", "n", kernel, (1,)),
        conv("b", "n", kernel * 2, (0,)),
        Node("j", "concatenate", ("a", "b")),
    )
    simple = passes.simplify(network)
    assert [node.name for node in simple] == ["x", "a", "b", "j"]
    np.testing.assert_array_equal(simple["a"].weights["bias"], [9 * 30 + 1])
    np.testing.assert_array_equal(simple["b"].weights["kernel"][0, 0, :, 0], [4, 8])


def test_a_normalisation_that_something_else_reads_stays():
    network = graph(
        1,
        affine("n", "x", [2], [10]),
        conv("a", "n", np.ones((1, 1, 1, 1))),
        Node("j", "concatenate", ("a", "n")),
    )
    assert [node.name for node in passes.simplify(network)] == ["x", "n", "a", "j"]


def test_a_normalisation_of_groups_is_folded_group_by_group(rng):
    weights = {
        "kernel": rng.normal(size=(3, 3, 2, 6)).astype(np.float32),
        "bias": rng.normal(size=6).astype(np.float32),
    }
    network = graph(
        4,
        affine("n", "x", [1, 2, 3, 4], [4, 3, 2, 1]),
        Node("a", "conv", ("n",), {"groups": 2, "activation": "linear"}, weights),
    )
    simple = passes.simplify(network)
    assert [node.name for node in simple] == ["x", "a"]
    values = rng.normal(size=(5, 6, 4))
    np.testing.assert_allclose(run_numpy(simple, values), run_numpy(network, values), atol=1e-5)


def test_a_filter_of_zeros_becomes_a_bias_of_what_reads_it():
    """relu(3) x 5 + 1 = 16, and nothing is left to convolve."""
    kernel = np.zeros((3, 3, 1, 2))
    kernel[1, 1, 0, 0] = 1
    network = graph(
        1,
        conv("a", "x", kernel, (0, 3), "relu"),
        conv("b", "a", [[[[2.0], [5.0]]]], (1,)),
    )
    simple = passes.simplify(network)
    assert simple["a"].weights["kernel"].shape == (3, 3, 1, 1)
    np.testing.assert_array_equal(simple["b"].weights["kernel"], [[[[2]]]])
    np.testing.assert_array_equal(simple["b"].weights["bias"], [16])


def test_a_network_of_one_answer_still_has_its_shape(rng):
    network = graph(
        2,
        conv("a", "x", np.zeros((3, 3, 2, 3)), (1, 2, 3), "relu"),
        conv("b", "a", rng.normal(size=(3, 3, 3, 2)), (0, 0), "softmax"),
    )
    simple = passes.simplify(network)
    values = rng.normal(size=(7, 6, 2))
    assert extents(simple)[simple.output] == extents(network)["b"]
    np.testing.assert_allclose(run_numpy(simple, values), run_numpy(network, values), atol=1e-6)


def test_channels_that_are_multiplied_by_unread_ones_are_dropped(rng):
    network = graph(
        3,
        conv("a", "x", rng.normal(size=(1, 1, 3, 3)), (1, 2, 3)),
        Node("m", "combine", ("a", "x"), {"op": "multiply", "channels": (3, 3)}),
        conv("b", "m", [[[[1.0], [0.0], [2.0]]]], (0,), "sigmoid"),
    )
    simple = passes.simplify(network)
    assert simple["m"].attributes["channels"] == (2, 2)
    assert simple["a"].weights["kernel"].shape == (1, 1, 3, 2)
    values = rng.normal(size=(4, 4, 3))
    np.testing.assert_allclose(run_numpy(simple, values), run_numpy(network, values), atol=1e-12)


def test_the_same_twice_is_computed_once():
    network = graph(
        1,
        Node("c", "crop", ("x",), {"cropping": (1, 1, 1, 1)}),
        Node("d", "crop", ("x",), {"cropping": (1, 1, 1, 1)}),
        Node("j", "concatenate", ("c", "d")),
    )
    assert [node.inputs for node in passes.merge_equal(network)] == [(), ("x",), ("c", "c")]


def test_weights_are_rounded_to_significant_digits():
    kernel = [[[[1234.5678, -0.00098765, 0.0, 9.996]]]]
    network = graph(1, conv("a", "x", kernel))
    rounded = passes.simplify(network, digits=3)["a"].weights["kernel"]
    expected = np.array([1230, -0.000988, 0, 10], np.float32)
    np.testing.assert_array_equal(rounded[0, 0, 0], expected)
    whole = passes.simplify(network, digits=9)["a"].weights["kernel"]
    np.testing.assert_array_equal(whole, network["a"].weights["kernel"])


def test_the_effect_of_rounding_is_measured():
    """0.126 becomes 0.13: of features up to 100 the answer differs by 0.4."""
    network = graph(1, conv("a", "x", [[[[0.126]]]]))
    features = np.array([[[10.0], [-100.0]]])
    assert passes.rounding_effect(network, 2, features) == pytest.approx(0.4, abs=1e-5)
    assert passes.rounding_effect(network, 9, features) == 0


@pytest.mark.parametrize("digits", [0, 10, -3])
def test_a_number_of_digits_that_is_none_is_refused(busy, digits):
    with pytest.raises(DeployError, match=f"1 to 9 digits, not {digits}"):
        passes.simplify(busy, digits=digits)


def test_features_smaller_than_a_window_are_refused(busy):
    with pytest.raises(DeployError, match="smaller than one window"):
        passes.rounding_effect(busy, 3, np.zeros((2, 2, 3)))


def test_parameters_of_a_fused_activation_go_with_it():
    weights = conv("a", "x", [[[[1.0]]]]).weights
    attributes = {"activation": "leaky_relu", "negative_slope": 0.5, "groups": 1}
    network = graph(1, Node("a", "conv", ("x",), attributes, weights))
    plain, bent = list(passes.separate_activations(network))[1:]
    assert plain.attributes == {"activation": "linear", "groups": 1}
    assert bent.attributes == {"activation": "leaky_relu", "negative_slope": 0.5}


def test_after_all_passes_only_what_works_is_left(busy):
    kinds = [(node.name, node.kind) for node in passes.simplify(busy)]
    assert kinds == [
        ("x", "input"),
        ("a", "conv"),
        ("a_relu", "activation"),
        ("skip", "crop"),
        ("both", "concatenate"),
        ("b", "conv"),
        ("b_softmax", "activation"),
    ]


def test_simplifying_twice_changes_nothing_more(busy):
    once = passes.simplify(busy)
    assert passes.simplify(once).digest() == once.digest()


def test_a_name_that_is_taken_is_not_given_again():
    network = graph(
        1,
        Node("a_relu", "crop", ("x",), {"cropping": (1, 1, 1, 1)}),
        conv("a", "a_relu", np.ones((1, 1, 1, 1)), activation="relu"),
    )
    names = [node.name for node in passes.separate_activations(network)]
    assert names == ["x", "a_relu", "a", "a_relu_"]
