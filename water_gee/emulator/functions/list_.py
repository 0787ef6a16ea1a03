"""`List`."""

from __future__ import annotations

import math
import random
from typing import Any

from water_gee.emulator import reducing, text
from water_gee.emulator.coerce import coerce
from water_gee.emulator.compare import equal, hashable, sort_key
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Array, Feature, Filter, Function, Geometry, Reducer

_LIST = list

MAX_LENGTH = 10_000_000
"""Elements a generated list may have."""


def place_of(index: int, size: int, where: str) -> int:
    """Return an index as it counts from the start.

    Raises:
        ServiceError: 400: outside the list.
    """
    if size == 0:
        raise bad_request(f"{where}: List index is out of bounds: the list is empty.")
    if not -size <= index < size:
        raise bad_request(
            f"{where}: List index must be between 0 and {size - 1}, "
            f"or {-size} and -1. Found {index}."
        )
    return index % size


@REGISTRY.function("List.get")
def get(list: list[Any], index: int) -> Any:
    """Return an element; negative indices count from the end."""
    return list[place_of(index, len(list), "List.get")]


@REGISTRY.function("List.getNumber")
def get_number(list: list[Any], index: int) -> float:
    """Return an element that is a number."""
    value = list[place_of(index, len(list), "List.getNumber")]
    number: float = coerce(value, float, "List.getNumber")
    return number


@REGISTRY.function("List.getString")
def get_string(list: list[Any], index: int) -> str:
    """Return an element that is a string."""
    value = list[place_of(index, len(list), "List.getString")]
    string: str = coerce(value, str, "List.getString")
    return string


@REGISTRY.function("List.getArray")
def get_array(list: list[Any], index: int) -> Array:
    """Return an element that is an array."""
    value = list[place_of(index, len(list), "List.getArray")]
    array: Array = coerce(value, Array, "List.getArray")
    return array


@REGISTRY.function("List.getGeometry")
def get_geometry(list: list[Any], index: int) -> Geometry:
    """Return an element that is a geometry."""
    value = list[place_of(index, len(list), "List.getGeometry")]
    geometry: Geometry = coerce(value, Geometry, "List.getGeometry")
    return geometry


@REGISTRY.function("List.size", "List.length")
def size(list: list[Any]) -> int:
    """Count the elements."""
    return len(list)


@REGISTRY.function("List.add")
def add(list: list[Any], element: Any) -> list[Any]:
    """Append an element."""
    return [*list, element]


@REGISTRY.function("List.cat")
def cat(list: list[Any], other: list[Any]) -> list[Any]:
    """Put two lists one after the other."""
    return list + other


@REGISTRY.function("List.contains")
def contains(list: list[Any], element: Any) -> bool:
    """Say whether an element is in the list."""
    return any(equal(one, element) for one in list)


@REGISTRY.function("List.containsAll")
def contains_all(list: list[Any], other: list[Any]) -> bool:
    """Say whether every element of another list is in the list."""
    return all(contains(list, one) for one in other)


@REGISTRY.function("List.distinct")
def distinct(list: list[Any]) -> list[Any]:
    """Keep the first of equal elements."""
    seen: dict[Any, Any] = {}
    for one in list:
        seen.setdefault(hashable(one), one)
    return [*seen.values()]


@REGISTRY.function("List.equals")
def equals(list: list[Any], other: list[Any]) -> bool:
    """Say whether two lists hold the same in the same order."""
    return equal(list, other)


@REGISTRY.function("List.filter")
def filter_(list: list[Any], filter: Filter) -> list[Any]:
    """Keep the elements that pass a filter, which calls each of them `item`."""
    return [one for one in list if filter.test(Feature(None, {"item": one}))]


@REGISTRY.function("List.flatten")
def flatten(list: list[Any]) -> list[Any]:
    """Put the elements of lists within lists, however deep, into one list."""
    result = []
    waiting = [iter(list)]
    while waiting:
        for one in waiting[-1]:
            if isinstance(one, _LIST):
                waiting.append(iter(one))
                break
            result.append(one)
        else:
            waiting.pop()
    return result


