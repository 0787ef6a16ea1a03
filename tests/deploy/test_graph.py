"""The layer graph."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import conv, graph

from water_gee.deploy.graph import LayerGraph, Node
from water_gee.deploy.layers import extents, margins, receptive_field
from water_gee.errors import DeployError, UnsupportedLayerError


def kernel(size, channels, filters, value=0.0):
    return np.full((size, size, channels, filters), value, np.float32)


def two_convolutions():
    return graph(3, conv("a", "x", kernel(3, 3, 4)), conv("b", "a", kernel(3, 4, 2)))


def test_each_valid_convolution_takes_a_ring_of_pixels():
    found = extents(two_convolutions())
    assert found["a"].lost == (1, 1, 1, 1)
    assert found["b"].lost == (2, 2, 2, 2)
    assert found["b"].channels == 2


def test_the_receptive_field_of_two_3x3_layers_is_5x5():
    assert receptive_field(two_convolutions()) == (5, 5)
    assert margins(two_convolutions()) == (2, 2)


def test_an_oblong_kernel_takes_more_at_its_long_side():
    flat = graph(1, conv("a", "x", np.zeros((1, 5, 1, 1))))
    assert receptive_field(flat) == (1, 5)


def test_a_crop_beside_convolutions_meets_them():
    joined = graph(
        3,
        conv("a", "x", kernel(3, 3, 4)),
        Node("c", "crop", ("x",), {"cropping": (1, 1, 1, 1)}),
        Node("j", "concatenate", ("a", "c")),
    )
    assert extents(joined)["j"].channels == 7
    assert extents(joined)["j"].lost == (1, 1, 1, 1)


def test_joining_what_does_not_lie_on_each_other_is_refused_with_the_offsets():
    wrong = graph(
        3,
        conv("a", "x", kernel(3, 3, 4)),
        Node("c", "crop", ("x",), {"cropping": (0, 2, 1, 1)}),
        Node("j", "concatenate", ("a", "c")),
    )
    with pytest.raises(UnsupportedLayerError, match=r"'j'.*\(1, 1, 1, 1\).*\(0, 2, 1, 1\)"):
        extents(wrong)


def test_a_window_without_a_centre_is_refused():
    lopsided = graph(1, Node("c", "crop", ("x",), {"cropping": (2, 0, 0, 0)}))
    with pytest.raises(UnsupportedLayerError, match="no centre"):
        margins(lopsided)


def test_an_even_kernel_is_refused():
    with pytest.raises(UnsupportedLayerError, match="odd"):
        extents(graph(1, conv("a", "x", np.zeros((2, 2, 1, 1)))))


def test_a_kernel_for_other_channels_is_refused():
    with pytest.raises(UnsupportedLayerError, match="takes 5 channels, not 3"):
        extents(graph(3, conv("a", "x", kernel(3, 5, 1))))


def test_a_channel_that_is_not_there_is_refused():
    with pytest.raises(UnsupportedLayerError, match="channels"):
        extents(graph(3, Node("s", "select", ("x",), {"channels": (0, 3)})))


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(UnsupportedLayerError, match="'p' \\(warp\\)"):
        extents(graph(3, Node("p", "warp", ("x",))))


def test_a_node_before_its_input_is_no_graph():
    x = Node("x", "input", (), {"channels": 1})
    with pytest.raises(DeployError, match="'y' before it is made"):
        LayerGraph((x, Node("a", "crop", ("y",))), "a")


def test_two_nodes_of_one_name_are_no_graph():
    x = Node("x", "input", (), {"channels": 1})
    with pytest.raises(DeployError, match="twice"):
        LayerGraph((x, x), "x")


def test_two_inputs_are_no_graph():
    with pytest.raises(DeployError, match="2 inputs"):
        LayerGraph((Node("x", "input"), Node("y", "input")), "y")


def test_parameters_are_counted():
    assert two_convolutions().parameters == 3 * 3 * 3 * 4 + 4 + 3 * 3 * 4 * 2 + 2


def renamed(source):
    names = {node.name: f"other_{node.name}" for node in source}
    nodes = tuple(
        dataclasses.replace(n, name=names[n.name], inputs=tuple(names[i] for i in n.inputs))
        for n in source
    )
    return LayerGraph(nodes, names[source.output])


def test_the_digest_does_not_depend_on_names():
    assert renamed(two_convolutions()).digest() == two_convolutions().digest()


def test_the_digest_depends_on_one_weight_and_on_an_activation():
    base = graph(3, conv("a", "x", kernel(3, 3, 4)))
    weight = kernel(3, 3, 4)
    weight[1, 1, 0, 0] = 1e-7
    assert graph(3, conv("a", "x", weight)).digest() != base.digest()
    bent = graph(3, conv("a", "x", kernel(3, 3, 4), activation="relu"))
    assert bent.digest() != base.digest()
