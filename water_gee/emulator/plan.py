"""How a window of the pixel graph is computed: fused, planned backwards, run forwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.arrays import joined
from water_gee.emulator.linear import Fusion
from water_gee.emulator.pixels import SMALLEST_CUT, Block, Context, Edge, Grid, Node, Window

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes behind some bands, in an order in which each comes after what it reads.

    Attributes:
        roots: The bands asked for.
        order: Every (node, grid) needed, inputs first.
        edges: What each of them reads.
    """

    roots: tuple[Edge, ...]
    order: tuple[Edge, ...]
    edges: dict[Edge, tuple[Edge, ...]]

    @classmethod
    def of(cls, nodes: Sequence[Node], grid: Grid) -> Plan:
        """Lay out the graph behind `nodes`, without recursion: graphs may be deep."""
        fused = Fusion()
        roots = tuple((fused(node), grid) for node in nodes)
        edges: dict[Edge, tuple[Edge, ...]] = {}
        order: list[Edge] = []
        stack: list[tuple[Edge, bool]] = [(root, False) for root in reversed(roots)]
        while stack:
            key, ready = stack.pop()
            if ready:
                order.append(key)
            elif key not in edges:
                edges[key] = tuple((fused(node), on) for node, on in key[0].edges(key[1]))
                stack.append((key, True))
                stack.extend((edge, False) for edge in reversed(edges[key]) if edge not in edges)
        return cls(roots, tuple(order), edges)

    def run(self, window: Window, context: Context) -> list[Block]:
        """Compute the roots over `window`, cutting it where memory would not do."""
        wanted = self._windows(window, context)
        cuttable = max(window.shape) >= 2 * SMALLEST_CUT
        if cuttable and self._peak(wanted) > context.budget:
            return self._run_in_two(window, context)
        return self._run_whole(window, wanted, context)

    def _run_in_two(self, window: Window, context: Context) -> list[Block]:
        halves = window.halves()
        parts = [self.run(half, context) for half in halves]
        axis = 0 if halves[0].width == window.width else 1
        return [
            _join(pair, [half.shape for half in halves], axis) for pair in zip(*parts, strict=True)
        ]

    def _windows(self, window: Window, context: Context) -> dict[Edge, Window]:
        """Go backwards: the union of the windows that the readers of each node need."""
        wanted: dict[Edge, Window] = dict.fromkeys(self.roots, window)
        for key in reversed(self.order):
            if key not in wanted:
                continue
            node, grid = key
            for index, edge in enumerate(self.edges[key]):
                need = node.needs(index, grid, wanted[key], context)
                if need is not None:
                    wanted[edge] = wanted[edge].union(need) if edge in wanted else need
        return wanted

    def _readers(self, wanted: dict[Edge, Window]) -> dict[Edge, int]:
        readers = dict.fromkeys(wanted, 0)
        for root in self.roots:
            readers[root] += 1
        for key in wanted:
            for edge in self.edges[key]:
                if edge in readers:
                    readers[edge] += 1
        return readers

    def _peak(self, wanted: dict[Edge, Window]) -> int:
        """Estimate the bytes held at the worst moment."""
        readers = self._readers(wanted)
        held = peak = 0
        size = {key: key[0].bytes(wanted[key].area) for key in wanted}
        for key in self.order:
            if key not in wanted:
                continue
            held += size[key]
            peak = max(peak, held)
            for edge in self.edges[key]:
                if edge in readers:
                    readers[edge] -= 1
                    if readers[edge] == 0:
                        held -= size[edge]
        return peak

    def _run_whole(
        self, window: Window, wanted: dict[Edge, Window], context: Context
    ) -> list[Block]:
        readers = self._readers(wanted)
        groups = self._groups(wanted)
        done: dict[Edge, Block] = {}
        for key in self.order:
            if key not in wanted or key in done:
                continue
            context.check()
            node, grid = key
            blocks: list[Block | None] = []
            for index, edge in enumerate(self.edges[key]):
                need = node.needs(index, grid, wanted[key], context)
                blocks.append(None if need is None else done[edge].view(wanted[edge], need))
            siblings = groups.get((node.batch(), grid, wanted[key]), [key])
            made = node.compute_batch(
                [sibling for sibling, _ in siblings], grid, wanted[key], blocks, context
            )
            done.update(zip(siblings, made, strict=True))
            for sibling in siblings:
                for edge in self.edges[sibling]:
                    if edge in readers:
                        readers[edge] -= 1
                        if readers[edge] == 0:
                            del done[edge]
        return [done[root].view(wanted[root], window) for root in self.roots]

    def _groups(self, wanted: dict[Edge, Window]) -> dict[tuple[object, Grid, Window], list[Edge]]:
        groups: dict[tuple[object, Grid, Window], list[Edge]] = {}
        for key in self.order:
            if key in wanted:
                common = key[0].batch()
                if common is not None:
                    groups.setdefault((common, key[1], wanted[key]), []).append(key)
        return groups


def _join(pair: Sequence[Block], shapes: Sequence[tuple[int, int]], axis: int) -> Block:
    values = joined([block.values for block in pair], axis)
    if all(block.mask is None for block in pair):
        return Block(values)
    masks = [
        np.ones(shape, bool) if block.mask is None else block.mask
        for block, shape in zip(pair, shapes, strict=True)
    ]
    return Block(values, np.concatenate(masks, axis=axis))
