"""Two passes that leave out what does not matter: channels of one value, and channels unread."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.graph import INPUT, LayerGraph, Node
from water_gee.deploy.layers import NUMPY, extents, groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Mask = npt.NDArray[np.bool_]

_PER_CHANNEL = {"affine", "crop", "pool", "activation"}
_COMPUTED = {"affine", "concatenate", "select", "combine", "activation"}


def fold_constants(graph: LayerGraph) -> LayerGraph:
    """Let convolutions take channels that have one value everywhere into their biases.

    A filter of zeros makes such a channel; so does what is computed of such channels alone. The
    weights that read it become 0.
    """
    values: dict[str, Array] = {}
    nodes: list[Node] = []
    shapes = extents(graph)
    for node in graph:
        inputs = [values[name] for name in node.inputs]
        if node.kind == "conv":
            node = _without_constants(node, inputs[0])
        values[node.name] = _constant(node, inputs, shapes[node.name].channels)
        nodes.append(node)
    return LayerGraph(tuple(nodes), graph.output)


def _constant(node: Node, inputs: Sequence[Array], channels: int) -> Array:
    """The value of each channel that has one everywhere, NaN for the others."""
    unknown = np.full(channels, np.nan)
    if node.kind == "conv":
        zeros = ~node.weights["kernel"].any(axis=(0, 1, 2))
        linear = node.attributes.get("activation", "linear") == "linear"
        return np.where(zeros & linear, node.weights["bias"].astype(np.float64), unknown)
    if node.kind in {"crop", "pool"}:
        return inputs[0]
    mixed = node.kind == "activation" and not ACTIVATIONS[node.attributes["activation"]].each_alone
    if node.kind not in _COMPUTED or mixed:
        return unknown
    with np.errstate(invalid="ignore"):
        return np.asarray(NUMPY[node.kind](node, [value[None, None] for value in inputs])[0, 0])


def _without_constants(node: Node, constant: Array) -> Node:
    kernel = node.weights["kernel"]
    parts = groups(node)
    known = np.isfinite(constant)
    by_group = kernel.astype(np.float64).reshape(*kernel.shape[:3], parts, -1)
    known_here = known.reshape(parts, -1).T[..., None]
    if not (by_group * known_here).any():
        return node
    value = np.where(known, constant, 0).reshape(parts, -1).T[..., None]
    bias = node.weights["bias"] + (by_group * value).sum(axis=(0, 1, 2)).reshape(-1)
    kept = np.where(known_here, 0, by_group).reshape(kernel.shape)
    weights = {"kernel": kept.astype(np.float32), "bias": bias.astype(np.float32)}
    return dataclasses.replace(node, weights=weights)


def drop_channels(graph: LayerGraph) -> LayerGraph:
    """Drop filters, and channels on their way, that nothing reads with a weight other than 0."""
    needed = _needed(graph)
    taken = {node.name for node in graph}
    nodes: list[Node] = []
    kept: dict[str, Mask] = {}
    for node in graph:
        before = [kept[name] for name in node.inputs]
        kept[node.name] = _kept(node, needed[node.name], before)
        if node.kind == "combine":
            node = _combine(node, kept, nodes, taken)
        nodes.append(_narrowed(node, kept[node.name], before))
    return LayerGraph(tuple(nodes), graph.output)


def _needed(graph: LayerGraph) -> dict[str, Mask]:
    """Which channels of each node matter to the output."""
    shapes = extents(graph)
    needed = {node.name: np.zeros(shapes[node.name].channels, bool) for node in graph}
    needed[graph.output][:] = True
    for node in reversed(graph.nodes):
        if node.kind == INPUT or _whole(node):
            needed[node.name][:] = True
        for name, mask in zip(node.inputs, _read(node, needed, shapes), strict=True):
            needed[name] |= mask
    for mask in needed.values():
        mask[0] |= not mask.any()
    return needed


def _whole(node: Node) -> bool:
    """Whether a node needs all channels that it reads, and gives all that it has."""
    if node.kind == "activation":
        return not ACTIVATIONS[node.attributes["activation"]].each_alone
    fused = node.attributes.get("activation", "linear") != "linear"
    return node.kind == "normalize" or (node.kind == "conv" and (groups(node) > 1 or fused))


def _read(node: Node, needed: dict[str, Mask], shapes: Any) -> list[Mask]:
    """Which channels of each input matter, where these of the node do."""
    mine = needed[node.name]
    counts = [shapes[name].channels for name in node.inputs]
    if node.kind == "concatenate":
        return list(np.split(mine, np.cumsum(counts)[:-1]))
    if node.kind == "combine":
        return [mine if count > 1 else _all(1) for count in counts]
    if node.kind == "select":
        mask = np.zeros(counts[0], bool)
        mask[np.array(node.attributes["channels"])[mine]] = True
        return [mask]
    if node.kind == "conv" and not _whole(node):
        return [np.asarray(node.weights["kernel"][..., mine].any(axis=(0, 1, 3)))]
    return [mine if node.kind in _PER_CHANNEL else _all(count) for count in counts]


def _all(count: int) -> Mask:
    return np.ones(count, bool)


def _kept(node: Node, needed: Mask, before: Sequence[Mask]) -> Mask:
    """Which channels a node will have, given what its inputs have."""
    if node.kind in _PER_CHANNEL:
        return before[0]
    return np.concatenate(list(before)) if node.kind == "concatenate" else needed


def _narrowed(node: Node, kept: Mask, before: Sequence[Mask]) -> Node:
    """A node with only the weights and numbers of the channels that are left."""
    if node.kind == "select":
        place = np.cumsum(before[0]) - 1
        chosen = np.array(node.attributes["channels"])[kept]
        return dataclasses.replace(
            node, attributes={"channels": tuple(int(place[channel]) for channel in chosen)}
        )
    if node.kind == "conv" and not _whole(node):
        kernel, bias = node.weights["kernel"], node.weights["bias"]
        weights = {"kernel": kernel[:, :, before[0]][..., kept], "bias": bias[kept]}
        return dataclasses.replace(node, weights=weights)
    if node.kind in _PER_CHANNEL:
        weights = {name: array[kept] for name, array in node.weights.items()}
        return dataclasses.replace(node, weights=weights)
    return node


def _combine(node: Node, kept: dict[str, Mask], nodes: list[Node], taken: set[str]) -> Node:
    """Give a combination inputs of the same channels, by selections where they have more."""
    mine = kept[node.name]
    inputs, counts = [], []
    for name in node.inputs:
        mask = kept[name]
        if mask.size > 1 and (mask != mine).any():
            chosen = f"{name}_of_{node.name}"
            while chosen in taken:
                chosen += "_"
            taken.add(chosen)
            place = np.cumsum(mask) - 1
            channels = tuple(int(place[index]) for index in np.flatnonzero(mine))
            nodes.append(Node(chosen, "select", (name,), {"channels": channels}))
            kept[chosen] = mine
            name = chosen
        inputs.append(name)
        counts.append(int(kept[name].sum()))
    attributes = {**node.attributes, "channels": tuple(counts)}
    return dataclasses.replace(node, inputs=tuple(inputs), attributes=attributes)
