"""Which pixels of tiles a step of training sees: windows placed by class and kind of ground.

One interface for both ways to train. A `Batch` holds windows and a weight for each of their pixels,
0 where a pixel is not chosen. A network run over the windows gives the loss of the chosen pixels
(dense); or their own windows are cut out of it on the fly (`Batch.patches`), which is the same
loss. A window of one pixel is a patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from water_gee.errors import TrainingError
from water_gee.training.augment import Augmentation, change
from water_gee.training.patches import MARGIN, on_shore
from water_gee.training.strata import STRATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.training.patches import BoolArray, FloatArray, Samples

Positions = npt.NDArray[np.uint32]

RATE = 8e-3
"""The first learning rate that suits the default windows; a cosine takes it to a fiftieth."""

LARGEST_WINDOW = 512
LARGEST_SHORE = 100
"""Pixels away from shores are refused all the more often; beyond this, draws take too long."""

MOST_PIXELS = 1 << 22
"""Of a step's windows together: 128 MB of features."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pixels are chosen.

    Attributes:
        window: Pixels a side of the windows that are drawn. 1 draws pixels one by one.
        windows: Windows a step.
        pixels: Of the labelled pixels in them, how many are chosen, likelier the more they weigh;
            None takes all, by their weight.
        water: Share of the windows that are placed around a water pixel; the others are placed
            around land.
        land: How much all land weighs, of what water weighs. Land within 3 pixels of water keeps
            the weight of water, other land is lessened, to a tenth at least. Pixels drawn one by
            one are in balance by `water` alone.
        stratified: Whether kinds of ground (`strata`) and tiles are drawn by the root of their
            area, so that rare land and small waters are seen often; else by their area.
        shore: How many times more a pixel within 3 pixels of a shore weighs than others; of pixels
            drawn one by one, how many times likelier it is. From 1 to 100.
    """

    window: int = 32
    windows: int = 8
    pixels: int | None = None
    water: float = 0.5
    land: float = 1.0
    stratified: bool = True
    shore: float = 1.0

    def __post_init__(self) -> None:
        _in_range("window", self.window, 1, LARGEST_WINDOW)
        _in_range("windows", self.windows, 1, MOST_PIXELS)
        total = self.window**2 * self.windows
        if total > MOST_PIXELS:
            raise TrainingError(
                f"{self.windows} windows of {self.window} x {self.window} are {total} pixels a "
                f"step, more than {MOST_PIXELS}; take fewer or smaller ones"
            )
        if self.pixels is not None:
            _in_range("pixels", self.pixels, 1, total)
        if not 0 <= self.water <= 1:
            raise TrainingError(f"water must be a share from 0 to 1, not {self.water}")
        if not 0 < self.land < np.inf:
            raise TrainingError(f"land must be above 0, not {self.land}")
        if not 1 <= self.shore <= LARGEST_SHORE:
            raise TrainingError(f"shore must be from 1 to {LARGEST_SHORE}, not {self.shore}")


def _in_range(name: str, value: int, least: int, most: int) -> None:
    if not (isinstance(value, int) and least <= value <= most):
        raise TrainingError(f"{name} must be a whole number from {least} to {most}, not {value}")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from.

    Attributes:
        features: float32 `(n, side + 2 halo, side + 2 halo, band)`, scaled.
        water: float32 `(n, side, side)`: 1 water, 0 land; between them where neither is certain.
        weight: float32 `(n, side, side)`: 0 where a pixel is not chosen.
    """

    features: FloatArray
    water: FloatArray
    weight: FloatArray

    @property
    def share(self) -> float:
        """Chosen pixels, of all."""
        return float(np.count_nonzero(self.weight)) / self.weight.size

    def patches(self) -> Batch:
        """The chosen pixels alone, each with its own window: a batch of side 1."""
        size = self.features.shape[1] - self.water.shape[1] + 1
        where = np.nonzero(self.weight)
        view = sliding_window_view(self.features, (size, size), axis=(1, 2))
        features = np.moveaxis(view, 3, -1)[where]
        one = (-1, 1, 1)
        return Batch(features, self.water[where].reshape(one), self.weight[where].reshape(one))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the samples of a tile lie, by kind; positions in the flattened tile.

    Attributes:
        tile: The tile.
        kinds: Positions of water samples, then of the land of each stratum; of land as a whole
            where its strata are not known.
        shore: bool `(row, col)`, pixels near both water and land, if they are to be likelier.
    """

    tile: Samples
    kinds: tuple[Positions, ...]
    shore: BoolArray | None = None

    @classmethod
    def of(cls, tile: Samples, *, stratified: bool = True, shore: bool = False) -> Place:
        """Find them."""
        used = tile.weight > 0
        water = np.flatnonzero(used & (tile.water == 1)).astype(np.uint32)
        land = np.flatnonzero(used & (tile.water == 0)).astype(np.uint32)
        kinds = [water, land]
        if stratified and tile.stratum is not None:
            codes = tile.stratum.ravel()[land]
            kinds = [water, *(land[codes == code] for code in range(len(STRATA)))]
        return cls(tile, tuple(kinds), on_shore(tile) if shore else None)


class Draw:
    """Draws batches from tiles.

    Args:
        places: Where samples lie.
        sampling: How they are chosen.
        augmentation: What is changed about them.
        halo: Pixels the network loses on each side.

    Raises:
        TrainingError: There is not one sample.
    """

    def __init__(
        self,
        places: Sequence[Place],
        sampling: Sampling,
        augmentation: Augmentation,
        halo: int = MARGIN,
    ) -> None:
        self.places = places
        self.sampling = sampling
        self.augmentation = augmentation
        self.halo = halo
        sizes = np.array([[part.size for part in place.kinds] for place in places], np.float64)
        # By the root of areas: whole areas leave rare ground unseen, none gives stray pixels a say.
        power = 0.5 if sampling.stratified else 1.0
        self._within = [_shares(column**power) for column in sizes.T]
        totals = sizes.sum(axis=0)
        if not totals.any():
            raise TrainingError(f"{len(places)} tile(s) without one sample: nothing can be drawn")
        land = _shares(totals[1:] ** power)
        water = (sampling.water if totals[0] else 0.0) if land is not None else 1.0
        rest = np.zeros(totals.size - 1) if land is None else land
        self._kinds = np.concatenate([[water], (1 - water) * rest])
        least = min(min(place.tile.weight.shape) for place in places)
        self._side = min(sampling.window, least)

    def batch(self, generator: np.random.Generator) -> Batch:
        """Draw one step's pixels."""
        sampling, side = self.sampling, self._side
        index, position = self._centres(generator)
        shifts = generator.integers(side, size=(len(index), 2))
        turns = generator.integers(8, size=len(index))
        if not self.augmentation.turns:
            turns[:] = 0
        corners = [
            self._corner(int(tile), int(at), shift)
            for tile, at, shift in zip(index, position, shifts, strict=True)
        ]
        batch = self._gather(index, np.array(corners), turns)
        change(batch.features, self.augmentation, generator)
        if sampling.pixels is not None:
            batch = Batch(batch.features, batch.water, _chosen(batch, sampling.pixels, generator))
        return batch

    def _centres(
        self, generator: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Tiles and positions around which windows lie, the shares of kinds kept exactly."""
        count = self.sampling.windows
        steps = (np.arange(count) + generator.random()) / count
        edges = np.cumsum(self._kinds)
        kinds = np.minimum(np.searchsorted(edges, steps * edges[-1], "right"), len(edges) - 1)
        tiles, positions = np.empty(count, np.int64), np.empty(count, np.int64)
        for kind in np.unique(kinds):
            wanted = np.flatnonzero(kinds == kind)
            tiles[wanted], positions[wanted] = self._of_kind(int(kind), wanted.size, generator)
        return tiles, positions

    def _of_kind(
        self, kind: int, count: int, generator: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Draw pixels of one kind; away from shores, they are refused as often as is asked."""
        found: list[tuple[int, int]] = []
        while len(found) < count:
            wanted = count - len(found)
            tiles = generator.choice(len(self.places), wanted, p=self._within[kind])
            spots, luck = generator.random(wanted), generator.random(wanted)
            for tile, spot, chance in zip(tiles, spots, luck, strict=True):
                place = self.places[tile]
                at = int(place.kinds[kind][int(spot * place.kinds[kind].size)])
                near = place.shore is None or place.shore.flat[at]
                if near or chance * self.sampling.shore < 1:
                    found.append((int(tile), at))
        pairs = np.array(found, np.int64)
        return pairs[:, 0], pairs[:, 1]

    def _corner(self, tile: int, at: int, shift: npt.NDArray[np.int64]) -> tuple[int, int]:
        height, width = self.places[tile].tile.weight.shape
        row, col = divmod(at, width)
        row = min(max(row - int(shift[0]), 0), height - self._side)
        return row, min(max(col - int(shift[1]), 0), width - self._side)

    def _gather(
        self,
        index: npt.NDArray[np.int64],
        corners: npt.NDArray[np.int64],
        turns: npt.NDArray[np.int64],
    ) -> Batch:
        """Cut the windows out, turned and mirrored."""
        side, halo = self._side, self.halo
        full = side + 2 * halo
        bands = self.places[0].tile.features.shape[-1]
        features = np.empty((len(index), full, full, bands), np.float32)
        water = np.empty((len(index), side, side), np.float32)
        weight = np.empty_like(water)
        for tile in np.unique(index):
            source = self.places[tile].tile
            here = np.flatnonzero(index == tile)
            row, col = corners[here].T
            edge = source.margin - halo
            features[here] = _windows(source.features, full)[row + edge, col + edge]
            water[here] = _windows(source.water, side)[row, col]
            if source.percent is not None:
                water[here] = _windows(source.percent, side)[row, col] / np.float32(100)
            weight[here] = _windows(source.weight, side)[row, col]
        for turn in range(1, 8):
            here = np.flatnonzero(turns == turn)
            for part in (features, water, weight) if here.size else ():
                turned = np.rot90(part[here], turn % 4, axes=(1, 2))
                part[here] = turned[:, ::-1] if turn >= 4 else turned
        return Batch(features, water, weight)


def _windows(values: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Every window of `(row, col, ...)`, as a view: `(row, col, side, side, ...)`."""
    view = sliding_window_view(values, (side, side), axis=(0, 1))
    return np.moveaxis(view, (-2, -1), (2, 3))


def _shares(sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    total = sizes.sum()
    return sizes / total if total else None


def _chosen(batch: Batch, pixels: int, generator: np.random.Generator) -> FloatArray:
    """Choose pixels, likelier the more they weigh; how often one was chosen is its weight.

    One random number places a comb over the summed weights (systematic sampling), so that the
    expected loss is the weighted one.
    """
    ends = np.cumsum(batch.weight.ravel(), dtype=np.float64)
    if not ends[-1]:
        return batch.weight
    comb = (np.arange(pixels) + generator.random()) * (ends[-1] / pixels)
    hits = np.minimum(np.searchsorted(ends, comb, "right"), ends.size - 1)
    counts = np.bincount(hits, minlength=ends.size).astype(np.float32)
    return counts.reshape(batch.weight.shape)
