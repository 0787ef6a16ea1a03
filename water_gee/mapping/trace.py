"""Bodies of one class of a raster of any size: their outlines and sums, joined across windows.

The raster is read window by window. Pieces that touch over a window's border, at a corner too, are
one body: a union-find joins their numbers while windows pass, and their outlines at the end. All
outlines are in pixels, `(col, row)`, on whole numbers, so that joining them is exact: how the
raster was cut leaves no trace in a body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.geometry
from affine import Affine
from rasterio import features
from scipy import ndimage

from water_gee import raster
from water_gee.imagery.store import NOT_OBSERVED, WATER
from water_gee.mapping import maps

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from water_gee.mapping.maps import Progress, WaterMap
    from water_gee.windows import Padded, Window

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]
    Shapes = npt.NDArray[np.object_]

WINDOW = 2048
"""Side of the windows, in pixels: large ones leave fewer pieces to join."""

_BEYOND = 254
"""Stands for what lies beyond the raster."""

_TOUCHING = np.ones((3, 3), dtype=int)
_SUMS = ("pixels", "area", "probability", "weight", "sides", "unobserved", "edge")


@dataclass(frozen=True, slots=True)
class Bodies:
    """The connected parts of a class; arrays have one entry for each body.

    Attributes:
        outlines: Valid multipolygons in pixels, `(col, row)`, holes kept, no needless vertex. They
            go from top to bottom, and from left to right, by their first pixel.
        pixels: Number of pixels.
        area_m2: Sum of their areas on the ellipsoid.
        probability: Mean probability, weighted by area; NaN without probabilities.
        sides: Sides of pixels that the body ends at.
        unobserved: Of these, sides towards a pixel that was not observed.
        edge: Of these, sides on the raster's edge.
        dropped: Bodies left out because they were smaller than asked for.
        dropped_m2: Their area together.
    """

    outlines: Shapes
    pixels: Integers
    area_m2: Floats
    probability: Floats
    sides: Integers
    unobserved: Integers
    edge: Integers
    dropped: int
    dropped_m2: float


def trace(
    chart: WaterMap,
    *,
    code: int = WATER,
    minimum_m2: float = 0.0,
    probability: Path | None = None,
    progress: Progress | None = None,
    window: int = WINDOW,
) -> Bodies:
    """Find the bodies of a class.

    Pixels that touch at a corner belong together, so that a diagonal river is one body. Memory
    goes with the bodies that are large enough, not with the raster.

    Args:
        chart: The raster.
        code: The class.
        minimum_m2: Smaller bodies are left out, and counted.
        probability: Probability of water on the same grid.
        progress: Draws a bar.
        window: Side of the windows, in pixels.

    Raises:
        RasterError: The raster cannot be read, or holds what it may not.
    """
    state = _State(minimum_m2, chart.grid.shape)
    for step in maps.counted(chart.grid.shape, window, 1, progress):
        codes = _with_border(chart.read(step.outer), step)
        likely = None if probability is None else maps.read_probability(probability, step.core)
        areas = np.broadcast_to(chart.areas_m2(step.core), (step.core.height, step.core.width))
        state.take(step.core, codes, code, areas, likely)
    return state.finish()


def _with_border(codes: npt.NDArray[np.uint8], step: Padded) -> npt.NDArray[np.uint8]:
    """The window's codes with one pixel around, `_BEYOND` outside the raster."""
    return np.pad(codes, step.pad, constant_values=_BEYOND)


