"""Whether probabilities of water mean what they say, and from which one on to map water.

- **Reliability**: of the pixels with a probability near p, the share that is water by the
  reference. The expected calibration error is the mean distance of the two over ten bins of equal
  width, weighted by their pixels: C. Guo et al. (2017), On calibration of modern neural networks,
  ICML.
- **Brier score**: the mean of (p - y)², y 1 for water: G. Brier (1950), Monthly Weather Review 78.
  Its skill is what it gains on saying the share of water everywhere.
- **Threshold**: the one with the largest IoU. F1 is 2 IoU / (1 + IoU), so that it is the best for
  F1 as well. What it gains is measured on cells that it was not chosen on: in five folds.

Intervals are those of `bootstrap`: cells drawn again.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.mapping import bootstrap, scores
from water_gee.mapping.bootstrap import Measured, Units

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.uint8]

BINS = 10
"""Of the reliability curve."""

STEPS = 200
"""Thresholds tried: multiples of 0.005."""

FOLDS = 5

DEFAULT = 0.5
"""The threshold that others are compared with."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Pixels of like probabilities.

    Attributes:
        low: Lowest probability.
        high: Highest.
        pixels: How many.
        probability: Their mean probability; NaN without pixels.
        water: The share of them that is water by the reference, with its interval.
    """

    low: float
    high: float
    pixels: int
    probability: float
    water: Measured


@dataclass(frozen=True, slots=True)
class Threshold:
    """The probability from which to map water.

    Attributes:
        value: The one with the largest IoU over everything.
        iou: With it.
        iou_default: With 0.5.
        gain: IoU gained on 0.5, on cells that the threshold was not chosen on.
        gain_f1: F1 gained in the same way.
    """

    value: float
    iou: float
    iou_default: float
    gain: Measured
    gain_f1: Measured

    @property
    def advice(self) -> str:
        """In a line, what to do."""
        gain = self.gain
        if not math.isfinite(gain.value):
            return f"largest IoU at {self.value:g}; too little ground to say whether that holds"
        if not math.isfinite(gain.low):
            return (
                f"largest IoU at {self.value:g}: {gain.value:+.3f} IoU on cells that it was not "
                "chosen on; without an interval nothing says whether that holds"
            )
        measured = f"{gain.value:+.3f} IoU (95% {gain.low:+.3f} to {gain.high:+.3f})"
        where = "on cells that it was not chosen on"
        if gain.low > 0:
            return (
                f"water from {self.value:g} on is better than from {DEFAULT:g}: {measured} {where}"
            )
        if self.value == DEFAULT:
            return f"keep {DEFAULT:g}: no other has a larger IoU"
        return f"keep {DEFAULT:g}: {self.value:g} gains {measured} {where}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities are to be believed.

    Attributes:
        row: Whose.
        pixels: With a probability and a reference.
        brier: Brier score; 0 is best.
        skill: Its gain on saying the share of water everywhere; 1 is best, below 0 is worse.
        error: Expected calibration error; 0 is best.
        bins: The reliability curve.
        threshold: The probability from which to map water.
        curve: IoU at each of the thresholds 0, 0.005, ..., 0.995.
    """

    row: str
    pixels: int
    brier: Measured
    skill: Measured
    error: Measured
    bins: tuple[Bin, ...]
    threshold: Threshold
    curve: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON has them, without the curve."""
        plain = asdict(self)
        del plain["curve"]
        plain["threshold"]["advice"] = self.threshold.advice
        cleaned: dict[str, Any] = _clean(plain)
        return cleaned


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clean(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return None if isinstance(value, float) and value != value else value


class Gauge:
    """Probabilities against a reference, counted as cells come in."""

    def __init__(self, row: str) -> None:
        self.row = row
        self._fine = Units()
        self._sums = Units()

    def add(self, place: Hashable, likely: Floats, reference: Codes) -> None:
        """Take in a cell.

        Args:
            place: What is drawn as one.
            likely: Probability of water, `(row, col)`, NaN where there is none.
            reference: 0 land, 1 water, 255 nothing said.
        """
        common = np.isfinite(likely) & (reference <= 1)
        if not common.any():
            return
        blocks, index = self._fine.blocks(place, common)
        p, y = likely[common], reference[common].astype(np.int64)
        fine = np.minimum((p * STEPS).astype(np.int64), STEPS - 1)
        flat = (index * 2 + y) * STEPS + fine
        counts = np.bincount(flat, minlength=blocks * 2 * STEPS).reshape(blocks, 2, STEPS)
        coarse = index * BINS + np.minimum((p * BINS).astype(np.int64), BINS - 1)
        sums = [
            np.bincount(coarse, weights, minlength=blocks * BINS).reshape(blocks, BINS)
            for weights in (np.ones_like(p), p, y.astype(np.float64), (p - y) ** 2)
        ]
        self._fine.add(place, counts.astype(np.int32))
        self._sums.add(place, np.stack(sums, axis=1))

    def result(self, *, times: int = bootstrap.RESAMPLES, seed: int = 0) -> Calibration | None:
        """The calibration; None where no pixel had both."""
        if not len(self._fine):
            return None
        fine, sums = self._fine.stacked(), self._sums.stacked()
        total = sums.sum(axis=0)
        several = len(sums) > 1 and times > 1
        drawn = bootstrap.resampled(sums, times, seed) if several else None
        brier, skill, error = (_measured(f, total, drawn) for f in (_brier, _skill, _error))
        share, low, high = _share(total), *_interval(_share, drawn, BINS)
        n, p = total[0], total[1]
        bins = tuple(
            Bin(
                k / BINS,
                (k + 1) / BINS,
                int(n[k]),
                float(p[k] / n[k]) if n[k] else math.nan,
                Measured(float(share[k]), float(low[k]), float(high[k])),
            )
            for k in range(BINS)
        )
        curve = scores.of_counts(_by_threshold(fine.sum(axis=0, keepdims=True))[0])["iou"]
        return Calibration(
            row=self.row,
            pixels=int(n.sum()),
            brier=brier,
            skill=skill,
            error=error,
            bins=bins,
            threshold=_choose(fine, curve, times, seed),
            curve=tuple(float(value) for value in curve),
        )


def _by_threshold(fine: npt.NDArray[Any]) -> Floats:
    """`(unit, land or water, bin)` to counts at every threshold, `(unit, threshold, outcome)`."""
    above = fine[:, :, ::-1].cumsum(axis=2, dtype=np.int64)[:, :, ::-1]
    fp, tp = above[:, 0], above[:, 1]
    tn, fn = above[:, 0, :1] - fp, above[:, 1, :1] - tp
    return np.stack([tp, fp, fn, tn], axis=-1).astype(np.float64)


def _choose(fine: npt.NDArray[Any], curve: Floats, times: int, seed: int) -> Threshold:
    best, half = _best(curve), round(DEFAULT * STEPS)
    nothing = Measured(math.nan, math.nan, math.nan)
    gains = {"iou": nothing, "f1": nothing}
    units = len(fine)
    if units > 1:
        folds = np.random.default_rng(seed).permutation(units) % min(FOLDS, units)
        pair = np.zeros((units, 2, 4))
        for fold in range(int(folds.max()) + 1):
            out = folds == fold
            known = _by_threshold(fine[~out].sum(axis=0, keepdims=True))[0]
            chosen = _best(scores.of_counts(known)["iou"])
            held = _by_threshold(fine[out])
            pair[out, 0], pair[out, 1] = held[:, chosen], held[:, half]
        drawn = bootstrap.resampled(pair, times, seed) if times > 1 else None
        for name in gains:

            def gain(counts: Floats, name: str = name) -> Floats:
                found = scores.of_counts(counts)[name]
                return np.asarray(found[..., 0] - found[..., 1])

            gains[name] = _measured(gain, pair.sum(axis=0), drawn)
    return Threshold(
        best / STEPS, float(curve[best]), float(curve[half]), gains["iou"], gains["f1"]
    )


def _best(curve: Floats) -> int:
    """The largest value's index; of several the one nearest to the default."""
    if not np.isfinite(curve).any():
        return round(DEFAULT * STEPS)
    largest = np.flatnonzero(curve == np.nanmax(curve))
    return int(largest[np.argmin(np.abs(largest - DEFAULT * STEPS))])


