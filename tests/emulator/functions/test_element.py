"""Element: properties of features and images."""

from __future__ import annotations

import pytest


@pytest.fixture
def feature(client):
    return client.Feature(
        client.Geometry.Point([1, 2]), {"n": 1.5, "s": "a", "l": [1, 2], "system:index": "x"}
    )


def test_get(feature, info):
    assert info(feature.get("n")) == 1.5
    assert info(feature.get("none")) is None
    assert info(feature.getNumber("n")) == 1.5
    assert info(feature.getNumber("none")) is None
    assert info(feature.getString("s")) == "a"
    assert info(feature.getArray("l")) == [1, 2]


def test_typed_getters_name_the_property(feature, refused):
    assert refused(feature.getNumber("s")) == (
        "Element.getNumber, property 's': Invalid type. Expected type: Number. Actual type: String."
    )


def test_set(client, feature, info):
    assert info(feature.set("n", 2).get("n")) == 2
    assert info(feature.set({"a": 1, "b": 2}).toDictionary(["a", "b"])) == {"a": 1, "b": 2}
    computed = client.Dictionary({"a": 1}).combine({"b": 2})
    assert info(feature.set(computed).get("b")) == 2
    assert info(feature.set("n", None).propertyNames().contains("n")) is False


def test_set_leaves_the_original_alone(client, feature, info):
    assert info(client.List([feature.set("n", 2).get("n"), feature.get("n")])) == [2, 1.5]


def test_property_names(client, feature, info):
    assert sorted(info(feature.propertyNames())) == ["l", "n", "s", "system:index"]
    image = client.Image(1).set("a", 1)
    assert set(info(image.propertyNames())) >= {"a", "system:bands", "system:band_names"}
    assert info(image.get("system:band_names")) == ["constant"]


def test_to_dictionary_leaves_the_systems_properties_out(feature, info):
    assert info(feature.toDictionary()) == {"n": 1.5, "s": "a", "l": [1, 2]}
    assert info(feature.toDictionary(["s"])) == {"s": "a"}


def test_copy_properties(client, feature, info, refused):
    bare = client.Feature(None, {"n": 0, "m": 9})
    assert info(bare.copyProperties(feature).toDictionary()) == {
        "n": 1.5,
        "s": "a",
        "l": [1, 2],
        "m": 9,
    }
    assert info(bare.copyProperties(feature).get("system:index")) is None
    assert info(bare.copyProperties(feature, ["system:index"]).get("system:index")) == "x"
    assert info(client.Image(1).copyProperties(feature, ["n"]).get("n")) == 1.5
    assert info(bare.copyProperties(feature, ["none"]).toDictionary()) == {"n": 0, "m": 9}
    assert info(bare.copyProperties(feature, exclude=["s", "l"]).toDictionary()) == {
        "n": 1.5,
        "m": 9,
    }
    assert refused(bare.copyProperties(feature, ["s"], ["n"])).startswith("Element.copyProperties")


def test_copy_properties_of_nothing(client, info, refused):
    bare = client.Feature(None, {"n": 0})
    call = client.apifunction.ApiFunction.call_
    assert info(client.Feature(call("Element.copyProperties", bare)).get("n")) == 0
    assert "may not be null" in refused(call("Element.copyProperties", None, bare))


def test_replace_properties_keeps_the_index(client, feature, info):
    call = client.apifunction.ApiFunction.call_
    other = client.Feature(None, {"z": 1, "system:index": "other"})
    replaced = client.Feature(call("Element.replaceProperties", feature, other))
    assert info(replaced) == {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "id": "x",
        "properties": {"z": 1},
    }


def test_geometry(client, feature, info):
    call = client.apifunction.ApiFunction.call_
    assert info(call("Element.geometry", feature))["coordinates"] == [1, 2]
