"""String: expected answers are the reference's examples."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("text", "regex", "flags", "expected"),
    [
        ("aBAbcD", "Ab", "", ["aB", "cD"]),
        ("aBAbcD", "ab", "i", ["", "", "cD"]),
        ("aBAbcD", "[bc]", "i", ["a", "A", "", "D"]),
        ("aBAbcD", "(BA|c)", "", ["a", "b", "D"]),
        ("a,b", "", "", ["a", ",", "b"]),
        ("a,b,cdee f,g", "[[:space:]]", "", ["a,b,cdee", "f,g"]),
        ("a,b,cdee f,g", "ee", "", ["a,b,cd", " f,g"]),
        ("a,b,cdee f,g", "[a-z]", "", ["", ",", ",", "", "", "", " ", ","]),
        ("a,b,cdee f,g", "[^a-z]", "", ["a", "b", "cdee", "f", "g"]),
        ("a.b*c?d", r"\.", "", ["a", "b*c?d"]),
        ("a.b*c?d", "[*]", "", ["a.b", "c?d"]),
    ],
)
def test_split(client, info, text, regex, flags, expected):
    assert info(client.String(text).split(regex, flags)) == expected


@pytest.mark.parametrize(
    ("regex", "flags", "expected"),
    [
        ("", "", [""]),
        ("ab", "g", ["ab"]),
        ("ab", "i", ["AB"]),
        ("AB", "ig", ["AB", "ab"]),
        ("[a-z]+[0-9]+", "", ["abc123"]),
        (r"\d{2}", "", ["12"]),
        ("abc[^0-9]", "i", ["ABCa"]),
        ("x", "", []),
    ],
)
def test_match(client, info, regex, flags, expected):
    assert info(client.String("ABCabc123").match(regex, flags)) == expected


def test_match_gives_the_groups_of_the_first_match(client, info):
    scene = client.String("LC08_231062_20230723")
    assert info(scene.match(r"_(\d{3})(\d{3})_")) == ["_231062_", "231", "062"]


@pytest.mark.parametrize(
    ("text", "regex", "new", "flags", "expected"),
    [
        ("abc-abc", "abc", "X", "", "X-abc"),
        ("abc-abc", "abc", "X", "g", "X-X"),
        ("abc-abc", "abc", "", "g", "-"),
        ("aBc-Abc", "abc", "Z", "i", "Z-Abc"),
        ("aBc-Abc", "abc", "Z", "ig", "Z-Z"),
        ("SR_B4", r"SR_B(\d)", "band$1", "", "band4"),
    ],
)
def test_replace(client, info, text, regex, new, flags, expected):
    assert info(client.String(text).replace(regex, new, flags)) == expected


def test_what_is_no_expression_is_refused(client, refused):
    assert refused(client.String("a").match("(")).startswith("String.match: Invalid regular")
    assert refused(client.String("a").match("a", "q")).startswith("String.match: Unknown regular")


def test_slices_and_places(client, info):
    text = client.String("Earth Engine")
    assert info(text.slice(6)) == "Engine"
    assert info(text.slice(0, 5)) == "Earth"
    assert info(text.slice(-6, -3)) == "Eng"
    assert info(text.index("n")) == 7
    assert info(text.rindex("n")) == 10
    assert info(text.index("x")) == -1
    assert info(text.length()) == 12


def test_comparisons(client, info):
    text = client.String("b")
    assert info(text.compareTo("a")) == 1
    assert info(text.compareTo("b")) == 0
    assert info(text.compareTo("c")) == -1
    assert info(text.equals("b")) is True
    assert info(text.equals(1)) is False


def test_case_space_and_joining(client, info):
    assert info(client.String("Ab ").toLowerCase()) == "ab "
    assert info(client.String("Ab ").toUpperCase()) == "AB "
    assert info(client.String(" Ab ").trim()) == "Ab"
    assert info(client.String("LC08").cat("_").cat("231062")) == "LC08_231062"


def test_numbers_become_strings(client, info):
    assert info(client.String(client.Number(12))) == "12"
    assert info(client.String(client.Number(1).divide(2))) == "0.5"


def test_json_comes_and_goes(client, info, refused):
    given = {"a": [1, 2.5, None, True], "b": {"c": "d"}}
    assert info(client.String('{"a": [1, 2.5], "b": null}').decodeJSON()) == {
        "a": [1, 2.5],
        "b": None,
    }
    call = client.apifunction.ApiFunction.call_
    assert info(client.String(call("String.encodeJSON", given)).decodeJSON()) == given
    assert refused(client.String("{").decodeJSON()).startswith("String.decodeJSON: Invalid JSON")