def _measured(figure: Any, total: Floats, drawn: Floats | None) -> Measured:
    low, high = _interval(figure, drawn, None)
    return Measured(float(figure(total)), float(low), float(high))


def _interval(figure: Any, drawn: Floats | None, size: int | None) -> tuple[Any, Any]:
    if drawn is None:
        nothing = np.full(() if size is None else (size,), np.nan)
        return nothing, nothing
    return bootstrap.bounds(figure(drawn))


def _brier(sums: Floats) -> Floats:
    return np.asarray(sums[..., 3, :].sum(axis=-1) / sums[..., 0, :].sum(axis=-1))


def _skill(sums: Floats) -> Floats:
    share = sums[..., 2, :].sum(axis=-1) / sums[..., 0, :].sum(axis=-1)
    plain = share * (1 - share)
    safe = np.where(plain > 0, plain, np.nan)
    return np.asarray(1 - _brier(sums) / safe)


def _error(sums: Floats) -> Floats:
    apart = np.abs(sums[..., 1, :] - sums[..., 2, :]).sum(axis=-1)
    return np.asarray(apart / sums[..., 0, :].sum(axis=-1))


def _share(sums: Floats) -> Floats:
    n = sums[..., 0, :]
    return np.asarray(sums[..., 2, :] / np.where(n > 0, n, np.nan))
