"""Counts by cell, and how sure scores made of them are: a bootstrap over cells.

Neighbouring pixels err together, and so do those of one scene. So whole cells are drawn again, with
replacement, and never pixels: B. Efron, R. Tibshirani (1993), An Introduction to the Bootstrap,
Chapman and Hall, ch. 13 (percentile intervals). What is drawn are the cells' counts: a resample
costs a product of matrices, whatever the size of the cells. Differences between two maps come from
the same resamples, which is what makes them paired.

With fewer than `FEWEST` cells, square blocks inside them are drawn instead. Blocks of one cell are
more alike than cells are, so that those intervals are rather too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.mapping import scores

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]
    Codes = npt.NDArray[np.uint8]

FEWEST = 5
"""Cells from which cells are drawn; below, blocks inside them."""

BLOCK = 64
"""Side of such a block in pixels."""

MANY = 15
"""Cells below which percentile intervals are known to be too narrow."""

RESAMPLES = 2000

LEVEL = (2.5, 97.5)
"""Percentiles that bound a 95% interval."""

_CHUNK = 4_000_000
"""Numbers that are drawn at a time: 32 MB."""

NAMES = (*scores.NAMES, "land_recall")
"""The scores: those of `scores.of_counts`, and the share of the land that is found."""

TP, FP, FN, TN = range(4)
"""Outcomes of a pixel, in the order of `scores.of_counts`."""

_OUTCOME = np.array([[TN, FN], [FP, TP]], dtype=np.uint8)
"""Map class, reference class -> outcome."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its 95% interval; NaN where there is nothing to measure.

    Attributes:
        value: Of all pixels together.
        low: The lower bound.
        high: The upper bound.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """The three numbers as JSON has them: None for NaN."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if v != v else v for name, v in numbers.items()}


def outcomes(mapped: Codes, reference: Codes, common: npt.NDArray[np.bool_]) -> Codes:
    """What becomes of the common pixels: `TP`, `FP`, `FN` or `TN`, `uint8 (pixel,)`."""
    return _OUTCOME[mapped[common], reference[common]]


class Units:
    """Arrays of what is drawn: one for each cell, or for each block while there are few cells."""

    def __init__(self) -> None:
        self._places: dict[Hashable, npt.NDArray[Any]] = {}

    def blocks(
        self, place: Hashable, common: npt.NDArray[np.bool_]
    ) -> tuple[int, npt.NDArray[np.int64]]:
        """How many blocks a cell is counted in, and the block of each common pixel."""
        known = len(self._places) + (place not in self._places)
        if known >= FEWEST:
            return 1, np.zeros(int(common.sum()), np.int64)
        across = -(-common.shape[1] // BLOCK)
        row, col = np.nonzero(common)
        return -(-common.shape[0] // BLOCK) * across, row // BLOCK * across + col // BLOCK

    def add(self, place: Hashable, values: npt.NDArray[Any]) -> None:
        """Take in what was counted in a cell, `(block, ...)`."""
        before = self._places.get(place)
        self._places[place] = values if before is None else before + values
        if len(self._places) == FEWEST and before is None:
            for name, known in self._places.items():
                self._places[name] = known.sum(axis=0, keepdims=True)

    def stacked(self) -> npt.NDArray[Any]:
        """`(unit, ...)`; units of nothing but zeros are left out."""
        values = np.concatenate(list(self._places.values()))
        used = values.reshape(len(values), -1).any(axis=1)
        return np.asarray(values[used])

    def __len__(self) -> int:
        return len(self._places)

    @property
    def name(self) -> str:
        """What is drawn: `cell`, or `block`."""
        return "cell" if len(self) >= FEWEST else "block"


class Tally:
    """Counts by unit, row and group, as cells come in.

    Args:
        rows: Number of maps scored.
        groups: Sizes of the sets of groups, for example 7 strata and 5 bands; all pixels together
            are a group of their own, the first.
    """

    def __init__(self, rows: int, groups: tuple[int, ...] = ()) -> None:
        self.rows = rows
        self.groups = groups
        self.units = Units()

    @property
    def width(self) -> int:
        """Groups of all sets, and the one of all pixels."""
        return 1 + sum(self.groups)

    def add(
        self,
        place: Hashable,
        found: Sequence[Codes],
        common: npt.NDArray[np.bool_],
        members: Sequence[Codes | None] = (),
    ) -> None:
        """Take in a cell, or one of several scenes of it.

        Args:
            place: What is drawn as one.
            found: Of each row, `outcomes`.
            common: `(row, col)`: the pixels that count.
            members: Of each set of groups, the group of each common pixel; 255 none; None where
                the set is not known here.
        """
        if not common.any():
            return
        blocks, index = self.units.blocks(place, common)
        counts = np.zeros((blocks, self.rows, self.width, 4), np.int32)
        everyone = np.zeros(index.shape, np.int64)
        for row, codes in enumerate(found):
            start = 0
            for size, member in zip((1, *self.groups), (everyone, *members), strict=True):
                if member is not None:
                    held = member < size
                    flat = (index[held] * size + member[held]) * 4 + codes[held]
                    some = np.bincount(flat, minlength=blocks * size * 4)
                    counts[:, row, start : start + size] = some.reshape(blocks, size, 4)
                start += size
        self.units.add(place, counts)

    def counts(self) -> Counts:
        """`int64 (unit, row, group, outcome)`, units without a common pixel left out."""
        if not len(self.units):
            return np.zeros((0, self.rows, self.width, 4), np.int64)
        return self.units.stacked().astype(np.int64)


def resampled(counts: npt.NDArray[Any], times: int, seed: int) -> Floats:
    """Sums over units drawn with replacement.

    Args:
        counts: `(unit, ...)`.
        times: Resamples.
        seed: Equal seeds draw equal units.

    Returns:
        `float64 (resample, ...)`.
    """
    units = len(counts)
    flat = counts.reshape(units, -1).astype(np.float64)
    random = np.random.default_rng(seed)
    step = max(1, _CHUNK // max(units, 1))
    share = np.full(units, 1 / units)
    parts = [
        random.multinomial(units, share, size=min(step, times - start)).astype(np.float64) @ flat
        for start in range(0, times, step)
    ]
    return np.concatenate(parts).reshape(times, *counts.shape[1:])


def bounds(drawn: Floats) -> tuple[Floats, Floats]:
    """The 95% interval of each figure: `(resample, ...)` to two of `(...)`; NaN where all are."""
    nothing = ~np.isfinite(drawn).any(axis=0)
    low, high = np.nanpercentile(np.where(nothing, 0.0, drawn), LEVEL, axis=0)
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of every row and group, with intervals, and differences from one row.

    Attributes:
        total: Counts, `int64 (row, group, outcome)`.
        scores: Score -> `Measured` by `(row, group)`.
        differences: The same of the score less that of the row compared with.
    """

    total: Counts
    scores: Mapping[str, Callable[[int, int], Measured]]
    differences: Mapping[str, Callable[[int, int], Measured]]


