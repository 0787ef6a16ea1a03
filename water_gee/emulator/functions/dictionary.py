"""`Dictionary`. Keys are in alphabetical order, as the service has them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from water_gee.emulator.coerce import coerce, constant_image
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Array, Function, Geometry, Image


@REGISTRY.function("Dictionary")
def dictionary(input: Any = None) -> dict[str, Any]:
    """Make a dictionary of a dictionary, an element's properties, or a list of keys and values."""
    if input is None:
        return {}
    if isinstance(input, list):
        if len(input) % 2:
            raise bad_request("Dictionary: a list needs as many values as keys.")
        return from_lists(input[::2], input[1::2])
    result: dict[str, Any] = coerce(input, dict, "Dictionary, argument 'input'")
    return result


@REGISTRY.function("Dictionary.fromLists")
def from_lists(keys: list[str], values: list[Any]) -> dict[str, Any]:
    """Make a dictionary of keys and values in two lists."""
    if len(keys) != len(values):
        raise bad_request(
            f"Dictionary.fromLists: Number of keys ({len(keys)}) must match "
            f"number of values ({len(values)})."
        )
    names = [coerce(key, str, "Dictionary.fromLists, argument 'keys'") for key in keys]
    return dict(zip(names, values, strict=True))


def _value(dictionary: dict[str, Any], key: str, where: str) -> Any:
    if key not in dictionary:
        raise bad_request(f"{where}: Dictionary does not contain key: '{key}'.")
    return dictionary[key]


@REGISTRY.function("Dictionary.get")
def get(dictionary: dict[str, Any], key: str, defaultValue: Any = None) -> Any:
    """Return a value; the default, where one is given, for a key that is not there."""
    if defaultValue is not None and dictionary.get(key) is None:
        return defaultValue
    return _value(dictionary, key, "Dictionary.get")


@REGISTRY.function("Dictionary.getNumber")
def get_number(dictionary: dict[str, Any], key: str) -> float:
    """Return a value that is a number."""
    where = "Dictionary.getNumber"
    number: float = coerce(_value(dictionary, key, where), float, where)
    return number


@REGISTRY.function("Dictionary.getString")
def get_string(dictionary: dict[str, Any], key: str) -> str:
    """Return a value that is a string."""
    where = "Dictionary.getString"
    string: str = coerce(_value(dictionary, key, where), str, where)
    return string


@REGISTRY.function("Dictionary.getArray")
def get_array(dictionary: dict[str, Any], key: str) -> Array:
    """Return a value that is an array."""
    where = "Dictionary.getArray"
    array: Array = coerce(_value(dictionary, key, where), Array, where)
    return array


@REGISTRY.function("Dictionary.getGeometry")
def get_geometry(dictionary: dict[str, Any], key: str) -> Geometry:
    """Return a value that is a geometry."""
    where = "Dictionary.getGeometry"
    geometry: Geometry = coerce(_value(dictionary, key, where), Geometry, where)
    return geometry


@REGISTRY.function("Dictionary.keys")
def keys(dictionary: dict[str, Any]) -> list[str]:
    """Return the keys, sorted."""
    return sorted(dictionary)


@REGISTRY.function("Dictionary.values")
def values(dictionary: dict[str, Any], keys: list[str] | None = None) -> list[Any]:
    """Return the values, in the order of the keys given or of all keys sorted."""
    chosen = sorted(dictionary) if keys is None else keys
    return [_value(dictionary, key, "Dictionary.values") for key in chosen]


@REGISTRY.function("Dictionary.size")
def size(dictionary: dict[str, Any]) -> int:
    """Count the entries."""
    return len(dictionary)


@REGISTRY.function("Dictionary.contains")
def contains(dictionary: dict[str, Any], key: str) -> bool:
    """Say whether a key is there."""
    return key in dictionary


@REGISTRY.function("Dictionary.set")
def set_(dictionary: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Set one entry."""
    return {**dictionary, key: value}


@REGISTRY.function("Dictionary.combine")
def combine(
    first: dict[str, Any], second: dict[str, Any], overwrite: bool = True
) -> dict[str, Any]:
    """Put two dictionaries together; the second wins where `overwrite`, else the first."""
    return {**first, **second} if overwrite else {**second, **first}


def selected(
    dictionary: dict[str, Any], selectors: list[str], where: str, *, ignore_missing: bool
) -> list[str]:
    """Return the keys that names or regular expressions select, in their order."""
    chosen: dict[str, None] = {}
    for selector in selectors:
        found = [key for key in sorted(dictionary) if key == selector]
        found = found or [key for key in sorted(dictionary) if re.fullmatch(selector, key)]
        if not found and not ignore_missing:
            raise bad_request(f"{where}: Dictionary does not contain key: '{selector}'.")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


@REGISTRY.function("Dictionary.select")
def select(
    dictionary: dict[str, Any], selectors: list[str], ignoreMissing: bool = False
) -> dict[str, Any]:
    """Keep the entries that names or regular expressions select."""
    names = selected(dictionary, selectors, "Dictionary.select", ignore_missing=ignoreMissing)
    return {name: dictionary[name] for name in names}


@REGISTRY.function("Dictionary.remove")
def remove(
    dictionary: dict[str, Any], selectors: list[str], ignoreMissing: bool = False
) -> dict[str, Any]:
    """Leave out the entries that names or regular expressions select."""
    gone = selected(dictionary, selectors, "Dictionary.remove", ignore_missing=ignoreMissing)
    return {key: value for key, value in dictionary.items() if key not in gone}


@REGISTRY.function("Dictionary.rename")
def rename(
    dictionary: dict[str, Any], from_: list[str], to: list[str], overwrite: bool = False
) -> dict[str, Any]:
    """Give entries new keys."""
    if len(from_) != len(to):
        raise bad_request("Dictionary.rename: 'from' and 'to' must be of the same length.")
    moved = {
        new: _value(dictionary, old, "Dictionary.rename")
        for old, new in zip(from_, to, strict=True)
    }
    kept = {key: value for key, value in dictionary.items() if key not in from_}
    clash = sorted(moved.keys() & kept.keys())
    if clash and not overwrite:
        raise bad_request(
            f"Dictionary.rename: Dictionary already contains key: '{clash[0]}'; "
            "set 'overwrite' to replace it."
        )
    return {**kept, **moved}


@REGISTRY.function("Dictionary.map")
def map_(dictionary: dict[str, Any], baseAlgorithm: Function) -> dict[str, Any]:
    """Call a function of key and value on each entry."""
    return {key: baseAlgorithm.call(key, dictionary[key]) for key in sorted(dictionary)}


@REGISTRY.function("Dictionary.toArray")
def to_array(dictionary: dict[str, Any], keys: list[str] | None = None, axis: int = 0) -> Array:
    """Put values that are numbers or arrays into one array along an axis."""
    where = "Dictionary.toArray"
    parts = [coerce(one, Array, where).values for one in values(dictionary, keys)]
    deepest = max((part.ndim for part in parts), default=0)
    if deepest == 0:
        return Array(np.array([float(part) for part in parts]))
    return Array(np.concatenate(parts, axis=axis))


@REGISTRY.function("Dictionary.toImage")
def to_image(dictionary: dict[str, Any], names: list[str] | None = None) -> Image:
    """Make an image of constants, a band for each entry."""
    chosen = sorted(dictionary) if names is None else names
    numbers = [coerce(_value(dictionary, k, "Dictionary.toImage"), float, k) for k in chosen]
    if not numbers:
        return Image()
    image = constant_image(numbers)
    return image.with_bands(
        replace(band, name=name) for band, name in zip(image.bands, chosen, strict=True)
    )
