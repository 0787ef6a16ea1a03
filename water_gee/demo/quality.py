"""The QA band of the synthetic season: right where the real one is right, wrong where it is wrong.

The bits follow the Landsat 8-9 Collection 2 Level 2 Science Product Guide (USGS LSDS-1619), table
6-3. The water bit is the truth with errors of named kinds (`places`). Each kind has its place
(shaded slopes, burnt ground, wet ground, silty or narrow water, ...), lies in patches of some
hundred metres, is worse where the evidence is worse, and mostly comes back in the next acquisition,
so that the majority of a season keeps it. How much of each place is wrong is set so that the
season's majority label has a chosen intersection over union with the truth; most of every place
stays right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, noise
from water_gee.demo.places import FALSE_COUNT, KIND_NAMES, ORDINARY, find_places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from water_gee.demo.landcover import Ground
    from water_gee.demo.sky import Sky

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

OBSCURED = 0b11111
"""Fill, dilated cloud, cirrus, cloud and cloud shadow in QA_PIXEL: not observed."""

TARGET = (0.71, 0.78)
"""Between which the seasonal label's IoU with the truth is drawn; errors are scaled to meet it."""

BLUR = 0.42
"""Standard deviation of the sensor's point spread in pixels."""

MOST_WRONG = (0.42, 0.6, 0.8, 0.95)
"""Share of a place's pixels that may be wrong; the later ones where the target is out of reach."""

