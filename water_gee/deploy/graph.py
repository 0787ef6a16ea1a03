"""A layer graph that belongs neither to Keras nor to Earth Engine.

Tensors are `(row, col, channel)`. A node is frozen; a change makes a new graph (`passes.py`). What
a kind of node means is said in `layers.py`, by one rule for each purpose.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from water_gee.training.model import TrainedModel

    Array = npt.NDArray[Any]

INPUT = "input"
"""The kind of the one node without inputs."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The shape of a node's output, against that of the graph's input.

    Attributes:
        channels: Number of channels.
        top: Rows of the input that lie above the first row of the output.
        bottom: Rows below the last one.
        left: Columns left of the first one.
        right: Columns right of the last one.
    """

    channels: int
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    @property
    def lost(self) -> tuple[int, int, int, int]:
        """`(top, bottom, left, right)`: what the output lacks of the input at each side."""
        return self.top, self.bottom, self.left, self.right

    def shrunk(self, channels: int, top: int, bottom: int, left: int, right: int) -> Extent:
        """The extent after so many more pixels are lost at each side."""
        return Extent(
            channels, self.top + top, self.bottom + bottom, self.left + left, self.right + right
        )


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One layer.

    Attributes:
        name: Unique in its graph.
        kind: A key of the rule tables in `layers.py`.
        inputs: Names of the nodes it reads, in order.
        attributes: Plain values: numbers, strings, tuples of them.
        weights: Name -> float32 array.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LayerGraph:
    """A network of one input and one output.

    Attributes:
        nodes: Every node after those it reads.
        output: The name of the node whose value is the network's.

    Raises:
        DeployError: Two nodes of one name, a node before its inputs, no input or several.
    """

    nodes: tuple[Node, ...]
    output: str

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in seen]
            if missing or node.name in seen:
                wrong = f"reads {missing[0]!r} before it is made" if missing else "is there twice"
                raise DeployError(f"no layer graph: node {node.name!r} {wrong}")
            seen.add(node.name)
        inputs = [node.name for node in self.nodes if node.kind == INPUT]
        if len(inputs) != 1 or self.output not in seen:
            raise DeployError(
                f"no layer graph: {len(inputs)} inputs and output {self.output!r}; "
                "a network has one input and one output"
            )

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def input(self) -> Node:
        """The node without inputs."""
        return next(node for node in self.nodes if node.kind == INPUT)

    @property
    def parameters(self) -> int:
        """How many weights the network has."""
        return sum(int(array.size) for node in self.nodes for array in node.weights.values())

    def readers(self) -> Counter[str]:
        """How often each node is read, the graph's own output counted once."""
        counts = Counter(name for node in self.nodes for name in node.inputs)
        counts[self.output] += 1
        return counts

    def filled(self, neutral: tuple[float, ...]) -> LayerGraph:
        """The same network, which takes these values for far pixels that were not observed.

        Args:
            neutral: A number for each channel of the input.
        """
        first = self.input
        attributes = {**first.attributes, "neutral": neutral}
        changed = dataclasses.replace(first, attributes=attributes)
        nodes = tuple(changed if node is first else node for node in self.nodes)
        return LayerGraph(nodes, self.output)

    def digest(self) -> str:
        """SHA-256, in hex, of structure and weights; the names of layers do not count."""
        place = {node.name: index for index, node in enumerate(self.nodes)}
        digest = hashlib.sha256()
        for node in self.nodes:
            facts = [node.kind, [place[name] for name in node.inputs], dict(node.attributes)]
            digest.update(json.dumps(facts, sort_keys=True).encode())
            for name in sorted(node.weights):
                array = np.ascontiguousarray(node.weights[name], dtype="<f4")
                digest.update(f"{name}{array.shape}".encode())
                digest.update(array.tobytes())
        digest.update(str(place[self.output]).encode())
        return digest.hexdigest()


def digest_of(trained: TrainedModel) -> str:
    """Tells a network from others, in whichever kind of file it came."""
    network: Any = trained.network
    return network.digest() if isinstance(network, LayerGraph) else trained.digest()
