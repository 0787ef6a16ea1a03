"""Passes over a layer graph: each makes a simpler graph of the same meaning.

A pass is a function from graph to graph. `PASSES` holds them in the order in which they run. Those
that compute new weights do so in float64 and store float32.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.activations import ACTIVATIONS
from water_gee.deploy.graph import LayerGraph, Node
from water_gee.deploy.layers import extents, groups, margins, run_numpy
from water_gee.deploy.prune import drop_channels, fold_constants
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Pass = Callable[[LayerGraph], LayerGraph]

_LINEAR = "linear"
MAX_DIGITS = 9
"""So many significant digits tell every float32 from every other."""


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
        own = ACTIVATIONS[function].defaults if function in ACTIVATIONS else {}
        given = {name: node.attributes[name] for name in own if name in node.attributes}
        plain = {name: value for name, value in node.attributes.items() if name not in given}
        plain["activation"] = _LINEAR
        nodes.append(dataclasses.replace(node, inputs=inputs, attributes=plain))
        name = _free_name(f"{node.name}_{function}", taken)
        nodes.append(Node(name, "activation", (node.name,), {"activation": function, **given}))
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


def merge_equal(graph: LayerGraph) -> LayerGraph:
    """Compute once what is there twice: the same of the same."""
    first: dict[Any, str] = {}
    instead: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph:
        moved = dataclasses.replace(
            node, inputs=tuple(instead.get(name, name) for name in node.inputs)
        )
        weights = tuple(
            (name, array.shape, array.tobytes()) for name, array in sorted(node.weights.items())
        )
        facts = (node.kind, moved.inputs, repr(sorted(node.attributes.items())), weights)
        if facts in first:
            instead[node.name] = first[facts]
        else:
            first[facts] = node.name
            nodes.append(moved)
    return LayerGraph(tuple(nodes), instead.get(graph.output, graph.output))


def merge_chains(graph: LayerGraph) -> LayerGraph:
    """Make one of a crop of a crop, a selection of a selection, an affine of an affine.

    A join of a join takes the inner one's inputs for its own. What else reads the inner node keeps
    it.
    """
    made: dict[str, Node] = {}
    for node in graph:
        merged = node
        while (shorter := _merged(merged, made)) is not None:
            merged = shorter
        made[node.name] = merged
    return drop_unread(LayerGraph(tuple(made.values()), graph.output))


def _merged(node: Node, made: dict[str, Node]) -> Node | None:
    """This node with one that it reads drawn into it; None where there is nothing to draw in."""
    if node.kind == "concatenate" and any(made[name].kind == node.kind for name in node.inputs):
        inputs = [
            source
            for name in node.inputs
            for source in (made[name].inputs if made[name].kind == node.kind else (name,))
        ]
        return dataclasses.replace(node, inputs=tuple(inputs))
    inner = made[node.inputs[0]] if len(node.inputs) == 1 else None
    if inner is None or inner.kind != node.kind:
        return None
    if node.kind == "crop":
        sides = zip(node.attributes["cropping"], inner.attributes["cropping"], strict=True)
        attributes = {"cropping": tuple(a + b for a, b in sides)}
        return dataclasses.replace(node, inputs=inner.inputs, attributes=attributes)
    if node.kind == "select":
        chosen = inner.attributes["channels"]
        attributes = {"channels": tuple(chosen[index] for index in node.attributes["channels"])}
        return dataclasses.replace(node, inputs=inner.inputs, attributes=attributes)
    if node.kind == "affine":
        (scale, offset), (first, added) = _affine(node), _affine(inner)
        weights = _float32(scale=first * scale, offset=added * scale + offset)
        return dataclasses.replace(node, inputs=inner.inputs, weights=weights)
    return None


def lift_crops(graph: LayerGraph) -> LayerGraph:
    """Crop before an affine, not behind it, where nothing else reads the affine.

    Then it lies beside the convolution that it can be folded into.
    """
    readers = graph.readers()
    nodes = {node.name: node for node in graph}
    for node in graph:
        inner = nodes[node.inputs[0]] if node.kind == "crop" else None
        if inner is not None and inner.kind == "affine" and readers[inner.name] == 1:
            # The two trade what they do; the names stay where they were.
            nodes[inner.name] = dataclasses.replace(
                nodes[node.name], name=inner.name, inputs=inner.inputs
            )
            nodes[node.name] = dataclasses.replace(inner, name=node.name, inputs=(inner.name,))
    return LayerGraph(tuple(nodes.values()), graph.output)


def fold_affine(graph: LayerGraph) -> LayerGraph:
    """Draw affines, as normalisations are, into the convolutions beside them.

    Behind a linear convolution that nothing else reads: its filters are scaled. Before
    convolutions alone: their weights are scaled channel by channel, and offsets go to the biases,
    exactly, since nothing is padded.
    """
    graph = _fold_behind(graph)
    readers = graph.readers()
    made: dict[str, Node] = {}
    by_convolutions: Counter[str] = Counter()
    for node in graph:
        if node.kind == "conv":
            by_convolutions[node.inputs[0]] += 1
    for node in graph:
        inner = made[node.inputs[0]] if node.kind == "conv" else None
        if (
            inner is not None
            and inner.kind == "affine"
            and by_convolutions[inner.name] == readers[inner.name]
        ):
            made[node.name] = _scaled_inputs(node, inner)
        else:
            made[node.name] = node
    return drop_unread(LayerGraph(tuple(made.values()), graph.output))


def _fold_behind(graph: LayerGraph) -> LayerGraph:
    readers = graph.readers()
    made: dict[str, Node] = {}
    instead: dict[str, str] = {}
    for node in graph:
        moved = dataclasses.replace(
            node, inputs=tuple(instead.get(name, name) for name in node.inputs)
        )
        inner = made[moved.inputs[0]] if node.kind == "affine" else None
        linear = inner is not None and inner.attributes.get("activation", _LINEAR) == _LINEAR
        if inner is None or inner.kind != "conv" or not linear or readers[node.inputs[0]] != 1:
            made[node.name] = moved
            continue
        scale, offset = _affine(node)
        kernel, bias = (inner.weights[name].astype(np.float64) for name in ("kernel", "bias"))
        weights = _float32(kernel=kernel * scale, bias=bias * scale + offset)
        made[inner.name] = dataclasses.replace(inner, weights=weights)
        instead[node.name] = inner.name
        readers[inner.name] = readers[node.name]
    return LayerGraph(tuple(made.values()), instead.get(graph.output, graph.output))


def _scaled_inputs(node: Node, affine: Node) -> Node:
    """A convolution that does an affine's work on its input."""
    kernel = node.weights["kernel"].astype(np.float64)
    parts = groups(node)
    by_group = kernel.reshape(*kernel.shape[:3], parts, -1)
    scale, offset = (part.reshape(parts, -1).T[..., None] for part in _affine(affine))
    added = (by_group * offset).sum(axis=(0, 1, 2)).reshape(-1)
    weights = _float32(
        kernel=(by_group * scale).reshape(kernel.shape), bias=node.weights["bias"] + added
    )
    return dataclasses.replace(node, inputs=affine.inputs, weights=weights)


