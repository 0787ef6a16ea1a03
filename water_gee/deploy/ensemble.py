"""Tree ensembles that belong to no library: binary trees of numbers, and how they add up.

Every library's model is brought to sums or means of trees and one function behind them
(`read_trees.py`, `read_boosted.py`); what follows, text, Earth Engine and NumPy, knows only these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

LEAF = -1
"""The feature that a leaf tests."""

MAX_DEPTH = 30
"""Tests above a node in tree text: numbers of nodes double at each, and stay below 2^31."""

Bounds = dict[int, tuple[float, float]]
"""Feature -> (above which, up to which) an observation is at a node."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A binary tree over numbers; root first, arrays of one length.

    Attributes:
        feature: int, what a node tests, `LEAF` at a leaf.
        threshold: float64, with what it compares; may be infinite.
        left: int, the node for values up to the threshold.
        right: int, the node for values above it.
        value: float64, of each leaf; what other nodes hold means nothing.
        strict: Whether a value equal to the threshold goes right.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array
    strict: bool = False

    def evaluate(self, features: Array) -> Array:
        """The value of the leaf each row ends in.

        Args:
            features: `(n, feature)`, finite.

        Returns:
            float64 `(n,)`.
        """
        at = np.zeros(len(features), np.intp)
        moving = np.arange(len(features))
        while len(moving := moving[self.feature[at[moving]] != LEAF]):
            node = at[moving]
            given, limit = features[moving, self.feature[node]], self.threshold[node]
            low = given < limit if self.strict else given <= limit
            at[moving] = np.where(low, self.left[node], self.right[node])
        values: Array = self.value[at].astype(np.float64)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One number of each pixel: `base` and the sum, or the mean, of some trees."""

    trees: tuple[Tree, ...]
    base: float = 0.0
    mean: bool = False

    def evaluate(self, features: Array) -> Array:
        """float64 `(n,)`."""
        total = np.zeros(len(features))
        for tree in self.trees:
            total += tree.evaluate(features)
        if self.mean:
            total /= max(len(self.trees), 1)
        return total + self.base


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of a scaler before the trees: `subtract`, `divide`, `multiply` or `add`.

    Attributes:
        how: The operation, by the name Earth Engine and NumPy's rule have.
        by: float64, one number for each feature.
    """

    how: str
    by: Array

    def apply(self, features: Array) -> Array:
        """The features after the step, in their own type as the scalers keep it."""
        with np.errstate(over="ignore"):
            return np.asarray(_STEPS[self.how](features, self.by)).astype(features.dtype)


_STEPS: dict[str, Callable[[Array, Array], Array]] = {
    "subtract": np.subtract,
    "divide": np.divide,
    "multiply": np.multiply,
    "add": np.add,
}


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """A model of trees.

    Attributes:
        channels: How many features it takes.
        outputs: One for each class; one alone for the second of two classes, or for a regression.
        link: What is done to the outputs: `identity`, `sigmoid`, `softmax` or `exp`.
        classes: What a classifier calls its classes, in order; None for a regression.
        names: What the features were called in training, None where they had no names.
        tie: Of two classes, the place of the one that wins where both are equally likely.
        double: Whether features are compared as doubles rather than as 32-bit floats.
        steps: What is done to the features first.
    """

    channels: int
    outputs: tuple[Output, ...]
    link: str = "identity"
    classes: tuple[Any, ...] | None = None
    names: tuple[str, ...] | None = None
    tie: int = 0
    double: bool = False
    steps: tuple[Step, ...] = field(default=())

    @property
    def wide(self) -> bool:
        """Whether features reach the trees as doubles; scalers keep 32 bits."""
        return self.double and not self.steps

    def scores(self, features: Array) -> Array:
        """float64 `(n, output)`: the outputs before the link.

        Args:
            features: `(n, channels)`; they are taken in 32 bits unless the model compares doubles.
        """
        taken = np.asarray(features).astype(np.float64 if self.wide else np.float32)
        for step in self.steps:
            taken = step.apply(taken)
        return np.stack([output.evaluate(taken) for output in self.outputs], axis=1)

    def predict(self, features: Array) -> Array:
        """float64 `(n, class)`, the probability of each class; `(n, 1)`, a regression's value."""
        linked = LINKS[self.link](self.scores(features))
        if self.classes is not None and len(self.outputs) < len(self.classes):
            return np.concatenate([1 - linked, linked], axis=1)
        return linked


LINKS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda scores: scores,
    "sigmoid": special.expit,
    "softmax": lambda scores: np.asarray(special.softmax(scores, axis=1)),
    "exp": np.exp,
}
"""From the outputs `(n, output)` to what the model says."""


class _Builder:
    """Grows a tree node by node."""

    def __init__(self, strict: bool) -> None:
        self.rows: list[list[float]] = []
        self.strict = strict

    def leaf(self, value: float) -> int:
        self.rows.append([LEAF, 0.0, 0, 0, value])
        return len(self.rows) - 1

    def split(self, feature: int, threshold: float) -> int:
        self.rows.append([feature, threshold, 0, 0, 0.0])
        return len(self.rows) - 1

    def link(self, parent: int, side: str, child: int) -> None:
        if parent >= 0:
            self.rows[parent][2 if side == "left" else 3] = child

    def tree(self) -> Tree:
        table = np.array(self.rows, np.float64)
        whole = [table[:, column].astype(np.intp) for column in (0, 2, 3)]
        return Tree(whole[0], table[:, 1], whole[1], whole[2], table[:, 4], self.strict)