@REGISTRY.function("List.frequency")
def frequency(list: list[Any], element: Any) -> int:
    """Count the elements that equal a value."""
    return sum(equal(one, element) for one in list)


@REGISTRY.function("List.indexOf")
def index_of(list: list[Any], element: Any) -> int:
    """Return where a value first is, -1 where it is not."""
    return next((place for place, one in enumerate(list) if equal(one, element)), -1)


def _sublists(whole: list[Any], part: list[Any]) -> list[int]:
    last = len(whole) - len(part)
    return [at for at in range(last + 1) if equal(whole[at : at + len(part)], part)]


@REGISTRY.function("List.indexOfSublist")
def index_of_sublist(list: list[Any], target: list[Any]) -> int:
    """Return where another list first begins within the list, -1 where it does not."""
    return next(iter(_sublists(list, target)), -1)


@REGISTRY.function("List.lastIndexOfSubList")
def last_index_of_sublist(list: list[Any], target: list[Any]) -> int:
    """Return where another list last begins within the list, -1 where it does not."""
    return max(_sublists(list, target), default=-1)


@REGISTRY.function("List.insert")
def insert(list: list[Any], index: int, element: Any) -> list[Any]:
    """Put an element before an index; negative ones count from the end."""
    if not -len(list) <= index <= len(list):
        raise bad_request(f"List.insert: index {index} is outside a list of {len(list)}.")
    at = index + len(list) if index < 0 else index
    return [*list[:at], element, *list[at:]]


@REGISTRY.function("List.iterate")
def iterate(list: list[Any], function: Function, first: Any) -> Any:
    """Call a function on each element and the last result; return the last."""
    state = first
    for one in list:
        state = function.call(one, state)
    return state


@REGISTRY.function("List.join")
def join(list: list[Any], separator: str = "") -> str:
    """Put the elements, written as strings, one after the other."""
    return separator.join(map(text.java_string, list))


@REGISTRY.function("List.map")
def map_(list: list[Any], baseAlgorithm: Function, dropNulls: bool = False) -> list[Any]:
    """Call a function on each element."""
    results = [baseAlgorithm.call(one) for one in list]
    return [one for one in results if one is not None] if dropNulls else results


@REGISTRY.function("List.reduce")
def reduce(list: list[Any], reducer: Reducer) -> Any:
    """Reduce the elements (lists, for several inputs) to a value, or a dictionary of outputs."""
    rows = [[one] if reducer.inputs == 1 else coerce(one, _LIST, "List.reduce") for one in list]
    results = reducing.reduce_rows(reducer, rows, "List.reduce")
    return results[reducer.outputs[0]] if len(reducer.outputs) == 1 else results


@REGISTRY.function("List.remove")
def remove(list: list[Any], element: Any) -> list[Any]:
    """Leave out the first element that equals a value."""
    at = index_of(list, element)
    return list if at < 0 else [*list[:at], *list[at + 1 :]]


@REGISTRY.function("List.removeAll")
def remove_all(list: list[Any], other: list[Any]) -> list[Any]:
    """Leave out every element that is in another list."""
    return [one for one in list if not contains(other, one)]


@REGISTRY.function("List.repeat")
def repeat(value: Any, count: int) -> list[Any]:
    """Make a list of the same value."""
    if not 0 <= count <= MAX_LENGTH:
        raise bad_request(f"List.repeat: count must be between 0 and {MAX_LENGTH}, not {count}.")
    return [value] * count


@REGISTRY.function("List.replace")
def replace(list: list[Any], oldval: Any, newval: Any) -> list[Any]:
    """Replace the first element that equals a value."""
    at = index_of(list, oldval)
    return list if at < 0 else [*list[:at], newval, *list[at + 1 :]]


@REGISTRY.function("List.replaceAll")
def replace_all(list: list[Any], oldval: Any, newval: Any) -> list[Any]:
    """Replace every element that equals a value."""
    return [newval if equal(one, oldval) else one for one in list]


@REGISTRY.function("List.reverse")
def reverse(list: list[Any]) -> list[Any]:
    """Put the elements into reverse order."""
    return list[::-1]


