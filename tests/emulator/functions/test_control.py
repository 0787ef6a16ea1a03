"""If, IsEqual, ObjectType, Describe."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (True, "yes"),
        (False, "no"),
        (1, "yes"),
        (0, "no"),
        (0.0, "no"),
        ("a", "yes"),
        ("", "no"),
        ([0], "yes"),
        ([], "no"),
        ({}, "no"),
        (None, "no"),
    ],
)
def test_if_takes_values_for_true_as_documented(client, info, condition, expected):
    assert info(client.Algorithms.If(condition, "yes", "no")) == expected


def test_nan_is_false(client, info):
    assert info(client.Algorithms.If(client.Number(-1).sqrt(), "yes", "no")) == "no"


def test_is_equal(client, info):
    same = client.Algorithms.IsEqual
    assert info(same(1, 1.0)) is True
    assert info(same([1, {"a": 2}], [1, {"a": 2}])) is True
    assert info(same("1", 1)) is False
    assert info(same(None, None)) is True
    assert info(same(client.Date(5), client.Date(5))) is True
    point = client.Geometry.Point([1, 2])
    assert info(same(point, client.Geometry.Point([1, 2]))) is True
    assert info(same(point, client.Geometry.Point([1, 3]))) is False
    assert info(same(client.Feature(point, {"a": 1}), client.Feature(point, {"a": 1}))) is True


def test_object_type(client, info):
    kind = client.Algorithms.ObjectType
    assert info(kind(1)) == "Integer"
    assert info(kind(1.5)) == "Float"
    assert info(kind("a")) == "String"
    assert info(kind([1])) == "List"
    assert info(kind({"a": 1})) == "Dictionary"
    assert info(kind(client.Date(0))) == "Date"
    assert info(kind(client.Geometry.Point([0, 0]))) == "Geometry"
    assert info(kind(client.Feature(None))) == "Feature"
    assert info(kind(client.FeatureCollection([]))) == "FeatureCollection"
    assert info(kind(client.Image(1))) == "Image"
    assert info(kind(client.ImageCollection([client.Image(1)]))) == "ImageCollection"


def test_describe_is_what_get_info_shows(client, info):
    date = client.Date("2020-01-01")
    assert info(client.Algorithms.Describe(date)) == info(date)