@dataclass(slots=True)
class _State:
    """What is carried from window to window; numbers of pieces count from 1."""

    minimum_m2: float
    shape: tuple[int, int]
    parents: list[int] = field(default_factory=lambda: [0])
    sums: list[Floats] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    pieces: list[Any] = field(default_factory=list)
    dropped: int = 0
    dropped_m2: float = 0.0
    above: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    below: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    left: Integers = field(default_factory=lambda: np.zeros(0, np.int64))

    def take(
        self,
        core: Window,
        codes: npt.NDArray[np.uint8],
        code: int,
        areas: Floats,
        likely: Floats | None,
    ) -> None:
        """Add one window."""
        if core.col == 0:
            self.above = self.below
            self.below = np.zeros(self.shape[1], np.int64)
        there = codes[1:-1, 1:-1] == code
        labels, count = _labelled(there)
        sums = _sums(labels, count, codes, code, areas, likely)
        kept = self._open(core, labels, count) | (sums[1] >= self.minimum_m2)
        kept[0] = False
        self.dropped += int(count - np.count_nonzero(kept))
        self.dropped_m2 += float(sums[1, 1:][~kept[1:]].sum())
        table = np.zeros(count + 1, np.int64)
        table[kept] = len(self.parents) + np.arange(np.count_nonzero(kept))
        self.parents += range(len(self.parents), len(self.parents) + np.count_nonzero(kept))
        self.sums.append(sums[:, kept])
        numbered = table[labels]
        self._join(core, numbered)
        self.below[core.slices[1]] = numbered[-1]
        self.left = numbered[:, -1].copy()
        self._outline(core, numbered)

    def _open(self, core: Window, labels: Any, count: int) -> npt.NDArray[np.bool_]:
        """The pieces that may go on in another window."""
        found = np.zeros(count + 1, dtype=bool)
        if core.row > 0:
            found[labels[0]] = True
        if core.col > 0:
            found[labels[:, 0]] = True
        if core.row + core.height < self.shape[0]:
            found[labels[-1]] = True
        if core.col + core.width < self.shape[1]:
            found[labels[:, -1]] = True
        return found

    def _join(self, core: Window, numbered: Integers) -> None:
        """Make one what touches over the upper and the left border."""
        if core.row > 0:
            wide = np.pad(self.above, 1)
            for shift in range(3):
                start = core.col + shift
                self._unite(numbered[0], wide[start : start + core.width])
        if core.col > 0:
            tall = np.pad(self.left, 1)
            for shift in range(3):
                self._unite(numbered[:, 0], tall[shift : shift + core.height])

    def _unite(self, first: Integers, second: Integers) -> None:
        both = (first > 0) & (second > 0)
        for a, b in np.unique(np.stack([first[both], second[both]], axis=1), axis=0).tolist():
            low, high = sorted((self._root(a), self._root(b)))
            self.parents[high] = low

    def _root(self, number: int) -> int:
        parents = self.parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    def _outline(self, core: Window, numbered: Integers) -> None:
        place = Affine.translation(core.col, core.row)
        small = numbered.astype(np.int32)
        with raster.unwarned():
            found = list(features.shapes(small, small > 0, 4, place))
        for shape, number in found:
            self.numbers.append(int(number))
            self.pieces.append(shapely.geometry.shape(shape))

    def finish(self) -> Bodies:
        """Join the pieces."""
        roots = np.array([self._root(number) for number in range(len(self.parents))], np.int64)
        sums = np.concatenate([np.zeros((len(_SUMS), 1)), *self.sums], axis=1)
        bodies, inverse = np.unique(roots, return_inverse=True)
        total = np.stack([np.bincount(inverse, row, len(bodies)) for row in sums])
        large = total[1] >= self.minimum_m2
        large[0] = False
        self.dropped += int(len(bodies) - 1 - np.count_nonzero(large))
        self.dropped_m2 += float(total[1, 1:][~large[1:]].sum())
        rank = np.cumsum(large) - 1
        owner = inverse[np.array(self.numbers, np.int64)] if self.numbers else np.zeros(0, int)
        wanted = large[owner]
        pieces = np.array(self.pieces, dtype=object)[wanted]
        self.pieces = []
        outlines = _joined(pieces, rank[owner[wanted]], int(np.count_nonzero(large)))
        found = dict(zip(_SUMS, total[:, large], strict=True))
        order = _by_place(outlines)
        weight = found["weight"]
        none = np.full(weight.shape, np.nan)
        mean = np.divide(found["probability"], weight, out=none, where=weight > 0)
        names = ("pixels", "sides", "unobserved", "edge")
        whole = {name: found[name].astype(np.int64)[order] for name in names}
        return Bodies(
            outlines=outlines[order],
            area_m2=found["area"][order],
            probability=mean[order],
            dropped=self.dropped,
            dropped_m2=self.dropped_m2,
            **whole,
        )


def _labelled(there: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], int]:
    labels = np.empty(there.shape, dtype=np.int32)
    count: Any = ndimage.label(there, structure=_TOUCHING, output=labels)
    return labels, int(count)