@REGISTRY.function("List.rotate")
def rotate(list: list[Any], distance: int) -> list[Any]:
    """Move the elements to the right by a distance, those that fall off to the beginning."""
    at = -distance % len(list) if list else 0
    return list[at:] + list[:at]


@REGISTRY.function("List.sequence")
def sequence(
    start: float, end: float | None = None, step: float = 1, count: int | None = None
) -> list[float]:
    """Count from `start` to `end` (inclusive) by `step`, or in `count` equal steps."""
    if count is not None:
        if not 0 < count <= MAX_LENGTH:
            raise bad_request(f"List.sequence: count must be between 1 and {MAX_LENGTH}.")
        if end is not None:
            step = (end - start) / (count - 1) if count > 1 else 0
            step = int(step) if step == int(step) else step
        return [start + step * number for number in range(count)]
    if end is None:
        raise bad_request("List.sequence: At least one of 'end' or 'count' must be specified.")
    if step == 0:
        raise bad_request("List.sequence: step must not be 0.")
    # A little slack: 0.3 / 0.1 is less than 3.
    steps = math.floor((end - start) / step + 1e-9)
    if steps >= MAX_LENGTH:
        raise bad_request(f"List.sequence: more than {MAX_LENGTH} elements.")
    return [start + step * number for number in range(steps + 1)]


@REGISTRY.function("List.set")
def set_(list: list[Any], index: int, element: Any) -> list[Any]:
    """Replace the element at an index; negative ones count from the end."""
    at = place_of(index, len(list), "List.set")
    return [*list[:at], element, *list[at + 1 :]]


@REGISTRY.function("List.shuffle")
def shuffle(list: list[Any], seed: Any = None) -> list[Any]:
    """Put the elements into a random order, the same one for the same seed."""
    order = [*list]
    random.Random(None if seed is None or seed is False else str(seed)).shuffle(order)
    return order


@REGISTRY.function("List.slice")
def slice_(
    list: list[Any], start: int, end: int | None = None, step: int | None = None
) -> list[Any]:
    """Return every step-th element from `start` up to `end`; negative ones count from the end."""
    if step is not None and step < 1:
        raise bad_request(f"List.slice: step must be positive, not {step}.")
    return list[start:end:step]


@REGISTRY.function("List.sort")
def sort(list: list[Any], keys: list[Any] | None = None) -> list[Any]:
    """Sort by the elements, or by a second list of keys, one for each."""
    if keys is None:
        return sorted(list, key=sort_key)
    if len(keys) != len(list):
        raise bad_request("List.sort: 'keys' must have as many elements as the list.")
    order = sorted(range(len(list)), key=lambda place: sort_key(keys[place]))
    return [list[place] for place in order]


@REGISTRY.function("List.splice")
def splice(list: list[Any], start: int, count: int, other: list[Any] | None = None) -> list[Any]:
    """Replace `count` elements from `start`, which may count from the end, by another list's."""
    at = max(0, start + len(list)) if start < 0 else min(start, len(list))
    return [*list[:at], *(other or ()), *list[at + max(0, count) :]]


@REGISTRY.function("List.swap")
def swap(list: list[Any], pos1: int, pos2: int) -> list[Any]:
    """Exchange two elements; negative positions count from the end."""
    one, two = (place_of(place, len(list), "List.swap") for place in (pos1, pos2))
    swapped = [*list]
    swapped[one], swapped[two] = list[two], list[one]
    return swapped


@REGISTRY.function("List.unzip")
def unzip(list: list[Any]) -> list[list[Any]]:
    """Turn a list of rows into a list of columns, as many as the shortest row has."""
    rows = [coerce(row, _LIST, "List.unzip") for row in list]
    return [[*column] for column in zip(*rows, strict=False)]


@REGISTRY.function("List.zip")
def zip_(list: list[Any], other: list[Any]) -> list[list[Any]]:
    """Pair the elements of two lists, as many as the shorter one has."""
    return [[one, two] for one, two in zip(list, other, strict=False)]
