"""Many values to few along the first axis of a stack, whatever shape lies behind it.

Functions take `values (n, ...)` and `weights`: None (all count), bool or float `(n, ...)`; a
weight of 0 leaves a value out. Most return `(result, mask)`, the mask None or bool `(...)`, False
where nothing was left.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
Weights = npt.NDArray[Any] | None
Result = tuple[Values, Values | None]

NETWORK_LIMIT = 32
"""Stacks up to this high are sorted by a network of minima and maxima, plane by plane."""

CHUNK = 4096
"""Places sorted at once, so that their planes stay in the processor's cache."""


def valid_of(weights: Weights) -> Weights:
    """Return where values count, None for everywhere."""
    if weights is None or weights.dtype == np.bool_:
        return weights
    return np.asarray(weights > 0)


def some(weights: Weights) -> Values | None:
    """Return where at least one value counts, None for everywhere."""
    valid = valid_of(weights)
    if valid is None:
        return None
    found: Values = np.asarray(valid.any(axis=0))
    return None if found.all() else found


def counts(values: Values, weights: Weights) -> Values:
    """Return how many values count."""
    valid = valid_of(weights)
    if valid is None:
        return np.full(values.shape[1:], values.shape[0], np.int64)
    return np.asarray(valid.sum(axis=0, dtype=np.int64))


def total(values: Values, weights: Weights) -> Result:
    """Return the weighted sum, in double."""
    return _weighted(values, weights), some(weights)


def _weighted(values: Values, weights: Weights) -> Values:
    result = np.zeros(values.shape[1:], np.float64)
    if values.ndim == 1:
        if weights is None:
            return np.asarray(values.sum(dtype=np.float64))
        kept = np.where(weights > 0, values, 0)
        return np.asarray((kept * weights.astype(np.float64)).sum(dtype=np.float64))
    for index, plane in enumerate(values):
        if weights is None:
            result += plane
        elif weights.dtype == np.bool_:
            np.add(result, plane, out=result, where=weights[index])
        else:
            result += np.where(weights[index] > 0, plane, 0) * weights[index].astype(np.float64)
    return result


def _weight_sum(values: Values, weights: Weights) -> Values:
    if weights is None:
        return np.full(values.shape[1:], float(values.shape[0]))
    return np.asarray(weights.sum(axis=0, dtype=np.float64))


def mean(values: Values, weights: Weights) -> Result:
    """Return the weighted mean, in double."""
    weight = _weight_sum(values, weights)
    sums = _weighted(values, weights)
    return sums / np.where(weight > 0, weight, 1), some(weights)


def product(values: Values, weights: Weights) -> Result:
    """Return the product, in double."""
    valid = valid_of(weights)
    kept = values.astype(np.float64)
    if valid is not None:
        kept = np.where(valid, kept, 1)
    return np.asarray(kept.prod(axis=0)), some(weights)


def extreme(values: Values, weights: Weights, *, largest: bool) -> Result:
    """Return the smallest or largest value."""
    valid = valid_of(weights)
    kept = values if valid is None else np.where(valid, values, _beyond(values.dtype, not largest))
    if not len(kept):
        return np.zeros(values.shape[1:], values.dtype), np.zeros(values.shape[1:], bool)
    return np.asarray(kept.max(axis=0) if largest else kept.min(axis=0)), some(weights)


def _beyond(dtype: np.dtype[Any], above: bool) -> Values:
    """Return a value that no other of a type is above (or below)."""
    if dtype.kind == "f":
        return np.asarray(np.inf if above else -np.inf, dtype)
    if dtype.kind == "b":
        return np.asarray(above)
    info = np.iinfo(dtype)
    return np.asarray(info.max if above else info.min, dtype)


def which_extreme(values: Values, weights: Weights, *, largest: bool) -> Values:
    """Return the index of the smallest or largest value, the first of equals."""
    valid = valid_of(weights)
    kept = values if valid is None else np.where(valid, values, _beyond(values.dtype, not largest))
    return np.asarray(kept.argmax(axis=0) if largest else kept.argmin(axis=0))


def at(values: Values, index: Values) -> Values:
    """Return the value at an index along the first axis, `(...)`."""
    return np.asarray(np.take_along_axis(values, index[None], axis=0)[0])


def first(values: Values, weights: Weights, *, last: bool = False) -> Result:
    """Return the first or last value that counts."""
    valid = valid_of(weights)
    if not len(values):
        return np.zeros(values.shape[1:], values.dtype), np.zeros(values.shape[1:], bool)
    if valid is None:
        return values[-1 if last else 0], None
    index = valid[::-1].argmax(axis=0) if last else valid.argmax(axis=0)
    where = len(values) - 1 - index if last else index
    return at(values, np.asarray(where)), some(weights)


def variance(values: Values, weights: Weights, *, sample: bool = False) -> Result:
    """Return the variance of the values that count: of a population, or estimated from a sample."""
    valid = valid_of(weights)
    number = counts(values, valid).astype(np.float64)
    center = mean(values, valid)[0]
    deviation = (values - center) ** 2
    if valid is not None:
        deviation = np.where(valid, deviation, 0)
    below = number - 1 if sample else number
    mask = some(weights)
    if sample:
        enough = np.asarray(number > 1)
        mask = None if enough.all() else enough
    return np.asarray(deviation.sum(axis=0)) / np.where(below > 0, below, 1), mask


def deviation(values: Values, weights: Weights, *, sample: bool = False) -> Result:
    """Return the standard deviation."""
    square, mask = variance(values, weights, sample=sample)
    return np.sqrt(square), mask


