"""Dictionary: expected answers are the reference's examples or worked by hand."""

from __future__ import annotations


def test_get(client, info, refused):
    table = client.Dictionary({"B1": 182, "B2": 219})
    assert info(table.get("B2")) == 219
    assert info(table.get("B3", -1)) == -1
    assert refused(table.get("B3")) == ("Dictionary.get: Dictionary does not contain key: 'B3'.")


def test_typed_getters(client, info, refused):
    table = client.Dictionary({"n": 1, "s": "a", "a": [1, 2], "g": client.Geometry.Point([1, 2])})
    assert info(table.getNumber("n")) == 1
    assert info(table.getString("s")) == "a"
    assert info(table.getArray("a")) == [1, 2]
    assert info(table.getGeometry("g")) == {"type": "Point", "coordinates": [1, 2]}
    assert "Expected type: String" in refused(table.getString("n"))


def test_keys_and_values_are_in_alphabetical_order(client, info):
    table = client.Dictionary({"b": 2, "a": 1})
    assert info(table.keys()) == ["a", "b"]
    assert info(table.values()) == [1, 2]
    assert info(table.values(["b"])) == [2]
    assert info(table.size()) == 2
    assert info(table.contains("a")) is True
    assert info(table.contains("z")) is False


def test_set_and_combine(client, info):
    table = client.Dictionary({"a": 1, "b": 2})
    assert info(table.set("a", 9)) == {"a": 9, "b": 2}
    assert info(table.combine({"b": 3, "c": 4})) == {"a": 1, "b": 3, "c": 4}
    assert info(table.combine({"b": 3, "c": 4}, False)) == {"a": 1, "b": 2, "c": 4}


def test_rename(client, info, refused):
    table = client.Dictionary({"B1": 182, "B2": 219, "B3": 443})
    assert info(table.rename(["B2", "B3"], ["Band_2", "Band_3"])) == {
        "B1": 182,
        "Band_2": 219,
        "Band_3": 443,
    }
    assert info(table.rename(["B3"], ["B1"], True)) == {"B1": 443, "B2": 219}
    assert refused(table.rename(["B3"], ["B1"])).startswith("Dictionary.rename: ")
    assert refused(table.rename(["B3"], [])).startswith("Dictionary.rename: ")


def test_select_and_remove_take_names_and_expressions(client, info, refused):
    table = client.Dictionary({"B1": 1, "B2": 2, "QA": 3})
    assert info(table.select(["B.*"])) == {"B1": 1, "B2": 2}
    assert info(table.select(["QA", "none"], True)) == {"QA": 3}
    assert info(table.remove(["B1", "QA"])) == {"B2": 2}
    assert refused(table.select(["none"])) == (
        "Dictionary.select: Dictionary does not contain key: 'none'."
    )


def test_from_lists(client, info, refused):
    assert info(client.Dictionary.fromLists(["a", "b"], [1, 2])) == {"a": 1, "b": 2}
    assert refused(client.Dictionary.fromLists(["a"], [1, 2])).startswith("Dictionary.fromLists: ")
    assert info(client.Dictionary(client.List(["a", 1, "b", 2]))) == {"a": 1, "b": 2}


def test_map(client, info):
    doubled = client.Dictionary({"a": 1, "b": 2}).map(
        lambda key, value: client.String(key).cat(client.Number(value).multiply(2).format())
    )
    assert info(doubled) == {"a": "a2", "b": "b4"}


def test_to_array_and_image(client, info):
    table = client.Dictionary({"b": 2, "a": 1})
    assert info(table.toArray()) == [1, 2]
    assert info(table.toArray(["b"])) == [2]
    image = info(table.toImage())
    assert [(band["id"], band["data_type"]["min"]) for band in image["bands"]] == [
        ("a", 1),
        ("b", 2),
    ]


def test_the_client_may_pass_an_empty_dictionary(client, info):
    assert info(client.Dictionary()) == {}
