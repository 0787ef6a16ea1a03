"""Answers by kind of request: what counts as one kind, and how much is kept."""

from __future__ import annotations

import json

import pytest

from water_gee.emulator.canned import CannedAnswers, kind_of_body
from water_gee.emulator.routes import Answer

PATH = "/v1/projects/p/image:computePixels"


def message(**changes):
    affine = {"scaleX": 30, "shearX": 0, "translateX": 1.5, "scaleY": -30, "translateY": -2e-07}
    dimensions = {"width": 128, "height": 128}
    grid = {"dimensions": dimensions, "affineTransform": affine, "crsCode": "EPSG:4326"}
    wire = {"expression": {"values": {}}, "fileFormat": "NPY", "grid": grid, "bandIds": ["a"]}
    for name, value in changes.items():
        place = next(part for part in (affine, dimensions, grid, wire) if name in part)
        place[name] = value
    return json.dumps(wire).encode()


@pytest.mark.parametrize(
    "moved", [{"translateX": -106.65}, {"translateY": 52.246e3}, {"translateX": 0, "translateY": 7}]
)
def test_requests_that_differ_in_their_place_are_of_one_kind(moved):
    assert kind_of_body(PATH, message(**moved)) == kind_of_body(PATH, message())


@pytest.mark.parametrize(
    "other",
    [
        {"width": 127},
        {"scaleX": 10},
        {"shearX": 1},
        {"crsCode": "EPSG:32648"},
        {"bandIds": ["b"]},
        {"fileFormat": "GEO_TIFF"},
        {"expression": {"values": {"0": {"constantValue": 1}}}},
    ],
)
def test_any_other_difference_is_another_kind(other):
    assert kind_of_body(PATH, message(**other)) != kind_of_body(PATH, message())


def test_an_asset_of_another_name_is_another_kind():
    assert kind_of_body("/v1/projects/p/assets/a:getPixels", message()) != kind_of_body(
        "/v1/projects/p/assets/b:getPixels", message()
    )


def test_a_place_that_is_not_the_grid_s_counts():
    def inside(number):
        return message(expression={"values": {"0": {"constantValue": {"translateX": number}}}})

    assert kind_of_body(PATH, inside(1)) != kind_of_body(PATH, inside(2))


def test_without_a_grid_nothing_is_a_place():
    bodies = [json.dumps({"translateX": number, "fileFormat": "NPY"}).encode() for number in (1, 2)]
    assert kind_of_body(PATH, bodies[0]) != kind_of_body(PATH, bodies[1])


def test_two_grids_are_of_no_kind():
    grid = {"affineTransform": {"translateX": 1}}
    assert kind_of_body(PATH, message(expression=grid)) is None


def answer(size):
    return Answer(200, "image/tiff", bytes(size))


def test_answers_are_kept_up_to_a_limit_and_those_longest_unused_go():
    canned = CannedAnswers(limit=100)
    kept = answer(40)
    canned.keep(b"a", kept)
    canned.keep(b"b", answer(40))
    assert canned.get(b"a") is kept
    canned.keep(b"c", answer(40))
    assert canned.get(b"a") is kept
    assert canned.get(b"b") is None
    assert canned.size == 80
    canned.keep(b"d", answer(101))
    assert canned.get(b"d") is None
    assert canned.size == 80
    canned.keep(b"a", answer(60))
    assert canned.size == 100
    for n in range(1000):
        canned.keep(str(n).encode(), answer(7))
        assert canned.size <= 100
