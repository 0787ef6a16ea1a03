"""Reducers: how many values become few, weighted by mask and coverage where that is said.

`Reducer.reduce(*stacks, weights)` takes one stack `(n, ...)` for each input and the weights
`(n, ...)`: None, bool or float. Unweighted reducers count whole pixels: those of weight above 0, or
those of `counted` where a region says which centres it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import pixeltypes, statistics
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import (
    BOOLEAN,
    DOUBLE,
    INT64,
    INTEGER_RANGES,
    PixelType,
    Reducer,
)

if TYPE_CHECKING:
    from water_gee.emulator.statistics import Result, Values, Weights

Reduction = Callable[..., list[Any]]
"""`(*stacks, weights) -> one (values, mask) per output`; of a flat stack, any objects."""

TypeRule = Callable[[PixelType], PixelType]

COUNT = PixelType("int", 0, INTEGER_RANGES["int32"][1])
"""The type of counts."""


def reducer(
    name: str,
    outputs: Sequence[str],
    reduction: Reduction,
    *rules: TypeRule,
    inputs: int = 1,
    weighted: bool = False,
) -> Reducer:
    """Return a reducer.

    Args:
        name: `sum`, `mean`, ...
        outputs: Their names.
        reduction: What it does with `(*stacks, weights)`.
        rules: From the input's type to each output's; one does for all.
        inputs: Stacks it takes.
        weighted: Whether it sees weights; else it sees what counts.
    """

    def reduce(*arguments: Any, counted: Weights = None) -> list[Any]:
        *stacks, weights = arguments
        if weighted:
            return reduction(*stacks, weights)
        valid = counted if counted is not None else statistics.valid_of(weights)
        return reduction(*stacks, valid)

    def types(kind: PixelType) -> tuple[PixelType, ...]:
        chosen = rules * len(outputs) if len(rules) == 1 else rules
        return tuple(rule(kind) for rule in chosen)

    return Reducer(name, tuple(outputs), reduce, types, inputs)


def _same(kind: PixelType) -> PixelType:
    return kind


def always(kind: PixelType) -> TypeRule:
    """Return the rule of an output whose type does not depend on the input's."""
    return lambda _: kind


def _one(function: Callable[[Values, Weights], Result]) -> Reduction:
    return lambda values, weights: [function(values, weights)]


def _sum(values: Values, weights: Weights) -> Result:
    """Sum; of a region that holds nothing the sum is 0, of a pixel never observed it is masked."""
    found, mask = statistics.total(values, weights)
    return found, None if values.ndim == 1 else mask


def _counted(function: Callable[[Values, Weights], Values]) -> Reduction:
    return lambda values, weights: [(function(values, weights), None)]


def _truth(values: Values, weights: Weights, every: bool) -> Result:
    found = values != 0
    valid = statistics.valid_of(weights)
    if valid is not None:
        found = found | ~valid if every else found & valid
    result = found.all(axis=0) if every else found.any(axis=0)
    return np.asarray(result, np.int32), statistics.some(weights)


def _all(values: Values, weights: Weights) -> Result:
    return _truth(values, weights, True)


def _any(values: Values, weights: Weights) -> Result:
    return _truth(values, weights, False)


def _bits(values: Values, weights: Weights, ufunc: np.ufunc, neutral: int) -> Result:
    kept = values.astype(np.int64)
    valid = statistics.valid_of(weights)
    if valid is not None:
        kept = np.where(valid, kept, neutral)
    return np.asarray(ufunc.reduce(kept, axis=0)), statistics.some(weights)


def _minimum(values: Values, weights: Weights) -> Result:
    return statistics.extreme(values, weights, largest=False)


def _maximum(values: Values, weights: Weights) -> Result:
    return statistics.extreme(values, weights, largest=True)


