"""Weighted sums of shifted bands, computed together as one matrix product.

A sum over bands whose members are convolutions or multiples by constants is linear in its sources.
Such sums are rewritten as one `WeightedSum` each, and those over the same sources are computed in
one go: their taps (source, row, column) are laid out as a matrix and multiplied by the weights of
all of them. This is plain algebra; where a source has masked pixels the original nodes are computed
instead, because a sum leaves masked members out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.nodes import Blockwise, Constant, Convolve, Pointwise
from water_gee.emulator.pixels import Block, Context, Grid, Node, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

SUM = "sum"
"""The `kind` of a node that sums its inputs, leaving masked ones out."""

STRIP_BYTES = 8_000_000
"""Bytes of the tap matrix computed at once."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One term of a weighted sum: a source's pixel at an offset from the centre, times a weight."""

    source: Node
    row: int
    col: int
    weight: float


class WeightedSum(Node):
    """A sum of taps of its sources.

    Args:
        members: The original terms, in order; computed where masks need it.
        original: The node that summed them.
        taps: The same terms, taken apart.
    """

    __slots__ = ("halo", "members", "original", "taps")

    def __init__(self, original: Node, members: Sequence[Node], taps: Sequence[Tap]) -> None:
        super().__init__(tuple(dict.fromkeys(tap.source for tap in taps)), original.dtype)
        self.original = original
        self.members = tuple(members)
        self.taps = tuple(taps)
        rows, cols = [tap.row for tap in taps], [tap.col for tap in taps]
        self.halo = (
            max(0, -min(rows)),
            max(0, max(rows)),
            max(0, -min(cols)),
            max(0, max(cols)),
        )

    def needs(self, index: int, grid: Grid, window: Window, context: Context) -> Window | None:
        """Return the window with the halo of the farthest tap."""
        return window.grow(self.halo)

    def batch(self) -> object | None:
        """Return what siblings share: the sources and the halo."""
        return (self.inputs, self.halo)

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Compute this sum alone."""
        return self.compute_batch([self], grid, window, blocks, context)[0]

    def compute_batch(
        self,
        nodes: Sequence[Node],
        grid: Grid,
        window: Window,
        blocks: Sequence[Block | None],
        context: Context,
    ) -> list[Block]:
        """Compute sums over the same sources in one matrix product."""
        sums = [node for node in nodes if isinstance(node, WeightedSum)]
        sources = dict(zip(self.inputs, blocks, strict=True))
        if any(block is None or block.mask is not None for block in blocks):
            grown = window.grow(self.halo)
            return [node._term_by_term(grid, window, grown, sources, context) for node in sums]
        return _product(sums, window, sources, self.halo, context)

    def _term_by_term(
        self,
        grid: Grid,
        window: Window,
        grown: Window,
        sources: dict[Node, Block | None],
        context: Context,
    ) -> Block:
        members = []
        for member in self.members:
            if member in sources:
                block = sources[member]
                members.append(None if block is None else block.view(grown, window))
                continue
            parts: list[Block | None] = []
            for index, node in enumerate(member.inputs):
                need = member.needs(index, grid, window, context)
                block = (
                    node.compute(grid, window, (), context)
                    if isinstance(node, Constant)
                    else sources[node]
                )
                if block is not None and need is not None and node in sources:
                    block = block.view(grown, need)
                parts.append(block)
            members.append(member.compute(grid, window, parts, context))
        return self.original.compute(grid, window, members, context)


def _product(
    sums: Sequence[WeightedSum],
    window: Window,
    sources: dict[Node, Block | None],
    halo: tuple[int, int, int, int],
    context: Context,
) -> list[Block]:
    places: dict[tuple[Node, int, int], int] = {}
    for node in sums:
        for tap in node.taps:
            places.setdefault((tap.source, tap.row, tap.col), len(places))
    weights = np.zeros((len(sums), len(places)))
    for index, node in enumerate(sums):
        for tap in node.taps:
            weights[index, places[tap.source, tap.row, tap.col]] += tap.weight
    results = np.empty((len(sums), *window.shape))
    strip = max(1, STRIP_BYTES // (8 * len(places) * max(1, window.width)))
    for first in range(0, window.height, strip):
        context.check()
        rows = min(strip, window.height - first)
        taps = np.empty((len(places), rows, window.width))
        for (source, row, col), place in places.items():
            block = sources[source]
            if block is not None:
                top, left = first + halo[0] + row, halo[2] + col
                taps[place] = block.values[top : top + rows, left : left + window.width]
        product = weights @ taps.reshape(len(places), -1)
        results[:, first : first + rows] = product.reshape(len(sums), rows, window.width)
    return [Block(results[index].astype(node.dtype, copy=False)) for index, node in enumerate(sums)]


def _taps(member: Node) -> list[Tap] | None:
    """Take one member of a sum apart; None where it is not linear in one source."""
    if isinstance(member, Convolve):
        row, col = member.kernel.center
        return [
            Tap(member.inputs[0], i - row, j - col, float(weight))
            for (i, j), weight in np.ndenumerate(member.kernel.weights)
        ]
    if isinstance(member, Pointwise) and member.kind == "multiply" and member.dtype == np.float64:
        one, two = member.inputs
        if isinstance(two, Constant) and not isinstance(one, Constant):
            return [Tap(one, 0, 0, float(two.value))]
        if isinstance(one, Constant) and not isinstance(two, Constant):
            return [Tap(two, 0, 0, float(one.value))]
    return None


def fused_sum(node: Node) -> WeightedSum | None:
    """Return a sum over bands as a weighted sum of its sources, None where it is none."""
    if not (isinstance(node, Blockwise) and node.kind == SUM and node.dtype == np.float64):
        return None
    if len(node.inputs) < 2:
        return None
    taps: list[Tap] = []
    for member in node.inputs:
        terms = _taps(member)
        if terms is None:
            return None
        taps.extend(terms)
    return WeightedSum(node, node.inputs, taps)


class Fusion:
    """Stands in for nodes that can be computed better, each rewritten once."""

    def __init__(self) -> None:
        self._known: dict[Node, Node] = {}

    def __call__(self, node: Node) -> Node:
        """Return what to compute in place of `node`, often itself."""
        if node not in self._known:
            self._known[node] = fused_sum(node) or node
        return self._known[node]