def figures(counts: npt.NDArray[Any]) -> dict[str, Floats]:
    """Scores by `NAMES` of counts `(..., outcome)`, each `(...)`; NaN for nothing to measure."""
    numbers = np.asarray(counts, np.float64)
    found = scores.of_counts(numbers)
    land = numbers[..., TN] + numbers[..., FP]
    return found | {"land_recall": numbers[..., TN] / np.where(land > 0, land, np.nan)}


def score(counts: Counts, against: int, *, times: int = RESAMPLES, seed: int = 0) -> Scored:
    """Score counts of units.

    Args:
        counts: `(unit, row, group, outcome)`.
        against: The row that others are compared with.
        times: Resamples; fewer than two units have no intervals.
        seed: Of the resamples.
    """
    total = counts.sum(axis=0)
    best = figures(total)
    found: dict[str, Callable[[int, int], Measured]] = {}
    apart: dict[str, Callable[[int, int], Measured]] = {}
    drawn = None
    if len(counts) > 1 and times > 1:
        drawn = figures(resampled(counts, times, seed))
    for name, values in best.items():
        low = high = np.full(values.shape, np.nan)
        less = more = low
        if drawn is not None:
            low, high = bounds(drawn[name])
            less, more = bounds(drawn[name] - drawn[name][:, against : against + 1])
        found[name] = _lookup(values, low, high)
        apart[name] = _lookup(values - values[against : against + 1], less, more)
    return Scored(total, found, apart)


def _lookup(values: Floats, low: Floats, high: Floats) -> Callable[[int, int], Measured]:
    def at(row: int, group: int) -> Measured:
        return Measured(float(values[row, group]), float(low[row, group]), float(high[row, group]))

    return at