_TABLE: dict[str, tuple[Reducer, str]] = {
    "sum": (
        reducer("sum", ["sum"], _one(_sum), always(DOUBLE), weighted=True),
        "Return a reducer that sums, weighted.",
    ),
    "mean": (
        reducer("mean", ["mean"], _one(statistics.mean), pixeltypes.floating, weighted=True),
        "Return a reducer that takes the weighted mean.",
    ),
    "product": (
        reducer("product", ["product"], _one(statistics.product), always(DOUBLE)),
        "Return a reducer that multiplies.",
    ),
    "count": (
        reducer("count", ["count"], _counted(statistics.counts), always(COUNT)),
        "Return a reducer that counts what is observed.",
    ),
    "countEvery": (
        reducer(
            "countEvery",
            ["count"],
            _counted(lambda values, _: np.full(values.shape[1:], len(values), np.int64)),
            always(COUNT),
        ),
        "Return a reducer that counts everything, observed or not.",
    ),
    "countDistinct": (
        reducer("countDistinct", ["count"], _counted(statistics.distinct), always(COUNT)),
        "Return a reducer that counts different values.",
    ),
    "countRuns": (
        reducer("countRuns", ["count"], _counted(statistics.runs), always(COUNT)),
        "Return a reducer that counts runs of equal values.",
    ),
    "first": (
        reducer("first", ["first"], _one(statistics.first), _same),
        "Return a reducer that takes the first value.",
    ),
    "last": (
        reducer("last", ["last"], _one(lambda v, w: statistics.first(v, w, last=True)), _same),
        "Return a reducer that takes the last value.",
    ),
    "minMax": (
        reducer(
            "minMax",
            ["min", "max"],
            lambda v, w: [_minimum(v, w), _maximum(v, w)],
            _same,
        ),
        "Return a reducer that takes the smallest and the largest value.",
    ),
    "allNonZero": (
        reducer("allNonZero", ["all"], _one(_all), always(BOOLEAN)),
        "Return a reducer that says whether no value is 0.",
    ),
    "anyNonZero": (
        reducer("anyNonZero", ["any"], _one(_any), always(BOOLEAN)),
        "Return a reducer that says whether some value is not 0.",
    ),
    "bitwiseAnd": (
        reducer(
            "bitwiseAnd",
            ["bitwiseAnd"],
            _one(lambda v, w: _bits(v, w, np.bitwise_and, -1)),
            always(INT64),
        ),
        "Return a reducer that keeps the bits all values have.",
    ),
    "bitwiseOr": (
        reducer(
            "bitwiseOr",
            ["bitwiseOr"],
            _one(lambda v, w: _bits(v, w, np.bitwise_or, 0)),
            always(INT64),
        ),
        "Return a reducer that keeps the bits any value has.",
    ),
    "variance": (
        reducer("variance", ["variance"], _one(statistics.variance), pixeltypes.floating),
        "Return a reducer that takes the variance of a population.",
    ),
    "sampleVariance": (
        reducer(
            "sampleVariance",
            ["variance"],
            _one(lambda v, w: statistics.variance(v, w, sample=True)),
            pixeltypes.floating,
        ),
        "Return a reducer that estimates the variance from a sample.",
    ),
    "stdDev": (
        reducer("stdDev", ["stdDev"], _one(statistics.deviation), pixeltypes.floating),
        "Return a reducer that takes the standard deviation of a population.",
    ),
    "sampleStdDev": (
        reducer(
            "sampleStdDev",
            ["stdDev"],
            _one(lambda v, w: statistics.deviation(v, w, sample=True)),
            pixeltypes.floating,
        ),
        "Return a reducer that estimates the standard deviation from a sample.",
    ),
}

SUM = _TABLE["sum"][0]
MEAN = _TABLE["mean"][0]
MAX = reducer("max", ["max"], _one(_maximum), _same)
MIN = reducer("min", ["min"], _one(_minimum), _same)
"""Reducers that functions of this package use by name."""

_OTHER_NAMES = {
    "countDistinct": ("countDistinctNonNull",),
    "first": ("firstNonNull",),
    "last": ("lastNonNull",),
    "allNonZero": ("and",),
    "anyNonZero": ("or",),
}


