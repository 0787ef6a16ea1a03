"""`AggregateFeatureCollection`: one property over all elements of a collection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from water_gee.emulator import properties as props
from water_gee.emulator import text
from water_gee.emulator.coerce import type_name
from water_gee.emulator.compare import comparable, hashable, sort_key
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Collection

if TYPE_CHECKING:
    from collections.abc import Callable


def values_of(collection: Collection, property: str) -> list[Any]:
    """Return a property of every element that has it."""
    found = [props.get(item, property) for item in collection]
    return [value for value in found if value is not None]


def _numbers(collection: Collection, property: str, where: str) -> list[float]:
    numbers = [comparable(value) for value in values_of(collection, property)]
    for value in numbers:
        if not isinstance(value, (int, float)):
            raise bad_request(
                f"{where}: Property '{property}' must be a number, but is a {type_name(value)}."
            )
    return numbers


@REGISTRY.function("AggregateFeatureCollection.array")
def array(collection: Collection, property: str) -> list[Any]:
    """List the values; elements without the property are left out."""
    return values_of(collection, property)


@REGISTRY.function("AggregateFeatureCollection.first")
def first(collection: Collection, property: str) -> Any:
    """Return the first element's value, null where it has none."""
    item = next(iter(collection), None)
    return None if item is None else props.get(item, property)


@REGISTRY.function("AggregateFeatureCollection.count")
def count(collection: Collection, property: str) -> int:
    """Count the elements that have the property."""
    return len(values_of(collection, property))


@REGISTRY.function("AggregateFeatureCollection.count_distinct")
def count_distinct(collection: Collection, property: str) -> int:
    """Count the different values."""
    return len({hashable(value) for value in values_of(collection, property)})


@REGISTRY.function("AggregateFeatureCollection.min")
def min_(collection: Collection, property: str) -> Any:
    """Return the smallest value, null where there is none."""
    return min(values_of(collection, property), key=sort_key, default=None)


@REGISTRY.function("AggregateFeatureCollection.max")
def max_(collection: Collection, property: str) -> Any:
    """Return the largest value, null where there is none."""
    return max(values_of(collection, property), key=sort_key, default=None)


@REGISTRY.function("AggregateFeatureCollection.histogram")
def histogram(collection: Collection, property: str) -> dict[str, int]:
    """Count the elements by value."""
    counts: dict[str, int] = {}
    for value in values_of(collection, property):
        name = text.java_string(value)
        counts[name] = counts.get(name, 0) + 1
    return counts


def _variance(numbers: list[float], spare: int) -> float | None:
    """Return the mean squared distance from the mean, divided by n - spare."""
    if len(numbers) <= spare:
        return 0.0 if numbers else None
    mean = math.fsum(numbers) / len(numbers)
    return math.fsum((value - mean) ** 2 for value in numbers) / (len(numbers) - spare)


def _deviation(numbers: list[float], spare: int) -> float | None:
    variance = _variance(numbers, spare)
    return None if variance is None else math.sqrt(variance)


def _sum(numbers: list[float]) -> float:
    whole = all(isinstance(value, int) for value in numbers)
    return sum(numbers) if whole else math.fsum(numbers)


_STATISTICS: dict[str, tuple[str, Callable[[list[float]], float | None]]] = {
    "sum": ("Add the values; 0 where there is none.", _sum),
    "product": ("Multiply the values; 1 where there is none.", math.prod),
    "mean": (
        "Average the values; null where there is none.",
        lambda numbers: math.fsum(numbers) / len(numbers) if numbers else None,
    ),
    "sample_var": ("Return the values' variance, n - 1.", lambda numbers: _variance(numbers, 1)),
    "total_var": ("Return the values' variance, n.", lambda numbers: _variance(numbers, 0)),
    "sample_sd": (
        "Return the values' standard deviation, n - 1.",
        lambda numbers: _deviation(numbers, 1),
    ),
    "total_sd": (
        "Return the values' standard deviation, n.",
        lambda numbers: _deviation(numbers, 0),
    ),
}


def _statistic(
    name: str, summary: str, function: Callable[[list[float]], float | None]
) -> Callable[..., float | None]:
    def aggregate(collection: Collection, property: str) -> float | None:
        return function(_numbers(collection, property, f"AggregateFeatureCollection.{name}"))

    aggregate.__doc__ = summary
    return aggregate


for _name, (_summary, _function) in _STATISTICS.items():
    REGISTRY.function(f"AggregateFeatureCollection.{_name}")(_statistic(_name, _summary, _function))


@REGISTRY.function("AggregateFeatureCollection.stats")
def stats(collection: Collection, property: str) -> dict[str, Any]:
    """Return count, sum, min, max, mean and the four spreads of the values."""
    numbers = _numbers(collection, property, "AggregateFeatureCollection.stats")
    result: dict[str, Any] = {
        "total_count": len(collection),
        "valid_count": len(numbers),
        "weight_sum": len(numbers),
        "weighted_sum": _sum(numbers),
        "sum_sq": _sum([value * value for value in numbers]),
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
    }
    for name in ("sum", "mean", "sample_sd", "sample_var", "total_sd", "total_var"):
        result[name] = _STATISTICS[name][1](numbers)
    return result
