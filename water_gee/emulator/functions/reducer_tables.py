"""Reducers whose result is no number: histograms and lists. They reduce regions, never pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator.functions.reducer import always, reducer
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import DOUBLE, Array, Reducer

if TYPE_CHECKING:
    from water_gee.emulator.statistics import Values, Weights

DEFAULT_BUCKETS = 4096
"""Buckets of a histogram that is not told how many it may have."""


def flat(name: str, values: Values) -> None:
    """Refuse a stack of images to a reducer whose result is no number.

    Raises:
        ServiceError: 400: the stack is not flat.
    """
    if values.ndim != 1:
        raise bad_request(
            f"Reducer.{name}: Its result is no number, so that it reduces regions only "
            "in this emulator."
        )


@REGISTRY.function("Reducer.frequencyHistogram")
def frequency_histogram() -> Reducer:
    """Return a reducer to a dictionary from value to weighted frequency; for regions."""

    def reduce(values: Values, weights: Weights) -> list[Any]:
        flat("frequencyHistogram", values)
        weight = np.ones(values.shape) if weights is None else weights.astype(np.float64)
        found, index = np.unique(values[weight > 0], return_inverse=True)
        often = np.bincount(index, weight[weight > 0], len(found))
        return [({_label(v): _number(w) for v, w in zip(found, often, strict=True)}, None)]

    rule = always(DOUBLE)
    return reducer("frequencyHistogram", ["histogram"], reduce, rule, weighted=True)


def _number(value: Any) -> float | int:
    number = value.item()
    return int(number) if number == int(number) else float(number)


def _label(value: Any) -> str:
    return str(_number(value))


@REGISTRY.function("Reducer.histogram")
def histogram(
    maxBuckets: int | None = None, minBucketWidth: float | None = None, maxRaw: int | None = None
) -> Reducer:
    """Return a reducer to buckets whose width is a power of 2; for regions."""

    def reduce(values: Values, weights: Weights) -> list[Any]:
        flat("histogram", values)
        kept = values if weights is None else values[weights]
        if not kept.size:
            return [(None, np.zeros((), bool))]
        limit = maxBuckets if maxBuckets is not None else DEFAULT_BUCKETS
        width = _bucket_width(kept, max(1, limit), minBucketWidth)
        first = np.floor(kept.min() / width)
        bucket = (np.floor(kept / width) - first).astype(np.int64)
        often = np.bincount(bucket).astype(float)
        sums = np.bincount(bucket, kept.astype(np.float64))
        means = np.where(often > 0, sums / np.maximum(often, 1), 0)
        edges = (first + np.arange(len(often))) * width
        table = {
            "bucketMeans": np.where(often > 0, means, edges + width / 2).tolist(),
            "bucketMin": float(first * width),
            "bucketWidth": float(width),
            "histogram": often.tolist(),
        }
        return [(table, None)]

    return reducer("histogram", ["histogram"], reduce, always(DOUBLE))


def _bucket_width(values: Values, limit: int, least: float | None) -> float:
    """Return the smallest power of 2 that needs no more than `limit` buckets."""
    extent = float(values.max()) - float(values.min())
    width = 2.0 ** np.floor(np.log2(extent / limit)) if extent > 0 else 1.0
    if values.dtype.kind in "iub":
        width = max(1.0, float(width))
    if least is not None:
        width = max(float(width), least)
    while np.floor(values.max() / width) - np.floor(values.min() / width) + 1 > limit:
        width *= 2
    return float(width)


@REGISTRY.function("Reducer.fixedHistogram")
def fixed_histogram(min: float, max: float, steps: int, cumulative: bool = False) -> Reducer:
    """Return a reducer to an array of lower edges and counts of equal buckets; for regions."""
    if steps < 1 or not min < max:
        raise bad_request("Reducer.fixedHistogram: 'steps' must be positive, 'min' below 'max'.")

    def reduce(values: Values, weights: Weights) -> list[Any]:
        flat("fixedHistogram", values)
        weight = np.ones(values.shape) if weights is None else weights.astype(np.float64)
        kept = (values >= min) & (values < max) & (weight > 0)
        bucket = np.floor((values[kept] - min) * (steps / (max - min))).astype(np.int64)
        often = np.bincount(np.minimum(bucket, steps - 1), weight[kept], steps)
        edges = min + np.arange(steps) * (max - min) / steps
        table = np.column_stack([edges, np.cumsum(often) if cumulative else often])
        return [(Array(table), None)]

    rule = always(DOUBLE)
    return reducer("fixedHistogram", ["histogram"], reduce, rule, weighted=True)


@REGISTRY.function("Reducer.toList")
def to_list(tupleSize: int | None = None, numOptional: int = 0) -> Reducer:
    """Return a reducer that collects values, or tuples of them; for regions."""
    if numOptional:
        raise bad_request("Reducer.toList: 'numOptional' is not implemented by this emulator.")

    def reduce(*arguments: Any) -> list[Any]:
        *stacks, weights = arguments
        flat("toList", stacks[0])
        columns = [(stack if weights is None else stack[weights]).tolist() for stack in stacks]
        if tupleSize is None:
            return [(columns[0], None)]
        return [([list(row) for row in zip(*columns, strict=True)], None)]

    return reducer("toList", ["list"], reduce, always(DOUBLE), inputs=tupleSize or 1)