@lru_cache(maxsize=64)
def _network(size: int) -> tuple[tuple[int, int], ...]:
    """Return the comparisons of Batcher's merge exchange (Knuth, TAOCP 3, 5.2.2, algorithm M)."""
    pairs: list[tuple[int, int]] = []
    top = 1 << max(0, (size - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            pairs.extend((i, i + d) for i in range(size - d) if i & p == r)
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return tuple(pairs)


def in_order(values: Values, weights: Weights) -> Values:
    """Return the values sorted along the first axis, those that do not count last, as infinity."""
    valid = valid_of(weights)
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    if values.ndim == 1 or len(values) > NETWORK_LIMIT or not len(values):
        kept = values.astype(dtype)
        if valid is not None:
            np.copyto(kept, np.inf, where=~valid)
        kept.sort(axis=0)
        return kept
    flat = values.reshape(len(values), -1)
    result = np.empty(flat.shape, dtype)
    left_out = None if valid is None else ~valid.reshape(flat.shape)
    for first in range(0, flat.shape[1], CHUNK):
        cut = slice(first, first + CHUNK)
        block = flat[:, cut].astype(dtype)
        if left_out is not None:
            np.copyto(block, np.inf, where=left_out[:, cut])
        _sort_planes(block, result[:, cut])
    return result.reshape(values.shape)


def _sort_planes(block: Values, out: Values) -> None:
    planes = list(block)
    spare = np.empty_like(planes[0])
    for low, high in _network(len(planes)):
        np.minimum(planes[low], planes[high], out=spare)
        np.maximum(planes[low], planes[high], out=planes[high])
        planes[low], spare = spare, planes[low]
    for index, plane in enumerate(planes):
        out[index] = plane


def median(values: Values, weights: Weights) -> Result:
    """Return the median: the mean of the middle two of an even number."""
    return percentile(values, weights, 50.0)


def percentile(values: Values, weights: Weights, percent: float) -> Result:
    """Return the value below which a part of the values lies, interpolated between neighbours."""
    return percentiles(values, weights, [percent])[0]


def percentiles(values: Values, weights: Weights, percents: list[float]) -> list[Result]:
    """Return percentiles: of n sorted values, position p (n - 1) / 100, linear between two."""
    if not len(values):
        nothing = np.zeros(values.shape[1:]), np.zeros(values.shape[1:], bool)
        return [nothing for _ in percents]
    ordered = in_order(values, weights)
    mask = some(weights)
    if valid_of(weights) is None:
        return [(_between(ordered, percent), mask) for percent in percents]
    number = counts(values, weights)
    return [(_between_counted(ordered, number, percent), mask) for percent in percents]


def _between(ordered: Values, percent: float) -> Values:
    position = percent / 100 * (len(ordered) - 1)
    low = int(position)
    share = position - low
    if share == 0:
        return np.asarray(ordered[low], np.float64)
    return np.asarray(ordered[low] * (1 - share) + ordered[low + 1].astype(np.float64) * share)


def _between_counted(ordered: Values, number: Values, percent: float) -> Values:
    position = percent / 100 * np.maximum(number - 1, 0)
    low = position.astype(np.int64)
    share = position - low
    lower = at(ordered, low).astype(np.float64)
    upper = at(ordered, np.minimum(low + 1, len(ordered) - 1))
    with np.errstate(invalid="ignore"):
        result: Values = np.where(share > 0, lower * (1 - share) + upper * share, lower)
    return result


def mode(values: Values, weights: Weights) -> Result:
    """Return the most frequent value, the smallest of equally frequent ones."""
    valid = valid_of(weights)
    if values.ndim == 1:
        kept = values if valid is None else values[valid]
        if not kept.size:
            return np.zeros((), values.dtype), np.zeros((), bool)
        found, often = np.unique(kept, return_counts=True)
        return np.asarray(found[often.argmax()]), None
    best = np.zeros(values.shape[1:], values.dtype)
    most = np.zeros(values.shape[1:], np.int64)
    for index, plane in enumerate(values):
        often = np.zeros(values.shape[1:], np.int64)
        for other, compared in enumerate(values):
            same = compared == plane
            often += same if valid is None else same & valid[other]
        better = (often > most) | ((often == most) & (plane < best))
        if valid is not None:
            better &= valid[index]
        best = np.where(better, plane, best)
        most = np.where(better, often, most)
    return best, some(weights)


def distinct(values: Values, weights: Weights) -> Values:
    """Return how many different values count."""
    ordered = in_order(values, weights)
    number = counts(values, weights)
    if not len(ordered):
        return number
    fresh = np.ones(ordered.shape, bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    rank = np.arange(len(ordered)).reshape(-1, *([1] * (ordered.ndim - 1)))
    return np.asarray((fresh & (rank < number)).sum(axis=0, dtype=np.int64))


def runs(values: Values, weights: Weights) -> Values:
    """Return how many runs of equal values there are among those that count."""
    valid = valid_of(weights)
    result = np.zeros(values.shape[1:], np.int64)
    before = np.zeros(values.shape[1:], values.dtype)
    started = np.zeros(values.shape[1:], bool)
    for index, plane in enumerate(values):
        here = np.ones(plane.shape, bool) if valid is None else valid[index]
        result += here & (~started | (plane != before))
        before = np.where(here, plane, before)
        started = started | here
    return result


def linear_fit(x: Values, y: Values, weights: Weights) -> tuple[Values, Values, Values]:
    """Return slope, offset and validity of a weighted least-squares line through (x, y)."""
    weight = _weight_sum(x, weights)
    scale = np.where(weight > 0, weight, 1)
    x_mean, y_mean = _weighted(x, weights) / scale, _weighted(y, weights) / scale
    square = _weighted((x - x_mean) ** 2, weights)
    both = _weighted((x - x_mean) * (y - y_mean), weights)
    fits = square > 0
    slope = both / np.where(fits, square, 1)
    return slope, y_mean - slope * x_mean, np.asarray(fits)
