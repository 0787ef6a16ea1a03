"""Registry and coercion: names, signatures, promotions, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import ee
import pytest

from water_gee.emulator.coerce import wire_type
from water_gee.emulator.evaluator import standard_registry

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
