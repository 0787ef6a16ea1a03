"""Tiles and labels to balanced samples, split by place.

A sample is a pixel whose 7 x 7 window was observed whole. Samples are not cut out one by one:
windows of many pixels go through the network at once, and every pixel in them carries a weight, 0
where it is no sample. That is the same loss as on single 7 x 7 patches, at a fraction of the cost.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from water_gee.errors import FewCellsWarning, TrainingError
from water_gee.imagery.recipe import FEATURES
from water_gee.training.scaling import scaled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from water_gee.imagery.recipe import Recipe

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]

MARGIN = 3
"""Pixels around a sample that the network sees: half of 7 x 7, less the centre."""

NOT_OBSERVED = 255

SHORE = 3
"""Land this near to water, in pixels, counts as much as water does: there the map is decided."""

FEWEST_CELLS = 4
"""With fewer cells than this, validation takes blocks inside cells."""

VALIDATION_SHARE = 4
"""One cell, or block, in so many validates."""

DRAWS = 16
"""Random choices of blocks, of which the fairest validates."""

GAP = 7
"""Pixels between training and validation blocks, so that no window is seen by both."""

LEAST_LAND_WEIGHT = 0.1


@dataclass(frozen=True, slots=True)
class Samples:
    """One tile's samples.

    Attributes:
        name: The cell's id.
        features: float32 `(row, col, band)`, scaled, 0 where not observed; the margin included.
        water: uint8 `(row, col)` without the margin: 1 water, 0 land.
        weight: float32 `(row, col)`: 0 where a pixel is no sample.
    """

    name: str
    features: FloatArray
    water: ByteArray
    weight: FloatArray

    @property
    def counts(self) -> tuple[int, int]:
        """Samples of water and of land."""
        used = self.weight > 0
        water = int((used & (self.water == 1)).sum())
        return water, int(used.sum()) - water


def check_settings(recipe: Recipe, seed: int) -> None:
    """Refuse what no network here can be trained with, before anything is read.

    Raises:
        TrainingError: Other features than the eight in their order, or a seed out of range.
    """
    if recipe.features != FEATURES:
        raise TrainingError(
            f"this network is trained on the features {', '.join(FEATURES)}, in this order; "
            f"the recipe has {', '.join(recipe.features)}"
        )
    if not 0 <= seed < 2**32:
        raise TrainingError(f"a seed is a whole number from 0 to {2**32 - 1}, not {seed}")


def check_classes(tiles: Sequence[Samples]) -> None:
    """Refuse samples of one class.

    Raises:
        TrainingError: There is no water, or no land.
    """
    water, land = (sum(counts) for counts in zip(*(tile.counts for tile in tiles), strict=True))
    if water == 0:
        raise TrainingError(
            f"no labelled water in {len(tiles)} tile(s): nothing can be learned; "
            "take a larger area, another season, or other labels"
        )
    if land == 0:
        raise TrainingError(
            f"no labelled land in {len(tiles)} tile(s): nothing can be learned; "
            "take a larger area, or other labels"
        )


def usable(features: FloatArray) -> npt.NDArray[np.bool_]:
    """Say which pixels have a whole window.

    Args:
        features: float32 `(band, row, col)`, NaN where not observed.

    Returns:
        bool `(row - 6, col - 6)`.
    """
    seen = np.asarray(np.isfinite(features).all(axis=0))
    height, width = seen.shape
    rows = np.ones((height - 2 * MARGIN, width), bool)
    for shift in range(2 * MARGIN + 1):
        rows &= seen[shift : shift + height - 2 * MARGIN]
    whole = np.ones((height - 2 * MARGIN, width - 2 * MARGIN), bool)
    for shift in range(2 * MARGIN + 1):
        whole &= rows[:, shift : shift + width - 2 * MARGIN]
    return whole


def samples(
    name: str, features: FloatArray, labels: ByteArray, weight: FloatArray | None = None
) -> Samples:
    """Make a tile's samples, unbalanced: each counts 1, or its given weight.

    Args:
        name: The cell's id.
        features: float32 `(8, row, col)`, NaN where not observed.
        labels: uint8 `(row, col)`: 0 land, 1 water, 255 no label.
        weight: float32 `(row, col)`, how much each label is to be trusted; 1 where None.

    Raises:
        TrainingError: Labels and features do not lie on one grid.
    """
    if features.shape[1:] != labels.shape:
        raise TrainingError(
            f"{name}: labels are {labels.shape}, features {features.shape[1:]}; "
            "make the labels of this tile again"
        )
    if min(labels.shape) <= 2 * MARGIN:
        raise TrainingError(f"{name}: a tile of {labels.shape} pixels has no whole 7 x 7 window")
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    chosen = usable(features) & (labels[inner] != NOT_OBSERVED)
    given = np.ones_like(chosen, np.float32) if weight is None else weight[inner]
    return Samples(
        name,
        scaled(features),
        (labels[inner] == 1).astype(np.uint8),
        np.where(chosen, given, 0).astype(np.float32),
    )


def balanced(tiles: Sequence[Samples]) -> list[Samples]:
    """Weigh land so that, over all tiles, it counts as much as water.

    Water and the land within `SHORE` pixels of it keep their weight; the rest of the land shares
    what is left of water's, but at least a tenth.

    Raises:
        TrainingError: There is no water, or no land.
    """
    check_classes(tiles)
    near = [_near_water(tile) for tile in tiles]
    water = sum(float(tile.weight[tile.water == 1].sum()) for tile in tiles)
    shore = sum(
        float(tile.weight[(tile.water == 0) & by].sum())
        for tile, by in zip(tiles, near, strict=True)
    )
    far = sum(
        float(tile.weight[(tile.water == 0) & ~by].sum())
        for tile, by in zip(tiles, near, strict=True)
    )
    factor = float(np.clip((water - shore) / max(far, 1.0), LEAST_LAND_WEIGHT, 1.0))
    return [
        replace(
            tile,
            weight=np.where((tile.water == 0) & ~by, tile.weight * factor, tile.weight).astype(
                np.float32
            ),
        )
        for tile, by in zip(tiles, near, strict=True)
    ]


def _near_water(tile: Samples) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import maximum_filter

    water = ((tile.water == 1) & (tile.weight > 0)).astype(np.uint8)
    return np.asarray(maximum_filter(water, size=2 * SHORE + 1, mode="constant") > 0)


def split(tiles: Sequence[Samples], seed: int) -> tuple[list[Samples], list[Samples]]:
    """Split into training and validation samples, by place.

    Cells for validation are set aside whole: one in four, chosen by the seed, so that both parts
    have water and land. With fewer than four cells, or where whole cells cannot be chosen so,
    blocks of about 125 pixels are taken instead, 7 pixels away from those that train; where not
    even blocks have both, what trains also validates. A `FewCellsWarning` says so.

    Returns:
        Training tiles and validation tiles; with blocks, the same tiles with other weights.
    """
    counts = [tile.counts for tile in tiles]
    order = np.random.default_rng(seed).permutation(len(tiles))
    if len(tiles) >= FEWEST_CELLS:
        wanted = len(tiles) // VALIDATION_SHARE
        for start in range(len(tiles)):
            chosen = {int(order[(start + step) % len(tiles)]) for step in range(wanted)}
            others = [index for index in range(len(tiles)) if index not in chosen]
            if _both_classes([counts[index] for index in chosen]) and _both_classes(
                [counts[index] for index in others]
            ):
                return [tiles[index] for index in others], [
                    tiles[index] for index in sorted(chosen)
                ]
    training, validation = _split_blocks(tiles, seed)
    if all(_both_classes([tile.counts for tile in part]) for part in (training, validation)):
        how = (
            f"validation takes blocks inside cells, {GAP} pixels apart from those that train, "
            "instead of whole cells"
        )
    else:
        training, validation = list(tiles), list(tiles)
        how = "too little water or land to set any aside, so what trains also validates"
    warnings.warn(f"{len(tiles)} cell(s): {how}", FewCellsWarning, stacklevel=2)
    return training, validation


def _both_classes(counts: Sequence[tuple[int, int]]) -> bool:
    return all(sum(count[kind] for count in counts) > 0 for kind in (0, 1))


def _split_blocks(tiles: Sequence[Samples], seed: int) -> tuple[list[Samples], list[Samples]]:
    """Of some random choices of blocks, take the one that sets a quarter of the water aside."""
    from scipy.ndimage import maximum_filter

    water = sum(tile.counts[0] for tile in tiles)

    def unfairness(blocks: Iterable[npt.NDArray[np.bool_]]) -> float:
        held = sum(
            int((block & (tile.water == 1) & (tile.weight > 0)).sum())
            for tile, block in zip(tiles, blocks, strict=True)
        )
        return abs(held / max(1, water) - 1 / VALIDATION_SHARE)

    draws = [
        [_blocks(tile.weight.shape, generator) for tile in tiles]
        for generator in (np.random.default_rng([seed, draw]) for draw in range(DRAWS))
    ]
    training, validation = [], []
    for tile, inside in zip(tiles, min(draws, key=unfairness), strict=True):
        around = maximum_filter(inside.astype(np.uint8), size=2 * GAP + 1, mode="constant") > 0
        training.append(replace(tile, weight=np.where(around, 0, tile.weight).astype(np.float32)))
        validation.append(replace(tile, weight=np.where(inside, tile.weight, 0).astype(np.float32)))
    return training, validation


def _blocks(shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Mark one in four of the blocks, of about 125 pixels a side, that part a tile."""
    height, width = shape
    down, across = max(1, round(height / 125)), max(1, round(width / 125))
    chosen = np.zeros(down * across, bool)
    chosen[generator.permutation(chosen.size)[: max(1, chosen.size // VALIDATION_SHARE)]] = True
    rows = np.minimum(np.arange(height) * down // height, down - 1)
    cols = np.minimum(np.arange(width) * across // width, across - 1)
    return np.asarray(chosen.reshape(down, across)[np.ix_(rows, cols)])


@dataclass(frozen=True, slots=True)
class Crops:
    """Windows of tiles, turned and mirrored, for one step of training.

    Args:
        tiles: Where they come from.
        side: Pixels a side of the windows' centres; the network sees 3 more all around.
        batch: Windows a step.
    """

    tiles: Sequence[Samples]
    side: int = 64
    batch: int = 8
    _water: list[npt.NDArray[np.uint32]] = field(init=False, repr=False, compare=False)
    """Where each tile has water samples, as positions in the flattened tile; found once."""

    def __post_init__(self) -> None:
        found = [
            np.flatnonzero((tile.water == 1) & (tile.weight > 0)).astype(np.uint32)
            for tile in self.tiles
        ]
        object.__setattr__(self, "_water", found)

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Draw one step's windows, every other one around a water sample.

        Returns:
            Features `(batch, side + 6, side + 6, band)`, water and weight `(batch, side, side)`.
        """
        every = range(len(self.tiles))
        wet = [index for index in every if self._water[index].size]
        drawn = []
        for turn in range(self.batch):
            pool = wet if turn % 2 == 0 and wet else every
            index = pool[int(generator.integers(len(pool)))]
            drawn.append(self._cut(index, generator, around_water=turn % 2 == 0))
        features, water, weight = zip(*drawn, strict=True)
        return np.stack(features), np.stack(water), np.stack(weight)

    def _cut(
        self, index: int, generator: np.random.Generator, *, around_water: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        tile, water_at = self.tiles[index], self._water[index]
        height, width = tile.weight.shape
        side = min(self.side, height, width)
        row, col = (int(generator.integers(size - side + 1)) for size in (height, width))
        if around_water and water_at.size:
            water_row, water_col = divmod(
                int(water_at[int(generator.integers(water_at.size))]), width
            )
            shift = generator.integers(side, size=2)
            row = int(np.clip(water_row - shift[0], 0, height - side))
            col = int(np.clip(water_col - shift[1], 0, width - side))
        seen = slice(row, row + side + 2 * MARGIN), slice(col, col + side + 2 * MARGIN)
        core = slice(row, row + side), slice(col, col + side)
        turns, mirror = int(generator.integers(4)), bool(generator.integers(2))
        parts = [tile.features[seen], tile.water[core].astype(np.float32), tile.weight[core]]
        turned = [np.rot90(part, turns) for part in parts]
        features, water, weight = [part[::-1] if mirror else part for part in turned]
        features = features.copy()
        # Absolute height is no evidence of water anywhere else; relief is.
        features[..., -1] += np.float32(generator.normal())
        return features, np.ascontiguousarray(water), np.ascontiguousarray(weight)
