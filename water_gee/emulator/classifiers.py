"""Classifiers that come as trees, and what each output mode makes of the trees' values.

The modes are those of `Classifier.setOutputMode`. CLASSIFICATION is the majority's class,
REGRESSION the mean, RAW and RAW_REGRESSION the trees' values side by side as an array. What the
service does at a tie, and what PROBABILITY means for trees that came as text, nobody says:
`docs/decisions/tree-classifiers.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.values import DOUBLE, PixelType

if TYPE_CHECKING:
    from water_gee.emulator.pixels import Values
    from water_gee.emulator.treetext import TextTree

CLASSIFICATION = "CLASSIFICATION"
REGRESSION = "REGRESSION"
RAW = "RAW"
RAW_REGRESSION = "RAW_REGRESSION"

MODES = (CLASSIFICATION, REGRESSION, "PROBABILITY", "MULTIPROBABILITY", RAW, RAW_REGRESSION)
"""What the client documents."""

ARRAYS = (RAW, RAW_REGRESSION)
"""The modes with one number for each tree."""


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """Trees and how their values become one.

    Attributes:
        name: `decisionTree` or `decisionTreeEnsemble`.
        trees: At least one.
        texts: What they were parsed from.
        mode: One of `MODES`.
    """

    name: str
    trees: tuple[TextTree, ...]
    texts: tuple[str, ...]
    mode: str = CLASSIFICATION

    @property
    def schema(self) -> tuple[str, ...]:
        """The features tested, in order of first use."""
        return tuple(dict.fromkeys(name for tree in self.trees for name in tree.features))

    @property
    def result_type(self) -> PixelType:
        """The type of what it puts out: whole where classes are, else double."""
        if self.mode in ARRAYS:
            return PixelType("double", dimensions=1)
        values = np.concatenate([tree.value[tree.below == _own(tree)] for tree in self.trees])
        if self.mode == CLASSIFICATION and (values == np.round(values)).all():
            return PixelType("int", int(values.min()), int(values.max()))
        return DOUBLE

    def votes(self, columns: Values) -> Values:
        """Return each tree's value.

        Args:
            columns: float64 `(feature, n)`, in the order of `schema`.

        Returns:
            float64 `(tree, n)`.
        """
        place = {name: index for index, name in enumerate(self.schema)}
        votes = np.empty((len(self.trees), columns.shape[1]))
        for row, tree in enumerate(self.trees):
            votes[row] = tree.evaluate(columns[[place[name] for name in tree.features]])
        return votes

    def evaluate(self, columns: Values) -> Values:
        """Return what the mode makes of the trees' values.

        Args:
            columns: float64 `(feature, n)`, in the order of `schema`.

        Returns:
            float64 `(n,)`; `(n, tree)` in the raw modes.
        """
        votes = self.votes(columns)
        if self.mode in ARRAYS:
            return np.ascontiguousarray(votes.T)
        if self.mode == REGRESSION:
            mean: Values = votes.mean(axis=0)
            return mean
        return majority(votes)


def _own(tree: TextTree) -> Values:
    return np.arange(len(tree.value))


def majority(votes: Values) -> Values:
    """Return the commonest value of each column of `(tree, n)`, the smallest of equally common."""
    classes = np.unique(votes)
    best = np.full(votes.shape[1], classes[0])
    most = np.zeros(votes.shape[1], np.intp)
    for one in classes:
        count = (votes == one).sum(axis=0)
        better = count > most
        best[better], most[better] = one, count[better]
    return best