_BORDER = 30
"""Pixels around the area of interest that do not count towards the target."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """Where the QA may err through the whole season, on the 30 m grid.

    Attributes:
        kind: Index into `KIND_NAMES`, or -1 where it does not err.
        rank: Even over [0, 1] within each kind; the lowest err first.
    """

    kind: NDArray[np.int8]
    rank: Field


@dataclass(frozen=True, slots=True)
class Look:
    """What one acquisition knows of the ground before errors are scaled.

    Attributes:
        clear: Whether the pixel counts as observed: no fill, cloud, shadow, cirrus or dilation.
        base: Water by the truth, undecided shore pixels falling either way.
        jitter: How far this acquisition's ranks are from the season's.
        once: Land called water in this acquisition only: missed cloud shadow, cloud edges.
        spoilt: Where alone it may err; None: everywhere.
    """

    clear: Mask
    base: Mask
    jitter: Field
    once: Mask
    spoilt: Mask | None = None

    def water(self, weakness: Weakness, wrong: Field) -> Mask:
        """Decide the water bit, given what share of each kind errs."""
        errs = (weakness.rank + self.jitter) < wrong[weakness.kind]
        errs &= weakness.kind >= 0
        if self.spoilt is not None:
            errs &= self.spoilt
        is_false = weakness.kind < FALSE_COUNT
        return np.where(errs, is_false, self.base) | self.once


def find_weakness(
    ground: Ground,
    darkness: Field,
    seed: int,
    kinds: Mapping[str, float] = ORDINARY,
    overlooked: Field | None = None,
) -> Weakness:
    """Find where the QA's water bit errs.

    Args:
        ground: The covers.
        darkness: Season's mean near infrared reflectance of the lit ground, `(row, col)`.
        seed: The season's seed.
        kinds: Which of `KIND_NAMES` there are.
        overlooked: Share of the clear observations that clouds spoil unnoticed; None: no matter.
    """
    rng = noise.generator(seed, "weakness")
    shape = ground.water.shape
    patches = noise.unit(noise.fractal(shape, rng, slope=1.3, coarsest=40, finest=4))
    grain = rng.random(shape, dtype=np.float32)
    kind = np.full(shape, -1, dtype=np.int8)
    rank = np.zeros(shape, dtype=np.float32)
    spoilt = np.zeros(shape, dtype=np.float32) if overlooked is None else overlooked
    for name, (where, worse) in find_places(ground, darkness, kinds, spoilt).items():
        code = KIND_NAMES.index(name)
        where &= kind < 0
        kind[where] = code
        score = 0.62 * patches[where] + 0.13 * grain[where] + 0.25 * _ranked(worse[where])
        rank[where] = 1 - _ranked(score)
    return Weakness(kind, rank)


def look(
    ground: Ground,
    sky: Sky,
    seen: Mask,
    rng: np.random.Generator,
    *,
    once: bool = True,
    spoilt: Mask | None = None,
    mixed: bool = False,
) -> Look:
    """Prepare one acquisition's water bit.

    Args:
        ground: The covers.
        sky: Its clouds.
        seen: Inside its swath.
        rng: Where chance comes from.
        once: Whether clouds make errors that do not come back.
        spoilt: Where alone it may err; None: everywhere.
        mixed: Whether the water is seen through the sensor's blur.
    """
    shape = ground.water.shape
    clear = seen & ~(sky.is_cloud | sky.is_dilated | sky.is_shadow | sky.is_cirrus)
    chance = rng.standard_normal(shape, dtype=np.float32)
    drift = noise.fractal(shape, rng, slope=1.0, coarsest=24, finest=4)
    seen_water = filters.smooth(ground.water, BLUR) if mixed else ground.water
    base = seen_water + np.float32(0.06) * chance >= 0.5
    unseen = (sky.shadow > 0.3) & ~sky.is_shadow & (drift > 0.1)
    rim = filters.grow(sky.is_dilated) & ~sky.is_dilated & (chance > 1.9)
    passing = (unseen | rim) & seen if once else np.zeros(shape, dtype=bool)
    return Look(clear, base, 0.10 * drift + 0.05 * chance, passing, spoilt)


def scale_errors(
    weakness: Weakness,
    looks: Sequence[Look],
    truth: Mask,
    seed: int,
    kinds: Mapping[str, float] = ORDINARY,
    target: tuple[float, float] = TARGET,
    limits: Sequence[float] = MOST_WRONG,
) -> Field:
    """Choose what share of each kind errs, so that the season's majority label meets the target.

    Args:
        weakness: Where the QA errs.
        looks: The acquisitions.
        truth: Water, bool `(row, col)`.
        seed: The season's seed.
        kinds: Kind -> its share of the water area before scaling.
        target: Between which the IoU is drawn.
        limits: Share of a place that may be wrong, and what it is raised to in order to meet the
            target; with the last of them the label is as it is.

    Returns:
        Share of each of `KIND_NAMES` that errs.
    """
    wanted = noise.generator(seed, "target").uniform(*target)
    areas = np.bincount(weakness.kind[weakness.kind >= 0], minlength=len(KIND_NAMES))
    weights = np.array([kinds.get(name, 0.0) for name in KIND_NAMES])
    single = weights * truth.sum() / np.maximum(areas, 1)

    def wrong(scale: float, most: float) -> Field:
        shares: Field = np.minimum(scale * single, most).astype(np.float32)
        return shares

    most = next(
        (m for m in limits
         if majority_iou(weakness, looks, truth, wrong(8.0, m)) < wanted),
        limits[-1],
    )  # fmt: skip
    low, high = 0.0, 8.0
    for _ in range(9):
        middle = (low + high) / 2
        if majority_iou(weakness, looks, truth, wrong(middle, most)) > wanted:
            low = middle
        else:
            high = middle
    return wrong(high, most)


def majority_iou(weakness: Weakness, looks: Sequence[Look], truth: Mask, wrong: Field) -> float:
    """IoU of the season's majority label with the truth, away from the border."""
    inner = (slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
    waters = np.zeros(truth.shape, dtype=np.int8)
    clears = np.zeros(truth.shape, dtype=np.int8)
    for one in looks:
        waters += one.water(weakness, wrong) & one.clear
        clears += one.clear
    label, seen, true = (2 * waters > clears)[inner], (clears > 0)[inner], truth[inner]
    both = int((label & true & seen).sum())
    return both / max(1, int(((label | true) & seen).sum()))


def pack(sky: Sky, seen: Mask, water: Mask, snow: Mask) -> NDArray[np.uint16]:
    """Write the QA_PIXEL band: 21824 clear land, 21952 clear water, 22280 cloud, 1 fill, and so on.

    Args:
        sky: Clouds and what the QA calls them.
        seen: Inside the swath.
        water: The water bit.
        snow: The snow bit.
    """
    cloudy = sky.is_cloud | sky.is_dilated
    snow = snow & ~sky.is_cloud
    water = water & ~sky.is_cloud & ~snow
    qa = np.zeros(seen.shape, dtype=np.uint16)
    for bit, mask in enumerate(
        (None, sky.is_dilated, sky.is_cirrus, sky.is_cloud, sky.is_shadow, snow, ~cloudy, water)
    ):
        if mask is not None:
            qa |= mask.astype(np.uint16) << bit
    # Confidences: 1 low, 2 medium, 3 high, for cloud, shadow, snow and cirrus from bit 8 on.
    cloud_level = 1 + sky.is_thin.astype(np.uint16) + 2 * sky.is_cloud.astype(np.uint16)
    for first, level in (
        (8, np.minimum(cloud_level, 3)),
        (10, 1 + 2 * sky.is_shadow.astype(np.uint16)),
        (12, 1 + 2 * snow.astype(np.uint16)),
        (14, 1 + 2 * sky.is_cirrus.astype(np.uint16)),
    ):
        qa |= (level << first).astype(np.uint16)
    return np.where(seen, qa, np.uint16(1))


def _ranked(values: Field) -> Field:
    """Ranks of the values, even over [0, 1]."""
    out = np.empty(values.size, dtype=np.float32)
    out[np.argsort(values, kind="stable")] = np.arange(values.size) / max(1, values.size - 1)
    return out