PASSES: tuple[Pass, ...] = (
    separate_activations,
    drop_no_ops,
    drop_unread,
    merge_equal,
    merge_chains,
    lift_crops,
    fold_affine,
    fold_constants,
    drop_channels,
    drop_no_ops,
    drop_unread,
)
"""In the order in which they run."""


def simplify(graph: LayerGraph, *, digits: int | None = None) -> LayerGraph:
    """Run every pass, until they find nothing more to do.

    Args:
        graph: Any network.
        digits: Round weights to so many significant digits afterwards, see `rounding_effect`;
            None keeps them.

    Raises:
        DeployError: No number of digits.
    """
    before = None
    while graph.digest() != before:
        before = graph.digest()
        for step in PASSES:
            graph = step(graph)
    return graph if digits is None else round_weights(graph, digits)


def round_weights(graph: LayerGraph, digits: int) -> LayerGraph:
    """Round every weight to so many significant decimal digits; nine keep every float32.

    Raises:
        DeployError: Not between 1 and 9.
    """
    if not 1 <= digits <= MAX_DIGITS:
        raise DeployError(f"weights are rounded to 1 to {MAX_DIGITS} digits, not {digits}")
    return LayerGraph(
        tuple(
            dataclasses.replace(
                node,
                weights={name: _rounded(array, digits) for name, array in node.weights.items()},
            )
            for node in graph
        ),
        graph.output,
    )


def rounding_effect(graph: LayerGraph, digits: int, features: Array) -> float:
    """The largest change of an output when weights are rounded.

    Args:
        graph: The network.
        digits: Significant digits.
        features: `(row, col, channel)` to try it on, without NaN.

    Returns:
        The largest absolute difference, of probabilities where these are the output; computed in
        float64.

    Raises:
        DeployError: No number of digits, or features too small for one output pixel.
    """
    values = np.asarray(features, np.float64)
    rows, cols = margins(graph)
    if values.shape[0] <= 2 * rows or values.shape[1] <= 2 * cols:
        raise DeployError(
            f"features of shape {values.shape} are smaller than one window, "
            f"{2 * rows + 1} x {2 * cols + 1}; give more"
        )
    whole = run_numpy(simplify(graph), values)
    return float(np.abs(run_numpy(simplify(graph, digits=digits), values) - whole).max())


def _rounded(array: Array, digits: int) -> Array:
    numbers = [float(f"%.{digits - 1}e" % number) for number in array.reshape(-1)]
    return np.array(numbers, np.float64).astype(np.float32).reshape(array.shape)


def _affine(node: Node) -> tuple[Array, Array]:
    scale, offset = (node.weights[name].astype(np.float64) for name in ("scale", "offset"))
    return scale, offset


def _float32(**weights: Array) -> dict[str, Array]:
    return {name: array.astype(np.float32) for name, array in weights.items()}


def _is_no_op(node: Node, channels: list[int]) -> bool:
    if node.kind == "activation":
        return bool(node.attributes["activation"] == _LINEAR)
    if node.kind == "crop":
        return not any(node.attributes["cropping"])
    if node.kind == "select":
        return tuple(node.attributes["channels"]) == tuple(range(channels[0]))
    if node.kind == "affine":
        return bool((node.weights["scale"] == 1).all() and not node.weights["offset"].any())
    if node.kind == "pool":
        return tuple(node.attributes["size"]) == (1, 1)
    return node.kind in {"concatenate", "combine"} and len(node.inputs) == 1


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
