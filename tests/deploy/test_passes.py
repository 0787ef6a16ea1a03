"""Passes: simpler graphs of the same meaning."""

from __future__ import annotations

import numpy as np
import pytest
from networks import conv, graph

from water_gee.deploy import passes
from water_gee.deploy.graph import Node
from water_gee.deploy.layers import run_numpy


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


@pytest.mark.parametrize("step", [*passes.PASSES, passes.simplify], ids=lambda f: f.__name__)
def test_no_pass_changes_what_the_network_says(busy, rng, step):
    values = rng.normal(size=(6, 7, 3))
    np.testing.assert_array_equal(run_numpy(step(busy), values), run_numpy(busy, values))


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
