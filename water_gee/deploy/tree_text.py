"""Trees -> the text that `Classifier.decisionTreeEnsemble` parses: that of R's `print.rpart`.

    1) root 1 0 0
    2) f0 <= 0.25 1 0 0.875 *
    3) f0 > 0.25 1 0 0
    6) f3 <= -1.5 1 0 0.5 *
    7) f3 > -1.5 1 0 0.125 *

Number of the node, the test that leads to it, how many samples and what loss (nobody reads them
here), the value, a star at a leaf. Nodes come depth first and the children of node k are 2k and
2k + 1: the parser says «expected 8, got 3» otherwise. Numbers are written as plain decimals, never
with an exponent, and in full: read back as a double, each is what it was.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from water_gee.deploy.ensemble import LEAF, MAX_DEPTH, Output, Tree, constant, scaled, tidied
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
"""What a name may be in the text; anything else could be taken for a part of the test."""


def decimal(number: float) -> str:
    """Write a finite double as a plain decimal that reads back as the same double; -0 is 0.

    Raises:
        DeployError: It is infinite or no number.
    """
    if not math.isfinite(number):
        raise DeployError(f"{number} cannot be written into a tree; its numbers must be finite")
    text = format(Decimal(repr(float(number))), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of bands that the text can hold.

    Raises:
        DeployError: One of them it cannot, or one is there twice.
    """
    for name in names:
        if not isinstance(name, str) or _NAME.fullmatch(name) is None or name == "root":
            raise DeployError(
                f"the band {name!r} cannot be named in a tree's text, which takes letters, digits, "
                "'_' and '.'; rename it, and give the new names as bands="
            )
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise DeployError(f"the band {twice[0]!r} is given twice; give one band for each feature")
    return tuple(names)


def write(tree: Tree, names: Sequence[str]) -> str:
    """Write one tree, not deeper than `MAX_DEPTH`, thresholds finite.

    Args:
        tree: As `ensemble.tidied` leaves it.
        names: Of the bands, one for each feature.

    Returns:
        Lines, each with its end.
    """
    low, high = ("<", ">=") if tree.strict else ("<=", ">")
    if tree.feature[0] == LEAF:
        # A root that is a leaf is no split; two equal leaves are read by any parser.
        value = decimal(float(tree.value[0]))
        rows = [f"2) {names[0]} {low} 0 1 0 {value} *", f"3) {names[0]} {high} 0 1 0 {value} *"]
        return "\n".join(["1) root 1 0 0", *rows, ""])
    lines = []
    stack = [(0, 1, "root")]
    while stack:
        node, number, test = stack.pop()
        if tree.feature[node] == LEAF:
            lines.append(f"{number}) {test} 1 0 {decimal(float(tree.value[node]))} *")
            continue
        lines.append(f"{number}) {test} 1 0 0")
        name, limit = names[int(tree.feature[node])], decimal(float(tree.threshold[node]))
        stack.append((int(tree.right[node]), 2 * number + 1, f"{name} {high} {limit}"))
        stack.append((int(tree.left[node]), 2 * number, f"{name} {low} {limit}"))
    return "\n".join([*lines, ""])


def texts(output: Output, names: Sequence[str], depth: int = MAX_DEPTH) -> list[str]:
    """Write the trees of one output, so that the mean over the strings is the output.

    A forest of n trees becomes n strings with the leaves as they are; of a sum, the leaves are n
    times as large, and hold the base. Trees that are too deep become several strings; a forest then
    gets strings of nothing but 0, up to n times a power of 2, so that leaves are scaled by that
    power: a mean of one half stays exactly one half.

    Raises:
        DeployError: A number that is not finite, or a tree too deep over too many features.
    """
    trees = output.trees or (constant(0.0),)
    parts = [part for tree in trees for part in tidied(tree, depth)]
    if output.mean:
        factor = 2.0 ** math.ceil(math.log2(len(parts) / len(trees)))
        parts += [constant(0.0)] * (round(factor) * len(trees) - len(parts))
    else:
        factor = float(len(parts))
    return [write(part, names) for part in scaled(parts, factor, output.base)]
