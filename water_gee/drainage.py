"""Where water runs: the drainage tree of a surface, flow accumulation, filling and erosion.

The lowest path from every pixel to the outlets is its path in the minimum spanning tree of the
pixel graph, each edge weighing as much as the higher of its two ends. So one spanning tree, grown
from the outlets, fills every depression up to its spill point and gives each pixel the neighbour it
drains to, without a queue in Python.

Priority flood gives the same levels: R. Barnes, C. Lehman, D. Mulla 2014, Computers & Geosciences
62. Implicit stream-power erosion along such a tree: J. Braun, S. Willett 2013, Geomorphology
180-181.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as _untyped
from scipy.sparse import csgraph as _untyped_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Surface = NDArray[np.floating[Any]]
    Index = NDArray[np.int32]

sparse: Any = _untyped
csgraph: Any = _untyped_graph

_STEEPEST = 1e-3
"""How much of the slope (m per m) enters an edge's weight (m): a tie break, so that of several
lower neighbours the steepest descent wins."""


@dataclass(frozen=True, slots=True)
class Drainage:
    """A tree over the pixels of a surface, outlets first.

    Attributes:
        shape: `(row, col)` of the surface.
        order: Flat pixel indices, every pixel after the one it drains to.
        receiver: Flat index of the pixel each pixel drains to; an outlet drains to itself.
        levels: Where in `order` each distance from the outlets begins, and the end.
    """

    shape: tuple[int, int]
    order: Index
    receiver: Index
    levels: tuple[int, ...]

    def steps(self) -> list[Index]:
        """Pixels by their distance from the outlets, outlets first."""
        ends = self.levels
        return [self.order[a:b] for a, b in itertools.pairwise(ends)]


def drain(surface: Surface, outlets: NDArray[np.bool_]) -> Drainage:
    """Find the drainage tree of a surface.

    Args:
        surface: Elevation in pixels' own units, `(row, col)`.
        outlets: Pixels where water leaves the surface; at least one.
    """
    count = surface.size
    height = surface.astype(np.float64).ravel()
    height -= height.min()
    starts, ends, weights = [], [], []
    flat = np.arange(count, dtype=np.int32).reshape(surface.shape)
    for a, b, length in _neighbours(flat):
        first, second = height[a], height[b]
        starts.append(a)
        ends.append(b)
        weights.append(np.maximum(first, second) - _STEEPEST * np.abs(first - second) / length)
    doors = flat[outlets]
    starts.append(np.full(doors.size, count, dtype=np.int32))
    ends.append(doors)
    weights.append(np.full(doors.size, -10.0))
    cost = np.concatenate(weights) + 11.0  # zero would mean no edge
    graph = sparse.csr_matrix(
        (cost, (np.concatenate(starts), np.concatenate(ends))), shape=(count + 1, count + 1)
    )
    tree = csgraph.minimum_spanning_tree(graph, overwrite=True)
    order, before = csgraph.breadth_first_order(tree, count, directed=False)
    rank = np.empty(count + 1, dtype=np.int32)
    rank[order] = np.arange(count + 1, dtype=np.int32)
    parents = rank[before[order[1:]]]
    levels = [0]
    reached = 1
    while levels[-1] < count:
        levels.append(int(np.searchsorted(parents, np.int32(reached), side="left")))
        reached = levels[-1] + 1
    receiver = before[:count].astype(np.int32)
    receiver[doors] = doors
    return Drainage(surface.shape, order[1:].astype(np.int32), receiver, tuple(levels))


def accumulate(tree: Drainage, weight: Surface | None = None) -> Surface:
    """Add up what runs off everything upstream, each pixel's own included.

    Args:
        tree: The surface's drainage.
        weight: Runoff of each pixel; without it 1.

    Returns:
        `float32 (row, col)`.
    """
    total = np.ones(tree.order.size) if weight is None else weight.astype(np.float64).ravel().copy()
    for step in reversed(tree.steps()[1:]):
        np.add.at(total, tree.receiver[step], total[step])
    return total.astype(np.float32).reshape(tree.shape)


def fill(surface: Surface, tree: Drainage) -> Surface:
    """Raise every depression to its spill point.

    Returns:
        `float32 (row, col)`: the surface, or the water level where that is higher.
    """
    level = surface.astype(np.float32).ravel().copy()
    for step in tree.steps()[1:]:
        level[step] = np.maximum(level[step], level[tree.receiver[step]])
    return level.reshape(tree.shape)


def carry_upstream(tree: Drainage, start: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark everything upstream of the marked pixels, these included."""
    marked = start.ravel().copy()
    for step in tree.steps()[1:]:
        marked[step] |= marked[tree.receiver[step]]
    return marked.reshape(tree.shape)


def erode(
    surface: Surface, tree: Drainage, area: Surface, strength: Surface, spacing: float
) -> Surface:
    """Cut valleys: one implicit step of stream-power erosion, stable for any strength.

    Args:
        surface: Elevation in metres, `(row, col)`.
        tree: Its drainage.
        area: Flow accumulation in square metres.
        strength: Erodibility x time, `(row, col)`: metres of cut per unit slope and square root of
            area in metres.
        spacing: Pixel size in metres.

    Returns:
        `float32 (row, col)`.
    """
    cut = (strength * np.sqrt(area) / spacing).ravel()
    height = surface.astype(np.float32).ravel().copy()
    for step in tree.steps()[1:]:
        below = height[tree.receiver[step]]
        here = height[step]
        lowered = (here + cut[step] * below) / (1 + cut[step])
        height[step] = np.where(here > below, lowered, here)
    return height.reshape(tree.shape)


def _neighbours(flat: Index) -> list[tuple[Index, Index, float]]:
    """The pairs of neighbouring pixels in four directions, with their distance in pixels."""
    diagonal = float(np.sqrt(2))
    return [
        (flat[:, :-1].ravel(), flat[:, 1:].ravel(), 1.0),
        (flat[:-1, :].ravel(), flat[1:, :].ravel(), 1.0),
        (flat[:-1, :-1].ravel(), flat[1:, 1:].ravel(), diagonal),
        (flat[:-1, 1:].ravel(), flat[1:, :-1].ravel(), diagonal),
    ]