def _constructor(made: Reducer, summary: str) -> Callable[[], Reducer]:
    def construct() -> Reducer:
        return made

    construct.__doc__ = summary
    return construct


for _name, (_made, _summary) in _TABLE.items():
    REGISTRY.function(*(f"Reducer.{name}" for name in (_name, *_OTHER_NAMES.get(_name, ()))))(
        _constructor(_made, _summary)
    )


def _extreme_of(name: str, largest: bool, inputs: int) -> Reducer:
    if inputs < 1:
        raise bad_request(f"Reducer.{name}: 'numInputs' must be at least 1. Got {inputs}.")
    if inputs == 1:
        return MAX if largest else MIN

    def reduce(*arguments: Any) -> list[Result]:
        *stacks, weights = arguments
        index = statistics.which_extreme(stacks[0], weights, largest=largest)
        mask = statistics.some(weights)
        return [(statistics.at(stack, index), mask) for stack in stacks]

    outputs = [name, *(f"{name}{number}" for number in range(1, inputs))]
    return reducer(name, outputs, reduce, _same, inputs=inputs)


@REGISTRY.function("Reducer.max")
def maximum(numInputs: int = 1) -> Reducer:
    """Return a reducer that takes the largest first input, and the others where it is."""
    return _extreme_of("max", True, numInputs)


@REGISTRY.function("Reducer.min")
def minimum(numInputs: int = 1) -> Reducer:
    """Return a reducer that takes the smallest first input, and the others where it is."""
    return _extreme_of("min", False, numInputs)


@REGISTRY.function("Reducer.median")
def median(
    maxBuckets: int | None = None, minBucketWidth: float | None = None, maxRaw: int | None = None
) -> Reducer:
    """Return a reducer that takes the median, exact however many values there are."""
    return reducer("median", ["median"], _one(statistics.median), pixeltypes.floating)


@REGISTRY.function("Reducer.mode")
def mode(
    maxBuckets: int | None = None, minBucketWidth: float | None = None, maxRaw: int | None = None
) -> Reducer:
    """Return a reducer that takes the most frequent value, the smallest of equals."""
    return reducer("mode", ["mode"], _one(statistics.mode), _same)


@REGISTRY.function("Reducer.percentile")
def percentile(
    percentiles: list[Any],
    outputNames: list[str] | None = None,
    maxBuckets: int | None = None,
    minBucketWidth: float | None = None,
    maxRaw: int | None = None,
) -> Reducer:
    """Return a reducer that takes percentiles, `p0` to `p100`, interpolated between neighbours."""
    where = "Reducer.percentile"
    bad = [one for one in percentiles if not isinstance(one, (int, float)) or not 0 <= one <= 100]
    if bad or not percentiles:
        raise bad_request(f"{where}: Percentiles must be numbers from 0 to 100. Got {percentiles}.")
    names = [f"p{one:g}".replace(".", "_") for one in percentiles]
    if outputNames is not None:
        if len(outputNames) != len(percentiles):
            raise bad_request(
                f"{where}: {len(percentiles)} percentiles cannot have {len(outputNames)} names."
            )
        names = outputNames

    def reduce(values: Values, weights: Weights) -> list[Result]:
        return statistics.percentiles(values, weights, [float(one) for one in percentiles])

    return reducer("percentile", names, reduce, pixeltypes.floating)


@REGISTRY.function("Reducer.linearFit")
def linear_fit() -> Reducer:
    """Return a reducer of x and y to the slope and offset of a weighted least-squares line."""

    def reduce(x: Values, y: Values, weights: Weights) -> list[Result]:
        slope, offset, fits = statistics.linear_fit(x, y, weights)
        return [(slope, fits), (offset, fits)]

    rule = always(DOUBLE)
    return reducer("linearFit", ["scale", "offset"], reduce, rule, inputs=2, weighted=True)
