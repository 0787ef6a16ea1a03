"""Passes over a layer graph: each makes a simpler graph of the same meaning.

A pass is a function from graph to graph. `PASSES` holds them in the order in which they run.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from water_gee.deploy.graph import LayerGraph, Node
from water_gee.deploy.layers import extents

if TYPE_CHECKING:
    from collections.abc import Callable

    Pass = Callable[[LayerGraph], LayerGraph]

_LINEAR = "linear"


def separate_activations(graph: LayerGraph) -> LayerGraph:
    """Give every activation that is fused into a layer a node of its own."""
    taken = {node.name for node in graph}
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        function = node.attributes.get("activation", _LINEAR)
        if node.kind == "activation" or function == _LINEAR:
            nodes.append(dataclasses.replace(node, inputs=inputs))
            continue
        plain = {**node.attributes, "activation": _LINEAR}
        nodes.append(dataclasses.replace(node, inputs=inputs, attributes=plain))
        name = _free_name(f"{node.name}_{function}", taken)
        nodes.append(Node(name, "activation", (node.name,), {"activation": function}))
        renamed[node.name] = name
    return LayerGraph(tuple(nodes), renamed.get(graph.output, graph.output))


def drop_no_ops(graph: LayerGraph) -> LayerGraph:
    """Drop what changes nothing: linear activations, crops of nothing, selections of everything."""
    shapes = extents(graph)
    instead: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph:
        moved = dataclasses.replace(
            node, inputs=tuple(instead.get(name, name) for name in node.inputs)
        )
        before = [shapes[name].channels for name in node.inputs]
        if _is_no_op(moved, before):
            instead[node.name] = moved.inputs[0]
        else:
            nodes.append(moved)
    return LayerGraph(tuple(nodes), instead.get(graph.output, graph.output))


def drop_unread(graph: LayerGraph) -> LayerGraph:
    """Drop nodes that the output does not depend on."""
    needed = {graph.output, graph.input.name}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return LayerGraph(tuple(node for node in graph if node.name in needed), graph.output)


PASSES: tuple[Pass, ...] = (separate_activations, drop_no_ops, drop_unread)
"""In the order in which they run."""


def simplify(graph: LayerGraph) -> LayerGraph:
    """Run every pass."""
    for step in PASSES:
        graph = step(graph)
    return graph


def _is_no_op(node: Node, channels: list[int]) -> bool:
    if node.kind == "activation":
        return bool(node.attributes["activation"] == _LINEAR)
    if node.kind == "crop":
        return not any(node.attributes["cropping"])
    if node.kind == "select":
        return tuple(node.attributes["channels"]) == tuple(range(channels[0]))
    return node.kind == "concatenate" and len(node.inputs) == 1


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
