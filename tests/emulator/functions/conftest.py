"""The stock client without a service: what it serialises goes straight to the evaluator."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import ee
import pytest
from ee.apifunction import ApiFunction
from studio import Studio

from water_gee.emulator.describe import to_json
from water_gee.emulator.evaluator import Evaluator
from water_gee.errors import ServiceError

ALGORITHMS = Path(ee.__file__).parent / "tests" / "algorithms.json"


def algorithms():
    """Return the client's own list of functions, as `ee.data.getAlgorithms` gives it."""
    listed = json.loads(ALGORITHMS.read_text())
    return ee._cloud_api_utils.convert_algorithms(listed)


@pytest.fixture(scope="module")
def client():
    """Return the `ee` package, knowing its functions; a session that stands is left alone."""
    if not ApiFunction._api:
        with mock.patch.object(ee.data, "getAlgorithms", algorithms):
            ApiFunction.initialize()
        for dynamic in ee._DYNAMIC_CLASSES:
            dynamic.initialize()
        ee._InitializeGeneratedClasses()
        ee._InitializeUnboundMethods()
    return ee


@pytest.fixture(scope="module")
def value(client):
    """Return a function that evaluates what the client serialises."""
    evaluator = Evaluator()

    def compute(thing):
        return evaluator.compute(client.serializer.encode(thing, for_cloud_api=True))

    return compute


@pytest.fixture(scope="module")
def info(value):
    """Return a function that gives what `getInfo` would."""
    return lambda thing: json.loads(json.dumps(to_json(value(thing))))


@pytest.fixture
def refused(value):
    """Return a function that gives the message an expression is refused with."""

    def message(thing):
        with pytest.raises(ServiceError) as caught:
            to_json(value(thing))
        assert caught.value.code == 400
        return caught.value.message

    return message


@pytest.fixture(scope="module")
def studio(client):
    """Return what turns arrays into images and back."""
    return Studio(client)
