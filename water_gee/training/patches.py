"""Tiles and labels to samples, water and land in balance.

A sample is a pixel whose 7 x 7 window was observed whole, however far the network sees: beyond, the
mean of a feature stands for what was not observed, as it does in maps. Samples are not cut out one
by one: every pixel of a tile carries a weight, 0 where it is no sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from water_gee.errors import TrainingError
from water_gee.imagery.recipe import FEATURES
from water_gee.training.scaling import scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.imagery.recipe import Recipe

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

MARGIN = 3
"""Pixels around a sample that `pixel_cnn` sees: half of 7 x 7, less the centre. Tiles have as many
all around; for a network that sees farther, features are padded as not observed."""

NOT_OBSERVED = 255

SHORE = 3
"""Land this near to water, in pixels, counts as much as water does: there the map is decided."""

LEAST_LAND_WEIGHT = 0.1
"""Of land far from water, however little water there is."""


@dataclass(frozen=True, slots=True)
class Samples:
    """One tile's samples.

    Attributes:
        name: The cell's id.
        features: float32 `(row, col, band)`, scaled, 0 where not observed; the margin included, and
            as much around it as the network sees.
        water: uint8 `(row, col)` without any of it: 1 water, 0 land.
        weight: float32 `(row, col)`: 0 where a pixel is no sample.
        stratum: uint8 `(row, col)`, codes of `strata.STRATA`; None where nobody asked.
        percent: uint8 `(row, col)`, how likely water is, from 0 to 100 where a pixel is a sample;
            None where classes are all there is.
    """

    name: str
    features: FloatArray
    water: ByteArray
    weight: FloatArray
    stratum: ByteArray | None = None
    percent: ByteArray | None = None

    @property
    def counts(self) -> tuple[int, int]:
        """Samples of water and of land."""
        used = self.weight > 0
        water = int((used & (self.water == 1)).sum())
        return water, int(used.sum()) - water

    @property
    def margin(self) -> int:
        """Pixels of features around the samples, on each side."""
        return int(self.features.shape[0] - self.water.shape[0]) // 2


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
    check_counts(water, land, len(tiles))


def check_counts(water: int, land: int, tiles: int) -> None:
    """Refuse so many samples of water and of land where one is 0.

    Raises:
        TrainingError: There is no water, or no land.
    """
    if water == 0:
        raise TrainingError(
            f"no labelled water in {tiles} tile(s): nothing can be learned; "
            "take a larger area, another season, or other labels"
        )
    if land == 0:
        raise TrainingError(
            f"no labelled land in {tiles} tile(s): nothing can be learned; "
            "take a larger area, or other labels"
        )


def usable(features: FloatArray, margin: int = MARGIN) -> BoolArray:
    """Say which pixels have a whole window.

    Args:
        features: float32 `(band, row, col)`, NaN where not observed.
        margin: Pixels on each side of a pixel that belong to its window.

    Returns:
        bool `(row - 2 * margin, col - 2 * margin)`.
    """
    seen = np.asarray(np.isfinite(features).all(axis=0))
    height, width = seen.shape
    rows = np.ones((height - 2 * margin, width), bool)
    for shift in range(2 * margin + 1):
        rows &= seen[shift : shift + height - 2 * margin]
    whole = np.ones((height - 2 * margin, width - 2 * margin), bool)
    for shift in range(2 * margin + 1):
        whole &= rows[:, shift : shift + width - 2 * margin]
    return whole


def samples(
    name: str,
    features: FloatArray,
    labels: ByteArray,
    weight: FloatArray | None = None,
    *,
    margin: int = MARGIN,
    stratum: ByteArray | None = None,
    percent: ByteArray | None = None,
) -> Samples:
    """Make a tile's samples, unbalanced: each counts 1, or its given weight.

    Args:
        name: The cell's id.
        features: float32 `(8, row, col)`, NaN where not observed.
        labels: uint8 `(row, col)`: 0 land, 1 water, 255 no label.
        weight: float32 `(row, col)`, how much each label is to be trusted; 1 where None.
        margin: Pixels the network loses on each side; a tile has 3 around its samples.
        stratum: uint8 `(row, col)`, what kind of ground each pixel is, where that is wanted.
        percent: uint8 `(row, col)`, how likely each label is water; by its class where None.

    Raises:
        TrainingError: Labels and features do not lie on one grid, labels hold other codes, or the
            tile is smaller than a window.
    """
    if features.shape[1:] != labels.shape:
        raise TrainingError(
            f"{name}: labels are {labels.shape}, features {features.shape[1:]}; "
            "make the labels of this tile again"
        )
    if min(labels.shape) <= 2 * MARGIN:
        side = 2 * MARGIN + 1
        raise TrainingError(
            f"{name}: a tile of {labels.shape} pixels has no whole {side} x {side} window"
        )
    known = np.isin(labels, (0, 1, NOT_OBSERVED))
    if not known.all():
        raise TrainingError(
            f"{name}: labels hold {labels[~known][0]!s}, and not only 0 land, 1 water, "
            "255 no label; make the labels of this tile again"
        )
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    chosen = usable(features) & (labels[inner] != NOT_OBSERVED)
    beyond = max(0, margin - MARGIN)
    around = ((beyond, beyond), (beyond, beyond), (0, 0))
    given = np.ones_like(chosen, np.float32) if weight is None else weight[inner]
    return Samples(
        name,
        np.pad(scaled(features), around) if beyond else scaled(features),
        (labels[inner] == 1).astype(np.uint8),
        np.where(chosen, given, 0).astype(np.float32),
        None if stratum is None else np.ascontiguousarray(stratum[inner]),
        None if percent is None else np.ascontiguousarray(percent[inner]),
    )


def balanced(tiles: Sequence[Samples]) -> list[Samples]:
    """Weigh land so that, over all tiles, it counts as much as water.

    Water and the land within `SHORE` pixels of it keep their weight; the rest of the land shares
    what is left of water's, but at least a tenth.

    Raises:
        TrainingError: There is no water, or no land.
    """
    check_classes(tiles)
    water, shore, far = (sum(parts) for parts in zip(*map(masses, tiles), strict=True))
    factor = land_factor(water, shore, far)
    return [lighter(tile, factor) for tile in tiles]


def masses(tile: Samples) -> tuple[float, float, float]:
    """The weight of a tile's water, of its land near water, and of its other land."""
    near = near_water(tile)
    land = tile.water == 0
    return (
        float(tile.weight[~land].sum()),
        float(tile.weight[land & near].sum()),
        float(tile.weight[land & ~near].sum()),
    )


def land_factor(water: float, shore: float, far: float, land: float = 1.0) -> float:
    """What land far from water is to be multiplied by, so that all land weighs `land` waters."""
    return float(np.clip((land * water - shore) / max(far, 1.0), LEAST_LAND_WEIGHT, 1.0))


def lighter(tile: Samples, factor: float) -> Samples:
    """Multiply the weight of land far from water by a factor."""
    far = (tile.water == 0) & ~near_water(tile)
    weight = np.where(far, tile.weight * factor, tile.weight).astype(np.float32)
    return replace(tile, weight=weight)


def near_water(tile: Samples) -> BoolArray:
    """Where water lies within `SHORE` pixels; water itself included."""
    return _near((tile.water == 1) & (tile.weight > 0))


def on_shore(tile: Samples) -> BoolArray:
    """Where both water and land lie within `SHORE` pixels: the hard pixels."""
    return near_water(tile) & _near((tile.water == 0) & (tile.weight > 0))


def _near(mask: BoolArray) -> BoolArray:
    from scipy.ndimage import maximum_filter

    size = 2 * SHORE + 1
    return np.asarray(maximum_filter(mask.astype(np.uint8), size=size, mode="constant") > 0)
