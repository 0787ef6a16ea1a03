"""Decision trees in the text form of R's `print.rpart`, parsed strictly.

    n= 150

    node), split, n, deviance, yval
          * denotes terminal node

    1) root 150 28.30 3.06
      2) NDWI< 0.1 100 10.9 2.87 *
      3) NDWI>=0.1 50 7.04 3.43 *

A line holds the node's number, the test that leads to it from its parent, a count, a loss, the
value, perhaps class probabilities in brackets, and `*` at a leaf. Nodes come depth first, the
children of node k are 2k and 2k + 1, and the test of the second is the opposite of that of the
first (`tree` prints `<` and `>`: what equals goes by the first).

How the lines look: reference manuals of `rpart` and `tree` (CRAN). What the service says where a
number is not the expected one: its own error message, as users of tree converters quote it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee.emulator.registry import bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.emulator.pixels import Values

MAX_NODE = 2**31 - 1
"""Largest node number taken: what a 32-bit integer holds. The service's own limit is not known."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NODE = re.compile(r"\s*(\d+)\)\s+(.*?)\s*")
_ROOT = re.compile(r"root(?=\s)")
_TEST = re.compile(rf"([^\s<>=()*]+)\s*(<=|>=|<|>)\s*({_NUMBER})(?=\s)")
_FACTOR = re.compile(r"[^\s<>=()*]+\s*=")
_REST = re.compile(rf"({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*(?:\(([^()]*)\))?\s*(\*)?")
_HEADER = re.compile(r"\s*(n\s*=.*|node\), split, n,.*|\*\s+denotes terminal node)?\s*")


@dataclass(frozen=True, slots=True, eq=False)
class TextTree:
    """A tree as arrays over its nodes, root first.

    Attributes:
        features: The features tested, in order of first use.
        feature: int, index into `features`; 0 at a leaf.
        threshold: float64; infinite at a leaf.
        inclusive: bool, whether a value equal to the threshold goes to `below`.
        below: int, the node for values below the threshold; a leaf names itself.
        above: int, the node for the others.
        value: float64, each node's value.
    """

    features: tuple[str, ...]
    feature: npt.NDArray[np.intp]
    threshold: npt.NDArray[np.float64]
    inclusive: npt.NDArray[np.bool_]
    below: npt.NDArray[np.intp]
    above: npt.NDArray[np.intp]
    value: npt.NDArray[np.float64]

    def evaluate(self, columns: Values) -> Values:
        """Return the value of the leaf each observation ends in.

        Args:
            columns: float64 `(feature, n)`, in the order of `features`.

        Returns:
            float64 `(n,)`.
        """
        count = columns.shape[1]
        at = np.zeros(count, np.intp)
        flat, moving = columns.ravel(), np.arange(count)
        while len(moving := moving[self.below[at[moving]] != at[moving]]):
            node = at[moving]
            given, limit = flat[self.feature[node] * count + moving], self.threshold[node]
            low = (given < limit) | ((given == limit) & self.inclusive[node])
            at[moving] = np.where(low, self.below[node], self.above[node])
        leaves: Values = self.value[at]
        return leaves


@dataclass(frozen=True, slots=True)
class _Line:
    place: int
    node: int
    test: tuple[str, str, float] | None
    value: float
    leaf: bool


def parse_trees(text: str, where: str) -> list[TextTree]:
    """Parse one or more trees, each beginning at its root.

    Args:
        text: Lines; those R prints above a tree may be there.
        where: The function, for messages.

    Raises:
        ServiceError: 400: a line that is none, a number out of order, a test that is not the
            opposite of its sibling's, a tree without its leaves, or no tree at all.
    """
    trees: list[list[_Line]] = []
    for place, content in enumerate(text.splitlines(), start=1):
        if _HEADER.fullmatch(content):
            continue
        line = _line(content, place, where)
        if line.node == 1:
            trees.append([])
        elif not trees:
            raise _wrong(where, place, f"expected 1, got {line.node}")
        trees[-1].append(line)
    if not trees:
        raise bad_request(f"{where}: No decision tree found in the string.")
    return [_tree(lines, where) for lines in trees]


