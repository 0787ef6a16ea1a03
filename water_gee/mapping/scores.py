"""How sure scores are: intervals over blocks of pixels, and over samples of points.

**Every pixel compared.** Neighbouring pixels err together, so that an interval over pixels would be
far too narrow. Square blocks of `BLOCK` pixels are the units; strata are blocks where the map has
land alone, both, and water alone; the variance is that of the stratified delete-one jackknife
(Shao, J. and Tu, D. (1995), The Jackknife and Bootstrap, Springer, ch. 6.2). It says how the score
would vary over other areas of this kind.

**A sample of points**, drawn with the map's classes as strata: Olofsson, P. et al. (2014), Good
practices for estimating area and assessing accuracy of land change, Remote Sensing of Environment
148, 42-57, eqs. 1-11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

BLOCK = 128
"""Side of the blocks in pixels; it divides the windows."""

LEAST_BLOCKS = 10
"""Fewer blocks say nothing about how scores vary."""

SIGMAS = 1.959964
"""Of a 95% interval of the normal distribution."""

NAMES = ("iou", "f1", "precision", "recall", "accuracy", "kappa")

Interval = tuple[float, float]


def of_counts(counts: Floats) -> dict[str, Floats]:
    """Scores of counts.

    Args:
        counts: `(..., 4)`: in both, map only, reference only, neither; as in `metrics.Confusion`.

    Returns:
        Score -> `(...)`; NaN where there is nothing to measure.
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    n = tp + fp + fn + tn
    chance = (tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)

    def ratio(part: Floats, whole: Floats) -> Floats:
        out: Floats = np.full(np.shape(whole), np.nan)
        np.divide(part, whole, out=out, where=np.asarray(whole) != 0)
        return out

    return {
        "iou": ratio(tp, tp + fp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "accuracy": ratio(tp + tn, n),
        "kappa": ratio(n * (tp + tn) - chance, n * n - chance),
    }


def intervals(counts: Floats, areas: Floats) -> dict[str, Interval]:
    """95% intervals of scores, and of the difference in area.

    Args:
        counts: `(block, 4)`, as in `of_counts`.
        areas: `(block, 2)`: km² of water in the map and in the reference, where both say something.

    Returns:
        Score -> `(low, high)`, and `difference_km2`; empty where there are too few blocks.
    """
    used = counts.sum(axis=1) > 0
    counts, areas = counts[used], areas[used]
    if len(counts) < LEAST_BLOCKS:
        return {}
    total, difference = counts.sum(axis=0), float(areas[:, 0].sum() - areas[:, 1].sum())
    best = of_counts(total)
    variance = dict.fromkeys((*NAMES, "difference_km2"), 0.0)
    for members in _strata(counts):
        n = len(members)
        raised = n / (n - 1)
        own = counts[members]
        without = total - own.sum(axis=0) + raised * (own.sum(axis=0) - own)
        found = of_counts(without)
        apart = areas[members, 0] - areas[members, 1]
        moved = raised * (apart.sum() - apart) - apart.sum()
        for name in NAMES:
            variance[name] += float(np.nansum((found[name] - best[name]) ** 2)) / raised
        variance["difference_km2"] += float((moved**2).sum()) / raised
    out: dict[str, Interval] = {}
    for name in NAMES:
        centre, half = float(best[name]), SIGMAS * math.sqrt(variance[name])
        if math.isfinite(centre):
            lowest = -1.0 if name == "kappa" else 0.0
            out[name] = (max(lowest, centre - half), min(1.0, centre + half))
    half = SIGMAS * math.sqrt(variance["difference_km2"])
    out["difference_km2"] = (difference - half, difference + half)
    return out


def _strata(counts: Floats) -> list[npt.NDArray[np.int64]]:
    """Blocks by what the map has in them; a stratum of one block joins the largest."""
    water, land = counts[:, 0] + counts[:, 1], counts[:, 2] + counts[:, 3]
    stratum = np.where(water == 0, 0, np.where(land == 0, 2, 1))
    groups = [np.flatnonzero(stratum == value) for value in range(3)]
    groups = sorted((group for group in groups if len(group)), key=len)
    alone = [group for group in groups if len(group) == 1]
    large = [group for group in groups if len(group) > 1]
    if alone:
        large[-1] = np.concatenate([large[-1], *alone])
    return large


# ------------------------------------------------------------------------------------ samples


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its standard error."""

    value: float
    error: float

    @property
    def interval(self) -> Interval:
        """95%, by the normal distribution."""
        half = SIGMAS * self.error
        return self.value - half, self.value + half


def of_sample(counts: Floats, areas_km2: Floats) -> Mapping[str, Estimate]:
    """Accuracy and area from a sample of points that was stratified by the map's classes.

    Args:
        counts: `(2, 2)`: points by map class (land, water) and reference class (land, water).
        areas_km2: `(2,)`: km² of the map's land and water.

    Returns:
        `accuracy`, `precision` (user's accuracy of water), `recall` (producer's), and
        `water_km2`: the area of water by the reference. NaN errors where a class has one point.
    """
    table = np.zeros((2, 2, 2))
    table[0, 0], table[1, 1] = counts[0], counts[1]
    found = of_strata(table, areas_km2)
    return {
        "accuracy": found.accuracy,
        "precision": found.precision[1],
        "recall": found.recall[1],
        "water_km2": found.areas[1],
    }


@dataclass(frozen=True, slots=True)
class SampleScores:
    """What a stratified sample of points says of a map and its classes.

    Attributes:
        accuracy: Share of the area that the map has right.
        precision: Of each class, its user's accuracy.
        recall: Of each class, its producer's accuracy.
        iou: Of each class, the area that both have, over the area that either has.
        areas: Of each class, its area by the reference, in the units of the strata.
    """

    accuracy: Estimate
    precision: tuple[Estimate, ...]
    recall: tuple[Estimate, ...]
    iou: tuple[Estimate, ...]
    areas: tuple[Estimate, ...]


def of_strata(counts: Floats, areas: Floats) -> SampleScores:
    """Accuracy and area from a stratified random sample of points, whatever its strata.

    The estimators of Stehman, S. V. (2014), Estimating area and map accuracy for stratified random
    sampling when the strata are different from the map classes, International Journal of Remote
    Sensing 35, 4923-4939, eqs. 2-3 and 25-28, without the factor for a finite population: a map has
    far more pixels than a sample has points. Where the strata are the map's classes they are those
    of Olofsson et al. (2014), eqs. 1-11.

    Args:
        counts: `(stratum, map class, reference class)`: points.
        areas: `(stratum,)`: the area of each, in any unit.

    Returns:
        Estimates with standard errors; NaN for what has no point, or fewer than two in a stratum.
    """
    n = counts.sum(axis=(1, 2))
    used = areas > 0
    counts, areas, n = counts[used], areas[used], n[used]
    classes = range(counts.shape[1])
    right = np.einsum("hkk->h", counts)
    whole = float(areas.sum())
    in_map, in_reference, both = counts.sum(axis=2), counts.sum(axis=1), _diagonal(counts)
    total = [_share(in_reference[:, k], n, n, areas) for k in classes]
    either = in_map + in_reference - both
    return SampleScores(
        accuracy=_share(right, n, n, areas),
        precision=tuple(_share(both[:, k], in_map[:, k], n, areas) for k in classes),
        recall=tuple(_share(both[:, k], in_reference[:, k], n, areas) for k in classes),
        iou=tuple(_share(both[:, k], either[:, k], n, areas) for k in classes),
        areas=tuple(Estimate(whole * each.value, whole * each.error) for each in total),
    )


def _diagonal(counts: Floats) -> Floats:
    return np.stack([counts[:, k, k] for k in range(counts.shape[1])], axis=1)


def _share(y: Floats, x: Floats, n: Floats, areas: Floats) -> Estimate:
    """Estimate the area of `y` over that of `x`, of which it is a part.

    Args:
        y: `(stratum,)`: points with the property of the numerator.
        x: Those with the property of the denominator.
        n: All points.
        areas: The strata's.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_y, mean_x = y / n, x / n
        below = float(areas @ mean_x)
        if not below > 0:
            return Estimate(math.nan, math.nan)
        ratio = float(areas @ mean_y) / below
        # The variance of y - ratio * x, both being 0 or 1 at a point, and y only where x is.
        square = mean_y * (1 - 2 * ratio) + ratio**2 * mean_x
        spread = (square - (mean_y - ratio * mean_x) ** 2) / (n - 1)
        return Estimate(ratio, _root(float(areas**2 @ np.where(n > 1, spread, np.nan))) / below)


def _root(value: float) -> float:
    return math.sqrt(max(value, 0.0)) if math.isfinite(value) else math.nan
