"""Layer by layer to a layer graph: what a reader says of one layer, and where it is put.

A reader (`read_keras.py`, `read_h5.py`) describes a layer as a `Layer`; `lower.py` says it in
`Step`s; a `Builder` puts these into a graph. The builder knows of each tensor how many pixels it
has lost and how many Keras believes it has lost. The two differ behind a layer whose `same` padding
is treated as `valid`; what such tensors are joined with is cropped to fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.graph import INPUT, Extent, LayerGraph, Node
from water_gee.deploy.layers import SHAPE
from water_gee.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

Sides = tuple[int, int, int, int]
"""Pixels at the top, bottom, left and right."""

NOTHING: Sides = (0, 0, 0, 0)

RANK = 4
"""Axes of a tensor in Keras: `(n, row, col, channel)`."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What is known of the output of a node.

    Attributes:
        extent: Its channels, and what it has lost of the input.
        claimed: What Keras takes it to have lost.
        size: Its rows and columns in Keras, each None where the network takes any.
    """

    extent: Extent
    claimed: Sides = NOTHING
    size: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Reference:
    """Stands for an input among the arguments of a function.

    Attributes:
        index: Which one.
    """

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What is to be known of one call of a layer, whichever Keras it comes from.

    Attributes:
        name: Its name.
        kind: Its class, or the name of a function.
        config: As the layer's `get_config` has it.
        weights: Arrays by the last part of their names.
        inputs: What it reads.
        arguments: Of a function: constants, and a `Reference` for each input.
        generation: 2 or 3, of Keras.
        same_as_valid: Whether `same` padding is to be treated as `valid`.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    weights: Mapping[str, Array] = field(default_factory=dict)
    inputs: tuple[Tensor, ...] = ()
    arguments: tuple[Any, ...] = ()
    generation: int = 3
    same_as_valid: bool = False

    @property
    def channels(self) -> int:
        """Of its first input."""
        return self.inputs[0].extent.channels

    def weight(self, name: str) -> Array:
        """A weight as float32.

        Raises:
            UnsupportedLayerError: It is not there, or not finite.
        """
        if name not in self.weights:
            raise self.refusal(f"it has no weights {name!r}; build the network before saving it")
        array = np.asarray(self.weights[name], np.float32)
        if not np.isfinite(array).all():
            raise self.refusal("it has weights that are no numbers; train it again")
        return array

    def refusal(self, reason: str) -> UnsupportedLayerError:
        """The error that names this layer, its kind and the reason."""
        return UnsupportedLayerError(self.name, self.kind, reason)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node without a name.

    Attributes:
        kind: A key of `layers.SHAPE`.
        attributes: Its attributes.
        weights: Its weights, float32.
        padded: Pixels that Keras adds at each side and the graph does not.
    """

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    padded: Sides = NOTHING


class Builder:
    """Collects nodes in order.

    Args:
        same_as_valid: Whether tensors behind a padded layer may be cropped to fit each other.
    """

    def __init__(self, *, same_as_valid: bool = False) -> None:
        self.same_as_valid = same_as_valid
        self.tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []

    def input(self, name: str, channels: int, size: tuple[int | None, int | None]) -> str:
        """Put the input; returns its name."""
        self._nodes.append(Node(self._free(name), INPUT, (), {"channels": channels}))
        name = self._nodes[-1].name
        self.tensors[name] = Tensor(Extent(channels), size=size)
        return name

    def put(self, name: str, steps: Sequence[Step], inputs: Sequence[str]) -> str:
        """Put the steps of a layer, one behind the other.

        Args:
            name: The layer's. The last step but for activations gets it; those behind it are named
                after it and their function, those before it are numbered.
            steps: What the layer is; none if it changes nothing.
            inputs: The nodes that the first step reads.

        Returns:
            The node of the last step, or the first input.

        Raises:
            UnsupportedLayerError: They do not fit what they read.
        """
        sources = tuple(inputs)
        work = [number for number, step in enumerate(steps) if step.kind != "activation"]
        main = work[-1] if work else len(steps) - 1
        for number, step in enumerate(steps):
            own = name if number == main else f"{name}_{number + 1}"
            if number > main:
                own = f"{name}_{step.attributes['activation']}"
            sources = (self._put(self._free(own), step, sources),)
        return sources[0]

    def graph(self, output: str) -> LayerGraph:
        """The graph whose output is this node."""
        return LayerGraph(tuple(self._nodes), output)

    def _put(self, name: str, step: Step, sources: tuple[str, ...]) -> str:
        read = [self.tensors[source] for source in sources]
        if any(tensor.claimed != tensor.extent.lost for tensor in read):
            sources = self._aligned(name, step, sources)
        attributes = dict(step.attributes)
        if step.kind == "combine":
            attributes["channels"] = tuple(tensor.extent.channels for tensor in read)
        node = Node(name, step.kind, sources, attributes, step.weights)
        before = [self.tensors[source] for source in sources]
        extent = SHAPE[step.kind](node, [tensor.extent for tensor in before])
        change = [
            after - old - added
            for after, old, added in zip(
                extent.lost, before[0].extent.lost, step.padded, strict=True
            )
        ]
        top, bottom, left, right = change
        claimed = tuple(a + b for a, b in zip(read[0].claimed, change, strict=True))
        rows, cols = read[0].size
        size = (
            None if rows is None else rows - top - bottom,
            None if cols is None else cols - left - right,
        )
        self._nodes.append(node)
        self.tensors[name] = Tensor(extent, _sides(claimed), size)
        return name

    def _aligned(self, name: str, step: Step, sources: tuple[str, ...]) -> tuple[str, ...]:
        """Crop what is joined to the pixels that all of it has, where Keras sees one size."""
        read = [self.tensors[source] for source in sources]
        if any(tensor.claimed != read[0].claimed for tensor in read):
            raise UnsupportedLayerError(
                name,
                step.kind,
                f"what it joins has lost {read[0].claimed} and other pixels (top, bottom, left, "
                "right) of the input; crop it so that it lies on itself",
            )
        common = _sides(max(side) for side in zip(*(t.extent.lost for t in read), strict=True))
        out = []
        for source, tensor in zip(sources, read, strict=True):
            lacking = _sides(a - b for a, b in zip(common, tensor.extent.lost, strict=True))
            if any(lacking):
                cropped = self._free(f"{source}_cropped")
                self._nodes.append(Node(cropped, "crop", (source,), {"cropping": lacking}))
                extent = tensor.extent.shrunk(tensor.extent.channels, *lacking)
                self.tensors[cropped] = Tensor(extent, tensor.claimed, tensor.size)
                source = cropped
            out.append(source)
        return tuple(out)

    def _free(self, name: str) -> str:
        taken = {node.name for node in self._nodes}
        while name in taken:
            name += "_"
        return name


def _sides(numbers: Any) -> Sides:
    top, bottom, left, right = (int(number) for number in numbers)
    return top, bottom, left, right