def _line(content: str, place: int, where: str) -> _Line:
    found = _NODE.fullmatch(content)
    if found is None:
        raise _wrong(where, place, f"'{content.strip()}' is no node")
    node, body = int(found[1]), found[2]
    if not 1 <= node <= MAX_NODE:
        raise _wrong(where, place, f"node {node} is not between 1 and {MAX_NODE}")
    test = None
    head = _ROOT.match(body) if node == 1 else _TEST.match(body)
    if head is None:
        if _FACTOR.match(body):
            raise _wrong(where, place, f"'{body.split()[0]}' tests a category, not a number")
        raise _wrong(where, place, f"'{body}' begins with no test")
    if node > 1:
        test = (head[1], head[2], _finite(head[3], place, where))
    rest = _REST.fullmatch(body[head.end() :].strip())
    if rest is None:
        raise _wrong(where, place, f"expected count, loss and value in '{body}'")
    return _Line(place, node, test, _finite(rest[3], place, where), rest[5] is not None)


def _finite(text: str, place: int, where: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _wrong(where, place, f"{text} is out of range")
    return number


def _tree(lines: Sequence[_Line], where: str) -> TextTree:
    """Link the nodes of one tree: which number has to come next is known before each line."""
    features: dict[str, int] = {}
    arrays = _blank(len(lines))
    index: dict[int, int] = {}
    expected = [1]
    for at, line in enumerate(lines):
        if not expected or line.node != expected[-1]:
            wanted = expected[-1] if expected else "the end of the tree"
            raise _wrong(where, line.place, f"expected {wanted}, got {line.node}")
        expected.pop()
        index[line.node] = at
        arrays["value"][at] = line.value
        if not line.leaf:
            expected += [2 * line.node + 1, 2 * line.node]
        if line.test is not None:
            _link(arrays, features, index, line, where)
    if expected:
        last = lines[-1].place
        raise _wrong(where, last, f"expected {expected[-1]}, got the end of the tree")
    return TextTree(tuple(features), **arrays)


def _blank(count: int) -> dict[str, Any]:
    own = np.arange(count)
    return {
        "feature": np.zeros(count, np.intp),
        "threshold": np.full(count, np.inf),
        "inclusive": np.ones(count, bool),
        "below": own.copy(),
        "above": own.copy(),
        "value": np.zeros(count),
    }


def _link(
    arrays: dict[str, Any], features: dict[str, int], index: dict[int, int], line: _Line, where: str
) -> None:
    """Enter a child's test at its parent; the second child's has to be the opposite."""
    assert line.test is not None
    name, sign, threshold = line.test
    parent, at = index[line.node // 2], index[line.node]
    feature = features.setdefault(name, len(features))
    low, equal = sign[0] == "<", sign[-1] == "="
    side = "below" if low else "above"
    if line.node % 2 == 0:
        arrays["feature"][parent] = feature
        arrays["threshold"][parent] = threshold
        arrays["inclusive"][parent] = low == equal
        arrays[side][parent] = at
        return
    # The first child took one side. The second may leave out equality, as `tree` prints it, but
    # not claim what the first has.
    first_has_equal = bool(arrays["inclusive"][parent]) != low
    opposite = (
        arrays["feature"][parent] == feature
        and arrays["threshold"][parent] == threshold
        and arrays[side][parent] == parent
        and not (equal and first_has_equal)
    )
    if not opposite:
        raise _wrong(
            where, line.place, f"the test of node {line.node} is not the opposite of its sibling's"
        )
    arrays[side][parent] = at


def _wrong(where: str, place: int, what: str) -> Exception:
    return bad_request(f"{where}: Error parsing line {place}: {what}.")