def _sums(
    labels: npt.NDArray[Any],
    count: int,
    codes: npt.NDArray[np.uint8],
    code: int,
    areas: Floats,
    likely: Floats | None,
) -> Floats:
    """Sums of `_SUMS` for labels 0 to `count`, `(sum, label)`."""
    out = np.zeros((len(_SUMS), count + 1))
    inside = labels > 0
    numbers = labels[inside]

    def add(row: int, where: npt.NDArray[np.bool_], weights: Floats | None = None) -> None:
        chosen = None if weights is None else weights[where]
        out[row] += np.bincount(labels[where], chosen, count + 1)

    out[0] = np.bincount(numbers, minlength=count + 1)
    out[1] = np.bincount(numbers, areas[inside], count + 1)
    if likely is not None:
        seen = inside & np.isfinite(likely)
        add(2, seen, areas * np.nan_to_num(likely))
        add(3, seen, areas)
    rows, cols = labels.shape
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        beside = codes[down : down + rows, right : right + cols]
        ends = inside & (beside != code)
        add(4, ends)
        add(5, ends & (beside == NOT_OBSERVED))
        add(6, ends & (beside == _BEYOND))
    return out


# ------------------------------------------------------------------------------------ outlines


def _joined(pieces: Shapes, owner: Integers, count: int) -> Shapes:
    """One multipolygon for each body, out of its pieces."""
    out = np.empty(count, dtype=object)
    order = np.argsort(owner, kind="stable")
    pieces, owner = _valid(pieces[order]), owner[order]
    starts = np.searchsorted(owner, np.arange(count + 1))
    for body in range(count):
        own = pieces[starts[body] : starts[body + 1]]
        out[body] = own[0] if len(own) == 1 else shapely.union_all(own)
    return straightened(out)


def _valid(shapes: Shapes) -> Shapes:
    """The same areas as valid shapes: a ring that touches itself becomes two."""
    wrong = ~shapely.is_valid(shapes)
    if wrong.any():
        shapes = shapes.copy()
        shapes[wrong] = shapely.make_valid(shapes[wrong])
    return shapes


def straightened(shapes: Shapes) -> Shapes:
    """Multipolygons without vertices on straight lines, in one order of rings and parts."""
    if len(shapes) == 0:
        return shapes
    parts, body = shapely.get_parts(shapes, return_index=True)
    # A union of pieces may be a collection that holds multipolygons.
    parts, again = shapely.get_parts(parts, return_index=True)
    body = body[again]
    areal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, body = parts[areal], body[areal]
    rings, polygon = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points, ring = _corners(points, ring)
    return assembled(points, ring, polygon, body)


def assembled(points: Floats, ring: Integers, polygon: Integers, body: Integers) -> Shapes:
    """Multipolygons of the points of their rings.

    Args:
        points: `(point, 2)`.
        ring: Ring of each point.
        polygon: Polygon of each ring, the outer ring first.
        body: Multipolygon of each polygon.
    """
    rings: Any = shapely.linearrings(points, indices=ring)
    polygons: Any = shapely.polygons(rings, indices=polygon)
    whole: Any = shapely.normalize(shapely.multipolygons(polygons, indices=body))
    return np.asarray(whole, dtype=object)


def _corners(points: Floats, ring: Integers) -> tuple[Floats, Integers]:
    """Closed rings without the vertices on straight lines; the last point repeats the first."""
    last = np.append(ring[1:] != ring[:-1], True)
    open_points, open_ring = points[~last], ring[~last]
    starts = np.append(True, open_ring[1:] != open_ring[:-1])
    ends = np.append(starts[1:], True)
    index = np.arange(len(open_ring))
    before, after = index - 1, index + 1
    before[starts], after[ends] = index[ends], index[starts]
    came, goes = open_points - open_points[before], open_points[after] - open_points
    turns = came[:, 0] * goes[:, 1] != came[:, 1] * goes[:, 0]
    kept_points, kept_ring = open_points[turns], open_ring[turns]
    first = np.append(True, kept_ring[1:] != kept_ring[:-1])
    size = np.diff(np.append(np.flatnonzero(first), len(kept_ring)))
    stops = np.cumsum(size)
    return (
        np.insert(kept_points, stops, kept_points[first], axis=0),
        np.insert(kept_ring, stops, kept_ring[first]),
    )


def _by_place(outlines: Shapes) -> Integers:
    """The order of bodies by their highest pixel, and among those the leftmost."""
    bounds = shapely.bounds(outlines).reshape(-1, 4)
    return np.lexsort((bounds[:, 2], bounds[:, 3], bounds[:, 0], bounds[:, 1]))