def tidied(tree: Tree, depth: int = MAX_DEPTH) -> tuple[Tree, ...]:
    """Rewrite a tree so that text can hold it: the sum of the new trees is the old one, exactly.

    Branches that no finite number reaches go, infinite thresholds with them. What lies deeper than
    `depth` moves to trees of its own, which begin with the bounds that lead there (at most two for
    each feature) and are 0 outside them; as much of it together as such a tree can hold.

    Args:
        tree: As a library made it.
        depth: The most tests above a leaf.

    Returns:
        At least one tree; thresholds are finite.

    Raises:
        DeployError: Bounds alone are deeper than that.
    """
    made: list[Tree] = []
    heights = _heights(tree)
    waiting: list[tuple[int, Bounds]] = [(0, {})]
    while waiting:
        root, bounds = waiting.pop(0)
        builder = _Builder(tree.strict)
        parent, side, above = _fenced(builder, bounds)
        if above >= depth:
            raise DeployError(
                f"a tree is deeper than {depth} tests, over {above} bounds of different features, "
                f"which is more than its text can hold; train with max_depth={depth} or less"
            )
        waiting += _grown(builder, tree, heights, (root, bounds), (parent, side), (above, depth))
        made.append(builder.tree())
    return tuple(made)


def _fenced(builder: _Builder, bounds: Bounds) -> tuple[int, str, int]:
    """Begin a tree with the bounds of a region, 0 outside.

    Returns:
        Where the region's own node belongs: parent (-1 for the root), side, tests above it.
    """
    parent, side, above = -1, "left", 0
    for feature, (low, high) in bounds.items():
        for limit, inside, outside in ((high, "left", "right"), (low, "right", "left")):
            if math.isfinite(limit):
                node = builder.split(feature, limit)
                builder.link(parent, side, node)
                builder.link(node, outside, builder.leaf(0.0))
                parent, side, above = node, inside, above + 1
    return parent, side, above


def _heights(tree: Tree) -> Array:
    """How many tests lie on the longest way from each node down, its own among them."""
    order, stack = [], [0]
    while stack:
        node = stack.pop()
        if tree.feature[node] != LEAF:
            order.append(node)
            stack += [int(tree.left[node]), int(tree.right[node])]
    heights = np.zeros(len(tree.feature), np.intp)
    for node in reversed(order):
        heights[node] = 1 + max(heights[tree.left[node]], heights[tree.right[node]])
    return heights


def _grown(
    builder: _Builder,
    tree: Tree,
    heights: Array,
    region: tuple[int, Bounds],
    place: tuple[int, str],
    limits: tuple[int, int],
) -> list[tuple[int, Bounds]]:
    """Copy what is below a node.

    Args:
        builder: Of the new tree.
        tree: The old one.
        heights: Of its nodes.
        region: The node, and the bounds that lead there.
        place: Where it belongs: parent and side.
        limits: Tests above the node in the new tree, and the most there may be.

    Returns:
        What has no room here: nodes with their bounds, the highest that fit trees of their own.
    """
    above, depth = limits
    deeper: list[tuple[int, Bounds]] = []
    stack = [(*region, *place, above)]
    while stack:
        node, bounds, parent, side, at = stack.pop()
        node = _reached(tree, node, bounds)
        if tree.feature[node] == LEAF:
            builder.link(parent, side, builder.leaf(float(tree.value[node])))
            continue
        too_deep = at + heights[node] > depth
        if at == depth or (too_deep and _tests(bounds) + heights[node] <= depth):
            builder.link(parent, side, builder.leaf(0.0))
            deeper.append((node, bounds))
            continue
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
        low, high = bounds.get(feature, (-math.inf, math.inf))
        new = builder.split(feature, threshold)
        builder.link(parent, side, new)
        rest = {**bounds, feature: (threshold, high)}
        stack.append((int(tree.right[node]), rest, new, "right", at + 1))
        rest = {**bounds, feature: (low, threshold)}
        stack.append((int(tree.left[node]), rest, new, "left", at + 1))
    return deeper


def _tests(bounds: Bounds) -> int:
    """How many tests say that an observation is within bounds."""
    return sum(math.isfinite(limit) for pair in bounds.values() for limit in pair)


def _reached(tree: Tree, node: int, bounds: Bounds) -> int:
    """The first node from here down at which a finite number within the bounds may go both ways."""
    while tree.feature[node] != LEAF:
        low, high = bounds.get(int(tree.feature[node]), (-math.inf, math.inf))
        threshold = float(tree.threshold[node])
        if threshold >= high:
            node = int(tree.left[node])
        elif threshold <= low:
            node = int(tree.right[node])
        else:
            break
    return node


def constant(value: float) -> Tree:
    """A tree of one leaf."""
    return Tree(
        np.array([LEAF]), np.zeros(1), np.zeros(1, int), np.zeros(1, int), np.array([value])
    )


def scaled(trees: Sequence[Tree], factor: float, shift: float) -> tuple[Tree, ...]:
    """The trees with `value * factor + shift` in their leaves."""
    if factor == 1 and shift == 0:
        return tuple(trees)
    return tuple(
        Tree(t.feature, t.threshold, t.left, t.right, t.value * factor + shift, t.strict)
        for t in trees
    )
