"""Registry and coercion: names, signatures, promotions, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ee
import numpy as np
import pytest

from water_gee.emulator import values as v
from water_gee.emulator.coerce import coerce, wire_type
from water_gee.emulator.evaluator import standard_registry
from water_gee.emulator.registry import Registry
from water_gee.emulator.services import Services
from water_gee.errors import ServiceError

LISTED = {
    entry["name"].removeprefix("algorithms/"): entry
    for entry in json.loads((Path(ee.__file__).parent / "tests" / "algorithms.json").read_text())[
        "algorithms"
    ]
}
REGISTERED = standard_registry().entries

SAME_TYPES = {
    "Float": "Number",
    "Long": "Integer",
    "FeatureCollection": "Collection",
    "ImageCollection": "Collection",
    "Rectangle": "Geometry",
    "<any>": "Object",
}
"""Types of the list that are one type here."""


def test_every_registered_name_is_in_the_clients_list():
    assert [name for name in REGISTERED if name not in LISTED] == []


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_signature_is_the_clients(name):
    listed = LISTED[name].get("arguments", [])
    parameters = REGISTERED[name].parameters
    assert [p.name for p in parameters] == [one["argumentName"] for one in listed]
    assert [p.required for p in parameters] == [not one.get("optional", False) for one in listed]


def test_types_are_the_clients():
    wrong = []
    for name, entry in REGISTERED.items():
        for parameter, listed in zip(
            entry.parameters, LISTED[name].get("arguments", []), strict=True
        ):
            wanted = listed["type"].partition("<")[0] or listed["type"]
            wanted = SAME_TYPES.get(wanted, wanted)
            have = wire_type(parameter.annotation)
            if have not in (wanted, "Object"):
                wrong.append(f"{name}({parameter.name}): {have}, listed as {listed['type']}")
    assert wrong == []


def test_defaults_are_the_clients():
    wrong = []
    for name, entry in REGISTERED.items():
        for parameter, listed in zip(
            entry.parameters, LISTED[name].get("arguments", []), strict=True
        ):
            wanted = listed.get("defaultValue")
            plain = isinstance(wanted, (str, int, float, bool))
            if plain and listed.get("optional") and parameter.default != wanted:
                wrong.append(f"{name}({parameter.name}={parameter.default}), listed as {wanted}")
    assert wrong == []


@pytest.fixture
def registry():
    return Registry()


def test_an_entry_knows_its_signature(registry):
    @registry.function("Thing.make")
    def make(name: str, from_: int, services: Services, scale: float | None = None) -> v.Image:
        """Make a thing."""
        return v.Image((), {"name": name, "from": from_, "scale": scale})

    entry = registry.get("Thing.make")
    assert entry.name == "Thing.make"
    assert entry.family == "test_registry"
    assert [(p.name, p.required) for p in entry.parameters] == [
        ("name", True),
        ("from", True),
        ("scale", False),
    ]
    made = entry.call({"name": "a", "from": 1.0}, Services())
    assert made.properties == {"name": "a", "from": 1, "scale": None}
    assert make("a", 1, Services()).properties["from"] == 1
    assert list(registry) == ["Thing.make"]


def test_a_name_is_given_once_and_nothing_changes_otherwise(registry):
    def one() -> int:
        """Return one."""
        return 1

    registry.function("A")(one)
    with pytest.raises(ValueError, match="A is registered already"):
        registry.function("B", "A")(one)
    assert list(registry) == ["A"]


def undocumented() -> int:
    return 1


def unannotated(x) -> int:
    """Take anything."""
    return 1


def returning(x: int):
    """Return something."""
    return x


def untyped(x: complex) -> int:
    """Take what the wire has no type for."""
    return 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (undocumented, "no docstring"),
        (unannotated, "no annotation"),
        (returning, "what it returns"),
        (untyped, "no wire type"),
    ],
)
def test_what_is_not_declared_is_not_registered(registry, function, reason):
    with pytest.raises(ValueError, match=reason):
        registry.function("X")(function)
    assert list(registry) == []


def test_an_unknown_function_is_refused_by_name(registry):
    with pytest.raises(ServiceError) as caught:
        registry.get("Image.fly")
    assert caught.value.code == 400
    assert caught.value.message == "Function 'Image.fly' is not implemented by this emulator."


def test_arguments_are_checked_by_name(registry):
    @registry.function("Thing.take")
    def take(value: float, other: int = 2) -> float:
        """Add two numbers."""
        return value + other

    entry = registry.get("Thing.take")
    assert entry.call({"value": 1, "other": None}, Services()) == 3
    with pytest.raises(ServiceError, match=r"Thing.take: Unexpected argument 'volume'"):
        entry.call({"volume": 1}, Services())
    with pytest.raises(ServiceError, match=r"Parameter 'value' is required and may not be null\."):
        entry.call({"value": None}, Services())
    with pytest.raises(ServiceError, match=r"argument 'value': .*Expected type: Number"):
        entry.call({"value": "a"}, Services())


POINT = {"type": "Point", "coordinates": [1, 2]}
GEOMETRY = coerce(POINT, v.Geometry, "test")
FEATURE = v.Feature(GEOMETRY, {"a": 1})


PROMOTIONS: list[tuple[Any, Any, Any]] = [
    (1.9, int, 1),
    (True, int, 1),
    (1, float, 1),
    (0, bool, False),
    ([1, 2], list, [1, 2]),
    (v.Array(np.array([1, 2])), list, [1, 2]),
    (FEATURE, dict, {"a": 1}),
    (GEOMETRY, v.Feature, v.Feature(GEOMETRY)),
    (FEATURE, v.Geometry, GEOMETRY),
    (v.Collection((FEATURE,), "FeatureCollection"), v.Geometry, GEOMETRY),
    ("EPSG:4326", v.Projection, v.Projection("EPSG:4326")),
    ("float", v.PixelType, v.FLOAT),
    ("uint8", v.PixelType, v.BYTE),
    (0, v.Date, v.Date(0)),
    ("1970-01-02", v.Date, v.Date(86_400_000)),
    ("1970-01-02", v.DateRange, v.DateRange(86_400_000, 86_400_001)),
    (5, v.ErrorMargin, v.ErrorMargin(5.0)),
    ("anything", Any, "anything"),
    (1, float | None, 1),
    ([1], list[int], [1]),
]


@pytest.mark.parametrize(("given", "annotation", "expected"), PROMOTIONS)
def test_promotions(given, annotation, expected):
    assert coerce(given, annotation, "here") == expected


def test_numbers_and_lists_are_images():
    image = coerce([1, 2.5], v.Image, "here")
    assert image.names == ("constant", "constant_1")
    assert [band.type.precision for band in image.bands] == ["int", "double"]
    assert coerce(3, v.Image, "here").bands[0].type == v.PixelType("int", 3, 3)


def test_single_elements_are_collections():
    assert coerce(FEATURE, v.Collection, "here").kind == "FeatureCollection"
    assert coerce(v.Image(), v.Collection, "here").kind == "ImageCollection"
    assert coerce([[1, 2], [3, 4]], v.Array, "here").values.shape == (2, 2)


REFUSALS: list[tuple[Any, Any, str]] = [
    ("a", float, "Expected type: Number. Actual type: String."),
    (1, str, "Expected type: String. Actual type: Integer."),
    (1.5, str, "Expected type: String. Actual type: Float."),
    ("a", v.Image, "Expected type: Image<unknown bands>. Actual type: String."),
    (FEATURE, v.Image, "Expected type: Image<unknown bands>. Actual type: Feature."),
    ([], v.Filter, "Expected type: Filter. Actual type: List."),
    ([[1], [2, 3]], v.Array, "Expected type: Array. Actual type: List."),
    (v.Collection((), "ImageCollection"), float, "Actual type: ImageCollection."),
    (v.Image(), v.Feature, "Actual type: Image."),
    ("nowhere", v.Projection, "could not be parsed: 'nowhere'"),
    ("long ago", v.Date, 'Invalid format: "long ago"'),
]


@pytest.mark.parametrize(("given", "annotation", "expected"), REFUSALS)
def test_refusals(given, annotation, expected):
    with pytest.raises(ServiceError) as caught:
        coerce(given, annotation, "Thing.make, argument 'x'")
    assert caught.value.code == 400
    assert expected in caught.value.message
